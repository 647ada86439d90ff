"""How alike the features of a model are: over its steps, over its depth."""

from collections.abc import Sequence

import torch

Streams = Sequence[torch.Tensor | None]


def dot(left: Streams, right: Streams) -> torch.Tensor:
    """(n,) inner product of two sets of streams, each (n, ...), one number an image."""
    products = [
        (one.float() * two.float()).flatten(1).sum(1)
        for one, two in zip(left, right, strict=True)
        if one is not None and two is not None and len(one) == len(_first(left))
    ]
    return torch.stack(products).sum(0)


def norm(streams: Streams) -> torch.Tensor:
    """(n,) Euclidean norm."""
    return dot(streams, streams).sqrt()


def cosine(left: Streams, right: Streams) -> float:
    """Cosine of two sets of streams, mean over the images; 0 where one of them is zero."""
    return float((dot(left, right) / (norm(left) * norm(right)).clamp(min=1e-12)).mean())


def change(new: Streams, old: Streams) -> float:
    """|new - old| / |new|, mean over the images."""
    difference = [None if one is None or two is None else one - two for one, two in zip(new, old, strict=True)]
    return float((norm(difference) / norm(new).clamp(min=1e-12)).mean())


def _first(streams: Streams) -> torch.Tensor:
    return next(tensor for tensor in streams if tensor is not None)
