"""Schedules from the literature, as policies."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mddit_ui.core.errors import PolicyError
from mddit_ui.core.policy import Action, Policy, check_size

Sites = int | Sequence[str]  # how many there are, or their names


def every(steps: int, sites: Sites, n: int = 2, **more: Any) -> Policy:
    """FORA (arXiv 2407.01425): all blocks in every n-th step, cached between them."""
    if n < 1:
        raise PolicyError(f"every needs n >= 1, got {n}.")
    actions, names = _all_compute(steps, sites)
    actions[np.arange(steps) % n != 0] = Action.CACHE
    return Policy(actions, sites=names, **{"name": f"every {n}", **more})


def bands(steps: int, sites: Sites, n: int = 2, switch: float = 0.5, share: float = 0.5, **more: Any) -> Policy:
    """Delta-DiT (arXiv 2406.01125): rear blocks cached in the early steps (outline), front blocks in the late ones.

    Args:
        n: interval between full steps inside both phases.
        switch: share of the steps that belongs to the early phase.
        share: share of the blocks that is cached between full steps.
    """
    if n < 1 or not 0 <= switch <= 1 or not 0 <= share <= 1:
        raise PolicyError(f"bands needs n >= 1 and shares in [0, 1], got n={n}, switch={switch}, share={share}.")
    actions, names = _all_compute(steps, sites)
    count = actions.shape[1]
    early, cached = round(steps * switch), round(count * share)
    step = np.arange(steps)[:, None]
    site = np.arange(count)[None, :]
    between = step % n != 0
    actions[between & (step < early) & (site >= count - cached)] = Action.CACHE
    actions[between & (step >= early) & (site < cached)] = Action.CACHE
    return Policy(actions, sites=names, **{"name": f"bands {n}", **more})


def skip_cache(
    steps: int, sites: Sites, n: int = 2, b: int = 1, full_until: float = 700, reset_at: float = 50, **more: Any
) -> Policy:
    """Skip-Cache (arXiv 2411.17616): between full steps only the ``b`` outer pairs of blocks run, and the tensor that
    entered the last ``b`` at the last full step enters them again, where the fresh skip branches join it.

    The defaults are the paper's for text to image (40 blocks, 50 steps or more); for its classes (28 blocks) it has
    b = 4, full_until = 1000, reset_at = 20, and n from 2 to 6. Without ``timesteps``, steps are taken to be evenly
    spaced from 999 down.

    Args:
        n: interval between full steps.
        full_until: steps run in full as long as their timestep (999 to 0) is at least this.
        reset_at: the first step whose timestep is at most this is the last that may be cached.
    """
    actions, names = _all_compute(steps, sites)
    count = actions.shape[1]
    if n < 1 or not 0 <= 2 * b <= count or not (full_until >= 0 and reset_at >= 0):
        raise PolicyError(
            f"skip_cache needs n >= 1, 0 <= 2b <= {count}, full_until >= 0 and reset_at >= 0; "
            f"got {n}, {b}, {full_until}, {reset_at}."
        )
    timesteps = more.get("timesteps") or 999 - 1000 * np.arange(steps) / steps
    since_full = 0
    for step, timestep in enumerate(timesteps):
        if since_full % n and timestep < full_until:
            actions[step, b : count - b] = Action.CACHE
        since_full = 0 if timestep <= reset_at else since_full + 1
    return Policy(actions, sites=names, **{"name": f"skip-cache {n}", "carry": "output", **more})


PRESETS: dict[str, Callable[..., Policy]] = {
    "full": Policy.full,
    "every": every,
    "bands": bands,
    "skip_cache": skip_cache,
}


def _all_compute(steps: int, sites: Sites) -> tuple[np.ndarray, tuple[str, ...]]:
    names = () if isinstance(sites, int) else tuple(sites)
    count = sites if isinstance(sites, int) else len(names)
    check_size(steps, count)
    return np.full((steps, count), Action.COMPUTE, np.int8), names
