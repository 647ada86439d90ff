"""Transformer blocks made ready for many runs on a CPU: weights laid out once, in bfloat16 where it multiplies that."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from diffusers.models.activations import GELU
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import PixArtAlphaTextProjection
from torch import nn
from torch.backends import mkldnn

from mddit_ui.engine.packed_block import is_plain, packed_block
from mddit_ui.engine.packed_layers import Forward, linear, linear_gelu, product_type, remembered
from mddit_ui.models.loading import LoadedModel
from mddit_ui.models.sites import find_sites

Packing = Literal["off", "exact", "quick"]


@contextmanager
def packed(loaded: LoadedModel, packing: Packing) -> Iterator[None]:
    """The blocks of a float32 model on a CPU run prepared; other models run as they are.

    Sums and what goes from block to block stay float32. "exact": products, too, so that only rounding differs; "quick":
    they are bfloat16 where the CPU has that. What cross-attention makes of the captions is the same at each step and
    made once a run. Hold the model's lock, and attach policies inside: they stand before what a block computes. Nothing
    stays behind.
    """
    if packing == "off" or (loaded.device, loaded.dtype) != ("cpu", "float32") or not mkldnn.is_available():
        yield
        return
    dtype = product_type() if packing == "quick" else torch.float32
    prepared = loaded.memo.get(("packed", dtype))
    if prepared is None or prepared.stamp != _stamp(loaded.transformer):
        prepared = loaded.memo["packed", dtype] = _prepare(loaded.transformer, dtype)
    changed = [module for module in prepared.forwards if "forward" not in vars(module)]  # others are somebody's already
    try:
        for module in changed:
            module.forward = prepared.forwards[module]  # type: ignore[method-assign]
        yield
    finally:
        for module in changed:
            del module.forward


@dataclass(frozen=True, eq=False)
class _Prepared:
    stamp: list[tuple[int, int]]
    forwards: dict[nn.Module, Forward]


def _stamp(transformer: nn.Module) -> list[tuple[int, int]]:
    """Changes when weights do."""
    return [(id(weight), weight._version) for weight in transformer.parameters()]


def _prepare(transformer: nn.Module, dtype: torch.dtype) -> _Prepared:
    narrow = remembered(lambda hidden: hidden.to(dtype).contiguous())  # queries, keys and values see one tensor
    forwards: dict[nn.Module, Forward] = {}
    for site in find_sites(transformer):
        block = transformer.get_submodule(site.name)
        if is_plain(block):
            forwards[block] = packed_block(block, dtype)
        else:
            forwards |= _layers(block, dtype, narrow)
    for module in transformer.children():
        if type(module) is PixArtAlphaTextProjection:  # what captions go through before the blocks
            forwards[module] = remembered(module.forward)
    return _Prepared(_stamp(transformer), forwards)


def _layers(block: nn.Module, dtype: torch.dtype, narrow: Forward) -> dict[nn.Module, Forward]:
    """The layers of a block of any kind, one by one."""
    forwards: dict[nn.Module, Forward] = {}
    for module in block.modules():
        if type(module) is nn.Linear:
            forwards[module] = _wide(linear([module], dtype), narrow)
        elif isinstance(module, FeedForward) and type(gelu := module.net[0]) is GELU and _ends_plainly(module):
            forwards[gelu] = _narrow(linear_gelu(gelu, dtype), narrow)
    for module in block.modules():
        if isinstance(module, Attention) and module.is_cross_attention:
            forwards |= {each: remembered(forwards[each]) for each in (module.to_k, module.to_v) if each in forwards}
    return forwards


def _wide(forward: Forward, narrow: Forward) -> Forward:
    return lambda hidden, *args, **kwargs: forward(narrow(hidden)).float()


def _narrow(forward: Forward, narrow: Forward) -> Forward:
    return lambda hidden, *args, **kwargs: forward(narrow(hidden))


def _ends_plainly(feed_forward: FeedForward) -> bool:
    """Whether nothing but a prepared layer sees what its GELU gives."""
    return type(feed_forward.net[-1]) is nn.Linear and all(type(each) is nn.Dropout for each in feed_forward.net[1:-1])
