"""Count multiply-accumulates of the real transformer, attention products included, without computing anything."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_map
from torch.utils.flop_counter import FlopCounterMode

from mddit_ui.core.cost import MacTable

_GONE = "left out of the twin"


def count_call(transformer: nn.Module, sites: Sequence[str], args: tuple, kwargs: dict[str, Any]) -> MacTable:
    """MACs of one call with these arguments (its whole batch), by site. One MAC is two FLOPs of ``FlopCounterMode``."""
    return Counter(transformer, sites).count(args, kwargs)[0]


class Counter:
    """A twin of a transformer on the meta device: shapes flow through it, numbers don't.

    Some models ask for numbers in their forward (lengths of padded texts); those are counted on a real call.
    """

    def __init__(self, transformer: nn.Module, sites: Sequence[str]) -> None:
        self.sites = tuple(sites)
        self.transformer = transformer
        self.twin = meta_twin(transformer)
        self.site_bytes = dict.fromkeys(self.sites, 0)  # of one residual, all images of the call

    def count(self, args: tuple, kwargs: dict[str, Any]) -> tuple[MacTable, Any]:
        """(MACs of one call by site, its output, on the meta device where that could be)."""
        try:
            return self._count(self.twin, *tree_map(_to_meta, (args, kwargs)))
        except (RuntimeError, NotImplementedError, TypeError):
            with unhooked(self.transformer):
                return self._count(self.transformer, args, kwargs)

    def _count(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[MacTable, Any]:
        handles = [module.get_submodule(name).register_forward_hook(self._see(name)) for name in self.sites]
        try:
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                output = module(*args, **kwargs)
        finally:
            for handle in handles:
                handle.remove()
        flops = {name: sum(by_op.values()) for name, by_op in counter.get_flop_counts().items()}
        root = type(module).__name__
        site_macs = np.array([flops.get(f"{root}.{name}", 0) / 2 for name in self.sites])
        return MacTable(self.sites, site_macs, counter.get_total_flops() / 2 - float(site_macs.sum())), output

    def _see(self, name: str) -> Any:
        def see(module: nn.Module, args: tuple, output: Any) -> None:
            tensors = output if isinstance(output, tuple | list) else (output,)
            sizes = [t.numel() * t.element_size() for t in tensors if isinstance(t, torch.Tensor)]
            self.site_bytes[name] = sum(sizes)

        return see


@contextmanager
def unhooked(module: nn.Module) -> Iterator[None]:
    """The module as its class defines it, for a moment."""
    kept = [(part, vars(part).pop("forward")) for part in module.modules() if "forward" in vars(part)]
    try:
        yield
    finally:
        for part, forward in kept:
            part.forward = forward


def meta_twin(module: nn.Module) -> nn.Module:
    """A copy of a module, without weights and without hooks; nothing of the original is copied in memory."""
    memo: dict[int, Any] = {}
    for part in module.modules():
        for hook in ("_diffusers_hook", "_hf_hook"):
            if hook in vars(part):
                memo[id(vars(part)[hook])] = _GONE
        if "forward" in vars(part):
            memo[id(vars(part)["forward"])] = _GONE
        for name in ("_old_forward", "_reset_stateful_cache"):
            if name in vars(part):
                memo[id(vars(part)[name])] = _GONE
        for table in (part._parameters, part._buffers):
            for tensor in table.values():
                if tensor is not None:
                    memo[id(tensor)] = _to_meta(tensor)
        for value in vars(part).values():
            if isinstance(value, torch.Tensor):
                memo[id(value)] = _to_meta(value)
    twin = copy.deepcopy(module, memo)
    for part in twin.modules():
        for name in ("forward", "_diffusers_hook", "_hf_hook", "_old_forward", "_reset_stateful_cache"):
            vars(part).pop(name, None)
    return twin


def _to_meta(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    meta = value.detach().to("meta")
    return nn.Parameter(meta, requires_grad=False) if isinstance(value, nn.Parameter) else meta
