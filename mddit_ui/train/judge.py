"""Does a picture show its caption? A CLIP is asked to find it among captions wrong in one attribute."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import torch
from open_clip import CLIP

from mddit_ui.train.captions import ATTRIBUTES, Scene, hard_negatives, parse_caption

NEGATIVES = 15  # so that chance is 1 / 16


def choices(captions: list[str], seed: int) -> list[list[str]]:
    """For each caption itself, first, and 15 hard negatives."""
    rng = np.random.default_rng(seed)
    return [[caption, *hard_negatives(caption, NEGATIVES, rng)] for caption in captions]


@torch.inference_mode()
def cosines(
    clip: CLIP, tokenize: Callable[[list[str]], torch.Tensor], pictures: torch.Tensor, options: list[list[str]]
) -> torch.Tensor:
    """Cosines of pictures (b, 3, 128, 128) in -1..1 with their options, (b, 16)."""
    seen = torch.cat([clip.encode_image(part, normalize=True) for part in pictures.split(50)])  # (b, d)
    ids = tokenize([text for texts in options for text in texts]).to(pictures.device)
    read = torch.cat([clip.encode_text(part, normalize=True) for part in ids.split(400)])  # (b 16, d)
    return torch.einsum("bd,bcd->bc", seen, read.view(len(options), -1, seen.shape[-1]))


def mistaken_attribute(truth: str, chosen: str) -> str:
    """Which attribute the chosen caption has wrong: shape, colour, size, place or ground."""
    true, other = parse_caption(truth), parse_caption(chosen)
    return _difference(true, other)


def _difference(true: Scene, other: Scene) -> str:
    for one, two in zip(true.things, other.things, strict=True):
        for name in ATTRIBUTES:
            if getattr(one, name) != getattr(two, name):
                return name
    return "ground" if true.ground != other.ground else "nothing"


def verdict(scores: torch.Tensor, options: list[list[str]]) -> tuple[float, dict[str, int]]:
    """Share of pictures whose true caption (option 0) scores best, and what was mistaken in the others, counted."""
    best = scores.argmax(1).tolist()
    mistakes = Counter(
        mistaken_attribute(texts[0], texts[index]) for texts, index in zip(options, best, strict=True) if index
    )
    return best.count(0) / len(best), dict(mistakes.most_common())


@dataclass(frozen=True)
class Judge:
    """The published CLIP, loaded through open_clip's own door."""

    model: open_clip.CLIP
    tokenize: Callable[[list[str]], torch.Tensor]

    @classmethod
    def load(cls, folder: Path) -> Judge:
        model = open_clip.create_model(f"local-dir:{folder}").eval()
        return cls(model, open_clip.get_tokenizer(f"local-dir:{folder}"))

    def scores(self, pictures: torch.Tensor, options: list[list[str]]) -> torch.Tensor:
        return cosines(self.model, self.tokenize, pictures, options)
