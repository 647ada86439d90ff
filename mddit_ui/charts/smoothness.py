"""How smooth a model's features are: from step to step, and around one step when its latents are pushed aside."""

import html
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from mddit_ui.charts import style
from mddit_ui.core.calibration import Calibration

READ_STEPS = (
    "How alike (cosine) what the second half of the blocks gives out stays from one step to the next: the nearer to 1, "
    "the less Skip-Cache loses by handing out the old output."
)
READ_SURFACE = (
    "How alike (cosine) what the last block gives out stays when the latents in the middle of a run are pushed along "
    "two random directions, by a share of their length: the wider the part near 1, the smoother the model."
)


class SmoothnessInfo(NamedTuple):
    """One line a model: cosine of neighbouring steps, (steps,); NaN at step 0."""

    lines: dict[str, tuple[float, ...]]


class SurfaceInfo(NamedTuple):
    """``similarity`` (side, side), rows along the first direction; ``pushes`` (side,) of either one; ``low``: where the
    colours begin, the same for surfaces that are compared."""

    pushes: tuple[float, ...]
    similarity: np.ndarray
    title: str = ""
    low: float = 0.999


def smoothness_info(calibrations: Mapping[str, Calibration]) -> SmoothnessInfo:
    """By model: the mean over the second half of the blocks, which is where skip branches arrive."""
    return SmoothnessInfo(
        {
            title: tuple(each.step_similarity[:, each.step_similarity.shape[1] // 2 :].mean(1).tolist())
            for title, each in calibrations.items()
        }
    )


def smoothness_figure(info: SmoothnessInfo, dark: bool) -> go.Figure:
    figure = style.figure(dark, height=260)
    dashes = ("solid", "dash", "dot", "dashdot")
    for index, (title, values) in enumerate(info.lines.items()):
        figure.add_scatter(
            x=list(range(len(values))),
            y=[None if np.isnan(value) else value for value in values],
            name=html.escape(title),
            mode="lines+markers",
            line={"dash": dashes[index % len(dashes)]},
            hovertemplate="step %{x}<br>cosine %{y:.4f}",
        )
    figure.update_xaxes(title_text="step")
    figure.update_yaxes(title_text="cosine with the step before")
    return figure


def surface_info(
    pushes: np.ndarray, similarity: np.ndarray, *, title: str = "", low: float | None = None
) -> SurfaceInfo:
    table = np.asarray(similarity, float)
    begins = min(float(table.min()) if low is None else low, 0.999)
    return SurfaceInfo(tuple(np.asarray(pushes, float).tolist()), table, title, begins)


def surface_figure(info: SurfaceInfo, dark: bool) -> go.Figure:
    """Seen from above: every value can be read, which a drawing in perspective hides."""
    figure = style.figure(dark, height=300)
    figure.add_contour(
        x=list(info.pushes),
        y=list(info.pushes),
        z=info.similarity.tolist(),
        colorscale=style.scale(style.palette(dark).similarity),
        zmax=1.0,
        zmin=info.low,
        contours={"coloring": "heatmap", "showlabels": False},  # no ink can be read on all shades of the scale
        line={"width": 1, "color": style.palette(dark).line_strong},
        hovertemplate="first %{y:.2f}, second %{x:.2f}<br>cosine %{z:.4f}<extra></extra>",
        colorbar={**style.COLORBAR, "title": {**style.COLORBAR["title"], "text": "cosine"}},
    )
    if info.title:
        words = {
            "text": html.escape(info.title),
            "font": {"size": 13},
            "x": 0,
            "xref": "paper",
            "y": 0.98,
            "yanchor": "top",
        }
        figure.update_layout(title=words, margin_t=34, height=320)
    figure.update_xaxes(title_text="push along the second direction")
    figure.update_yaxes(title_text="push along the first direction")
    return figure
