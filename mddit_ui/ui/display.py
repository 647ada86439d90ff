"""Components of our own: a template, a style and a script from ``static``; most of them show, and give nothing back."""

from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr

STATIC = Path(__file__).parent / "static"


@cache  # Gradio makes a component anew at each update
def template(name: str) -> dict[str, Any]:
    """The arguments of a ``gr.HTML`` that is made of ``static/<name>.html``, ``.css`` and ``.js``."""
    html, css, js = ((STATIC / f"{name}.{kind}").read_text() for kind in ("html", "css", "js"))
    return {"html_template": html, "css_template": css, "js_on_load": js, "apply_default_css": False}


class Display(gr.HTML):
    """Shows what ``postprocess`` makes of a value; nothing comes back from it but events."""

    files = ""  # name of its template

    def __init__(self, value: Any = None, **more: Any):
        super().__init__(value, **{**template(self.files), **more})

    def preprocess(self, payload: Any) -> None:  # type: ignore[override]
        return None

    def api_info(self) -> dict[str, Any]:
        return {"type": "object"}

    def example_payload(self) -> Any:
        return None

    def example_value(self) -> Any:
        return None


class Number(gr.Number):
    """A field whose bounds the browser knows; what lies outside is refused where it is used, in words that name it.

    Gradio would refuse it in every handler that gets the value, with a trace and without the name.
    """

    is_template = True  # it looks as Gradio's does

    def preprocess(self, payload: float | None) -> float | int | None:
        return None if payload is None else self.round_to_precision(payload, self.precision)
