"""Ended at any moment, a search loses nothing that it acknowledged and goes on as if nothing had been."""

import json
import os
import subprocess
import sys

import pytest

from mddit_ui.core.paths import ROOT
from tests.search.test_loop import Log
from tests.service import kills
from tests.service.toy_worker import TOY


def ended(count, how, folder, seed=0):
    command = [sys.executable, "-m", "tests.service.kills", str(count), how, str(seed)]
    variables = {**os.environ, "MDDIT_DATA": str(folder)}
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=variables, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout.splitlines()[-1])


def undisturbed(evaluations):
    from mddit_ui.core.sensitivity import Sensitivity
    from mddit_ui.search.finals import Jury
    from mddit_ui.search.objective import Objective
    from mddit_ui.search.recipe import make_task

    config = kills.config(evaluations)
    with TOY.prepare(config, None) as prepared:
        sensitivity = Sensitivity.from_calibration(
            type(TOY.calibrate(config)).from_dict(TOY.calibrate(config).to_dict())
        )
        jury = Jury(prepared.fresh()[0], Objective.of(config), {}, lambda evaluation, score: None)
        log = Log().run(make_task(prepared.space, config, prepared.evaluate, sensitivity, judge=jury.starts))
    rows = sorted([each.number, each.policy.digest, each.objective.hex()] for each in log.evaluations)
    return rows, [list(each) for each in log.populations]


def check_kills(found, count):
    assert len(found["ends"]) == count
    assert [end["lost"] for end in found["ends"]] == [[]] * count
    assert {end["integrity"] for end in found["ends"]} == {"ok"}
    assert not any(end["held"] for end in found["ends"])
    rows, populations = undisturbed(12 * count)
    assert found["rows"] == rows[: len(found["rows"])]
    assert found["populations"] == populations[: len(found["populations"])]
    assert sum(end["told"] for end in found["ends"]) > count
    print(f"{count} ends, {len(found['rows'])} evaluations, at most {found['slowest']:.1f} s to go on")


def seeds(last):
    return [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, last))]


@pytest.mark.parametrize("seed", seeds(10))
def test_kill_9_at_any_moment(tmp_path, seed):
    """20 times; 200 times with the slow ones."""
    found = ended(20, "SIGKILL", tmp_path, seed)
    check_kills(found, 20)
    assert {end["exit"] for end in found["ends"]} == {-9}
    assert {end["state"] for end in found["ends"]} == {"running"}


@pytest.mark.parametrize("seed", seeds(10))
def test_sigterm_at_any_moment_is_a_pause(tmp_path, seed):
    """5 times; 50 times with the slow ones."""
    found = ended(5, "SIGTERM", tmp_path, seed)
    check_kills(found, 5)
    assert {end["exit"] for end in found["ends"]} == {0}
    assert {end["state"] for end in found["ends"]} == {"paused"}
