"""Finished generations: one row each, its pictures as PNG files named by the id of the run."""

import io
import json
import re
from pathlib import Path

import numpy as np
from PIL import Image

from mddit_ui.core.errors import StoreError
from mddit_ui.core.paths import atomic_write
from mddit_ui.core.records import RunRecord
from mddit_ui.store.db import Database

KEEP = 1000  # newest runs that are kept
_ID = re.compile(r"[0-9a-f]{32}")


def save(db: Database, record: RunRecord, images: np.ndarray, *, keep: int = KEEP) -> None:
    """Keep a run and its pictures; the oldest runs beyond ``keep`` are forgotten.

    The pictures are written first: a row always has its files.

    Args:
        images: (n, h, w, 3) uint8.
    """
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise StoreError(f"Expected pictures (n, h, w, 3) of uint8, got {images.shape} of {images.dtype}.")
    for index, image in enumerate(images):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        atomic_write(_path(db, record.id, index), buffer.getvalue())
    with db.write() as connection:
        connection.execute(
            "INSERT INTO runs (id, created, images, record) VALUES (?, ?, ?, ?)",
            (record.id, record.created, len(images), json.dumps(record.to_dict())),
        )
        old = connection.execute(
            "SELECT id, images FROM runs ORDER BY created DESC, rowid DESC LIMIT -1 OFFSET ?", (keep,)
        ).fetchall()
        connection.executemany("DELETE FROM runs WHERE id = ?", [(row["id"],) for row in old])
    for row in old:
        for index in range(row["images"]):
            _path(db, row["id"], index).unlink(missing_ok=True)


def get(db: Database, run: str) -> RunRecord:
    """Raises StoreError when there is no such run."""
    rows = db.rows("SELECT record FROM runs WHERE id = ?", (run,))
    if not rows:
        raise StoreError(f"There is no run {run!r}.")
    return RunRecord.from_dict(json.loads(rows[0]["record"]))


def recent(db: Database, limit: int = 50) -> list[RunRecord]:
    """The newest first."""
    rows = db.rows("SELECT record FROM runs ORDER BY created DESC, rowid DESC LIMIT ?", (limit,))
    return [RunRecord.from_dict(json.loads(row["record"])) for row in rows]


def image_paths(db: Database, run: str) -> list[Path]:
    """Where the pictures of a run lie, in the order of its prompts."""
    rows = db.rows("SELECT images FROM runs WHERE id = ?", (run,))
    if not rows:
        raise StoreError(f"There is no run {run!r}.")
    return [_path(db, run, index) for index in range(rows[0]["images"])]


def _path(db: Database, run: str, index: int) -> Path:
    if not _ID.fullmatch(run):
        raise StoreError(f"{run!r} is not the id of a run.")
    return db.path.parent / "runs" / f"{run}-{index}.png"
