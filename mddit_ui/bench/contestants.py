"""The schedules that a search is compared with, at a given budget."""

from collections.abc import Sequence

import numpy as np

from mddit_ui.core.calibration import Calibration
from mddit_ui.core.policy import Action, Policy
from mddit_ui.core.presets import bands, every
from mddit_ui.search.space import Space

HALVINGS = 40


def fixed(steps: int, sites: Sequence[str]) -> list[Policy]:
    """Those whose budget is what it is: every second and every third step."""
    return [every(steps, sites, n) for n in (2, 3) if n < steps]


def well_known(space: Space, rng: np.random.Generator) -> dict[str, Policy]:
    """Bands as near to the budget as they come, and a table by chance."""
    options = [
        bands(*space.shape, n=n, share=share) for n in (2, 3, 4, 6) for share in (0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0)
    ]
    affordable = [each for each in options if space.table.budget(each.actions) <= space.budget * 1.02] or options
    nearest = min(affordable, key=lambda each: abs(space.table.budget(each.actions) - space.budget))
    return {"Delta-DiT bands": nearest, "random": space.policy(rng.random(space.shape))}


def smooth_cache(space: Space, calibration: Calibration) -> Policy:
    """SmoothCache (arXiv 2411.10510): residuals serve until their measured change exceeds a bound, the same everywhere.

    The changes are means over the blocks, so whole steps are computed; the bound is the lowest that the budget allows.
    """
    change = np.nan_to_num(np.asarray(calibration.residual_change, float)).mean(2)  # (ages, steps)
    low, high = 0.0, float(change.max()) + 1e-6
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fits = space.table.budget(_bounded(change, middle, space.shape)) <= space.budget * (1 + 1e-9)
        low, high = (low, middle) if fits else (middle, high)
    return Policy(
        _bounded(change, high, space.shape), sites=space.table.sites, timesteps=space.timesteps, name="SmoothCache"
    )


def _bounded(change: np.ndarray, bound: float, shape: tuple[int, int]) -> np.ndarray:
    """(steps, sites) whole steps: one is computed when the last computed one's residuals have changed too much."""
    actions = np.full(shape, Action.CACHE, np.int8)
    last = 0
    for step in range(shape[0]):
        age = step - last
        if age == 0 or age > len(change) or change[age - 1, step] > bound:
            actions[step] = Action.COMPUTE
            last = step
    return actions
