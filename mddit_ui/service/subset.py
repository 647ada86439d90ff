"""Which few prompts rank policies as all of a set do: scores of many policies, then FlashEval on them."""

from collections.abc import Callable, Sequence

import numpy as np

from mddit_ui.core.policy import Policy
from mddit_ui.core.presets import bands, every
from mddit_ui.search.space import Space
from mddit_ui.search.subset import Trust, compare
from mddit_ui.service import catalog, holdout
from mddit_ui.service.measure import Trial, measure

BUDGETS = (0.25, 0.9)
SKIPPED = (0.0, 0.1)  # shares of the cells that are skipped rather than cached; a policy has one of them


def policies_to_rank(view: catalog.ModelView, count: int, seed: int = 0) -> list[Policy]:
    """Policies of every kind and budget: well-known ones, whole steps and single cells by chance."""
    steps, sites = len(view.timesteps), view.sites
    rng = np.random.default_rng(seed)
    made = [every(steps, sites, n) for n in (2, 3)] + [bands(steps, sites, n) for n in (2, 3)]
    while len(made) < count:
        space = Space(view.mac_table, steps, float(rng.uniform(*BUDGETS)), view.timesteps, view.spec.id)
        whole, single = rng.random((steps, 1)), rng.random(space.shape)
        scores = whole + rng.choice([0.05, 0.5, 5.0]) * single
        scores[0] += rng.random() < 0.8  # most have something to take from the cache
        made.append(space.policy(scores, rng.random(space.shape) < rng.choice(SKIPPED)))
    return made[:count]


def scores_of(
    trial: Trial, policies: Sequence[Policy], *, on_policy: Callable[[int, int], None] | None = None
) -> np.ndarray:
    """(policies, prompts) CLIP scores; what was measured before is not made again."""
    rows = []
    for policy in policies:
        rows.append(measure(trial, policy).clip_scores)
        if on_policy is not None:
            on_policy(len(rows), len(policies))
    return np.array(rows)


def find(
    trial: Trial,
    sizes: Sequence[int],
    *,
    policies: int = 40,
    seed: int = 0,
    on_policy: Callable[[int, int], None] | None = None,
) -> list[Trust]:
    """A subset of the trial's prompts for each size, found on half of the policies and judged on the others.

    Raises:
        SearchError: the prompts are those of the hold-out set, or too few.
    """
    holdout.refuse(trial.prompts)
    view = catalog.describe(trial.model, trial.steps, trial.scheduler)
    scores = scores_of(trial, policies_to_rank(view, policies, seed), on_policy=on_policy)
    return compare(scores, sizes, seed=seed)
