"""Policies whose first cells are equal do the same work there; what blocks gave is remembered and done once."""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from mddit_ui.core.policy import Action
from mddit_ui.engine.acting import BlockHook, Hook
from mddit_ui.engine.branches import BranchHook
from mddit_ui.engine.run import Run
from mddit_ui.engine.streams import Streams

LIMIT_BYTES = 2**29


class Memo:
    """Outputs of blocks in the runs of one request (model, prompts, seeds, sampler), by all cells that decide them.

    What serves several requests is given as its ``part`` of each.

    Runs under a memo give the very bits of runs without one. What was asked for longest ago goes first. It keeps and
    gives copies, in memory of its own that is used again: were a run's own tensors kept, the next ones would lie
    where no cache of the CPU has them yet, which makes a small block a quarter slower.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self.recalled = self.computed = 0  # cells
        self.streams: dict[int, Streams] = {}
        self._outputs: OrderedDict[Any, Any] = OrderedDict()

    def part(self, request: Hashable) -> "Part":
        """What it has of one of several requests; they share its room."""
        return Part(self, request)

    def hook(self, run: Run, index: int, request: Hashable = None) -> Hook:
        """The hook of a column; see ``engine.hooks.attach``."""
        return BranchHook(run, index) if run.sites[index].kind == "branch" else MemoHook(run, index, self, request)

    def recall(self, key: Any) -> Any:
        """What a block gave; ``None`` if that is not known."""
        if key not in self._outputs:
            return None
        self._outputs.move_to_end(key)
        self.recalled += 1
        return _each(torch.clone, self._outputs[key])

    def keep(self, key: Any, output: Any) -> None:
        self.computed += 1
        size = _size(output)
        if size > self.limit_bytes:
            return
        self.held_bytes += size
        room: defaultdict[Any, list[torch.Tensor]] = defaultdict(list)
        while self.held_bytes > self.limit_bytes:
            _, oldest = self._outputs.popitem(last=False)
            self.held_bytes -= _size(oldest)
            for tensor in _tensors(oldest):
                room[_kind(tensor)].append(tensor)
        self._outputs[key] = _each(lambda tensor: _copy(tensor, room[_kind(tensor)]), output)


@dataclass(frozen=True)
class Part:
    """A memo for the runs of one request among others."""

    memo: Memo
    request: Hashable

    def hook(self, run: Run, index: int) -> Hook:
        return self.memo.hook(run, index, self.request)


class MemoHook(BlockHook):
    """A column of the policy whose computed cells are looked up first."""

    def __init__(self, run: Run, index: int, memo: Memo, request: Hashable) -> None:
        super().__init__(run, index)
        self.memo = memo
        self.request = request

    def original(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        key = self._key()
        if key is None:
            return super().original(module, *args, **kwargs)
        output = self.memo.recall(key)
        if output is None:
            output = super().original(module, *args, **kwargs)
            self.memo.keep(key, output)
        return output

    def _key(self) -> Any:
        """All that decides the output of this call; ``None`` where it should not be remembered."""
        run, index, step = self.run, self.index, self.run.step
        schedule = run.slots[run.slot].schedule if run.slot in run.slots else None
        if index in run.streams:
            self.memo.streams[index] = run.streams[index]
        streams = self.memo.streams.get(index)  # unknown only in the first run
        if schedule is None or step < 0 or run.chosen != "routers":
            return None
        if schedule.policy.actions[step, index] != Action.COMPUTE or streams is None or streams.mutates:
            return None
        # Residuals that were kept as one are added as one, which rounds otherwise.
        count = step * len(run.sites) + index + 1
        before = schedule.policy.actions.ravel()[:count]
        joined = schedule.plan.joined.ravel()[:count] & (before == Action.CACHE)
        kept = b""
        if schedule.policy.keep is not None:
            kept = np.where(before == Action.COMPUTE, schedule.policy.keep.ravel()[:count], 1).tobytes()
        return self.request, run.slot, schedule.policy.carry, before.tobytes(), joined.tobytes(), kept


def _each(function: Callable[[torch.Tensor], torch.Tensor], output: Any) -> Any:
    if isinstance(output, torch.Tensor):
        return function(output)
    return type(output)(None if element is None else function(element) for element in output)


def _copy(tensor: torch.Tensor, room: list[torch.Tensor]) -> torch.Tensor:
    return (room.pop() if room else torch.empty_like(tensor)).copy_(tensor)


def _kind(tensor: torch.Tensor) -> Any:
    return tensor.shape, tensor.stride(), tensor.dtype, tensor.device


def _tensors(output: Any) -> list[torch.Tensor]:
    elements = (output,) if isinstance(output, torch.Tensor) else tuple(output)
    return [element for element in elements if isinstance(element, torch.Tensor)]


def _size(output: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in _tensors(output))
