"""The pair of pictures: full depth and policy, same seed, with a divider and their numbers."""

import base64
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

STATIC = Path(__file__).parent / "static"
_HTML, _CSS, _JS = ((STATIC / f"pair.{kind}").read_text() for kind in ("html", "css", "js"))
EMPTY = "Press Generate: both pictures are made from the same seed, so every difference comes from the policy."


@dataclass(frozen=True, eq=False)
class PairView:
    """What the pair shows.

    Args:
        left, right: (h, w, 3) uint8; full depth and policy.
        rows: (name, full, policy, change, "good" | "bad" | "") of the table.
        facts: (name, value) about the two together.
        busy: what is being done; ``share`` of it that is done.
        final: pictures are kept without loss; previews are not.
    """

    left: np.ndarray | None = None
    right: np.ndarray | None = None
    rows: tuple[tuple[str, str, str, str, str], ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    busy: str = ""
    share: float = 0.0
    note: str = ""
    final: bool = field(default=False)


class ImagePair(gr.HTML):
    """Shows a ``PairView``; nothing comes back from it."""

    def __init__(self, value: Any = None, **more: Any):
        more.setdefault("html_template", _HTML)
        more.setdefault("css_template", _CSS)
        more.setdefault("js_on_load", _JS)
        more.setdefault("apply_default_css", False)
        super().__init__(value, **more)

    def postprocess(self, value: PairView | None) -> dict[str, Any]:  # type: ignore[override]
        view = value or PairView()
        first = view.left if view.left is not None else view.right
        return {
            "left": _url(view.left, view.final),
            "right": _url(view.right, view.final),
            "ratio": 1.0 if first is None else first.shape[1] / first.shape[0],
            "rows": [list(row) for row in view.rows],
            "facts": [list(fact) for fact in view.facts],
            "busy": view.busy,
            "share": view.share,
            "note": view.note,
            "empty": EMPTY,
        }

    def preprocess(self, payload: Any) -> None:  # type: ignore[override]
        return None

    def api_info(self) -> dict[str, Any]:
        return {"type": "object"}

    def example_payload(self) -> Any:
        return None

    def example_value(self) -> Any:
        return None


def _url(image: np.ndarray | None, final: bool) -> str:
    """The picture inside a data URL, so that nothing is left behind in a temporary folder."""
    if image is None:
        return ""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "WEBP", lossless=final, quality=80 if not final else 60, method=2)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
