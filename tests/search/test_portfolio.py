"""Starting policies: of the space, and best in what they claim to be best in."""

from itertools import combinations

import numpy as np
import pytest

from mddit_ui.core.cost import MacTable
from mddit_ui.core.errors import SearchError
from mddit_ui.core.policy import Policy
from mddit_ui.core.presets import every
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.search.portfolio import baselines, best_cells, best_steps, portfolio
from mddit_ui.search.recipe import STARTS_SHARE
from mddit_ui.search.space import Space
from tests.search.toy import ToyModel


def sensitivity(steps, sites, ages=3, seed=0):
    random = np.random.default_rng(seed)
    cached = random.uniform(0.1, 1, (ages, steps, sites)).cumsum(0)
    return Sensitivity(cached, np.full((steps, sites), 9.0))


def whole_steps(steps, sites, rows):
    actions = np.zeros((steps, sites), np.int8)
    actions[list(rows)] = 1
    return actions


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_best_steps_are_the_best_of_all_choices(seed, count):
    predicted = sensitivity(7, 3, seed=seed)
    every_choice = [(0, *more) for more in combinations(range(1, 7), count - 1)]
    least = min(predicted.total(whole_steps(7, 3, rows)) for rows in every_choice)
    chosen = best_steps(predicted, count)
    assert len(chosen) == count
    assert predicted.total(whole_steps(7, 3, chosen)) == pytest.approx(least)


@pytest.mark.parametrize("seed", range(5))
def test_best_cells_are_the_best_of_all_choices(seed):
    predicted = sensitivity(6, 2, seed=seed)
    price = np.random.default_rng(seed).uniform(0, 2, (6, 2))

    def cost(computed):
        return predicted.cells(computed.astype(np.int8)).sum(0) + (price * computed)[1:].sum(0)

    choices = [(0, *more) for count in range(6) for more in combinations(range(1, 6), count)]
    tables = [whole_steps(6, 2, rows).astype(bool) for rows in choices]
    least = np.min([cost(table) for table in tables], axis=0)
    np.testing.assert_allclose(cost(best_cells(predicted, price)), least, rtol=1e-6)


@pytest.mark.parametrize("budget", [0.1, 0.25, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("calibrated", [True, False])
def test_all_starts_are_of_the_space_and_differ(budget, calibrated):
    model = ToyModel()
    space = Space(model.table, model.steps, budget)
    known = Sensitivity.from_calibration(model.calibration()) if calibrated else None
    starts = portfolio(space, known)
    assert len(starts) >= (1 if budget == 1 else 2)
    assert len({start.digest for start in starts}) == len(starts)
    for start in starts:
        assert space.nearest(start.actions) == start
        assert start.sites == model.table.sites


def test_lateness_moves_computed_steps_late():
    known = Sensitivity.from_calibration(ToyModel().calibration())
    earlier, early, late = (best_steps(known, 8, lateness).sum() for lateness in (-4.0, 0.0, 4.0))
    assert earlier < early < late


def test_steps_before_the_first_are_left_out():
    predicted = sensitivity(7, 3)
    chosen = best_steps(predicted, 3, first=2)
    choices = [(2, *more) for more in combinations(range(3, 7), 2)]
    least = min(predicted.total(whole_steps(7, 3, rows)) for rows in choices)
    assert chosen[0] == 2
    assert predicted.total(whole_steps(7, 3, chosen)) == pytest.approx(least)


def test_what_does_not_fit_is_cut_from_the_last_blocks_of_the_first_computed_step():
    table = MacTable(tuple(map(str, range(8))), np.ones(8), 0.5)
    space = Space(table, 20, 0.51)  # 9.6 whole steps
    for start in portfolio(space, Sensitivity.from_calibration(ToyModel().calibration())):
        if not start.name.startswith("best steps"):
            continue
        computed = [row for row in start.rows if "#" in row]
        assert all(row == "#" * 8 for row in computed[1:])
        assert computed[0] == "####...."


def test_whole_steps_are_chosen_by_what_the_output_does():
    """The cells say that step 1 moves most, the output says step 3."""
    cached = np.ones((3, 4, 1))
    cached[:, 1] = 9.0
    whole = np.array([[0.0, 1.0, 1.0, 9.0]] * 3)
    assert best_steps(Sensitivity(cached, np.ones((4, 1))), 2).tolist() == [0, 1]
    assert best_steps(Sensitivity(cached, np.ones((4, 1)), whole), 2).tolist() == [0, 3]


@pytest.mark.parametrize(("steps", "sites"), [(2, 1), (2, 3), (5, 1), (1, 4)])
def test_small_spaces_have_starts_too(steps, sites):
    space = Space(MacTable(tuple(map(str, range(sites))), np.ones(sites), 0.1), steps, 0.6)
    assert portfolio(space)
    assert baselines(space)


def test_baselines_are_the_published_schedules():
    names = [each.name for each in baselines(Space(ToyModel().table, 20, 0.5))]
    assert names[0] == "every 2"
    assert baselines(Space(ToyModel().table, 20, 0.34))[0] == every(20, 8, 3)


@pytest.mark.parametrize(("steps", "sites"), [(2, 1), (2, 3), (3, 2), (5, 4), (40, 28)])
@pytest.mark.parametrize("budget", [0.1, 0.5, 1.0])
def test_every_size_has_calibrated_starts(steps, sites, budget):
    model = ToyModel(steps=steps, sites=sites)
    space = Space(model.table, steps, max(budget, 1.2 * float(model.table.budget(np.zeros((steps, sites), np.int8)))))
    for start in portfolio(space, Sensitivity.from_calibration(model.calibration())):
        assert space.nearest(start.actions) == start


@pytest.mark.parametrize("steps", [20, 40, 100])
@pytest.mark.parametrize("budget", [0.3, 0.5])
def test_a_search_of_100_evaluates_all_starts(steps, budget):
    """Else a longer one would begin differently."""
    model = ToyModel(steps=steps)
    starts = portfolio(Space(model.table, steps, budget), Sensitivity.from_calibration(model.calibration()))
    assert 10 < len(starts) <= 100 // STARTS_SHARE


@pytest.mark.parametrize("calibrated", [True, False])
def test_a_given_start_comes_first_and_loses_cells_only_where_it_costs_too_much(calibrated):
    model = ToyModel()
    known = Sensitivity.from_calibration(model.calibration()) if calibrated else None
    cheap = every(20, 8, 4)
    given, *others = portfolio(Space(model.table, 20, 0.5), known, cheap.rows)
    assert given == cheap  # though the budget would pay for twice as much
    assert others == portfolio(Space(model.table, 20, 0.5), known)

    tight = Space(model.table, 20, 0.2)
    cut = portfolio(tight, known, cheap.rows)[0]
    assert tight.holds(cut)
    assert ((cut.actions == 1) <= (cheap.actions == 1)).all()
    assert model.table.budget(cut.actions) > 0.2 - model.table.site_macs.max() / model.table.full(20)


def test_a_start_of_another_shape_is_refused():
    model = ToyModel()
    with pytest.raises(SearchError, match="10 steps x 8 blocks; this search has 20 x 8"):
        portfolio(Space(model.table, 20, 0.5), None, Policy.full(10, 8).rows)


@pytest.mark.parametrize("calibrated", [True, False])
def test_where_outputs_are_carried_skip_cache_comes_first(calibrated):
    model = ToyModel()
    space = Space(model.table, model.steps, 0.5, carry="output")
    known = Sensitivity.from_calibration(model.calibration()) if calibrated else None
    starts = portfolio(space, known)
    assert {each.carry for each in starts} == {"output"}
    assert [each.name.startswith("skip-cache") for each in starts[:5]] == [True] * 4 + [False]
    assert all(space.holds(each) for each in starts)
    assert portfolio(Space(model.table, model.steps, 0.5), known)[0].carry == "residual"
