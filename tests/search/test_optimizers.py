"""What every optimizer promises; and that CMA-ES owns its random numbers."""

import math

import numpy as np
import pytest

from mddit_ui.core.errors import SearchError
from mddit_ui.search.optimizers import OPTIMIZERS, CmaEs


def sphere(vectors):
    return [float(((vector - 1) ** 2).sum()) for vector in vectors]


def populations(optimizer, generations):
    asked = []
    for _ in range(generations):
        vectors = optimizer.ask()
        asked.append(np.stack(vectors))
        optimizer.tell(sphere(vectors))
    return np.stack(asked)


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
class TestOptimizer:
    """The contract of ``Optimizer``."""

    def test_asks_for_a_population_of_vectors(self, make):
        vectors = make(7, seed=1, population=6).ask()
        assert len(vectors) == 6
        assert all(vector.shape == (7,) and np.isfinite(vector).all() for vector in vectors)

    def test_is_a_function_of_seed_and_values(self, make):
        first, again, other = (populations(make(24, seed=seed), 20) for seed in (3, 3, 4))
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)

    def test_leaves_the_global_generator_alone_and_does_not_read_it(self, make):
        np.random.seed(1)
        before = np.random.get_state()[1].copy()
        first = populations(make(10, seed=3), 5)
        np.testing.assert_array_equal(np.random.get_state()[1], before)
        np.random.seed(2)
        np.testing.assert_array_equal(populations(make(10, seed=3), 5), first)

    def test_two_at_once_are_as_each_alone(self, make):
        one, two = make(12, seed=1), make(12, seed=2)
        mixed = [np.concatenate([populations(one, 1), populations(two, 1)]) for _ in range(20)]
        np.testing.assert_array_equal(np.stack(mixed)[:, 0], populations(make(12, seed=1), 20))
        np.testing.assert_array_equal(np.stack(mixed)[:, 1], populations(make(12, seed=2), 20))

    def test_what_the_caller_does_to_the_vectors_changes_nothing(self, make):
        honest, meddled = make(5, seed=1), make(5, seed=1)
        values = sphere(honest.ask())
        for vector in meddled.ask():
            vector[:] = 99.0
        honest.tell(values)
        meddled.tell(values)
        np.testing.assert_array_equal(honest.ask(), meddled.ask())

    def test_equal_values_do_no_harm(self, make):
        optimizer = make(5, seed=1)
        for _ in range(200):
            optimizer.tell([1.0] * len(optimizer.ask()))
        assert np.isfinite(optimizer.ask()).all()

    def test_misuse_is_refused(self, make):
        optimizer = make(5, seed=1, population=4)
        with pytest.raises(SearchError, match="0 proposals"):
            optimizer.tell([1.0] * 4)
        optimizer.ask()
        with pytest.raises(SearchError, match="not told"):
            optimizer.ask()
        with pytest.raises(SearchError, match="4 proposals, got 3"):
            optimizer.tell([1.0] * 3)
        with pytest.raises(SearchError, match="finite"):
            optimizer.tell([1.0, 2.0, 3.0, math.nan])


def test_cma_es_finds_the_minimum_and_says_when_it_is_done():
    optimizer = CmaEs(8, seed=1, sigma=0.5)
    best = math.inf
    for _ in range(1000):
        vectors = optimizer.ask()
        best = min(best, *sphere(vectors))
        optimizer.tell(sphere(vectors))
        if optimizer.done:
            break
    assert optimizer.done
    assert best < 1e-12


def test_cma_es_beats_random_search():
    values = [min(sphere(vectors) for vectors in populations(make(20, seed=1), 50)) for make in OPTIMIZERS.values()]
    best = dict(zip(OPTIMIZERS, map(min, values), strict=True))
    assert best["cma-es"] < 0.1 * best["random"]


def test_cma_es_writes_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    populations(CmaEs(5, seed=1), 5)
    assert list(tmp_path.iterdir()) == []
