"""Every policy of a space is legal, within one cell of the budget, and keeps the locked cells."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mddit_ui.core.cost import MacTable
from mddit_ui.core.errors import PolicyError, SearchError
from mddit_ui.core.policy import Action
from mddit_ui.core.presets import every
from mddit_ui.core.tokens import BINS
from mddit_ui.search.encoding import Encoding, cosines, mostly_rows, rows_and_columns
from mddit_ui.search.space import FREE, Space, intended, locked_from_rows, ranks

NUMBERS = st.floats(-1e6, 1e6)


@st.composite
def spaces(draw):
    steps, sites = draw(st.integers(2, 12)), draw(st.integers(1, 9))
    costs = draw(hnp.arrays(float, sites, elements=st.floats(0.1, 50)))
    table = MacTable(tuple(f"b{n}" for n in range(sites)), costs, draw(st.floats(0, 20)))
    locked = draw(hnp.arrays(np.int8, (steps, sites), elements=st.sampled_from([FREE] * 8 + [-1, 0, 1])))
    try:
        return Space(table, steps, draw(st.floats(0.05, 1)), locked=locked)
    except SearchError:
        assume(False)


@settings(max_examples=200)
@given(data=st.data(), space=spaces())
def test_any_scores_give_a_legal_policy_that_spends_the_budget(data, space):
    scores = data.draw(hnp.arrays(float, space.shape, elements=NUMBERS))
    skip = data.draw(hnp.arrays(bool, space.shape))
    policy = space.policy(scores, skip)  # an illegal table would not become a Policy

    macs, full = space.table.total(policy.actions), space.table.full(space.steps)
    assert macs <= space.budget * full * (1 + 1e-8)
    free = space.locked == FREE
    could = free & (policy.actions != Action.COMPUTE)
    if could.any():
        cheapest = np.broadcast_to(space.table.site_macs, space.shape)[could].min()
        assert macs + cheapest > space.budget * full * (1 - 1e-8)
    np.testing.assert_array_equal(policy.actions[~free], space.locked[~free])


@settings(max_examples=100)
@given(data=st.data(), space=spaces())
def test_any_vector_decodes_and_zero_is_the_start(data, space):
    start = space.policy(data.draw(hnp.arrays(float, space.shape, elements=NUMBERS)))
    importance = data.draw(st.none() | hnp.arrays(float, space.shape, elements=NUMBERS))
    encoding = Encoding(space, start, mostly_rows(*space.shape), importance)
    assert encoding.decode(np.zeros(encoding.dimension)) == start
    vector = data.draw(hnp.arrays(float, encoding.dimension, elements=st.floats(-100, 100)))
    assert space.table.budget(encoding.decode(vector).actions) <= space.budget * (1 + 1e-8)


@settings(max_examples=100)
@given(space=spaces())
def test_nearest_to_a_policy_of_the_space_is_itself(space):
    policy = space.policy(np.random.default_rng(0).normal(size=space.shape))
    assert space.nearest(policy.actions) == policy


def test_equal_costs_spend_the_budget_to_the_cell():
    table = MacTable(("a", "b"), np.array([1.0, 1.0]), 0.0)
    policy = Space(table, 5, 0.5).policy(np.arange(10.0).reshape(5, 2))
    assert policy.rows == ("..", "..", ".#", "##", "##")


def test_a_row_moves_with_one_number():
    table = MacTable(tuple("abcd"), np.ones(4), 0.0)
    space = Space(table, 6, 0.5)
    encoding = Encoding(space, every(6, 4, 2), rows_and_columns(6, 4))
    x = np.zeros(encoding.dimension)
    x[4], x[5] = -3.0, 3.0
    assert encoding.decode(x).rows == ("####", "====", "####", "====", "====", "####")


def test_a_field_turns_cache_into_skip():
    space = Space(MacTable(tuple("abcd"), np.ones(4), 0.0), 6, 0.5)
    encoding = Encoding(space, every(6, 4, 2), rows_and_columns(6, 4))
    x = np.zeros(encoding.dimension)
    x[10] = 100.0  # the constant field
    assert encoding.decode(x).rows == ("####", "....") * 3


def test_what_the_budget_leaves_out_of_a_whole_step_trades_places_before_steps_do():
    space = Space(MacTable(tuple("abcd"), np.ones(4), 0.0), 6, 11 / 24)
    importance = np.ones((6, 4))
    importance[2, 3] = 0.0
    start = space.nearest(every(6, 4, 2).actions, importance)
    assert start.rows == ("####", "====", "###=", "====", "####", "====")
    encoding = Encoding(space, start, rows_and_columns(6, 4))
    x = np.zeros(encoding.dimension)
    x[4] = -0.8
    assert encoding.decode(x).rows == ("####", "====", "####", "====", "###=", "====")


def test_a_cell_that_had_nothing_to_reuse_reuses_what_is_computed_earlier():
    space = Space(MacTable(("a", "b"), np.ones(2), 0.0), 4, 0.25)
    start = space.nearest(np.array([[-1, -1], [-1, -1], [1, 1], [0, -1]], np.int8))
    assert start.rows == ("..", "..", "##", "=.")
    assert intended(start).tolist() == [[0, 0], [0, 0], [1, 1], [0, -1]]
    encoding = Encoding(space, start, rows_and_columns(4, 2))
    x = np.zeros(encoding.dimension)
    x[0] = 3.0
    assert encoding.decode(x).rows == ("##", "==", "==", "=.")  # only what was left out on purpose is left out


def test_what_is_too_much_goes_by_importance():
    space = Space(MacTable(("a", "b"), np.ones(2), 0.0), 2, 0.75)
    full = np.ones((2, 2), np.int8)
    assert space.nearest(full).rows == ("##", "#=")
    assert space.nearest(full, np.array([[9.0, 9.0], [1.0, 2.0]])).rows == ("##", "=#")


def test_locked_rows():
    locked = locked_from_rows(["#?", "=."])
    assert locked.tolist() == [[1, FREE], [0, -1]]
    with pytest.raises(PolicyError, match="holds 'x'"):
        locked_from_rows(["#x"])
    with pytest.raises(PolicyError, match="same number"):
        locked_from_rows(["#?", "?"])


def test_a_locked_cache_cell_gets_its_source():
    table = MacTable(("a", "b"), np.ones(2), 0.0)
    space = Space(table, 4, 0.25, locked=locked_from_rows(["??", "??", "?=", "??"]))
    assert space.policy(np.array([[0, -9], [9, -9], [9, 0], [9, -9]])).rows == (".#", "#=", "==", "==")


def test_spaces_without_a_policy_are_refused():
    table = MacTable(("a", "b"), np.ones(2), 2.0)
    with pytest.raises(SearchError, match=r"budget 0.4 can't be met.*0\.500"):
        Space(table, 4, 0.4)
    with pytest.raises(SearchError, match="nothing may be computed before"):
        Space(table, 2, 1.0, locked=locked_from_rows([".?", "=?"]))
    with pytest.raises(SearchError, match="shape"):
        Space(table, 2, 1.0, locked=np.zeros((3, 3), np.int8))


def test_bases():
    assert rows_and_columns(5, 3).shape == (8, 5, 3)
    assert cosines(5, 4, 3).shape == (8, 5, 4)
    assert cosines(5, 4, 3, constant=True).shape == (9, 5, 4)
    assert cosines(5, 4, 3, mixed_only=True).shape == (4, 5, 4)
    assert cosines(5, 1, 3, mixed_only=True).shape == (0, 5, 1)
    np.testing.assert_allclose((cosines(20, 14, 4).sum(0) ** 2).mean(), 1.0)


def test_ranks():
    np.testing.assert_allclose(ranks(np.array([[3.0, -1.0], [7.0, 3.0]])), [[1 / 6, -0.5], [0.5, -1 / 6]])
    assert ranks(np.array([5.0])).tolist() == [0.0]


@settings(max_examples=40)
@given(data=st.data(), space=spaces())
def test_ratios_are_a_further_gene_and_the_budget_is_still_met(data, space):
    shares = 0.1 + 0.9 * np.tile(np.array(BINS)[:, None], len(space.table.sites)) ** 2
    routed = replace(space, table=replace(space.table, routed=shares))
    start = routed.policy(data.draw(hnp.arrays(float, space.shape, elements=NUMBERS)))
    encoding = Encoding(routed, start, mostly_rows(*space.shape), ratios=True)
    assert encoding.decode(np.zeros(encoding.dimension)) == start
    assert encoding.dimension > Encoding(space, start, mostly_rows(*space.shape), ratios=True).dimension  # no routers
    vector = data.draw(hnp.arrays(float, encoding.dimension, elements=st.floats(-100, 100)))
    policy = encoding.decode(vector)
    assert routed.holds(policy)
    if policy.keep is not None:
        assert set(np.round(policy.keep, 4).ravel().tolist()) <= set(np.float32(BINS).tolist()) | set(BINS)
        assert (policy.keep[policy.actions != Action.COMPUTE] == 1).all()
        macs = routed.table.total(policy.actions, policy.keep)
        could = (routed.locked == FREE) & (policy.actions != Action.COMPUTE)
        if could.any():  # not even the cheapest would fit, with all its tokens
            dearest = np.broadcast_to(routed.table.site_macs, space.shape)[could].min()
            assert macs + dearest > space.budget * routed.table.full(space.steps) * (1 - 1e-8)


def test_what_a_ratio_saves_is_spent_on_other_cells():
    table = MacTable(tuple("abcd"), np.full(4, 10.0), 0.0, np.tile(np.array(BINS)[:, None], 4))
    space = Space(table, 4, 0.5)
    scores = -np.arange(16.0).reshape(4, 4)
    assert (space.policy(scores).actions == Action.COMPUTE).sum() == 8
    half = space.policy(scores, keep=np.full((4, 4), 0.5))
    assert (half.actions == Action.COMPUTE).all()
    assert half.budget(table) == pytest.approx(0.5)
