"""MACs of a policy, computed by hand."""

import json

import numpy as np
import pytest
from hypothesis import given

from mddit_ui.core.cost import MacTable
from mddit_ui.core.errors import PolicyError
from mddit_ui.core.policy import Policy, repair
from mddit_ui.core.tokens import BINS
from tests.core.strategies import tables

TABLE = MacTable(("a", "b", "c"), np.array([10, 20, 30]), rest_macs=5)
POLICY = Policy.from_rows(["###", "#==", ".=#", "..."])


def test_by_hand():
    assert TABLE.cells(POLICY.actions).tolist() == [[10, 20, 30], [10, 0, 0], [0, 0, 30], [0, 0, 0]]
    assert TABLE.by_step(POLICY.actions).tolist() == [65, 15, 35, 5]
    assert TABLE.by_site(POLICY.actions).tolist() == [20, 20, 60]
    assert TABLE.total(POLICY.actions) == 120
    assert TABLE.full(4) == 260
    assert POLICY.budget(TABLE) == TABLE.budget(POLICY.actions) == pytest.approx(120 / 260)
    assert isinstance(TABLE.budget(POLICY.actions), float)


def test_a_stack_of_tables_has_a_stack_of_costs():
    stack = np.stack([POLICY.actions, np.ones_like(POLICY.actions)])
    assert TABLE.total(stack).tolist() == [120, 260]
    assert TABLE.budget(stack).tolist() == pytest.approx([120 / 260, 1])


@given(tables(max_sites=3).filter(lambda actions: actions.shape[1] == 3))
def test_rows_and_columns_add_up(actions: np.ndarray):
    actions = repair(actions)
    assert TABLE.by_step(actions).sum() == pytest.approx(TABLE.total(actions))
    assert TABLE.by_site(actions).sum() + 5 * len(actions) == pytest.approx(TABLE.total(actions))
    assert 0 < TABLE.budget(actions) <= 1


def test_json_round_trip():
    again = MacTable.from_dict(json.loads(json.dumps(TABLE.to_dict())))
    assert (again.sites, again.rest_macs) == (TABLE.sites, TABLE.rest_macs)
    assert np.array_equal(again.site_macs, TABLE.site_macs)


def test_it_is_a_value():
    mine = np.array([1.0, 2.0])
    table = MacTable(("a", "b"), mine, 0)
    mine[0] = 100
    assert table.full(1) == 3
    with pytest.raises(ValueError, match="read-only"):
        table.site_macs[0] = 5


@pytest.mark.parametrize("sites", [1, 2, 4])
def test_another_number_of_sites_is_refused(sites: int):
    with pytest.raises(PolicyError, match=f"has {sites} sites, the model 3"):
        Policy.full(2, sites).budget(TABLE)


@pytest.mark.parametrize(
    ("macs", "rest"),
    [([1], 0), ([1, -1], 0), ([1, np.nan], 0), ([1, np.inf], 0), ([1, 1], -1), ([1, 1], np.nan), ([0, 0], 0)],
)
def test_impossible_macs_are_refused(macs: list, rest: float):
    with pytest.raises(PolicyError, match="MACs"):
        MacTable(("a", "b"), np.array(macs), rest)


def test_macs_of_a_share_of_the_tokens_lie_on_lines_between_what_was_measured():
    routed = np.array([[ratio, ratio**2] for ratio in BINS])
    table = MacTable(("a", "b"), np.array([10.0, 20.0]), 5.0, routed)
    actions = np.array([[1, 1], [1, 0], [1, -1]])
    keep = np.array([[1.0, 0.5], [0.6, 0.3], [0.1, 0.3]], np.float32)
    np.testing.assert_allclose(table.cells(actions, keep), [[10, 5], [6, 0], [3, 0]])
    np.testing.assert_allclose(
        table.cells(actions, np.full((3, 2), 0.55)), [[5.5, 20 * (0.36 + 0.25) / 2], [5.5, 0], [5.5, 0]]
    )
    assert float(table.total(actions, keep)) == pytest.approx(24 + 15)
    assert MacTable.from_dict(table.to_dict()).routed.tolist() == routed.tolist()
    plain = MacTable(("a", "b"), np.array([10.0, 20.0]), 5.0)
    assert plain.budget(actions, np.ones((3, 2))) == plain.budget(actions)
    with pytest.raises(PolicyError, match="no token routers"):
        plain.cells(actions, keep)
