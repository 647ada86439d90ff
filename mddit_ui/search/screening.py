"""A cheap predictor between the proposals and the pictures: many are drawn, the most promising are evaluated."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from mddit_ui.core.policy import Action, Policy
from mddit_ui.core.sensitivity import Sensitivity

RIDGE = 0.1  # of the standardised features, an evaluation


class Chooser(Protocol):
    """Chooses among more proposals than will be evaluated."""

    factor: int  # how many times as many it wants to see

    def choose(self, policies: Sequence[Policy], count: int) -> list[int]:
        """Which ``count`` of the policies to evaluate."""

    def learn(self, policies: Sequence[Policy], losses: Sequence[float]) -> None:
        """What came out of those that were evaluated."""


class TakeAll:
    """The first that are proposed."""

    factor = 1

    def choose(self, policies: Sequence[Policy], count: int) -> list[int]:
        return list(range(min(count, len(policies))))

    def learn(self, policies: Sequence[Policy], losses: Sequence[float]) -> None:
        """There is nothing to learn where all are taken."""


class Predictor:
    """Ridge regression of the loss on what a policy is predicted to spoil, summed by step and by site.

    Args:
        least: evaluations before it dares to choose; until then the first proposals are taken.
    """

    def __init__(self, sensitivity: Sensitivity, *, factor: int = 10, least: int = 24) -> None:
        self.factor = factor
        self._sensitivity, self._least = sensitivity, least
        self._known: dict[str, float] = {}
        self._features: list[np.ndarray] = []
        self._losses: list[float] = []

    def choose(self, policies: Sequence[Policy], count: int) -> list[int]:
        """The lowest predicted losses; what was evaluated before, or is there twice, comes last."""
        seen = set(self._known)
        repeated = []
        for policy in policies:
            repeated.append(policy.digest in seen)
            seen.add(policy.digest)
        predicted = self._predict(self._of(policies)) if len(self._losses) >= self._least else np.zeros(len(policies))
        return np.lexsort((predicted, np.array(repeated)))[:count].tolist()

    def learn(self, policies: Sequence[Policy], losses: Sequence[float]) -> None:
        for policy, features, loss in zip(policies, self._of(policies), losses, strict=True):
            if policy.digest not in self._known:
                self._known[policy.digest] = loss
                self._features.append(features)
                self._losses.append(loss)

    def _of(self, policies: Sequence[Policy]) -> np.ndarray:
        """(n, 3 * (steps + sites)) logarithms of the predicted errors; shares of what is computed and skipped."""
        actions = np.stack([policy.actions for policy in policies])
        tables = (
            np.log(self._sensitivity.cells(actions) + 1e-9),
            actions == Action.COMPUTE,
            actions == Action.SKIP,
        )
        return np.concatenate([table.mean(axis) for table in tables for axis in (2, 1)], axis=1)

    def _predict(self, features: np.ndarray) -> np.ndarray:
        known = np.stack(self._features)
        losses = np.array(self._losses)
        ranks = np.empty(len(losses))  # one very bad policy must not decide the fit
        ranks[np.argsort(losses, kind="stable")] = np.linspace(0, 1, len(losses))
        centre, spread = known.mean(0), known.std(0)
        used = spread > 1e-9
        scaled = (known[:, used] - centre[used]) / spread[used]
        gram = scaled.T @ scaled + RIDGE * len(known) * np.eye(int(used.sum()))
        weights = np.linalg.solve(gram, scaled.T @ (ranks - 0.5))
        return ((features[:, used] - centre[used]) / spread[used]) @ weights
