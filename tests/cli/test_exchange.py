"""``mddit import``, ``export`` and ``record``."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mddit_ui.cli import record
from mddit_ui.cli.main import main
from mddit_ui.core.policy import Policy

GOLDEN = Path(__file__).parents[1] / "core" / "golden"


@pytest.fixture(autouse=True)
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MDDIT_POLICIES", str(tmp_path / "library"))
    return tmp_path / "library"


def json_of(capsys: pytest.CaptureFixture, *argv: str) -> dict:
    capsys.readouterr()
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_foreign_file_gets_into_the_library(library: Path, capsys: pytest.CaptureFixture):
    saved = json_of(capsys, "import", str(GOLDEN / "smoothcache-dit.json"))
    assert Policy.load(library / f"{saved['saved']}.json").rows == ("####", "==##", "#==#", "####")
    assert saved["name"] == "smoothcache-dit"
    assert main(["import", str(GOLDEN / "ecad-pixart.json"), "--format", "ecad", "--name", "mine"]) == 0
    assert "mine: 3 steps x 6 sites" in capsys.readouterr().out


def test_a_mask_needs_the_model(tiny_pixart: str, library: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    file = str(GOLDEN / "cache-dit.yaml")
    assert main(["import", file]) == 1
    assert "name the model" in capsys.readouterr().err
    out = str(tmp_path / "mask.json")
    assert main(["import", file, "--model", tiny_pixart, "-o", out]) == 0
    policy = Policy.load(out)
    assert policy.rows == ("####", "####", "#==#", "####", "#==#", "#==#")
    assert policy.model == tiny_pixart
    assert len(policy.timesteps) == 6
    assert not library.exists()


def test_branches_of_a_foreign_file_run_and_are_budgeted(
    tiny_pixart: str, tmp_path: Path, capsys: pytest.CaptureFixture
):
    """attn1 of all blocks, at 3 of 6 steps: what it saves is in both numbers."""
    out = str(tmp_path / "attn1.json")
    main(["import", str(GOLDEN / "smoothcache-diffusers.json"), "--model", tiny_pixart, "-o", out])
    shown = json_of(capsys, "policies", "show", out, "--model", tiny_pixart)
    assert 0.5 < shown["budget"] < 1
    made = json_of(capsys, "generate", "--policy", out, "--prompt", "a ball", "-o", str(tmp_path / "pictures"))
    assert made["macs"] / made["full_macs"] == pytest.approx(shown["budget"], rel=1e-6)


def test_a_file_for_another_model_is_refused(tiny_dit: str, capsys: pytest.CaptureFixture):
    """ECAD's file has cross-attentions; a DiT has none."""
    assert main(["import", str(GOLDEN / "ecad-pixart.json"), "--model", tiny_dit]) == 1
    assert "attn2, which this model has not" in capsys.readouterr().err


@pytest.mark.parametrize("format", ["json", "ecad", "smoothcache", "l2c", "cache-dit"])
def test_every_format_is_written_and_read_back(format: str, tmp_path: Path, capsys: pytest.CaptureFixture):
    policy = Policy.from_rows(["####", "#===", "####"], sites=tuple(f"transformer_blocks.{i}" for i in range(4)))
    policy.save(tmp_path / "policy.json")
    out = tmp_path / ("out.npz" if format == "l2c" else "out.json")
    argv = ["export", str(tmp_path / "policy.json"), "--format", format]
    if format == "l2c":
        assert main(argv) == 1
        assert "step 1 in full" in capsys.readouterr().err
        return
    assert main([*argv, "-o", str(out)]) == 0
    written = out.read_text()
    assert f"written to {out}" in capsys.readouterr().out
    assert main(argv) == 0
    assert capsys.readouterr().out == written
    assert json_of(capsys, *argv) == {"format": format, "content": written}


def test_npz_is_for_learning_to_cache(tmp_path: Path, capsys: pytest.CaptureFixture):
    Policy.from_rows(["##", "#=", "##", "#="]).save(tmp_path / "policy.json")
    argv = ["export", str(tmp_path / "policy.json"), "-o", str(tmp_path / "out.npz")]
    assert main([*argv, "--format", "l2c"]) == 0
    assert json_of(capsys, "import", str(tmp_path / "out.npz"))["steps"] == 4
    assert main(argv) == 1
    assert ".npz" in capsys.readouterr().err


def test_what_cannot_be_expressed_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture):
    Policy.from_rows(["##", "#."]).save(tmp_path / "policy.json")
    assert main(["export", str(tmp_path / "policy.json"), "--format", "smoothcache"]) == 1
    err = capsys.readouterr().err
    assert "skipped cell (step 1, site 1)" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("argv", [["export", "full"], ["export", "missing"], ["import", "missing.json"]])
def test_what_is_not_there_is_said(argv: list[str], capsys: pytest.CaptureFixture):
    assert main(argv) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "taken").write_text("")
    argv = ["import", str(GOLDEN / "ecad-pixart.json"), "-o", str(tmp_path / "taken" / "out.json")]
    assert main(argv) == 1
    assert "Can't write" in capsys.readouterr().err


def test_the_script_makes_the_picture_of_generate(tiny_pixart: str, tmp_path: Path, capsys: pytest.CaptureFixture):
    """It runs as it is, in a process and a folder of its own."""
    file, prompt = tmp_path / "policy.json", "a large red ball on the left"
    Policy.from_rows(["####", "#==.", "=##="], model=tiny_pixart, name='"""\\').save(file)
    script = tmp_path / "script.py"
    assert main(["export", str(file), "--python", "-o", str(script)]) == 0
    done = subprocess.run(
        [sys.executable, "-W", "error::SyntaxWarning", str(script), prompt, "--seed", "3", "-o", "mine.png"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "transformer_blocks.0" in done.stdout
    argv = ["generate", "--policy", str(file), "--prompt", prompt, "--seed", "3", "-o", str(tmp_path)]
    (theirs,) = json_of(capsys, *argv)["files"]
    pictures = [np.asarray(Image.open(path).convert("RGB"), int) for path in (tmp_path / "mine.png", theirs)]
    assert np.abs(pictures[0] - pictures[1]).max() <= 1  # rounding


def test_the_script_of_a_model_with_classes(tiny_dit: str, tmp_path: Path):
    Policy.full(2, 2, model=tiny_dit, keep=np.full((2, 2), 0.5)).save(tmp_path / "policy.json")
    script = tmp_path / "script.py"
    argv = ["export", str(tmp_path / "policy.json"), "--python", "-o", str(script)]
    assert main(argv) == 0
    tree = ast.parse(script.read_text())
    names = {node.arg: node.value for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    assert ast.literal_eval(names["keep"]) == [[0.5, 0.5], [0.5, 0.5]]
    assert isinstance(names["type"], ast.Name)


@pytest.mark.parametrize("method", record.METHODS)
def test_record_writes_a_policy(method: str, tiny_pixart: str, tmp_path: Path, capsys: pytest.CaptureFixture):
    if method == "cache-dit":
        pytest.importorskip("cache_dit")
    out = str(tmp_path / "recorded.json")
    argv = [
        "policies",
        "record",
        "--method",
        method,
        "--model",
        tiny_pixart,
        "--steps",
        "6",
        "--images",
        "2",
        "-o",
        out,
    ]
    told = json_of(capsys, *argv)
    policy = Policy.load(out)
    assert policy.steps == 6
    assert policy.notes["method"] == method
    assert told["digest"] == policy.digest
    assert 0 < told["budget"] <= 1
    assert main([*argv, "--name", "mine"]) == 0
    assert "a policy is the" in capsys.readouterr().out
    assert Policy.load(out).name == "mine"


def test_the_settings_are_those_of_the_methods():
    from mddit_ui.engine.caches import METHODS

    assert {name: tuple(method.settings) for name, method in METHODS.items()} == record.METHODS
    assert set(record.SETTINGS) == {name for names in record.METHODS.values() for name in names}


@pytest.mark.parametrize(
    ("argv", "says"),
    [(["--interval", "2"], "no setting interval"), (["--threshold", "nan"], "numbers from 0 on")],
)
def test_settings_of_other_methods_are_said(
    argv: list[str], says: str, tiny_pixart: str, capsys: pytest.CaptureFixture
):
    fixed = ["policies", "record", "--method", "first-block-cache", "--model", tiny_pixart, "--images", "1"]
    assert main([*fixed, *argv]) == 1
    assert says in capsys.readouterr().err
