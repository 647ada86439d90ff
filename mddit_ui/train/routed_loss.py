"""What `train.routed` asks for: the losses of a draw, and what each block weighs in MACs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers import PixArtAlphaPipeline
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from mddit_ui.core.tokens import BINS, TIMESTEPS
from mddit_ui.engine.macs import count_call
from mddit_ui.models.routed_dit import REGIONS, TARGETS, use_target, with_routers
from mddit_ui.train.latents import LatentSet
from mddit_ui.train.lcm import Diffusion
from mddit_ui.train.loop import autocast, device, step_rng
from mddit_ui.train.pixart import PixArtConfig
from mddit_ui.train.text import tokenize


@dataclass(frozen=True)
class RoutedConfig:
    targets: tuple[float, ...] = TARGETS
    regions: int = REGIONS
    batch: int = 8  # of each region: all regions in every step
    ungated: float = 0.1  # share of the batches that keep all tokens: the model stays what it was, too
    empty_captions: float = 0.15  # share; guidance asks for the empty caption as often as for the other
    truth: float = 0.2  # weight of the true velocity, beside the teacher's
    distance: float = 2.0  # weight of (mean ratio - target) squared
    muon_lr: float = 0.01  # at 0.003 the distance fell half as fast in the first steps, at 0.02 as fast
    adam_lr: float = 6e-4
    router_lr: float = 1e-3
    ratio_lr: float = 0.01  # about as far as a ratio moves in a step
    not_muon: tuple[str, ...] = PixArtConfig.not_muon


class Drawn(NamedTuple):
    """The examples of a step, by region: noisiest first."""

    noisy: torch.Tensor  # (r b, c, 16, 16)
    velocity: torch.Tensor  # the true one
    timesteps: torch.Tensor  # (r b,)
    given: dict[str, torch.Tensor]
    target: float | None  # none: all tokens


class RoutedLoss(nn.Module):
    """The routed model, its teacher, and how far it is from what it should say and from what it should cost."""

    def __init__(self, config: RoutedConfig, teacher: PixArtAlphaPipeline, data: LatentSet, seed: int):
        super().__init__()
        self.config, self.data, self.seed = config, data, seed
        self.student = with_routers(teacher.transformer, config.targets, config.regions).requires_grad_(True)
        self.teacher = [teacher]  # in a list: it is no part of the model
        self.diffusion = Diffusion()
        self.shares = mac_shares(teacher.transformer)  # (blocks,)

    def draw(self, step: int) -> Drawn:
        rng, config = step_rng(self.seed, step), self.config
        count = config.regions * config.batch
        rows = np.sort(rng.choice(len(self.data.captions), count, replace=False))
        rng.shuffle(rows)
        clean = torch.from_numpy(self.data.latents[rows].astype(np.float32)).to(device())  # (r b, c, 16, 16)
        empty = rng.random(count) < config.empty_captions
        captions = ["" if none else self.data.captions[row] for none, row in zip(empty, rows, strict=True)]
        places = (np.arange(count) + rng.random(count)) / count  # one in each of r b strata
        timesteps = torch.from_numpy((places[::-1] * TIMESTEPS).astype(np.int64)).to(device())
        noise = torch.randn_like(clean)
        alpha = self.diffusion.alphas[timesteps].view(-1, 1, 1, 1)
        with autocast(), torch.no_grad():
            words, mask = self.encode(captions)
        return Drawn(
            noisy=self.diffusion.noisy(clean, noise, timesteps),
            velocity=alpha.sqrt() * noise - (1 - alpha).sqrt() * clean,
            timesteps=timesteps,
            given={"encoder_hidden_states": words, "encoder_attention_mask": mask},
            target=None if rng.random() < config.ungated else float(rng.choice(config.targets)),
        )

    def forward(self, step: int) -> dict[str, torch.Tensor]:
        config, student = self.config, self.student
        drawn = self.draw(step)
        with torch.no_grad():
            student.ratios.clamp_(BINS[-1], BINS[0])
        use_target(student, drawn.target)
        with autocast(), sdpa_kernel(SDPBackend.MATH):  # plain attention, as train.pixart says
            with torch.no_grad():
                told = self.teacher[0].transformer(drawn.noisy, timestep=drawn.timesteps, **drawn.given).sample
            said = torch.cat([
                student(drawn.noisy[part], timestep=drawn.timesteps[part],
                        **{name: value[part] for name, value in drawn.given.items()}).sample
                for part in self.parts(drawn)
            ])  # fmt: skip
        taught = (said.float() - told.float()).square().mean()
        truth = (said.float() - drawn.velocity).square().mean()
        means = self.mean_ratios()
        gaps = {target: (mean - target).square() for target, mean in means.items()}
        gap = gaps[drawn.target] if drawn.target is not None else torch.zeros(())
        loss = taught + config.truth * truth + config.distance * gap
        return {"loss": loss, "taught": taught, "truth": truth, **{f"r{key}": mean for key, mean in means.items()}}

    def parts(self, drawn: Drawn) -> list[slice]:
        """What goes through the student together: a region, since its ratios are its own."""
        size = len(drawn.noisy) if drawn.target is None else self.config.batch
        return [slice(start, start + size) for start in range(0, len(drawn.noisy), size)]

    def mean_ratios(self) -> dict[float, torch.Tensor]:
        """The mean kept ratio of each target, weighted by the blocks' MACs; each region is as many steps."""
        means = torch.einsum("tbr,b->t", self.student.ratios, self.shares) / self.config.regions
        return dict(zip(self.config.targets, means.unbind(), strict=True))

    def encode(self, captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        ids, mask = (part.to(device()) for part in tokenize(self.teacher[0].tokenizer, captions))
        return self.teacher[0].text_encoder(ids, attention_mask=mask)[0], mask


def mac_shares(transformer: Any, words: int = 32) -> torch.Tensor:
    """(blocks,) what each block costs of all that blocks cost."""
    config = transformer.config
    names = [f"transformer_blocks.{index}" for index in range(config.num_layers)]
    given = {
        "hidden_states": torch.zeros(1, config.in_channels, config.sample_size, config.sample_size),
        "encoder_hidden_states": torch.zeros(1, words, config.caption_channels),
        "encoder_attention_mask": torch.ones(1, words),
        "timestep": torch.zeros(1, dtype=torch.long),
    }
    macs = torch.tensor(count_call(transformer, names, (), given).site_macs)
    return (macs / macs.sum()).float().to(device())
