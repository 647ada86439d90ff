"""How a search gets better: every evaluation and the best so far, beside full depth and known schedules."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from mddit_ui.charts import style

READ = (
    "Every dot is one evaluated policy, the line is the best so far (by score and closeness to full depth together); "
    "once it stays flat, more evaluations bring little."
)


class Line(NamedTuple):
    """A known score to compare with: full depth, or a schedule of about the same budget."""

    name: str
    value: float


class ConvergenceInfo(NamedTuple):
    """What the chart shows.

    Args:
        numbers: (n,) of the evaluations; values: their score, NaN when not finite.
        best: (n,) the score of the policy with the best objective so far.
        total: evaluations in all; measure: what the score is.
        rival: the same of another search, to compare with.
    """

    numbers: np.ndarray
    values: np.ndarray
    best: np.ndarray
    lines: tuple[Line, ...]
    total: int
    measure: str
    rival: "ConvergenceInfo | None" = None


def convergence_info(
    numbers: Sequence[int],
    objectives: Sequence[float],
    values: Sequence[float | None],
    total: int,
    *,
    lines: Sequence[Line] = (),
    measure: str = "CLIP score",
    rival: ConvergenceInfo | None = None,
) -> ConvergenceInfo:
    scores = np.array([np.nan if value is None else value for value in values], float)
    ranks = np.array([-np.inf if np.isnan(value) else value for value in objectives], float)
    best, leader = np.full(len(scores), np.nan), -1
    for place, rank in enumerate(ranks):
        if rank > (ranks[leader] if leader >= 0 else -np.inf):
            leader = place
        best[place] = scores[leader] if leader >= 0 else np.nan
    return ConvergenceInfo(np.asarray(numbers, int), scores, best, tuple(lines), total, measure, rival)


def convergence_figure(info: ConvergenceInfo, dark: bool) -> go.Figure:
    colours = style.palette(dark)
    figure = style.figure(dark, height=330)
    figure.add_scatter(
        x=info.numbers.tolist(),
        y=_values(info.values),
        customdata=[str(number) for number in info.numbers],
        mode="markers",
        name="evaluated",
        marker={"color": colours.compute_soft, "size": 6},
        hovertemplate=f"evaluation %{{x}}<br>{info.measure} %{{y:.2f}}<extra></extra>",
    )
    _best(figure, info, "best so far", colours.compute)
    if info.rival is not None:
        _best(figure, info.rival, "the other search", colours.cache)
    for line, dash in zip(info.lines, ("dot", "dash", "dashdot", "longdash", "solid"), strict=False):
        figure.add_scatter(
            x=[0, max(info.total, 1)],
            y=[line.value] * 2,
            mode="lines",
            name=style.plain(line.name),
            line={"color": colours.ink_faint, "width": 1.2, "dash": dash},
            hovertemplate=f"{style.plain(line.name)}: %{{y:.2f}}<extra></extra>",
        )
    total = max(info.total, info.rival.total if info.rival else 1, 1)
    figure.update_xaxes(title_text="evaluation", range=[0, total * 1.02])
    made = [*info.values, *info.best, *(info.rival.best if info.rival else ())]
    seen = style.window([float(value) for value in made if np.isfinite(value)], info.lines, 0.2)
    figure.update_yaxes(title_text=info.measure, range=seen.range)
    style.at_the_edge(figure, seen.away, dark)
    return figure


def _best(figure: go.Figure, info: ConvergenceInfo, name: str, colour: str) -> None:
    figure.add_scatter(
        x=info.numbers.tolist(),
        y=_values(info.best),
        mode="lines",
        name=name,
        line={"color": colour, "width": 2, "shape": "hv"},
        hovertemplate=f"{name}, after %{{x}}: %{{y:.2f}}<extra></extra>",
    )


def _values(array: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in array]
