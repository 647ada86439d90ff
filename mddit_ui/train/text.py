"""The T5 encoder of scenes, and its first lesson: every word of a phrase should know the whole phrase.

A cross-attention learns what to fetch long before it learns to put attributes together. So the encoder is taught first,
for a few minutes, to put them together itself: from the state of each word of "a large red heart at the top left" the
shape, colour, size and place are read off by a linear head, from the words of the ground the ground.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import T5Config, T5EncoderModel, T5Tokenizer

from mddit_ui.train.captions import COLOURS, GROUNDS, PLACES, SHAPES, SIZES, Scene, sample_scene
from mddit_ui.train.loop import autocast, device, step_rng
from mddit_ui.train.words import t5_tokenizer

WORDS = (SHAPES, COLOURS, SIZES, PLACES, GROUNDS)
IGNORED = -100  # cross_entropy's own mark


@dataclass(frozen=True)
class TextConfig:
    width: int = 128
    layers: int = 3
    heads: int = 4
    feed_forward: int = 384
    batch: int = 96


def make_text_encoder(config: TextConfig) -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(
            vocab_size=len(t5_tokenizer()),
            d_model=config.width,
            d_kv=config.width // config.heads,
            d_ff=config.feed_forward,
            num_layers=config.layers,
            num_heads=config.heads,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            decoder_start_token_id=0,
        )
    )


def tokenize(tokenizer: T5Tokenizer, captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask, (b, n) each, padded to the longest; the pipeline pads to 120, which the mask makes the same."""
    made = tokenizer(captions, padding="longest", return_tensors="pt")
    return made.input_ids, made.attention_mask


def word_answers(scene: Scene) -> np.ndarray:
    """What each word should know, (n, 5): shape, colour, size, place of its phrase, the ground; -100 = not asked."""
    rows: list[tuple[int, ...]] = []
    for index, thing in enumerate(scene.things):
        if index:
            rows.append((IGNORED,) * 5)  # "and"
        answer = (
            SHAPES.index(thing.shape), COLOURS.index(thing.colour), SIZES.index(thing.size),
            PLACES.index(thing.place), IGNORED,
        )  # fmt: skip
        rows += [answer] * len(thing.phrase().split())
    rows += [(IGNORED,) * 4 + (GROUNDS.index(scene.ground),)] * 4  # "on a teal background"
    return np.array(rows, np.int64)


class BindingLoss(nn.Module):
    """A T5 encoder with the heads of its first lesson."""

    def __init__(self, encoder: T5EncoderModel, config: TextConfig, seed: int):
        super().__init__()
        self.encoder, self.config, self.seed = encoder, config, seed
        self.heads = nn.ModuleList(nn.Linear(config.width, len(words)) for words in WORDS)
        self.tokenizer = t5_tokenizer()

    def forward(self, step: int) -> dict[str, torch.Tensor]:
        rng = step_rng(self.seed, step)
        scenes = [sample_scene(rng) for _ in range(self.config.batch)]
        scenes = [scene for scene in scenes if not scene.is_held_out()]
        ids, mask = tokenize(self.tokenizer, [scene.caption() for scene in scenes])
        truth = np.full((*ids.shape, len(WORDS)), IGNORED, np.int64)
        for row, scene in enumerate(scenes):
            words = word_answers(scene)
            truth[row, : len(words)] = words
        answers = torch.from_numpy(truth).to(device())
        with autocast():
            states = self.encoder(ids.to(device()), attention_mask=mask.to(device()))[0]
        losses, right = [], []
        for kind, head in enumerate(self.heads):
            given = head(states.float())
            losses.append(F.cross_entropy(given.flatten(0, 1), answers[..., kind].flatten(), ignore_index=IGNORED))
            asked = answers[..., kind] != IGNORED
            right.append((given.argmax(-1) == answers[..., kind])[asked].float().mean())
        return {"loss": torch.stack(losses).sum(), "right": torch.stack(right).mean()}
