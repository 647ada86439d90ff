"""Time that a device spends, without waiting for it before somebody asks."""

import time

import torch


class Stopwatch:
    """Adds up what lies between ``start`` and ``stop``: by events on a GPU, which works on, else by the clock."""

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self.reset()

    def reset(self) -> None:
        self._seconds = 0.0
        self._begun = 0.0
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def start(self) -> None:
        if self._on_gpu:
            self._events.append((torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)))
            self._events[-1][0].record()
        else:
            self._begun = time.perf_counter()

    def stop(self) -> None:
        if self._on_gpu:
            self._events[-1][1].record()
        else:
            self._seconds += time.perf_counter() - self._begun

    @property
    def seconds(self) -> float:
        """Waits for the device, if it is one that works by itself."""
        for begin, end in self._events:
            end.synchronize()
            self._seconds += begin.elapsed_time(end) / 1000
        self._events.clear()
        return self._seconds
