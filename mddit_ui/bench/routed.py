"""Leaving out tokens, layers and steps at equal MACs: making pictures, and painting anew a part of them.

At the MACs of each target that a routed model has learned, it is compared with one ratio everywhere (Mixture-of-Depths
with the same weights), with merged tokens, with the tokens that were changed most, and with blocks left out on the
model that it was made from, with searched policies there, and with searched policies on top of its learned ratios. What
was measured is kept (see ``service.measure``): an interrupted run goes on.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mddit_ui.bench.merging import merging
from mddit_ui.bench.page import UNSEEN_SEED, figures, grid, put_section, speed
from mddit_ui.bench.subjects import Subject, of_model
from mddit_ui.bench.timing import interleaved, macs_of, speed_up
from mddit_ui.core.cost import MacTable
from mddit_ui.core.inpainting import Inpainting
from mddit_ui.core.paths import PROMPTS, ROOT
from mddit_ui.core.policy import Action, Policy
from mddit_ui.engine.hooks import apply_policy
from mddit_ui.models.loading import load
from mddit_ui.service import catalog
from mddit_ui.service.measure import PLAIN, Measurement, Trial, Way, measure
from mddit_ui.service.routed import learned, learned_policy

FULL = "full depth"
HEADS = ("task", "target", "model", "way", "budget", "speed-up", "accuracy", "CLIP score", "CMMD", "PSNR")
TASKS = ("text-to-image", "inpainting")
NEAR = 0.03  # budgets that count as equal


class Contestant(NamedTuple):
    """A way to save: the model, the target whose MACs it is to meet (0: none), its policy, and what else is done."""

    model: str
    name: str
    target: float
    policy: Policy | None
    way: Way = PLAIN


class Line(NamedTuple):
    """What a contestant came to; ``speedup`` of the transformer, measured."""

    task: str
    contestant: Contestant
    found: Measurement
    speedup: float | None


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="mddit bench routed", description=__doc__)
    parser.add_argument("--routed", default="scenes-routed", help="the model with token routers")
    parser.add_argument("--plain", default="scenes-pixart", help="the model that it was made from")
    parser.add_argument("--searched", type=Path, nargs="*", default=[], help="files of searched policies")
    parser.add_argument("--images", type=int, default=100, help="of the hold-out set; at most 64 are painted on")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--repaint", type=Path, default=PROMPTS / "repaint.npz", help="pictures to paint on")
    parser.add_argument("--time", type=int, default=0, help="rounds of timing; the machine must be quiet")
    parser.add_argument("--target", type=Path, default=ROOT / "docs" / "results.md")
    args = parser.parse_args(arguments)
    all_of = list(contestants(args))
    times = timed(all_of, args)
    lines = []
    for task in args.tasks:
        for each in all_of:
            lines.append(measured(task, each, times.get(each.model, {}).get(label(each)), args))
            print(*row(lines[-1]), sep=" | ", file=sys.stderr, flush=True)
    put_section(args.target, "routed", section(lines, args, " ".join(["mddit bench routed", *arguments])))
    return 0


def contestants(args: argparse.Namespace) -> Iterator[Contestant]:
    """Full depth of both models, then all ways at the MACs of each target."""
    view = catalog.describe(args.routed, args.steps)
    table, steps, sites = view.mac_table, len(view.timesteps), view.sites
    searched = [Policy.load(path).resample(timesteps=view.timesteps) for path in args.searched]
    yield Contestant(args.plain, FULL, 0, None)
    yield Contestant(args.routed, FULL, 0, None)
    ours = {target: learned_policy(args.routed, target, args.steps) for target in learned(args.routed).ratios}
    for target, policy in ours.items():
        budget = policy.budget(table)
        ratio = equal_ratio(table, steps, budget)
        uniform = Policy.full(steps, sites, keep=np.full((steps, len(sites)), ratio), timesteps=view.timesteps)
        yield Contestant(args.routed, "learned ratios", target, policy)
        yield Contestant(args.routed, f"one ratio, {ratio:.2f}", target, uniform)
        merge = Way(f"merging {ratio:.4f}", partial(merging, ratio=ratio))
        yield Contestant(args.plain, f"merged tokens, {ratio:.2f}", target, None, merge)
        changed = Way("residual-norm", tokens="residual-norm")
        yield Contestant(args.plain, f"tokens changed most, {ratio:.2f}", target, uniform, changed)
        yield Contestant(args.plain, "blocks left out", target, fewer_blocks(table, steps, budget))
        found = nearest(searched, table, budget)
        if found is not None:
            yield Contestant(args.plain, f"searched: {found.name}", target, found)
        both = nearest([replace(each, keep=other.keep) for each in searched for other in ours.values()], table, budget)
        if both is not None:
            yield Contestant(args.routed, f"ratios and searched: {both.name}", target, both)


def equal_ratio(table: MacTable, steps: int, budget: float) -> float:
    """The share of tokens that costs the budget if all cells keep it."""
    ones = np.ones((steps, len(table.sites)))
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        fits = table.budget(ones, ones * middle) <= budget
        low, high = (middle, high) if fits else (low, middle)
    return round(low, 4)


def fewer_blocks(table: MacTable, steps: int, budget: float) -> Policy:
    """Blocks left out in all steps, evenly spaced, never the first or the last: the most that the budget asks for."""
    count = len(table.sites)
    actions = np.full((steps, count), Action.COMPUTE, np.int8)
    for left_out in range(count - 1):
        actions[:] = Action.COMPUTE
        actions[:, np.linspace(0, count - 1, left_out + 2).round().astype(int)[1:-1]] = Action.SKIP
        if table.budget(actions) <= budget + NEAR / 2:
            break
    return Policy(actions, sites=table.sites, name="blocks left out")


def nearest(policies: Sequence[Policy], table: MacTable, budget: float) -> Policy | None:
    """The one whose MACs are equal; ``None`` if none is near."""
    near = [each for each in policies if abs(each.budget(table) - budget) <= NEAR]
    return min(near, key=lambda each: abs(each.budget(table) - budget), default=None)


def measured(task: str, each: Contestant, speedup: float | None, args: argparse.Namespace) -> Line:
    trial = trial_of(task, each.model, args)
    found = measure(trial, each.policy, way=each.way)
    if each.way is not PLAIN and each.policy is None:  # what it saves is in no policy: counted in a run
        subject = one_picture(each.model, args)
        full, _ = macs_of(subject, nullcontext)
        counted, _ = macs_of(subject, partial(put_on, each, subject))
        found = found.replace(macs=found.full_macs * counted / full)
    return Line(task, each, found, speedup)


def trial_of(task: str, model: str, args: argparse.Namespace) -> Trial:
    captions = tuple(json.loads((PROMPTS / "holdout.json").read_text())[: args.images])
    given = None
    if task == "inpainting":
        with np.load(args.repaint, allow_pickle=False) as tasks:
            captions = tuple(str(caption) for caption in tasks["captions"][: args.images])
            given = Inpainting(tasks["images"][: args.images], tasks["masks"][: args.images])
    return replace(Trial.of(model, captions, seed=UNSEEN_SEED, steps=args.steps), given=given)


def timed(all_of: Sequence[Contestant], args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """By model: how many times as fast as its full depth the transformer is, one picture at a time."""
    times: dict[str, dict[str, float]] = {}
    for model in (args.plain, args.routed) if args.time else ():
        subject = one_picture(model, args)
        ours = {label(each): partial(put_on, each, subject) for each in all_of if each.model == model}
        seconds = interleaved(subject, ours, args.time)
        full = label(Contestant(model, FULL, 0, None))
        times[model] = {name: speed_up(seconds, name, full).median for name in seconds}
    return times


def one_picture(model: str, args: argparse.Namespace) -> Subject:
    trial = trial_of("text-to-image", model, args)
    return of_model(load(model), next(replace(trial, prompts=trial.prompts[:1], seeds=trial.seeds[:1]).batches()))


@contextmanager
def put_on(each: Contestant, subject: Subject) -> Iterator[None]:
    """A contestant at work on a model."""
    applied: Callable[[], AbstractContextManager[Any]] = nullcontext
    if each.policy is not None:
        applied = partial(apply_policy, subject.target, each.policy, tokens=each.way.tokens)
    with each.way.around(subject.transformer), applied():
        yield


def label(each: Contestant) -> str:
    return f"{each.name} at {each.target:g}"


def row(line: Line) -> list[str]:
    each = line.contestant
    cells = {
        **figures(line.found),
        "task": line.task,
        "target": f"{each.target:g}" if each.target else "",
        "model": each.model,
        "way": each.name,
        "speed-up": speed(line.speedup),
    }
    return [cells[head] for head in HEADS]


def section(lines: Sequence[Line], args: argparse.Namespace, command: str) -> str:
    return "\n".join(
        [
            "## Tokens, layers and steps left out, at equal MACs",
            "",
            f"Made with `{command}`: {args.images} hold-out captions (inpainting: of the repaint set, at most "
            f"64), seeds {UNSEEN_SEED} and up, {args.steps} steps. Target: the mean share of the tokens that the "
            'routed model was taught; all ways under a target have about the MACs of its learned ratios. "One ratio" '
            "is Mixture-of-Depths with the weights of the routed model, which were not trained for that table. Merged "
            "tokens, tokens changed most and blocks left out are not trained for at all. Budget, speed-up (of the "
            "transformer, one picture) and PSNR (dB) are against the same model at full depth. CMMD is against real "
            "renders, lower is better.",
            "",
            *grid(HEADS, map(row, lines), words=4),
            "",
            *([] if args.searched else ["No searched policies were given (`--searched`)."]),
            *verdicts(lines),
        ]
    )


def verdicts(lines: Sequence[Line]) -> Iterator[str]:
    """What is to be shown, and whether it is: accuracy within 3 points of the teacher at 0.8, within 6 at 0.6."""
    teacher = lines[0]
    for line in lines:
        allowed = {0.8: 3, 0.6: 6}.get(line.contestant.target)
        if line.task != teacher.task or line.contestant.name != "learned ratios" or allowed is None:
            continue
        behind = 100 * ((teacher.found.accuracy or 0) - (line.found.accuracy or 0))
        yield (
            f"- target {line.contestant.target:g}: {behind:.1f} points of accuracy behind {teacher.contestant.model}, "
            f"{'within' if behind <= allowed else 'NOT within'} the {allowed} that were wanted."
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
