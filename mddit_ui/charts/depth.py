"""Where good policies spend their depth: along the steps and along the blocks."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from mddit_ui.charts import style
from mddit_ui.charts.similarity import marks, spacing
from mddit_ui.core.policy import Action, Policy

READ = (
    "Each cell says how many of the best tenth of the evaluated policies compute it; dark cells are worth their MACs."
)
LEAST = 4  # policies that a mean needs


class DepthInfo(NamedTuple):
    """(sites, steps) share of the best policies that compute the cell, and how many policies that is."""

    computed: np.ndarray
    labels: tuple[str, ...]
    policies: int


def depth_info(rows: Sequence[Sequence[str]], objectives: Sequence[float], labels: Sequence[str]) -> DepthInfo:
    """From the tables (rows of letters) of all evaluated policies; failures (NaN) don't count."""
    ranked = sorted((-value, index) for index, value in enumerate(objectives) if not np.isnan(value))
    best = [rows[index] for _, index in ranked[: max(LEAST, len(ranked) // 10)]]
    tables = [Policy.from_rows(table).actions == Action.COMPUTE for table in best]
    return DepthInfo(np.mean(tables, axis=0).T, tuple(labels), len(tables))


def depth_figure(info: DepthInfo, dark: bool) -> go.Figure:
    colours = style.palette(dark)
    sites, steps = info.computed.shape
    figure = style.figure(dark, height=330)
    figure.add_heatmap(
        z=100 * info.computed,
        x=list(range(steps)),
        y=list(range(sites)),
        text=[[f"step {step}, block {label}" for step in range(steps)] for label in info.labels],
        hovertemplate="%{text}<br>computed by %{z:.0f} %<extra></extra>",
        colorscale=style.scale(colours.macs),
        zmin=0,
        zmax=100,
        xgap=1,
        ygap=1,
        colorbar={**style.COLORBAR, "title": {**style.COLORBAR["title"], "text": "computed, %"}},
    )
    places = marks(sites)
    figure.update_xaxes(title_text="step", showgrid=False, dtick=spacing(steps))
    figure.update_yaxes(
        title_text="block", showgrid=False, tickvals=places, ticktext=[info.labels[place] for place in places]
    )
    return figure
