"""The plan agrees with a run that keeps everything and looks back."""

import numpy as np
from hypothesis import given

from mddit_ui.core.plan import plan
from mddit_ui.core.policy import Action, Policy
from tests.core.strategies import policies


@given(policies())
def test_against_a_simulation(policy: Policy):
    """Every column by itself, in plain Python: a residual lives from its compute to the last cache that uses it."""
    made = plan(policy)
    steps, sites = policy.actions.shape
    store, free = np.zeros((steps, sites), bool), np.zeros((steps, sites), bool)
    live = np.zeros(steps, int)
    for site in range(sites):
        source, uses = None, {}
        for step, action in enumerate(policy.actions[:, site].tolist()):
            if action == Action.COMPUTE:
                source = step
            elif action == Action.CACHE:
                uses[source] = step  # the last one wins
        for first, last in uses.items():
            store[first, site], free[last, site] = True, True
            live[first : last + 1] += 1

    assert np.array_equal(made.store, store)
    assert np.array_equal(made.free, free)
    assert made.live.tolist() == live.tolist()
    assert made.peak_residuals == live.max()


def test_by_hand():
    made = plan(Policy.from_rows(["##", "=#", "#=", "=."]))
    assert made.store.tolist() == [[True, False], [False, True], [True, False], [False, False]]
    assert made.free.tolist() == [[False, False], [True, False], [False, True], [True, False]]
    assert made.live.tolist() == [1, 2, 2, 1]
    assert made.peak_residuals == 2


def test_full_depth_stores_nothing():
    made = plan(Policy.full(4, 3))
    assert not made.store.any()
    assert made.peak_residuals == 0


def test_skips_store_nothing():
    assert plan(Policy.from_rows(["##", "..", "#."])).peak_residuals == 0
