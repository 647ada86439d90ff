"""How good the best policy is on unseen prompts after so many evaluations."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mddit_ui.bench import sensitivity, throughput
from mddit_ui.bench.kept import best_of, kept_search
from mddit_ui.bench.page import UNSEEN_SEED, paired
from mddit_ui.core.paths import PROMPTS, data_dir
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig, SearchConfig
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.search.loop import Evaluation
from mddit_ui.search.methods import Method, Setting
from mddit_ui.search.portfolio import baselines
from mddit_ui.search.recipe import METHODS, make_task, vectors
from mddit_ui.search.space import Space
from mddit_ui.service import catalog
from mddit_ui.service.calibrate import calibrate
from mddit_ui.service.evaluate import make_evaluator
from mddit_ui.service.generate import MAX_PSNR
from mddit_ui.service.measure import Trial, measure

MARKS = (25, 50, 100, 200, 500)  # evaluations after which the best so far is judged
RACING = " racing"  # ends the name of a variant whose bad candidates leave early
SCREEN = 10  # proposals an evaluation, in the screened variants


def _screened(name: str) -> Callable[[Setting], Method]:
    return lambda setting: METHODS[name](replace(setting, screen=SCREEN))


VARIANTS: dict[str, Callable[[Setting], Method]] = {
    **METHODS,
    "cma-es screened": _screened("cma-es"),
    "genetic screened": _screened("genetic"),
    "cma-es rows": partial(vectors, optimizer="cma-es", encoding="rows"),
    "cma-es cosines": partial(vectors, optimizer="cma-es", encoding="cosines"),
    "cma-es calibrated": partial(vectors, optimizer="cma-es", encoding="calibrated"),
    "sep-cma-es cells": partial(vectors, optimizer="sep-cma-es", encoding="cells"),
}


class Judgement(NamedTuple):
    """A policy on the unseen prompts: one value an image."""

    clip: np.ndarray
    psnr: np.ndarray


class Line(NamedTuple):
    """One line of the table; gains over the best starting policy are paired by image, means over the seeds."""

    name: str
    evaluations: int
    seeds: int
    budget: float
    clip: float
    psnr: float
    clip_gain: tuple[float, float]  # mean and its standard error
    psnr_gain: tuple[float, float]


class Bench:
    """One model, number of steps and budget; everything that was evaluated is kept in ``folder`` and used again."""

    def __init__(self, model: str, steps: int, budget: float, images: int, unseen: int, folder: Path) -> None:
        self.folder = folder / f"{Path(model).name}-{steps}-{budget:g}-{images}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.model, self.steps, self.budget = model, steps, budget
        self.prompts = tuple(json.loads((PROMPTS / "search.json").read_text())[:images])
        unseen_prompts = tuple(json.loads((PROMPTS / "holdout.json").read_text())[:unseen])
        self.trial = Trial.of(model, unseen_prompts, seed=UNSEEN_SEED, steps=steps)
        view = catalog.describe(model, steps)
        self.space = Space(view.mac_table, len(view.timesteps), budget, view.timesteps, model)
        spec = catalog.get_model(model)
        self.request = GenerationConfig(
            prompts=self.prompts,
            seeds=tuple(range(len(self.prompts))),
            steps=steps,
            guidance_scale=spec.guidance_scale,
            height=spec.height,
            width=spec.width,
        )
        self.sensitivity = Sensitivity.from_calibration(calibrate(model, self.request))

    def searched(self, name: str, seed: int, evaluations: int) -> list[Evaluation]:
        """The evaluations of a search, from its file as far as they are there."""
        config = SearchConfig(
            model=self.model,
            prompts=self.prompts,
            steps=self.steps,
            budget=self.budget,
            evaluations=evaluations,
            seed=seed,
            racing=name.endswith(RACING),
        )
        task = make_task(
            self.space,
            config,
            lambda policies, race=None: make_evaluator(self.model, self.request, quick=True)(policies, race),
            self.sensitivity,
            method=VARIANTS[name.removesuffix(RACING)],
        )
        found, reason = kept_search(self.folder / f"{name.replace(' ', '-')}-{seed}.jsonl", self.space, task)
        print(f"{name}, seed {seed}: {len(found)} evaluations. {reason}", file=sys.stderr, flush=True)
        return found

    def judged(self, policy: Policy | None) -> Judgement:
        """The policy (``None``: full depth) on the unseen prompts; ``service.measure`` keeps what it has measured."""
        found = measure(self.trial, policy)
        closeness = found.psnrs if policy else [MAX_PSNR] * found.images
        return Judgement(np.array(found.clip_scores), np.array(closeness))

    def table(self, names: Sequence[str], seeds: Sequence[int], evaluations: int) -> Iterator[Line]:
        """Full depth, well-known schedules, the best start, then each method at each mark."""
        runs = {(name, seed): self.searched(name, seed, evaluations) for seed in seeds for name in names}
        starts = next(iter(runs.values()))
        start = best_of([each for each in starts if each.generation == 0])
        first = self.judged(start)

        def line(name: str, policies: Sequence[Policy | None], count: int = 0) -> Line:
            each = [self.judged(policy) for policy in policies]
            clip, closeness = (np.mean([getattr(one, what) for one in each], 0) for what in ("clip", "psnr"))
            costs = [1.0 if policy is None else self.space.table.budget(policy.actions) for policy in policies]
            gains = (paired(clip, first.clip), paired(closeness, first.psnr))
            return Line(name, count, len(each), float(np.mean(costs)), clip.mean(), closeness.mean(), *gains)

        yield line("full depth", [None])
        for policy in baselines(self.space):
            yield line(policy.name, [policy])
        yield line(f"best start: {start.name}", [start])
        marks = sorted({mark for mark in MARKS if mark < evaluations} | {evaluations})
        for name in names:
            for mark in marks:
                until = [[each for each in runs[name, seed] if each.number <= mark] for seed in seeds]
                yield line(name, [best_of(found) for found in until], mark)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="mddit bench search", description=__doc__)
    parser.add_argument("--model", default="scenes-pixart")
    parser.add_argument("--steps", type=int, nargs="+", default=[20, 40])
    parser.add_argument("--budgets", type=float, nargs="+", default=[0.5, 0.3])
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=[*VARIANTS, *(name + RACING for name in VARIANTS)],
        default=list(VARIANTS),
        metavar="METHOD",
        help=f"of {', '.join(VARIANTS)}; each also with '{RACING}' at its end (default: all without)",
    )
    parser.add_argument("--seeds", type=int, default=3, help="searches of each method (default 3)")
    parser.add_argument("--evaluations", type=int, default=500)
    parser.add_argument("--images", type=int, default=8, help="prompts of the search")
    parser.add_argument("--unseen", type=int, default=128, help="prompts of the judgement")
    parser.add_argument("--folder", type=Path, help="where searches are kept; what is there is not made again")
    parts = parser.add_mutually_exclusive_group()
    parts.add_argument(
        "--searches-only",
        action="store_true",
        help="no table: several processes, each with other methods and the same folder, then one without this",
    )
    parts.add_argument("--tables-only", action="store_true", help="neither the predictor's table nor the throughput")
    args = parser.parse_args(arguments)
    folder = args.folder or data_dir() / "bench"
    seeds = range(1, args.seeds + 1)
    for steps in args.steps:
        for budget in args.budgets:
            bench = Bench(args.model, steps, budget, args.images, args.unseen, folder)
            if args.searches_only:
                for seed, name in product(seeds, args.methods):
                    bench.searched(name, seed, args.evaluations)
                continue
            print(f"\n{steps} steps, budget {budget:g}, {args.images} prompts, judged on {args.unseen} others\n")
            print("| policies | evaluations | searches | budget | CLIP score | gain | PSNR, dB | gain |")
            print("|---|---:|---:|---:|---:|---:|---:|---:|")
            for line in bench.table(args.methods, seeds, args.evaluations):
                gains = [f"{mean:+.2f} ± {error:.2f}" for mean, error in (line.clip_gain, line.psnr_gain)]
                cells = (line.name, line.evaluations or "", line.seeds, f"{line.budget:.3f}", f"{line.clip:.2f}")
                print("|", *(f"{cell} |" for cell in (*cells, gains[0], f"{line.psnr:.2f}", gains[1])), flush=True)
    if not (args.searches_only or args.tables_only):
        common = ["--model", args.model, "--steps", str(args.steps[0])]
        print()
        sensitivity.main(common)
        print()
        throughput.main([*common, "--budget", str(args.budgets[0]), "--images", str(args.images)])
    return 0
