"""What the methods of the search gain over the best start, against evaluations: for docs/results.md."""

from collections.abc import Sequence
from itertools import cycle
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.colors import qualitative

from mddit_ui.charts import style

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")  # lines that lie on each other are both seen
SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "triangle-down", "star")
TITLES = {"clip": "gain in CLIP score", "psnr": "gain in PSNR, dB"}

MeanAndError = tuple[float, float]


class Gains(NamedTuple):
    """Of one method: (n,) evaluations, and the gains after each with their standard errors."""

    name: str
    evaluations: list[int]
    clip: list[MeanAndError]
    psnr: list[MeanAndError]


def gains_figure(methods: Sequence[Gains], default: str) -> go.Figure:
    """CLIP score beside PSNR; the default method is drawn with its errors."""
    colours = style.palette(False)
    figure = style.figure(False, height=420, width=980, margin={"l": 8, "r": 12, "t": 60, "b": 8})
    figure.update_layout(paper_bgcolor=colours.surface, xaxis2=figure.layout.xaxis, yaxis2=figure.layout.yaxis)
    figure.update_layout(xaxis={"domain": [0, 0.46]}, xaxis2={"domain": [0.54, 1], "anchor": "y2"})
    figure.update_layout(yaxis2={"anchor": "x2"}, legend={"y": 1.08})
    figure.update_xaxes(title_text="evaluations", rangemode="tozero")
    for (what, title), axis in zip(TITLES.items(), ("", "2"), strict=True):
        figure.update_layout({f"yaxis{axis}": {"title": {"text": title}, "zeroline": True}})
        looks = zip(methods, cycle(qualitative.Safe), cycle(SYMBOLS), cycle(DASHES), strict=False)
        for method, colour, mark, dash in looks:
            ours = method.name == default
            means, errors = zip(*getattr(method, what), strict=True)
            figure.add_scatter(
                x=method.evaluations,
                y=list(means),
                error_y={"array": list(errors), "visible": ours, "thickness": 1.5, "width": 4},
                name=style.plain(method.name),
                mode="lines+markers",
                line={"color": colours.compute if ours else colour, "width": 3 if ours else 1.5, "dash": dash},
                marker={"symbol": mark, "size": 7},
                showlegend=not axis,
                xaxis=f"x{axis}",
                yaxis=f"y{axis}",
            )
    return figure
