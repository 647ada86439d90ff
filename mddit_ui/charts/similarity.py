"""How alike a block's output is to that of the step before, and to its input: what caching or skipping may cost."""

import numpy as np
import plotly.graph_objects as go

from mddit_ui.charts import style
from mddit_ui.charts.cells import CellsInfo, cells_figure, quantiles
from mddit_ui.core.calibration import Calibration

READ = (
    "Each cell compares what a block gives out at this step with what it gave out one step before (cosine): "
    "the stronger the colour, the less is lost by caching the cell."
)
READ_BLOCKS = (
    "Each cell compares what a block gives out with what it was given (cosine): "
    "the stronger the colour, the less is lost by skipping the cell."
)


def similarity_info(calibration: Calibration, labels: tuple[str, ...]) -> CellsInfo:
    """Step by step; step 0 has no step before it."""
    return _info(calibration.step_similarity, labels)


def blocks_info(calibration: Calibration, labels: tuple[str, ...]) -> CellsInfo:
    """Block by block: output against input."""
    return _info(calibration.site_similarity, labels)


def similarity_figure(info: CellsInfo, dark: bool) -> go.Figure:
    return cells_figure(info, dark, style.palette(dark).similarity)


def _info(similarity: np.ndarray, labels: tuple[str, ...]) -> CellsInfo:
    """The interesting range is narrow and ends at 1."""
    cosine = np.asarray(similarity, float).T
    return CellsInfo(cosine, tuple(labels), "cosine", ".4f", min(quantiles(cosine)[0], 0.999), 1.0)
