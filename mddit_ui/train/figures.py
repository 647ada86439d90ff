"""The figures of `scenes-lcm`, `scenes-routed` and `scenes-dit`: what `train.report` prints and puts on their cards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import DiffusionPipeline, DiTPipeline, PixArtAlphaPipeline

from mddit_ui.core.presets import skip_cache
from mddit_ui.engine.hooks import apply_policy
from mddit_ui.metrics.clip import ClipScorer
from mddit_ui.models.routed_dit import use_target
from mddit_ui.service.catalog import describe
from mddit_ui.service.routed import learned_policy
from mddit_ui.train import dit
from mddit_ui.train.captions import class_scenes, heldout_scenes
from mddit_ui.train.judge import Judge, choices, verdict
from mddit_ui.train.lcm import lcm_scheduler
from mddit_ui.train.publish import STEPS, generate
from mddit_ui.train.routed import ratio_lines
from mddit_ui.train.scenes import render
from mddit_ui.train.skip import psnr
from mddit_ui.train.vae import heldout_pictures

SEED = 2026
LCM_STEPS = (1, 2, 4, 8)
SKIP_CACHES = ((2, 2), (4, 1))  # n and b: about 1.5 and 2.5 times as fast
DIT_STEPS = (20,)


def lcm_figures(models: Path, captions: int, dtype: torch.dtype) -> tuple[list[str], torch.Tensor]:
    """The student at each number of steps, beside its teacher; and the student's pictures at 4 steps."""
    judge = Judge.load(models / "scenes-clip")
    asked = [scene.caption() for scene in heldout_scenes(np.random.default_rng(SEED), captions)]
    options = choices(asked, SEED)
    rendered = edges(heldout_pictures(captions, SEED))
    teacher = _load(PixArtAlphaPipeline, models / "scenes-pixart", dtype)
    lines, shown = [], torch.empty(0)

    def told(what: str, pictures: torch.Tensor) -> None:
        scores = judge.scores(pictures, options)
        right, mistakes = verdict(scores, options)
        lines.append(
            f"{what}: true caption first among 15 hard negatives {right:.1%} ({captions} captions; mistaken: "
            f"{mistakes}), CLIP score {100 * scores[:, 0].mean():.1f}, edges {edges(pictures) / rendered:.2f}"
        )

    student = _load(PixArtAlphaPipeline, models / "scenes-lcm", dtype)
    for steps in LCM_STEPS:
        pictures = generate(student, asked, SEED, num_inference_steps=steps, guidance_scale=0.0)
        told(f"{steps} step{'s' * (steps > 1)}", pictures)
        shown = pictures if steps == 4 else shown
    teacher.scheduler = lcm_scheduler()
    for steps in (1, 4):
        pictures = generate(teacher, asked, SEED, num_inference_steps=steps, guidance_scale=0.0)
        told(f"Teacher with the same sampler, undistilled, {steps} step{'s' * (steps > 1)}", pictures)
    return lines, shown


def skip_figures(models: Path, captions: int, dtype: torch.dtype) -> tuple[list[str], torch.Tensor]:
    """The model with skip branches in full and under Skip-Cache, beside its teacher under the same; a row each."""
    judge = Judge.load(models / "scenes-clip")
    asked = [scene.caption() for scene in heldout_scenes(np.random.default_rng(SEED), captions)]
    options = choices(asked, SEED)
    lines, rows = [], []

    def told(what: str, pictures: torch.Tensor, full: torch.Tensor | None = None) -> None:
        scores = judge.scores(pictures, options)
        right, mistakes = verdict(scores, options)
        near = "" if full is None else f", {psnr(pictures, full):.1f} dB from the same model at full depth"
        lines.append(
            f"{what}: true caption first among 15 hard negatives {right:.1%} ({captions} captions; mistaken: "
            f"{mistakes}), CLIP score {100 * scores[:, 0].mean():.1f}{near}"
        )
        rows.append(pictures[:8])

    for title, name in (("Teacher", "scenes-pixart"), ("With skip branches", "scenes-skip")):
        pipe = _load(PixArtAlphaPipeline, models / name, dtype)
        full = generate(pipe, asked, SEED)
        told(f"{title}, full depth", full)
        for n, b in SKIP_CACHES:
            policy = skip_cache(STEPS, len(pipe.transformer.transformer_blocks), n, b=b, full_until=1000, reset_at=20)
            with apply_policy(pipe, policy):
                told(f"{title}, Skip-Cache n = {n}, b = {b}", generate(pipe, asked, SEED), full)
    return lines, torch.cat(rows)


def routed_figures(models: Path, captions: int, dtype: torch.dtype) -> tuple[list[str], torch.Tensor]:
    """The routed model with all tokens and at each of its targets, beside its teacher; its pictures, a row each."""
    judge = Judge.load(models / "scenes-clip")
    asked = [scene.caption() for scene in heldout_scenes(np.random.default_rng(SEED), captions)]
    options = choices(asked, SEED)
    folder = str(models / "scenes-routed")
    lines, rows = [], []

    def told(what: str, pictures: torch.Tensor) -> None:
        scores = judge.scores(pictures, options)
        right, mistakes = verdict(scores, options)
        lines.append(
            f"{what}: true caption first among 15 hard negatives {right:.1%} ({captions} captions; mistaken: "
            f"{mistakes}), CLIP score {100 * scores[:, 0].mean():.1f}"
        )
        rows.append(pictures[:8])

    told("Teacher", generate(_load(PixArtAlphaPipeline, models / "scenes-pixart", dtype), asked, SEED))
    student = _load(PixArtAlphaPipeline, models / "scenes-routed", dtype)
    told("All tokens", generate(student, asked, SEED))
    for target in student.transformer.config.targets:
        policy = learned_policy(folder, target)
        use_target(student.transformer, target)
        share = policy.budget(describe(folder, policy.steps).mac_table)
        told(f"Target {target:g}, {share:.1%} of the MACs", generate(student, asked, SEED))
    lines += ratio_lines(student.transformer).splitlines()
    return [line.strip() for line in lines], torch.cat(rows)


@torch.inference_mode()
def dit_figures(models: Path, pictures: int, dtype: torch.dtype) -> tuple[list[str], torch.Tensor]:
    """How many pictures show their class, by the CLIP, all classes equally often."""
    judge = Judge.load(models / "scenes-clip")
    captions = [scene.caption() for scene in class_scenes()]
    labels = [number % len(captions) for number in range(max(pictures // len(captions), 1) * len(captions))]
    pipe = _load(DiTPipeline, models / "scenes-dit", dtype)
    read = judge.model.encode_text(judge.tokenize(captions), normalize=True)  # (48, d)
    lines, shown = [], torch.empty(0)
    for steps in DIT_STEPS:
        made = dit.generate(pipe, labels, SEED, num_inference_steps=steps)
        scores = torch.cat([judge.model.encode_image(part, normalize=True) for part in made.split(50)]) @ read.T
        right = float((scores.argmax(1) == torch.tensor(labels)).float().mean())
        own = 100 * float(scores[torch.arange(len(labels)), labels].mean())
        lines.append(
            f"{steps} steps, guidance {dit.GUIDANCE}: class right {right:.1%} (own caption first among those of all "
            f"{len(captions)} classes, {len(labels)} pictures), CLIP score {own:.1f}"
        )
        shown = made if steps == DIT_STEPS[0] else shown
    return lines, shown


def write_real(models: Path, count: int = 500) -> None:
    """Beside each model, the CLIP's embeddings of real pictures of what it is asked for: CMMD compares with them."""
    scorer = ClipScorer.load(str(models / "scenes-clip"))
    by_caption = heldout_scenes(np.random.default_rng(SEED), count)
    by_class = [scene for scene in class_scenes() for _ in range(count // 48)]
    by_model = {
        "scenes-pixart": by_caption, "scenes-lcm": by_caption, "scenes-skip": by_caption, "scenes-routed": by_caption,
        "scenes-dit": by_class,
    }  # fmt: skip
    for name, scenes in by_model.items():
        if (models / name).is_dir():
            drawn = np.stack([render(scene, SEED + number) for number, scene in enumerate(scenes)])
            np.save(models / name / "real.npy", scorer.embed_images(drawn).astype(np.float16))


def edges(pictures: torch.Tensor) -> float:
    """Mean squared difference of neighbouring pixels of (b, 3, h, w): blurred pictures have less."""
    down, right = pictures.diff(dim=2), pictures.diff(dim=3)
    return float(down.square().mean() + right.square().mean())


def _load(kind: type[DiffusionPipeline], folder: Path, dtype: torch.dtype):
    pipe = kind.from_pretrained(folder, dtype=dtype)
    pipe.set_progress_bar_config(disable=True)
    return pipe
