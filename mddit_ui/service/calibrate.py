"""Probe a model once for each request, and remember the answer."""

import hashlib
import json
from collections.abc import Callable

from mddit_ui.core.calibration import Calibration
from mddit_ui.core.paths import atomic_write, data_dir
from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine.probe import probe
from mddit_ui.engine.run import StepEvent
from mddit_ui.models.loading import load, weights_stamp
from mddit_ui.models.registry import get_model

VERSION = 2  # of what a probe measures; a new number makes old files unread


def calibrate(
    model_id: str, config: GenerationConfig, *, on_step: Callable[[StepEvent], None] | None = None
) -> Calibration:
    """The calibration of a model for a config: from ``data_dir()/calibrations`` if it is there, else from one run."""
    spec = get_model(model_id)
    question = [VERSION, spec.id, weights_stamp(spec), config.to_dict()]
    name = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:32]
    path = data_dir() / "calibrations" / f"{name}.json"
    try:
        return Calibration.from_dict(json.loads(path.read_text()))
    except FileNotFoundError:
        pass  # asked for the first time
    except (ValueError, KeyError, TypeError):
        path.unlink()  # torn or foreign: made anew
    content = probe(load(model_id), config, on_step=on_step).to_dict()
    atomic_write(path, json.dumps(content, allow_nan=False))
    return Calibration.from_dict(content)  # rounded as in the file: a kept search plays again over that
