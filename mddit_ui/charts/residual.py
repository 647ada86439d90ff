"""How much each block changes what it is given."""

import numpy as np
import plotly.graph_objects as go

from mddit_ui.charts import style
from mddit_ui.charts.cells import CellsInfo, cells_figure, quantiles
from mddit_ui.core.calibration import Calibration

READ = (
    "Each cell is the size of what a block adds, as a share of what it was given: "
    "pale cells hardly change the picture, so skipping them costs little."
)


def residual_info(calibration: Calibration, labels: tuple[str, ...]) -> CellsInfo:
    size = 100 * np.asarray(calibration.residual_size, float).T
    return CellsInfo(size, tuple(labels), "% of input", ".1f", 0.0, quantiles(size)[1])


def residual_figure(info: CellsInfo, dark: bool) -> go.Figure:
    return cells_figure(info, dark, style.palette(dark).macs)
