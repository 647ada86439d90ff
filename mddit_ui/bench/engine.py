"""Table: what the engine itself costs, how much of the speed-up that MACs promise it delivers; other caches beside it.

``mddit bench engine`` prints it as Markdown. Each row is timed inside the transformer in turn with the untouched model;
the median of the ratios counts, with its standard error. What MACs promise includes the parts of the transformer that
no policy can save.
"""

import statistics
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch

from mddit_ui.bench import peers
from mddit_ui.bench.subjects import SHAPES, Subject, of_model, of_shape
from mddit_ui.bench.timing import Arrangement, Spread, interleaved, speed_up
from mddit_ui.core.cost import MacTable
from mddit_ui.core.plan import plan
from mddit_ui.core.policy import Action, Policy, repair
from mddit_ui.core.records import GenerationConfig, ModelSpec
from mddit_ui.engine import cachedit
from mddit_ui.engine.acting import Hook
from mddit_ui.engine.hooks import AppliedPolicy, attach
from mddit_ui.engine.probe import ProbeHook, Seen
from mddit_ui.engine.run import Run
from mddit_ui.models.loading import LoadedModel, load, pick_device

BUDGETS = (0.8, 0.6, 0.41, 0.3)
UNTOUCHED, AGAIN = "untouched", "untouched, once more"
FINER = 8  # rounds for one of the other rows, where 1% is to be seen
AGES = 4  # of the probe, as ``engine.probe`` has it


class Line(NamedTuple):
    """One policy: how fast it is, and bytes of residuals at the most."""

    name: str
    budget: float
    speed_up: Spread
    naive_bytes: int  # every site's residual kept to the end
    planned_bytes: int
    measured_bytes: int


class Timing(NamedTuple):
    """All policies on one subject."""

    seconds: float  # of the untouched model, one run, in the transformer
    lines: list[Line]
    probe: Spread  # its speed-up, below 1
    noise: Spread  # of the untouched model over itself


def measure(subject: Subject, rounds: int) -> Timing:
    """Full depth under a policy, then whole steps and scattered cells by budget."""
    table, steps = subject.table, subject.steps
    policies = {"all computed": Policy.full(steps, table.sites)}
    for budget in BUDGETS:
        policies[f"whole steps, {budget:.0%}"] = whole_steps(table, steps, budget)
        policies[f"scattered, {budget:.0%}"] = scattered(table, steps, budget)
    applied: dict[str, AppliedPolicy] = {}

    def under(name: str) -> Arrangement:
        def arrange() -> AppliedPolicy:
            applied[name] = attach(subject.target, policies[name])
            return applied[name]

        return arrange

    arrangements: dict[str, Arrangement] = {name: under(name) for name in policies}
    arrangements |= {AGAIN: nullcontext, "probe": lambda: _probed(subject)}
    found: dict[str, Spread] = {}
    for name, arrangement in arrangements.items():
        among = {UNTOUCHED: nullcontext, name: arrangement}
        seconds = interleaved(subject, among, rounds * (FINER if name in ("all computed", AGAIN) else 1))
        found[name] = speed_up(seconds, name, UNTOUCHED)
    lines = [
        Line(
            name,
            policy.budget(table),
            found[name],
            int((subject.residual_bytes * (policy.actions == Action.CACHE).any(0)).sum()),
            plan(policy).peak_bytes(subject.residual_bytes),
            applied[name].peak_cache_bytes,
        )
        for name, policy in policies.items()
    ]
    return Timing(statistics.median(seconds[UNTOUCHED]), lines, found["probe"], found[AGAIN])


def whole_steps(table: MacTable, steps: int, budget: float) -> Policy:
    """Steps computed in full, evenly spread, all cached between them; the last of them in part, to meet the budget."""
    cells = _cells(table, steps, budget)
    sites = len(table.sites)
    full, more = divmod(cells, sites)
    rows = np.unique(np.linspace(0, steps - 1, full + (more > 0)).round().astype(int))
    actions = np.full((steps, sites), Action.CACHE, np.int8)
    actions[rows] = Action.COMPUTE
    if more:
        actions[rows[-1], more:] = Action.CACHE
    return Policy(repair(actions), sites=table.sites)


def scattered(table: MacTable, steps: int, budget: float) -> Policy:
    """The first step in full, then cells anywhere: the hardest case for keeping residuals together."""
    cells = _cells(table, steps, budget)
    sites = len(table.sites)
    actions = np.full((steps, sites), Action.CACHE, np.int8)
    actions[0] = Action.COMPUTE
    later = np.random.default_rng(0).permutation((steps - 1) * sites)[: cells - sites]
    actions[1 + later // sites, later % sites] = Action.COMPUTE
    return Policy(actions, sites=table.sites)


def markdown(timing: Timing, subject: Subject) -> Iterator[str]:
    """The table of docs/results.md."""
    yield (
        f"{subject.title}, {subject.images} image{'s' * (subject.images > 1)}, {subject.steps} steps: "
        f"{timing.seconds / subject.images:.3f} s an image in the transformer"
    )
    yield ""
    yield "| policy | budget | promised by MACs | speed-up | of the promise | kept to the end | planned | measured |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for line in timing.lines:
        sizes = [f"{size / 1e6:.2f} MB" for size in (line.naive_bytes, line.planned_bytes, line.measured_bytes)]
        speed, error = line.speed_up
        speeds = [f"{1 / line.budget:.3f}", f"{speed:.3f}", f"{speed * line.budget:.1%} +- {error * line.budget:.1%}"]
        yield f"| {' | '.join([line.name, f'{line.budget:.3f}', *speeds, *sizes])} |"
    yield ""
    costs = {"all computed": timing.lines[0].speed_up, "the untouched model again": timing.noise}
    for name, (speed, error) in costs.items():
        yield f"- {name} costs {1 / speed - 1:+.2%} +- {error:.2%}"
    yield f"- a probed run costs {1 / timing.probe.median:.2f} +- {timing.probe.error:.2f} times an untouched one"


def _cells(table: MacTable, steps: int, budget: float) -> int:
    """How many cells may be computed, those of the first step at least; all sites cost about the same."""
    affordable = (budget * table.full(steps) - steps * table.rest_macs) / float(table.site_macs.mean())
    return max(len(table.sites), round(affordable))


def _probed(subject: Subject) -> AppliedPolicy:
    seen = Seen(subject.steps, len(subject.table.sites), AGES, subject.images)

    def hook(run: Run, index: int) -> Hook:
        return ProbeHook(run, index, seen)

    return attach(subject.target, None, None, hook)


def main(arguments: list[str]) -> int:
    args = _options().parse_args(arguments)
    if args.shapes:
        device = pick_device()
        dtype = torch.bfloat16 if args.bfloat16 or device != "cpu" else torch.float32
        for name in args.shapes:
            for size in args.sizes or SHAPES[name].sizes:
                subject = of_shape(name, size, steps=args.steps, images=args.images[0], device=device, dtype=dtype)
                print(*markdown(measure(subject, args.rounds), subject), "", sep="\n", flush=True)
        return 0
    loaded = load(args.model)
    for images in args.images:
        subject = of_model(loaded, _request(loaded.spec, images, args.steps))
        print(*markdown(measure(subject, args.rounds), subject), "", sep="\n", flush=True)
    if args.peers:
        print(*_peers(loaded, args), sep="\n")
    return 0


def _peers(loaded: LoadedModel, args: Namespace) -> Iterator[str]:
    config = _request(loaded.spec, args.images[-1], args.steps)
    subject = of_model(loaded, config)
    if not cachedit.is_installed():
        yield f"- cache-dit is not installed, so it is left out: {cachedit.INSTALL}"
    found = peers.measure(loaded, config, subject, args.peers, args.rounds, whole_steps)
    yield from peers.markdown(found, subject)


def _request(spec: ModelSpec, images: int, steps: int | None) -> GenerationConfig:
    subject: dict[str, Any] = {"prompts": ("a small red ball in the center on a gray background",) * images}
    if spec.conditioning == "class":
        subject = {"classes": (0,) * images}
    return GenerationConfig(
        **subject,
        seeds=tuple(range(images)),
        steps=steps or spec.steps,
        guidance_scale=spec.guidance_scale,
        height=spec.height,
        width=spec.width,
    )


def _options() -> ArgumentParser:
    parser = ArgumentParser("mddit bench engine", description=__doc__)
    parser.add_argument("--model", default="scenes-pixart", help="id, hub id or folder (default scenes-pixart)")
    parser.add_argument("--images", type=int, nargs="+", default=[1, 8], help="images at one time (default 1, then 8)")
    parser.add_argument("--steps", type=int, default=10, help="inference steps (default 10)")
    parser.add_argument("--rounds", type=int, default=5, help="every row is timed this often (default 5)")
    parser.add_argument(
        "--peers",
        type=float,
        default=0.41,
        metavar="BUDGET",
        help="compare with diffusers' caches and cache-dit at about this budget (default 0.41; 0: don't)",
    )
    parser.add_argument("--shapes", nargs="+", choices=sorted(SHAPES), help="time these instead, with random weights")
    parser.add_argument(
        "--sizes", type=int, nargs="+", help="pixels a side of the shapes (default: all that they have)"
    )
    parser.add_argument("--bfloat16", action="store_true", help="of the shapes on a CPU too; a GPU always has it")
    return parser
