"""Predicted errors: by age, monotone, fast."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mddit_ui.core.calibration import Calibration
from mddit_ui.core.errors import PolicyError
from mddit_ui.core.policy import Action, repair
from mddit_ui.core.sensitivity import Sensitivity


def make(steps=5, sites=3, ages=2, seed=0):
    random = np.random.default_rng(seed)
    return Sensitivity(random.uniform(0, 1, (ages, steps, sites)), random.uniform(0, 5, (steps, sites)))


def test_by_hand():
    cached = np.array([[[1.0], [2.0], [3.0]], [[10.0], [20.0], [30.0]]])
    sensitivity = Sensitivity(cached, np.array([[100.0], [200.0], [300.0]]))
    assert sensitivity.cells(np.array([[1], [0], [0]])).ravel().tolist() == [0, 2, 30]
    assert sensitivity.cells(np.array([[1], [-1], [0]])).ravel().tolist() == [0, 200, 30]
    assert sensitivity.cells(np.array([[-1], [1], [0]])).ravel().tolist() == [100, 0, 3]
    assert sensitivity.total(np.array([[[1], [0], [0]], [[1], [1], [1]]])).tolist() == [32, 0]


def test_from_a_calibration():
    change = np.array([[[np.nan], [0.1], [0.2], [0.3]], [[np.nan], [np.nan], [0.4], [0.3]]])
    size = np.array([[2.0], [2.0], [1.0], [1.0]])
    ones = np.ones((4, 1))
    sensitivity = Sensitivity.from_calibration(Calibration("m", ("a",), (3, 2, 1, 0), ones, ones, change, size))
    # a residual of twice its input is two thirds of the output; step k of 4 counts (k + 1) / 4
    errors = [0, (0.2 / 3) ** 2 / 2, (0.4 / 2) ** 2 * 0.75, (0.45 / 2) ** 2]
    np.testing.assert_allclose(sensitivity.cells(np.array([[1], [0], [0], [0]])).ravel(), errors, rtol=1e-6)
    np.testing.assert_allclose(sensitivity.skipped.ravel(), [1 / 9, 2 / 9, 0.75 / 4, 1 / 4])


def test_errors_are_told_by_the_size_of_the_last_output():
    """The first block makes 8 of 1, the second 16 of 8: its residual is half of the end, that of the first 7 / 16."""
    ones = np.ones((1, 2))
    change = np.full((1, 1, 2), np.nan)
    calibration = Calibration("m", ("a", "b"), (0,), ones, ones, change, np.array([[7.0, 1.0]]))
    np.testing.assert_allclose(Sensitivity.from_calibration(calibration).skipped, [[(7 / 16) ** 2, 1 / 4]])


def test_whole_steps_come_from_the_last_output():
    """cos 0.99 moves the output by |a - b|^2 / |a|^2 = 0.02; twice the change of residuals is four times that."""
    change = np.array([[[np.nan], [0.1], [0.1]], [[np.nan], [np.nan], [0.2]]])
    similarity = np.array([[np.nan], [0.99], [0.99]])
    ones = np.ones((3, 1))
    sensitivity = Sensitivity.from_calibration(Calibration("m", ("a",), (2, 1, 0), similarity, ones, change, ones))
    np.testing.assert_allclose(sensitivity.whole[:, 1:], [[0.02, 0.02], [0.02, 0.08]], atol=1e-9)
    with pytest.raises(PolicyError, match=r"\(ages, steps\)"):
        Sensitivity(np.ones((2, 3, 1)), ones, np.ones((2, 2)))


@settings(max_examples=100)
@given(
    actions=hnp.arrays(np.int8, (5, 3), elements=st.sampled_from([-1, 0, 1])),
    cell=st.tuples(st.integers(0, 4), st.integers(0, 2)),
    seed=st.integers(0, 10),
)
def test_one_more_computed_cell_never_makes_it_worse(actions, cell, seed):
    sensitivity = make(seed=seed)
    actions = repair(actions)
    more = actions.copy()
    more[cell] = Action.COMPUTE
    assert sensitivity.total(more) <= sensitivity.total(actions) * (1 + 1e-6)


def test_another_shape_is_refused():
    with pytest.raises(PolicyError, match=r"\(5, 3\) cells, the policy has \(4, 3\)"):
        make().cells(np.ones((4, 3), np.int8))
    with pytest.raises(PolicyError, match="finite"):
        Sensitivity(np.full((1, 2, 2), np.nan), np.ones((2, 2)))


def test_a_thousand_policies_of_40_x_28_at_once():
    sensitivity = make(40, 28, 39)
    actions = repair(np.random.default_rng(0).integers(-1, 2, (1000, 40, 28), np.int8))
    sensitivity.total(actions)
    times = []
    for _ in range(5):
        began = time.process_time()
        total = sensitivity.total(actions)
        times.append(time.process_time() - began)
    assert total.shape == (1000,)
    print(f"1,000 policies of 40 x 28: {1000 * min(times):.0f} ms")
    assert min(times) < 0.2  # about 0.04 on a quiet core
