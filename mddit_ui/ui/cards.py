"""Saved policies as cards: the drawn grid, the facts, tags; filtered in the browser, where all text is set as text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mddit_ui.ui.display import Display


class Card(NamedTuple):
    """``rows`` are drawn; ``facts`` are short lines; ``fits`` says whether the model on the desk can take it."""

    key: str
    title: str
    model: str
    rows: tuple[str, ...]
    facts: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    fits: bool = True


@dataclass(frozen=True, eq=False)
class CardsView:
    """The cards; ``mine`` may be deleted."""

    cards: Sequence[Card]
    mine: bool = True


class CardList(Display):
    """Shows a ``CardsView``; ``select`` gives the key of a card and what to ``do`` with it: load or delete."""

    files = "cards"

    def postprocess(self, value: CardsView | None) -> dict[str, Any] | None:  # type: ignore[override]
        if value is None:
            return None
        return {"cards": [card._asdict() for card in value.cards], "mine": value.mine}
