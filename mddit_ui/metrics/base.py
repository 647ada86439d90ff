"""What every metric shares: the form of pictures."""

from typing import Protocol

import numpy as np

from mddit_ui.core.errors import ConfigError


class TextMetric(Protocol):
    """Scores pictures against texts, one number an image."""

    @property
    def backbone(self) -> str: ...

    def score(self, images: np.ndarray, texts: list[str] | tuple[str, ...]) -> np.ndarray: ...


def check_images(images: np.ndarray) -> np.ndarray:
    """``images`` if they are (n, h, w, 3) uint8.

    Raises:
        ConfigError: they are not.
    """
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise ConfigError(f"Expected images of shape (n, h, w, 3), uint8; got {images.shape}, {images.dtype}.")
    return images


def check_pair(left: np.ndarray, right: np.ndarray) -> None:
    """Refuse two arrays of different shapes."""
    if left.shape != right.shape:
        raise ConfigError(f"Expected two arrays of one shape, got {left.shape} and {right.shape}.")
