"""A heat map over the cells of the grid: steps along x, blocks along y; a click on it shows the cell in the grid."""

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from mddit_ui.charts import style


class CellsInfo(NamedTuple):
    """What a heat map of the cells shows.

    Args:
        values: (sites, steps) with NaN where there is nothing.
        labels: of the blocks.
        what: of the values, in a word or two; ``form`` writes one of them (d3-format).
        low, high: where the colours begin and end.
    """

    values: np.ndarray
    labels: tuple[str, ...]
    what: str
    form: str
    low: float
    high: float


def cells_figure(info: CellsInfo, dark: bool, colours: tuple[str, ...]) -> go.Figure:
    """The heat map in a scale that runs through ``colours``."""
    sites, steps = info.values.shape
    figure = style.figure(dark, height=320)
    figure.add_heatmap(
        z=[[None if np.isnan(value) else float(value) for value in row] for row in info.values],
        x=list(range(steps)),
        y=list(range(sites)),
        text=[[f"step {step}, block {label}" for step in range(steps)] for label in info.labels],
        customdata=[[f"cell:{step}:{site}" for step in range(steps)] for site in range(sites)],
        hovertemplate=f"%{{text}}<br>{info.what} %{{z:{info.form}}}<extra></extra>",
        colorscale=style.scale(colours),
        zmin=info.low,
        zmax=info.high,
        xgap=1,
        ygap=1,
        colorbar={**style.COLORBAR, "title": {**style.COLORBAR["title"], "text": info.what}},
    )
    places = marks(sites)
    figure.update_xaxes(title_text="step", showgrid=False, tickvals=marks(steps), tickangle=0)
    figure.update_yaxes(
        title_text="block", showgrid=False, tickvals=places, ticktext=[info.labels[place] for place in places]
    )
    return figure


def quantiles(values: np.ndarray, low: float = 0.02, high: float = 0.98) -> tuple[float, float]:
    """Where the colours begin and end, so that a single cell can't wash out all the others."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    first, last = (float(value) for value in np.quantile(finite, (low, high)))
    return first, max(last, first + 1e-9)


def marks(count: int, most: int = 12) -> list[int]:
    """The labelled places of an axis of ``count`` places."""
    step = next((step for step in (1, 2, 5, 10, 20, 50) if count / step <= most), 100)
    return list(range(0, count, step))
