"""Times inside a transformer, of several arrangements in turn, so that a slower minute hits all of them."""

import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from mddit_ui.bench.subjects import Subject

Arrangement = Callable[[], AbstractContextManager]  # what is put on the transformer for one run
Times = dict[str, list[float]]  # name -> seconds in the transformer, one a round


class Spread(NamedTuple):
    """A median and its standard error."""

    median: float
    error: float


def interleaved(subject: Subject, arrangements: Mapping[str, Arrangement], rounds: int) -> Times:
    """All arrangements once a round, in an order that changes from round to round; one more round warms up."""
    seconds: Times = {name: [] for name in arrangements}
    order = random.Random(0)
    for number in range(rounds + 1):
        for name in order.sample(sorted(arrangements), len(arrangements)):
            with arrangements[name](), timed(subject) as spent:
                subject.run()
            if number:
                seconds[name].append(spent())
    return seconds


def speed_up(seconds: Times, name: str, reference: str) -> Spread:
    """Over the rounds: seconds of the reference / of this one. The error is infinite where there was one round only."""
    ratios = [other / one for other, one in zip(seconds[reference], seconds[name], strict=True)]
    if len(ratios) < 2:
        return Spread(ratios[0], math.inf)
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    spread = (high - low) / 1.349  # the standard deviation of a normal distribution, told by its quartiles
    return Spread(middle, 1.2533 * spread / len(ratios) ** 0.5)


@contextmanager
def timed(subject: Subject) -> Iterator[Callable[[], float]]:
    """Seconds inside the transformer, hooks included: of the processor where one thread works, else of the clock."""
    spent = [0.0]
    now = clock(subject.device)

    def start(*_: object) -> None:
        spent[0] -= now()

    def stop(*_: object) -> None:
        spent[0] += now()

    handles = [
        subject.transformer.register_forward_pre_hook(start),
        subject.transformer.register_forward_hook(stop),
    ]
    try:
        yield lambda: spent[0]
    finally:
        for handle in handles:
            handle.remove()


def macs_of(subject: Subject, arrangement: Arrangement) -> tuple[float, torch.Tensor]:
    """(MACs that a run does in the transformer, as counted in it, what the run gives)."""
    counter = _Counter()

    def start(*_: object) -> None:
        counter.__enter__()

    def stop(*_: object) -> None:
        counter.__exit__(None, None, None)

    with arrangement():
        handles = [
            subject.transformer.register_forward_pre_hook(start),
            subject.transformer.register_forward_hook(stop),
        ]
        try:
            output = subject.run()
        finally:
            for handle in handles:
                handle.remove()
    return counter.flops / 2, output


class _Counter(TorchDispatchMode):
    """``FlopCounterMode`` without its look at the modules, which never ends where a cache has made them a circle."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        output = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.flops += count(*args, **(kwargs or {}), out_val=output)
        return output


def clock(device: torch.device | str) -> Callable[[], float]:
    """Seconds: of the processor where one thread works, else of the clock, when the device is done."""
    device = torch.device(device)
    if device.type == "cuda":

        def now() -> float:
            torch.cuda.synchronize(device)
            return time.perf_counter()

        return now
    return time.process_time if torch.get_num_threads() == 1 else time.perf_counter
