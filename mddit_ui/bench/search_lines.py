"""Lines of the table of searches, and what they show."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mddit_ui.bench.page import paired
from mddit_ui.charts.gains import Gains
from mddit_ui.core.records import SearchConfig
from mddit_ui.search.objective import Objective

DEFAULT = SearchConfig.model_fields["method"].default
FEW = 100  # evaluations of the default, after which it is to be as good as the others at their last mark
START = "best start"
HEADS = ("policies", "evaluations", "searches", "budget", "CLIP score", "gain", "PSNR, dB", "gain")


class Judgement(NamedTuple):
    """A policy on the unseen prompts: one value an image."""

    clip: np.ndarray
    psnr: np.ndarray


class Line(NamedTuple):
    """One line of the table: what each of the searches has found."""

    name: str
    evaluations: int
    budget: float
    each: tuple[Judgement, ...]

    @property
    def searches(self) -> int:
        return len(self.each)

    @property
    def found(self) -> Judgement:
        """Means over the searches."""
        return Judgement(*(np.mean(values, axis=0) for values in zip(*self.each, strict=True)))

    def variance(self, objective: Objective) -> np.ndarray:
        """(3,) of the means over its searches: objective, CLIP score and PSNR; 0 where one search can't tell."""
        if self.searches < 2:
            return np.zeros(3)
        return np.var([values.mean(1) for values in _parts(self.each, objective)], axis=1, ddof=1) / self.searches

    def row(self, start: Judgement) -> list[str]:
        """Its cells; gains over the best starting policy are paired by image."""
        cells = [self.name, str(self.evaluations or ""), str(self.searches), f"{self.budget:.3f}"]
        for values, reference in zip(self.found, start, strict=True):
            cells += [f"{values.mean():.2f}", "{:+.2f} ± {:.2f}".format(*paired(values, reference))]
        return cells


def verdicts(lines: Sequence[Line], objective: Objective) -> Iterator[str]:
    """What is to be shown, and whether it is."""
    ours = {line.evaluations: line for line in lines if line.name == DEFAULT}
    if not ours:
        return
    first = ours.get(FEW) or ours[max(ours)]
    yield f"- {_beside(first, start_of(lines), objective)}"
    last = {line.name: line for line in lines if line.evaluations and line.name != DEFAULT}  # the most evaluations
    yield from (f"- {_beside(first, rival, objective)}" for rival in last.values())


def _beside(line: Line, other: Line, objective: Objective) -> str:
    """What the search maximises and its parts; behind or ahead: beyond the standard error over the pictures."""
    searches = line.variance(objective) + other.variance(objective)
    pairs = zip(*(_parts([each.found], objective) for each in (line, other)), strict=True)
    said = []
    for what, (ours, theirs), variance in zip(("objective", "CLIP score", "PSNR"), pairs, searches, strict=True):
        mean, error = paired(ours[0], theirs[0])
        word = "ahead" if mean > error else "BEHIND" if mean < -error else "even"
        said.append(f"{what} {mean:+.3f} ± {error:.3f} ({word}; ± {np.hypot(error, variance**0.5):.3f})")
    return f"{_named(line)} beside {_named(other)}: {', '.join(said)}."


def _parts(found: Sequence[Judgement], objective: Objective) -> list[np.ndarray]:
    """Objective, CLIP score and PSNR, each (searches, images)."""
    clip, closeness = (np.stack(values) for values in zip(*found, strict=True))
    return [clip + objective.closeness * closeness, clip, closeness]


def _named(line: Line) -> str:
    if not line.evaluations:
        return line.name
    return f"{line.name} after {line.evaluations} evaluations" + f" ({line.searches} searches)" * (line.searches > 1)


def start_of(lines: Sequence[Line]) -> Line:
    return next(line for line in lines if line.name.startswith(START))


def gains(lines: Sequence[Line]) -> list[Gains]:
    """Of each method over the best start, paired by picture."""
    start, names = start_of(lines).found, dict.fromkeys(line.name for line in lines if line.evaluations)
    found = []
    for name in names:
        own = [line for line in lines if line.name == name]
        clip, psnr = ([paired(line.found[i], start[i]) for line in own] for i in range(len(start)))
        found.append(Gains(name, [line.evaluations for line in own], clip, psnr))
    return found
