"""Exit codes, and what is said on the way out."""

import os
import subprocess
import sys
from argparse import Namespace

import pytest

from mddit_ui.cli.main import VERBS, main
from mddit_ui.cli.output import amount, plain, table
from mddit_ui.cli.verb import Verb
from mddit_ui.core.errors import Cancelled, PolicyError


def verb_that_raises(error: BaseException) -> dict[str, Verb]:
    def run(args: Namespace) -> None:
        raise error

    return {"fail": Verb("fails", lambda parser: None, run)}


@pytest.mark.parametrize("argv", [[], *([verb] for verb in VERBS), ["policies", "make"], ["import"]])
def test_help_says_what_there_is(argv: list[str], capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as done:
        main([*argv, "--help"])
    assert done.value.code == 0
    assert capsys.readouterr().out.startswith(" ".join(["usage: mddit", *argv]))


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["paint"],
        ["resume"],
        ["models", "--colour"],
        ["generate", "--steps", "many"],
        ["policies", "make", "none"],
        ["policies", "list"],
    ],
)
def test_wrong_usage_is_2(argv: list[str], capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as done:
        main(argv)
    assert done.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("error", [PolicyError("It has no rows."), Cancelled("It has no rows.")])
def test_an_error_for_people_is_1_and_one_line(error: Exception, capsys: pytest.CaptureFixture):
    assert main(["fail"], verb_that_raises(error)) == 1
    assert capsys.readouterr() == ("", "mddit: It has no rows.\n")


def test_a_message_cannot_steer_the_terminal(capsys: pytest.CaptureFixture):
    assert main(["fail"], verb_that_raises(PolicyError("\x1b[2J\nred"))) == 1
    assert capsys.readouterr().err == "mddit: \ufffd[2J\ufffdred\n"


def test_control_c_is_130(capsys: pytest.CaptureFixture):
    assert main(["fail"], verb_that_raises(KeyboardInterrupt())) == 130
    assert capsys.readouterr() == ("", "mddit: interrupted\n")


def test_a_defect_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        main(["fail"], verb_that_raises(ZeroDivisionError()))


def test_a_reader_that_leaves_early_is_no_crash():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        command = [sys.executable, "-m", "mddit_ui", "policies", "--json"]
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "")


def test_help_loads_no_heavy_library():
    code = (
        "import sys\nfrom mddit_ui.cli.main import parser\nparser().format_help()\n"
        "sys.exit(', '.join({'torch', 'gradio', 'plotly', 'pandas', 'cma'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert done.stderr.strip() == ""


def test_tables_line_up_and_hold_no_control_characters():
    assert table(("id", "n"), [("a\x07", 1), ("long", None)]) == ["id    n", "a\ufffd    1", "long  -"]
    assert plain("é\t\x1b") == "é\ufffd\ufffd"


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1.25e9, "1.25 GB"), (3e17, "300 PB")]
)
def test_amounts(value: float, text: str):
    assert amount(value, "B") == text
