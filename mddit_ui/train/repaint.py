"""Writes the inpainting test set of scenes, `python -m mddit_ui.train.repaint`: one thing of each picture is to change.

A held-out caption says what should be there; the picture given shows another thing at one of its places, and the mask
lies around that place. The truth is known: the same scene rendered as the caption has it.
"""

from __future__ import annotations

import argparse
import io
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mddit_ui.core.paths import atomic_write
from mddit_ui.train.captions import COLOURS, SHAPES, Scene, heldout_scenes
from mddit_ui.train.prompts import SEED
from mddit_ui.train.scenes import JITTER, RADIUS, SCALES, SIZE, centre_of, render

COUNT = 64
SHADOW = 7  # pixels that a shadow reaches beyond its thing


class Repaint(NamedTuple):
    """A picture, where to paint, what, and how it should look; pictures (128, 128, 3) uint8."""

    image: np.ndarray
    mask: np.ndarray  # (128, 128) bool
    caption: str
    truth: np.ndarray


def repaints(count: int, seed: int = SEED) -> list[Repaint]:
    rng = np.random.default_rng((seed, 5))
    return [repaint(scene, rng) for scene in heldout_scenes(rng, count)]


def repaint(wanted: Scene, rng: np.random.Generator) -> Repaint:
    """Another thing in one place of a scene, of other shape and colour."""
    index = int(rng.integers(len(wanted.things)))
    thing = wanted.things[index]
    other = replace(
        thing,
        shape=str(rng.choice([shape for shape in SHAPES if shape != thing.shape])),
        colour=str(rng.choice([colour for colour in COLOURS if colour != thing.colour])),
    )
    given = replace(wanted, things=(*wanted.things[:index], other, *wanted.things[index + 1 :]))
    seed = int(rng.integers(2**31))  # of the same jitter in both pictures
    row, column = centre_of(thing.place)
    reach = round(RADIUS[thing.size] * max(SCALES)) + JITTER + SHADOW
    mask = np.zeros((SIZE, SIZE), bool)
    mask[max(row - reach, 0) : row + reach, max(column - reach, 0) : column + reach] = True
    image = render(given, seed)
    truth = np.where(mask[..., None], render(wanted, seed), image)  # the faint end of a shadow may lie outside
    return Repaint(image, mask, wanted.caption(), truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", type=Path, default=Path("assets/prompts/repaint.npz"))
    parser.add_argument("--count", type=int, default=COUNT)
    args = parser.parse_args()
    tasks = repaints(args.count)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        allow_pickle=False,
        images=np.stack([task.image for task in tasks]),
        masks=np.stack([task.mask for task in tasks]),
        captions=np.array([task.caption for task in tasks]),
        truths=np.stack([task.truth for task in tasks]),
    )
    atomic_write(args.target, buffer.getvalue())
    print(f"{len(tasks)} pictures to repaint in {args.target}, {len(buffer.getvalue()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
