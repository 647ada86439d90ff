"""The caption grammar: round trip, hard negatives, hold-out."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mddit_ui.core.errors import ConfigError
from mddit_ui.train.captions import (
    COLOURS,
    GROUNDS,
    PLACES,
    SHAPES,
    SIZES,
    CaptionError,
    Scene,
    Thing,
    codes,
    hard_negatives,
    heldout_scenes,
    known_words,
    parse_caption,
    sample_scene,
    training_scenes,
)  # fmt: skip
from mddit_ui.train.judge import mistaken_attribute
from mddit_ui.train.prompts import holdout_captions, search_captions


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    places = draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=9, unique=True))
    words = st.tuples(st.sampled_from(SHAPES), st.sampled_from(COLOURS), st.sampled_from(SIZES))
    return Scene(tuple(Thing(*draw(words), place) for place in places), draw(st.sampled_from(GROUNDS)))


@given(scenes())
def test_a_caption_reads_back_as_its_scene(scene: Scene):
    assert parse_caption(scene.caption()) == scene
    assert parse_caption(f"  {scene.caption().upper()} ") == scene


@given(scenes())
def test_captions_use_known_words_only(scene: Scene):
    assert set(scene.caption().split()) <= set(known_words())


def test_the_example_of_the_design_is_in_the_grammar():
    text = "a large red heart at the top left and a small blue ring in the center on a teal background"
    heart = Thing("heart", "red", "large", "at the top left")
    ring = Thing("ring", "blue", "small", "in the center")
    assert parse_caption(text) == Scene((heart, ring), "teal")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a large red heart at the top left", "background"),
        ("a large red cube at the top left on a teal background", "cube"),
        ("a large red heart on a teal background", "phrase"),
        ("a large red ball at the top and a small blue ring at the top on a teal background", "one place"),
    ],
)
def test_other_sentences_are_refused_by_name(text: str, named: str):
    with pytest.raises(CaptionError, match=named):
        parse_caption(text)


def differences(one: Scene, two: Scene) -> int:
    pairs = list(zip(one.things, two.things, strict=True))
    words = sum(getattr(a, name) != getattr(b, name) for a, b in pairs for name in ("shape", "colour", "size", "place"))
    return words + (one.ground != two.ground)


@given(scenes())
def test_hard_negatives_change_one_attribute_and_are_distinct_scenes(scene: Scene):
    negatives = [parse_caption(text) for text in hard_negatives(scene.caption())]
    assert all(differences(scene, other) == 1 for other in negatives)
    pictures = {other.in_reading_order().caption() for other in (scene, *negatives)}
    assert len(pictures) == len(negatives) + 1
    things, free = len(scene.things), len(PLACES) - len(scene.things)
    assert len(negatives) == things * (5 + 7 + 1 + free) + 5


@given(scenes(), st.integers(0, 2**32))
def test_drawn_hard_negatives_are_some_of_all(scene: Scene, seed: int):
    drawn = hard_negatives(scene.caption(), 15, np.random.default_rng(seed))
    assert len(set(drawn)) == 15
    assert set(drawn) <= set(hard_negatives(scene.caption()))
    assert drawn == hard_negatives(scene.caption(), 15, np.random.default_rng(seed))


def test_drawn_hard_negatives_are_of_every_kind():
    caption = "a large red heart at the top left on a teal background"
    kinds = {mistaken_attribute(caption, text) for text in hard_negatives(caption, 15, np.random.default_rng(0))}
    assert kinds == {"shape", "colour", "size", "place", "ground"}


def test_asking_for_more_hard_negatives_than_there_are_fails():
    with pytest.raises(ConfigError, match="26"):
        hard_negatives("a large red heart at the top left on a teal background", 27)


@given(scenes())
def test_hold_out_does_not_depend_on_the_order_of_things(scene: Scene):
    assert scene.is_held_out() == replace(scene, things=scene.things[::-1]).is_held_out()


def test_training_never_sees_what_is_held_out():
    rng = np.random.default_rng(3)
    held = {scene.in_reading_order().caption() for scene in heldout_scenes(rng, 300)}
    shown = {scene.in_reading_order().caption() for scene in islice(training_scenes(rng, 1, 1), 5000)}
    assert not shown & held
    words = product(SHAPES, COLOURS, SIZES, PLACES, GROUNDS)
    single = [Scene((Thing(*thing),), ground) for *thing, ground in words]
    assert not {scene.caption() for scene in single if scene.is_held_out()} & shown
    share = np.mean([scene.is_held_out() for scene in single])
    assert 0.04 < share < 0.06
    assert len(shown) > 2000  # the stream is a stream, not a few scenes


def test_prompt_lists_are_fixed_apart_and_rightly_held_out():
    search, holdout = search_captions(), holdout_captions()
    assert len(set(search)) == 64
    assert len(set(holdout)) == 500
    assert all(parse_caption(text).is_held_out() for text in holdout)
    assert not any(parse_caption(text).is_held_out() for text in search)


def test_codes_say_what_lies_where():
    scene = Scene((Thing("ring", "orange", "large", "on the right"),), "gray")
    table = codes(scene)
    assert table.shape == (9, 3)
    assert table.sum() == table[5].sum()
    assert table[5].tolist() == [SHAPES.index("ring") + 1, COLOURS.index("orange") + 1, SIZES.index("large") + 1]


def test_sampled_scenes_have_the_asked_number_of_things():
    rng = np.random.default_rng(0)
    counts = {len(sample_scene(rng, 2, 4).things) for _ in range(200)}
    assert counts == {2, 3, 4}
