"""What the browser sends to the grid is checked like a policy file; what it gets is what the policy is."""

from pathlib import Path

import numpy as np
import pytest

from mddit_ui.core.cost import MacTable
from mddit_ui.core.errors import PolicyError
from mddit_ui.core.policy import CARRIES, Policy
from mddit_ui.core.tokens import BINS
from mddit_ui.ui.grid import STATIC, GridView, as_content, policy_of, short_labels


def test_a_view_goes_out_and_the_policy_comes_back() -> None:
    policy = Policy.from_rows(["##", "#=", ".="], sites=("b.0", "b.1"), timesteps=(9.0, 5.0, 1.0), name="n", model="m")
    similarity = np.array([[np.nan, np.nan], [0.5, 0.25], [1, 0]])
    content = as_content(GridView(policy, MacTable(("b.0", "b.1"), np.array([3.0, 4.0]), 2.0), 64, similarity))
    back = policy_of({**content, "edits": 3})
    assert back == policy
    assert (back.sites, back.timesteps, back.name, back.model) == (policy.sites, policy.timesteps, "n", "m")
    assert content["site_macs"] == [3.0, 4.0]
    assert content["similarity"] == [[None, None], [0.5, 0.25], [1.0, 0.0]]


def test_what_is_carried_comes_back() -> None:
    for carry in CARRIES:
        policy = Policy.from_rows(["##", "#="], carry=carry)
        assert policy_of(as_content(GridView(policy))) == policy


def test_shares_of_tokens_come_back() -> None:
    keep = np.array([[1, 0.6], [0.3, 1]], np.float32)
    policy = Policy.from_rows(["##", "##"], keep=keep)
    routed = np.array(BINS)[:, None] * np.ones(2)
    table = MacTable(("a", "b"), np.ones(2), 0.0, routed)
    content = as_content(GridView(policy, table, skips=((0, 1),)))
    assert policy_of(content) == policy
    assert content["keep"] == [[1, 0.6], [0.3, 1]]
    assert content["skips"] == [[0, 1]]
    assert content["routed"] == {"bins": list(BINS), "macs": routed.tolist()}
    whole = as_content(GridView(Policy.full(2, 2)))
    assert (whole["keep"], whole["routed"], whole["skips"]) == (None, None, [])


def test_an_empty_grid_is_no_policy() -> None:
    assert policy_of(None) is None


@pytest.mark.parametrize(
    "payload",
    [
        "##",
        7,
        [],
        {},
        {"rows": "##"},
        {"rows": []},
        {"rows": [[1, 0]]},
        {"rows": ["##", "#"]},
        {"rows": ["#=", "=="]},
        {"rows": ["#x"]},
        {"rows": ["#"] * 1001},
        {"rows": ["#" * 1001]},
        {"rows": ["#" * 600] * 600},
        {"rows": ["#"], "sites": [1]},
        {"rows": ["#"], "sites": ["a", "b"]},
        {"rows": ["#"], "timesteps": ["x"]},
        {"rows": ["#"], "timesteps": [float("nan")]},
        {"rows": ["#"], "name": "n" * 121},
        {"rows": ["#"], "name": {"a": 1}},
        {"rows": ["#"], "model": ["m"]},
        {"rows": ["#"], "name": object()},
        {"rows": ["#"], "carry": "input"},
        {"rows": ["#"], "keep": [[0.0]]},
        {"rows": ["#"], "keep": [[1.5]]},
        {"rows": ["#"], "keep": [1]},
        {"rows": ["#"], "keep": [[1, 1]]},
    ],
)
def test_anything_else_is_refused(payload: object) -> None:
    with pytest.raises(PolicyError):
        policy_of(payload)


def test_a_table_of_another_model_is_refused() -> None:
    with pytest.raises(PolicyError, match="2 blocks"):
        as_content(GridView(Policy.full(2, 2), MacTable(("a",), np.ones(1), 0.0)))


def test_labels_leave_out_what_all_share() -> None:
    assert short_labels(("transformer_blocks.0", "transformer_blocks.1")) == ["0", "1"]
    assert short_labels(("b.0.attn1", "b.0.ff", "b.1.attn1")) == ["0 attn1", "0 ff", "1 attn1"]
    assert short_labels(("transformer_blocks.0", "single_transformer_blocks.0")) == ["0", "single 0"]


@pytest.mark.parametrize(
    "path", sorted(STATIC.glob("*.html")) + sorted(STATIC.glob("*.css")), ids=lambda path: path.name
)
def test_templates_evaluate_nothing(path: Path) -> None:
    """Gradio runs templates through Handlebars and JavaScript: a place for a value there is a place for code."""
    text = path.read_text()
    assert not [mark for mark in ("{{", "${", "`", "\\") if mark in text]


def test_a_large_grid_goes_without_shades() -> None:
    policy = Policy.full(201, 100)
    similarity = np.ones((201, 100))
    assert as_content(GridView(policy, similarity=similarity))["similarity"] is None
