"""The runs of one visitor: ids in the browser, records and pictures in the store."""

import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from mddit_ui.core.errors import StoreError
from mddit_ui.core.policy import Policy
from mddit_ui.core.policy_json import loads
from mddit_ui.core.records import GenerationConfig, RunRecord, Score
from mddit_ui.store import runs as store
from mddit_ui.store.db import open_db
from mddit_ui.ui.pair import PairView, data_url
from mddit_ui.ui.parts import with_unit
from mddit_ui.ui.state import Session

MOST_RUNS = 60
REPAINTED = "A part of a picture was painted anew; the rest is as it was."
THUMBNAIL = 40  # px on the screen; drawn for twice as many
_ID = re.compile(r"[0-9a-f]{32}")


class Line(NamedTuple):
    """One run of the visit; ``reference`` is the run that it was compared with, if that is still there."""

    number: int
    record: RunRecord
    reference: RunRecord | None

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def name(self) -> str:
        return str(self.record.policy.get("name", "untitled"))

    @property
    def budget(self) -> float:
        return self.record.macs / self.record.full_macs

    @property
    def speed(self) -> float | None:
        """How many times as fast as the run that it was compared with."""
        return self.reference.wall_seconds / self.record.wall_seconds if self.reference else None


def more(past: Any, *runs: str) -> list[str]:
    """The ids of the visit with new ones; the oldest go when there are too many."""
    return [*known(past), *runs][-MOST_RUNS:]


def known(past: Any) -> list[str]:
    """What a browser has stored, if these are ids; it may hold anything."""
    if not isinstance(past, list | tuple):
        return []
    return [run for run in past if isinstance(run, str) and _ID.fullmatch(run)][-MOST_RUNS:]


def lines(past: Any) -> list[Line]:
    """The runs that are still in the store, oldest first."""
    records: dict[str, RunRecord] = {}
    for run in known(past):
        try:
            records[run] = store.get(open_db(), run)
        except StoreError:
            continue
    return [
        Line(number, record, records.get(record.reference)) for number, record in enumerate(records.values(), start=1)
    ]


def policy_of(run: str) -> Policy:
    """The policy of a run.

    Raises:
        StoreError: there is no such run.
    """
    return loads(json.dumps(store.get(open_db(), run).policy))


def session_of_run(run: str) -> Session:
    """What was on the desk when a run was made.

    Raises:
        StoreError: there is no such run.
    """
    record = store.get(open_db(), run)
    return Session(record.model, loads(json.dumps(record.policy)), record.config)


def captions_of(config: GenerationConfig, before: Score | None = None, after: Score | None = None) -> tuple[str, ...]:
    """What tells the pairs apart: the seeds, or the captions; with their CLIP scores when they are known."""
    subjects = config.prompts or tuple(f"class {number}" for number in config.classes)
    names = [f"seed {seed}" for seed in config.image_seeds] if len(set(subjects)) == 1 else list(subjects)
    if before is None or after is None or not before.clip_scores or not after.clip_scores:
        return tuple(names)
    pairs = zip(names, before.clip_scores, after.clip_scores, strict=True)
    return tuple(f"{name} · CLIP {one:.1f} → {other:.1f}" for name, one, other in pairs)


def pair_of(left: RunRecord, left_images: np.ndarray, right: RunRecord, right_images: np.ndarray) -> PairView:
    """Two runs side by side with their numbers; ratios of time and of MACs stand one above the other."""
    before, after = left.score, right.score
    rows = [
        _ratio("Time", left.wall_seconds, right.wall_seconds, lambda v: f"{v:.2f} s", ("× as fast", "× as fast")),
        _ratio("MACs", left.macs, right.macs, lambda v: with_unit(v, "MACs"), ("× fewer", "× as many")),
    ]
    if before.clip_score is not None and after.clip_score is not None:
        change = after.clip_score - before.clip_score
        tone = "bad" if change < -0.02 * abs(before.clip_score) else ""
        rows.append(("CLIP score", f"{before.clip_score:.2f}", f"{after.clip_score:.2f}", f"{change:+.2f}", tone))
    close = [("PSNR", after.psnr, "{:.1f} dB"), ("SSIM", after.ssim, "{:.3f}")]
    facts = [(name, text.format(value)) for name, value, text in close if value is not None]
    facts.append(("Cache held", with_unit(right.peak_cache_bytes, "B") if right.peak_cache_bytes else "none"))
    names = (_title(left), _title(right))
    if left.model != right.model:
        same = names[0] == names[1]
        names = (left.model, right.model) if same else (f"{names[0]} · {left.model}", f"{names[1]} · {right.model}")
    captions = captions_of(right.config, before, after)
    note = REPAINTED if (right.policy.get("notes") or {}).get("repainted") else ""
    return PairView(left_images, right_images, names, captions, tuple(rows), tuple(facts), note=note, final=True)


def pair_again(run: str) -> PairView:
    """A run of the store beside the one that it was compared with; alone if that is gone.

    Raises:
        StoreError: there is no such run.
    """
    record = store.get(open_db(), run)
    images = pictures(run)
    if images is None:
        return PairView(note="The pictures of this run are gone; press Generate to make them again.")
    try:
        other = store.get(open_db(), record.reference) if record.reference else None
    except StoreError:
        other = None
    others = pictures(other.id) if other is not None else None
    if other is None or others is None:
        return PairView(None, images, ("", _title(record)), captions_of(record.config), final=True)
    return pair_of(other, others, record, images)


def _title(record: RunRecord) -> str:
    name = str(record.policy.get("name", "untitled"))
    return "Full depth" if name == "full depth" else name


def _ratio(
    name: str, left: float, right: float, write: Callable[[float], str], words: tuple[str, str]
) -> tuple[str, str, str, str, str]:
    tone = "good" if right < 0.98 * left else "bad" if right > 1.02 * left else ""
    more = right > left and words[1] != words[0]
    ratio = right / max(left, 1e-9) if more else left / max(right, 1e-9)
    return name, write(left), write(right), f"{ratio:.2f}{words[more]}", tone


def pictures(run: str) -> np.ndarray | None:
    """(n, h, w, 3) uint8, if the files are still there."""
    try:
        return np.stack([np.asarray(Image.open(path).convert("RGB")) for path in store.image_paths(open_db(), run)])
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=256)
def thumbnail(run: str) -> str:
    """The first picture, small, inside a data URL; empty when the file is gone."""
    try:
        with Image.open(store.image_paths(open_db(), run)[0]) as image:
            small = image.convert("RGB").resize((2 * THUMBNAIL, 2 * THUMBNAIL), Image.Resampling.LANCZOS)
    except (OSError, IndexError):
        return ""
    return data_url(np.asarray(small), quality=70)
