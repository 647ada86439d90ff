"""What caching or skipping each single cell is predicted to cost."""

import numpy as np
import plotly.graph_objects as go

from mddit_ui.charts import style
from mddit_ui.charts.cells import CellsInfo, cells_figure, quantiles
from mddit_ui.core.sensitivity import Sensitivity

READ = (
    "Each cell is the predicted relative error of caching it for one step, all others computed (logarithm): "
    "pale cells are the cheap ones to cache."
)
LEAST = 1e-9


def sensitivity_info(sensitivity: Sensitivity, labels: tuple[str, ...]) -> CellsInfo:
    """log10 of the error, the square root of what `core.sensitivity` adds up; step 0 has nothing to cache."""
    error = np.sqrt(np.maximum(sensitivity.cached[0], LEAST**2)).T  # (sites, steps)
    values = np.log10(error)
    values[:, 0] = np.nan
    low, high = quantiles(values)
    return CellsInfo(values, tuple(labels), "log error", ".2f", low, high)


def sensitivity_figure(info: CellsInfo, dark: bool) -> go.Figure:
    return cells_figure(info, dark, style.palette(dark).macs)
