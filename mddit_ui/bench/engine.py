"""Table: what the engine itself costs, and how much of the speed-up that MACs promise it delivers.

``mddit bench engine`` prints it as Markdown. Every row is timed in the same rounds, one after the other,
by processor time inside the transformer; the least of the rounds counts.
"""

import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

import numpy as np
import torch

from mddit_ui.core.cost import MacTable
from mddit_ui.core.plan import plan
from mddit_ui.core.policy import Action, Policy, repair
from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine.adapters import call_arguments
from mddit_ui.engine.hooks import attach
from mddit_ui.engine.runner import measure as measure_model
from mddit_ui.engine.runner import sample, with_scheduler
from mddit_ui.models.loading import LoadedModel, load

BUDGETS = (0.8, 0.6, 0.41, 0.3)


class Line(NamedTuple):
    """One policy: seconds in the transformer, and bytes of residuals at the most."""

    name: str
    budget: float
    seconds: float
    naive_bytes: int  # every site's residual kept to the end
    planned_bytes: int
    measured_bytes: int


def measure(loaded: LoadedModel, config: GenerationConfig, rounds: int) -> list[Line]:
    """The untouched pipeline first, then full depth under a policy, then whole steps and scattered cells by budget."""
    measured = measure_model(loaded, config)
    steps, sites = len(measured.timesteps), measured.table.sites
    policies: dict[str, Policy | None] = {"untouched": None, "all computed": Policy.full(steps, sites)}
    for budget in BUDGETS:
        policies[f"whole steps, {budget:.0%}"] = whole_steps(measured.table, steps, budget)
        policies[f"scattered, {budget:.0%}"] = scattered(measured.table, steps, budget)
    best = dict.fromkeys(policies, float("inf"))
    peak = dict.fromkeys(policies, 0)
    for _ in range(rounds):
        for name, policy in policies.items():
            seconds, peak[name] = _run(loaded, policy, config)
            best[name] = min(best[name], seconds)
    one = [size * config.images for size in measured.residual_bytes]
    return [
        Line(
            name,
            1.0 if policy is None else policy.budget(measured.table),
            best[name],
            0 if policy is None else int((np.array(one) * (policy.actions == Action.CACHE).any(0)).sum()),
            0 if policy is None else plan(policy).peak_bytes(one),
            peak[name],
        )
        for name, policy in policies.items()
    ]


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
    later = np.random.default_rng(0).permutation((steps - 1) * sites)[: max(0, cells - sites)]
    actions[1 + later // sites, later % sites] = Action.COMPUTE
    return Policy(actions, sites=table.sites)


def markdown(lines: Sequence[Line]) -> Iterator[str]:
    """The table of docs/results.md."""
    untouched = lines[0].seconds
    yield "| policy | budget | speed-up | of what MACs promise | cache, kept to the end | planned | measured |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for line in lines:
        speed = untouched / line.seconds
        sizes = [f"{size / 1e6:.2f} MB" for size in (line.naive_bytes, line.planned_bytes, line.measured_bytes)]
        cells = [line.name, f"{line.budget:.3f}", f"{speed:.3f}", f"{speed * line.budget:.1%}", *sizes]
        yield f"| {' | '.join(cells)} |"


def _cells(table: MacTable, steps: int, budget: float) -> int:
    """How many cells may be computed; all sites cost about the same."""
    return round((budget * table.full(steps) - steps * table.rest_macs) / float(table.site_macs.mean()))


def _run(loaded: LoadedModel, policy: Policy | None, config: GenerationConfig) -> tuple[float, int]:
    with loaded.lock, with_scheduler(loaded, config):
        arguments = call_arguments(loaded, config)
        applied = nullcontext() if policy is None else attach(loaded.pipe, policy)
        with applied as at_work, _timed(loaded) as seconds:
            sample(loaded, arguments)
        return seconds(), 0 if at_work is None else at_work.peak_cache_bytes


@contextmanager
def _timed(loaded: LoadedModel) -> Iterator[Callable[[], float]]:
    """Time inside the transformer, hooks included: of this process on a CPU, of the clock on a GPU."""
    on_gpu = loaded.device.startswith("cuda")
    spent = [0.0]

    def now() -> float:
        if on_gpu:
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    def start(*_: object) -> None:
        spent[0] -= now()

    def stop(*_: object) -> None:
        spent[0] += now()

    handles = [
        loaded.transformer.register_forward_pre_hook(start),
        loaded.transformer.register_forward_hook(stop),
    ]
    try:
        yield lambda: spent[0]
    finally:
        for handle in handles:
            handle.remove()


def main(arguments: list[str]) -> int:
    parser = ArgumentParser("mddit bench engine", description=__doc__)
    parser.add_argument("--model", default="scenes-pixart", help="id, hub id or folder (default scenes-pixart)")
    parser.add_argument("--images", type=int, default=4, help="images at one time (default 4)")
    parser.add_argument("--steps", type=int, default=20, help="inference steps (default 20)")
    parser.add_argument("--rounds", type=int, default=5, help="every policy runs this often (default 5)")
    args = parser.parse_args(arguments)
    loaded = load(args.model)
    spec = loaded.spec
    subject = {"prompts": ("a small red ball in the center on a gray background",) * args.images}
    if spec.conditioning == "class":
        subject = {"classes": (0,) * args.images}  # type: ignore[dict-item]
    config = GenerationConfig(
        **subject,  # type: ignore[arg-type]
        seeds=tuple(range(args.images)),
        steps=args.steps,
        guidance_scale=spec.guidance_scale,
        height=spec.height,
        width=spec.width,
    )
    print(f"{spec.id}, {loaded.dtype} on {loaded.device}, {args.images} images, {args.steps} steps\n")
    print(*markdown(measure(loaded, config, args.rounds)), sep="\n")
    return 0
