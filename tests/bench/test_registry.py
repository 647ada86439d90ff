"""Every benchmark is found by its name and speaks like the other verbs."""

import inspect
from importlib import import_module

import pytest

from mddit_ui.__main__ import main
from mddit_ui.bench import registry


@pytest.mark.parametrize("name", registry.names())
def test_every_benchmark_has_the_same_door(name: str, capsys: pytest.CaptureFixture):
    module = import_module(f"mddit_ui.bench.{name}")
    signature = inspect.signature(module.main)
    assert list(signature.parameters) == ["arguments"]
    assert signature.return_annotation in (int, "int")
    assert registry.subject(name)
    with pytest.raises(SystemExit) as done:
        main(["bench", name, "--help"])
    assert done.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: mddit bench {name}")


def test_they_are_listed(capsys: pytest.CaptureFixture):
    assert main(["bench"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert listed == registry.names()
    assert {"engine", "search", "presets"} <= set(listed)


def test_errors_and_exit_codes_are_those_of_the_command_line(capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as done:
        main(["bench", "nothing"])
    assert done.value.code == 2
    assert main(["bench", "presets", "--model", "no such model"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("mddit: No model 'no such model'")
