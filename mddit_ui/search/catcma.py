"""CatCMA with margin: a probability for each action of each cell."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from cmaes import CatCMAwM

from mddit_ui.core.errors import SearchError
from mddit_ui.core.policy import Policy
from mddit_ui.search.methods import Setting
from mddit_ui.search.optimizers import check_told
from mddit_ui.search.space import intended

CHOICES = 3  # skip, cache, compute
DOUBT = 0.2  # share of the first probabilities that is spread evenly
LEARNT_FROM = 4  # starts that the first probabilities come from


class CatCma:
    """CatCMA with margin, Hamano et al. 2025 (arXiv 2504.07884), through ``cmaes``, begun round the starts.

    What it draws is brought to the budget, and it is told what it would have had to draw.
    """

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._free = np.flatnonzero(setting.space.free)
        shown = np.stack([_one_hot(start, self._free) for start in setting.starts[:LEARNT_FROM]])
        first = (1 - DOUBT) * shown.mean(0) + DOUBT / CHOICES
        self._strategy = CatCMAwM(
            c_space=[CHOICES] * len(self._free),
            cat_param=first,
            population_size=setting.population,
            seed=setting.seed,
        )
        self._asked: list[tuple[CatCMAwM.Solution, Policy]] = []

    def ask(self) -> list[Policy]:
        if self._asked:
            raise SearchError("The last generation was not told yet.")
        space = self._setting.space
        drawn = [self._strategy.ask() for _ in range(self._setting.population)]
        importance = np.zeros(space.shape)  # how often a cell is computed in this generation
        importance.flat[self._free] = np.mean([solution.c[:, CHOICES - 1] for solution in drawn], axis=0)
        for solution in drawn:
            actions = np.zeros(space.shape, np.int8)
            actions.flat[self._free] = solution.c.argmax(1) - 1
            policy = space.nearest(actions, importance)
            self._asked.append((dataclasses.replace(solution, c=_one_hot(policy, self._free)), policy))
        return [policy for _, policy in self._asked]

    def tell(self, losses: Sequence[float]) -> None:
        check_told(len(self._asked), losses)
        told = [(solution, loss) for (solution, _), loss in zip(self._asked, losses, strict=True)]
        self._strategy.tell(told)
        self._asked = []

    @property
    def done(self) -> bool:
        return False


def _one_hot(policy: Policy, free: np.ndarray) -> np.ndarray:
    """(cells, 3) bool."""
    return intended(policy).ravel()[free][:, None] == np.arange(CHOICES) - 1
