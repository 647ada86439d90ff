"""Similarities of features, by hand."""

import pytest
import torch

from mddit_ui.metrics.features import change, cosine, difference, norm

A = torch.tensor([[3.0, 4.0], [1.0, 0.0]])
B = torch.tensor([[4.0, 3.0], [0.0, 1.0]])


def test_by_hand():
    assert norm([A]).tolist() == [5, 1]
    assert cosine([A], [B]).tolist() == pytest.approx([24 / 25, 0])
    assert change([A], [B]).tolist() == pytest.approx([2**0.5 / 5, 2**0.5])
    assert change([A], [A]).tolist() == [0, 0]


def test_known_norms_are_taken():
    assert cosine([A], [B], (2 * norm([A]), norm([B]))).tolist() == pytest.approx([12 / 25, 0])
    assert change([A], [B], 2 * norm([A])).tolist() == pytest.approx([2**0.5 / 10, 2**0.5 / 2])


def test_streams_count_as_one_vector():
    assert norm([A, None, A]).tolist() == pytest.approx([50**0.5, 2**0.5])
    assert cosine([A, None], [A, None]).tolist() == pytest.approx([1, 1])
    assert difference([A, None], [B, None])[1] is None


def test_nothing_is_like_nothing():
    assert cosine([torch.zeros(1, 2)], [torch.ones(1, 2)]).tolist() == [0]
