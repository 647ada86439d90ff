"""Starting policies once more: whole steps planned with a calibration that the first ones have corrected."""

from collections.abc import Sequence

import numpy as np

from mddit_ui.core.policy import Policy
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.search.fitted import FittedSensitivity
from mddit_ui.search.portfolio import importance_of, spare_first_row, whole_steps
from mddit_ui.search.space import Space

LATEST_FIRST = 1 / 3  # of the steps: how late the first computed one may be
DRAWS = 24  # of weights, a plan
SPREAD = 0.5  # standard deviation of the log errors of starts, where nobody says what an error costs


def planned(
    space: Space, sensitivity: Sensitivity, *, known: Sequence[tuple[Policy, float]], count: int, unit: float, seed: int
) -> list[Policy]:
    """At most ``count`` new policies of whole steps that may be the best, given the losses of those that are known.

    Thompson sampling (Thompson 1933, doi 10.1093/biomet/25.3-4.285): weights of the calibration are drawn as they may
    be, dynamic programming finds the best steps with each, and each chooses among what all of them have found.

    Args:
        unit: of the losses, where the squared error grows e-fold; 0 where nobody knows.
    """
    random, old = np.random.default_rng(seed), {policy for policy, _ in known}
    losses = np.array([loss for _, loss in known])
    errors = losses / (unit or losses.std() / SPREAD or 1.0)
    fitted = FittedSensitivity.fit(sensitivity, np.stack([policy.actions for policy, _ in known]), errors)
    weights = [fitted.sample(random) for _ in range(DRAWS)]

    importance = importance_of(sensitivity)
    found: dict[Policy, None] = {}
    for drawn in map(fitted.calibrated, weights):
        for first, actions in enumerate(whole_steps(space, drawn, range(int(LATEST_FIRST * space.steps) + 1))):
            policy = space.nearest(actions, spare_first_row(importance, actions), name=f"steps planned from {first}")
            found.setdefault(policy)
    new = [policy for policy in found if policy not in old]
    if not new:
        return []
    tables = np.stack([policy.actions for policy in new])
    best = fitted.predict(tables, weights).round(9).argmin(1)
    return [new[index] for index in dict.fromkeys(best.tolist())][:count]
