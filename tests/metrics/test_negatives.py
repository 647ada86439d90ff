"""Hard negatives from a grammar as data are the scenes that are wrong in one attribute."""

import json

import numpy as np
import pytest

from mddit_ui.core.errors import ConfigError
from mddit_ui.core.paths import MODELS, PROMPTS
from mddit_ui.metrics.negatives import hard_negatives
from mddit_ui.train.captions import parse_caption
from mddit_ui.train.judge import mistaken_attribute

ATTRIBUTES = json.loads((MODELS / "scenes-pixart" / "grammar.json").read_text())["attributes"]


def test_by_hand():
    words = {"colour": ("red", "blue"), "place": ("at the top", "at the top left", "below")}
    caption = "a red cup at the top left and a blue cup below"
    assert hard_negatives(words, caption) == [
        "a blue cup at the top left and a blue cup below",
        "a red cup at the top left and a red cup below",
        "a red cup at the top and a blue cup below",
        "a red cup at the top left and a blue cup at the top",
    ]


def test_of_a_scene_they_are_the_scenes_that_are_wrong_in_one_attribute():
    words = sum(len(each) - 1 for name, each in ATTRIBUTES.items() if name not in ("place", "ground"))
    for number, caption in enumerate(json.loads((PROMPTS / "holdout.json").read_text())[:200]):
        things = len(parse_caption(caption).things)
        found = hard_negatives(ATTRIBUTES, caption)
        assert len({*found, caption}) == 1 + things * (words + 9 - things) + 5
        assert "nothing" not in {mistaken_attribute(caption, text) for text in found}
        drawn = hard_negatives(ATTRIBUTES, caption, 15, np.random.default_rng(number))
        assert {mistaken_attribute(caption, text) for text in drawn} == set(ATTRIBUTES)
        assert set(drawn) <= set(found)


def test_too_many_are_refused():
    with pytest.raises(ConfigError, match="only 1"):
        hard_negatives({"colour": ("red", "blue")}, "a red cup", 2)
