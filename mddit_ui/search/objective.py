"""What a search maximises: the CLIP score, with closeness to the full-depth pictures as the tie-breaker."""

import math
from dataclasses import dataclass

from mddit_ui.core.records import Score

FLOOR = 1e-6  # relative latent error below which pictures count as equal


@dataclass(frozen=True)
class Objective:
    """CLIP score + ``closeness`` x (how many dB the latent error is below the latents).

    With few prompts the CLIP score alone is overfitted: on 8 prompts closeness ranks policies better on other prompts
    than CLIP does, on 16 it is the other way round. A decibel is the same on every model; points of CLIP are not, so
    ``closeness`` is in points per dB.
    """

    closeness: float = 0.5

    def __call__(self, score: Score) -> float:
        """Higher is better; NaN when the pictures were not finite."""
        value = 0.0
        if score.clip_score is not None:
            value += score.clip_score
        if score.latent_error is not None:
            value -= self.closeness * 10 * math.log10(max(score.latent_error, FLOOR))
        if score.clip_score is None and score.latent_error is None:
            return math.nan
        return value if math.isfinite(value) else math.nan
