"""Trains the text-to-image transformer of scenes: `python -m mddit_ui.train.pixart`.

A PixArt-alpha transformer (Chen et al. 2023, arXiv 2310.00426) learns v-prediction (Salimans & Ho 2022, arXiv
2202.00512) on latents that `train.latents` encoded. One thing is added while training only: after an early block, a
linear head says of every token what lies at its place and what the ground is. It is REPA (Yu et al. 2024, arXiv
2410.06940) with the truth for a teacher: cross-attention learns within minutes where to look.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, PixArtTransformer2DModel
from PIL import Image
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import T5EncoderModel

from mddit_ui.train.captions import GROUNDS, codes, heldout_scenes, parse_caption
from mddit_ui.train.clip import SLOTS
from mddit_ui.train.latents import LatentSet
from mddit_ui.train.loop import Schedule, Trainer, add_schedule_arguments, autocast, device, join_group, rank, step_rng
from mddit_ui.train.optim import optimizers
from mddit_ui.train.publish import NOISE, generate, pipeline, publish, sheet
from mddit_ui.train.text import BindingLoss, TextConfig, make_text_encoder, tokenize
from mddit_ui.train.words import t5_tokenizer


@dataclass(frozen=True)
class PixArtConfig:
    layers: int = 14
    heads: int = 6
    head_dim: int = 32
    latent_channels: int = 4
    text: TextConfig = field(default_factory=TextConfig)
    text_steps: int = 600
    batch: int = 64
    empty_captions: float = 0.1  # share, for classifier-free guidance
    taught_block: int = 4  # after which the head reads
    taught_weight: float = 0.1
    muon_lr: float = 0.02
    adam_lr: float = 1e-3
    not_muon: tuple[str, ...] = ("pos_embed", "scale_shift_table", "adaln_single", "proj_out", "taught")


def make_transformer(config: PixArtConfig) -> PixArtTransformer2DModel:
    """Patches of 2 on 16 x 16 latents: 64 tokens. Every block starts as the identity."""
    width = config.heads * config.head_dim
    transformer = PixArtTransformer2DModel(
        num_attention_heads=config.heads,
        attention_head_dim=config.head_dim,
        in_channels=config.latent_channels,
        out_channels=config.latent_channels,
        num_layers=config.layers,
        cross_attention_dim=width,
        sample_size=16,
        patch_size=2,
        caption_channels=config.text.width,
        use_additional_conditions=False,
    )
    nn.init.zeros_(transformer.proj_out.weight)
    nn.init.normal_(transformer.adaln_single.linear.weight, std=0.02)
    for block in transformer.transformer_blocks:
        for layer in (block.attn1.to_out[0], block.attn2.to_out[0], block.ff.net[2]):
            nn.init.zeros_(layer.weight)
        with torch.no_grad():  # rows: shift, scale, gate of attention; shift, scale, gate of feed-forward
            block.scale_shift_table.zero_()
            block.scale_shift_table[[2, 5]] = 0.3
    return transformer


def token_places(side: int = 8) -> np.ndarray:
    """Which of the nine places each token of a side x side grid belongs to, (side side,): 3, 2 and 3 tokens a row."""
    third = np.array([0, 0, 0, 1, 1, 2, 2, 2]) if side == 8 else np.arange(side) * 3 // side
    return (third[:, None] * 3 + third[None]).ravel()


def timestep_cdf(count: int) -> np.ndarray:
    """Chance that the timestep of a training example is at most t, (count,): Beta(2, 3) with 30 % of the uniform.

    Where noise is strong, the loss is soon down to what the caption leaves open; where it is weak, to what no model
    can tell from noise. Outlines are decided between, at log SNR -2 to 2, which is t = 100 to 450 of 1000.
    """
    x = (np.arange(count) + 0.5) / count
    density = 0.7 * 12 * x * (1 - x) ** 2 + 0.3
    return np.cumsum(density / density.sum())


class DiffusionLoss(nn.Module):
    """A transformer with its training-only head, and the two losses."""

    def __init__(self, config: PixArtConfig, encoder: T5EncoderModel, data: LatentSet, seed: int):
        super().__init__()
        self.config, self.seed, self.data = config, seed, data
        self.transformer = make_transformer(config)
        self.taught = nn.Linear(config.heads * config.head_dim, sum(SLOTS) + len(GROUNDS))
        self.encoder = [encoder.eval().requires_grad_(False)]  # in a list: it is final, and no part of the model
        self.tokenizer = t5_tokenizer()
        self.alphas = DDPMScheduler(**NOISE).alphas_cumprod.to(device())
        self.timestep_cdf = timestep_cdf(len(self.alphas))
        self.heard: list[torch.Tensor] = []
        self.transformer.transformer_blocks[config.taught_block].register_forward_hook(
            lambda block, given, states: self.heard.append(states)
        )

    def forward(self, step: int) -> dict[str, torch.Tensor]:
        rng, batch = step_rng(self.seed, step), self.config.batch
        rows = np.sort(rng.choice(len(self.data.captions), batch, replace=False))
        latents = torch.from_numpy(self.data.latents[rows].astype(np.float32)).to(device())  # (b, c, 16, 16)
        scenes = [parse_caption(self.data.captions[row]) for row in rows]
        empty = rng.random(batch) < self.config.empty_captions
        captions = ["" if none else scene.caption() for none, scene in zip(empty, scenes, strict=True)]

        # One timestep in each of b strata of equal chance: the loss of a batch is less of a lottery.
        strata = (rng.permutation(batch) + rng.random(batch)) / batch
        timesteps = torch.from_numpy(np.searchsorted(self.timestep_cdf[:-1], strata)).to(device())
        alpha = self.alphas[timesteps].view(-1, 1, 1, 1)
        noise = torch.randn_like(latents)
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        velocity = alpha.sqrt() * noise - (1 - alpha).sqrt() * latents

        ids, mask = (part.to(device()) for part in tokenize(self.tokenizer, captions))
        self.heard.clear()
        # Plain attention: over 64 tokens, the CPU's fused kernel takes as long backwards as all the rest.
        with autocast(), sdpa_kernel(SDPBackend.MATH):
            with torch.no_grad():
                words = self.encoder[0](ids, attention_mask=mask)[0]
            predicted = self.transformer(
                noisy, encoder_hidden_states=words, encoder_attention_mask=mask, timestep=timesteps
            ).sample
            answers = self.taught(F.layer_norm(self.heard.pop(), (self.taught.in_features,)))  # (b, 64, k)
        diffusion = (predicted.float() - velocity).square().mean()
        spoken = torch.from_numpy(~empty).to(device())
        told = [scene for scene, none in zip(scenes, empty, strict=True) if not none]
        taught = self.taught_loss(answers.float()[spoken], told)
        return {"loss": diffusion + self.config.taught_weight * taught, "diffusion": diffusion, "taught": taught}

    def taught_loss(self, answers: torch.Tensor, scenes: list) -> torch.Tensor:
        """Cross-entropy of what lies at each token's place, (b, 64, k)."""
        places = token_places()
        table = torch.from_numpy(np.stack([codes(scene)[places] for scene in scenes])).to(answers.device)  # (b, 64, 3)
        grounds = torch.tensor([GROUNDS.index(scene.ground) for scene in scenes], device=answers.device)
        *parts, ground = answers.split((*SLOTS, len(GROUNDS)), 2)
        losses = [F.cross_entropy(part.flatten(0, 1), table[..., kind].flatten()) for kind, part in enumerate(parts)]
        truth = grounds[:, None].expand(-1, len(places))
        return sum(losses) + F.cross_entropy(ground.flatten(0, 1), truth.flatten())


def train_text(config: PixArtConfig, folder: Path, seed: int) -> T5EncoderModel:
    """The encoder after its first lesson; from the checkpoint if it has had it."""
    torch.manual_seed(seed)
    lesson = BindingLoss(make_text_encoder(config.text), config.text, seed).to(device())
    schedule = Schedule(steps=config.text_steps, flat=0.3, average=0.99)
    made = optimizers(lesson.named_parameters(), 0.02, 3e-3, ("shared", "heads", "relative_attention"))
    trainer = Trainer(lesson, made, folder, schedule)
    trainer.run(lesson)
    return trainer.average.encoder


def train(config: PixArtConfig, schedule: Schedule, folder: Path, data: LatentSet, seed: int = 0, report=None):
    """The averaged transformer and its text encoder."""
    encoder = train_text(config, folder / "text", seed)
    torch.manual_seed(seed)
    model = DiffusionLoss(config, encoder, data, seed).to(device())
    made = optimizers(model.named_parameters(), config.muon_lr, config.adam_lr, config.not_muon, weight_decay=0.05)
    trainer = Trainer(model, made, folder / "transformer", schedule)
    trainer.run(model, (lambda: report(trainer.average.transformer, encoder)) if report else None)
    return trainer.average.transformer, encoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_schedule_arguments(parser, minutes=100)
    parser.add_argument("--folder", type=Path, default=Path("runs/pixart"), help="checkpoints and sample sheets")
    parser.add_argument("--latents", type=Path, default=Path("runs/latents"))
    parser.add_argument("--vae", type=Path, default=Path("runs/vae/whole-export"))
    parser.add_argument("--target", type=Path, default=Path("assets/models/scenes-pixart"))
    parser.add_argument("--batch", type=int, default=PixArtConfig.batch)
    parser.add_argument("--muon-lr", type=float, default=PixArtConfig.muon_lr, help="peak rate of the matrices")
    parser.add_argument("--flat", type=float, default=0.1, help="share of the run before the rate falls")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    join_group()
    vae = AutoencoderKL.from_pretrained(args.vae).to(device()).float().eval()
    captions = [scene.caption() for scene in heldout_scenes(np.random.default_rng(1), 16)]

    def checkpoint(transformer: PixArtTransformer2DModel, encoder: T5EncoderModel) -> str:
        pipe = pipeline(transformer, encoder, vae)
        with autocast():
            pictures = generate(pipe, captions, seed=0)
        args.folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sheet(pictures)).save(args.folder / "samples.png")
        publish(pipe, args.target)
        return f"wrote {args.target} and {args.folder / 'samples.png'}"

    schedule = Schedule.of(args, flat=args.flat, save_every=480)
    config = PixArtConfig(batch=args.batch, muon_lr=args.muon_lr, latent_channels=vae.config.latent_channels)
    transformer, encoder = train(config, schedule, args.folder, LatentSet.load(args.latents), args.seed, checkpoint)
    if rank() == 0:
        publish(pipeline(transformer, encoder, vae), args.target)


if __name__ == "__main__":
    main()
