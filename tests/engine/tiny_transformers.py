"""The smallest instance of every transformer class of diffusers that a few numbers can build, and inputs for it."""

from typing import Any

import diffusers
import torch
from torch import nn

from tests.engine.tiny_cases import Case
from tests.engine.tiny_images import IMAGES
from tests.engine.tiny_videos import VIDEOS

CASES: dict[str, Case] = {**IMAGES, **VIDEOS}


def build(name: str, seed: int = 0) -> nn.Module:
    """The tiny model; every weight is moved off its initial value, so that no gate is zero."""
    torch.manual_seed(seed)
    model = getattr(diffusers, name)(**CASES[name].config)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model.eval()


def inputs(name: str, timestep: float) -> dict[str, Any]:
    """The same inputs for every timestep."""
    torch.manual_seed(1)
    return CASES[name].inputs(torch.tensor([timestep]))
