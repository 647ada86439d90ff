"""Captions that are wrong in exactly one attribute: a picture that shows its caption likes none of them better.

They are made from the grammar of a model as data (its ``grammar.json``), so that nothing here knows what a scene is.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from mddit_ui.core.errors import ConfigError

Attributes = Mapping[str, Sequence[str]]  # {"shape": ("ball", ...), ..., "place": ("at the top", ...), ...}
NEGATIVES = 15  # so that chance is 1 / 16
DISTINCT = "place"  # no two things may share one


def hard_negatives(
    attributes: Attributes, caption: str, count: int | None = None, rng: np.random.Generator | None = None
) -> list[str]:
    """Distinct captions that differ from ``caption`` in one attribute.

    All of them without ``count``; else ``count`` of them drawn by ``rng``, spread evenly over the kinds of attribute.

    Raises:
        ConfigError: there are not that many.
    """
    groups = [_changed(caption, words, name == DISTINCT) for name, words in attributes.items()]
    if count is None:
        return [text for group in groups for text in group]
    rng = rng or np.random.default_rng(0)
    for group in groups:
        rng.shuffle(group)
    drawn: list[str] = []
    while len(drawn) < count:
        left = [group for group in groups if group]
        if not left:
            raise ConfigError(f"{caption!r} has only {len(drawn)} hard negatives, asked for {count}.")
        for index in rng.permutation(len(left))[: count - len(drawn)]:
            drawn.append(left[index].pop())
    return drawn


def _changed(caption: str, words: Sequence[str], distinct: bool) -> list[str]:
    """The caption with one of the words replaced by another one, wherever one of them stands."""
    longest_first = sorted(words, key=len, reverse=True)
    spots = list(re.finditer(r"\b(" + "|".join(map(re.escape, longest_first)) + r")\b", caption))
    taken = {spot[0] for spot in spots}
    return [
        caption[: spot.start()] + word + caption[spot.end() :]
        for spot in spots
        for word in words
        if word not in (taken if distinct else {spot[0]})
    ]
