"""Table: what the presets cost and how close they stay to full depth."""

import json
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mddit_ui.core.paths import PROMPTS
from mddit_ui.core.policy import Policy
from mddit_ui.core.presets import PRESETS
from mddit_ui.core.records import GenerationConfig, RunResult, Score
from mddit_ui.service import catalog
from mddit_ui.service import generate as service

INTERVALS = (2, 3, 4)


class Line(NamedTuple):
    """One policy: MACs and seconds in the transformer for all images, and the score against full depth."""

    name: str
    budget: float
    seconds: float
    score: Score


def measure(model_id: str, prompts: Sequence[str], steps: int) -> Iterator[Line]:
    """Full depth first, then every preset at every interval; seeds 0, 1, 2, ... for the prompts."""
    view = catalog.describe(model_id, steps)
    spec = view.spec
    config = GenerationConfig(
        prompts=tuple(prompts),
        seeds=tuple(range(len(prompts))),
        steps=steps,
        guidance_scale=spec.guidance_scale,
        height=spec.height,
        width=spec.width,
    )
    service.generate(spec.id, None, config.replace(prompts=config.prompts[:1], seeds=(0,)))  # nothing is timed cold
    reference = service.generate(spec.id, None, config)

    def line(name: str, result: RunResult) -> Line:
        score = service.score(spec.id, result, config, reference=reference)
        return Line(name, result.macs / result.full_macs, result.transformer_seconds, score)

    yield line("full depth", reference)
    for policy in policies(len(view.timesteps), view.sites):
        yield line(policy.name, service.generate(spec.id, policy, config))


def policies(steps: int, sites: Sequence[str]) -> list[Policy]:
    """Every preset at every interval."""
    return [PRESETS[name](steps, sites, n=n) for name in PRESETS if name != "full" for n in INTERVALS]


def markdown(lines: Sequence[Line]) -> list[str]:
    """The table of docs/results.md."""
    full = lines[0].seconds
    backbone = lines[0].score.clip_backbone or "none"
    head = ["policy", "budget", "speed-up", f"CLIP score ({backbone})", "PSNR dB", "SSIM"]
    rows = [head, ["---"] + ["---:"] * 5]
    for name, budget, seconds, score in lines:
        clip = "-" if score.clip_score is None else f"{score.clip_score:.2f}"
        same = name == lines[0].name
        closeness = ["-", "-"] if same else [f"{score.psnr:.2f}", f"{score.ssim:.4f}"]
        rows.append([name, f"{budget:.3f}", f"{full / seconds:.2f}", clip, *closeness])
    return [f"| {' | '.join(row)} |" for row in rows]


def main(arguments: list[str]) -> int:
    parser = ArgumentParser("mddit bench presets", description=__doc__)
    parser.add_argument("--model", default="scenes-pixart", help="id, hub id or folder (default scenes-pixart)")
    parser.add_argument("--images", type=int, default=16, help="prompts of the holdout set (default 16)")
    parser.add_argument("--steps", type=int, default=20, help="inference steps (default 20)")
    args = parser.parse_args(arguments)
    prompts = json.loads((PROMPTS / "holdout.json").read_text())[: args.images]
    print(*markdown(list(measure(args.model, prompts, args.steps))), sep="\n")
    return 0
