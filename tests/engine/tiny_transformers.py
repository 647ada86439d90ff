"""The smallest instance of every transformer class of diffusers that a few numbers can build, and inputs for it."""

from typing import Any

import diffusers
import torch
from torch import nn

from tests.engine.tiny_cases import Case
from tests.engine.tiny_images import IMAGES
from tests.engine.tiny_videos import VIDEOS

CASES: dict[str, Case] = {**IMAGES, **VIDEOS}
NOT_BUILT = {
    "AnyFlowFARTransformer3DModel": "makes a film chunk by chunk: its calls belong to chunks and fill a cache of keys",
    "BriaFibo2Transformer2DModel": "compresses its text into at least 256 tokens by layers at fixed depths",
    "Cosmos3OmniTransformer": "takes a packed sequence of tokens of several kinds, and eight tensors of places in it",
    "DreamLiteTransformer2DModel": "is a part of a U-Net, not a denoiser",
    "JoyImageEditPlusTransformer3DModel": "takes pictures of several sizes in one packed sequence",
    "Kandinsky6SRTransformer3DModel": "attends in tiles of fixed sizes, larger than a tiny input",
    "Kandinsky6Transformer3DModel": "makes film and sound in one fused block; needs positions of both",
    "MiniMaxH3Transformer3DModel": "takes a packed sequence of tokens of three kinds, and five tensors of places in it",
    "QwenImage21Transformer2DModel": "takes masks of packed pictures, and fills a cache of keys",
    "RFD4ProteinaTransformer": "makes proteins, from features of atoms",
    "SanaWMLTX2RefinerTransformer3DModel": "makes a film chunk by chunk, from a cache of keys",
    "SanaWMTransformer3DModel": "takes camera rays for each frame and chunk",
    "WanAnimate2Transformer3DModel": "takes a cache of keys that an earlier call has filled",
    "WanAnimateTransformer3DModel": "needs pictures of a face of 512 pixels a side, and a network that reads them",
}


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
