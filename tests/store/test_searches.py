"""Searches are read as they were written; one worker a search."""

import math
import time

import pytest

from mddit_ui.core.errors import StoreError
from mddit_ui.core.records import Score, SearchConfig
from mddit_ui.store import searches
from mddit_ui.store.search_rows import EvaluationRow

CONFIG = SearchConfig(model="tiny", prompts=("a red ring", "a blue ball"), image_seeds=(3, 4), evaluations=10)


def evaluation(number, objective=1.0, seconds=2.0):
    score = Score(clip_score=objective if math.isfinite(objective) else None, images=2)
    return EvaluationRow(number, number // 4, ("##", "=."), f"{number:016x}", 0.5, score, objective, seconds)


def test_a_new_search_is_queued(db):
    search = searches.create(db, CONFIG, locked=("#?", "??"))
    row = searches.get(db, search)
    assert (row.state, row.wanted, row.config, row.locked) == ("queued", "run", CONFIG, ("#?", "??"))
    assert (row.done, row.best, row.reference, row.baselines, row.seconds_left) == (0, None, None, {}, None)


def test_an_unknown_search_is_an_error(db):
    with pytest.raises(StoreError, match="no search 'x'"):
        searches.get(db, "x")


def test_evaluations_come_back_exactly(db):
    search = searches.create(db, CONFIG)
    rows = [evaluation(1, 0.1 + 0.2), evaluation(2, math.nextafter(1e-300, 1)), evaluation(3, -math.pi)]
    for row in rows:
        searches.add_evaluation(db, search, row)
    assert searches.evaluations(db, search) == rows
    assert searches.evaluations(db, search, after=2) == rows[2:]
    assert searches.get(db, search).best == rows[0]


def test_a_value_that_is_not_finite_is_kept_and_never_best(db):
    search = searches.create(db, CONFIG)
    searches.add_evaluation(db, search, evaluation(1, math.nan))
    assert math.isnan(searches.evaluations(db, search)[0].objective)
    assert searches.get(db, search).best is None


def test_the_same_evaluation_twice_is_one_row_and_another_under_its_number_an_error(db):
    search = searches.create(db, CONFIG)
    searches.add_evaluation(db, search, evaluation(1))
    searches.add_evaluation(db, search, evaluation(1))
    assert len(searches.evaluations(db, search)) == 1
    other = EvaluationRow(1, 0, ("##",), "f" * 16, 0.5, Score(), 2.0, 1.0)
    with pytest.raises(StoreError):
        searches.add_evaluation(db, search, other)


def test_progress_is_told_while_it_runs(db):
    search = searches.create(db, CONFIG)
    for number in (1, 2, 3, 4):
        searches.add_evaluation(db, search, evaluation(number, seconds=3.0))
    assert searches.get(db, search).seconds_left is None
    searches.set_state(db, search, "running", only_if=("queued",))
    row = searches.get(db, search)
    assert (row.done, row.generation, row.seconds_left, row.evaluations_per_minute) == (4, 1, 18.0, 20.0)


def test_reference_baselines_and_finalists(db):
    search = searches.create(db, CONFIG)
    for number in (1, 2):
        searches.add_evaluation(db, search, evaluation(number, objective=number))
    full, half = Score(clip_score=3.0, images=2), Score(clip_score=2.0, psnr=20.0, images=2)
    searches.set_reference(db, search, full, {"every 2": (0.51, half)})
    searches.set_finalists(db, search, {"1": half, "2": half, "full": full})
    row = searches.get(db, search)
    assert row.reference == full
    assert row.baselines == {"every 2": half}
    assert row.baseline_budgets == {"every 2": 0.51}
    assert row.best.number == 2
    searches.set_state(db, search, "done", only_if=("queued",))
    assert searches.get(db, search).best.number == 1  # what fresh pictures chose, not the highest objective


def test_when_fresh_pictures_judge(db):
    search = searches.create(db, CONFIG)
    score = Score(clip_score=2.0, images=2)
    searches.set_state(db, search, "running", only_if=("queued",))
    searches.add_evaluation(db, search, evaluation(3))  # of generation 0
    assert not searches.get(db, search).judging
    searches.set_finalists(db, search, {"full": score})
    assert searches.get(db, search).judging
    searches.add_evaluation(db, search, evaluation(4))
    assert not searches.get(db, search).judging
    for number in {*range(1, CONFIG.evaluations + 1)} - {3, 4}:
        searches.add_evaluation(db, search, evaluation(number))
    assert searches.get(db, search).judging
    searches.set_state(db, search, "paused", only_if=("running",))
    assert not searches.get(db, search).judging


def test_the_newest_search_first(db):
    made = [searches.create(db, CONFIG) for _ in range(3)]
    assert [row.id for row in searches.recent(db, 2)] == made[:0:-1]


def test_one_worker_a_search(db):
    search = searches.create(db, CONFIG)
    assert searches.claim(db, search, 10, "a", alive=lambda pid, started: True)
    assert searches.claim(db, search, 10, "a", alive=lambda pid, started: True)
    assert not searches.claim(db, search, 11, "b", alive=lambda pid, started: True)
    assert not searches.claim(db, search, 10, "later", alive=lambda pid, started: True)
    assert searches.claim(db, search, 11, "b", alive=lambda pid, started: False)
    with pytest.raises(StoreError, match="took it over"):
        searches.beat(db, search, 10)
    searches.release(db, search, 10, "failed")
    assert searches.get(db, search).worker_pid == 11
    searches.release(db, search, 11, "paused")
    assert (searches.get(db, search).worker_pid, searches.get(db, search).state) == (None, "paused")


def test_the_worker_hears_what_is_wanted(db):
    search = searches.create(db, CONFIG)
    searches.claim(db, search, 10, "a", alive=lambda pid, started: True)
    assert searches.beat(db, search, 10) == "run"
    searches.set_wanted(db, search, "pause")
    assert searches.beat(db, search, 10) == "pause"
    searches.delete(db, search)
    with pytest.raises(StoreError, match="deleted"):
        searches.beat(db, search, 10)


def test_a_generation_that_differs_after_resume_is_refused(db):
    search = searches.create(db, CONFIG)
    searches.end_generation(db, search, 1, "abc")
    searches.end_generation(db, search, 1, "abc")
    with pytest.raises(StoreError, match="Generation 1 differs"):
        searches.end_generation(db, search, 1, "abd")


@pytest.mark.parametrize("jump", [-86_400, 86_400])
def test_a_clock_that_jumps_takes_no_lease(db, monkeypatch, jump):
    search = searches.create(db, CONFIG)
    assert searches.claim(db, search, 10, "a", alive=lambda pid, started: True)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + jump)
    assert not searches.claim(db, search, 11, "b", alive=lambda pid, started: True)
    assert searches.beat(db, search, 10) == "run"
    row = searches.get(db, search)
    assert row.seconds_left is None or row.seconds_left >= 0


def test_a_note_is_shown_and_a_full_disk_swallows_it(db):
    search = searches.create(db, CONFIG)
    searches.note(db, search, "The disk is nearly full.")
    assert searches.get(db, search).error == "The disk is nearly full."
    db.rows("PRAGMA query_only = ON")
    searches.note(db, search, "not kept")
    db.rows("PRAGMA query_only = OFF")
    assert searches.get(db, search).error == "The disk is nearly full."
    assert searches.wanted(db, search) == "run"
    searches.delete(db, search)
    with pytest.raises(StoreError, match="no search"):
        searches.wanted(db, search)
