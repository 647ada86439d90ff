"""Grows long skip branches into `scenes-pixart`: `python -m mddit_ui.train.skip`.

Skip-DiT (Chen et al. 2024, arXiv 2411.17616), in its two stages: first the skip branches alone, then everything. The
branches are fused as residuals that start at nothing, so the model begins as its teacher and is taught two things: to
go on saying what the teacher says; and to say it when the middle blocks are stale, as they are under Skip-Cache. The
second is ours: the paper trains from scratch for weeks and leaves it to the diffusion loss.

One full pass teaches both: what it says is compared with the teacher, and its middle is what the outer blocks get some
steps later on the same run. Gradients go through the stale middle, which learns to say what will still be true then.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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

from mddit_ui.core.presets import skip_cache
from mddit_ui.engine.hooks import apply_policy
from mddit_ui.models.skip_dit import SkipPixArtTransformer2DModel, with_skips
from mddit_ui.train.captions import heldout_scenes
from mddit_ui.train.latents import LatentSet
from mddit_ui.train.loop import Schedule, Trainer, add_schedule_arguments, autocast, device, step_rng
from mddit_ui.train.optim import optimizers
from mddit_ui.train.pixart import PixArtConfig
from mddit_ui.train.publish import GUIDANCE, SKIP_FACTS, STEPS, generate, publish, sheet
from mddit_ui.train.trajectories import Trajectories, encode, travel

BRANCHES = ("skip_norm", "skip_linear")
SCHEDULES = ((2, 2), (3, 1))  # Skip-Cache, n and b, of the sample sheet


@dataclass(frozen=True)
class SkipConfig:
    batch: int = 16  # runs; each is shown with its caption and without
    outer: tuple[int, ...] = (1, 2)  # pairs of blocks that run when the middle is stale; all in each batch
    ages: tuple[float, ...] = (0.46, 0.26, 0.16, 0.08, 0.04)  # how often the middle is 1, 2, ... steps old
    fresh_weight: float = 2.0  # of full depth, against the mean of the stale ones
    guided_weight: float = 0.1  # of the guided velocity's error, which is what the sampler sees
    runs: int = 600  # of the teacher
    not_muon: tuple[str, ...] = PixArtConfig.not_muon


@dataclass(frozen=True)
class Stage:
    """One of the two stages: what is trained, and how fast."""

    name: str
    only: tuple[str, ...]  # parameters with one of these in their name; none: all
    muon_lr: float
    adam_lr: float


STAGES = (Stage("branches", BRANCHES, 0.01, 1e-3), Stage("all", (), 0.003, 2e-4))


class Middle:
    """What enters the last ``outer`` blocks of a transformer: seen in one call, put in place of it in another."""

    def __init__(self, transformer: SkipPixArtTransformer2DModel) -> None:
        self.transformer = transformer
        self.states: dict[int, torch.Tensor] = {}  # by number of outer blocks, (b, n, d)

    @contextmanager
    def seen(self, *outer: int) -> Iterator[None]:
        """Remember it in the calls made inside."""
        with ExitStack() as stack:
            for each in outer:
                stack.enter_context(self._hook(each, partial(self._see, each)))
            yield

    @contextmanager
    def stale(self, outer: int) -> Iterator[None]:
        """The outer blocks alone run in the calls made inside, on what was remembered."""
        blocks = self.transformer.transformer_blocks
        with self._hook(outer, partial(self._give, outer)):
            self.transformer.transformer_blocks = nn.ModuleList([*blocks[:outer], *blocks[-outer:]])
            try:
                yield
            finally:
                self.transformer.transformer_blocks = blocks

    @contextmanager
    def _hook(self, outer: int, hook: Any) -> Iterator[None]:
        handle = self.transformer.transformer_blocks[-outer].register_forward_pre_hook(hook)
        try:
            yield
        finally:
            handle.remove()

    def _see(self, outer: int, block: nn.Module, args: tuple) -> None:
        self.states[outer] = args[0]

    def _give(self, outer: int, block: nn.Module, args: tuple) -> tuple:
        return (self.states[outer], *args[1:])


class Shown(NamedTuple):
    """One step of some runs: each with its caption in the first half, without in the second."""

    noisy: torch.Tensor  # (2b, c, 16, 16)
    timestep: torch.Tensor  # (2b,)
    truth: torch.Tensor  # (2b, c, 16, 16), the velocity that the teacher said


class Lesson(NamedTuple):
    given: dict[str, torch.Tensor]  # of the captions
    full: Shown
    later: dict[int, Shown]  # by number of outer blocks: the same runs, some steps later


class SkipLoss(nn.Module):
    """The model with skip branches, its teacher, and how far they disagree, with fresh and with stale middle blocks."""

    def __init__(
        self, config: SkipConfig, teacher: PixArtAlphaPipeline, captions: list[str], runs: Trajectories, seed: int
    ):
        super().__init__()
        self.config, self.captions, self.runs, self.seed = config, captions, runs, seed
        self.student = with_skips(teacher.transformer).requires_grad_(True)
        self.teacher = [teacher]  # in a list: it is no part of the model

    def draw(self, step: int) -> Lesson:
        """The training examples of a step of the training."""
        rng, config, runs = step_rng(self.seed, step), self.config, self.runs
        count, steps = runs.timesteps.shape
        drawn = rng.choice(count, config.batch, replace=False)
        at = ((rng.permutation(config.batch) + rng.random(config.batch)) / config.batch * steps).astype(int)
        captions = [self.captions[row] for row in runs.rows[drawn]]
        with autocast(), torch.no_grad():
            given = encode(self.teacher[0], [*captions, *[""] * config.batch])
        later = {}
        for outer in config.outer:
            ages = rng.choice(len(config.ages), config.batch, p=config.ages) + 1
            later[outer] = self.shown(drawn, np.minimum(at + ages, steps - 1))
        return Lesson(given, self.shown(drawn, at), later)

    def shown(self, rows: np.ndarray, columns: np.ndarray) -> Shown:
        noisy = self.runs.latents[rows, columns].float().to(device()).repeat(2, 1, 1, 1)
        truth = self.runs.said[rows, columns].float().to(device()).transpose(0, 1).flatten(0, 1)
        return Shown(noisy, self.runs.timesteps[rows, columns].to(device()).repeat(2), truth)

    def forward(self, step: int) -> dict[str, torch.Tensor]:
        lesson = self.draw(step)
        middle = Middle(self.student)
        with autocast(), sdpa_kernel(SDPBackend.MATH):  # plain attention, as train.pixart says
            with middle.seen(*self.config.outer):
                fresh = self.error(lesson.full, lesson.given)
            stale = {}
            for outer, shown in lesson.later.items():
                with middle.stale(outer):
                    stale[outer] = self.error(shown, lesson.given)
        loss = self.config.fresh_weight * fresh + torch.stack(list(stale.values())).mean()
        return {"loss": loss, "fresh": fresh, **{f"stale{outer}": error for outer, error in stale.items()}}

    def error(self, shown: Shown, given: dict[str, torch.Tensor]) -> torch.Tensor:
        """Mean squared error of the velocities, and of what guidance makes of them."""
        off = self.student(shown.noisy, timestep=shown.timestep, **given).sample.float() - shown.truth
        spoken, silent = off.chunk(2)
        guided = silent + GUIDANCE * (spoken - silent)
        return off.square().mean() + self.config.guided_weight * guided.square().mean()


def train(model: SkipLoss, schedules: dict[str, Schedule], folder: Path, report=None) -> SkipPixArtTransformer2DModel:
    """The averaged student after both stages; a stage's schedule is found under its name."""
    for stage in STAGES:
        for name, parameter in model.student.named_parameters():
            parameter.requires_grad_(not stage.only or any(part in name for part in stage.only))
        made = optimizers(
            model.named_parameters(), stage.muon_lr, stage.adam_lr, model.config.not_muon, weight_decay=0.01
        )
        trainer = Trainer(model, made, folder / stage.name, schedules[stage.name])
        trainer.run(model, partial(_reported, report, trainer) if report else None)
        model.load_state_dict(trainer.average.state_dict())
        if trainer.schedule.progress(trainer.step, trainer.seconds) < 1:  # asked to stop
            break
    return model.student.eval()


def _reported(report: Callable[[Any], str], trainer: Trainer) -> str:
    return report(cast(SkipLoss, trainer.average).student)


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


def psnr(pictures: torch.Tensor, others: torch.Tensor) -> float:
    """Mean over pictures (b, 3, h, w) in -1..1, in dB."""
    return float((10 * torch.log10(4 / (pictures - others).square().flatten(1).mean(1))).mean())


def look(pipe: PixArtAlphaPipeline, captions: list[str], teachers: torch.Tensor) -> tuple[torch.Tensor, str]:
    """Pictures at full depth and with Skip-Cache, and how far each is from what it should be."""
    with autocast():
        full = generate(pipe, captions, seed=0)
    rows, words = [full], [f"full depth {psnr(full, teachers):.1f} dB from the teacher"]
    for n, b in SCHEDULES:
        policy = skip_cache(STEPS, len(pipe.transformer.transformer_blocks), n, b=b, full_until=1000, reset_at=20)
        with autocast(), apply_policy(pipe, policy):
            cached = generate(pipe, captions, seed=0)
        rows.append(cached)
        words.append(f"Skip-Cache n={n} b={b} {psnr(cached, full):.1f} dB from full depth")
    return torch.cat(rows), ", ".join(words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_schedule_arguments(parser, minutes=40)
    parser.add_argument("--folder", type=Path, default=Path("runs/skip"), help="checkpoints and sample sheets")
    parser.add_argument("--latents", type=Path, default=Path("runs/latents"), help="only their captions are used")
    parser.add_argument("--teacher", type=Path, default=Path("assets/models/scenes-pixart"))
    parser.add_argument("--target", type=Path, default=Path("assets/models/scenes-skip"))
    parser.add_argument("--batch", type=int, default=SkipConfig.batch)
    parser.add_argument("--runs", type=int, default=SkipConfig.runs, help="of the teacher, to learn from")
    parser.add_argument("--first", type=float, default=0.2, help="share of the training that belongs to the branches")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    teacher, config = load_teacher(args.teacher), SkipConfig(batch=args.batch, runs=args.runs)
    asked = [scene.caption() for scene in heldout_scenes(np.random.default_rng(1), 8)]
    with autocast():
        teachers = generate(teacher, asked, seed=0)

    def checkpoint(student: SkipPixArtTransformer2DModel) -> str:
        pipe = pipeline(student, teacher)
        pictures, words = look(pipe, asked, teachers)
        args.folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sheet(torch.cat([teachers, pictures]))).save(args.folder / "samples.png")
        publish(pipe, args.target, SKIP_FACTS)
        return f"wrote {args.target} and {args.folder / 'samples.png'}: {words}"

    captions = LatentSet.load(args.latents).captions
    if not (args.folder / "runs").exists():
        travel(teacher, captions, config.runs, GUIDANCE, STEPS, seed=args.seed).save(args.folder / "runs")
    shares = dict(zip((stage.name for stage in STAGES), (args.first, 1 - args.first), strict=True))
    schedules = {
        name: Schedule(
            steps=round(args.steps * share) if args.steps else None, minutes=args.minutes * share, warmup=20, flat=0.4,
            save_every=300, log_every=10, average=0.99,
        )
        for name, share in shares.items()
    }  # fmt: skip
    model = SkipLoss(config, teacher, captions, Trajectories.load(args.folder / "runs"), args.seed).to(device())
    print(checkpoint(train(model, schedules, args.folder, checkpoint)))


if __name__ == "__main__":
    main()
