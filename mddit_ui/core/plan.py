"""What a policy has to remember: which residuals are stored, and until when."""

from dataclasses import dataclass

import numpy as np

from mddit_ui.core.policy import Action, Policy


@dataclass(frozen=True, eq=False)
class Plan:
    """Made from a policy before the run, so that the run itself only looks things up.

    Args:
        store: (steps, sites) bool: this COMPUTE cell's residual is used by a later CACHE cell.
        free: (steps, sites) bool: this CACHE cell is the last to use its residual.
        live: (steps,) int: residuals held after each step, before the frees of that step; the peak sizes the cache.
    """

    store: np.ndarray
    free: np.ndarray
    live: np.ndarray

    @property
    def peak_residuals(self) -> int:
        return int(self.live.max(initial=0))


def plan(policy: Policy) -> Plan:
    """The storage plan of a policy."""
    actions = policy.actions
    steps = policy.steps
    cached = actions == Action.CACHE
    computed = actions == Action.COMPUTE

    # Walking backwards: does a later cell of this column, before its next compute, use the residual?
    store = np.zeros_like(cached)
    free = np.zeros_like(cached)
    used = np.zeros(actions.shape[1], bool)
    for step in range(steps - 1, -1, -1):
        free[step] = cached[step] & ~used
        store[step] = computed[step] & used
        used = np.where(computed[step], False, used | cached[step])

    held = np.cumsum(store.astype(int) - free, axis=0).sum(1) + free.sum(1)
    return Plan(store, free, held)
