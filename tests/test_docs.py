"""The documents agree with the code: verbs, links, examples, the configuration of the Space."""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mddit_ui import __main__ as command_line
from mddit_ui.core.policy_json import loads

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FORMAT = (ROOT / "docs" / "policy-format.md").read_text()


def verbs(top: argparse.ArgumentParser, name: str = "mddit") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """("mddit policies show", its parser) for every command that does something."""
    nested = [action for action in top._actions if isinstance(action, argparse._SubParsersAction)]
    if not any(action.required for action in nested):
        yield name, top
    for action in nested:
        for verb, below in action.choices.items():
            yield from verbs(below, f"{name} {verb}")


def blocks(text: str, language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.S | re.M)
    return [content for found, content in fenced if found == language]


@pytest.mark.parametrize("name", [name for name, _ in verbs(command_line.parser())])
def test_every_verb_is_documented(name: str):
    assert f"`{name}" in README.read_text(), f"add a line for `{name}` to the table of commands in README.md"


@pytest.mark.parametrize(("name", "command"), list(verbs(command_line.parser())))
def test_every_verb_and_option_has_help(name: str, command: argparse.ArgumentParser):
    assert command.description
    silent = [action.dest for action in command._actions if not action.help and not action.choices]
    assert not silent, f"{name}: say what {', '.join(silent)} is for"


def test_every_command_in_the_readme_is_one():
    told = re.findall(r"`(mddit [a-z][^`]*)`", README.read_text())
    assert len(told) >= 10
    for command in told:
        arguments = re.findall(r'"[^"]*"|\S+', command)[1:]
        command_line.parser().parse_args([argument.strip('"') for argument in arguments])  # exits when it is none


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path):
    links = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M))
    missing = [link for link in links if "://" not in link and not (page.parent / link.split("#")[0]).exists()]
    assert not missing, f"{page.name} points to what is not there: {missing}"


@pytest.mark.parametrize("text", blocks(FORMAT, "json"))
def test_examples_of_the_format_are_policies(text: str):
    assert loads(text).steps


@pytest.mark.parametrize("code", blocks(FORMAT, "python"))
def test_python_of_the_format_runs(code: str, tmp_path: Path):
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


@pytest.mark.parametrize("code", blocks(README.read_text(), "python"))
def test_python_of_the_readme_compiles(code: str):
    compile(code, "README.md", "exec")
    for path in re.findall(r'"((?:assets|saved_policies)/[^"]+)"', code):
        assert (ROOT / path).exists(), f"README.md speaks of {path}"


def test_the_tree_of_the_readme_is_true():
    (tree,) = [block for block in blocks(README.read_text(), "") if block.startswith("app.py")]
    told = {line.split()[0].rstrip("/") for line in tree.splitlines()}
    assert not (missing := [path for path in told if not (ROOT / path).exists()]), missing
    rooms = {f"mddit_ui/{path.parent.name}" for path in (ROOT / "mddit_ui").glob("*/__init__.py")}
    assert rooms <= told, f"add to the tree in README.md: {sorted(rooms - told)}"


def test_the_space_runs_what_is_pinned():
    head = README.read_text().split("---\n")[1]
    told = dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)
    assert told["sdk"] == "gradio"
    assert f"gradio=={told['sdk_version']}\n" in (ROOT / "requirements.txt").read_text()
    assert (ROOT / told["app_file"]).is_file()
    assert len(told["short_description"]) <= 60


def test_every_variable_of_the_environment_is_documented():
    used = {
        name for path in (ROOT / "mddit_ui").rglob("*.py") for name in re.findall(r"MDDIT_[A-Z_]+", path.read_text())
    }
    assert not (missing := {name for name in used if f"`{name}`" not in README.read_text()}), missing
