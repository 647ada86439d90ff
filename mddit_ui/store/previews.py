"""Small pictures to look at: WEBP files named by what was asked for; the oldest are forgotten."""

import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from mddit_ui.core.errors import StoreError
from mddit_ui.core.paths import atomic_write
from mddit_ui.store.db import Database

KEEP = 2000  # newest pictures that are kept
MOST_PIXELS = 512  # of a side
_KEY = re.compile(r"[0-9a-f]{32}")


def save(db: Database, key: str, image: np.ndarray, *, keep: int = KEEP) -> np.ndarray:
    """Keep a picture (h, w, 3) uint8 and give it back as it is kept: smaller if it is large, else without loss."""
    picture = Image.fromarray(image)
    picture.thumbnail((MOST_PIXELS, MOST_PIXELS), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", lossless=True, quality=60, method=2)
    path = _path(db, key)
    atomic_write(path, buffer.getvalue())
    for old in sorted(path.parent.glob("*.webp"), key=lambda file: -file.stat().st_mtime_ns)[keep:]:
        old.unlink(missing_ok=True)
    return np.asarray(picture)


def find(db: Database, key: str) -> np.ndarray | None:
    """The picture (h, w, 3) uint8, if there is one that can be read."""
    try:
        with Image.open(_path(db, key)) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError):
        return None


def _path(db: Database, key: str) -> Path:
    if not _KEY.fullmatch(key):
        raise StoreError(f"{key[:40]!r} is not the key of a preview.")
    return db.path.parent / "previews" / f"{key}.webp"
