"""A Plotly chart in the page: drawn by the plotly.js of the installed plotly, updated in place, with clicks."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr

from mddit_ui.charts.script import PLOTLY_JS

STATIC = Path(__file__).parent / "static"
_HTML, _CSS, _JS = ((STATIC / f"chart.{kind}").read_text() for kind in ("html", "css", "js"))


@dataclass(frozen=True, eq=False)
class ChartView:
    """A chart for both modes. ``make(dark)`` gives the figure; ``read`` says in one sentence how to read it."""

    make: Callable[[bool], Any]
    read: str = ""


class PlotlyChart(gr.HTML):
    """Shows a ``ChartView``, or a line of text while there is nothing to show; ``select`` gives the clicked key."""

    def __init__(self, value: Any = "", **more: Any):
        more.setdefault("html_template", _HTML)
        more.setdefault("css_template", _CSS)
        more.setdefault("js_on_load", f"const PLOTLY_SOURCE = {json.dumps(script_source())};\n{_JS}")
        more.setdefault("apply_default_css", False)
        super().__init__(value, **more)

    def postprocess(self, value: ChartView | str | None) -> dict[str, Any]:  # type: ignore[override]
        if not isinstance(value, ChartView):
            return {"empty": value or ""}
        light, dark = (json.loads(value.make(mode).to_json()) for mode in (False, True))
        return {"light": light, "dark": dark, "read": value.read}

    def preprocess(self, payload: Any) -> None:  # type: ignore[override]
        """Charts only show; nothing comes back but clicks."""
        return None

    def api_info(self) -> dict[str, Any]:
        return {"type": "object"}

    def example_payload(self) -> Any:
        return None

    def example_value(self) -> Any:
        return None


@cache
def script_source() -> str:
    """Where the page finds plotly.js; the file becomes readable for it, and only this file."""
    gr.set_static_paths([PLOTLY_JS])
    return f"gradio_api/file={PLOTLY_JS}"
