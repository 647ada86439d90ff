"""Grows long skip branches into `scenes-pixart`: `python -m mddit_ui.train.skip`.

Skip-DiT (Chen et al. 2024, arXiv 2411.17616), in its two stages: first the skip branches alone, then everything. The
branches are fused as residuals that start at nothing, so the model begins as its teacher and is taught two things: to
go on saying what the teacher says; and to say it when the middle blocks are stale, as they are under Skip-Cache. The
second is ours: the paper trains from scratch for weeks and leaves it to the diffusion loss.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from diffusers import DiffusionPipeline, PixArtAlphaPipeline
from PIL import Image
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from mddit_ui.models.skip_dit import SkipPixArtTransformer2DModel, with_skips
from mddit_ui.train.captions import heldout_scenes
from mddit_ui.train.latents import LatentSet
from mddit_ui.train.lcm import Diffusion
from mddit_ui.train.loop import Schedule, Trainer, add_schedule_arguments, autocast, device, step_rng
from mddit_ui.train.optim import optimizers
from mddit_ui.train.pixart import PixArtConfig
from mddit_ui.train.publish import SKIP_FACTS, generate, publish, sheet
from mddit_ui.train.text import tokenize

BRANCHES = ("skip_norm", "skip_linear")


@dataclass(frozen=True)
class SkipConfig:
    batch: int = 16
    empty_captions: float = 0.15  # share; guidance asks for the empty caption as often as for the other
    outer: tuple[int, ...] = (1, 2)  # pairs of blocks that run when the middle is stale; drawn for each batch
    oldest: int = 300  # how many of 1000 timesteps the middle may be behind: 6 of 20 steps
    not_muon: tuple[str, ...] = PixArtConfig.not_muon


@dataclass(frozen=True)
class Stage:
    """One of the two stages: what is trained, and how fast."""

    name: str
    only: tuple[str, ...]  # parameters with one of these in their name; none: all
    muon_lr: float
    adam_lr: float


STAGES = (Stage("branches", BRANCHES, 0.02, 2e-3), Stage("all", (), 0.003, 2e-4))


class Middle:
    """What enters the last ``outer`` blocks of a transformer: seen in one call, put in place of it in another."""

    def __init__(self, transformer: SkipPixArtTransformer2DModel, outer: int) -> None:
        self.transformer, self.outer = transformer, outer
        self.states: torch.Tensor | None = None  # (b, n, d)

    @contextmanager
    def seen(self) -> Iterator[None]:
        """Remember it in the calls made inside."""
        with self._hook(self._see):
            yield

    @contextmanager
    def stale(self) -> Iterator[None]:
        """The outer blocks alone run in the calls made inside, on what was remembered."""
        blocks = self.transformer.transformer_blocks
        with self._hook(self._give):
            self.transformer.transformer_blocks = nn.ModuleList([*blocks[: self.outer], *blocks[-self.outer :]])
            try:
                yield
            finally:
                self.transformer.transformer_blocks = blocks

    @contextmanager
    def _hook(self, hook: Any) -> Iterator[None]:
        handle = self.transformer.transformer_blocks[-self.outer].register_forward_pre_hook(hook)
        try:
            yield
        finally:
            handle.remove()

    def _see(self, block: nn.Module, args: tuple) -> None:
        self.states = args[0]

    def _give(self, block: nn.Module, args: tuple) -> tuple:
        return (self.states, *args[1:])


class Drawn(NamedTuple):
    """What is shown to the model: now, and as it was some steps before."""

    noisy: torch.Tensor  # (b, c, 16, 16)
    now: torch.Tensor  # (b,) timesteps
    noisier: torch.Tensor
    before: torch.Tensor
    given: dict[str, torch.Tensor]
    outer: int


class SkipLoss(nn.Module):
    """The model with skip branches, its teacher, and how far they disagree, with fresh and with stale middle blocks."""

    def __init__(self, config: SkipConfig, teacher: PixArtAlphaPipeline, data: LatentSet, seed: int):
        super().__init__()
        self.config, self.data, self.seed = config, data, seed
        self.student = with_skips(teacher.transformer).requires_grad_(True)
        self.teacher = [teacher]  # in a list: it is no part of the model
        self.diffusion = Diffusion()

    def draw(self, step: int) -> Drawn:
        """The training examples of a step: the same latents and noise at two timesteps."""
        rng, config = step_rng(self.seed, step), self.config
        rows = np.sort(rng.choice(len(self.data.captions), config.batch, replace=False))
        clean = torch.from_numpy(self.data.latents[rows].astype(np.float32)).to(device())  # (b, c, 16, 16)
        empty = rng.random(config.batch) < config.empty_captions
        captions = ["" if none else self.data.captions[row] for none, row in zip(empty, rows, strict=True)]
        strata = (rng.permutation(config.batch) + rng.random(config.batch)) / config.batch
        now = torch.from_numpy((strata * 980).astype(np.int64)).to(device())
        behind = torch.from_numpy(rng.integers(20, config.oldest + 1, config.batch)).to(device())
        before = (now + behind).clamp(max=999)
        noise = torch.randn_like(clean)
        noisy, noisier = (self.diffusion.noisy(clean, noise, at) for at in (now, before))
        with autocast(), torch.no_grad():
            words, mask = self.encode(captions)
        given = {"encoder_hidden_states": words, "encoder_attention_mask": mask}
        return Drawn(noisy, now, noisier, before, given, int(rng.choice(config.outer)))

    def forward(self, step: int) -> dict[str, torch.Tensor]:
        drawn = self.draw(step)
        noisy, now, given = drawn.noisy, drawn.now, drawn.given
        middle = Middle(self.student, drawn.outer)
        with autocast(), torch.no_grad():
            truth = self.teacher[0].transformer(noisy, timestep=now, **given).sample.float()
            with middle.seen():
                self.student(drawn.noisier, timestep=drawn.before, **given)
        with autocast(), sdpa_kernel(SDPBackend.MATH):  # plain attention, as train.pixart says
            fresh = self.student(noisy, timestep=now, **given).sample
            with middle.stale():
                stale = self.student(noisy, timestep=now, **given).sample
        fresh, stale = ((said.float() - truth).square().mean() for said in (fresh, stale))
        return {"loss": fresh + stale, "fresh": fresh, "stale": stale}

    def encode(self, captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        ids, mask = (part.to(device()) for part in tokenize(self.teacher[0].tokenizer, captions))
        return self.teacher[0].text_encoder(ids, attention_mask=mask)[0], mask


@torch.no_grad()
def solve(model: SkipLoss, outer: int, batches: int, ridge: float = 1e-4) -> float:
    """The branch into block L - ``outer`` in closed form: ridge regression, before any gradient.

    A stale middle should be brought to where the fresh one is; a fresh one should stay where it is. Both are asked of
    the same linear map, in equal parts.

    Returns:
        The share of the stale middle's error (mean square) that is left; a fresh one's own error is counted in.
    """
    model.student.eval()
    block = model.student.transformer_blocks[-outer]
    size = block.skip_linear.in_features + 1
    gram = torch.zeros(size, size, dtype=torch.float64, device=device())
    cross = torch.zeros(size, size // 2, dtype=torch.float64, device=device())
    error = torch.zeros((), dtype=torch.float64, device=device())
    for step in range(batches):
        drawn = model.draw(step)
        entered: list[tuple[torch.Tensor, torch.Tensor]] = []
        handle = block.register_forward_pre_hook(
            lambda block, args, kwargs, entered=entered: entered.append((args[0].float(), kwargs["skip"].float())),
            with_kwargs=True,
        )
        with autocast():
            model.student(drawn.noisier, timestep=drawn.before, **drawn.given)
            model.student(drawn.noisy, timestep=drawn.now, **drawn.given)
        handle.remove()
        (stale, _), (fresh, skip) = entered
        for states in (stale, fresh):
            seen = block.skip_norm(torch.cat([states, skip], -1)).flatten(0, 1).double()  # (b n, 2d)
            seen = torch.cat([seen, torch.ones_like(seen[:, :1])], 1)
            wanted = (fresh - states).flatten(0, 1).double()  # (b n, d)
            gram += seen.T @ seen
            cross += seen.T @ wanted
            error += wanted.square().sum()
    scale = gram.diagonal().mean()
    solution = torch.linalg.solve(gram + ridge * scale * torch.eye(size, dtype=gram.dtype, device=device()), cross)
    block.skip_linear.weight.copy_(solution[:-1].T)
    block.skip_linear.bias.copy_(solution[-1])
    left = error - 2 * (solution * cross).sum() + (solution * (gram @ solution)).sum()
    return float(left / error)


def train(
    config: SkipConfig, schedules: dict[str, Schedule], folder: Path, teacher: PixArtAlphaPipeline, data: LatentSet,
    seed: int = 0, report=None,
) -> SkipPixArtTransformer2DModel:  # fmt: skip
    """The averaged student after both stages; a stage's schedule is found under its name."""
    torch.manual_seed(seed)
    model = SkipLoss(config, teacher, data, seed).to(device())
    for stage in STAGES:
        for name, parameter in model.student.named_parameters():
            parameter.requires_grad_(not stage.only or any(part in name for part in stage.only))
        made = optimizers(model.named_parameters(), stage.muon_lr, stage.adam_lr, config.not_muon, weight_decay=0.01)
        trainer = Trainer(model, made, folder / stage.name, schedules[stage.name])
        trainer.run(model, partial(_reported, report, trainer) if report else None)
        if trainer.schedule.progress(trainer.step, trainer.seconds) < 1:  # asked to stop
            return cast(SkipPixArtTransformer2DModel, trainer.average.student)
        model.load_state_dict(trainer.average.state_dict())
    return model.student


def _reported(report: Callable[[Any], str], trainer: Trainer) -> str:
    return report(trainer.average.student)


def load_teacher(folder: Path) -> PixArtAlphaPipeline:
    teacher = PixArtAlphaPipeline.from_pretrained(folder, dtype=torch.float32).to(device())
    for part in (teacher.transformer, teacher.text_encoder, teacher.vae):
        part.eval().requires_grad_(False)
    teacher.set_progress_bar_config(disable=True)
    return teacher


def pipeline(student: SkipPixArtTransformer2DModel, teacher: DiffusionPipeline) -> PixArtAlphaPipeline:
    pipe = PixArtAlphaPipeline(**{**teacher.components, "transformer": student})
    pipe.set_progress_bar_config(disable=True)
    return pipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_schedule_arguments(parser, minutes=40)
    parser.add_argument("--folder", type=Path, default=Path("runs/skip"), help="checkpoints and sample sheets")
    parser.add_argument("--latents", type=Path, default=Path("runs/latents"))
    parser.add_argument("--teacher", type=Path, default=Path("assets/models/scenes-pixart"))
    parser.add_argument("--target", type=Path, default=Path("assets/models/scenes-skip"))
    parser.add_argument("--batch", type=int, default=SkipConfig.batch)
    parser.add_argument("--first", type=float, default=0.3, help="share of the run that belongs to the branches alone")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    teacher = load_teacher(args.teacher)
    captions = [scene.caption() for scene in heldout_scenes(np.random.default_rng(1), 8)]

    def checkpoint(student: SkipPixArtTransformer2DModel) -> str:
        pipe = pipeline(student, teacher)
        with autocast():
            pictures = generate(pipe, captions, seed=0)
        args.folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sheet(pictures)).save(args.folder / "samples.png")
        publish(pipe, args.target, SKIP_FACTS)
        return f"wrote {args.target} and {args.folder / 'samples.png'}"

    shares = dict(zip((stage.name for stage in STAGES), (args.first, 1 - args.first), strict=True))
    schedules = {
        name: Schedule(
            steps=round(args.steps * share) if args.steps else None, minutes=args.minutes * share, warmup=20, flat=0.4,
            save_every=300, log_every=20, average=0.99,
        )
        for name, share in shares.items()
    }  # fmt: skip
    data = LatentSet.load(args.latents)
    checkpoint(train(SkipConfig(batch=args.batch), schedules, args.folder, teacher, data, args.seed, checkpoint))


if __name__ == "__main__":
    main()
