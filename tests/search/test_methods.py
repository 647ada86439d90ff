"""What every method promises: policies of the space, a function of seed and losses, alone with its random numbers."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mddit_ui.core.errors import SearchError
from mddit_ui.core.policy import Action, Policy
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.search.encoding import ENCODINGS
from mddit_ui.search.genetic import rank_and_crowd
from mddit_ui.search.methods import Setting, TakingTurns, vectors
from mddit_ui.search.recipe import METHODS
from mddit_ui.search.space import FREE, Space, locked_from_rows
from tests.search.test_space import spaces
from tests.search.toy import ToyEvaluator, ToyModel

MODEL = ToyModel(steps=10, sites=6)
TABLE = MODEL.table
SENSITIVITY = Sensitivity.from_calibration(MODEL.calibration())
ALL = {
    **METHODS,
    **{f"cma-es, {name}": partial(vectors, optimizer="cma-es", encoding=name) for name in ENCODINGS},
    "turns": lambda setting: TakingTurns([METHODS["cma-es"](setting), METHODS["genetic"](setting)]),
}


def losses(policies):
    """A smooth loss of the table: late computed cells and the first sites are worth more."""
    weight = np.arange(10)[:, None] + 3.0 * np.arange(6)[::-1]
    return [float(-((policy.actions == Action.COMPUTE) * weight).sum()) for policy in policies]


def make(name, *, seed=1, population=8, space=None):
    space = space or Space(TABLE, 10, 0.5)
    random = np.random.default_rng(5)
    starts = [space.policy(random.normal(size=space.shape)) for _ in range(4)]
    ranked = sorted(zip(losses(starts), starts, strict=True), key=lambda pair: pair[0])
    return ALL[name](
        Setting(
            space,
            [policy for _, policy in ranked],
            [loss for loss, _ in ranked],
            seed=seed,
            population=population,
            sensitivity=SENSITIVITY,
        )
    )


def generations(method, count):
    asked = []
    for _ in range(count):
        policies = method.ask()
        asked.append([policy.digest for policy in policies])
        method.tell(losses(policies))
    return asked


@pytest.mark.parametrize("name", ALL)
class TestMethod:
    """The contract of ``Method``."""

    def test_asks_for_a_population_of_the_space(self, name):
        locked = np.full((10, 6), FREE, np.int8)
        locked[0], locked[3, 2] = Action.COMPUTE, Action.SKIP
        space = Space(TABLE, 10, 0.5, locked=locked)
        method = make(name, space=space)
        for _ in range(6):
            policies = method.ask()
            assert len(policies) == 8
            for policy in policies:
                assert TABLE.budget(policy.actions) <= 0.5 * (1 + 1e-9)
                np.testing.assert_array_equal(policy.actions[locked != FREE], locked[locked != FREE])
            method.tell(losses(policies))

    def test_is_a_function_of_seed_and_losses(self, name):
        first, again, other = (generations(make(name, seed=seed), 12) for seed in (3, 3, 4))
        assert first == again
        assert first != other

    @pytest.mark.parametrize("cut", [1, 7])
    def test_replayed_it_goes_on_as_if_never_stopped(self, name, cut):
        whole = generations(make(name), 12)
        resumed = make(name)
        assert generations(resumed, cut) == whole[:cut]
        assert generations(resumed, 12 - cut) == whole[cut:]

    def test_leaves_the_global_generator_alone_and_does_not_read_it(self, name):
        np.random.seed(1)
        before = np.random.get_state()[1].copy()
        first = generations(make(name), 5)
        np.testing.assert_array_equal(np.random.get_state()[1], before)
        np.random.seed(2)
        assert generations(make(name), 5) == first

    def test_two_at_once_are_as_each_alone(self, name):
        one, two = make(name, seed=1), make(name, seed=2)
        mixed = [(generations(one, 1)[0], generations(two, 1)[0]) for _ in range(8)]
        assert [pair[0] for pair in mixed] == generations(make(name, seed=1), 8)
        assert [pair[1] for pair in mixed] == generations(make(name, seed=2), 8)

    def test_equal_losses_do_no_harm(self, name):
        method = make(name)
        for _ in range(40):
            method.tell([1.0] * len(method.ask()))
        assert method.ask()

    def test_misuse_is_refused(self, name):
        method = make(name, population=8)
        with pytest.raises(SearchError, match="0 proposals"):
            method.tell([1.0] * 8)
        method.ask()
        with pytest.raises(SearchError, match="not told"):
            method.ask()
        with pytest.raises(SearchError, match="8 proposals, got 3"):
            method.tell([1.0] * 3)
        with pytest.raises(SearchError, match="finite"):
            method.tell([1.0] * 7 + [math.nan])

    def test_it_learns(self, name):
        """Its later proposals are better than its first ones, unless it is blind."""
        method = make(name)
        found = []
        for _ in range(40):
            policies = method.ask()
            found.append(losses(policies))
            method.tell(found[-1])
        gain = np.mean(found[:2]) - np.mean(found[-2:])
        assert (gain > 20) == (name != "random"), gain


@pytest.mark.parametrize("name", ["cma-es", "genetic", "catcma"])
def test_what_follows_an_earlier_first_step_reuses_it(name):
    """The start skips its first steps only because nothing was computed before them."""
    space = Space(TABLE, 10, 0.5)
    start = space.policy(np.arange(60.0).reshape(10, 6))
    first = int((start.actions == Action.COMPUTE).any(1).argmax())
    assert first > 2
    method = ALL[name](Setting(space, [start, start], [0.0, 0.0], 1, 8, sensitivity=SENSITIVITY, sigma=1.0))
    found = []
    for _ in range(8):
        policies = method.ask()
        for actions in (policy.actions for policy in policies):
            before = np.cumsum(actions == Action.COMPUTE, axis=0) > 0
            found += actions[:first][before[:first] & (actions[:first] != Action.COMPUTE)].tolist()
        method.tell(losses(policies))
    assert len(found) > 10
    assert found.count(Action.CACHE) > 2 * found.count(Action.SKIP)


BEHIND = ("random", "nsga-2", "cma-es, calibrated")  # what the last starts from is worse than any even spacing


@pytest.mark.parametrize("name", [name for name in ALL if name not in BEHIND])
def test_a_search_on_the_toy_beats_its_start(name):
    model = ToyModel(steps=10, sites=6)
    evaluate = ToyEvaluator(model)
    space = Space(model.table, 10, 0.5)
    start = space.policy(np.random.default_rng(1).normal(size=space.shape))
    score = evaluate.score(start)
    method = ALL[name](Setting(space, [start], [score.latent_error], 1, 8, sensitivity=SENSITIVITY))
    best = score.latent_error
    for _ in range(20):
        errors = [evaluate.score(policy).latent_error for policy in method.ask()]
        best = min(best, *errors)
        method.tell(errors)
    assert best < 0.7 * score.latent_error


@settings(max_examples=100)
@given(data=st.data(), space=spaces(), name=st.sampled_from(sorted(ENCODINGS)))
def test_every_encoding_is_legal_and_within_a_cell_of_the_budget(data, space, name):
    start = space.policy(np.random.default_rng(data.draw(st.integers(0, 9))).normal(size=space.shape))
    importance = data.draw(st.none() | st.just(np.arange(float(np.prod(space.shape))).reshape(space.shape)))
    encoding = ENCODINGS[name](space, start, importance)
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    policy = encoding.decode(random.normal(0, data.draw(st.sampled_from([0.1, 1.0, 100.0])), encoding.dimension))
    macs, full = space.table.total(policy.actions), space.table.full(space.steps)
    assert macs <= space.budget * full * (1 + 1e-8)
    left = space.free & (policy.actions != Action.COMPUTE)
    if left.any():
        assert macs + np.broadcast_to(space.table.site_macs, space.shape)[left].min() > space.budget * full * (1 - 1e-8)
    kept = space.locked != FREE
    np.testing.assert_array_equal(policy.actions[kept], space.locked[kept])


@settings(max_examples=100)
@given(space=spaces(), seed=st.integers(0, 99))
def test_within_leaves_alone_what_fits_and_cuts_the_rest(space, seed):
    actions = np.random.default_rng(seed).integers(-1, 2, space.shape).astype(np.int8)
    policy = space.within(actions)
    assert space.table.budget(policy.actions) <= space.budget * (1 + 1e-8)
    assume(space.locked is None or (space.locked == FREE).all())
    if space.table.budget(actions) <= space.budget:
        np.testing.assert_array_equal(policy.actions == Action.COMPUTE, actions == Action.COMPUTE)


def test_fronts_and_crowding_by_hand():
    points = np.array([[0, 3], [1, 1], [3, 0], [2, 2], [3, 3], [0.5, 2.5]], float)
    fronts, crowding = rank_and_crowd(points)
    assert fronts.tolist() == [0, 0, 0, 1, 2, 0]
    assert crowding[[0, 2, 3, 4]].tolist() == [math.inf] * 4
    np.testing.assert_allclose(crowding[1], 2.5 / 3 + 2.5 / 3)
    np.testing.assert_allclose(crowding[5], 1 / 3 + 2 / 3)


def test_the_moves_of_the_genetic_algorithm_spend_the_same_budget():
    method = make("genetic", population=16)
    for _ in range(10):
        policies = method.ask()
        assert min(TABLE.budget(policy.actions) for policy in policies) > 0.5 - TABLE.site_macs.max() / TABLE.full(10)
        method.tell(losses(policies))


def test_a_method_without_starts_is_refused():
    with pytest.raises(SearchError, match="starts"):
        Setting(Space(TABLE, 10, 0.5), [], [], 1, 8)


def test_locked_rows_and_a_start_that_breaks_them():
    space = Space(TABLE, 10, 0.6, locked=locked_from_rows(["######"] + ["??????"] * 9))
    start = space.nearest(Policy.full(10, 6).actions)
    method = METHODS["catcma"](Setting(space, [start], [0.0], 1, 8))
    assert all((policy.actions[0] == Action.COMPUTE).all() for policy in method.ask())
