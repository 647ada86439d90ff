"""Help with captions: unknown words are named, the builder writes captions of the grammar."""

import pytest

from mddit_ui.core.records import ClassLabel, ModelSpec
from mddit_ui.ui import captions

GRAMMAR = {
    "template": "a {size} {colour} {shape} {place} [and a ...] on a {ground} background",
    "attributes": {
        "shape": ["ball", "star"],
        "colour": ["red", "blue"],
        "size": ["small", "large"],
        "place": ["on the left", "at the top"],
        "ground": ["teal", "gray"],
    },
    "words": "a and on background ball star red blue small large the left at top teal gray".split(),
    "examples": ["a large red ball on the left on a teal background"],
}
SCENES = ModelSpec(id="scenes", source="scenes", grammar=GRAMMAR)
OPEN = ModelSpec(id="open", source="a/b")
CHOICE = {"shape": "star", "colour": "blue", "size": "small", "place": "at the top", "ground": "gray"}


def test_unknown_words_are_named_once_and_in_order() -> None:
    assert captions.unknown_words(SCENES, "a red FOX and a fox, in snow 7") == ["fox", "in", "snow", "7"]
    assert captions.unknown_words(OPEN, "a red fox") == []
    assert "fox" in captions.warning(SCENES, "a fox")
    assert captions.warning(SCENES, "a large red ball") == ""


def test_a_warning_stays_short() -> None:
    assert len(captions.warning(SCENES, " ".join(f"word{'x' * 50}{chr(97 + i)}" for i in range(26)))) < 400


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "a small blue star at the top on a gray background"),
        (
            "a large red ball on the left on a teal background",
            "a large red ball on the left and a small blue star at the top on a gray background",
        ),
        (
            "a large red ball on the left",
            "a large red ball on the left and a small blue star at the top on a gray background",
        ),
    ],
)
def test_the_builder_adds_a_thing_and_keeps_the_ground_last(before: str, after: str) -> None:
    assert captions.add_thing(SCENES, before, CHOICE) == after
    assert captions.unknown_words(SCENES, after) == []


def test_examples_fit_the_model() -> None:
    assert captions.examples(SCENES) == GRAMMAR["examples"]
    assert captions.examples(OPEN)
    assert all(text.isdecimal() for text in captions.examples(ModelSpec(id="c", source="c", conditioning="class")))


def test_search_prompts_hold_known_words_only() -> None:
    assert all(not captions.unknown_words(SCENES, text) for text in captions.search_prompts(SCENES, 50))


def test_a_model_of_classes_offers_their_names():
    labels = tuple(ClassLabel(name=f"thing {number}") for number in range(48))
    spec = ModelSpec(id="m", source="m", conditioning="class", classes=labels)
    found = captions.examples(spec, 4)
    assert found == captions.search_prompts(spec, 4) == ["thing 0", "thing 12", "thing 24", "thing 36"]
    assert captions.examples(ModelSpec(id="m", source="m", conditioning="class"), 2) == ["207", "88"]
