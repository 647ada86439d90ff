"""The real worker, on a real pipeline with random weights."""

import os
import signal
import subprocess
import sys
import time

import pytest

from mddit_ui.core.paths import ROOT
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import SearchConfig
from mddit_ui.service import catalog, searches
from mddit_ui.service.processes import alive
from mddit_ui.service.worker import MODEL, run
from mddit_ui.store import searches as store
from mddit_ui.store.db import open_db
from tests.tiny import PROMPTS


@pytest.fixture(autouse=True)
def no_worker_is_left():
    yield
    for row in searches.recent():
        if row.worker_pid and alive(row.worker_pid, row.worker_started):
            os.kill(row.worker_pid, signal.SIGKILL)
    open_db().close()


def config(model, **more):
    return SearchConfig(
        model=model, prompts=PROMPTS, image_seeds=(3, 4), steps=6, budget=0.6, evaluations=12, population=4, **more
    )


def wait(search, until, seconds=180):
    deadline = time.monotonic() + seconds
    while not until(row := searches.view(search)):
        assert time.monotonic() < deadline, f"still {row.state} with {row.done} evaluations: {row.error}"
        time.sleep(0.02)
    return row


def ended(row):
    return row.state not in ("queued", "running")


def test_pause_resume_and_the_end(tiny_pixart):
    search = searches.start(config(tiny_pixart))
    row = wait(search, lambda row: row.done >= 2)
    assert row.evaluations_per_minute > 0
    assert row.seconds_left > 0
    searches.pause(search)
    row = wait(search, ended)
    assert row.state == "paused"
    before = searches.evaluations(search)
    searches.resume(search)
    row = wait(search, ended)
    assert (row.state, row.error, row.done) == ("done", "", 12)
    assert searches.evaluations(search)[: len(before)] == before

    assert row.reference.latent_error == 0.0
    assert row.reference.clip_backbone == row.best.score.clip_backbone == "tiny-clip"
    assert "every 2" in row.baselines
    assert row.finalists["every 2"].psnr != row.baselines["every 2"].psnr  # the seeds are really other ones

    table = catalog.describe(tiny_pixart, 6).mac_table
    for each in searches.evaluations(search):
        policy = Policy.from_rows(each.policy_rows)
        assert each.budget == table.budget(policy.actions) <= 0.6
        assert each.score.images == 2
        assert each.score.psnr > 0


@pytest.mark.slow
def test_a_search_of_a_model_that_draws_classes(tiny_dit):
    asked = config(tiny_dit).replace(prompts=("1", "7"), evaluations=4)
    search = store.create(open_db(), asked)
    assert run(search, MODEL) == 0
    row = searches.view(search)
    assert (row.state, row.done) == ("done", 4)
    assert row.best.score.psnr > 0
    assert row.best.score.clip_score is None  # this one's classes have no captions


@pytest.mark.parametrize(
    ("model", "told"), [("tiny-dit", "draws classes"), ("no-such-model", "no-such-model"), ("a/b/c", "a/b/c")]
)
def test_a_model_that_does_not_fit_is_told_in_one_line(tiny_models, model, told):
    search = store.create(open_db(), config(model))
    assert run(search, MODEL) == 1
    row = searches.view(search)
    assert row.state == "failed"
    assert told in row.error
    assert "\n" not in row.error


def test_the_signal_handler_of_the_caller_is_put_back(tiny_models):
    before = signal.getsignal(signal.SIGTERM)
    run(store.create(open_db(), config("no-such-model")), MODEL)
    assert signal.getsignal(signal.SIGTERM) is before


def test_usage():
    ran = subprocess.run(
        [sys.executable, "-m", "mddit_ui.service.worker"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert ran.returncode == 2
    assert ran.stderr.startswith("Usage:")
