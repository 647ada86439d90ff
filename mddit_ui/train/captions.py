"""The caption grammar of scenes: what may be said, how it is said, and how it is read back.

A scene is one to nine things at distinct places on a coloured ground. `caption` writes it as one English sentence,
`parse_caption` is its inverse, and `hard_negatives` are the sentences that are wrong in exactly one attribute.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from mddit_ui.metrics import negatives

SHAPES = ("ball", "square", "triangle", "star", "heart", "ring")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
SIZES = ("small", "large")
PLACES = (
    "at the top left",
    "at the top",
    "at the top right",
    "on the left",
    "in the center",
    "on the right",
    "at the bottom left",
    "at the bottom",
    "at the bottom right",
)
GROUNDS = ("teal", "gray", "black", "brown", "navy", "cream")
ATTRIBUTES = {"shape": SHAPES, "colour": COLOURS, "size": SIZES, "place": PLACES}
TEMPLATE = "a {size} {colour} {shape} {place} [and a ...] on a {ground} background"
HOLDOUT_ONE_IN = 20  # of all scenes; these are never trained on


@dataclass(frozen=True)
class Thing:
    """One object of a scene, in the words of the grammar."""

    shape: str
    colour: str
    size: str
    place: str

    def phrase(self) -> str:
        return f"a {self.size} {self.colour} {self.shape} {self.place}"


@dataclass(frozen=True)
class Scene:
    """Things in the order in which the caption names them, and the ground they lie on."""

    things: tuple[Thing, ...]
    ground: str

    def caption(self) -> str:
        return " and ".join(thing.phrase() for thing in self.things) + f" on a {self.ground} background"

    def in_reading_order(self) -> Scene:
        """The same picture, its things named row by row: equal scenes have equal captions here."""
        return replace(self, things=tuple(sorted(self.things, key=lambda thing: PLACES.index(thing.place))))

    def is_held_out(self) -> bool:
        """True for the scenes that no training stream may show, whatever the order of their things."""
        digest = hashlib.sha256(self.in_reading_order().caption().encode()).digest()
        return int.from_bytes(digest[:4], "big") % HOLDOUT_ONE_IN == 0


class CaptionError(ValueError):
    """A sentence that the grammar does not contain."""


def parse_caption(text: str) -> Scene:
    """Read a caption back into its scene; the inverse of `Scene.caption`.

    Case and extra spaces do not matter. Raises CaptionError, which names the part that was not understood.
    """
    sentence = " ".join(text.lower().split())
    for ground in GROUNDS:
        head, found, tail = sentence.rpartition(f" on a {ground} background")
        if found and not tail:
            break
    else:
        raise CaptionError(f"expected an ending like 'on a teal background' ({', '.join(GROUNDS)}), got {text!r}")
    things = tuple(_parse_thing(phrase) for phrase in head.split(" and "))
    if len({thing.place for thing in things}) < len(things):
        raise CaptionError(f"two things at one place in {text!r}; give each its own")
    return Scene(things, ground)


def _parse_thing(phrase: str) -> Thing:
    words = phrase.split(" ", 4)
    if len(words) != 5 or words[0] != "a":
        raise CaptionError(f"expected a phrase like 'a large red heart at the top left', got {phrase!r}")
    _, size, colour, shape, place = words
    for name, word in {"shape": shape, "colour": colour, "size": size, "place": place}.items():
        if word not in ATTRIBUTES[name]:
            raise CaptionError(f"{word!r} in {phrase!r} is no {name}; known: {', '.join(ATTRIBUTES[name])}")
    return Thing(shape, colour, size, place)


def hard_negatives(caption: str, count: int | None = None, rng: np.random.Generator | None = None) -> list[str]:
    """Distinct captions that differ from `caption` in exactly one attribute of one thing, or in the ground.

    All of them without `count`; else `count` of them drawn by `rng`, spread evenly over the kinds of attribute.
    One thing alone has 26. A place is only changed for a free one, so that every negative is a legal scene.
    """
    return negatives.hard_negatives({**ATTRIBUTES, "ground": GROUNDS}, caption, count, rng)


def sample_scene(rng: np.random.Generator, fewest: int = 1, most: int = 3) -> Scene:
    """A random scene of `fewest` to `most` things, held out or not."""
    count = int(rng.integers(fewest, most + 1))
    places = rng.permutation(len(PLACES))[:count]
    draws = rng.integers(0, (len(SHAPES), len(COLOURS), len(SIZES)), size=(count, 3))
    things = tuple(
        Thing(SHAPES[shape], COLOURS[colour], SIZES[size], PLACES[place])
        for (shape, colour, size), place in zip(draws, places, strict=True)
    )
    return Scene(things, GROUNDS[int(rng.integers(len(GROUNDS)))])


def training_scenes(rng: np.random.Generator, fewest: int = 1, most: int = 3) -> Iterator[Scene]:
    """Endless scenes to train on: those held out are passed over."""
    while True:
        scene = sample_scene(rng, fewest, most)
        if not scene.is_held_out():
            yield scene


def heldout_scenes(rng: np.random.Generator, count: int) -> list[Scene]:
    """`count` different scenes that no training stream contains."""
    found: dict[str, Scene] = {}
    while len(found) < count:
        scene = sample_scene(rng)
        if scene.is_held_out():
            found.setdefault(scene.in_reading_order().caption(), scene)
    return list(found.values())


def class_scenes() -> list[Scene]:
    """The scene of each class of a class-conditional model: every shape in every colour, one large thing in the center.

    Grounds take turns; one that would make a held-out scene is passed over.
    """
    found = []
    for number in range(len(SHAPES) * len(COLOURS)):
        shape, colour = SHAPES[number // len(COLOURS)], COLOURS[number % len(COLOURS)]
        thing = Thing(shape, colour, "large", "in the center")
        turns = (GROUNDS[(number + number // len(COLOURS) + turn) % len(GROUNDS)] for turn in range(len(GROUNDS)))
        found.append(next(scene for ground in turns if not (scene := Scene((thing,), ground)).is_held_out()))
    return found


def codes(scene: Scene) -> np.ndarray:
    """What lies where, as numbers: (9, 3) int64 of shape, colour and size per place, 0 = nothing there."""
    table = np.zeros((len(PLACES), 3), np.int64)
    for thing in scene.things:
        row = SHAPES.index(thing.shape), COLOURS.index(thing.colour), SIZES.index(thing.size)
        table[PLACES.index(thing.place)] = np.add(row, 1)
    return table


def known_words() -> list[str]:
    """All words of the grammar, sorted."""
    text = " ".join(("a and on background", *GROUNDS, *(word for words in ATTRIBUTES.values() for word in words)))
    return sorted(set(text.split()))
