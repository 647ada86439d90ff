"""How alike the features of a model are: over its steps, over its depth. All by row of the batch, (n,)."""

from collections.abc import Sequence

import torch

Streams = Sequence[torch.Tensor | None]


def dot(left: Streams, right: Streams) -> torch.Tensor:
    """(n,) inner product of two sets of streams, each (n, ...)."""
    products = [
        torch.linalg.vecdot(one.float().flatten(1), two.float().flatten(1))
        for one, two in zip(left, right, strict=True)
        if one is not None and two is not None and len(one) == len(_first(left))
    ]
    return torch.stack(products).sum(0)


def norm(streams: Streams) -> torch.Tensor:
    """(n,) Euclidean norm."""
    return dot(streams, streams).sqrt()


def cosine(left: Streams, right: Streams, norms: tuple[torch.Tensor, torch.Tensor] | None = None) -> torch.Tensor:
    """(n,) cosine of two sets of streams; 0 where one of them is zero.

    Args:
        norms: of the two, where they are known.
    """
    one, two = norms or (norm(left), norm(right))
    return dot(left, right) / (one * two).clamp(min=1e-12)


def difference(left: Streams, right: Streams) -> tuple[torch.Tensor | None, ...]:
    return tuple(None if one is None or two is None else one - two for one, two in zip(left, right, strict=True))


def change(new: Streams, old: Streams, size: torch.Tensor | None = None) -> torch.Tensor:
    """(n,) |new - old| / |new|.

    Args:
        size: |new|, where it is known.
    """
    return norm(difference(new, old)) / (norm(new) if size is None else size).clamp(min=1e-12)


def _first(streams: Streams) -> torch.Tensor:
    return next(tensor for tensor in streams if tensor is not None)
