"""Token merging without training, to compare with: like tokens go through a block as one.

After ToMe for Stable Diffusion (Bolya & Hoffman 2023, arXiv 2303.17604): one token of every 2 x 2 patches may take up
others, the rest are paired with the one that is most like them, the likeliest pairs are merged into their mean. Merged
tokens share what the block changed. Here the whole block runs on the merged tokens.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from mddit_ui.core.tokens import kept


class Merge(NamedTuple):
    """Where each of n tokens went: ``places`` (b, n) among the k that are left."""

    places: torch.Tensor
    left: int


def match(states: torch.Tensor, count: int) -> Merge:
    """Which of the tokens (b, n, d), a square of patches, become one, so that ``count`` are left."""
    b, n, _ = states.shape
    side = round(n**0.5)
    grid = torch.arange(n, device=states.device).view(side, side)
    takers = grid[::2, ::2].flatten()
    is_taker = torch.zeros(n, dtype=torch.bool, device=states.device)
    is_taker[takers] = True
    others = torch.arange(n, device=states.device)[~is_taker]
    count = max(count, len(takers))
    normed = F.normalize(states.float(), dim=-1)
    best, taker = (normed[:, others] @ normed[:, takers].transpose(1, 2)).max(-1)  # (b, others)
    order = best.argsort(1, descending=True)
    merged, alone = order[:, : n - count], order[:, n - count :]
    places = torch.empty(b, n, dtype=torch.long, device=states.device)
    places[:, takers] = torch.arange(len(takers), device=states.device)
    places.scatter_(1, others[merged], taker.gather(1, merged))
    rest = torch.arange(len(takers), count, device=states.device).expand(b, -1)
    places.scatter_(1, others[alone], rest)
    return Merge(places, count)


def merged(states: torch.Tensor, merge: Merge) -> torch.Tensor:
    """(b, k, d) means of the tokens that went to the same place."""
    rows = merge.places[..., None].expand_as(states)
    empty = states.new_zeros(len(states), merge.left, states.shape[-1])
    return empty.scatter_reduce(1, rows, states, "mean", include_self=False)


@contextmanager
def merging(transformer: Any, ratio: float) -> Iterator[None]:
    """The blocks of a PixArt or DiT run on ``ratio`` of their tokens, at least on a quarter."""
    with ExitStack() as stack:
        for block in transformer.transformer_blocks:
            for handle in _hooked(block, ratio):
                stack.callback(handle.remove)
        yield


def _hooked(block: nn.Module, ratio: float) -> Iterator[Any]:
    held: list[tuple[torch.Tensor, Merge, torch.Tensor]] = []

    def before(block: nn.Module, args: tuple) -> tuple:
        states = args[0]
        merge = match(states, kept(ratio, states.shape[1]))
        held.append((states, merge, merged(states, merge)))
        return (held[-1][2], *args[1:])

    def after(block: nn.Module, args: tuple, output: torch.Tensor) -> torch.Tensor:
        states, merge, given = held.pop()
        rows = merge.places[..., None].expand_as(states)
        return states + (output - given).gather(1, rows)

    yield block.register_forward_pre_hook(before)
    yield block.register_forward_hook(after)
