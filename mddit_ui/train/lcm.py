"""Distils `scenes-pixart` into a few-step model: `python -m mddit_ui.train.lcm`.

Latent consistency distillation (Luo et al. 2023, arXiv 2310.04378): the student's guess of the clean latent at a
timestep should be its averaged copy's guess a few timesteps earlier, where one DDIM step of the guided teacher leads.
Guidance is folded in at one scale, so the student needs no second evaluation for it.
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import DDPMScheduler, LCMScheduler, PixArtAlphaPipeline, PixArtTransformer2DModel
from PIL import Image
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from mddit_ui.train.captions import heldout_scenes
from mddit_ui.train.latents import LatentSet
from mddit_ui.train.loop import Schedule, Trainer, add_schedule_arguments, autocast, device, step_rng
from mddit_ui.train.optim import optimizers
from mddit_ui.train.pixart import PixArtConfig
from mddit_ui.train.publish import GUIDANCE, LCM_FACTS, NOISE, PREDICTION, generate, publish, sheet
from mddit_ui.train.text import tokenize


@dataclass(frozen=True)
class LcmConfig:
    grid: int = 50  # timesteps that the student is asked at: every 20th of 1000
    hop: int = 2  # of the grid, between the student's timestep and its copy's: the paper's skipping step
    guidance: float = GUIDANCE
    batch: int = 32
    huber: float = 0.03  # below it the loss is squared, above it absolute; of latents with standard deviation 1
    average: float = 0.98  # of the copy that gives the answers, which is also the model in the end
    muon_lr: float = 0.003
    adam_lr: float = 2e-4
    not_muon: tuple[str, ...] = PixArtConfig.not_muon


def lcm_scheduler(config: LcmConfig | None = None) -> LCMScheduler:
    grid = (config or LcmConfig()).grid
    return LCMScheduler(**NOISE, prediction_type=PREDICTION, original_inference_steps=grid, clip_sample=False)


class Diffusion:
    """A v-predicting transformer's view of a noisy latent (Salimans & Ho 2022, arXiv 2202.00512)."""

    def __init__(self) -> None:
        self.alphas = DDPMScheduler(**NOISE).alphas_cumprod.to(device())

    def noisy(self, clean: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        alpha = self.alphas[timesteps].view(-1, 1, 1, 1)
        return alpha.sqrt() * clean + (1 - alpha).sqrt() * noise

    def guesses(
        self, noisy: torch.Tensor, velocity: torch.Tensor, timesteps: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The clean latent and the noise that a velocity says."""
        alpha = self.alphas[timesteps].view(-1, 1, 1, 1)
        velocity = velocity.float()
        return (
            alpha.sqrt() * noisy - (1 - alpha).sqrt() * velocity,
            (1 - alpha).sqrt() * noisy + alpha.sqrt() * velocity,
        )


class ConsistencyLoss(nn.Module):
    """The student, its teacher, and how far they disagree."""

    def __init__(self, config: LcmConfig, teacher: PixArtAlphaPipeline, data: LatentSet, seed: int):
        super().__init__()
        self.config, self.data, self.seed = config, data, seed
        self.student = copy.deepcopy(teacher.transformer).requires_grad_(True)
        self.teacher = [teacher]  # in a list: it is no part of the model
        self.diffusion = Diffusion()

    def forward(self, step: int, answering: PixArtTransformer2DModel) -> dict[str, torch.Tensor]:
        rng, config = step_rng(self.seed, step), self.config
        rows = np.sort(rng.choice(len(self.data.captions), config.batch, replace=False))
        clean = torch.from_numpy(self.data.latents[rows].astype(np.float32)).to(device())  # (b, c, 16, 16)
        stride = self.diffusion.alphas.numel() // config.grid
        strata = (rng.permutation(config.batch) + rng.random(config.batch)) / config.batch
        places = torch.from_numpy((strata * config.grid).astype(np.int64)).to(device())
        late = (places + 1) * stride - 1
        early = late - config.hop * stride
        noisy = self.diffusion.noisy(clean, torch.randn_like(clean), late)
        captions = [self.data.captions[row] for row in rows]

        with autocast(), sdpa_kernel(SDPBackend.MATH):
            with torch.no_grad():
                words, mask = self.encode([*captions, ""])
                target = self.answer(noisy, late, early, words, mask, answering)
            velocity = self.student(
                noisy, encoder_hidden_states=words[:-1], encoder_attention_mask=mask[:-1], timestep=late
            ).sample
        guess, _ = self.diffusion.guesses(noisy, velocity, late)
        error = ((guess - target).square() + config.huber**2).sqrt() - config.huber
        return {"loss": error.mean(), "first": error[places >= config.grid * 3 // 4].mean()}

    def encode(self, captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        ids, mask = (part.to(device()) for part in tokenize(self.teacher[0].tokenizer, captions))
        return self.teacher[0].text_encoder(ids, attention_mask=mask)[0], mask

    def answer(
        self,
        noisy: torch.Tensor,
        late: torch.Tensor,
        early: torch.Tensor,
        words: torch.Tensor,
        mask: torch.Tensor,
        answering: PixArtTransformer2DModel,
    ) -> torch.Tensor:
        """What the student should say: its copy's guess, one guided DDIM step of the teacher earlier."""
        count = len(noisy)
        twice = [*range(count), *[count] * count]  # with the caption, with the empty one
        velocity = self.teacher[0].transformer(
            noisy.repeat(2, 1, 1, 1), encoder_hidden_states=words[twice], encoder_attention_mask=mask[twice],
            timestep=late.repeat(2),
        ).sample.float()  # fmt: skip
        spoken, silent = velocity.chunk(2)
        clean, noise = self.diffusion.guesses(noisy, silent + self.config.guidance * (spoken - silent), late)
        moved = self.diffusion.noisy(clean, noise, early.clamp(min=0))
        velocity = answering(
            moved, encoder_hidden_states=words[:-1], encoder_attention_mask=mask[:-1], timestep=early.clamp(min=0)
        ).sample
        guess, _ = self.diffusion.guesses(moved, velocity, early.clamp(min=0))
        return torch.where((early < 0).view(-1, 1, 1, 1), clean, guess)


def train(
    config: LcmConfig, schedule: Schedule, folder: Path, teacher: PixArtAlphaPipeline, data: LatentSet, seed: int = 0,
    report=None,
) -> PixArtTransformer2DModel:  # fmt: skip
    """The averaged student."""
    torch.manual_seed(seed)
    model = ConsistencyLoss(config, teacher, data, seed).to(device())
    made = optimizers(model.named_parameters(), config.muon_lr, config.adam_lr, config.not_muon, weight_decay=0.01)
    trainer = Trainer(model, made, folder, schedule)
    trainer.run(
        lambda step: model(step, trainer.average.student),
        (lambda: report(trainer.average.student)) if report else None,
    )
    return trainer.average.student


def pipeline(student: PixArtTransformer2DModel, teacher: PixArtAlphaPipeline) -> PixArtAlphaPipeline:
    pipe = PixArtAlphaPipeline(teacher.tokenizer, teacher.text_encoder, teacher.vae, student, lcm_scheduler())
    pipe.set_progress_bar_config(disable=True)
    return pipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_schedule_arguments(parser, minutes=30)
    parser.add_argument("--folder", type=Path, default=Path("runs/lcm"), help="checkpoints and sample sheets")
    parser.add_argument("--latents", type=Path, default=Path("runs/latents"))
    parser.add_argument("--teacher", type=Path, default=Path("assets/models/scenes-pixart"))
    parser.add_argument("--target", type=Path, default=Path("assets/models/scenes-lcm"))
    parser.add_argument("--batch", type=int, default=LcmConfig.batch)
    parser.add_argument("--muon-lr", type=float, default=LcmConfig.muon_lr, help="peak rate of the matrices")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    teacher = PixArtAlphaPipeline.from_pretrained(args.teacher, dtype=torch.float32).to(device())
    for part in (teacher.transformer, teacher.text_encoder, teacher.vae):
        part.eval().requires_grad_(False)
    captions = [scene.caption() for scene in heldout_scenes(np.random.default_rng(1), 8)]

    def checkpoint(student: PixArtTransformer2DModel) -> str:
        pipe = pipeline(student, teacher)
        pictures = [
            generate(pipe, captions, seed=0, num_inference_steps=steps, guidance_scale=0.0) for steps in (1, 2, 4)
        ]
        args.folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sheet(torch.cat(pictures))).save(args.folder / "samples.png")
        publish(pipe, args.target, LCM_FACTS)
        return f"wrote {args.target} and {args.folder / 'samples.png'} (1, 2 and 4 steps)"

    config = LcmConfig(batch=args.batch, muon_lr=args.muon_lr)
    schedule = Schedule.of(args, warmup=20, flat=0.4, save_every=600, average=config.average)
    student = train(
        config, schedule, args.folder / "student", teacher, LatentSet.load(args.latents), args.seed, checkpoint
    )
    checkpoint(student)


if __name__ == "__main__":
    main()
