"""The plan agrees with a run that is played through cell by cell, in plain Python."""

from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mddit_ui.core.plan import plan
from mddit_ui.core.policy import Action, Policy
from tests.core.strategies import policies


@given(policies(), st.booleans(), st.lists(st.booleans(), min_size=6, max_size=6))
def test_against_a_run(policy: Policy, all_chained: bool, links: list[bool]):
    steps, sites = policy.actions.shape
    chained = [True] * sites if all_chained else links[:sites]
    made = plan(policy, None if all_chained else chained)

    uses = defaultdict(set)  # (step, site) of a compute -> the steps that use its residual
    source = {}  # (step, site) of a cache -> the step of that compute
    for site in range(sites):
        for step, action in enumerate(policy.actions[:, site].tolist()):
            if action == Action.COMPUTE:
                latest = step
            elif action == Action.CACHE:
                uses[latest, site].add(step)
                source[step, site] = latest

    def together(step: int, site: int) -> bool:
        """Kept as one with the residual of the site before it."""
        neighbours = uses.get((step, site)), uses.get((step, site - 1))
        return site > 0 and chained[site] and neighbours[0] is not None and neighbours[0] == neighbours[1]

    held = 0
    for step in range(steps):
        most = 0
        for site in range(sites):
            stored = (step, site) in uses
            first = source.get((step, site), step)
            last = (step, site) in source and step == max(uses[first, site])
            one = together(first, site)
            assert made.store[step, site] == stored
            assert made.free[step, site] == last
            assert made.joined[step, site] == one
            held += stored and not one
            most = max(most, held)
            held -= last and not one
        assert made.live[step] == most
    assert held == 0  # nothing outlives the run
    assert made.peak_residuals == made.live.max()


def test_columns_with_their_own_uses_are_kept_apart():
    made = plan(Policy.from_rows(["##", "=#", "#=", "=."]))
    assert made.store.tolist() == [[True, False], [False, True], [True, False], [False, False]]
    assert made.free.tolist() == [[False, False], [True, False], [False, True], [True, False]]
    assert not made.joined.any()
    assert made.live.tolist() == [1, 1, 2, 1]


def test_a_run_of_neighbours_is_one_residual():
    made = plan(Policy.from_rows(["####", "#===", "#==="]))
    assert made.joined.tolist() == [[False, False, True, True]] * 3
    assert made.peak_residuals == 1
    assert made.peak_bytes([100] * 4) == 100
    assert made.peak_bytes([100] * 4, contexts=2) == 200


def test_sites_of_unlike_size_are_sized_one_by_one():
    made = plan(Policy.from_rows(["##", "=#", ".="]))
    assert made.live.tolist() == [1, 1, 1]
    assert made.peak_bytes([10, 1000]) == 1000


def test_full_depth_and_skips_store_nothing():
    for policy in (Policy.full(4, 3), Policy.from_rows(["##", "..", "#."])):
        made = plan(policy)
        assert not made.store.any()
        assert made.peak_residuals == 0
        assert made.peak_bytes(np.ones(policy.actions.shape[1])) == 0


def test_contexts_of_different_sizes():
    """Guidance in two calls, whose texts differ in length."""
    made = plan(Policy.from_rows(["##", "=#", "=="]))
    assert made.peak_bytes([[10, 20], [1, 2]]) == 33


def test_a_long_skip_reads_what_is_kept_as_one_only_where_its_reader_runs():
    """Block 0 of 4 is read by block 3 too: as long as both are cached, nobody misses the output of block 0."""
    policy = Policy.from_rows(["####", "====", "===="], carry="output")
    assert plan(policy, readers={0: 3, 1: 2}).peak_residuals == 1
    policy = Policy.from_rows(["####", "===#", "===#"], carry="output")
    made = plan(policy, readers={0: 3, 1: 2})
    assert made.joined.tolist() == [[False, False, True, False]] * 3
    assert made.peak_residuals == 2
    assert plan(policy, readers={0: None}).joined[0].tolist() == [False, False, True, False]


@given(policies())
def test_rows_are_the_plan_in_plain_python(policy: Policy):
    made = plan(policy)
    rows = made.rows(policy)
    assert [[(int(c.action), c.store, c.joined, c.last) for c in row] for row in rows] == [
        list(zip(*columns, strict=True))
        for columns in zip(
            policy.actions.tolist(), made.store.tolist(), made.joined.tolist(), made.free.tolist(), strict=True
        )
    ]
    assert type(rows[0][0].store) is bool
