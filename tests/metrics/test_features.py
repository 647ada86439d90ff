"""Similarities of features, by hand."""

import pytest
import torch

from mddit_ui.metrics.features import change, cosine, norm

A = torch.tensor([[3.0, 4.0], [1.0, 0.0]])
B = torch.tensor([[4.0, 3.0], [0.0, 1.0]])


def test_by_hand():
    assert norm([A]).tolist() == [5, 1]
    assert cosine([A], [B]) == pytest.approx((24 / 25 + 0) / 2)
    assert change([A], [B]) == pytest.approx((2**0.5 / 5 + 2**0.5) / 2)
    assert change([A], [A]) == 0


def test_streams_count_as_one_vector():
    assert norm([A, None, A]).tolist() == pytest.approx([50**0.5, 2**0.5])
    assert cosine([A, None], [A, None]) == pytest.approx(1)


def test_nothing_is_like_nothing():
    assert cosine([torch.zeros(1, 2)], [torch.ones(1, 2)]) == 0
