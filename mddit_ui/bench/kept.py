"""Searches whose evaluations are kept in a file: what is there is not made again."""

import json
import lzma
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mddit_ui.core.errors import SearchError
from mddit_ui.core.paths import atomic_write
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import Score
from mddit_ui.search.finals import Jury
from mddit_ui.search.loop import Evaluation, Evaluator, Task, search
from mddit_ui.search.racing import Race
from mddit_ui.search.space import Space


def kept_search(path: Path, space: Space, task: Task) -> tuple[list[Evaluation], str]:
    """(evaluations of a search in their order, why it ended); they are read from a file as far as they are there.

    A task whose ``evaluate`` gives nothing back goes no further than its file.

    Raises:
        SearchError: the file is of another search: this one asks, early on, for what the file doesn't have.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    known = read(path, space)
    last = max((each.generation for each in known), default=0)
    another = SearchError(f"{path} was made by another version of the search; move it away to make a new one.")
    ended = [0]

    def keep(evaluation: Evaluation) -> None:
        if evaluation.generation < last:
            raise another
        known.append(evaluation)
        _append(path, _content(evaluation))

    reason = search(
        task, known=tuple(known), on_evaluation=keep, on_generation=lambda number, population: ended.append(number)
    )
    if ended[-1] < last - 1:
        raise another
    return sorted(known, key=lambda each: each.number)[: task.evaluations], reason


def read(path: Path, space: Space) -> list[Evaluation]:
    """The evaluations of a file, each once, should two processes have written it."""
    return list({content["number"]: _evaluation(content, space) for content in _lines(path)}.values())


def known_first(known: Mapping[Policy, Score], evaluate: Evaluator) -> Evaluator:
    """``evaluate``, which is asked only for what is not known; in a race, where policies leave, for all."""

    def first(policies: Iterable[Policy], race: Race | None = None) -> Iterator[tuple[Policy, Score]]:
        if race:
            yield from evaluate(policies, race)
            return
        missing = []
        for policy in policies:
            if policy in known:
                yield policy, known[policy]
            else:
                missing.append(policy)
        yield from evaluate(missing)

    return first


def kept_jury(
    path: Path,
    evaluate: Callable[[Iterable[Policy]], Iterator[tuple[Policy, Score]]],
    objective: Callable[[Score], float],
) -> Jury:
    """Who chooses as in the app; its scores are read from a file as far as they are there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {content["digest"]: Score.from_dict(content["score"]) for content in _lines(path)}

    def keep(evaluation: Evaluation, score: Score) -> None:
        _append(path, {"digest": evaluation.policy.digest, "score": score.to_dict()})

    return Jury(evaluate, objective, known, keep)


def pack(folder: Path, archive: Path) -> None:
    """Put what a folder keeps into an archive that is small enough to be published."""
    for path in folder.glob("*.jsonl"):
        atomic_write(archive / f"{path.name}.xz", lzma.compress(path.read_bytes()))


def unpack(archive: Path, folder: Path) -> None:
    """Take from an archive what the folder doesn't have."""
    for path in archive.glob("*.jsonl.xz"):
        if not (kept := folder / path.stem).exists():
            atomic_write(kept, lzma.decompress(path.read_bytes()))


def _content(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "number": evaluation.number,
        "generation": evaluation.generation,
        "name": evaluation.policy.name,
        "rows": evaluation.policy.rows,
        "score": evaluation.score.to_dict(),
        "objective": None if math.isnan(evaluation.objective) else evaluation.objective,
        "seconds": evaluation.seconds,
    }


def _evaluation(content: dict[str, Any], space: Space) -> Evaluation:
    policy = Policy.from_rows(
        content["rows"],
        sites=space.table.sites,
        timesteps=space.timesteps,
        model=space.model,
        name=content["name"],
    )
    objective = math.nan if content["objective"] is None else content["objective"]
    found = Score.from_dict(content["score"])
    return Evaluation(content["number"], content["generation"], policy, found, objective, content["seconds"])


def _append(path: Path, content: dict[str, Any]) -> None:
    """One more record, after the last whole one."""
    if path.exists() and not (kept := path.read_bytes()).endswith(b"\n"):
        os.truncate(path, kept.rfind(b"\n") + 1)
    with open(path, "a") as file:
        file.write(json.dumps(content, allow_nan=False) + "\n")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a file; a last line that was cut off is not one."""
    if path.exists():
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                yield json.loads(line)
