"""The one place with colours: the tokens of the app and of its charts, for light and for dark."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

FONT = 'Inter, "SF Pro Text", "Segoe UI", Roboto, "Helvetica Neue", Arial, "Liberation Sans", sans-serif'
MONO = 'ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace'


class Palette(NamedTuple):
    """Compute is indigo, cache is amber, skip is hollow; all else is ink on paper.

    Indigo and amber differ in hue and in lightness, so they stay apart for every kind of colour vision and in grey.
    Inks have at least 4.5 : 1 on ``surface`` and on ``page``.
    """

    page: str
    surface: str
    sunken: str  # fields, tracks of bars
    line: str
    line_strong: str
    ink: str
    ink_soft: str
    ink_faint: str
    compute: str
    compute_ink: str  # the mark on compute, and text on a compute-coloured button
    compute_soft: str
    cache: str
    cache_ink: str
    skip_line: str
    skip_ink: str
    good: str
    bad: str
    similarity: tuple[str, ...]  # low to high: warm, since what is similar can be cached
    macs: tuple[str, ...]  # low to high: indigo, since it counts compute


LIGHT = Palette(
    page="#f6f7f9",
    surface="#ffffff",
    sunken="#f0f2f6",
    line="#e2e6ed",
    line_strong="#c5ccd8",
    ink="#161a22",
    ink_soft="#454d5e",
    ink_faint="#626b7e",
    compute="#3849ba",
    compute_ink="#ffffff",
    compute_soft="#c3cbf1",
    cache="#f4bb8b",
    cache_ink="#8f4a10",
    skip_line="#c9d0db",
    skip_ink="#858ea0",
    good="#1c7048",
    bad="#b3261e",
    similarity=("#fbf8f4", "#f8dcc0", "#f0b07a", "#c9752f", "#7a3d0d"),
    macs=("#f4f5fb", "#c3cbf1", "#8c9ae0", "#5466cc", "#2a3796"),
)

DARK = Palette(
    page="#0e1116",
    surface="#161a21",
    sunken="#1e232c",
    line="#2a303b",
    line_strong="#424a59",
    ink="#eceff4",
    ink_soft="#b7bfcc",
    ink_faint="#929bab",
    compute="#586bdc",
    compute_ink="#ffffff",
    compute_soft="#39447f",
    cache="#efb27c",
    cache_ink="#5f2f08",
    skip_line="#3a4250",
    skip_ink="#7a8496",
    good="#5cc493",
    bad="#ff8f85",
    similarity=("#1b1e24", "#47321f", "#8a5626", "#d18a49", "#fbd9b4"),
    macs=("#1a1d27", "#2e3768", "#4a59ad", "#7a8bf0", "#ccd3fb"),
)


COLORBAR: dict[str, Any] = {
    "thickness": 10,
    "outlinewidth": 0,
    "len": 1,
    "ticklen": 3,
    "nticks": 5,
    "title": {"side": "right", "font": {"size": 11.5}},
    "tickfont": {"size": 11},
}


def palette(dark: bool) -> Palette:
    return DARK if dark else LIGHT


def scale(colours: tuple[str, ...]) -> list[list[Any]]:
    """A Plotly colour scale that runs evenly through ``colours``."""
    last = len(colours) - 1
    return [[index / last, colour] for index, colour in enumerate(colours)]


def faint(colour: str, opacity: float) -> str:
    """A colour of the palette, ``#rrggbb``, that lets through what lies under it."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity:g})"


def figure(dark: bool, **layout: Any) -> go.Figure:
    """An empty figure in the style of the app; the surface shows through, titles belong to the page."""
    colours = palette(dark)
    axis = {
        "gridcolor": colours.line,
        "linecolor": colours.line_strong,
        "zeroline": False,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": colours.line_strong,
        "automargin": True,
        "title": {"standoff": 10, "font": {"size": 12.5, "color": colours.ink_soft}},
    }
    return go.Figure(
        layout={
            "template": None,
            "font": {"family": FONT, "size": 12, "color": colours.ink_soft},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "margin": {"l": 8, "r": 12, "t": 12, "b": 8},
            "height": 300,
            "xaxis": axis,
            "yaxis": axis,
            "hoverlabel": {
                "bgcolor": colours.surface,
                "bordercolor": colours.line_strong,
                "font": {"family": FONT, "size": 12, "color": colours.ink},
            },
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
            "colorway": [colours.compute, colours.cache],
            "uirevision": "kept",
            **layout,
        }
    )


def two_panels(figure: go.Figure, titles: tuple[str, str], value: str, range_: list[float]) -> None:
    """Two panels side by side that share what is measured; the traces name x and x2."""
    axis = {**figure.layout.xaxis.to_plotly_json(), "showgrid": False, "tickangle": 0}
    yaxis = {**figure.layout.yaxis.to_plotly_json(), "range": range_, "dtick": 25, "showgrid": False}
    figure.update_layout(
        xaxis={**axis, "domain": [0, 0.47], "title": {**axis["title"], "text": titles[0]}},
        xaxis2={**axis, "domain": [0.55, 1], "anchor": "y2", "title": {**axis["title"], "text": titles[1]}},
        yaxis={**yaxis, "title": {**yaxis["title"], "text": value}},
        yaxis2={**yaxis, "anchor": "x2", "showticklabels": False},
    )


def plain(text: str) -> str:
    """Plotly reads a few HTML tags in texts; names of people are shown as they are written."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class Window(NamedTuple):
    """The part of an axis to show; ``None`` leaves it to Plotly. ``away``: what lies outside, in words."""

    range: list[float] | None
    away: str


def window(values: Sequence[float], others: Sequence[tuple[str, float]], least: float) -> Window:
    """An axis of which ``values`` fill at least a third, with the named ``others`` that are near enough.

    What is far away stays in the figure, for those who zoom out, and is named by its value.
    """
    values = list(values) or [value for _, value in others]
    if not values:
        return Window(None, "")
    reach = max(max(values) - min(values), least)
    ends = (min(values) - reach, max(values) + reach)
    shown = [*values, *(value for _, value in others if ends[0] <= value <= ends[1])]
    low, high = min(shown), max(shown)
    room = max(least, 0.08 * (high - low))
    sides = (
        ("below", [other for other in others if other[1] < ends[0]]),
        ("above", [other for other in others if other[1] > ends[1]]),
    )
    words = [
        f"{side}: " + ", ".join(f"{plain(name)} at {value:.2f}" for name, value in far) for side, far in sides if far
    ]
    return Window([low - room, high + room], "; ".join(words))


def at_the_edge(figure: go.Figure, text: str, dark: bool) -> None:
    """A line of words in the lower right corner of a figure."""
    if text:
        faint = {"size": 11, "color": palette(dark).ink_faint}
        figure.add_annotation(
            text=text,
            font=faint,
            showarrow=False,
            xref="paper",
            yref="paper",
            x=0.99,
            y=0.01,
            xanchor="right",
            yanchor="bottom",
        )
