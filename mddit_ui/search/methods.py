"""Who proposes policies: what every method promises, and what it starts from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mddit_ui.core.errors import SearchError
from mddit_ui.core.policy import Policy
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.search.encoding import ENCODINGS, Encoding
from mddit_ui.search.optimizers import OPTIMIZERS, Optimizer
from mddit_ui.search.portfolio import importance_of
from mddit_ui.search.space import Space


class Method(Protocol):
    """Minimises over the policies of a space.

    Its proposals are a function of its setting and of the losses it was told, of nothing else: replaying those is how a
    search is resumed.
    """

    def ask(self) -> list[Policy]:
        """The next generation; asking twice without telling is an error."""

    def tell(self, losses: Sequence[float]) -> None:
        """The losses of the policies that were asked for, in their order; all finite, lower is better."""

    @property
    def done(self) -> bool:
        """Nothing new is to be expected from it."""


@dataclass(frozen=True, eq=False)
class Setting:
    """What a method starts from.

    Args:
        starts: evaluated policies, the best first; losses: theirs, finite.
        population: policies of a generation; sigma: how far the first ones spread, for those that have a step size.
    """

    space: Space
    starts: Sequence[Policy]
    losses: Sequence[float]
    seed: int
    population: int
    sigma: float = 0.4
    sensitivity: Sensitivity | None = None

    def __post_init__(self) -> None:
        if not self.starts or len(self.starts) != len(self.losses):
            raise SearchError(f"A method needs starts with losses, got {len(self.starts)} and {len(self.losses)}.")


class Vectors:
    """An optimiser of vectors and what they mean."""

    def __init__(self, encoding: Encoding, optimizer: Optimizer) -> None:
        self._encoding, self._optimizer = encoding, optimizer

    def ask(self) -> list[Policy]:
        return [self._encoding.decode(vector) for vector in self._optimizer.ask()]

    def tell(self, losses: Sequence[float]) -> None:
        self._optimizer.tell(losses)

    @property
    def done(self) -> bool:
        return self._optimizer.done


def vectors(setting: Setting, *, optimizer: str, encoding: str = "mixed") -> Method:
    """An optimiser of vectors on an encoding round the best start."""
    importance = None if setting.sensitivity is None else importance_of(setting.sensitivity)
    encode = ENCODINGS[encoding](setting.space, setting.starts[0], importance)
    strategy = OPTIMIZERS[optimizer](
        encode.dimension, seed=setting.seed, sigma=setting.sigma, population=setting.population
    )
    return Vectors(encode, strategy)


class TakingTurns:
    """Several methods, one generation each in turn: one search that serves many budgets."""

    def __init__(self, methods: Sequence[Method]) -> None:
        self._methods = list(methods)
        self._turn = 0

    def ask(self) -> list[Policy]:
        return self._methods[self._turn].ask()

    def tell(self, losses: Sequence[float]) -> None:
        self._methods[self._turn].tell(losses)
        self._turn = (self._turn + 1) % len(self._methods)

    @property
    def done(self) -> bool:
        return all(method.done for method in self._methods)
