"""How a person calls a pipeline by hand: the arguments of a script, known without loading any weights."""

import inspect
import json
from pathlib import Path
from typing import Any

import diffusers

from mddit_ui.core.records import ModelSpec
from mddit_ui.engine.adapters import ADAPTERS, Adapter

INDEX = "model_index.json"  # diffusers' file that names the class of a pipeline


def plain_arguments(spec: ModelSpec, steps: int) -> dict[str, Any]:
    """The keyword arguments of ``pipe(...)`` besides the subject and the generator, as plain values.

    Of a model that is not on this machine only those that every pipeline takes.
    """
    always = {"num_inference_steps": steps, "guidance_scale": spec.guidance_scale}
    index = Path(spec.source) / INDEX
    kind = json.loads(index.read_text()).get("_class_name", "") if index.is_file() else ""
    pipeline = getattr(diffusers, kind, None)
    if pipeline is None:
        return always
    accepted = inspect.signature(pipeline.__call__).parameters
    special = ADAPTERS.get(kind, Adapter()).fixed
    wanted = {**always, "height": spec.height, "width": spec.width, **special, **spec.call}
    return {name: value for name, value in wanted.items() if name in accepted}
