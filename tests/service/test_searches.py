"""Searches as people use them, with real worker processes on the toy model."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from mddit_ui.core.errors import ConfigError, SearchError, StoreError
from mddit_ui.core.paths import ROOT
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import SearchConfig
from mddit_ui.service import searches, shift, worker
from mddit_ui.service.processes import alive, started
from mddit_ui.store import searches as store
from mddit_ui.store.db import open_db
from tests.search.toy import ToyModel
from tests.service.toy_worker import COMMAND, TOY


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("MDDIT_DATA", str(tmp_path))
    yield tmp_path
    for row in searches.recent():
        if row.worker_pid and alive(row.worker_pid, row.worker_started):
            os.kill(row.worker_pid, signal.SIGKILL)
    open_db().close()


def config(seconds=0.0, **more):
    return SearchConfig(model=f"toy-{seconds}", prompts=("a",), evaluations=40, population=8, sigma=0.6, **more)


def wait(search, until, seconds=60):
    deadline = time.monotonic() + seconds
    while not until(row := searches.view(search)):
        assert time.monotonic() < deadline, f"still {row.state} with {row.done} evaluations: {row.error}"
        time.sleep(0.01)
    return row


def ended(row):
    return row.state not in ("queued", "running")


def trajectory(search):
    return [(each.number, each.generation, each.digest, each.objective.hex()) for each in searches.evaluations(search)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What a search does that nobody interrupts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MDDIT_DATA", str(tmp_path_factory.mktemp("undisturbed")))
        search = searches.start(config(), command=COMMAND)
        row = wait(search, ended)
        found = trajectory(search)
        open_db().close()
    return row, found


def test_a_search_runs_to_its_end(undisturbed):
    row, found = undisturbed
    assert (row.state, row.error, row.done, row.worker_pid) == ("done", "", 40, None)
    assert [each[0] for each in found] == list(range(1, 41))
    assert row.reference.latent_error == 0.0
    assert "every 2" in row.baselines
    assert row.baseline_budgets["every 2"] == pytest.approx(
        ToyModel().table.budget(Policy.full(20, 8).actions) / 2, 0.1
    )
    assert row.best.budget <= 0.5


def test_fresh_pictures_choose_among_the_finalists(undisturbed):
    row, found = undisturbed
    names = list(row.finalists)
    assert names[0] == str(row.best.number)
    assert names[-2:] == ["every 2", "full"]
    by_objective = sorted(found, key=lambda each: -float.fromhex(each[3]))
    starts = [each[0] for each in by_objective if each[1] == 0]
    assert {int(name) for name in names[:-2]} == {each[0] for each in by_objective[:4]} | set(starts[:4])


def test_what_is_done_around_the_evaluations():
    assert searches.work_around(8, 0.5) == 2 + 3 + 3 * (4 + 4 + 1 + 2)  # starts, best, schedule, full depth
    assert searches.work_around(48, 1.0) == 1 + 3 + (4 + 4 + 1 + 1)


def test_pause_and_resume_change_nothing(undisturbed):
    search = searches.start(config(0.02), command=COMMAND)
    for count in (3, 24):
        wait(search, lambda row, count=count: row.done >= count)
        searches.pause(search)
        row = wait(search, ended)
        assert (row.state, row.error, row.worker_pid) == ("paused", "", None)
        assert row.done < 40
        searches.resume(search, command=COMMAND)
    row = wait(search, ended)
    assert row.state == "done"
    assert trajectory(search) == undisturbed[1]
    assert row.finalists == undisturbed[0].finalists


def test_sigterm_is_a_pause(undisturbed):
    search = searches.start(config(0.02), command=COMMAND)
    row = wait(search, lambda row: row.done >= 5)
    os.kill(row.worker_pid, signal.SIGTERM)
    row = wait(search, ended)
    assert (row.state, row.error) == ("paused", "")
    assert trajectory(search) == undisturbed[1][: row.done]


def test_kill_9_loses_no_row_and_resumes_exactly(undisturbed):
    """Killed at random moments, again and again: every acknowledged row is there, none is torn."""
    moments = random.Random(0)
    search = searches.start(config(0.01), command=COMMAND)
    kills = 0
    while (row := searches.view(search)).state != "done" and kills < 6:
        seen = wait(search, lambda row, least=row.done: row.done > least or ended(row)).done
        time.sleep(moments.uniform(0, 0.05))
        row = searches.view(search)
        if row.worker_pid is None:
            break
        os.kill(row.worker_pid, signal.SIGKILL)
        kills += 1
        row = wait(search, ended)
        assert row.state == "paused"
        assert "press Resume" in row.error
        assert row.done >= seen
        found = trajectory(search)
        assert found == undisturbed[1][: len(found)]
        assert open_db().rows("PRAGMA integrity_check")[0][0] == "ok"
        searches.resume(search, command=COMMAND)
    row = wait(search, ended)
    assert kills >= 3
    assert (row.state, trajectory(search)) == ("done", undisturbed[1])
    print(f"{kills} kills")


def test_stop_is_the_end_until_it_is_resumed(undisturbed):
    search = searches.start(config(0.02), command=COMMAND)
    wait(search, lambda row: row.done >= 3)
    searches.stop(search)
    assert wait(search, ended).state == "stopped"
    searches.resume(search, command=COMMAND)
    wait(search, lambda row: row.done >= 5)
    searches.pause(search)
    wait(search, ended)
    searches.stop(search)
    assert searches.view(search).state == "stopped"
    assert trajectory(search) == undisturbed[1][: searches.view(search).done]


def test_what_was_locked_stays():
    rows = ["########"] + ["?######?"] * 2 + ["????.???"] * 17
    search = searches.start(config(), locked=rows, command=COMMAND)
    assert wait(search, ended).state == "done"
    for each in searches.evaluations(search):
        for row, locked in zip(each.policy_rows, rows, strict=True):
            assert all(want in ("?", got) for got, want in zip(row, locked, strict=True))


def test_it_outlives_the_process_that_started_it(data):
    """The app is killed; another one finds the search, watches it and can pause it."""
    app = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import time\n"
            "from mddit_ui.service import searches\n"
            "from tests.service.test_searches import COMMAND, config\n"
            "print(searches.start(config(0.05), command=COMMAND), flush=True)\n"
            "time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    with app.stdout:
        search = app.stdout.readline().strip()
    wait(search, lambda row: row.done >= 1)
    os.kill(app.pid, signal.SIGKILL)
    app.wait()
    seen = searches.view(search).done
    wait(search, lambda row: row.done > seen)
    searches.pause(search)
    assert wait(search, ended).state == "paused"


def test_a_worker_whose_folder_was_deleted_goes(tmp_path, monkeypatch):
    monkeypatch.setenv("MDDIT_DATA", str(tmp_path / "elsewhere"))
    search = searches.start(config(0.1), command=COMMAND)
    row = wait(search, lambda row: row.done >= 1)
    shutil.rmtree(tmp_path / "elsewhere")
    deadline = time.monotonic() + 60
    while alive(row.worker_pid, row.worker_started):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_never_two_workers_on_one_search():
    search = searches.start(config(0.15).replace(evaluations=4000), command=COMMAND)  # outlives their start
    wait(search, lambda row: row.done >= 1)
    holder = searches.view(search).worker_pid
    intruders = [subprocess.Popen([*COMMAND, search], cwd=ROOT, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [intruder.wait() for intruder in intruders] == [3, 3]
    searches.resume(search, command=COMMAND)  # of one that runs: nothing happens
    row = searches.view(search)
    assert (row.state, row.worker_pid) == ("running", holder)


def test_a_failure_is_told_in_one_line():
    search = searches.start(config().replace(model="broken"), command=COMMAND)
    row = wait(search, ended)
    assert (row.state, row.error) == ("failed", "RuntimeError: the toy is broken")
    impossible = searches.start(config(budget=0.05), locked=["########"] * 20, command=COMMAND)
    row = wait(impossible, ended)
    assert row.state == "failed"
    assert "budget 0.05 can't be met" in row.error


def test_a_command_that_does_not_start_is_no_queued_search_for_ever():
    search = searches.start(config(), command=(sys.executable, "-c", "raise SystemExit(1)"))
    row = wait(search, ended)
    assert row.state == "paused"
    assert "press Resume" in row.error


def test_what_is_done_stays_done(undisturbed):
    search = searches.start(config(), command=COMMAND)
    wait(search, ended)
    with pytest.raises(SearchError, match="start a new one"):
        searches.resume(search, command=COMMAND)
    searches.pause(search)
    searches.stop(search)
    assert searches.view(search).state == "done"


def test_only_so_many_at_once():
    running = [searches.start(config(0.05), command=COMMAND) for _ in range(searches.MOST_AT_ONCE)]
    with pytest.raises(SearchError, match="2 searches run already"):
        searches.start(config(), command=COMMAND)
    assert {row.id for row in searches.recent()} == set(running)


def test_a_search_that_is_not_there():
    for verb in (searches.view, searches.pause, searches.resume, searches.stop):
        with pytest.raises(StoreError, match="no search"):
            verb("nothing")


def test_a_foreign_lease_is_not_taken_while_its_holder_lives():
    search = store.create(open_db(), config())
    holder = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert store.claim(open_db(), search, holder.pid, started(holder.pid), alive=alive)
    assert not store.claim(open_db(), search, os.getpid(), started(os.getpid()), alive=alive)
    holder.kill()
    holder.wait()
    holder.stdin.close()
    assert store.claim(open_db(), search, os.getpid(), started(os.getpid()), alive=alive)
    store.release(open_db(), search, os.getpid(), "stopped")


def test_one_that_may_not_outlive_its_app_pauses_with_it(data):
    app = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from mddit_ui.service import searches\n"
            "from tests.service.test_searches import COMMAND, config\n"
            "c = config(0.05).replace(evaluations=4000)\n"
            "print(searches.start(c, outlive=False, command=COMMAND), flush=True)\n"
            "input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    with app.stdin, app.stdout:
        search = app.stdout.readline().strip()
        wait(search, lambda row: row.done >= 1)
        os.kill(app.pid, signal.SIGKILL)
        app.wait()
    row = wait(search, ended)
    assert row.state == "paused"
    assert "press Resume" in row.error
    assert row.done < 4000
    searches.resume(search, command=COMMAND)
    wait(search, lambda after: after.done > row.done)


def test_a_full_disk_is_waited_out(undisturbed, monkeypatch):
    """The search says so, keeps what it has, and goes on by itself."""
    free = iter([10**12] * 12 + [0] * 5)
    notes = []
    note = store.note

    def usage(path):
        return shutil._ntuple_diskusage(10**12, 0, next(free, 10**12))

    monkeypatch.setattr(shift.shutil, "disk_usage", usage)
    monkeypatch.setattr(shift, "ROOM_SECONDS", 0.01)
    monkeypatch.setattr(store, "note", lambda db, search, text: (notes.append(text), note(db, search, text)))
    search = store.create(open_db(), config())
    assert worker.run(search, TOY) == 0
    assert [text[:24] for text in notes] == ["The disk is nearly full;", ""]
    row = searches.view(search)
    assert (row.state, row.error, trajectory(search)) == ("done", "", undisturbed[1])


def test_an_evaluation_that_the_disk_had_no_room_for_is_kept_later(undisturbed, monkeypatch):
    """SQLite itself finds the disk full, in the middle of the search."""
    add, refused = store.add_evaluation, []

    def full_for_a_while(db, search, row):
        if row.number == 13 and not refused:
            refused.append(row.number)
            monkeypatch.setattr(shift, "LEAST_FREE_BYTES", 10**18)
            db.rows(f"PRAGMA max_page_count = {db.rows('PRAGMA page_count')[0][0]}")
            with pytest.raises(StoreError, match="full"):
                fill(db)
        add(db, search, row)

    def fill(db):
        for _ in range(1000):
            store.create(db, config())

    def make_room(db, search, text):
        db.rows("PRAGMA max_page_count = 100000")
        monkeypatch.setattr(shift, "LEAST_FREE_BYTES", 1)

    monkeypatch.setattr(shift, "ROOM_SECONDS", 0.01)
    monkeypatch.setattr(store, "add_evaluation", full_for_a_while)
    monkeypatch.setattr(store, "note", make_room)
    search = store.create(open_db(), config())
    assert worker.run(search, TOY) == 0
    assert refused == [13]
    assert trajectory(search) == undisturbed[1]


def test_on_a_full_disk_a_pause_is_heard(monkeypatch):
    monkeypatch.setattr(shift, "LEAST_FREE_BYTES", 10**18)
    monkeypatch.setattr(shift, "ROOM_SECONDS", 0.01)
    search = store.create(open_db(), config())
    note = store.note

    def press_pause(db, search_id, text):
        note(db, search_id, text)
        store.set_wanted(db, search_id, "pause")

    monkeypatch.setattr(store, "note", press_pause)
    assert worker.run(search, TOY) == 0
    row = searches.view(search)
    assert (row.state, row.done) == ("paused", 0)
    assert "make room" in row.error


@pytest.mark.parametrize("jump", [-86_400, 86_400])
def test_a_clock_that_jumps_ends_nothing(monkeypatch, jump):
    search = searches.start(config(0.05), command=COMMAND)
    wait(search, lambda row: row.done >= 1)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + jump)
    row = searches.view(search)
    assert row.state == "running"
    assert searches.recent()[0].seconds_left >= 0


def test_a_clone_is_another_search_with_other_settings():
    locked = ["########"] + ["????????"] * 19
    first = store.create(open_db(), config(), locked=tuple(locked))
    second = searches.clone(first, command=COMMAND, budget=0.4, evaluations=10)
    row = wait(second, ended)
    assert (row.state, row.done, row.config) == ("done", 10, config().replace(budget=0.4, evaluations=10))
    assert row.locked == tuple(locked)
    assert searches.view(first).done == 0
    with pytest.raises(ConfigError):
        searches.clone(first, command=COMMAND, budget=7.0)


def test_one_search_serves_many_budgets():
    search = store.create(open_db(), config(budget=0.5, least_budget=0.3).replace(evaluations=80))
    assert worker.run(search, TOY) == 0
    found = searches.evaluations(search)
    for budget in (0.3, 0.33, 0.4, 0.5):
        best = searches.policy_for(search, budget)
        affordable = [each.objective for each in found if each.budget <= budget]
        assert best.budget <= budget
        assert best.objective == max(affordable)
    assert searches.policy_for(search, 0.1) is None
    costs = [budget for budget, _, _ in searches.front(search).points]
    assert costs == sorted(costs)
    assert costs[0] <= 0.3
