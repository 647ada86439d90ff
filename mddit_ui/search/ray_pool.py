"""A Ray cluster that scores policies: one actor for each GPU, or for each share of the CPU cores."""

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar

from mddit_ui.core.errors import SearchError

DEATHS = 3  # of the actor that is at one item, before the search gives up
HANDED_ON = ("MDDIT_", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "HF_HUB_OFFLINE")  # variables that actors get, too

Item = TypeVar("Item")
Result = TypeVar("Result")


class RayPool:
    """Does what a pool of processes does, on the actors of a cluster; they hold their models between two calls.

    Which actor does what, and which of them die, decides nothing but the order in which results are known.

    Args:
        address: of the cluster ("host:port", "auto", "ray://..."), or "local" for one of this machine alone.
        threads: of each actor, where there are no GPUs.

    Raises:
        SearchError: Ray is not installed, the cluster can't be reached, or this is a public Space.
    """

    def __init__(self, address: str, threads: int = 1) -> None:
        if os.environ.get("SPACE_ID"):
            raise SearchError("A public Space runs no Ray; search on a machine of your own.")
        try:
            import ray
        except ImportError:
            raise SearchError("Ray is not installed: pip install 'mddit-ui[ray]'.") from None
        handed_on = {name: value for name, value in os.environ.items() if name.startswith(HANDED_ON)}
        try:
            ray.init(address, log_to_driver=False, runtime_env={"env_vars": handed_on}, **_local(address))
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise SearchError(f"Can't use the Ray cluster {address!r}: {str(error).splitlines()[0][:200]}.") from error
        self._ray = ray
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0))
        options: dict[str, Any] = {"max_restarts": -1, "max_task_retries": DEATHS}
        options |= {"num_gpus": 1} if gpus else {"num_cpus": threads}
        actor = ray.remote(**options)(_Runner)
        self._actors: list[Any] = [
            actor.remote() for _ in range(gpus or max(int(resources.get("CPU", 1)) // threads, 1))
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ray.shutdown()

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
        """Give (item, ``function(item)``) as each is known. An item is taken only when an actor is free for it.

        Raises:
            SearchError: actors die again and again at one item.
        """
        items, free = iter(items), list(self._actors)
        running: dict[Any, tuple[Any, Item]] = {}
        while True:
            for item in islice(items, len(free)):
                actor = free.pop()
                running[actor.run.remote(function, item)] = actor, item
            if not running:
                return
            (done,), _ = self._ray.wait(list(running), num_returns=1)
            actor, item = running.pop(done)
            try:
                result = self._ray.get(done)
            except self._ray.exceptions.RayActorError as error:
                raise SearchError(
                    f"Actors died {DEATHS + 1} times at one policy, perhaps for lack of memory; see Ray's log."
                ) from error
            free.append(actor)
            yield item, result


class _Runner:
    def run(self, function: Callable[[Any], Any], item: Any) -> Any:
        return function(item)


def _local(address: str) -> dict[str, Any]:
    return {"include_dashboard": False} if address == "local" else {}
