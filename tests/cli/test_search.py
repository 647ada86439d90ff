"""``mddit search`` with a real worker process on a tiny model."""

import json
import time
from pathlib import Path

import pytest

from mddit_ui.cli.main import main
from mddit_ui.core.policy import Policy

TIMEOUT_SECONDS = 120


@pytest.fixture
def start(tiny_pixart: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The arguments of a small search."""
    monkeypatch.setenv("MDDIT_POLICIES", str(tmp_path / "library"))
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps(["a large red ball on the left", "a small blue ring at the top"]))
    size = ["--steps", "4", "--evaluations", "8", "--population", "4", "--budget", "0.6"]
    return ["search", "start", "--model", tiny_pixart, "--prompts", str(prompts), "--images", "2", *size]


def json_of(capsys: pytest.CaptureFixture, *argv: str) -> dict:
    capsys.readouterr()
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_from_start_to_the_best_policy(start: list[str], tmp_path: Path, capsys: pytest.CaptureFixture):
    done = json_of(capsys, *start)  # watches until the end
    assert done["state"] == "done"
    assert done["done"] == 8

    (listed,) = json_of(capsys, "search", "list")
    assert listed["id"] == done["id"]
    assert main(["search", "list"]) == 0
    assert "8/8" in capsys.readouterr().out
    assert main(["search", "show", done["id"][:8]]) == 0
    assert "full depth: " in capsys.readouterr().out

    best = json_of(capsys, "search", "best", done["id"], "--out", str(tmp_path / "best.json"))
    policy = Policy.load(tmp_path / "best.json")
    assert policy.digest == best["digest"]
    assert policy.sites[0] == "transformer_blocks.0"
    assert len(policy.timesteps) == 4
    assert best["budget"] <= 0.6
    assert main(["search", "best", done["id"]]) == 0
    assert len(list((tmp_path / "library").glob("searched-*.json"))) == 1

    assert main(["search", "resume", done["id"]]) == 1
    assert "mddit: " in capsys.readouterr().err


def test_pause_resume_and_stop(start: list[str], capsys: pytest.CaptureFixture):
    search = json_of(capsys, *start, "--evaluations", "5000", "--detach")["id"]
    assert main(["search", "pause", search]) == 0
    wait_for(search, "paused", capsys)
    assert main(["search", "best", "0" * 32]) == 1
    assert main(["search", "resume", search]) == 0
    assert main(["search", "stop", search]) == 0
    wait_for(search, "stopped", capsys)
    assert json_of(capsys, "search", "show", search)["done"] < 5000


@pytest.mark.parametrize("verb", ["show", "watch", "pause", "resume", "stop", "best"])
def test_a_search_that_is_not_there_is_said(verb: str, capsys: pytest.CaptureFixture):
    assert main(["search", verb, "abc"]) == 1
    assert "search list" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"), [("--budget", "0"), ("--evaluations", "0"), ("--steps", "1"), ("--search-seed", "0")]
)
def test_bounds_hold_before_anything_starts(start: list[str], option: str, value: str, capsys: pytest.CaptureFixture):
    assert main([*start, option, value]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert json_of(capsys, "search", "list") == []


def wait_for(search: str, state: str, capsys: pytest.CaptureFixture) -> None:
    """Until the worker has done what was asked of it."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while (row := json_of(capsys, "search", "show", search))["state"] != state:
        assert time.monotonic() < end, row
        time.sleep(0.1)
