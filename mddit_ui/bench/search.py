"""How good the best policy is on unseen prompts after so many evaluations.

Each table goes into docs/results.md with its curve and what it shows: whether the default after 100 evaluations is
behind any other method, and whether it is ahead of the best starting policy. The evaluations lie beside the results;
what is there is not made again, so that a table grows by more seeds, methods and evaluations.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from mddit_ui.bench import sensitivity, throughput
from mddit_ui.bench.kept import kept_jury, kept_search, known_first, pack, read, unpack
from mddit_ui.bench.page import CHOICE, UNSEEN_SEED, grid, put_section
from mddit_ui.bench.search_lines import DEFAULT, HEADS, START, Judgement, Line, gains, start_of, verdicts
from mddit_ui.bench.serving import save_picture
from mddit_ui.charts.gains import gains_figure
from mddit_ui.core.errors import SearchError
from mddit_ui.core.paths import PROMPTS, ROOT, data_dir
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig, Score, SearchConfig
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.search.finals import Jury, fresh
from mddit_ui.search.loop import Evaluation
from mddit_ui.search.methods import Method, Setting, vectors
from mddit_ui.search.objective import Objective
from mddit_ui.search.portfolio import baselines, portfolio
from mddit_ui.search.racing import Race
from mddit_ui.search.recipe import METHODS, make_task, population
from mddit_ui.search.space import Space
from mddit_ui.service import catalog
from mddit_ui.service.calibrate import calibrate
from mddit_ui.service.evaluate import make_evaluator
from mddit_ui.service.generate import MAX_PSNR
from mddit_ui.service.measure import PACKED, PLAIN, Trial, measure

MARKS = (25, 50, 100, 200, 500)  # evaluations after which the best so far is judged
UNPLANNED: dict[str, Any] = {"plans": 0}  # the starts are those of the portfolio alone, as they are for all others
SETTINGS: dict[str, dict[str, Any]] = {  # after a method
    "racing": {"racing": True},
    "by CLIP": {"closeness": 0.0},
    "unplanned": UNPLANNED,
}


def _nothing(policies: Iterable[Policy], race: Race | None = None) -> Iterator[tuple[Policy, Score]]:
    return iter(())


VARIANTS: dict[str, Callable[[Setting], Method]] = {
    **METHODS,
    "cma-es rows": partial(vectors, optimizer="cma-es", encoding="rows"),
    "cma-es cosines": partial(vectors, optimizer="cma-es", encoding="cosines"),
    "cma-es calibrated": partial(vectors, optimizer="cma-es", encoding="calibrated"),
    "sep-cma-es cells": partial(vectors, optimizer="sep-cma-es", encoding="cells"),
}
# (method, changes of the settings) of each name
NAMES = {
    **{method: (method, {} if method == DEFAULT else UNPLANNED) for method in VARIANTS},
    **{f"{method} {what}": (method, UNPLANNED | changes) for method in VARIANTS for what, changes in SETTINGS.items()},
}


class Bench:
    """One model, number of steps and budget.

    Everything that was evaluated is kept in ``folder`` and used again, after what ``archive`` has of it.
    """

    def __init__(
        self, model: str, steps: int, budget: float, images: int, unseen: int, folder: Path, archive: Path
    ) -> None:
        name = f"{Path(model).name}-{steps}-{budget:g}-{images}"
        self.folder, self.archive = folder / name, archive / name
        unpack(self.archive, self.folder)
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
        self.fresh = fresh(self.request)
        self.sensitivity = Sensitivity.from_calibration(calibrate(model, self.request))

    def config(self, **changes: Any) -> SearchConfig:
        return SearchConfig(model=self.model, prompts=self.prompts, steps=self.steps, budget=self.budget, **changes)

    def searched(self, name: str, seed: int, evaluations: int, *, kept_only: bool = False) -> list[Evaluation]:
        """The evaluations of a search, from its file as far as they are there; ``kept_only``: none is made."""
        method, changes = NAMES[name]
        config = self.config(evaluations=evaluations, seed=seed, **changes)
        task = make_task(
            self.space,
            config,
            _nothing if kept_only else known_first(self.known(), self._evaluate),
            self.sensitivity,
            judge=self.jury(name).starts,
            method=VARIANTS[method],
        )
        found, reason = kept_search(self._path(name, config), self.space, task)
        print(f"{name}, seed {seed}: {len(found)} evaluations. {reason}", file=sys.stderr, flush=True)
        return found

    def _evaluate(self, policies: Iterable[Policy], race: Race | None = None) -> Iterator[tuple[Policy, Score]]:
        return make_evaluator(self.model, self.request, quick=True)(policies, race)

    def _path(self, name: str, config: SearchConfig) -> Path:
        """Where the search is kept; one with generations of another size goes on differently."""
        return self.folder / f"{name.replace(' ', '-')}-{config.seed}-by-{population(config)}.jsonl"

    def known(self) -> dict[Policy, Score]:
        """What any search of this setting has scored on all pictures, which are the same for all."""
        searches = [read(path, self.space) for path in sorted(self.folder.glob("*-by-*.jsonl"))]
        whole = len(self.prompts)
        return {each.policy: each.score for found in searches for each in found if each.score.images == whole}

    def jury(self, name: str = DEFAULT) -> Jury:
        """Who chooses, as in the app, by the objective of the search."""
        return kept_jury(
            self.folder / f"finals-{self.fresh.images}.jsonl",
            lambda policies: make_evaluator(self.model, self.fresh)(policies),
            Objective.of(self.config(**NAMES[name][1])),
        )

    def best(self, found: Sequence[Evaluation], name: str = DEFAULT) -> Policy:
        """What the jury chooses."""
        return self.jury(name)(found)[0].policy

    def judged(self, policy: Policy | None) -> Judgement:
        """The policy (``None``: full depth) on the unseen prompts; ``service.measure`` keeps what it has measured."""
        found = measure(self.trial, policy, way=PACKED if policy else PLAIN)
        closeness = found.psnrs if policy else [MAX_PSNR] * found.images
        return Judgement(np.array(found.clip_scores), np.array(closeness))

    def table(self, runs: Mapping[tuple[str, int], Sequence[Evaluation]], evaluations: int) -> list[Line]:
        """Full depth, well-known schedules, the best start, then each method at each mark.

        ``runs`` are the evaluations of each (method, seed); a mark takes the searches that reach it.

        Raises:
            SearchError: there are none.
        """
        longest = max(runs.values(), key=len)
        if not longest:
            raise SearchError(f"No search of these methods is kept in {self.folder} or {self.archive}.")
        given = set(portfolio(self.space, self.sensitivity))  # what is planned later is the work of the search
        start = self.best([each for each in longest if each.policy in given])

        def line(name: str, policies: Sequence[Policy | None], count: int = 0) -> Line:
            costs = [1.0 if policy is None else self.space.table.budget(policy.actions) for policy in policies]
            found = Line(name, count, float(np.mean(costs)), tuple(map(self.judged, policies)))
            clip, psnr = (values.mean() for values in found.found)
            print(name, count or "", f"CLIP {clip:.2f}, {psnr:.2f} dB", file=sys.stderr, flush=True)
            return found

        lines = [line("full depth", [None])]
        lines += [line(policy.name, [policy]) for policy in baselines(self.space)]
        lines += [line(f"{START}: {start.name}", [start])]
        marks = sorted({mark for mark in MARKS if mark < evaluations} | {evaluations})
        for name, mark in product(dict.fromkeys(name for name, _ in runs), marks):
            reached = [found[:mark] for (each, _), found in runs.items() if each == name and len(found) >= mark]
            if reached:
                lines.append(line(name, [self.best(found, name) for found in reached], mark))
        return lines


def section(bench: Bench, lines: Sequence[Line], command: str, picture: str) -> str:
    """What docs/results.md says of one table."""
    start, objective = start_of(lines).found, Objective.of(bench.config())
    return "\n".join(
        [
            f"## Methods of the search: {Path(bench.model).name}, {bench.steps} steps, budget {bench.budget:g}",
            "",
            f"Made with `{command}`: searches on {len(bench.prompts)} prompts; {CHOICE}; "
            f"judged on {len(bench.trial.prompts)} hold-out captions, seeds from {UNSEEN_SEED}; "
            "gains are over the best starting policy, chosen alike, paired by picture. All evaluations are in "
            f"[{bench.archive.name}](results/searches/{bench.archive.name}), and are not made again.",
            "",
            *grid(HEADS, (line.row(start) for line in lines)),
            "",
            f"The objective of these searches is CLIP score + {objective.closeness:g} x PSNR. "
            "Ahead and behind are beyond the standard error over the pictures; after it, the one over pictures and "
            "searches, as far as there are several, those of two methods counted as independent (where both made the "
            "same ones, it is too large):",
            "",
            *verdicts(lines, objective),
            "",
            f"![gain over the best start on unseen captions, against evaluations]({picture})",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="mddit bench search", description=__doc__)
    parser.add_argument("--model", default="scenes-pixart")
    parser.add_argument("--steps", type=int, nargs="+", default=[20, 40])
    parser.add_argument("--budgets", type=float, nargs="+", default=[0.5, 0.3])
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=list(NAMES),
        default=list(VARIANTS),
        metavar="METHOD",
        help=f"of {', '.join(VARIANTS)}; each also with {' or '.join(SETTINGS)} after it (default: all without)",
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
    parts.add_argument(
        "--kept-only",
        action="store_true",
        help="tables of what is kept: no search is made or goes on, and a mark takes the searches that reach it",
    )
    parser.add_argument("--target", type=Path, default=ROOT / "docs" / "results.md")
    given = [*(sys.argv[1:] if arguments is None else arguments)]
    args = parser.parse_args(given)
    folder = args.folder or data_dir() / "bench"
    results = args.target.parent / "results"
    seeds = range(1, args.seeds + 1)
    for steps in args.steps:
        for budget in args.budgets:
            bench = Bench(args.model, steps, budget, args.images, args.unseen, folder, results / "searches")
            search = partial(bench.searched, kept_only=args.kept_only)
            runs = {(name, seed): search(name, seed, args.evaluations) for seed, name in product(seeds, args.methods)}
            if args.searches_only:
                continue
            lines = bench.table(runs, args.evaluations)
            name = f"search-{Path(args.model).name}-{steps}-{budget:g}"
            save_picture(gains_figure(gains(lines), DEFAULT), results / f"{name}.svg")
            pack(bench.folder, bench.archive)
            command = "mddit bench search " + shlex.join(given)
            text = section(bench, lines, command, f"results/{name}.svg")
            put_section(args.target, name, text)
            print(text, end="\n\n", flush=True)
    if not (args.searches_only or args.tables_only or args.kept_only):
        common = ["--model", args.model, "--steps", str(args.steps[0])]
        sensitivity.main(common)
        print()
        throughput.main([*common, "--budget", str(args.budgets[0]), "--images", str(args.images)])
    return 0
