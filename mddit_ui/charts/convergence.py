"""How a search gets better: the objective of every evaluation and the best so far."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from mddit_ui.charts import style

READ = (
    "Every dot is one evaluated policy, the line is the best so far. "
    "Once the line stays flat, more evaluations bring little."
)


class ConvergenceInfo(NamedTuple):
    """(n,) evaluation numbers, their objective (NaN when not finite) and CLIP score, and the best objective so far."""

    numbers: np.ndarray
    objectives: np.ndarray
    clip_scores: np.ndarray
    best: np.ndarray
    total: int


def convergence_info(
    numbers: Sequence[int], objectives: Sequence[float], clip_scores: Sequence[float | None], total: int
) -> ConvergenceInfo:
    values = np.asarray(objectives, float)
    best = np.fmax.accumulate(values) if values.size else values
    clips = np.array([np.nan if score is None else score for score in clip_scores], float)
    return ConvergenceInfo(np.asarray(numbers, int), values, clips, best, total)


def convergence_figure(info: ConvergenceInfo, dark: bool) -> go.Figure:
    colours = style.palette(dark)
    figure = style.figure(dark, height=330)
    figure.add_scatter(
        x=info.numbers.tolist(),
        y=_values(info.objectives),
        customdata=_values(info.clip_scores),
        mode="markers",
        name="evaluated",
        marker={"color": colours.compute_soft, "size": 6},
        hovertemplate="evaluation %{x}<br>objective %{y:.3f}<br>CLIP score %{customdata:.2f}<extra></extra>",
    )
    figure.add_scatter(
        x=info.numbers.tolist(),
        y=_values(info.best),
        mode="lines",
        name="best so far",
        line={"color": colours.compute, "width": 2, "shape": "hv"},
        hovertemplate="best after %{x}: %{y:.3f}<extra></extra>",
    )
    figure.update_xaxes(title_text="evaluation", range=[0, max(info.total, 1) * 1.02])
    figure.update_yaxes(title_text="objective (higher is better)")
    return figure


def _values(array: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in array]
