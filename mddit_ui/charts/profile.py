"""How long each step of a policy takes, beside what its MACs promise."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from mddit_ui.charts import style
from mddit_ui.charts.cells import marks

READ = (
    "Bars are measured time per step on this machine, the line is what the step's MACs alone would take: where a bar "
    "stands above the line, time is lost beside the blocks; the first step has none, since the caption is read in it."
)


class ProfileInfo(NamedTuple):
    """(steps,) milliseconds of the policy and of full depth, and the share of full MACs of each step.

    The first step is NaN in the times: it can't be told from reading the caption.
    """

    policy_ms: np.ndarray
    full_ms: np.ndarray
    share: np.ndarray
    name: str = "this policy"

    @property
    def expected_ms(self) -> np.ndarray:
        """Median full step x share of MACs."""
        return np.nanmedian(self.full_ms) * self.share


def profile_info(
    policy_seconds: Sequence[Sequence[float]],
    full_seconds: Sequence[Sequence[float]],
    share: Sequence[float] | np.ndarray,
    name: str = "",
) -> ProfileInfo:
    """From when each step ended, (runs, steps), in seconds since its run began: the median of the runs.

    ``name``: of the policy; the chart stays as it is when the grid shows another one.
    """
    policy, full = (
        1000 * np.median(np.diff(np.asarray(ends, float)), axis=0) for ends in (policy_seconds, full_seconds)
    )
    first = np.array([np.nan])
    policy, full = np.concatenate([first, policy]), np.concatenate([first, full])
    return ProfileInfo(policy, full, np.asarray(share, float), name or "this policy")


def profile_figure(info: ProfileInfo, dark: bool) -> go.Figure:
    colours = style.palette(dark)
    figure = style.figure(dark, height=320, barmode="overlay", bargap=0.18)
    steps = list(range(len(info.share)))
    for values, name, paint in (
        (info.full_ms, "full depth", colours.sunken),
        (info.policy_ms, style.plain(info.name), colours.compute),
    ):
        figure.add_bar(
            x=steps,
            y=[None if np.isnan(value) else float(value) for value in values],
            name=name,
            marker={"color": paint, "line": {"width": 0}},
            hovertemplate=f"step %{{x}}: %{{y:.1f}} ms, {name}<extra></extra>",
        )
    figure.add_scatter(
        x=steps,
        y=info.expected_ms.tolist(),
        mode="lines",
        name="by MACs alone",
        line={"color": colours.cache, "width": 2, "shape": "hvh"},
        hovertemplate="step %{x}: %{y:.1f} ms by MACs<extra></extra>",
    )
    figure.update_xaxes(title_text="step", showgrid=False, tickvals=marks(len(steps)), tickangle=0)
    figure.update_yaxes(title_text="ms per step", rangemode="tozero")
    return figure
