"""Searches: started as a process of their own, watched through the store, paused, resumed, stopped."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mddit_ui.core.errors import SearchError
from mddit_ui.core.paths import ROOT, data_dir
from mddit_ui.core.records import SearchConfig
from mddit_ui.search.archive import Archive
from mddit_ui.search.finals import FINALISTS, FRESH_IMAGES
from mddit_ui.service import holdout
from mddit_ui.service.processes import PARENT, alive, started
from mddit_ui.store import searches as store
from mddit_ui.store.db import open_db
from mddit_ui.store.search_rows import EvaluationRow, SearchRow

COMMAND = (sys.executable, "-m", "mddit_ui.service.worker")
MOST_AT_ONCE = 2
SPAWN_SECONDS = 30  # how long a queued search may be without a process


def start(
    config: SearchConfig,
    *,
    locked: Sequence[str] | None = None,
    outlive: bool = True,
    command: Sequence[str] = COMMAND,
) -> str:
    """Begin a search in the background and return its id.

    Args:
        locked: one string a step, ``#`` ``=`` ``.`` for cells that stay, ``?`` for free ones.
        outlive: it goes on when this process ends; else it pauses then.

    Raises:
        SearchError: too many searches run already, or the prompts are those that it will be judged by.
    """
    holdout.refuse(config.prompts)
    _check_room()
    search = store.create(open_db(), config, locked=tuple(locked) if locked else None)
    _spawn(search, command, outlive=outlive)
    return search


def clone(search: str, *, command: Sequence[str] = COMMAND, **changes: Any) -> str:
    """Begin a search like another one, with some settings changed; returns its id.

    Raises:
        ConfigError: the settings don't fit; SearchError: too many searches run already.
    """
    row = view(search)
    return start(row.config.replace(**changes), locked=row.locked, command=command)


def pause(search: str) -> None:
    """End the process after the evaluation that it is at; nothing is lost."""
    store.set_wanted(open_db(), search, "pause")
    view(search)


def resume(search: str, *, command: Sequence[str] = COMMAND) -> None:
    """Go on exactly where the search was, as if it had never been interrupted.

    Raises:
        SearchError: it is finished, or too many searches run already.
    """
    row = view(search)
    if row.state == "done":
        raise SearchError("This search has made all its evaluations; start a new one with more of them.")
    if row.state in ("queued", "running"):
        store.set_wanted(open_db(), search, "run")
        return
    _check_room()
    if store.queue(open_db(), search, only_if=("paused", "stopped", "failed")):
        _spawn(search, command)


def stop(search: str) -> None:
    """End a search after the evaluation that it is at; what it found stays."""
    db = open_db()
    store.set_wanted(db, search, "stop")
    store.set_state(db, search, "stopped", only_if=("paused",))
    view(search)


def view(search: str) -> SearchRow:
    """A search as it stands; one whose process has died is shown as paused.

    Raises:
        StoreError: there is no such search.
    """
    return _checked(store.get(open_db(), search))


def recent(limit: int = 50) -> list[SearchRow]:
    """The newest searches first."""
    return [_checked(row) for row in store.recent(open_db(), limit)]


def evaluations(search: str, after: int = 0) -> list[EvaluationRow]:
    """What was evaluated since number ``after``."""
    return store.evaluations(open_db(), search, after)


def policy_for(search: str, budget: float) -> EvaluationRow | None:
    """The best evaluated policy that costs at most ``budget``; ``None`` when there is none."""
    return front(search).within(budget)


def front(search: str) -> Archive[EvaluationRow]:
    """What is best at each budget, out of all evaluations of a search."""
    return Archive.of((each.budget, each.objective, each) for each in evaluations(search))


def work_around(pictures: int, budget: float) -> float:
    """What a search does beside its evaluations, counted in evaluations."""
    full, schedules = 1 / budget, 3
    fresh = 2 * FINALISTS + 1 + full  # the best starts and the best of all, one of the schedules
    return full + schedules + fresh * max(FRESH_IMAGES / pictures, 1)


def _check_room() -> None:
    busy = sum(row.state in ("queued", "running") for row in recent())
    if busy >= MOST_AT_ONCE:
        raise SearchError(f"{busy} searches run already; pause or stop one of them first.")


def _checked(row: SearchRow) -> SearchRow:
    if row.state not in ("queued", "running") or _has_process(row):
        return row
    db = open_db()
    if row.wanted == "stop":
        store.set_state(db, row.id, "stopped", only_if=(row.state,))
    else:
        note = "" if row.wanted == "pause" else "The process of this search has ended; press Resume to go on."
        store.set_state(db, row.id, "paused", only_if=(row.state,), error=note)
    return store.get(db, row.id)


def _has_process(row: SearchRow) -> bool:
    if row.worker_pid is not None:
        return alive(row.worker_pid, row.worker_started)
    waited = time.time() - (row.heartbeat or 0)  # negative when the clock was put back
    return row.state == "queued" and 0 <= waited < SPAWN_SECONDS


def _spawn(search: str, command: Sequence[str], *, outlive: bool = True) -> None:
    """One BLAS thread for the optimiser, whose path depends on it; the processes of its pool have their own number."""
    environment = {**os.environ, "MDDIT_DATA": str(data_dir().resolve()), "OPENBLAS_NUM_THREADS": "1"}
    environment[PARENT] = "" if outlive else f"{os.getpid()} {started(os.getpid())}"
    log = _log_path(search)
    log.parent.mkdir(exist_ok=True)
    with open(log, "ab") as output:
        process = subprocess.Popen(  # noqa: S603
            [*command, search],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=ROOT,
            env=environment,
        )
    store.claim(open_db(), search, process.pid, started(process.pid), alive=alive)
    threading.Thread(target=process.wait, daemon=True).start()  # or the ended process would stay a zombie


def _log_path(search: str) -> Path:
    return data_dir() / "searches" / f"{search}.log"
