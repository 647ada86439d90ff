"""How close a set of pictures is to a set of real ones, as distributions."""

import numpy as np

from mddit_ui.core.errors import ConfigError

SIGMA = 10.0
SCALE = 1000.0


def cmmd(made: np.ndarray, real: np.ndarray) -> float:
    """CMMD: squared maximum mean discrepancy of CLIP embeddings, Jayasumana et al. 2024 (arXiv 2401.09603), times 1000.

    Gaussian kernel of sigma 10 on unit vectors, as published. The unbiased estimate: it does not depend on the number
    of pictures, and may fall a little below 0 where the sets are alike. Embeddings of different backbones can't be
    compared.

    Args:
        made, real: (n, d) and (m, d) embeddings, two pictures or more each.
    """
    x, y = _unit(made), _unit(real)
    if x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ConfigError(f"Expected (n, d) and (m, d) with n, m >= 2, got {made.shape} and {real.shape}.")
    return SCALE * float(
        _mean_off_diagonal(_kernel(x, x)) + _mean_off_diagonal(_kernel(y, y)) - 2 * _kernel(x, y).mean()
    )


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors, np.float64) / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n, m) exp(-|x - y|^2 / (2 sigma^2)) of unit vectors."""
    return np.exp(-(2 - 2 * x @ y.T) / (2 * SIGMA**2))


def _mean_off_diagonal(square: np.ndarray) -> np.floating:
    count = len(square)
    return (square.sum() - np.trace(square)) / (count * (count - 1))
