"""Teaches `scenes-pixart` which tokens to leave out, and how many: `python -m mddit_ui.train.routed`.

DiffRatio-MoD (You et al. 2024, DiffCR, arXiv 2412.16822): every block has a router, and a ratio of tokens that it keeps
for each region of timesteps. One set of weights serves all targets; each batch is drawn for one of them, and every
target has its own table of ratios (docs/decisions/0008). The run has three parts:

1. routers, seconds: in closed form, each router says how much its block changes a token.
2. "ratios": weights, routers and ratios together. A block runs at the two bins around its ratio, and they are mixed.
   Loss: distance to the teacher's velocity, plus a share of the distance to the true one, plus the distance of the
   mean ratio (weighted by MACs) to the target. Ratios start at 1.
3. "bins": every ratio is rounded to a bin, so that the mean meets the target, and what inference will run is trained:
   one bin, at about half the cost of a step.

Lines show the losses and `r0.6`, the mean ratio of a target; a checkpoint prints each target's ratios by region (from
noise to picture) and by block, writes the model to `--target` and a sheet of samples (a row each: teacher, all tokens,
the targets) to `--folder`. Started again with the same folder, it goes on where it was.

    python -m mddit_ui.train.routed --threads 1 --minutes 60 --teacher assets/models/scenes-pixart \\
        --latents runs/latents --folder runs/routed --target assets/models/scenes-routed
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import PixArtAlphaPipeline
from PIL import Image
from torch import nn

from mddit_ui.core.tokens import BINS, TIMESTEPS, nearest_bin
from mddit_ui.models.routed_dit import learned_keep, use_target
from mddit_ui.train.captions import heldout_scenes
from mddit_ui.train.latents import LatentSet
from mddit_ui.train.loop import Schedule, Trainer, add_schedule_arguments, autocast, device
from mddit_ui.train.optim import optimizers
from mddit_ui.train.publish import ROUTED_FACTS, generate, publish, sheet
from mddit_ui.train.routed_loss import RoutedConfig, RoutedLoss
from mddit_ui.train.skip import load_teacher, pipeline

STAGES = ("ratios", "bins")


@torch.no_grad()
def solve_routers(model: RoutedLoss, batches: int, spread: float = 0.5, ridge: float = 1e-3) -> list[float]:
    """Each router in closed form: ridge regression of how much its block changes a token, among those of a picture.

    Args:
        spread: standard deviation of the scores of a picture afterwards.

    Returns:
        For each block, the share of that variance which the router explains.
    """
    student = model.student
    use_target(student, None)
    blocks = student.transformer_blocks
    dim = blocks[0].dim
    grams = torch.zeros(len(blocks), dim, dim, dtype=torch.float64, device=device())
    crosses = torch.zeros(len(blocks), dim, dtype=torch.float64, device=device())
    counts = torch.zeros(len(blocks), dtype=torch.float64, device=device())

    def see(index: int, block: nn.Module, args: tuple, output: torch.Tensor) -> None:
        states = args[0].float()
        normed = F.layer_norm(states, states.shape[-1:])
        change = (output.float() - states).norm(dim=-1)  # (b, n)
        seen = (normed - normed.mean(1, keepdim=True)).flatten(0, 1).double()  # (b n, d)
        wanted = ((change - change.mean(1, keepdim=True)) / (change.std(1, keepdim=True) + 1e-6)).flatten().double()
        grams[index] += seen.T @ seen
        crosses[index] += seen.T @ wanted
        counts[index] += len(wanted)

    handles = [block.register_forward_hook(partial(see, index)) for index, block in enumerate(blocks)]
    for step in range(batches):
        drawn = model.draw(step)
        with autocast():
            student(drawn.noisy, timestep=drawn.timesteps, **drawn.given)
    for handle in handles:
        handle.remove()
    explained = []
    for block, gram, cross, count in zip(blocks, grams, crosses, counts, strict=True):
        identity = torch.eye(dim, dtype=gram.dtype, device=gram.device)
        solution = torch.linalg.solve(gram + ridge * gram.diagonal().mean() * identity, cross)
        variance = solution @ gram @ solution / count
        explained.append(float((2 * solution @ cross - solution @ gram @ solution) / count))
        block.router.weight.copy_((solution * spread / variance.sqrt().clamp(min=1e-9))[None])
    return explained


@torch.no_grad()
def settle(model: RoutedLoss) -> None:
    """Round every ratio to a bin; one shift for all of a target, so that their mean comes nearest to it."""
    ratios = model.student.ratios
    round_ = np.vectorize(nearest_bin)
    for row, target in enumerate(model.config.targets):
        learned = ratios[row].double().cpu().numpy()  # (blocks, regions)
        weights = model.shares.double().cpu().numpy()[:, None] / learned.shape[1]
        shifts = sorted(np.linspace(-0.7, 0.7, 1401), key=abs)
        tables = (round_(np.clip(learned + shift, BINS[-1], BINS[0])) for shift in shifts)
        best = min(tables, key=lambda table: abs((table * weights).sum() - target))
        ratios[row] = torch.from_numpy(best).to(ratios)


def train(
    config: RoutedConfig, schedules: dict[str, Schedule], folder: Path, teacher: PixArtAlphaPipeline, data: LatentSet,
    seed: int = 0, report: Callable[[Any], str] | None = None,
) -> Any:  # fmt: skip
    """The averaged student after both stages; a stage's schedule is found under its name."""
    torch.manual_seed(seed)
    model = RoutedLoss(config, teacher, data, seed).to(device())
    explained = solve_routers(model, batches=4)
    print(f"routers explain {min(explained):.0%} to {max(explained):.0%} of what blocks change", flush=True)
    for stage in STAGES:
        if stage == "bins":
            settle(model)
            model.student.ratios.requires_grad_(False)
        trainer = Trainer(model, made_optimizers(model, config), folder / stage, schedules[stage])
        trainer.run(model, partial(_reported, report, trainer) if report else None)
        if trainer.schedule.progress(trainer.step, trainer.seconds) < 1:  # asked to stop
            break
        model.load_state_dict(trainer.average.state_dict())
    return trainer.average.student


def _reported(report: Callable[[Any], str], trainer: Trainer) -> str:
    return report(trainer.average.student)


def made_optimizers(model: RoutedLoss, config: RoutedConfig) -> list[torch.optim.Optimizer]:
    """Muon and AdamW for what the teacher has too; routers and ratios at rates of their own."""
    rates = {"router": config.router_lr, "ratios": config.ratio_lr}
    named = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
    theirs = [(name, value) for name, value in named if not any(part in name for part in rates)]
    made = optimizers(theirs, config.muon_lr, config.adam_lr, config.not_muon, weight_decay=0.01)
    for part, rate in rates.items():
        ours = [value for name, value in named if part in name]
        if ours:
            made.append(torch.optim.AdamW(ours, rate, betas=(0.9, 0.98), weight_decay=0.0, foreach=True))
            made[-1].param_groups[0]["peak_lr"] = rate
    return made


def ratio_lines(student: Any) -> str:
    """What each target keeps, by region and by block."""
    lines = []
    config = student.config
    middles = (np.arange(config.regions)[::-1] + 0.5) * TIMESTEPS / config.regions
    for target in config.targets:
        keep = learned_keep(student, middles.tolist(), target)  # (regions, blocks)
        by_region, by_block = (" ".join(f"{mean:.2f}" for mean in keep.mean(axis)) for axis in (1, 0))
        lines.append(f"  target {target}: keeps {keep.mean():.3f}; by region {by_region}; by block {by_block}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_schedule_arguments(parser, minutes=60)
    parser.add_argument("--folder", type=Path, default=Path("runs/routed"), help="checkpoints and sample sheets")
    parser.add_argument("--latents", type=Path, default=Path("runs/latents"))
    parser.add_argument("--teacher", type=Path, default=Path("assets/models/scenes-pixart"))
    parser.add_argument("--target", type=Path, default=Path("assets/models/scenes-routed"), help="folder of the model")
    parser.add_argument("--batch", type=int, default=RoutedConfig.batch, help="pictures of each region in a step")
    parser.add_argument("--first", type=float, default=0.4, help="share of the run in which the ratios are learned")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    teacher = load_teacher(args.teacher)
    captions = [scene.caption() for scene in heldout_scenes(np.random.default_rng(1), 8)]

    def checkpoint(student: Any) -> str:
        pipe = pipeline(student, teacher)
        rows = [generate(teacher, captions, seed=0)]
        for target in (None, *student.config.targets):
            use_target(student, target)
            with autocast():
                rows.append(generate(pipe, captions, seed=0))
        use_target(student, None)  # with no policy, all tokens
        args.folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sheet(torch.cat(rows))).save(args.folder / "samples.png")
        publish(pipe, args.target, ROUTED_FACTS)
        return f"{ratio_lines(student)}\nwrote {args.target} and {args.folder / 'samples.png'}"

    shares = dict(zip(STAGES, (args.first, 1 - args.first), strict=True))
    schedules = {
        name: Schedule(
            steps=round(args.steps * share) if args.steps else None, minutes=args.minutes * share, warmup=20, flat=0.4,
            save_every=600, log_every=20, average=0.98,
        )
        for name, share in shares.items()
    }  # fmt: skip
    data = LatentSet.load(args.latents)
    config = RoutedConfig(batch=args.batch)
    print(checkpoint(train(config, schedules, args.folder, teacher, data, args.seed, checkpoint)), flush=True)


if __name__ == "__main__":
    main()
