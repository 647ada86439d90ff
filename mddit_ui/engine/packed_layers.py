"""Linear layers with weights laid out once, multiplied in bfloat16 where the CPU does that; what is made once a run."""

import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers.models.activations import GELU

Forward = Callable[..., torch.Tensor]


def product_type() -> torch.dtype:
    """What the blocks of a float32 model multiply in, packed; ``MDDIT_DTYPE=float32`` asks for just that."""
    asked = os.environ.get("MDDIT_DTYPE") == "float32"
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() and not asked else torch.float32


def linear(layers: Sequence[Any], dtype: torch.dtype, gelu: str | None = None) -> Forward:
    """The layers side by side, and the GELU after them if it is given; takes and gives ``dtype``."""
    weight = torch.ops.mkldnn._reorder_linear_weight(torch.cat([layer.weight.detach() for layer in layers]).to(dtype))
    biases = [layer.bias.detach() for layer in layers if layer.bias is not None]
    bias = torch.cat(biases).to(dtype) if biases else None
    pointwise = torch.ops.mkldnn._linear_pointwise.default
    after, algorithm = ("none", "") if gelu is None else ("gelu", gelu)
    return lambda hidden: pointwise(hidden, weight, bias, after, [], algorithm)


def linear_gelu(module: GELU, dtype: torch.dtype) -> Forward:
    """A layer and its GELU: in one call where the CPU has AVX-512; oneDNN's tanh is slow without."""
    if "AVX512" in torch.backends.cpu.get_cpu_capability():
        return linear([module.proj], dtype, module.approximate)
    layer = linear([module.proj], dtype)
    if module.approximate == "tanh":
        return lambda hidden: _tanh_gelu(layer(hidden))
    return lambda hidden: module.gelu(layer(hidden))


def _tanh_gelu(x: torch.Tensor) -> torch.Tensor:
    """GELU with its tanh, (1 + tanh(y)) / 2, written as sigmoid(2 y), which vectorises better."""
    scale = 2 * math.sqrt(2 / math.pi)
    return (x * x).mul_(0.044715 * scale).add_(scale).mul_(x).sigmoid_().mul_(x)


def remembered(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Knows what it gave last, for as long as it is asked for the very same tensor."""
    last: list[Any] = [None, None, None]

    def recalling(hidden: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if hidden.is_inference():  # nobody would see who writes to it
            return forward(hidden, *args, **kwargs)
        key = (hidden.data_ptr(), hidden._version, hidden.shape, hidden.stride())
        if last[0] != key:
            last[:] = key, hidden, forward(hidden, *args, **kwargs)  # held, so that no other tensor gets its place
        return last[2]

    return recalling
