"""Inpainting: a picture, and where it is to be painted anew."""

import hashlib
from dataclasses import dataclass

import numpy as np

from mddit_ui.core.errors import ConfigError
from mddit_ui.core.records import GenerationConfig

MAX_SIDE = 4096  # pixels
MAX_PICTURES = 256


@dataclass(frozen=True, eq=False)
class Inpainting:
    """Pictures of which a part is painted anew; the rest stays as it is, to the pixel.

    Args:
        images: (n, h, w, 3) uint8, or (h, w, 3) for one that all pictures of a request start from.
        masks: (n, h, w) or (h, w) bool, true where to paint.

    Raises:
        ConfigError: other shapes or types, too large, or a mask with nothing to paint.
    """

    images: np.ndarray
    masks: np.ndarray

    def __post_init__(self) -> None:
        images, masks = np.asarray(self.images), np.asarray(self.masks)
        images, masks = images[None] if images.ndim == 3 else images, masks[None] if masks.ndim == 2 else masks
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise ConfigError(f"Expected pictures (n, h, w, 3) of uint8, got {images.shape} of {images.dtype}.")
        if masks.dtype != np.bool_ or masks.shape != images.shape[:3]:
            raise ConfigError(f"Expected masks {images.shape[:3]} of bool, got {masks.shape} of {masks.dtype}.")
        if not (1 <= len(images) <= MAX_PICTURES and max(images.shape[1:3]) <= MAX_SIDE and images.size):
            raise ConfigError(f"Expected 1 to {MAX_PICTURES} pictures of at most {MAX_SIDE} pixels a side.")
        if not masks.any((1, 2)).all():
            raise ConfigError("A mask is empty: there is nothing to paint.")
        for name, array in (("images", images), ("masks", masks)):
            array = np.ascontiguousarray(array)
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @property
    def digest(self) -> str:
        """Hash of what it holds (hex, 16 characters)."""
        hashed = hashlib.sha256(f"{self.images.shape}".encode() + self.images.tobytes() + self.masks.tobytes())
        return hashed.hexdigest()[:16]

    def fitted(self, config: GenerationConfig) -> "Inpainting":
        """One picture and mask for each image of a request.

        Raises:
            ConfigError: another number or size.
        """
        if len(self.images) not in (1, config.images):
            raise ConfigError(f"Give one picture to paint on, or {config.images}; got {len(self.images)}.")
        if self.images.shape[1:3] != (config.height, config.width):
            h, w = self.images.shape[1:3]
            raise ConfigError(
                f"The picture to paint on is {w} x {h} pixels, the request {config.width} x {config.height}."
            )
        times = config.images // len(self.images)
        return Inpainting(np.repeat(self.images, times, 0), np.repeat(self.masks, times, 0))

    def over(self, painted: np.ndarray) -> np.ndarray:
        """(n, h, w, 3) the painted pictures inside of the masks, the given ones outside."""
        return np.where(self.masks[..., None], painted, self.images)
