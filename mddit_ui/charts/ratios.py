"""Token routing: how many tokens each block keeps in each part of a run, and which patches they are."""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from mddit_ui.charts import style
from mddit_ui.charts.cells import marks

READ_RATIOS = (
    "Share of the tokens that each block keeps, by region of the noise schedule: a run goes from left (noise) to right "
    "(picture). Pale is where the model has learned to leave tokens out."
)
READ_TOKENS = (
    "One small map a block, patches where they lie in the picture: dark patches went through the block at this step, "
    "pale ones passed by. Play goes through the steps."
)
GAP = 1  # patches between the maps


class RatiosInfo(NamedTuple):
    """``values`` (blocks, regions) kept ratios; ``regions`` and ``labels`` say which; ``mean`` of all of them."""

    values: np.ndarray
    regions: tuple[str, ...]
    labels: tuple[str, ...]
    mean: float

    @property
    def by_region(self) -> np.ndarray:
        """(regions,) mean over the blocks: the paper's pattern is one that rises from noise to picture."""
        return self.values.mean(0)


class TokensInfo(NamedTuple):
    """``maps`` (steps, height, width): the blocks' maps side by side, NaN between them.

    Args:
        corners: (blocks, 2) row and column of each map's first patch.
        side: (rows, columns) of patches in a map.
        shares: (steps, blocks) of the patches that were kept.
    """

    maps: np.ndarray
    corners: np.ndarray
    side: tuple[int, int]
    labels: tuple[str, ...]
    shares: np.ndarray


def ratios_info(ratios: np.ndarray, edges: tuple[float, ...], labels: tuple[str, ...]) -> RatiosInfo:
    """From (blocks, regions) ratios and the timesteps between the regions, noisiest first."""
    regions = tuple(f"{high:g}-{low:g}" for high, low in pairwise(edges))
    values = np.asarray(ratios, float)
    return RatiosInfo(values, regions, tuple(labels), float(values.mean()))


def ratios_figure(info: RatiosInfo, dark: bool) -> go.Figure:
    blocks, regions = info.values.shape
    figure = style.figure(dark, height=320)
    figure.add_heatmap(
        z=info.values.tolist(),
        x=list(range(regions)),
        y=list(range(blocks)),
        text=[[f"block {label}, t = {region}" for region in info.regions] for label in info.labels],
        hovertemplate="%{text}<br>keeps %{z:.0%} of the tokens<extra></extra>",
        colorscale=style.scale(style.palette(dark).macs),
        zmin=0.3,
        zmax=1.0,
        xgap=1,
        ygap=1,
        colorbar={**style.COLORBAR, "tickformat": ".0%", "title": {**style.COLORBAR["title"], "text": "kept"}},
    )
    figure.update_xaxes(
        title_text="timesteps", showgrid=False, tickvals=list(range(regions)), ticktext=list(info.regions), tickangle=0
    )
    places = marks(blocks)
    figure.update_yaxes(
        title_text="block", showgrid=False, tickvals=places, ticktext=[info.labels[place] for place in places]
    )
    return figure


def tokens_info(kept: np.ndarray, labels: tuple[str, ...]) -> TokensInfo:
    """From (steps, blocks, rows, columns): which patches each cell kept."""
    kept = np.asarray(kept, float)
    steps, blocks, rows, columns = kept.shape
    across = int(np.ceil(np.sqrt(2 * blocks)))  # twice as wide as high
    down = -(-blocks // across)
    maps = np.full((steps, down * (rows + GAP) - GAP, across * (columns + GAP) - GAP), np.nan)
    corners = np.array([(block // across * (rows + GAP), block % across * (columns + GAP)) for block in range(blocks)])
    for block, (top, left) in enumerate(corners):
        maps[:, top : top + rows, left : left + columns] = kept[:, block]
    return TokensInfo(maps, corners, (rows, columns), tuple(labels), kept.mean((2, 3)))


def tokens_figure(info: TokensInfo, dark: bool) -> go.Figure:
    """A map for each block; a slider and a button go through the steps."""
    colours = style.palette(dark)
    names = [str(step) for step in range(len(info.maps))]
    figure = style.figure(dark, height=420)
    figure.add_heatmap(**_drawn(info, 0), colorscale=style.scale(colours.macs), zmin=0, zmax=1, showscale=False)
    figure.frames = [
        go.Frame(name=name, data=[go.Heatmap(**_drawn(info, step))], traces=[0]) for step, name in enumerate(names)
    ]
    for (top, left), label in zip(info.corners.tolist(), info.labels, strict=True):
        figure.add_annotation(
            x=left - 0.5, y=top - 0.5, text=label, showarrow=False, xanchor="left", yanchor="bottom",
            font={"size": 10, "color": colours.ink_faint},
        )  # fmt: skip
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x")
    moving: dict[str, Any] = {"mode": "immediate", "transition": {"duration": 0}}
    steps = [
        {"label": name, "method": "animate", "args": [[name], {**moving, "frame": {"duration": 0}}]} for name in names
    ]
    play = {"label": "Play", "method": "animate", "args": [names, {**moving, "frame": {"duration": 250}}]}
    figure.update_layout(
        margin={"l": 8, "r": 12, "t": 20, "b": 8},
        sliders=[{"steps": steps, "currentvalue": {"prefix": "step "}, "pad": {"t": 8}, "len": 0.86, "x": 0.14}],
        updatemenus=[
            {"type": "buttons", "buttons": [play], "x": 0, "y": 0, "xanchor": "left", "yanchor": "top",
             "pad": {"t": 16}, "showactive": False}
        ],
    )  # fmt: skip
    return figure


def _drawn(info: TokensInfo, step: int) -> dict[str, Any]:
    texts = np.full(info.maps.shape[1:], "", object)
    rows, columns = info.side
    for (top, left), label, share in zip(info.corners.tolist(), info.labels, info.shares[step], strict=True):
        texts[top : top + rows, left : left + columns] = f"step {step}, block {label}: {share:.0%} kept"
    return {
        "z": [[None if np.isnan(value) else float(value) for value in row] for row in info.maps[step]],
        "text": texts.tolist(),
        "hovertemplate": "%{text}<extra></extra>",
        "hoverongaps": False,
    }
