"""Where the MACs of a policy go: by step and by block, against full depth."""

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from mddit_ui.charts import style
from mddit_ui.charts.cells import marks
from mddit_ui.core.cost import MacTable
from mddit_ui.core.policy import Policy

READ = "Full height is the whole model; the solid part is what this policy computes at that step or in that block."


class MacsInfo(NamedTuple):
    """Shares of full depth, 0 to 1, of the policy's MACs: (steps,) the rest included, and (sites,)."""

    by_step: np.ndarray
    by_site: np.ndarray
    labels: tuple[str, ...]
    macs: float
    full_macs: float


def macs_info(policy: Policy, table: MacTable, labels: tuple[str, ...]) -> MacsInfo:
    step_full = float(table.site_macs.sum() + table.rest_macs)
    site_full = np.maximum(table.site_macs * policy.steps, 1e-12)
    return MacsInfo(
        by_step=table.by_step(policy.actions, policy.keep) / step_full,
        by_site=table.by_site(policy.actions, policy.keep) / site_full,
        labels=tuple(labels),
        macs=float(table.total(policy.actions, policy.keep)),
        full_macs=table.full(policy.steps),
    )


def macs_figure(info: MacsInfo, dark: bool) -> go.Figure:
    colours = style.palette(dark)
    figure = style.figure(dark, barmode="overlay", bargap=0.18, showlegend=False)
    panels = (("x", "y", info.by_step, None, "step"), ("x2", "y2", info.by_site, info.labels, "block"))
    for x, y, shares, labels, what in panels:
        names = list(labels) if labels else [str(index) for index in range(len(shares))]
        places = list(range(len(shares)))
        full = {
            "x": places,
            "y": [100.0] * len(shares),
            "marker": {"color": colours.sunken, "line": {"width": 0}},
            "hoverinfo": "skip",
        }
        figure.add_bar(**full, xaxis=x, yaxis=y)
        figure.add_bar(
            x=places,
            y=(100 * shares).tolist(),
            text=names,
            textposition="none",
            marker={"color": colours.compute, "line": {"width": 0}},
            hovertemplate=what + " %{text}: %{y:.1f} % of full<extra></extra>",
            xaxis=x,
            yaxis=y,
        )
    style.two_panels(figure, ("step", "block"), "% of full MACs", [0, 102])
    figure.update_layout(
        xaxis={"tickvals": marks(len(info.by_step), 8)},
        xaxis2={
            "tickvals": marks(len(info.by_site), 8),
            "ticktext": [info.labels[at] for at in marks(len(info.by_site), 8)],
        },
    )
    return figure
