"""Count multiply-accumulates of the real transformer, attention products included, without computing anything."""

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers.hooks.group_offloading import GroupOffloadingHook
from diffusers.hooks.layerwise_casting import LayerwiseCastingHook
from torch import nn
from torch.utils._pytree import tree_map
from torch.utils.flop_counter import FlopCounterMode

from mddit_ui.core.cost import MacTable
from mddit_ui.core.tokens import BINS
from mddit_ui.models.routed_dit import RoutedBlock

_GONE = "left out of the twin"
_WITH_WEIGHTS = ("mm", "addmm", "_scaled_mm", "convolution", "_convolution", "_slow_conv2d_forward")
OTHER = "other"  # the part of the rest that is in no module of its own


class Count(NamedTuple):
    """One call of a transformer.

    Args:
        table: MACs by site.
        without_attention: the same without the products of activations with activations (Q K^T, and with V): what
            ECAD (arXiv 2506.15682) and most counters of FLOPs count.
        rest: ``table.rest_macs`` by the transformer's own children.
        output: of the call, on the meta device where that could be.
    """

    table: MacTable
    without_attention: MacTable
    rest: Mapping[str, float]
    output: Any


def count_call(
    transformer: nn.Module, sites: Sequence[str], args: tuple, kwargs: dict[str, Any], *, by_tokens: bool = False
) -> MacTable:
    """MACs of one call with these arguments (its whole batch), by site. One MAC is two FLOPs of ``FlopCounterMode``.

    Args:
        by_tokens: also on the shares of the tokens that a site may run on.
    """
    counter = Counter(transformer, sites)
    table = counter.count(args, kwargs).table
    return replace(table, routed=counter.by_tokens(args, kwargs)) if by_tokens else table


class Counter:
    """A twin of a transformer on the meta device: shapes flow through it, numbers don't.

    Some models ask for numbers in their forward (lengths of padded texts); those are counted on a real call.
    """

    def __init__(self, transformer: nn.Module, sites: Sequence[str]) -> None:
        self.sites = tuple(sites)
        self.transformer = transformer
        self.twin = meta_twin(transformer)
        self.site_bytes = dict.fromkeys(self.sites, 0)  # of one residual, all images of the call

    def count(self, args: tuple, kwargs: dict[str, Any]) -> Count:
        """What one call with these arguments does."""
        try:
            return self._count(self.twin, *tree_map(_to_meta, (args, kwargs)))
        except (RuntimeError, NotImplementedError, TypeError):
            with unhooked(self.transformer):
                return self._count(self.transformer, args, kwargs)

    def by_tokens(self, args: tuple, kwargs: dict[str, Any]) -> np.ndarray:
        """(bins, sites) share of each site's MACs where it runs on a bin's share of its tokens."""
        blocks = [self._routed(name) for name in self.sites]
        given = tree_map(_to_meta, (args, kwargs))
        macs = []
        for ratio in BINS:
            for block in blocks:
                block.ratio = ratio
            macs.append(self._count(self.twin, *given).table.site_macs)
        for block in blocks:
            block.ratio = 1.0
        return np.array(macs) / np.maximum(macs[0], 1e-12)

    def _routed(self, name: str) -> RoutedBlock:
        """A block of the twin, with a router if it has none."""
        block = self.twin.get_submodule(name)
        if not isinstance(block, RoutedBlock):
            parent, _, last = name.rpartition(".")
            block = RoutedBlock.of(block).to("meta")  # type: ignore[arg-type]
            self.twin.get_submodule(parent).register_module(last, block)
        return block

    def _count(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> Count:
        handles = [module.get_submodule(name).register_forward_hook(self._see(name)) for name in self.sites]
        try:
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                output = module(*args, **kwargs)
        finally:
            for handle in handles:
                handle.remove()
        counted = counter.get_flop_counts()

        def macs(name: str, only: Sequence[str] = ()) -> float:
            by_op = counted.get(name, {})
            return sum(flops for op, flops in by_op.items() if not only or op.__name__ in only) / 2

        root = type(module).__name__
        names = [f"{root}.{name}" for name in self.sites]
        table = self._table(names, macs)
        without = self._table(names, lambda name: macs(name, _WITH_WEIGHTS))
        return Count(table, without, self._rest(module, table, lambda name: macs(f"{root}.{name}")), output)

    def _table(self, names: Sequence[str], macs: Callable[[str], float]) -> MacTable:
        site_macs = np.array([macs(name) for name in names])
        return MacTable(self.sites, site_macs, macs("Global") - float(site_macs.sum()))

    def _rest(self, module: nn.Module, table: MacTable, macs: Callable[[str], float]) -> dict[str, float]:
        rest = {}
        for name, _ in module.named_children():
            inside = sum(m for site, m in zip(self.sites, table.site_macs, strict=True) if site.startswith(f"{name}."))
            rest[name] = max(macs(name) - float(inside), 0.0)
        rest[OTHER] = table.rest_macs - sum(rest.values())
        return {name: value for name, value in rest.items() if value > 0}

    def _see(self, name: str) -> Any:
        def see(module: nn.Module, args: tuple, output: Any) -> None:
            tensors = output if isinstance(output, tuple | list) else (output,)
            sizes = [t.numel() * t.element_size() for t in tensors if isinstance(t, torch.Tensor)]
            self.site_bytes[name] = sum(sizes)

        return see


@contextmanager
def unhooked(module: nn.Module) -> Iterator[None]:
    """The module as its class defines it, for a moment; what brings its weights (offloading, casts) stays."""
    kept = [(part, vars(part).pop("forward")) for part in module.modules() if "forward" in vars(part)]
    try:
        for part, _ in kept:
            if keepers := _keepers(part):
                part.forward = partial(_brought, part, keepers)
        yield
    finally:
        for part, forward in kept:
            part.forward = forward


def _keepers(part: nn.Module) -> list[Any]:
    """The hooks that have a module's weights in their keeping, by accelerate and by diffusers; innermost first."""
    registry = vars(part).get("_diffusers_hook")
    hooks = [registry.hooks[name] for name in registry._hook_order] if registry is not None else []
    of_diffusers = [hook for hook in hooks if isinstance(hook, GroupOffloadingHook | LayerwiseCastingHook)]
    return [*of_diffusers, *([vars(part)["_hf_hook"]] if "_hf_hook" in vars(part) else [])]


def _brought(part: nn.Module, keepers: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
    """One call of a module with its weights in place."""
    for hook in reversed(keepers):
        args, kwargs = hook.pre_forward(part, *args, **kwargs)
    output = type(part).forward(part, *args, **kwargs)
    for hook in keepers:
        output = hook.post_forward(part, output)
    return output


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
        for hooks in (part._forward_hooks, part._forward_pre_hooks):  # those of others: not theirs to see
            memo[id(hooks)] = OrderedDict()
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
