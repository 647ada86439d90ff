"""Who proposes vectors: CMA-ES, full and separable, and random search as its control."""

import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import numpy as np

from mddit_ui.core.errors import SearchError

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # it regrets the absence of matplotlib
    import cma

_NEVER_STOPS = {
    name: 0
    for name in ("tolfun", "tolfunhist", "tolfunrel", "tolx", "tolxstagnation", "tolflatfitness", "tolstagnation")
}


class Optimizer(Protocol):
    """Minimises. Its proposals are a function of its arguments and of the values it was told, of nothing else."""

    def ask(self) -> list[np.ndarray]:
        """The vectors of the next generation; asking twice without telling is an error."""

    def tell(self, values: Sequence[float]) -> None:
        """The values of the vectors that were asked for, in their order; all finite, lower is better."""

    @property
    def done(self) -> bool:
        """Nothing new is to be expected from it."""


class CmaEs:
    """CMA-ES, Hansen 2016 (arXiv 1604.00772), through ``cma``, with a random state of its own.

    Left to itself ``cma`` seeds numpy's global generator, so that two searches in one process disturb each other; and
    its tests for convergence mistake the plateaus of a decoded policy for the end.

    Args:
        diagonal: learn the variances alone (sep-CMA-ES), for hundreds of dimensions.
    """

    def __init__(
        self,
        dimension: int,
        *,
        seed: int,
        sigma: float = 0.4,
        population: int | None = None,
        diagonal: bool = False,
    ) -> None:
        self._population = population or 4 + int(3 * math.log(dimension))
        options = {
            "seed": math.nan,  # leave numpy's global generator alone
            "randn": np.random.RandomState(seed).randn,
            "popsize": self._population,
            "CMA_diagonal": diagonal,
            "verbose": -9,
            "verb_log": 0,
            "tolconditioncov": math.inf,
            "tolfacupx": math.inf,
            "tolupsigma": math.inf,
            "maxiter": math.inf,
            "maxfevals": math.inf,
            **_NEVER_STOPS,
        }
        self._strategy = cma.CMAEvolutionStrategy(np.zeros(dimension), sigma, options)
        self._asked: list[np.ndarray] | None = None

    def ask(self) -> list[np.ndarray]:
        _check_not_asked(self._asked)
        self._asked = self._strategy.ask()
        return [vector.copy() for vector in self._asked]

    def tell(self, values: Sequence[float]) -> None:
        self._strategy.tell(_checked(self._asked, values), list(values))
        self._asked = None

    @property
    def done(self) -> bool:
        return bool(max(self._strategy.result.stds) < 1e-9)


class RandomSearch:
    """Normal vectors round the start, blind to their values."""

    def __init__(self, dimension: int, *, seed: int, sigma: float = 0.4, population: int | None = None) -> None:
        self._random = np.random.default_rng(seed)
        self._size = (population or 4 + int(3 * math.log(dimension)), dimension)
        self._sigma = sigma
        self._asked: list[np.ndarray] | None = None

    def ask(self) -> list[np.ndarray]:
        _check_not_asked(self._asked)
        self._asked = list(self._random.normal(0, self._sigma, self._size))
        return [vector.copy() for vector in self._asked]

    def tell(self, values: Sequence[float]) -> None:
        _checked(self._asked, values)
        self._asked = None

    @property
    def done(self) -> bool:
        return False


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "cma-es": CmaEs,
    "sep-cma-es": partial(CmaEs, diagonal=True),
    "random": RandomSearch,
}


def _check_not_asked(asked: list[np.ndarray] | None) -> None:
    if asked is not None:
        raise SearchError("The last generation was not told yet.")


def _checked(asked: list[np.ndarray] | None, values: Sequence[float]) -> list[np.ndarray]:
    check_told(len(asked or []), values)
    return asked or []


def check_told(asked: int, values: Sequence[float]) -> None:
    """SearchError unless there is one finite value for each that was asked for."""
    if not asked or len(values) != asked:
        raise SearchError(f"Expected values for {asked} proposals, got {len(values)}.")
    if not np.isfinite(values).all():
        raise SearchError("An optimiser is told finite values only.")
