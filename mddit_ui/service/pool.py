"""Processes side by side that score policies: each holds the model once, and one thread for each core it may use."""

import ctypes
import multiprocessing
import os
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import chain, islice
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Self, TypeVar

from mddit_ui.core.errors import ConfigError, SearchError
from mddit_ui.core.records import ModelSpec

HANGS_AFTER = 10  # times as long as others took that do the same
LEAST_LIMIT_SECONDS = 60.0
NEW_HANGS_AFTER = 100  # times as long as all others took, while it is not known how long the same takes ...
NEW_LIMIT_SECONDS = 900.0  # ... and at least so long
KNOWN = 3  # results after which that is known
MOST_DEATHS = 2  # processes that may die one after the other without giving a result
LARGE_BYTES = 1_000_000_000  # weights of which one copy is enough
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # glibc's malloc.h

Item = TypeVar("Item")
Result = TypeVar("Result")


class Pool:
    """``processes`` processes that end with their parent, also when it is killed; ``threads``: of each."""

    def __init__(self, processes: int, threads: int = 1) -> None:
        self.processes, self.threads = processes, threads
        self._seconds: defaultdict[object, deque[float]] = defaultdict(partial(deque, maxlen=20))  # by function
        self._executor = self._new()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._executor.shutdown(cancel_futures=True)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
        """Give (item, ``function(item)``) as each is known. An item is taken only when a process is free for it.

        What a process was at when it died, or hung, is done again by another one. The same function should take about
        the same time for each item.

        Raises:
            SearchError: they die again and again.
        """
        items, deaths = iter(items), 0
        running: dict[Future[Result], tuple[Item, float]] = {}

        def begin(item: Item) -> None:
            future = self._executor.submit(_limited, self._limit(function), function, item)
            running[future] = item, time.monotonic()

        try:
            while True:
                for item in islice(items, self.processes - len(running)):
                    begin(item)
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in [future for future in running if future in done]:
                    try:
                        result = future.result()
                    except BrokenProcessPool:
                        deaths += 1
                        self._begin_again(deaths)
                        lost = [item for item, _ in running.values()]
                        running.clear()
                        for item in lost:
                            begin(item)
                        break
                    deaths = 0
                    item, began = running.pop(future)
                    self._seconds[function].append(time.monotonic() - began)
                    yield item, result
        finally:
            for future in running:
                future.cancel()

    def _limit(self, function: object) -> float:
        """Seconds after which a process hangs, it is thought."""
        if len(same := self._seconds[function]) >= KNOWN:
            return max(HANGS_AFTER * median(same), LEAST_LIMIT_SECONDS)
        everything = [*chain(*self._seconds.values())] or [0.0]
        return max(NEW_HANGS_AFTER * median(everything), NEW_LIMIT_SECONDS)

    def _new(self) -> ProcessPoolExecutor:
        # Not forked: the threads of torch don't survive that.
        return ProcessPoolExecutor(
            self.processes, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(self.threads,)
        )

    def _begin_again(self, deaths: int) -> None:
        self._executor.shutdown(cancel_futures=True)
        if deaths > MOST_DEATHS:
            raise SearchError(
                f"{deaths} processes of the search died one after the other, perhaps for lack of memory; "
                "set MDDIT_PROCESSES=1, or close other programs, then press Resume."
            )
        self._executor = self._new()


def processes_for(spec: ModelSpec) -> int:
    """``$MDDIT_PROCESSES``, else one a core for a small model on a CPU, and one in all for others."""
    if wish := os.environ.get("MDDIT_PROCESSES", ""):
        if not wish.isdigit() or not 1 <= int(wish) <= 256:
            raise ConfigError(f"MDDIT_PROCESSES is {wish!r}; expected a number from 1 to 256.")
        return int(wish)
    from mddit_ui.models.loading import pick_device

    weights = sum(file.stat().st_size for file in Path(spec.source).glob("**/*.safetensors"))
    return cores() if pick_device() == "cpu" and 0 < weights < LARGE_BYTES else 1


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _limited(seconds: float, function: Callable[[Item], Result], item: Item) -> Result:
    """Ends the process when the call does not come back: nothing else stops a call into a library."""
    alarm = threading.Timer(seconds, os._exit, (1,))
    alarm.daemon = True
    alarm.start()
    try:
        return function(item)
    finally:
        alarm.cancel()


def _begin(threads: int) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait_for([parent.sentinel]), os._exit(1)), daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = str(threads)  # heeded by torch, which nothing has imported yet
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Memory that is freed stays with this process, which asks for as much again at the next call.

    Else glibc gives tensors of a megabyte back, and the system maps them anew, page by page.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # another C library
        return
    for parameter, size in ((M_MMAP_THRESHOLD, 2**25), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 2**26)):
        mallopt(parameter, size)
