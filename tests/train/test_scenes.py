"""The renderer: determinism, and that a picture shows what its caption says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mddit_ui.train import scenes
from mddit_ui.train.captions import COLOURS, GROUNDS, PLACES, SHAPES, Scene, Thing, sample_scene
from mddit_ui.train.scenes import JITTER, PALETTE, centre_of, render

BALL = Scene((Thing("ball", "red", "large", "in the center"),), "gray")


def with_(scene: Scene, **words: str) -> Scene:
    return replace(scene, things=(replace(scene.things[0], **words),))


def test_same_scene_and_seed_same_picture_other_seed_another():
    assert render(BALL, 3).shape == (128, 128, 3)
    assert render(BALL, 3).dtype == np.uint8
    assert np.array_equal(render(BALL, 3), render(BALL, 3))
    assert any(not np.array_equal(render(BALL, 3), render(BALL, seed)) for seed in range(4, 8))


def test_the_order_of_words_does_not_change_the_picture():
    scene = sample_scene(np.random.default_rng(1), 3, 3)
    assert np.array_equal(render(scene, 0), render(replace(scene, things=scene.things[::-1]), 0))


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("place", PLACES)
def test_the_colour_is_at_the_place(colour: str, place: str):
    """The palette's colour nearest to the middle of a square is the one named: its face is flat and fully lit."""
    picture = render(with_(BALL, shape="square", colour=colour, place=place), 0).astype(float)
    row, column = centre_of(place)
    middle = picture[row - 2 : row + 3, column - 2 : column + 3].mean((0, 1))
    hue = middle / middle.max()
    nearest = min(PALETTE, key=lambda name: np.abs(hue - np.divide(PALETTE[name], max(PALETTE[name]))).sum())
    assert nearest == colour


@pytest.mark.parametrize("ground", GROUNDS)
def test_the_ground_shows_and_nothing_else_is_drawn_far_from_the_thing(ground: str):
    empty = render(Scene((), ground), 0).astype(int)
    picture = render(replace(BALL, ground=ground), 0).astype(int)
    changed = np.argwhere(np.abs(picture - empty).sum(-1) > 6)
    assert len(changed) > 500
    assert np.abs(changed - 64).max() < 18.4 + JITTER + 14  # radius, jitter, shadow


def test_places_are_where_they_say():
    found = {}
    for place in PLACES:
        difference = np.abs(render(with_(BALL, place=place), 0).astype(int) - render(Scene((), "gray"), 0)).sum(-1)
        found[place] = np.argwhere(difference > 90).mean(0)
    assert all(np.abs(found[place] - centre_of(place)).max() < JITTER + 2 for place in PLACES)
    assert found["at the top"][0] < found["in the center"][0] < found["at the bottom"][0]
    assert found["on the left"][1] < found["in the center"][1] < found["on the right"][1]


def test_large_is_larger_than_small():
    def area(size: str, shape: str) -> int:
        scene = with_(BALL, size=size, shape=shape, colour="white")
        return int((render(replace(scene, ground="black"), 0).max(-1) > 70).sum())

    assert all(area("large", shape) > 1.8 * area("small", shape) for shape in SHAPES)


def test_every_shape_looks_different():
    pictures = [render(with_(BALL, shape=shape), 0).astype(float) for shape in SHAPES]
    gaps = [np.abs(a - b).mean() for i, a in enumerate(pictures) for b in pictures[:i]]
    assert min(gaps) > 0.5


def test_sprites_are_made_once():
    drawn = [(sample_scene(np.random.default_rng(index)), index) for index in range(100)]
    pictures = [render(*each) for each in drawn]
    made = scenes._sprite.cache_info().misses
    assert made <= len(SHAPES) * len(scenes.RADIUS) * len(scenes.SCALES)
    assert all((render(*each) == picture).all() for each, picture in zip(drawn, pictures, strict=True))
    assert scenes._sprite.cache_info().misses == made
