"""Shares of tokens: the bins that a ratio is learned on, and how many tokens a share is."""

import math
from typing import Literal

import numpy as np

BINS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)  # kept shares, as in DiffCR (arXiv 2412.16822)
TIMESTEPS = 1000  # of the noise schedules that PixArt and DiT are trained on

# Who chooses the tokens of a cell that keeps some: the model's routers, or an experiment for models without any.
TokenChoice = Literal["routers", "residual-norm"]


def kept(ratio: float, tokens: int) -> int:
    """How many of the tokens a ratio in (0, 1] keeps: ceil(ratio * tokens), of what a float32 meant."""
    return min(tokens, max(1, math.ceil(round(float(ratio) * tokens, 3))))


def nearest_bin(ratio: float) -> float:
    """The bin that inference runs at."""
    return min(BINS, key=lambda each: (abs(each - ratio), -each))


def bins_around(ratio: float) -> tuple[float, float]:
    """The neighbouring bins (lower, upper) that training mixes; the lower one may be the ratio itself only at 0.3."""
    ratio = min(max(ratio, BINS[-1]), BINS[0])
    lower = max((each for each in BINS if each < ratio), default=BINS[-1])
    return lower, min(each for each in BINS if each > lower)


def region(timestep: float, regions: int) -> int:
    """Which of equally wide parts of the noise schedule a timestep lies in; 0 is the noisiest."""
    part = int(np.floor(timestep * regions / TIMESTEPS))
    return regions - 1 - min(max(part, 0), regions - 1)
