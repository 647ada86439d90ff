"""Policies are legal by construction, immutable, and compared by their cells."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given

from mddit_ui.core.errors import PolicyError
from mddit_ui.core.policy import MAX_NAME, Action, Policy, ages, repair
from mddit_ui.core.policy_json import to_dict
from tests.core.strategies import policies, tables


def table(*rows: str) -> np.ndarray:
    """Any table from its letters, legal or not."""
    return np.array([["#=.".index(letter) for letter in row] for row in rows]) * -1 + 1


@pytest.mark.parametrize(
    ("rows", "repaired"),
    [
        (["=#", "=="], ["##", "=="]),  # the first orphan of a column becomes compute, the later ones have a source
        ([".=", "=#"], [".#", "##"]),  # a skip is no source, and stays
        (["=", "#", "="], ["#", "#", "="]),
        (["#.", "=.", ".."], ["#.", "=.", ".."]),
    ],
)
def test_repair_by_hand(rows: list[str], repaired: list[str]):
    assert Policy(repair(table(*rows))).rows == tuple(repaired)


@given(tables())
def test_repair_is_legal_minimal_and_done_once(actions: np.ndarray):
    repaired = repair(actions)
    Policy(repaired)  # legal
    assert np.array_equal(repair(repaired), repaired)
    changed = repaired != actions
    assert (actions[changed] == Action.CACHE).all()
    assert (repaired[changed] == Action.COMPUTE).all()
    assert (changed.sum(0) <= 1).all()


@given(tables())
def test_repair_and_ages_work_on_stacks(actions: np.ndarray):
    stack = np.stack([actions, actions[::-1]])
    assert np.array_equal(repair(stack)[1], repair(actions[::-1]))
    assert np.array_equal(ages(repair(stack))[0], ages(repair(actions)))


def test_ages_by_hand():
    policy = Policy.from_rows(["##", "=.", "==", "#=", "=="])
    assert policy.ages.tolist() == [[0, 0], [1, 0], [2, 2], [0, 3], [1, 4]]


def test_rows_are_the_picture_of_the_cells():
    policy = Policy([[1, 1, 1], [0, -1, 0]])
    assert policy.rows == ("###", "=.=")
    assert policy.steps == 2
    assert Policy.from_rows(policy.rows) == policy


@pytest.mark.parametrize(
    ("actions", "says"),
    [
        (table("#=", "##"), r"Cell \(step 0, site 1\) is cached"),
        (table(".#", "=#"), r"Cell \(step 1, site 0\) is cached"),
        ([1, 1], "shape"),
        ([[[1]]], "shape"),
        ([[]], "1 to 1000"),
        ([], "shape"),
        ([[1], [1, 1]], "different lengths"),
        ([[2]], "integers"),
        ([[-2]], "integers"),
        ([[1.0]], "integers"),
        ([[True]], "integers"),
        ([["#"]], "integers"),
        (np.ones((1001, 1), int), "1 to 1000"),
        (np.ones((1, 1001), int), "1 to 1000"),
        (np.ones((1000, 201), int), "200,000 cells"),
    ],
)
def test_illegal_tables_are_refused(actions, says: str):
    with pytest.raises(PolicyError, match=says):
        Policy(actions)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"sites": ("a",)}, "1 sites given for a table with 2"),
        ({"sites": ("a", "a")}, "must differ"),
        ({"timesteps": (3.0, 2.0, 1.0)}, "3 timesteps given for a table with 1"),
        ({"timesteps": (float("nan"),)}, "finite"),
        ({"timesteps": (float("inf"),)}, "finite"),
        ({"keep": np.ones((1, 3))}, "shape"),
        ({"keep": [[0.5, 0.0]]}, r"\(0, 1\]"),
        ({"keep": [[0.5, 1.1]]}, r"\(0, 1\]"),
        ({"keep": [[0.5, np.nan]]}, r"\(0, 1\]"),
        ({"name": "n" * (MAX_NAME + 1)}, "at most"),
        ({"name": "\ud800"}, "surrogate"),
        ({"sites": ("a", "\udfff")}, "surrogate"),
    ],
)
def test_illegal_details_are_refused(more: dict, says: str):
    with pytest.raises(PolicyError, match=says):
        Policy([[1, 1]], **more)


@pytest.mark.parametrize(("steps", "sites"), [(0, 3), (3, 0), (10**12, 3), (3, 10**12), (-1, 3)])
def test_huge_tables_are_refused_before_they_are_made(steps: int, sites: int):
    with pytest.raises(PolicyError):
        Policy.full(steps, sites)


@given(policies())
def test_a_policy_shares_no_memory_and_cannot_be_changed(policy: Policy):
    mine = policy.actions.copy()
    keep = np.full(mine.shape, 0.5, np.float32)
    other = Policy(mine, keep=keep)
    mine[:], keep[:] = Action.SKIP, 0.25
    assert np.array_equal(other.actions, policy.actions)
    assert (other.keep == 0.5).all()
    for array in (other.actions, other.keep):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1
    with pytest.raises(AttributeError):
        other.name = "changed"
    with pytest.raises(TypeError):
        other.notes["changed"] = True


@given(policies())
def test_a_policy_can_be_sent_to_another_process(policy: Policy):
    there = pickle.loads(pickle.dumps(policy))
    assert to_dict(there) == to_dict(policy)
    assert not there.actions.flags.writeable
    assert copy.deepcopy(policy) == policy


def test_cells_alone_are_the_identity():
    policy = Policy.from_rows(["##", "=."])
    renamed = Policy.from_rows(
        ["##", "=."], name="other", model="m", notes={"a": 1}, timesteps=(2, 1), sites=("a", "b")
    )
    assert policy == renamed
    assert len({policy, renamed}) == 1
    assert policy.digest == renamed.digest == "cf5494f7bb70824e"  # a golden value: stores on disk depend on it
    assert policy != Policy.from_rows(["##", ".."])
    assert policy != Policy.from_rows(["##", "=."], keep=np.full((2, 2), 0.5))
    assert Policy.full(2, 3) != Policy.full(3, 2)
    assert policy != "cf5494f7bb70824e"


def test_what_is_carried_is_part_of_the_identity():
    rows = ["##", "#="]
    kept, carried = Policy.from_rows(rows), Policy.from_rows(rows, carry="output")
    assert kept == Policy.from_rows(rows, carry="residual") != carried
    assert carried.resample(steps=4).carry == "output"
    with pytest.raises(PolicyError, match="carry is 'input'; expected 'residual' or 'output'"):
        Policy.from_rows(rows, carry="input")


def test_full_takes_a_number_or_names():
    assert Policy.full(2, 3).rows == ("###", "###")
    assert Policy.full(2, ["a", "b"], name="n").sites == ("a", "b")


def test_resample_by_position():
    policy = Policy.from_rows(["###", "#==", "#.=", "==="])
    assert policy.resample(steps=2).rows == ("###", "===")
    assert policy.resample(steps=7).rows == ("###", "###", "#==", "#.=", "#.=", "#.=", "===")
    assert policy.resample(steps=1).rows == ("###",)


def test_resample_by_timestep_takes_the_nearest_row():
    policy = Policy.from_rows(["###", "#==", "..."], timesteps=(900, 500, 100))
    moved = policy.resample(timesteps=(1000, 720, 650, 301, 0))
    assert moved.rows == ("###", "###", "#==", "#==", "...")
    assert moved.timesteps == (1000, 720, 650, 301, 0)


def test_resample_repairs_what_lost_its_source():
    policy = Policy.from_rows(["###", "===", "#=="], timesteps=(900, 500, 100))
    assert policy.resample(timesteps=(520, 90)).rows == ("###", "#==")


def test_resample_moves_keep_with_its_rows():
    policy = Policy([[1, 1], [1, 1]], keep=[[0.25, 1], [0.5, 0.75]])
    assert policy.resample(steps=4).keep.tolist() == [[0.25, 1], [0.25, 1], [0.5, 0.75], [0.5, 0.75]]


@given(policies())
def test_resample_to_itself_changes_nothing(policy: Policy):
    assert policy.resample(steps=policy.steps) == policy
    if policy.timesteps:  # also where a timestep is there twice, as Heun has it
        assert policy.resample(timesteps=policy.timesteps) == policy


@pytest.mark.parametrize("arguments", [{}, {"steps": 0}, {"steps": 10**9}, {"timesteps": []}, {"timesteps": [np.nan]}])
def test_resample_refuses_what_is_no_run(arguments: dict):
    with pytest.raises(PolicyError):
        Policy.full(2, 2).resample(**arguments)


def test_importing_the_package_loads_no_heavy_library():
    heavy = "torch diffusers transformers gradio plotly pandas cma open_clip".split()
    code = f"import sys, mddit_ui; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_wrong_attribute_of_the_package_is_said():
    import mddit_ui

    with pytest.raises(AttributeError, match="no_such_thing"):
        mddit_ui.no_such_thing  # noqa: B018
