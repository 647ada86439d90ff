"""What a search maximises: the CLIP score, with closeness to the full-depth pictures as the tie-breaker."""

import math
from dataclasses import dataclass

from mddit_ui.core.records import Score, SearchConfig

FLOOR = 1e-10  # relative latent error of 100 dB, below which pictures count as equal


@dataclass(frozen=True)
class Objective:
    """CLIP score + ``closeness`` x PSNR against full depth; a latent error stands in for a missing PSNR.

    With few prompts the CLIP score alone is overfitted: on 8 prompts closeness ranks policies better on other prompts
    than CLIP does, on 16 it is the other way round. Both are means over the images, so one image can't decide alone.
    Without a CLIP score closeness decides, whatever it is worth.

    Args:
        closeness: points of CLIP score that one dB is worth.
    """

    closeness: float = 0.5

    @classmethod
    def of(cls, config: SearchConfig) -> "Objective":
        """What a search asks for, or half a point a dB on 8 prompts, the less the more prompts there are."""
        return cls(4 / len(config.prompts) if config.closeness is None else config.closeness)

    @property
    def unit(self) -> float:
        """What it loses when the squared error of all pictures grows e-fold, the CLIP score apart."""
        return self.closeness * 10 / math.log(10)

    def __call__(self, score: Score) -> float:
        """Higher is better; NaN when the pictures were not finite."""
        parts, closeness = [], self.closeness
        if score.clip_score is not None:
            parts.append(score.clip_score)
        else:
            closeness = closeness or 1.0
        if score.psnr is not None:
            parts.append(closeness * score.psnr)
        elif score.latent_error is not None:
            parts.append(-closeness * 10 * math.log10(max(score.latent_error, FLOOR)))
        value = sum(parts) if parts else math.nan
        return value if math.isfinite(value) else math.nan
