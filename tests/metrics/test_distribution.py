"""CMMD: by hand, its sign, and that it does not depend on the number of pictures."""

import numpy as np
import pytest

from mddit_ui.core.errors import ConfigError
from mddit_ui.metrics.distribution import cmmd


def test_by_hand():
    """Two equal pictures against two equal ones at a right angle: 1 + 1 - 2 exp(-2 / 200), times 1000."""
    made, real = np.array([[1.0, 0], [3, 0]]), np.array([[0.0, 2], [0, 1]])
    assert cmmd(made, real) == pytest.approx(1000 * (2 - 2 * np.exp(-0.01)))


def test_it_is_near_zero_for_one_distribution_whatever_the_number():
    rng = np.random.default_rng(0)
    draw = lambda count, shift=0.0: rng.normal(size=(count, 8)) + shift  # noqa: E731
    few = np.mean([cmmd(draw(10), draw(10)) for _ in range(200)])
    assert abs(few) < 0.1  # the biased estimate would be 2.0 here
    assert cmmd(draw(200, 1.0), draw(200)) > 2.0 > abs(cmmd(draw(200), draw(200)))


def test_the_length_of_an_embedding_does_not_matter():
    rng = np.random.default_rng(1)
    made, real = rng.normal(size=(2, 6, 4))
    assert cmmd(made * 7, real) == pytest.approx(cmmd(made, real))


@pytest.mark.parametrize("shape", [(1, 4), (5, 3)])
def test_too_few_or_foreign_embeddings_are_refused(shape):
    with pytest.raises(ConfigError, match="Expected"):
        cmmd(np.ones(shape), np.ones((5, 4)))
