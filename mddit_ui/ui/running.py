"""Long work in a thread, watched from an event handler: progress as it comes, cancelled when nobody watches."""

import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mddit_ui.core.errors import Cancelled

PULSE_SECONDS = 0.5  # so often the watcher hears something, so that a cancelled handler ends soon
GAP_SECONDS = 0.15  # and no more often than that: a browser that draws every step of a fast model hears no click


@dataclass(frozen=True)
class Progress:
    """``done`` of ``total`` units of ``what``; ``event`` is what the work reported; ``seconds_left`` None = unknown."""

    what: str
    done: int
    total: int
    seconds_left: float | None = None
    event: Any = None

    @property
    def share(self) -> float:
        return self.done / max(self.total, 1)

    def text(self) -> str:
        left = "" if self.seconds_left is None else f" · about {duration(self.seconds_left)} left"
        return f"{self.what} · {self.done} of {self.total}{left}" if self.total else self.what


Report = Callable[..., None]  # report(what, done, total, event=None)


def watch(
    work: Callable[[Report], Any], cancelled: threading.Event | None = None, gap_seconds: float = GAP_SECONDS
) -> Iterator[Progress | Any]:
    """Run ``work(report)`` in a thread; yields a ``Progress`` for reports and pulses, at last the result.

    A report that comes sooner than ``gap_seconds`` after what was yielded waits for the next pulse, or is outrun.

    When ``cancelled`` is set (the person pressed cancel) or the iterator is closed (the person left), the next report
    raises ``Cancelled`` in the work. An error of the work, ``Cancelled`` too, is raised here.
    """
    messages: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    cancelled = cancelled or threading.Event()

    def report(what: str, done: int, total: int, event: Any = None) -> None:
        if cancelled.is_set():
            raise Cancelled("Stopped.")
        messages.put(("progress", (what, done, total, event)))

    def run() -> None:
        try:
            messages.put(("result", work(report)))
        except BaseException as error:
            messages.put(("error", error))

    threading.Thread(target=run, daemon=True, name="mddit-work").start()
    clock = _Clock()
    last, told = Progress("Starting", 0, 0), -math.inf
    try:
        while True:
            try:
                kind, content = messages.get(timeout=PULSE_SECONDS)
            except queue.Empty:
                yield last
                continue
            if kind == "error":
                raise content
            if kind == "result":
                yield content
                return
            what, done, total, event = content
            last = Progress(what, done, total, clock.left(what, done, total), event)
            if time.monotonic() - told >= gap_seconds:
                told = time.monotonic()
                yield last
    finally:
        cancelled.set()


class _Clock:
    """Time left from the mean of the units that are done; the first unit (loading, compiling) isn't counted."""

    def __init__(self) -> None:
        self.what, self.first, self.start = "", 0, 0.0

    def left(self, what: str, done: int, total: int) -> float | None:
        now = time.monotonic()
        if what != self.what:
            self.what, self.first, self.start = what, done, now
        counted = done - self.first
        return (now - self.start) / counted * (total - done) if counted > 0 else None


def duration(seconds: float) -> str:
    """``8 s``, ``3 min``, ``2 h 10 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
