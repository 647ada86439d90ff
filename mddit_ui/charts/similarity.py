"""How alike each block's output is at neighbouring steps: where caching has a chance."""

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from mddit_ui.charts import style
from mddit_ui.core.records import Calibration

READ = (
    "Each cell compares what a block gives out at this step with what it gave out one step before (cosine). "
    "The stronger the colour, the less is lost by caching the cell."
)


class SimilarityInfo(NamedTuple):
    """What the heat map shows.

    Args:
        cosine: (sites, steps) with NaN in step 0, which has no step before it.
        sites: labels of the blocks.
        lowest: where the colours begin; the interesting range is narrow and ends at 1.
    """

    cosine: np.ndarray
    sites: tuple[str, ...]
    timesteps: tuple[float, ...]
    lowest: float


def similarity_info(calibration: Calibration, labels: tuple[str, ...]) -> SimilarityInfo:
    cosine = np.asarray(calibration.step_similarity, float).T
    finite = cosine[np.isfinite(cosine)]
    lowest = float(np.quantile(finite, 0.02)) if finite.size else 0.0
    return SimilarityInfo(cosine, tuple(labels), tuple(calibration.timesteps), min(lowest, 0.999))


def similarity_figure(info: SimilarityInfo, dark: bool) -> go.Figure:
    colours = style.palette(dark)
    sites, steps = info.cosine.shape
    figure = style.figure(dark)
    figure.add_heatmap(
        z=info.cosine,
        x=list(range(steps)),
        y=list(range(sites)),
        text=[[f"step {step}, block {label}" for step in range(steps)] for label in info.sites],
        hovertemplate="%{text}<br>cosine %{z:.4f}<extra></extra>",
        colorscale=style.scale(colours.similarity),
        zmin=info.lowest,
        zmax=1.0,
        xgap=1,
        ygap=1,
        colorbar={**style.COLORBAR, "title": {**style.COLORBAR["title"], "text": "cosine"}},
    )
    places = marks(sites)
    figure.update_xaxes(title_text="step", showgrid=False, dtick=spacing(steps))
    figure.update_yaxes(
        title_text="block", showgrid=False, tickvals=places, ticktext=[info.sites[place] for place in places]
    )
    return figure


def spacing(count: int) -> int:
    """Steps between the labels of an axis of ``count`` places."""
    return next((step for step in (1, 2, 5, 10, 20, 50) if count / step <= 20), 100)


def marks(count: int) -> list[int]:
    """The labelled places of that axis."""
    return list(range(0, count, spacing(count)))
