"""Follow a search from the terminal: a live bar until it no longer moves; Ctrl-C pauses it."""

import sys
import time
from argparse import Namespace
from typing import Any

from mddit_ui.cli.output import duration, emit, plain, progress, say, score_line
from mddit_ui.core.errors import SearchError
from mddit_ui.core.records import Score
from mddit_ui.store.search_rows import SearchRow

POLL_SECONDS = 0.5
MOVING = ("queued", "running")
BAR = "{n}/{total} |{bar:20}| {desc}"


def follow(search: str, args: Namespace) -> None:
    """Watch a search to its end, then report it.

    Ctrl-C pauses it after the evaluation that it is at, and waits for that; once more, and it is left to itself.

    Raises:
        SearchError: it failed.
    """
    print(f"Search {search[:12]} runs in a process of its own; Ctrl-C pauses it.", file=sys.stderr)
    try:
        row = _watch(search)
    except KeyboardInterrupt:
        _pause(search)
        raise
    if row.state == "failed":
        raise SearchError(f"Search {search[:12]} failed: {row.error}")
    report(row, args)


def report(row: SearchRow, args: Namespace) -> None:
    """How a search stands."""
    if args.json:
        emit(summary(row))
        return
    say(f"{row.id}: {row.state}, {tried(row)} policies at budget {budget_of(row)} of {plain(row.config.model)}")
    if row.error:
        say(plain(row.error))
    if row.reference:
        say(f"full depth: {score_line(row.reference)}")
    for name, score in row.baselines.items():
        say(f"{plain(name)} (budget {row.baseline_budgets[name]:.3f}): {score_line(score)}")
    if row.best:
        start = "" if row.best.generation else ", a starting policy"
        say(f"best (number {row.best.number}{start}, budget {row.best.budget:.3f}): {score_line(row.best.score)}")
        if fresh := _fresh(row):
            full = score_line(row.finalists["full"])
            say(f"on fresh pictures, which chose it: {score_line(fresh)}; full depth: {full}")
        say(f"use it: mddit generate --policy search:{row.id[:12]}")
    if row.state in ("paused", "stopped", "failed"):
        say(f"go on with it: mddit resume {row.id[:12]}")


def summary(row: SearchRow) -> dict[str, Any]:
    """The JSON value of a search."""
    best = row.best
    return {
        "id": row.id,
        "state": row.state,
        "model": row.config.model,
        "method": row.config.method,
        "closeness": row.config.closeness,
        "budget": row.config.budget,
        "least_budget": row.config.least_budget,
        "done": row.done,
        "evaluations": row.config.evaluations,
        "evaluations_per_minute": row.evaluations_per_minute,
        "seconds_left": row.seconds_left,
        "reference": row.reference.to_dict() if row.reference else None,
        "best": best
        and {
            "number": best.number,
            "generation": best.generation,
            "digest": best.digest,
            "budget": best.budget,
            "score": best.score.to_dict(),
            "fresh": fresh.to_dict() if (fresh := _fresh(row)) else None,
        },
    }


def _fresh(row: SearchRow) -> Score | None:
    """The score of the best on the pictures that chose it, once they have."""
    return row.finalists.get(str(row.best.number)) if row.best and row.state == "done" else None


def tried(row: SearchRow) -> str:
    return f"{row.done}/{row.config.evaluations}"


def budget_of(row: SearchRow) -> str:
    """As ``--budget`` takes it."""
    least = row.config.least_budget
    return f"{row.config.budget:g}" if least is None else f"{least:g}:{row.config.budget:g}"


def words(row: SearchRow) -> str:
    """What the bar says beside itself: best so far, its budget, how fast, how long still."""
    if row.reference is None:
        return "loading the model, making the pictures of full depth"
    if row.done == 0:
        return "scoring well-known schedules"
    if row.judging:
        return "scoring the best once more, on fresh pictures"
    parts = []
    if row.best is not None:
        parts.append(f"best {_short(row)} at budget {row.best.budget:.3f}")
    if row.evaluations_per_minute is not None:
        parts.append(f"{row.evaluations_per_minute:.3g} a minute")
    if row.seconds_left is not None:
        parts.append(f"{duration(row.seconds_left)} left")
    return ", ".join(parts)


def _short(row: SearchRow) -> str:
    score = row.best.score if row.best else None
    clip = f"CLIP {score.clip_score:.2f}" if score and score.clip_score is not None else ""
    psnr = f"PSNR {score.psnr:.1f}" if score and score.psnr is not None else ""
    return " ".join(part for part in (clip, psnr) if part) or "-"


def _watch(search: str) -> SearchRow:
    from mddit_ui.service import searches

    row = searches.view(search)
    with progress(row.config.evaluations, "policy", BAR) as bar:
        while True:
            bar.set_description_str(words(row), refresh=False)
            bar.n = row.done
            bar.refresh()
            if row.state not in MOVING:
                return row
            time.sleep(POLL_SECONDS)
            row = searches.view(search)


def _pause(search: str) -> None:
    from mddit_ui.service import searches

    searches.pause(search)
    print("Pausing after the evaluation that it is at; Ctrl-C again leaves it to itself.", file=sys.stderr)
    while (row := searches.view(search)).state in MOVING:
        time.sleep(POLL_SECONDS)
    print(f"{row.state.capitalize()} at {tried(row)}; go on with: mddit resume {search[:12]}", file=sys.stderr)
