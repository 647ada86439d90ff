"""Saved policies as cards: the drawn grid, the facts, tags; filtered in the browser, where all text is set as text."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

STATIC = Path(__file__).parent / "static"
_HTML, _CSS, _JS = ((STATIC / f"cards.{kind}").read_text() for kind in ("html", "css", "js"))


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


class CardList(gr.HTML):
    """Shows a ``CardsView``; ``select`` gives the key of a card and what to ``do`` with it: load or delete."""

    def __init__(self, value: Any = None, **more: Any):
        more.setdefault("html_template", _HTML)
        more.setdefault("css_template", _CSS)
        more.setdefault("js_on_load", _JS)
        more.setdefault("apply_default_css", False)
        super().__init__(value, **more)

    def postprocess(self, value: CardsView | None) -> dict[str, Any] | None:  # type: ignore[override]
        if value is None:
            return None
        return {"cards": [card._asdict() for card in value.cards], "mine": value.mine}

    def preprocess(self, payload: Any) -> None:  # type: ignore[override]
        return None

    def api_info(self) -> dict[str, Any]:
        return {"type": "object"}

    def example_payload(self) -> Any:
        return None

    def example_value(self) -> Any:
        return None
