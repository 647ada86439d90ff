"""A picture of a policy that a search tried, to look at: made when somebody asks for it, once, beside the search."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig, SearchConfig
from mddit_ui.models.loading import weights_stamp
from mddit_ui.models.registry import get_model
from mddit_ui.service import generate as generating
from mddit_ui.store import previews as store
from mddit_ui.store.db import open_db


def find(config: SearchConfig, policy: Policy | None) -> np.ndarray | None:
    """(h, w, 3) uint8 of a policy (``None``: full depth), if it was made before with these weights. Loads nothing."""
    return store.find(open_db(), _key(config, policy))


def make(
    config: SearchConfig, policy: Policy | None, generate: Callable[..., Any] = generating.generate, **more: Any
) -> np.ndarray:
    """As ``find``; a picture that isn't there is made and kept. ``more`` goes to ``generate``, which may be another."""
    found = find(config, policy)
    if found is not None:
        return found
    result = generate(config.model, policy, request(config), **more)
    return store.save(open_db(), _key(config, policy), result.images[0])


def request(config: SearchConfig) -> GenerationConfig:
    """The first picture of those that a search judges by."""
    spec = get_model(config.model)
    return GenerationConfig(
        prompts=config.prompts[:1],
        seeds=config.image_seeds[:1],
        steps=config.steps,
        guidance_scale=config.guidance_scale,
        scheduler=config.scheduler,
        height=spec.height,
        width=spec.width,
    )


def _key(config: SearchConfig, policy: Policy | None) -> str:
    spec = get_model(config.model)
    question = [spec.id, weights_stamp(spec), request(config).to_dict(), policy and policy.digest]
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:32]
