"""Searches: what was asked for, how far it is, and every policy that was evaluated."""

import json
import math
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress

from mddit_ui.core.calibration import Calibration
from mddit_ui.core.errors import StoreError
from mddit_ui.core.records import Score, SearchConfig
from mddit_ui.store.db import Database
from mddit_ui.store.search_rows import EvaluationRow, SearchRow, State, Wanted, evaluation_row, search_row


def create(db: Database, config: SearchConfig, *, locked: tuple[str, ...] | None = None) -> str:
    """A new search, queued; returns its id."""
    search, now = uuid.uuid4().hex, time.time()
    with db.write() as connection:
        connection.execute(
            "INSERT INTO searches (id, created, heartbeat, state, wanted, config, locked) "
            "VALUES (?, ?, ?, 'queued', 'run', ?, ?)",
            (search, now, now, json.dumps(config.to_dict()), json.dumps(locked) if locked else None),
        )
    return search


def get(db: Database, search: str) -> SearchRow:
    """Raises StoreError when there is no such search."""
    rows = db.rows("SELECT * FROM searches WHERE id = ?", (search,))
    if not rows:
        raise StoreError(f"There is no search {search!r}.")
    return search_row(db, rows[0])


def recent(db: Database, limit: int = 50) -> list[SearchRow]:
    """The newest first."""
    rows = db.rows("SELECT * FROM searches ORDER BY created DESC, id LIMIT ?", (limit,))
    return [search_row(db, row) for row in rows]


def evaluations(db: Database, search: str, after: int = 0) -> list[EvaluationRow]:
    """The evaluations with a number above ``after``, in order: a poll asks only for what it has not seen."""
    rows = db.rows("SELECT * FROM evaluations WHERE search = ? AND number > ? ORDER BY number", (search, after))
    return [evaluation_row(row) for row in rows]


def delete(db: Database, search: str) -> None:
    """Forget a search and its evaluations."""
    with db.write() as connection:
        connection.execute("DELETE FROM searches WHERE id = ?", (search,))


def claim(db: Database, search: str, pid: int, started: str, *, alive: Callable[[int, str], bool]) -> bool:
    """Make process ``pid`` the one worker of a search; False when another living process is.

    ``started`` tells two processes with one pid apart. Reading and writing the lease is one transaction.
    """
    with db.write() as connection:
        row = connection.execute("SELECT worker_pid, worker_started FROM searches WHERE id = ?", (search,)).fetchone()
        if row is None:
            raise StoreError(f"There is no search {search!r}.")
        holder = (row["worker_pid"], row["worker_started"])
        if holder[0] is not None and holder != (pid, started) and alive(*holder):
            return False
        connection.execute(
            "UPDATE searches SET worker_pid = ?, worker_started = ?, heartbeat = ? WHERE id = ?",
            (pid, started, time.time(), search),
        )
    return True


def release(db: Database, search: str, pid: int, state: State, error: str = "") -> None:
    """The worker ``pid`` ends and leaves the search in ``state``; nothing happens if the search is another's."""
    with db.write() as connection:
        connection.execute(
            "UPDATE searches SET state = ?, error = ?, worker_pid = NULL, worker_started = NULL "
            "WHERE id = ? AND worker_pid = ?",
            (state, error, search, pid),
        )


def set_state(db: Database, search: str, state: State, *, only_if: tuple[State, ...], error: str = "") -> bool:
    """Change the state if it is one of ``only_if``; says whether it did."""
    with db.write() as connection:
        done = connection.execute(
            "UPDATE searches SET state = ?, error = ? WHERE id = ? AND state IN (SELECT value FROM json_each(?))",
            (state, error, search, json.dumps(only_if)),
        )
    return done.rowcount > 0


def queue(db: Database, search: str, *, only_if: tuple[State, ...]) -> bool:
    """Put an ended search back among those that want a worker; False when its state is not one of ``only_if``."""
    with db.write() as connection:
        done = connection.execute(
            "UPDATE searches SET state = 'queued', wanted = 'run', error = '', heartbeat = ?, worker_pid = NULL, "
            "worker_started = NULL WHERE id = ? AND state IN (SELECT value FROM json_each(?))",
            (time.time(), search, json.dumps(only_if)),
        )
    return done.rowcount > 0


def set_wanted(db: Database, search: str, wanted: Wanted) -> None:
    """What the person wants; the worker looks between two evaluations."""
    with db.write() as connection:
        connection.execute("UPDATE searches SET wanted = ? WHERE id = ?", (wanted, search))


def wanted(db: Database, search: str) -> Wanted:
    """What the person wants, asked when nothing can be written. Raises StoreError when the search was deleted."""
    rows = db.rows("SELECT wanted FROM searches WHERE id = ?", (search,))
    if not rows:
        raise StoreError(f"There is no search {search!r}.")
    return rows[0]["wanted"]


def note(db: Database, search: str, text: str) -> None:
    """One line for people about a search that goes on; left out where the disk has no room for it."""
    with suppress(StoreError), db.write() as connection:
        connection.execute("UPDATE searches SET error = ? WHERE id = ?", (text, search))


def beat(db: Database, search: str, pid: int) -> Wanted:
    """A sign of life of worker ``pid``; returns what the person wants.

    Raises:
        StoreError: the search was deleted, or another worker has it.
    """
    with db.write() as connection:
        row = connection.execute("SELECT wanted, worker_pid FROM searches WHERE id = ?", (search,)).fetchone()
        if row is None or row["worker_pid"] != pid:
            raise StoreError("The search was deleted, or another process took it over.")
        connection.execute("UPDATE searches SET heartbeat = ? WHERE id = ?", (time.time(), search))
    return row["wanted"]


def add_evaluation(db: Database, search: str, row: EvaluationRow) -> None:
    """Keep one evaluation; it is in the file when this returns. Writing the same one again changes nothing."""
    with db.write() as connection:
        connection.execute(
            "INSERT INTO evaluations (search, number, generation, digest, policy_rows, budget, score, objective, "
            "seconds, keep) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (search, digest) DO NOTHING",
            (
                search,
                row.number,
                row.generation,
                row.digest,
                "\n".join(row.policy_rows),
                row.budget,
                json.dumps(row.score.to_dict()),
                None if math.isnan(row.objective) else row.objective,
                row.seconds,
                None if row.keep is None else json.dumps(row.keep),
            ),
        )


def end_generation(db: Database, search: str, generation: int, population: str) -> None:
    """Close a generation: the hash of what the optimiser asked for, and how many evaluations there were by then.

    Raises:
        StoreError: a resumed search asked for another population than the first time.
    """
    with db.write() as connection:
        known = connection.execute(
            "SELECT population FROM generations WHERE search = ? AND generation = ?", (search, generation)
        ).fetchone()
        if known is None:
            count = connection.execute("SELECT count(*) FROM evaluations WHERE search = ?", (search,)).fetchone()[0]
            connection.execute("INSERT INTO generations VALUES (?, ?, ?, ?)", (search, generation, population, count))
        elif known["population"] != population:
            raise StoreError(
                f"Generation {generation} differs from the recorded one: the version of numpy, cma or this program, "
                "or the calibration, has changed. Start a new search; the old evaluations stay."
            )


def set_reference(
    db: Database, search: str, reference: Score, baselines: Mapping[str, tuple[float, Score]] | None = None
) -> None:
    """Full depth and the well-known schedules (name -> budget and score) on the prompts of the search."""
    content = {
        name: {"budget": budget, "score": score.to_dict()} for name, (budget, score) in (baselines or {}).items()
    }
    with db.write() as connection:
        connection.execute(
            "UPDATE searches SET reference = ?, baselines = ? WHERE id = ?",
            (json.dumps(reference.to_dict()), json.dumps(content), search),
        )


def keep_calibration(db: Database, search: str, calibration: Calibration | None) -> Calibration | None:
    """The calibration that the search started with: the given one the first time, the recorded one ever after.

    It comes back as it was written (six decimals), also the first time: a resumed search starts from the same numbers.
    """
    with db.write() as connection:
        connection.execute(
            "UPDATE searches SET calibration = ? WHERE id = ? AND calibration IS NULL",
            (json.dumps(calibration.to_dict() if calibration else None), search),
        )
    content = json.loads(db.rows("SELECT calibration FROM searches WHERE id = ?", (search,))[0]["calibration"])
    return Calibration.from_dict(content) if content else None


def set_finalists(db: Database, search: str, finalists: Mapping[str, Score]) -> None:
    """Scores on fresh pictures; once the search is done, the best evaluation stands first."""
    content = {name: score.to_dict() for name, score in finalists.items()}
    with db.write() as connection:
        connection.execute("UPDATE searches SET finalists = ? WHERE id = ?", (json.dumps(content), search))
