"""Shares of tokens: counts, bins and regions, by hand."""

import numpy as np
import pytest

from mddit_ui.core.tokens import BINS, bins_around, kept, nearest_bin, region


@pytest.mark.parametrize(
    ("ratio", "tokens", "count"), [(1.0, 64, 64), (0.7, 64, 45), (0.5, 64, 32), (0.3, 10, 3), (0.01, 8, 1), (0.9, 1, 1)]
)
def test_kept_is_the_ceiling_also_of_what_float32_makes_of_it(ratio: float, tokens: int, count: int) -> None:
    assert kept(ratio, tokens) == count
    assert kept(float(np.float32(ratio)), tokens) == count


def test_bins_around() -> None:
    assert bins_around(1.0) == (0.9, 1.0)
    assert bins_around(0.65) == (0.6, 0.7)
    assert bins_around(0.3) == (0.3, 0.4)
    assert bins_around(0.1) == (0.3, 0.4)
    for lower, upper in zip(BINS[1:], BINS, strict=False):
        assert bins_around((lower + upper) / 2) == (lower, upper)


def test_nearest_bin() -> None:
    assert [nearest_bin(ratio) for ratio in (1.0, 0.94, 0.96, 0.64, 0.31, 0.0)] == [1.0, 0.9, 1.0, 0.6, 0.3, 0.3]


def test_region_zero_is_the_noisiest() -> None:
    assert [region(t, 5) for t in (999, 800, 799.9, 400, 200, 199, 0)] == [0, 0, 1, 2, 3, 4, 4]
    assert region(1000, 5) == 0  # what some schedulers begin with
    assert region(-1, 5) == 4
