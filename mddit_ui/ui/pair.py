"""The pictures of two policies, same seeds: up to four pairs with a divider, and their numbers."""

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from mddit_ui.ui.display import Display

EMPTY = "Press Generate: both pictures are made from the same seed, so every difference comes from the policy."
FULL = "Full depth"


@dataclass(frozen=True, eq=False)
class PairView:
    """What the pictures show.

    Args:
        left, right: (n, h, w, 3) uint8; of the rival (full depth, or another policy) and of the policy.
        names: of the two sides.
        captions: one line a pair, shown under it when there are several.
        rows: (name, rival, policy, change, "good" | "bad" | "") of the table.
        facts: (name, value) about the two together.
        busy: what is being done; ``share`` of it that is done.
        final: pictures are kept without loss; previews are not.
        empty: what stands there without pictures.
    """

    left: np.ndarray | None = None
    right: np.ndarray | None = None
    names: tuple[str, str] = (FULL, "This policy")
    captions: tuple[str, ...] = ()
    rows: tuple[tuple[str, str, str, str, str], ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    busy: str = ""
    share: float = 0.0
    note: str = ""
    final: bool = False
    empty: str = EMPTY


class ImagePair(Display):
    """Shows a ``PairView``; nothing comes back from it."""

    files = "pair"

    def postprocess(self, value: PairView | None) -> dict[str, Any]:  # type: ignore[override]
        view = value or PairView()
        first = view.left if view.left is not None else view.right
        return {
            "left": _urls(view.left, view.final),
            "right": _urls(view.right, view.final),
            "ratio": 1.0 if first is None else first.shape[2] / first.shape[1],
            "names": list(view.names),
            "captions": list(view.captions),
            "rows": [list(row) for row in view.rows],
            "facts": [list(fact) for fact in view.facts],
            "busy": view.busy,
            "share": view.share,
            "note": view.note,
            "empty": view.empty,
        }


def data_url(image: np.ndarray, *, lossless: bool = False, quality: int = 80) -> str:
    """A picture inside a data URL, so that nothing is left behind in a temporary folder."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "WEBP", lossless=lossless, quality=60 if lossless else quality, method=2)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def _urls(images: np.ndarray | None, final: bool) -> list[str]:
    return [] if images is None else [data_url(image, lossless=final) for image in images]
