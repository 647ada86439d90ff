"""Who proposes policies: what every method promises, and what it starts from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mddit_ui.core.errors import SearchError
from mddit_ui.core.policy import Policy
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.search.encoding import Encoding
from mddit_ui.search.optimizers import Optimizer, check_told
from mddit_ui.search.screening import Chooser, Predictor, TakeAll
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
        screen: proposals for each that is evaluated; a predictor chooses among them.
    """

    space: Space
    starts: Sequence[Policy]
    losses: Sequence[float]
    seed: int
    population: int
    sigma: float = 0.4
    sensitivity: Sensitivity | None = None
    screen: int = 1

    def __post_init__(self) -> None:
        if not self.starts or len(self.starts) != len(self.losses):
            raise SearchError(f"A method needs starts with losses, got {len(self.starts)} and {len(self.losses)}.")

    def chooser(self) -> Chooser:
        """Takes all, or screens by what the calibration and the evaluations so far predict."""
        if self.sensitivity is None or self.screen == 1:
            return TakeAll()
        chooser = Predictor(self.sensitivity, factor=self.screen)
        chooser.learn(self.starts, self.losses)
        return chooser


class Vectors:
    """An optimiser of vectors and what they mean."""

    def __init__(self, encoding: Encoding, optimizer: Optimizer, chooser: Chooser) -> None:
        self._encoding, self._optimizer, self._chooser = encoding, optimizer, chooser
        self._asked: list[Policy] = []
        self._chosen: list[int] = []

    def ask(self) -> list[Policy]:
        policies = [self._encoding.decode(vector) for vector in self._optimizer.ask(self._chooser.factor)]
        self._chosen = self._chooser.choose(policies, len(policies) // self._chooser.factor)
        self._asked = [policies[index] for index in self._chosen]
        return list(self._asked)

    def tell(self, losses: Sequence[float]) -> None:
        check_told(len(self._asked), losses)
        self._optimizer.tell(losses, self._chosen)
        self._chooser.learn(self._asked, losses)
        self._asked = []

    @property
    def done(self) -> bool:
        return self._optimizer.done


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
