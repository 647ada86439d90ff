"""What a search maximises: the CLIP score, with closeness to the full-depth pictures as the tie-breaker."""

import math
from dataclasses import dataclass

from mddit_ui.core.records import Score

FLOOR = 1e-10  # relative latent error of 100 dB, below which pictures count as equal


@dataclass(frozen=True)
class Objective:
    """CLIP score + ``closeness`` x PSNR against full depth; a latent error stands in for a missing PSNR.

    With few prompts the CLIP score alone is overfitted: on 8 prompts closeness ranks policies better on other prompts
    than CLIP does, on 16 it is the other way round. Both are means over the images, so one image can't decide alone.

    Args:
        closeness: points of CLIP score that one dB is worth.
    """

    closeness: float = 0.5

    @classmethod
    def for_images(cls, images: int) -> "Objective":
        """Half a point a dB on 8 images, the less the more images there are."""
        return cls(4 / max(images, 1))

    def __call__(self, score: Score) -> float:
        """Higher is better; NaN when the pictures were not finite."""
        parts = []
        if score.clip_score is not None:
            parts.append(score.clip_score)
        if score.psnr is not None:
            parts.append(self.closeness * score.psnr)
        elif score.latent_error is not None:
            parts.append(-self.closeness * 10 * math.log10(max(score.latent_error, FLOOR)))
        value = sum(parts) if parts else math.nan
        return value if math.isfinite(value) else math.nan
