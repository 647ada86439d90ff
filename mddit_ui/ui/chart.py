"""A Plotly chart in the page: drawn by the plotly.js of the installed plotly, updated in place, with clicks."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import gradio as gr

from mddit_ui.charts.script import PLOTLY_JS
from mddit_ui.ui.display import Display, template


@dataclass(frozen=True, eq=False)
class ChartView:
    """A chart for both modes. ``make(dark)`` gives the figure; ``read`` says in one sentence how to read it.

    ``scope`` is sent with the key of a point when its picture is asked for.
    """

    make: Callable[[bool], Any]
    read: str = ""
    scope: str = ""


class PlotlyChart(Display):
    """Shows a ``ChartView``, or a line of text while there is nothing to show; ``select`` gives the key of a point.

    ``picture``, if it is given, is asked by the browser for the picture of a point: ``{"scope": ..., "key": ...}``.
    """

    files = "chart"

    def __init__(self, value: Any = "", *, picture: Callable[..., Any] | None = None, **more: Any):
        script = template(self.files)["js_on_load"]
        more.setdefault("js_on_load", f"const PLOTLY_SOURCE = {json.dumps(script_source())};\n{script}")
        if picture:
            more.setdefault("server_functions", [picture])
        super().__init__(value, **more)

    def postprocess(self, value: ChartView | str | None) -> dict[str, Any]:  # type: ignore[override]
        if not isinstance(value, ChartView):
            return {"empty": value or ""}
        light, dark = (json.loads(value.make(mode).to_json()) for mode in (False, True))
        return {"light": light, "dark": dark, "read": value.read, "scope": value.scope}


@cache
def script_source() -> str:
    """Where the page finds plotly.js; the file becomes readable for it, and only this file."""
    gr.set_static_paths([PLOTLY_JS])
    return f"gradio_api/file={PLOTLY_JS}"
