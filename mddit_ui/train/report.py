"""Measures the published demo models on scenes never trained on: `python -m mddit_ui.train.report`.

Three figures: the PSNR of the VAE, how often the CLIP finds the caption of a rendered scene among 15 captions wrong in
one attribute, and how often it does so for generated pictures. Then how long loading and one picture take. All models
are read from `assets/models` as any user would read them. Writes the sheet of samples and the model cards.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import PixArtAlphaPipeline
from PIL import Image

from mddit_ui.train.captions import heldout_scenes
from mddit_ui.train.cards import clip_card, dit_card, lcm_card, pixart_card, routed_card, skip_card
from mddit_ui.train.figures import SEED, dit_figures, lcm_figures, routed_figures, skip_figures, write_real
from mddit_ui.train.judge import Judge, choices, verdict
from mddit_ui.train.publish import GUIDANCE, STEPS, generate, sheet
from mddit_ui.train.vae import heldout_pictures, psnr

SHEET = 64
MODELS = (
    "scenes-pixart",
    "scenes-lcm",
    "scenes-skip",
    "scenes-routed",
    "scenes-dit",
)  # scenes-clip is measured with the first


@dataclass(frozen=True)
class Report:
    """What the model cards state; bars from the project's plan."""

    vae_psnr_db: float  # mean over `vae_scenes`; at least 35
    vae_scenes: int
    clip_right: float  # share of `clip_scenes`; at least 0.97
    clip_scenes: int
    clip_mistakes: dict[str, int]  # by attribute
    clip_margin: float  # mean cosine of the true caption less that of the best wrong one
    pictures_right: float  # share of `pictures`; at least 0.85
    pictures: int
    pictures_mistakes: dict[str, int]
    pictures_clip_score: float  # 100 x mean cosine of picture and caption
    rendered_clip_score: float  # the same of rendered scenes: what a perfect generator would get
    steps: int
    guidance_scale: float
    load_seconds: float  # the pipeline, after imports
    picture_seconds: dict[str, float]  # one picture, guidance on, by dtype
    threads: int

    def lines(self) -> list[str]:
        seconds = ", ".join(f"{value:.2f} s in {name}" for name, value in self.picture_seconds.items())
        return [
            f"VAE reconstruction: {self.vae_psnr_db:.2f} dB PSNR ({self.vae_scenes} held-out scenes)",
            f"CLIP, rendered scene: true caption first among 15 hard negatives {self.clip_right:.1%} "
            f"({self.clip_scenes} scenes; mistaken: {self.clip_mistakes})",
            f"CLIP, generated picture: true caption first among 15 hard negatives {self.pictures_right:.1%} "
            f"({self.pictures} captions, {self.steps} steps, guidance {self.guidance_scale}; "
            f"mistaken: {self.pictures_mistakes})",
            f"CLIP score: {self.pictures_clip_score:.1f} generated, {self.rendered_clip_score:.1f} rendered "
            f"(mean margin to the best wrong caption {self.clip_margin:.3f})",
            f"Loading the pipeline: {self.load_seconds:.2f} s; one picture: {seconds} ({self.threads} threads)",
        ]


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def load_pipeline(folder: Path, dtype: torch.dtype = torch.float32) -> PixArtAlphaPipeline:
    pipe = PixArtAlphaPipeline.from_pretrained(folder, dtype=dtype)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def measure(models: Path, scenes: int, captions: int, dtype: torch.dtype) -> tuple[Report, torch.Tensor]:
    """The figures, and the generated pictures (captions, 3, 128, 128) in -1..1."""
    folder = models / "scenes-pixart"
    load_seconds = timed(lambda: load_pipeline(folder))
    seconds = {}
    for kind in (torch.float32, torch.bfloat16):
        pipe = load_pipeline(folder, kind)
        generate(pipe, ["a large red heart at the top left on a teal background"], SEED)  # warm
        seconds[str(kind).removeprefix("torch.")] = min(
            timed(partial(generate, pipe, ["a small blue ring in the center on a cream background"], SEED))
            for _ in range(3)
        )
    judge = Judge.load(models / "scenes-clip")

    rendered = heldout_pictures(scenes, SEED)
    truths = [scene.caption() for scene in heldout_scenes(np.random.default_rng(SEED), scenes)]
    options = choices(truths, SEED)
    scores = judge.scores(rendered, options)
    clip_right, clip_mistakes = verdict(scores, options)

    asked, asked_options = truths[:captions], options[:captions]
    pictures = generate(load_pipeline(folder, dtype), asked, SEED)
    made = judge.scores(pictures, asked_options)
    right, mistakes = verdict(made, asked_options)
    few = min(500, scenes)
    report = Report(
        vae_psnr_db=psnr(load_pipeline(folder).vae, rendered[:few]),
        vae_scenes=few,
        clip_right=clip_right,
        clip_scenes=scenes,
        clip_mistakes=clip_mistakes,
        clip_margin=float((scores[:, 0] - scores[:, 1:].amax(1)).mean()),
        pictures_right=right,
        pictures=captions,
        pictures_mistakes=mistakes,
        pictures_clip_score=100 * float(made[:, 0].mean()),
        rendered_clip_score=100 * float(scores[:, 0].mean()),
        steps=STEPS,
        guidance_scale=GUIDANCE,
        load_seconds=load_seconds,
        picture_seconds=seconds,
        threads=torch.get_num_threads(),
    )
    return report, pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("assets/models"))
    parser.add_argument("--only", choices=MODELS, nargs="+", default=MODELS, help="of these models (default: all)")
    parser.add_argument("--scenes", type=int, default=1000, help="rendered scenes to judge")
    parser.add_argument("--captions", type=int, default=500, help="pictures to generate and judge")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="bfloat16", help="of generating")
    parser.add_argument("--json", type=Path, help="also write the figures of scenes-pixart here")
    parser.add_argument("--cards", action="store_true", help="write README.md and samples.png into the model folders")
    args = parser.parse_args()
    dtype = getattr(torch, args.dtype)
    if "scenes-pixart" in args.only:
        report, pictures = measure(args.models, args.scenes, args.captions, dtype)
        print("\n".join(report.lines()))
        if args.json:
            args.json.write_text(json.dumps(asdict(report), indent=2) + "\n")
        if args.cards:
            write_card(args.models / "scenes-pixart", pixart_card(report.lines()), pictures)
            (args.models / "scenes-clip" / "README.md").write_text(clip_card(report.lines()))
    for name, figures, card in (
        ("scenes-lcm", lcm_figures, lcm_card),
        ("scenes-skip", skip_figures, skip_card),
        ("scenes-routed", routed_figures, routed_card),
        ("scenes-dit", dit_figures, dit_card),
    ):
        if name in args.only and (args.models / name).is_dir():
            lines, pictures = figures(args.models, args.captions, dtype)
            print("\n".join(lines))
            if args.cards:
                write_card(args.models / name, card(lines), pictures)
    if args.cards:
        write_real(args.models)


def write_card(folder: Path, text: str, pictures: torch.Tensor) -> None:
    Image.fromarray(sheet(pictures[:SHEET])).save(folder / "samples.png", optimize=True)
    (folder / "README.md").write_text(text)


if __name__ == "__main__":
    main()
