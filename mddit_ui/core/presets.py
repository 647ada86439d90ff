"""Schedules from the literature, as policies."""

from collections.abc import Callable

import numpy as np

from mddit_ui.core.errors import PolicyError
from mddit_ui.core.policy import Action, Policy


def every(steps: int, sites: int, n: int, **more) -> Policy:
    """FORA (arXiv 2407.01425): all blocks in every n-th step, cached between them."""
    if n < 1:
        raise PolicyError(f"every(n) needs n >= 1, got {n}.")
    actions = np.full((steps, sites), Action.CACHE, np.int8)
    actions[::n] = Action.COMPUTE
    return Policy(actions, name=more.pop("name", f"every {n}"), **more)


def bands(steps: int, sites: int, n: int = 2, switch: float = 0.5, share: float = 0.5, **more) -> Policy:
    """Delta-DiT (arXiv 2406.01125): rear blocks cached in the early steps (outline), front blocks in the late ones.

    Args:
        n: interval between full steps inside both phases.
        switch: share of the steps that belongs to the early phase.
        share: share of the blocks that is cached between full steps.
    """
    if n < 1 or not 0 <= switch <= 1 or not 0 <= share <= 1:
        raise PolicyError(f"bands needs n >= 1 and shares in [0, 1], got n={n}, switch={switch}, share={share}.")
    actions = np.full((steps, sites), Action.COMPUTE, np.int8)
    early, cached = round(steps * switch), round(sites * share)
    step = np.arange(steps)[:, None]
    site = np.arange(sites)[None, :]
    between = step % n != 0
    actions[between & (step < early) & (site >= sites - cached)] = Action.CACHE
    actions[between & (step >= early) & (site < cached)] = Action.CACHE
    return Policy(actions, name=more.pop("name", f"bands {n}"), **more)


def skip_cache(steps: int, sites: int, n: int = 2, b: int = 2, full_until: int = 1, **more) -> Policy:
    """Skip-Cache (arXiv 2411.17616): between full steps only the ``b`` outer pairs of blocks run, the middle is cached.

    Args:
        full_until: this many first steps run in full.
    """
    if n < 1 or not 0 <= 2 * b <= sites or full_until < 0:
        raise PolicyError(f"skip_cache needs n >= 1, 2b <= {sites} and full_until >= 0, got n={n}, b={b}.")
    actions = np.full((steps, sites), Action.COMPUTE, np.int8)
    step = np.arange(steps)
    between = (step >= max(full_until, 1)) & (step % n != 0)
    actions[np.ix_(between, np.arange(b, sites - b))] = Action.CACHE
    return Policy(actions, name=more.pop("name", f"skip-cache {n}"), **more)


PRESETS: dict[str, Callable[..., Policy]] = {
    "full": Policy.full,
    "every": every,
    "bands": bands,
    "skip_cache": skip_cache,
}
