"""Token routing: how many tokens each block keeps in each part of a run, and which patches they are."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from mddit_ui.charts import style
from mddit_ui.charts.cells import marks

READ_RATIOS = (
    "Share of the tokens that each block keeps, by region of the noise schedule: a run goes from left (noise) to right "
    "(picture), and the fainter a cell, the more tokens the model has learned to leave out."
)
READ_TOKENS = (
    "The picture once for each block: what is clear went through the block at this step, veiled patches passed by; "
    "where the grid caches or skips a block, all is veiled."
)
GAPS = (2, 1)  # patches between the maps, down and across: a label stands above each


class RatiosInfo(NamedTuple):
    """``values`` (blocks, regions) kept ratios between the ``edges``; ``labels`` of the blocks; ``mean`` of all."""

    values: np.ndarray
    edges: tuple[float, ...]
    labels: tuple[str, ...]
    mean: float

    @property
    def regions(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(f"{high:g}-{low:g}" for high, low in pairwise(self.edges))

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
    values = np.asarray(ratios, float)
    return RatiosInfo(values, tuple(edges), tuple(labels), float(values.mean()))


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
        title_text="timestep",
        showgrid=False,
        tickvals=[place - 0.5 for place in range(regions + 1)],
        ticktext=[f"{edge:g}" for edge in info.edges],
        tickangle=0,
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
    high, wide = rows + GAPS[0], columns + GAPS[1]
    maps = np.full((steps, down * high - GAPS[0], across * wide - GAPS[1]), np.nan)
    corners = np.array([(block // across * high, block % across * wide) for block in range(blocks)])
    for block, (top, left) in enumerate(corners):
        maps[:, top : top + rows, left : left + columns] = kept[:, block]
    return TokensInfo(maps, corners, (rows, columns), tuple(labels), kept.mean((2, 3)))


def tokens_figure(info: TokensInfo, picture: str, dark: bool) -> go.Figure:
    """The picture once for each block, under a veil where patches passed by; one frame a step.

    Args:
        picture: URL of what lies under the maps: the picture at the place of each (`beneath`).
    """
    colours = style.palette(dark)
    _, rows, columns = info.maps.shape
    figure = style.figure(dark, height=380)
    veil = style.scale((style.faint(colours.surface, 0.86), style.faint(colours.surface, 0)))
    figure.add_heatmap(
        z=_plain(info.maps[0]),
        text=_words(info),
        hovertemplate="%{text}<br>kept by %{z:.0%} of the calls<extra></extra>",
        hoverongaps=False,
        colorscale=veil,
        zmin=0,
        zmax=1,
        showscale=False,
    )
    figure.frames = [
        go.Frame(name=f"step {step}", data=[{"type": "heatmap", "z": _plain(shown)}])
        for step, shown in enumerate(info.maps)
    ]
    for (top, left), label in zip(info.corners.tolist(), info.labels, strict=True):
        figure.add_annotation(
            x=left - 0.5, y=top - 0.5, text=label, showarrow=False, xanchor="left", yanchor="bottom",
            font={"size": 10.5, "color": colours.ink_faint},
        )  # fmt: skip
    figure.update_xaxes(visible=False, range=[-0.5, columns - 0.5], constrain="domain")
    figure.update_yaxes(visible=False, range=[rows - 0.5, -2], scaleanchor="x", constrain="domain")
    figure.add_layout_image(
        source=picture, x=-0.5, y=-0.5, xref="x", yref="y", sizex=columns, sizey=rows, sizing="stretch", layer="below"
    )
    figure.update_layout(margin={"l": 8, "r": 8, "t": 8, "b": 8})
    return figure


def beneath(info: TokensInfo, picture: np.ndarray) -> np.ndarray:
    """(h, w, 4) uint8 of what lies under the maps, from a picture (h, w, 3) whose sides are multiples of theirs."""
    _, rows, columns = info.maps.shape
    down, across = (size // count for size, count in zip(picture.shape[:2], info.side, strict=True))
    canvas = np.zeros((rows * down, columns * across, 4), np.uint8)
    for top, left in info.corners.tolist():
        place = canvas[top * down :, left * across :][: picture.shape[0], : picture.shape[1]]
        place[..., :3], place[..., 3] = picture, 255
    return canvas


def _plain(shown: np.ndarray) -> list[list[float | None]]:
    return [[None if np.isnan(value) else round(float(value), 2) for value in row] for row in shown]


def _words(info: TokensInfo) -> list[list[str]]:
    texts = np.full(info.maps.shape[1:], "", object)
    rows, columns = info.side
    for (top, left), label in zip(info.corners.tolist(), info.labels, strict=True):
        texts[top : top + rows, left : left + columns] = f"block {label}"
    return texts.tolist()
