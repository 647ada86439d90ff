"""The captions that are kept apart: pictures of them say how good a policy is, so no choice may have seen them."""

import json
from collections.abc import Sequence
from functools import cache

from mddit_ui.core.errors import SearchError
from mddit_ui.core.paths import PROMPTS


@cache
def captions() -> tuple[str, ...]:
    """The hold-out set that comes along."""
    return tuple(json.loads((PROMPTS / "holdout.json").read_text(encoding="utf-8")))


def refuse(prompts: Sequence[str]) -> None:
    """Check the prompts that something is to be chosen by.

    Raises:
        SearchError: some belong to the hold-out set.
    """
    found = {_plain(text) for text in captions()} & {_plain(text) for text in prompts}
    if found:
        raise SearchError(
            f"{len(found)} of the {len(prompts)} prompts belong to the hold-out set, which is for judging what was "
            "found. Search with others, such as the set search."
        )


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
