"""A calibration corrected by evaluations, and the starts that are planned with it."""

import numpy as np
import pytest

from mddit_ui.core.policy import Action
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.search.fitted import FittedSensitivity, _Cells
from mddit_ui.search.planning import planned
from mddit_ui.search.portfolio import portfolio
from mddit_ui.search.space import FREE, Space
from tests.search.toy import ToyModel

TOY = ToyModel(steps=20, sites=4)
MEASURED = Sensitivity.from_calibration(TOY.calibration())
SENSITIVITY = Sensitivity(MEASURED.cached, MEASURED.skipped)  # whole steps cost what their cells do
SPACE = Space(TOY.table, 20, 0.4)


def tables(count, seed=0):
    random = np.random.default_rng(seed)
    return np.stack(
        [SPACE.policy(random.normal(size=(20, 1)) + random.normal(0, 0.5, (20, 4))).actions for _ in range(count)]
    )


def weights(seed=1):
    """Early steps count e^3 times as much as late ones, ages more than they were measured to."""
    random = np.random.default_rng(seed)
    return np.array([*np.linspace(3, 0, 20), *random.normal(0, 0.3, 4), 0.5, 0.5, -2.0])


def truth(actions, of=None):
    return _Cells(SENSITIVITY, actions).error(weights() if of is None else of)


def test_by_hand():
    """One block, two steps: what is cached at age 1 has error 0.3, what is skipped 0.7."""
    sensitivity = Sensitivity(np.full((1, 2, 1), 0.3), np.full((2, 1), 0.7))
    cells = _Cells(sensitivity, np.array([[[1], [0]], [[1], [-1]]], np.int8))
    step, block, skip, age, constant = np.log(2.0), np.log(3.0), np.log(5.0), 7.0, np.log(11.0)
    found = np.exp(cells.error(np.array([0.0, step, block, skip, age, constant])))
    np.testing.assert_allclose(found, [0.3 * 2 * 3 * 11, 0.7 * 2 * 3 * 5 * 11], rtol=1e-5)  # log 1 = 0, so no age


def test_the_slope_is_that_of_the_error():
    cells, at = _Cells(SENSITIVITY, tables(6)), weights(2)
    slope = cells.slope(at)
    for number in range(len(at)):
        move = np.eye(len(at))[number] * 1e-6
        np.testing.assert_allclose(
            (cells.error(at + move) - cells.error(at - move)) / 2e-6, slope[:, number], atol=1e-5
        )


def test_it_learns_what_the_calibration_got_wrong():
    known, other = tables(60), tables(60, seed=9)
    fitted = FittedSensitivity.fit(SENSITIVITY, known, truth(known) + np.random.default_rng(3).normal(0, 0.1, 60))
    before = np.corrcoef(np.log(SENSITIVITY.total(other)), truth(other))[0, 1]
    after = np.corrcoef(fitted.predict(other, [fitted.weights])[0], truth(other))[0, 1]
    assert before < 0.8 < 0.95 < after
    assert np.polyfit(np.arange(20), fitted.weights[:20], 1)[0] < -0.05  # early steps count more


def test_it_is_less_sure_of_what_was_seen_less_often():
    def spread(count):
        fitted = FittedSensitivity.fit(SENSITIVITY, tables(count), truth(tables(count)))
        steps = np.stack([fitted.sample(np.random.default_rng(seed))[:20] for seed in range(50)])
        return (steps - steps.mean(1, keepdims=True)).std(0).mean()  # what all steps share is left to the constant

    assert spread(120) < 0.8 * spread(5)


@pytest.mark.parametrize("count", [1, 2])
def test_few_and_equal_errors_do_no_harm(count):
    fitted = FittedSensitivity.fit(SENSITIVITY, tables(count), np.zeros(count))
    assert np.isfinite(fitted.predict(tables(5), [fitted.weights, fitted.sample(np.random.default_rng(0))])).all()


def test_its_calibration_predicts_as_it_does():
    drawn = weights(4)
    actions = tables(30)
    actions = actions[(actions == Action.SKIP).sum((1, 2)) == 0]
    errors = FittedSensitivity.fit(SENSITIVITY, actions, truth(actions)).calibrated(drawn).total(actions)
    np.testing.assert_allclose(np.log(errors) + drawn[-1], truth(actions, drawn), atol=0.02)


def plan(space=SPACE, *, count=8, seed=1, of=None, unit=1.0):
    starts = portfolio(space, SENSITIVITY)
    losses = truth(np.stack([each.actions for each in starts]), of)
    known = sorted(zip(starts, (unit * losses).tolist(), strict=True), key=lambda pair: pair[1])
    return known, planned(space, SENSITIVITY, known=known, count=count, unit=unit, seed=seed)


def test_plans_are_new_legal_and_within_the_budget():
    locked = np.full((20, 4), FREE, np.int8)
    locked[2, 1], locked[9] = Action.COMPUTE, Action.CACHE
    space = Space(TOY.table, 20, 0.4, locked=locked)
    known, new = plan(space)
    assert 0 < len(new) <= 8
    assert len({each.digest for each in [*new, *(policy for policy, _ in known)]}) == len(new) + len(known)
    assert all(space.holds(each) for each in new)


def test_plans_are_a_function_of_what_is_known_and_of_the_seed():
    assert plan()[1] == plan()[1]
    assert plan()[1] != plan(seed=2)[1]
    assert plan(unit=0.25)[1] == plan()[1]


def test_another_rounding_changes_no_plan():
    """As on a CPU of another kind."""
    known, new = plan()
    noise = 1e-12 * np.random.default_rng(0).normal(size=len(known))
    other = [(policy, loss + each) for (policy, loss), each in zip(known, noise, strict=True)]
    assert planned(SPACE, SENSITIVITY, known=other, count=8, unit=1.0, seed=1) == new


def test_plans_are_better_than_the_starts():
    known, new = plan()
    assert min(truth(np.stack([each.actions for each in new]))) < known[0][1] - 0.02


def test_who_knows_no_unit_takes_the_spread_of_the_losses():
    assert plan(unit=1.0)[1]
    known, _ = plan()
    assert planned(SPACE, SENSITIVITY, known=known, count=3, unit=0.0, seed=1)
    assert planned(SPACE, SENSITIVITY, known=[(policy, 2.0) for policy, _ in known], count=3, unit=0.0, seed=1)
