"""``mddit policies`` and ``mddit models`` on a tiny model."""

import json
from pathlib import Path

import pytest

from mddit_ui.cli.main import main
from mddit_ui.core.policy import Policy


@pytest.fixture(autouse=True)
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MDDIT_POLICIES", str(tmp_path / "library"))
    return tmp_path / "library"


def json_of(capsys: pytest.CaptureFixture, *argv: str) -> object:
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_models_are_listed(tiny_pixart: str, capsys: pytest.CaptureFixture):
    assert tiny_pixart in {spec["id"] for spec in json_of(capsys, "models")}
    assert main(["models"]) == 0
    assert tiny_pixart in capsys.readouterr().out


def test_a_model_shows_what_a_policy_can_act_on(tiny_pixart: str, capsys: pytest.CaptureFixture):
    shown = json_of(capsys, "models", tiny_pixart, "--steps", "5")
    assert shown["sites"] == [f"transformer_blocks.{index}" for index in range(4)]
    assert len(shown["timesteps"]) == 5
    assert shown["full_macs"] == pytest.approx(5 * (sum(shown["macs"]["site_macs"]) + shown["macs"]["rest_macs"]))
    assert main(["models", tiny_pixart]) == 0
    printed = capsys.readouterr().out
    assert "transformer_blocks.3" in printed
    assert "the rest: caption_projection" in printed
    assert "runs in float32 on cpu" in printed
    assert set(shown["around"]) == {"text_encoder", "vae"}
    assert sum(shown["rest"].values()) == pytest.approx(shown["macs"]["rest_macs"])
    assert shown["macs_without_attention"]["site_macs"][0] < shown["macs"]["site_macs"][0]


def test_a_model_that_is_not_there_is_said(capsys: pytest.CaptureFixture):
    assert main(["models", "no such model"]) == 1
    assert "no such model" in capsys.readouterr().err


def test_make_list_and_show(tiny_pixart: str, library: Path, capsys: pytest.CaptureFixture):
    made = json_of(capsys, "policies", "make", "every", "--n", "3", "--model", tiny_pixart, "--steps", "5")
    policy = Policy.load(library / f"{made['saved']}.json")
    assert policy.rows == ("####", "====", "====", "####", "====")
    assert policy.sites[0] == "transformer_blocks.0"
    assert len(policy.timesteps) == 5
    assert policy.model == tiny_pixart
    assert 0 < made["budget"] < 1

    assert [each["id"] for each in json_of(capsys, "policies")] == [made["saved"]]
    shown = json_of(capsys, "policies", "show", made["saved"], "--model", tiny_pixart)
    assert shown["policy"]["rows"] == list(policy.rows)
    assert shown["budget"] == pytest.approx(made["budget"])
    assert main(["policies", "show", made["saved"]]) == 0
    assert "####" in capsys.readouterr().out


@pytest.mark.parametrize("preset", ["full", "every", "bands", "skip_cache"])
def test_every_preset_can_be_made(preset: str, tiny_pixart: str, tmp_path: Path, capsys: pytest.CaptureFixture):
    file = tmp_path / "made.json"
    assert main(["policies", "make", preset, "--model", tiny_pixart, "--out", str(file), "--name", "mine"]) == 0
    assert Policy.load(file).name == "mine"
    assert str(file) in capsys.readouterr().out


def test_an_option_of_another_preset_is_refused(tiny_pixart: str, capsys: pytest.CaptureFixture):
    assert main(["policies", "make", "every", "--b", "2", "--model", tiny_pixart]) == 1
    assert "every has no option b" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["missing.json", "missing", "../../etc/passwd", "full"])
def test_a_policy_that_is_not_there_is_said(name: str, capsys: pytest.CaptureFixture):
    assert main(["policies", "show", name]) == 1
    err = capsys.readouterr().err
    assert err.startswith("mddit: ")
    assert err.count("\n") == 1


def test_a_foreign_name_cannot_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture):
    Policy.full(1, 1, name="\x1b]0;title\x07", model="\x1b[2J").save(tmp_path / "foreign.json")
    assert main(["policies", "show", str(tmp_path / "foreign.json")]) == 0
    assert "\x1b" not in capsys.readouterr().out
