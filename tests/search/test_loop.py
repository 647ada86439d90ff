"""The loop: a function of its task and of the scores; resumes exactly; never evaluates twice."""

import math
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from mddit_ui.core.records import Score, SearchConfig
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.search.archive import Archive
from mddit_ui.search.loop import BLIND_GENERATIONS, RESTARTS, STALE_GENERATIONS, search
from mddit_ui.search.objective import Objective
from mddit_ui.search.recipe import METHODS
from mddit_ui.search.recipe import make_task as make
from mddit_ui.search.space import Space
from tests.search.toy import ToyEvaluator, ToyModel


def make_task(
    evaluate=None,
    *,
    evaluations=60,
    seed=1,
    sigma=0.6,
    method="cma-es",
    model=None,
    judge=lambda starts, planned: (),
    **more,
):
    model = model or ToyModel(images=8)
    space = Space(model.table, model.steps, 0.5)
    config = SearchConfig(
        model="toy",
        prompts=("a",) * 8,
        evaluations=evaluations,
        seed=seed,
        sigma=sigma,
        method=method,
        **{"population": 8, **more},
    )
    known = Sensitivity.from_calibration(model.calibration())
    return make(space, config, evaluate or ToyEvaluator(model), known, judge=judge)


class Log:
    """What a run of the loop said."""

    def __init__(self, stop_after=math.inf):
        self.evaluations, self.populations, self.stop_after = [], [], stop_after

    def run(self, task, known=()):
        self.reason = search(
            task,
            known=known,
            on_evaluation=self.evaluations.append,
            on_generation=lambda generation, population: self.populations.append((generation, population)),
            go_on=lambda: len(self.evaluations) < self.stop_after,
        )
        return self

    @property
    def trajectory(self):
        return [(each.number, each.generation, each.policy.digest, each.objective.hex()) for each in self.evaluations]


@pytest.fixture(scope="module")
def undisturbed():
    return Log().run(make_task())


def test_it_evaluates_what_was_asked_and_no_policy_twice(undisturbed):
    assert undisturbed.reason == "All evaluations are done."
    assert [each.number for each in undisturbed.evaluations] == list(range(1, 61))
    assert len({each.policy.digest for each in undisturbed.evaluations}) == 60
    assert [number for number, _ in undisturbed.populations] == list(range(1, len(undisturbed.populations) + 1))


def test_every_policy_meets_the_budget(undisturbed):
    table = ToyModel().table
    budgets = [table.budget(each.policy.actions) for each in undisturbed.evaluations]
    assert 0.5 - table.site_macs.max() / table.full(20) < min(budgets) <= max(budgets) <= 0.5 * (1 + 1e-9)


def test_it_finds_better_policies_than_it_started_from(undisturbed):
    starts = [each.objective for each in undisturbed.evaluations if each.generation == 0]
    assert max(each.objective for each in undisturbed.evaluations) > max(starts) + 0.2


def test_the_same_task_is_the_same_trajectory(undisturbed):
    again = Log().run(make_task())
    assert (again.trajectory, again.populations) == (undisturbed.trajectory, undisturbed.populations)
    assert Log().run(make_task(seed=2)).trajectory != undisturbed.trajectory


@pytest.mark.parametrize("method", METHODS)
def test_resume_is_exact_for_every_method_at_random_cuts(method):
    settings = {"method": method, "evaluations": 40, "budget": 0.5, "least_budget": 0.3}
    whole = Log().run(make_task(**settings))
    for cut in np.random.default_rng(0).integers(1, 40, 3).tolist():
        first = Log(stop_after=cut).run(make_task(**settings))
        second = Log().run(make_task(**settings), known=first.evaluations)
        assert first.trajectory + second.trajectory == whole.trajectory
        assert second.populations == whole.populations


def test_starts_are_planned_anew_with_what_the_first_ones_have_shown():
    starts = [each for each in Log().run(make_task(evaluations=100)).evaluations if each.generation == 0]
    of_plan = [each.policy.name.startswith("steps planned") for each in starts]
    given = of_plan.index(True)
    assert of_plan == [False] * given + [True] * (len(starts) - given)
    assert (given, len(starts)) == (15, 20)
    without = Log().run(make_task(evaluations=100, plans=0)).evaluations
    assert [each.policy.digest for each in without[:given]] == [each.policy.digest for each in starts[:given]]


def test_a_search_goes_round_the_start_that_a_better_judge_prefers():
    seen = []

    def judge(starts, planned):
        order = sorted([*starts, *planned], key=lambda each: -each.objective)
        seen.extend(order)
        return [order[2], order[0]]

    plain, judged = make_task(), make_task(judge=judge)
    told = []
    Log().run(replace(judged, method=lambda ranked, restarts: told.append(ranked) or judged.method(ranked, restarts)))
    policies = [policy for policy, _ in told[0]]
    assert policies == [seen[place].policy for place in (2, 0, 1, *range(3, len(seen)))]
    assert [loss for _, loss in told[0]] == [-each.objective for each in seen]  # they change places, losses stay
    assert Log().run(judged).populations[0] != Log().run(plain).populations[0]


def test_a_judge_does_not_change_how_a_search_is_taken_up():
    task = make_task(judge=lambda starts, planned: sorted([*starts, *planned], key=lambda each: each.policy.digest)[:3])
    whole = Log().run(task)
    first = Log(stop_after=30).run(task)
    second = Log().run(task, known=first.evaluations)
    assert first.trajectory + second.trajectory == whole.trajectory
    assert second.populations == whole.populations


def test_a_search_of_100_is_the_beginning_of_a_longer_one():
    few, many = (Log().run(make_task(evaluations=count, population=None)) for count in (100, 150))
    assert few.trajectory == many.trajectory[:100]


def test_a_range_of_budgets_is_spread_over():
    log = Log().run(make_task(evaluations=120, budget=0.5, least_budget=0.2))
    table = ToyModel().table
    costs = [table.budget(each.policy.actions) for each in log.evaluations]
    cell = table.site_macs.max() / table.full(20)
    counts = [sum(budget - cell < cost <= budget * (1 + 1e-9) for cost in costs) for budget in (0.2, 0.35, 0.5)]
    assert sum(counts) == 120
    assert min(counts) > 30
    best = Archive.of((cost, each.objective, each) for cost, each in zip(costs, log.evaluations, strict=True))
    objectives = [best.within(budget).objective for budget in (0.2, 0.35, 0.5)]
    assert objectives == sorted(objectives)
    assert best.within(0.19) is None


def test_the_config_says_what_closeness_is_worth():
    assert make_task(closeness=0.25).objective == Objective(0.25)
    assert make_task().objective == Objective(0.5)


def test_racing_saves_pictures_and_finds_as_much():
    """As much in the mean: single searches differ by half a point either way."""

    def best_of(racing, pictures):
        found = []
        for seed in range(1, 7):
            log = Log().run(make_task(evaluations=100, racing=racing, seed=seed))
            assert pictures(sum(each.score.images for each in log.evaluations))
            found.append(max(log.evaluations, key=lambda each: each.objective))
        assert {each.score.images for each in found} == {8}
        return np.mean([each.objective for each in found])

    plain = best_of(False, lambda count: count == 800)
    assert best_of(True, lambda count: count < 700) > plain - 0.3


def test_over_a_range_of_budgets_nobody_races():
    """The cheap ones would always be behind."""
    log = Log().run(make_task(evaluations=60, racing=True, budget=0.5, least_budget=0.2))
    assert {each.score.images for each in log.evaluations} == {8}


@pytest.mark.parametrize("cut", [20, 33, 57])
def test_a_race_is_resumed_exactly_and_in_any_order(cut):
    whole = Log().run(make_task(racing=True))
    first = Log(stop_after=cut).run(make_task(racing=True))
    second = Log().run(make_task(SideBySide(ToyModel(images=8)), racing=True), known=first.evaluations)
    assert sorted(first.trajectory + second.trajectory) == whole.trajectory
    assert second.populations == whole.populations
    assert {each.score.images for each in whole.evaluations} == {2, 4, 8}


@pytest.mark.parametrize("cut", [0, 1, 7, 12, 13, 33, 59, 60, *np.random.default_rng(1).integers(2, 58, 12).tolist()])
def test_resume_is_exact_wherever_it_was_cut(undisturbed, cut):
    first = Log(stop_after=cut).run(make_task())
    assert first.reason == ("" if cut < 60 else undisturbed.reason)
    evaluate = ToyEvaluator(ToyModel(images=8))
    second = Log().run(make_task(evaluate), known=first.evaluations)
    assert first.trajectory + second.trajectory == undisturbed.trajectory
    assert second.populations == undisturbed.populations  # all are asked again, bit for bit
    assert evaluate.calls == [each.policy.digest for each in undisturbed.evaluations[cut:]]


def test_resume_again_and_again(undisturbed):
    known = []
    while len(known) < 60:
        known += Log(stop_after=7).run(make_task(), known=known).evaluations
    assert [each.policy.digest for each in known] == [each.policy.digest for each in undisturbed.evaluations]


class SideBySide(ToyEvaluator):
    """Begins three policies at a time and has done with any of them first."""

    def __call__(self, policies, race=None):
        policies, random, begun = iter(policies), np.random.default_rng(0), []
        while begun := begun + list(islice(policies, 3 - len(begun))):
            yield from super().__call__([begun.pop(random.integers(len(begun)))], race)


@pytest.mark.parametrize("cut", [5, 18, 44, 60])
def test_the_order_of_arrival_changes_nothing(undisturbed, cut):
    first = Log(stop_after=cut).run(make_task(SideBySide(ToyModel(images=8))))
    assert cut <= len(first.evaluations) <= cut + 2  # those that had begun were not lost
    second = Log().run(make_task(SideBySide(ToyModel(images=8))), known=first.evaluations)
    together = first.trajectory + second.trajectory
    assert sorted(together) == undisturbed.trajectory
    assert together != undisturbed.trajectory
    assert second.populations == undisturbed.populations


@pytest.mark.parametrize("method", METHODS)
def test_two_searches_at_once_are_as_each_alone(method):
    """One search runs inside the evaluations of the other."""
    alone = [Log().run(make_task(seed=seed, evaluations=20, method=method)) for seed in (1, 2)]
    known, toy = [], ToyEvaluator(ToyModel(images=8))

    def evaluate(policies):
        for policy in policies:
            known.extend(Log(1).run(make_task(seed=2, evaluations=20, method=method), known=known).evaluations)
            yield policy, toy.score(policy)

    outer = Log().run(make_task(evaluate, seed=1, evaluations=20, method=method))
    assert outer.trajectory == alone[0].trajectory
    assert [each.policy.digest for each in known] == [each.policy.digest for each in alone[1].evaluations]


class SometimesNan(ToyEvaluator):
    """Pictures that are not finite, for a share of the policies."""

    share = 0.3

    def score(self, policy):
        score = super().score(policy)
        return score if int(policy.digest[:4], 16) >= self.share * 0x10000 else Score()


def test_nan_is_flagged_and_survived():
    task = make_task(SometimesNan(ToyModel(images=8)))
    log = Log().run(task)
    broken = [math.isnan(each.objective) for each in log.evaluations]
    assert broken == [int(each.policy.digest[:4], 16) < 0.3 * 0x10000 for each in log.evaluations]
    assert 0 < sum(broken) < 60
    for cut in (15, 41):
        first = Log(stop_after=cut).run(make_task(SometimesNan(ToyModel(images=8))))
        second = Log().run(make_task(SometimesNan(ToyModel(images=8))), known=first.evaluations)
        assert first.trajectory + second.trajectory == log.trajectory


def test_only_nan_ends_the_search_with_a_reason():
    evaluate = SometimesNan(ToyModel(images=8))
    evaluate.share = 1.0
    log = Log().run(make_task(evaluate, evaluations=500))
    assert "finite" in log.reason
    assert len(log.populations) == BLIND_GENERATIONS


def test_a_stuck_search_looks_farther_away():
    """Moves too small to change a policy are doubled until they do; that is resumed exactly, too."""
    log = Log().run(make_task(sigma=0.05))
    assert log.reason == "All evaluations are done."
    first = Log(stop_after=30).run(make_task(sigma=0.05))
    second = Log().run(make_task(sigma=0.05), known=first.evaluations)
    assert first.trajectory + second.trajectory == log.trajectory
    assert second.populations == log.populations


def test_a_search_with_nothing_new_ends():
    log = Log().run(make_task(sigma=1e-7))
    assert "no policies that are new" in log.reason
    assert len(log.populations) == STALE_GENERATIONS * (RESTARTS + 1)


def test_an_error_of_the_evaluator_reaches_the_caller():
    def broken(policies):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        search(make_task(broken))


def test_the_toy_is_a_real_evaluator():
    model = ToyModel()
    evaluate = ToyEvaluator(model)
    policies = [Space(model.table, 20, budget).policy(np.ones((20, 8))) for budget in (1.0, 0.5)]
    full, half = (score for _, score in evaluate(policies))
    assert full.latent_error == 0.0
    assert half.latent_error > 0.01
