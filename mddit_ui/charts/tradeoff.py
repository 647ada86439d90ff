"""Quality against cost: every policy that was run or searched, and the front."""

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from mddit_ui.charts import style

READ = (
    "Up is closer to the prompt and left is cheaper: the stepped line joins the policies that no other one beats in "
    "both, and a click on a point puts its policy into the grid."
)


class Point(NamedTuple):
    """One policy: share of full MACs (0 to 1), CLIP score, and the key under which the page finds it again."""

    budget: float
    clip_score: float
    name: str
    key: str = ""


class TradeoffInfo(NamedTuple):
    """What the chart shows; ``front`` is made from ``searched`` by `front_of`."""

    searched: tuple[Point, ...]
    front: tuple[Point, ...]
    baselines: tuple[Point, ...]
    runs: tuple[Point, ...]
    full: float | None
    backbone: str
    rival: tuple[Point, ...] = ()  # the front of another search


def front_of(points: Sequence[Point]) -> tuple[Point, ...]:
    """The points that no other one beats: none is as cheap and better, none as good and cheaper. Cheapest first."""
    best: list[Point] = []
    for point in sorted(points, key=lambda point: (point.budget, -point.clip_score)):
        if not best or point.clip_score > best[-1].clip_score:
            best.append(point)
    return tuple(best)


def tradeoff_info(
    searched: Sequence[Point] = (),
    baselines: Sequence[Point] = (),
    runs: Sequence[Point] = (),
    full: float | None = None,
    backbone: str = "",
    rival: Sequence[Point] = (),
) -> TradeoffInfo:
    known = (tuple(baselines), tuple(runs))
    return TradeoffInfo(tuple(searched), front_of(searched), *known, full, backbone, front_of(rival))


def tradeoff_figure(info: TradeoffInfo, dark: bool) -> go.Figure:
    colours = style.palette(dark)
    figure = style.figure(dark, height=330)
    if info.full is not None:
        figure.add_hline(
            y=info.full,
            line={"color": colours.ink_faint, "width": 1, "dash": "dot"},
            annotation={"text": "full depth", "font": {"size": 11, "color": colours.ink_faint}, "xanchor": "right"},
            annotation_position="top right",
        )
    soft = {"color": colours.compute_soft, "size": 6}
    _points(figure, info.searched, "evaluated", marker=soft)
    if info.front:
        line = {"color": colours.compute, "width": 1.8, "shape": "hv"}
        _points(
            figure, info.front, "front", mode="lines+markers", line=line, marker={"size": 7, "color": colours.compute}
        )
    if info.rival:
        line = {"color": colours.cache, "width": 1.8, "shape": "hv"}
        dots = {"size": 7, "color": colours.cache}
        _points(figure, info.rival, "front of the other", mode="lines+markers", line=line, marker=dots)
    hollow = {"size": 9, "symbol": "diamond-open", "color": colours.ink_soft, "line": {"width": 1.6}}
    _points(figure, info.baselines, "known schedules", marker=hollow)
    ring = {"size": 11, "color": colours.cache, "line": {"width": 1.4, "color": colours.ink_soft}}
    _points(figure, info.runs, "your runs", marker=ring)
    points = (*info.searched, *info.baselines, *info.runs, *info.rival)
    budgets = [100 * point.budget for point in points]
    made = [point.clip_score for point in (*info.searched, *info.runs, *info.rival)]
    known = [(point.name, point.clip_score) for point in info.baselines]
    seen = style.window(made, known + ([] if info.full is None else [("full depth", info.full)]), 0.5)
    figure.update_xaxes(title_text="MACs, % of full depth", ticksuffix=" %", range=style.window(budgets, (), 4.0).range)
    title = f"CLIP score ({info.backbone})" if info.backbone else "CLIP score"
    figure.update_yaxes(title_text=title, range=seen.range)
    style.at_the_edge(figure, seen.away, dark)
    return figure


def _points(figure: go.Figure, points: Sequence[Point], name: str, mode: str = "markers", **more) -> None:
    if not points:
        return
    figure.add_scatter(
        x=[100 * point.budget for point in points],
        y=[point.clip_score for point in points],
        text=[style.plain(point.name) for point in points],
        customdata=[point.key for point in points],
        mode=mode,
        name=name,
        hovertemplate="%{text}<br>%{x:.1f} % of MACs<br>CLIP score %{y:.2f}<extra></extra>",
        **more,
    )
