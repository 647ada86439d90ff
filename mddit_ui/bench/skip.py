"""Skip-Cache with and without long skip branches at equal cells.

One model has the branches, the other one is what it was made from. Both follow the same schedules: Skip-Cache, which
carries the output of the middle blocks; the same cells with residuals carried; every n-th step in full; and what
searches found on either of them. What was measured is kept (see ``service.measure``): an interrupted run goes on.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

from mddit_ui.bench.page import UNSEEN_SEED, figures, gain, grid, put_section, speed
from mddit_ui.bench.subjects import of_model
from mddit_ui.bench.timing import interleaved, speed_up
from mddit_ui.core.paths import PROMPTS, ROOT
from mddit_ui.core.policy import Policy
from mddit_ui.core.presets import every, skip_cache
from mddit_ui.engine.hooks import apply_policy
from mddit_ui.models.loading import load
from mddit_ui.service import catalog
from mddit_ui.service.measure import Measurement, Trial, measure

FULL = "full depth"
HEADS = ("model", "schedule", "budget", "MACs an image", "speed-up", "CLIP score", "gain", "accuracy", "CMMD", "PSNR")


class Line(NamedTuple):
    """One schedule on one model; ``speedup``: of the transformer, measured."""

    model: str
    schedule: str
    found: Measurement
    speedup: float | None


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="mddit bench skip", description=__doc__)
    parser.add_argument("--plain", default="scenes-pixart", help="the model without branches")
    parser.add_argument("--grown", default="scenes-skip", help="the model with them")
    parser.add_argument("--images", type=int, default=100, help="of the hold-out set")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--intervals", type=int, nargs="+", default=[2, 3, 4, 5, 6])
    parser.add_argument("--b", type=int, nargs="+", default=[2], help="outer pairs of blocks that always run")
    parser.add_argument("--searched", type=Path, nargs="*", default=[], help="files of policies searched on either")
    parser.add_argument("--full-until", type=float, default=1000, help="timestep; 1000 as in the paper's class models")
    parser.add_argument("--reset-at", type=float, default=20, help="timestep")
    parser.add_argument("--time", type=int, default=0, help="rounds of timing; the machine must be quiet")
    parser.add_argument("--section", default="skip", help="of the page: another name keeps this one's (default skip)")
    parser.add_argument("--target", type=Path, default=ROOT / "docs" / "results.md")
    args = parser.parse_args(arguments)
    lines: list[Line] = []
    for model in (args.grown, args.plain):
        for line in measured(model, args):
            print(*row(line, full_of(lines, line)), sep=" | ", file=sys.stderr, flush=True)
            lines.append(line)
    command = " ".join(["mddit bench skip", *arguments])
    put_section(args.target, args.section, section(lines, args, command))
    return 0


def measured(model: str, args: argparse.Namespace) -> Iterator[Line]:
    """Full depth first."""
    captions = tuple(json.loads((PROMPTS / "holdout.json").read_text())[: args.images])
    trial = Trial.of(model, captions, seed=UNSEEN_SEED, steps=args.steps)
    schedules = dict(schedules_of(model, args))
    times = timed(trial, schedules, args.time) if args.time else {}
    for name, policy in {FULL: None, **schedules}.items():
        yield Line(model, name, measure(trial, policy), times.get(name))


def schedules_of(model: str, args: argparse.Namespace) -> Iterator[tuple[str, Policy]]:
    """The same for both models."""
    view = catalog.describe(model, args.steps)
    steps = len(view.timesteps)
    for b, n in product(args.b, args.intervals):
        policy = skip_cache(
            steps, view.sites, n, b=b, full_until=args.full_until, reset_at=args.reset_at, timesteps=view.timesteps
        )
        yield f"Skip-Cache {n}, b = {b}", policy
        yield f"the same cells {n}, b = {b}, residuals", replace(policy, carry="residual")
    for n in args.intervals[:2]:
        yield f"every {n}", every(steps, view.sites, n)
    for policy in map(Policy.load, args.searched):
        yield f"{policy.name} on {policy.model}, {policy.carry}", policy.resample(timesteps=view.timesteps)


def timed(trial: Trial, schedules: dict[str, Policy], rounds: int) -> dict[str, float]:
    """How many times as fast as full depth the transformer is, one picture at a time."""
    one = Trial(trial.model, trial.prompts[:1], trial.seeds[:1], trial.steps, trial.guidance_scale)
    subject = of_model(load(trial.model), next(one.batches()))
    arrangements = {name: partial(apply_policy, subject.target, policy) for name, policy in schedules.items()}
    seconds = interleaved(subject, {FULL: nullcontext, **arrangements}, rounds)
    return {name: speed_up(seconds, name, FULL).median for name in seconds}


def full_of(lines: Sequence[Line], line: Line) -> Measurement:
    """Full depth of the same model."""
    return next((each.found for each in lines if (each.model, each.schedule) == (line.model, FULL)), line.found)


def row(line: Line, full: Measurement) -> list[str]:
    cells = {
        **figures(line.found),
        "model": line.model,
        "schedule": line.schedule,
        "speed-up": speed(line.speedup),
        "gain": "" if line.found is full else "{:+.2f} ± {:.2f}".format(*gain(line.found, full)),
    }
    return [cells[head] for head in HEADS]


def section(lines: Sequence[Line], args: argparse.Namespace, command: str) -> str:
    return "\n".join(
        [
            "## Skip-Cache with and without long skip branches",
            "",
            f"Made with `{command}`: {args.images} pictures of the hold-out captions, seeds {UNSEEN_SEED} and up, "
            f"{args.steps} steps; Skip-Cache is full until t = {args.full_until:g}, "
            f"reset at t = {args.reset_at:g}. MACs are those of a picture. Gain (in CLIP score), PSNR (dB), budget and "
            "speed-up (of the transformer, one picture) are against the same model at full depth. CMMD is against real "
            "renders, lower is better.",
            "",
            *grid(HEADS, (row(line, full_of(lines, line)) for line in lines), words=2),
            "",
            *verdicts(lines),
        ]
    )


def verdicts(lines: Sequence[Line]) -> Iterator[str]:
    """What is to be shown, and whether it is: no loss at 1.5 times, a small one at 2.2 times, smaller with branches."""
    grown = lines[0].model
    for wanted, kind in product((1.5, 2.2), ("Skip-Cache", "searched")):
        fast = [each for each in lines if each.schedule.startswith(kind) and (each.speedup or 0) >= wanted]
        ours = [each for each in fast if each.model == grown]
        if not ours:
            yield f"- {wanted:g} times, {kind}: no schedule was measured to be that fast."
            continue
        best = max(ours, key=lambda each: each.found.psnr or 0)
        loss, error = gain(best.found, full_of(lines, best))
        score = best.found.clip_error or 0.0
        yield (
            f"- {wanted:g} times, {best.schedule} ({best.speedup:.2f} measured): CLIP score {loss:+.3f} ± {error:.3f}, "
            f"PSNR {best.found.psnr:.2f} dB; {without_branches(lines, best)}. "
            f"{'Within' if loss >= -error else 'NOT within'} the paired standard error; "
            f"{'within' if loss >= -score else 'NOT within'} that of the score itself, {score:.2f}."
        )


def without_branches(lines: Sequence[Line], line: Line) -> str:
    """The same schedule on the model without them, where it was measured."""
    for each in lines:
        if each.model != line.model and each.schedule == line.schedule:
            loss, error = gain(each.found, full_of(lines, each))
            return f"without branches {loss:+.3f} ± {error:.3f}, {each.found.psnr:.2f} dB"
    return "not measured without branches"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
