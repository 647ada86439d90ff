"""Where good policies spend their depth: cell by cell, and as shares by step and by block."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from mddit_ui.charts import style
from mddit_ui.charts.cells import CellsInfo, cells_figure, marks
from mddit_ui.core.policy import Action, Policy

READ = (
    "Each cell says how many of the best policies (the Pareto set, or the best tenth) compute it: "
    "dark cells are worth their MACs."
)
READ_SHARES = (
    "Each bar splits the cells of one step, or of one block, over the same policies: what they compute, cache and skip."
)
LEAST = 4  # policies that a mean needs
ACTIONS = ((Action.COMPUTE, "computed"), (Action.CACHE, "cached"), (Action.SKIP, "skipped"))


class DepthInfo(NamedTuple):
    """(3, sites, steps) share of the policies that compute, cache, skip each cell; and how many policies that is."""

    shares: np.ndarray
    labels: tuple[str, ...]
    policies: int


def depth_info(
    rows: Sequence[Sequence[str]], objectives: Sequence[float], labels: Sequence[str], front: Sequence[int] = ()
) -> DepthInfo:
    """From the tables (rows of letters) of all evaluated policies; failures (NaN) don't count.

    Args:
        front: places of the Pareto set in ``rows``; it is filled up with the best ones if it is too small for a mean.
    """
    ranked = [index for _, index in sorted((-v, i) for i, v in enumerate(objectives) if not np.isnan(v))]
    best = list(front)
    wanted = max(LEAST, len(ranked) // 10)
    best += [index for index in ranked if index not in set(front)][: max(0, wanted - len(best))]
    tables = np.stack([Policy.from_rows(rows[index]).actions for index in best])  # (n, steps, sites)
    shares = np.stack([(tables == action).mean(0).T for action, _ in ACTIONS])
    return DepthInfo(shares, tuple(labels), len(best))


def depth_figure(info: DepthInfo, dark: bool) -> go.Figure:
    cells = CellsInfo(100 * info.shares[0], info.labels, "computed, %", ".0f", 0.0, 100.0)
    return cells_figure(cells, dark, style.palette(dark).macs)


def shares_figure(info: DepthInfo, dark: bool) -> go.Figure:
    """Stacked shares by step (left) and by block (right)."""
    colours = style.palette(dark)
    paints = (colours.compute, colours.cache, colours.skip_line)
    figure = style.figure(dark, height=320, barmode="stack", bargap=0.12)
    panels = (("x", "y", 1, "step"), ("x2", "y2", 2, "block"))
    for x, y, axis, what in panels:
        by = info.shares.mean(axis=axis)  # (3, steps) or (3, sites)
        names = list(info.labels) if what == "block" else [str(step) for step in range(by.shape[1])]
        for (_, name), paint, values in zip(ACTIONS, paints, by, strict=True):
            figure.add_bar(
                x=list(range(len(values))),
                y=(100 * values).tolist(),
                name=name,
                text=names,
                textposition="none",
                marker={"color": paint, "line": {"width": 0}},
                hovertemplate=f"{what} %{{text}}: %{{y:.0f}} % {name}<extra></extra>",
                showlegend=what == "step",
                legendgroup=name,
                xaxis=x,
                yaxis=y,
            )
    style.two_panels(figure, ("step", "block"), "share of cells, %", [0, 100])
    places = marks(info.shares.shape[1], 8)
    figure.update_layout(
        xaxis={"tickvals": marks(info.shares.shape[2], 8)},
        xaxis2={"tickvals": places, "ticktext": [info.labels[place] for place in places]},
    )
    return figure
