"""What a row of a search, or of one of its evaluations, says."""

import json
import math
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mddit_ui.core.records import Score, SearchConfig
from mddit_ui.store.db import Database

State = Literal["queued", "running", "paused", "stopped", "done", "failed"]
Wanted = Literal["run", "pause", "stop"]
RATE_WINDOW = 20  # evaluations whose mean time gives the time left


@dataclass(frozen=True)
class EvaluationRow:
    """One evaluated policy. ``objective``: higher is better, NaN when the pictures were not finite."""

    number: int
    generation: int
    policy_rows: tuple[str, ...]
    digest: str
    budget: float
    score: Score
    objective: float
    seconds: float
    keep: list[list[float]] | None = None  # (steps, sites) share of the tokens that each cell runs on; none: all


@dataclass(frozen=True)
class SearchRow:
    """One search as it stands.

    Args:
        done: evaluations so far, of ``config.evaluations``.
        best: highest objective; once the search is done, what the fresh pictures chose among the finalists.
        reference: full depth, same prompts and seeds; ``baselines``: well-known schedules, likewise, by name.
        baseline_budgets: what those cost.
        finalists: number of an evaluation (or name of a baseline) -> its score on fresh pictures, "full" included;
            in the order of becoming known, or, once the search is done, the chosen one first.
        locked: one string a step, ``?`` for the free cells; ``None`` when all are free.
        worker_pid: the process that runs it, if any; ``heartbeat``: its last sign of life, seconds since 1970.
    """

    id: str
    created: float
    state: State
    wanted: Wanted
    config: SearchConfig
    error: str
    done: int
    generation: int
    best: EvaluationRow | None
    reference: Score | None
    baselines: dict[str, Score]
    baseline_budgets: dict[str, float]
    finalists: dict[str, Score]
    seconds_left: float | None
    evaluations_per_minute: float | None
    locked: tuple[str, ...] | None
    worker_pid: int | None
    worker_started: str
    heartbeat: float | None

    @property
    def judging(self) -> bool:
        """Whether fresh pictures are made, of the starts or of the finalists, and no evaluation."""
        begun = self.generation == 0 and bool(self.finalists)
        return self.state == "running" and (begun or self.done >= self.config.evaluations)


def search_row(db: Database, row: sqlite3.Row) -> SearchRow:
    """A row of ``searches``, with what its evaluations tell."""
    search = row["id"]
    config = SearchConfig.from_dict(json.loads(row["config"]))
    (count,) = db.rows(
        "SELECT count(*) AS done, coalesce(max(generation), 0) AS generation FROM evaluations WHERE search = ?",
        (search,),
    )
    finalists = {name: Score.from_dict(score) for name, score in json.loads(row["finalists"]).items()}
    baselines = json.loads(row["baselines"])
    seconds = _mean_seconds(db, search) if row["state"] == "running" else None
    return SearchRow(
        id=search,
        created=row["created"],
        state=row["state"],
        wanted=row["wanted"],
        config=config,
        error=row["error"],
        done=count["done"],
        generation=count["generation"],
        best=_best(db, search, finalists if row["state"] == "done" else {}),
        reference=Score.from_dict(json.loads(row["reference"])) if row["reference"] else None,
        baselines={name: Score.from_dict(each["score"]) for name, each in baselines.items()},
        baseline_budgets={name: each["budget"] for name, each in baselines.items()},
        finalists=finalists,
        seconds_left=None if seconds is None else seconds * max(config.evaluations - count["done"], 0),
        evaluations_per_minute=60 / seconds if seconds else None,
        locked=tuple(json.loads(row["locked"])) if row["locked"] else None,
        worker_pid=row["worker_pid"],
        worker_started=row["worker_started"] or "",
        heartbeat=row["heartbeat"],
    )


def _best(db: Database, search: str, finalists: Mapping[str, Any]) -> EvaluationRow | None:
    chosen = next((int(name) for name in finalists if name.isdigit()), None)
    rows = db.rows(
        "SELECT * FROM evaluations WHERE search = ? AND objective IS NOT NULL "
        "ORDER BY number = ? DESC, objective DESC, number LIMIT 1",
        (search, chosen),
    )
    return evaluation_row(rows[0]) if rows else None


def _mean_seconds(db: Database, search: str) -> float | None:
    (row,) = db.rows(
        "SELECT avg(seconds) AS mean FROM (SELECT seconds FROM evaluations WHERE search = ? "
        "ORDER BY number DESC LIMIT ?)",
        (search, RATE_WINDOW),
    )
    return row["mean"]


def evaluation_row(row: sqlite3.Row) -> EvaluationRow:
    """A row of ``evaluations``."""
    return EvaluationRow(
        number=row["number"],
        generation=row["generation"],
        policy_rows=tuple(row["policy_rows"].split("\n")),
        digest=row["digest"],
        budget=row["budget"],
        score=Score.from_dict(json.loads(row["score"])),
        objective=math.nan if row["objective"] is None else row["objective"],
        seconds=row["seconds"],
        keep=None if row["keep"] is None else json.loads(row["keep"]),
    )
