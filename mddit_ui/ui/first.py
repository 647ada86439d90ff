"""The precomputed first screen: grid, pair and maps of the first model, so that a first visit waits for no weights.

``python -m mddit_ui.ui.make_first`` writes it; it is used as long as the weights are those that it was made from.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mddit_ui.core.calibration import Calibration
from mddit_ui.core.cost import MacTable
from mddit_ui.core.errors import MdditError
from mddit_ui.core.paths import ASSETS
from mddit_ui.core.policy import Policy
from mddit_ui.core.policy_json import loads
from mddit_ui.core.records import GenerationConfig, ModelSpec, RunRecord
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.ui import visit
from mddit_ui.ui.grid import GridView
from mddit_ui.ui.pair import PairView
from mddit_ui.ui.state import Session

FOLDER = ASSETS / "first"
FILE = "screen.json"
SIDES = ("left", "right")


@dataclass(frozen=True, eq=False)
class FirstScreen:
    """What a first visitor sees before anything is loaded."""

    session: Session
    view: GridView
    pair: PairView
    calibration: Calibration


def first_screen(spec: ModelSpec) -> FirstScreen | None:
    """The screen for a model, if there is one for exactly these weights."""
    return _stored(spec.id, spec.source)


@lru_cache(maxsize=1)
def _stored(model: str, source: str) -> FirstScreen | None:
    try:
        content = json.loads((FOLDER / FILE).read_text())
        if content["model"] != model or content["stamp"] != stamp(Path(source)):
            return None
        return _read(content)
    except (OSError, ValueError, KeyError, TypeError, MdditError):
        return None


def stamp(folder: Path) -> str:
    """Changes with the weights: a hash over the files of a model."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("**/*.safetensors")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def write(
    spec: ModelSpec, table: MacTable, residual_bytes: int, runs: tuple[RunRecord, RunRecord],
    images: tuple[np.ndarray, np.ndarray], calibration: Calibration, folder: Path = FOLDER,
) -> None:  # fmt: skip
    """Keep a pair of runs (rival, policy), their pictures and a calibration as the first screen."""
    folder.mkdir(parents=True, exist_ok=True)
    for side, pictures in zip(SIDES, images, strict=True):
        Image.fromarray(pictures[0]).save(folder / f"{side}.webp", "WEBP", lossless=True)
    content = {
        "model": spec.id,
        "stamp": stamp(Path(spec.source)),
        "mac_table": table.to_dict(),
        "residual_bytes": residual_bytes,
        "runs": [run.to_dict() for run in runs],
        "calibration": calibration.to_dict(),
    }
    (folder / FILE).write_text(json.dumps(content, indent=None, separators=(",", ":")) + "\n")


def _read(content: dict[str, Any]) -> FirstScreen:
    runs = [RunRecord.from_dict(run) for run in content["runs"]]
    images = [np.asarray(Image.open(FOLDER / f"{side}.webp").convert("RGB"))[None] for side in SIDES]
    policy: Policy = loads(json.dumps(runs[1].policy))
    config: GenerationConfig = runs[1].config
    calibration = Calibration.from_dict(content["calibration"])
    table = MacTable.from_dict(content["mac_table"])
    sensitivity = Sensitivity.from_calibration(calibration)
    view = GridView(policy, table, content["residual_bytes"], calibration.step_similarity, sensitivity)
    pair = visit.pair_of(runs[0], images[0], runs[1], images[1])
    return FirstScreen(Session(content["model"], policy, config), view, pair, calibration)
