"""The pictures of scenes: soft, shaded things with shadows on a lit ground, 128 x 128.

Every thing is cut from a signed distance field: its sign gives the outline, its depth a rounded height whose normals
give shading and highlight. Sprites are made once and kept, so that a picture is a few blends.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from mddit_ui.train.captions import COLOURS, GROUNDS, PLACES, Scene, Thing

SIZE = 128  # pixels a side
CENTRES = (25, 64, 103)  # of the three rows and columns of places, in pixels
RADIUS = {"small": 10.5, "large": 17.5}  # pixels
SCALES = (0.95, 1.0, 1.05)  # the jitter of size
JITTER = 3  # pixels, each way
SPRITE = 64  # pixels a side, shadow included
OVERSAMPLE = 4

PALETTE = dict(
    zip(
        COLOURS,
        [(224, 49, 56), (245, 134, 32), (252, 208, 48), (48, 168, 84),
         (44, 110, 238), (138, 72, 206), (247, 128, 180), (244, 245, 248)],
        strict=True,
    )
)  # fmt: skip
GROUND_PALETTE = dict(
    zip(
        GROUNDS,
        [(22, 112, 116), (134, 138, 146), (26, 27, 32), (112, 74, 48), (28, 40, 104), (244, 231, 203)],
        strict=True,
    )
)
LIGHT = np.array([-0.42, -0.58, 0.70])  # towards the lamp: left, up, out of the picture


def render(scene: Scene, seed: int | np.random.Generator = 0) -> np.ndarray:
    """The picture of a scene, (128, 128, 3) uint8; the same scene and seed give the same picture.

    The seed only moves each thing by up to 3 pixels and changes its size by up to 5 %.
    """
    rng = np.random.default_rng(seed)
    canvas = _ground(scene.ground).copy()
    ordered = scene.in_reading_order().things
    shifts = rng.integers(-JITTER, JITTER + 1, size=(len(ordered), 2))
    scales = rng.integers(0, len(SCALES), size=len(ordered))
    spots = [_spot(thing, shift) for thing, shift in zip(ordered, shifts, strict=True)]
    cut = [_sprite(thing.shape, thing.size, int(scale)) for thing, scale in zip(ordered, scales, strict=True)]
    for (rows, columns, inside), (shadow, _, _, _) in zip(spots, cut, strict=True):
        canvas[rows, columns] *= 1.0 - shadow[inside]
    for thing, (rows, columns, inside), (_, alpha, tint, gloss) in zip(ordered, spots, cut, strict=True):
        colour = np.asarray(PALETTE[thing.colour], np.float32)
        paint = tint[inside] * colour + gloss[inside]
        canvas[rows, columns] += alpha[inside] * (paint - canvas[rows, columns])
    return np.clip(canvas + 0.5, 0, 255).astype(np.uint8)


def centre_of(place: str) -> tuple[int, int]:
    """Row and column of the middle of a place, in pixels."""
    index = PLACES.index(place)
    return CENTRES[index // 3], CENTRES[index % 3]


def _spot(thing: Thing, shift: np.ndarray) -> tuple[slice, slice, tuple[slice, slice]]:
    """Where a sprite lands: rows and columns of the canvas, and the part of the sprite that is inside."""
    target, source = [], []
    for middle in np.add(centre_of(thing.place), shift).tolist():
        first = middle - SPRITE // 2
        start, stop = max(first, 0), min(first + SPRITE, SIZE)
        target.append(slice(start, stop))
        source.append(slice(start - first, stop - first))
    return target[0], target[1], (source[0], source[1])


@cache
def _ground(name: str) -> np.ndarray:
    """An empty ground, (128, 128, 3) float32 of 0..255: lit from the upper left, darker towards the far corner."""
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / (SIZE - 1)
    light = 1.06 - 0.10 * y - 0.05 * x - 0.10 * ((x - 0.45) ** 2 + (y - 0.4) ** 2)
    return np.clip(light[..., None] * np.asarray(GROUND_PALETTE[name], np.float32), 0, 255)


@cache
def _sprite(shape: str, size: str, scale: int) -> tuple[np.ndarray, ...]:
    """Shadow, coverage, tint and gloss of a shape, each (64, 64, 1) float32; colour comes later."""
    radius = RADIUS[size] * SCALES[scale]
    n = SPRITE * OVERSAMPLE
    axis = (np.arange(n, dtype=np.float32) + 0.5) / OVERSAMPLE - SPRITE / 2
    x, y = np.meshgrid(axis, axis)
    depth = -_distance(shape, x / radius, y / radius) * radius  # pixels inside the outline
    coverage = np.clip(depth * 1.0 + 0.5, 0, 1)  # one pixel of soft edge

    bevel = radius * {"ball": 1.0, "ring": 0.30}.get(shape, 0.42)
    rise = np.clip(depth / bevel, 0, 1)
    height = bevel * np.sqrt(1.0001 - (1 - rise) ** 2)
    if shape != "ball":
        height = _blur(height, 0.06 * radius * OVERSAMPLE)  # no creases
    slope_y, slope_x = np.gradient(height, 1 / OVERSAMPLE)
    normal = np.stack([-slope_x, -slope_y, np.ones_like(height)], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    lamp = LIGHT / np.linalg.norm(LIGHT)
    halfway = lamp + np.array([0, 0, 1])
    lambert = np.clip(normal @ lamp, 0, 1)
    shine = np.clip(normal @ (halfway / np.linalg.norm(halfway)), 0, 1) ** 22

    shadow = 0.42 * np.roll(_blur(coverage, 2.6 * OVERSAMPLE), (4 * OVERSAMPLE, 3 * OVERSAMPLE), (0, 1))
    return tuple(_shrink(plane) for plane in (shadow, coverage, 0.52 + 0.56 * lambert, 62 * shine))


def _distance(shape: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Signed distance to the outline of a shape of radius 1, negative inside."""
    if shape == "ball":
        return np.hypot(x, y) - 0.95
    if shape == "ring":
        return np.abs(np.hypot(x, y) - 0.68) - 0.30
    corners, rounding = _outline(shape)
    return _polygon_distance(corners, x, y) - rounding


def _outline(shape: str) -> tuple[np.ndarray, float]:
    """Corners (n, 2) of a shape of radius 1, and how much it is grown to round them."""
    turn = np.pi / 180
    if shape == "square":
        return 0.70 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]), 0.14
    if shape == "triangle":
        angles = np.array([-90, 30, 150]) * turn
        return 0.90 * np.stack([np.cos(angles), np.sin(angles)], 1) + (0, 0.18), 0.14
    if shape == "star":
        angles = (np.arange(10.0) * 36 - 90) * turn
        reach = np.where(np.arange(10) % 2 == 0, 0.98, 0.44)[:, None]
        return reach * np.stack([np.cos(angles), np.sin(angles)], 1) + (0, 0.05), 0.09
    if shape == "heart":
        t = np.linspace(0, 2 * np.pi, 49)[:-1]
        wide = 16 * np.sin(t) ** 3
        tall = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
        return np.stack([wide, tall], 1) / 18.5 + (0, 0.02), 0.09
    raise ValueError(f"expected a shape of the grammar, got {shape!r}")


def _polygon_distance(corners: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Signed distance to a closed polygon: nearest edge, and even-odd crossings for the sign."""
    nearest = np.full(x.shape, np.inf)
    inside = np.zeros(x.shape, bool)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, 0), strict=True):
        ex, ey = bx - ax, by - ay
        along = np.clip(((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey), 0, 1)
        nearest = np.minimum(nearest, np.hypot(x - ax - along * ex, y - ay - along * ey))
        if ay != by:
            inside ^= ((ay > y) != (by > y)) & (x < ax + ex * (y - ay) / ey)
    return np.where(inside, -nearest, nearest)


def _blur(plane: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur along both axes; the edges of the sprite are empty, so zero padding is right."""
    reach = int(3 * sigma) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        plane = np.apply_along_axis(np.convolve, axis, plane, kernel, "same")
    return plane


def _shrink(plane: np.ndarray) -> np.ndarray:
    """Mean over the oversampled pixels, (n k, n k) to (n, n, 1) float32."""
    blocks = plane.reshape(SPRITE, OVERSAMPLE, SPRITE, OVERSAMPLE)
    return blocks.mean((1, 3), dtype=np.float64).astype(np.float32)[..., None]
