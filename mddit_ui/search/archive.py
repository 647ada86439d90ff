"""The best policy for every budget, out of all that were evaluated."""

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Archive(Generic[T]):
    """What no other is cheaper and at least as good as; from the cheapest to the best.

    It only grows: another evaluation never makes ``within`` worse, at any budget.

    Args:
        points: (budget, objective, item), both rising; a higher objective is better.
    """

    points: tuple[tuple[float, float, T], ...] = ()

    @classmethod
    def of(cls, points: Iterable[tuple[float, float, T]]) -> "Archive[T]":
        """All points that can be in one; of equal ones the first stays."""
        archive = cls()
        for point in points:
            archive = archive.add(*point)
        return archive

    def add(self, budget: float, objective: float, item: T) -> "Archive[T]":
        """With one more; the same archive if it is not better than what is there, or not a number."""
        best = self._before(budget)
        if math.isnan(objective) or (best is not None and best[1] >= objective):
            return self
        cheaper = [point for point in self.points if point[0] < budget]
        dearer = [point for point in self.points if point[0] >= budget and point[1] > objective]
        return Archive((*cheaper, (budget, objective, item), *dearer))

    def within(self, budget: float) -> T | None:
        """The best that costs at most ``budget``; ``None`` when there is none."""
        best = self._before(budget)
        return None if best is None else best[2]

    def _before(self, budget: float) -> tuple[float, float, T] | None:
        index = bisect_right(self.points, budget, key=lambda point: point[0])
        return self.points[index - 1] if index else None
