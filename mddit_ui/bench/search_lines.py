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
    """One line of the table: means over the searches, one value an image."""

    name: str
    evaluations: int
    searches: int
    budget: float
    found: Judgement

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
    """What the search maximises and its parts, paired by picture; behind or ahead: beyond the standard error."""
    clip, closeness = (one - another for one, another in zip(line.found, other.found, strict=True))
    said = []
    for what, gain in (
        ("objective", clip + objective.closeness * closeness),
        ("CLIP score", clip),
        ("PSNR", closeness),
    ):
        mean, error = paired(gain, 0.0)
        word = "ahead" if mean > error else "BEHIND" if mean < -error else "even"
        said.append(f"{what} {mean:+.3f} ± {error:.3f} ({word})")
    return f"{_named(line)} beside {_named(other)}: {', '.join(said)}."


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
