"""The slow way to follow a policy: residuals taken by hand, every one kept for ever."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from mddit_ui.core.policy import Action, Policy
from mddit_ui.models.sites import find_sites


@contextmanager
def by_hand(
    model: nn.Module, policy: Policy, streams: Mapping[str, tuple[str, ...]], calls: int = 1, first: int = 0
) -> Iterator[None]:
    """Follow a policy with all blocks as columns.

    Args:
        streams: for each list of blocks, which arguments its outputs continue; else it is the first.
        calls: calls of the model that make up one step, each with residuals of its own.
        first: the row where the run begins; what it can't reuse there is computed.
    """
    at = {"call": calls * first - 1}
    kept: dict[tuple[int, int], list[torch.Tensor | None]] = {}

    def replaced(index: int, block: nn.Module, names: tuple[str, ...] | None) -> Any:
        signature = inspect.signature(type(block).forward)

        def forward(*args: Any, **kwargs: Any) -> Any:
            given = signature.bind(block, *args, **kwargs).arguments
            tensors = [given[key] for key in names] if names else [list(given.values())[1]]
            step, call = divmod(at["call"], calls)
            action = policy.actions[step, index]
            if action == Action.COMPUTE or (action == Action.CACHE and (index, call) not in kept):
                before = [tensor.clone() for tensor in tensors]
                output = type(block).forward(block, *args, **kwargs)
                pairs = zip(output if names else [output], before, strict=True)
                kept[index, call] = [None if new is None else new - old for new, old in pairs]
                return output
            if action == Action.CACHE:
                pairs = zip(tensors, kept[index, call], strict=True)
                tensors = [None if change is None else tensor + change for tensor, change in pairs]
            return tuple(tensors) if names else tensors[0]

        return forward

    blocks = [(site.name, model.get_submodule(site.name)) for site in find_sites(model)]
    for index, (path, block) in enumerate(blocks):
        block.forward = replaced(index, block, streams.get(path.rsplit(".", 1)[0]))
    counter = model.register_forward_pre_hook(lambda *_: at.update(call=at["call"] + 1))
    try:
        yield
    finally:
        counter.remove()
        for _, block in blocks:
            del block.forward
