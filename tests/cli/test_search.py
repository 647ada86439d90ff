"""``mddit search`` and its kin, with a real worker process on a tiny model."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mddit_ui.cli.main import main
from mddit_ui.cli.output import duration
from mddit_ui.core.policy import Policy

TIMEOUT_SECONDS = 300  # a busy machine is slow


@pytest.fixture
def start(tiny_pixart: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The arguments of a small search."""
    monkeypatch.setenv("MDDIT_POLICIES", str(tmp_path / "library"))
    monkeypatch.setenv("MDDIT_PROCESSES", "1")  # starts sooner; tests/service/test_worker.py has several
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps(["a large red ball on the left", "a small blue ring at the top"]))
    size = ["--steps", "4", "--evaluations", "8", "--population", "4", "--budget", "0.6"]
    return ["search", "--model", tiny_pixart, "--prompts", str(prompts), "--images", "2", *size]


def json_of(capsys: pytest.CaptureFixture, *argv: str) -> dict:
    capsys.readouterr()
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_from_start_to_the_best_policy(start: list[str], tmp_path: Path, capsys: pytest.CaptureFixture):
    mine = tmp_path / "mine.json"
    Policy.from_rows(["####", "....", "====", "....", "....", "#==#", "....", "===="]).save(mine)
    done = json_of(capsys, *start, "--start", str(mine))  # watches until the end
    assert done["state"] == "done"
    assert done["done"] == 8

    (listed,) = json_of(capsys, "searches")
    assert listed["id"] == done["id"]
    assert main(["searches"]) == 0
    assert "8/8" in capsys.readouterr().out
    assert main(["searches", done["id"][:8]]) == 0
    assert "full depth: " in capsys.readouterr().out

    first = json_of(capsys, "policies", "show", f"search:{done['id']}:1")
    assert first["policy"]["rows"] == ["####", "====", "#==#", "===="]  # of 8 steps those that are nearest to the 4

    found = json_of(capsys, "policies", "--from-search", done["id"][:8])
    budgets = [each["budget"] for each in found]
    assert budgets == sorted(budgets)
    assert done["best"]["digest"] in {each["digest"] for each in found}
    assert main(["policies", "--from-search", done["id"]]) == 0
    assert "the search's best" in capsys.readouterr().out

    for name in ("@", "@0.01", "@much", ":", ":0", ":99", ":-1", ":x", "@0.5:1"):
        assert main(["policies", "show", f"search:{done['id']}{name}"]) == 1
        assert "mddit policies --from-search" in capsys.readouterr().err
    within = json_of(capsys, "policies", "show", f"search:{done['id'][:9]}@{budgets[0] + 1e-9}")
    assert within["digest"] == found[0]["digest"]

    file = tmp_path / "best.json"
    assert main(["export", f"search:{done['id']}", "-o", str(file)]) == 0
    policy = Policy.load(file)
    assert policy.digest == done["best"]["digest"]
    assert policy.sites[0] == "transformer_blocks.0"
    assert len(policy.timesteps) == 4
    assert found[-1]["id"].startswith(f"search:{done['id'][:12]}:")
    saved = json_of(capsys, "import", found[-1]["id"], "--name", "mine")
    assert saved["digest"] == found[-1]["digest"]
    assert [each["id"] for each in json_of(capsys, "policies")] == [saved["saved"]]

    assert main(["resume", done["id"]]) == 1
    assert "mddit: " in capsys.readouterr().err


def test_pause_resume_and_stop(start: list[str], capsys: pytest.CaptureFixture):
    search = json_of(capsys, *start, "--evaluations", "5000", "--detach")["id"]
    assert main(["pause", search]) == 0
    wait_for(search, "paused", capsys)
    assert main(["policies", "show", f"search:{search}"]) in (0, 1)  # whether it has tried one by now or not
    assert main(["resume", search, "--detach"]) == 0
    assert main(["stop", search]) == 0
    wait_for(search, "stopped", capsys)
    assert json_of(capsys, "searches", search)["done"] < 5000

    changes = ["--budget", "0.4:0.9", "--evaluations", "4000", "--method", "random", "--search-seed", "7"]
    changes += ["--closeness", "0"]
    other = json_of(capsys, "clone", search, *changes, "--detach")
    assert main(["stop", other["id"]]) == 0
    assert other["id"] != search
    assert (other["least_budget"], other["budget"], other["evaluations"]) == (0.4, 0.9, 4000)
    assert (other["method"], other["closeness"]) == ("random", 0.0)
    assert main(["clone", search, "--budget", "1.5"]) == 1
    assert "budget" in capsys.readouterr().err


@pytest.mark.slow
def test_control_c_pauses_the_watched_search(start: list[str], tmp_path: Path, capsys: pytest.CaptureFixture):
    """As in a terminal: SIGINT to the command alone; the search is in a session of its own.

    A background job of a shell has SIGINT ignored, and so has what it starts: the handler is put back first.
    """
    argv = [*start, "--evaluations", "5000"]
    code = (
        "import signal, sys; from mddit_ui.__main__ import main; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(main())"
    )
    command = [sys.executable, "-c", code, *argv]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        try:
            assert watching.stderr is not None
            assert "Ctrl-C pauses it" in watching.stderr.readline()
            (row,) = json_of(capsys, "searches")
            wait_for(row["id"], "running", capsys)
            watching.send_signal(signal.SIGINT)
            out, err = watching.communicate(timeout=TIMEOUT_SECONDS)
        finally:
            watching.kill()
    assert watching.returncode == 130
    assert out == ""
    assert f"go on with: mddit resume {row['id'][:12]}" in err
    paused = json_of(capsys, "searches", row["id"])
    assert paused["state"] == "paused"
    assert paused["done"] < 5000
    assert main(["stop", row["id"]]) == 0


@pytest.mark.parametrize(
    "argv", [["searches"], ["pause"], ["resume"], ["stop"], ["policies", "--from-search"], ["policies", "show"]]
)
def test_a_search_that_is_not_there_is_said(argv: list[str], capsys: pytest.CaptureFixture):
    name = "search:abc" if argv[-1] == "show" else "abc"
    assert main([*argv, name]) == 1
    assert "mddit searches" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"), [("--budget", "0"), ("--evaluations", "0"), ("--steps", "1"), ("--search-seed", "0")]
)
def test_bounds_hold_before_anything_starts(start: list[str], option: str, value: str, capsys: pytest.CaptureFixture):
    assert main([*start, option, value]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert json_of(capsys, "searches") == []


def test_a_start_that_does_not_fit_is_said(start: list[str], tmp_path: Path, capsys: pytest.CaptureFixture):
    file = tmp_path / "wide.json"
    Policy.full(4, 9, name="wide").save(file)
    assert main([*start, "--start", str(file)]) == 1
    assert "'wide' has 9 blocks; tiny-pixart has 4" in capsys.readouterr().err
    assert json_of(capsys, "searches") == []


@pytest.mark.slow
def test_a_range_of_budgets(start: list[str], capsys: pytest.CaptureFixture):
    done = json_of(capsys, *start, "--budget", "0.5:0.9", "--method", "random")
    assert (done["least_budget"], done["budget"], done["method"]) == (0.5, 0.9, "random")
    assert main(["searches"]) == 0
    assert "0.5:0.9" in capsys.readouterr().out
    assert main([*start, "--budget", "0.9:0.5"]) == 1
    assert "goes up" in capsys.readouterr().err
    with pytest.raises(SystemExit) as refused:
        main([*start, "--budget", "half"])
    assert refused.value.code == 2


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (75, "1:15"), (3700, "1:01:40"), (-3, "0:00")])
def test_durations(seconds: float, text: str):
    assert duration(seconds) == text


def wait_for(search: str, state: str, capsys: pytest.CaptureFixture) -> None:
    """Until the worker has done what was asked of it."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while (row := json_of(capsys, "searches", search))["state"] != state:
        assert time.monotonic() < end, row
        time.sleep(0.1)
