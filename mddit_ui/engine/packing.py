"""Linear layers made ready for many runs on a CPU: weights laid out once, in bfloat16 where the CPU multiplies that."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.activations import GELU
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import PixArtAlphaTextProjection
from torch import nn

from mddit_ui.models.loading import LoadedModel
from mddit_ui.models.sites import find_sites

Forward = Callable[..., torch.Tensor]


@contextmanager
def packed(loaded: LoadedModel) -> Iterator[None]:
    """The blocks of a float32 model on a CPU run on prepared linear layers; other models run as they are.

    Sums and what goes from block to block stay float32, only products are bfloat16. What cross-attention makes of the
    captions is the same at each step and made once a run. Hold the model's lock; nothing stays behind.
    """
    if loaded.device != "cpu" or loaded.dtype != "float32" or not torch.backends.mkldnn.is_available():
        yield
        return
    prepared = loaded.memo.get("packed")
    if prepared is None or prepared.stamp != _stamp(loaded.transformer):
        prepared = loaded.memo["packed"] = _prepare(loaded.transformer)
    changed = [module for module in prepared.forwards if "forward" not in vars(module)]  # others are somebody's already
    try:
        for module in changed:
            module.forward = prepared.forwards[module]  # type: ignore[method-assign]
        yield
    finally:
        for module in changed:
            del module.forward


def product_type() -> torch.dtype:
    """What the blocks of a float32 model multiply in, packed; ``MDDIT_DTYPE=float32`` asks for just that."""
    asked = os.environ.get("MDDIT_DTYPE") == "float32"
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() and not asked else torch.float32


@dataclass(frozen=True, eq=False)
class _Prepared:
    stamp: list[tuple[int, int]]
    forwards: dict[nn.Module, Forward]


def _stamp(transformer: nn.Module) -> list[tuple[int, int]]:
    """Changes when weights do."""
    return [(id(weight), weight._version) for weight in transformer.parameters()]


def _prepare(transformer: nn.Module) -> _Prepared:
    dtype = product_type()
    inside = [module for site in find_sites(transformer) for module in transformer.get_submodule(site.name).modules()]
    narrow = _remembered(lambda hidden: hidden.to(dtype).contiguous())  # queries, keys and values see one tensor
    forwards: dict[nn.Module, Forward] = {}
    for module in inside:
        if type(module) is nn.Linear:
            forwards[module] = _linear(module, dtype, narrow)
        elif isinstance(module, FeedForward) and type(gelu := module.net[0]) is GELU and _ends_plainly(module):
            forwards[gelu] = _with_gelu(gelu, dtype, narrow)
    for module in inside:
        if isinstance(module, Attention) and module.is_cross_attention:
            forwards |= {each: _remembered(forwards[each]) for each in (module.to_k, module.to_v) if each in forwards}
    for module in transformer.children():
        if type(module) is PixArtAlphaTextProjection:  # what captions go through before the blocks
            forwards[module] = _remembered(module.forward)
    return _Prepared(_stamp(transformer), forwards)


def _ends_plainly(feed_forward: FeedForward) -> bool:
    """Whether nothing but a prepared layer sees what its GELU gives."""
    return type(feed_forward.net[-1]) is nn.Linear and all(type(each) is nn.Dropout for each in feed_forward.net[1:-1])


def _with_gelu(module: GELU, dtype: torch.dtype, narrow: Forward) -> Forward:
    """The linear layer and its GELU: in one call where the CPU has AVX-512; oneDNN's tanh is slow without."""
    if "AVX512" in torch.backends.cpu.get_cpu_capability():
        return _linear(module.proj, dtype, narrow, module.approximate, wide=False)
    linear = _linear(module.proj, dtype, narrow)
    if module.approximate == "tanh":
        return lambda hidden, *args, **kwargs: _tanh_gelu(linear(hidden))
    return lambda hidden, *args, **kwargs: module.gelu(linear(hidden))


def _tanh_gelu(x: torch.Tensor) -> torch.Tensor:
    """GELU with its tanh, (1 + tanh(y)) / 2, written as sigmoid(2 y), which vectorises better."""
    scale = 2 * math.sqrt(2 / math.pi)
    return (x * x).mul_(0.044715 * scale).add_(scale).mul_(x).sigmoid_().mul_(x)


def _linear(layer: Any, dtype: torch.dtype, narrow: Forward, gelu: str | None = None, *, wide: bool = True) -> Forward:
    """The layer, and the GELU after it if it is given; ``wide``: the result is float32 whatever it was made in."""
    weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach().to(dtype))
    bias = None if layer.bias is None else layer.bias.detach().to(dtype)
    pointwise = torch.ops.mkldnn._linear_pointwise.default
    after, algorithm = ("none", "") if gelu is None else ("gelu", gelu)

    def forward(hidden: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        output = pointwise(narrow(hidden), weight, bias, after, [], algorithm)
        return output.float() if wide else output

    return forward


def _remembered(forward: Forward) -> Forward:
    """Knows what it gave last, for as long as it is asked for the very same tensor."""
    last: list[Any] = [None, None, None]

    def recalling(hidden: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if hidden.is_inference():  # nobody would see who writes to it
            return forward(hidden, *args, **kwargs)
        key = (hidden.data_ptr(), hidden._version, hidden.shape, hidden.stride())
        if last[0] != key:
            last[:] = key, hidden, forward(hidden, *args, **kwargs)  # held, so that no other tensor gets its place
        return last[2]

    return recalling
