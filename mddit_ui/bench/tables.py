"""Every schedule against every other at equal MACs, on unseen captions: ``python -m mddit_ui.bench.tables``.

Settings a, b and c are those of MD-DiT: a four-step model, a class-conditional one, a text-to-image one, each with its
number of steps. What was measured is kept (see ``service.measure``), searches included: an interrupted run goes on, and
a finished one only writes the tables and draws the strips again.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from mddit_ui.bench.contestants import fixed, smooth_cache, well_known
from mddit_ui.bench.kept import kept_jury, kept_search
from mddit_ui.bench.page import OURS, UNSEEN_SEED, Line, Sizes, Table, put_table
from mddit_ui.bench.timing import clock
from mddit_ui.core.errors import ModelError
from mddit_ui.core.paths import PROMPTS, ROOT, atomic_write, data_dir
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig, ModelSpec, Score, SearchConfig
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.metrics.fidelity import psnr
from mddit_ui.models.loading import load, weights_stamp
from mddit_ui.search.finals import fresh
from mddit_ui.search.objective import Objective
from mddit_ui.search.racing import Race
from mddit_ui.search.recipe import METHODS, make_task
from mddit_ui.search.space import Space
from mddit_ui.service import catalog
from mddit_ui.service.calibrate import calibrate
from mddit_ui.service.evaluate import make_evaluator
from mddit_ui.service.generate import MAX_PSNR, generate
from mddit_ui.service.measure import Measurement, Trial, measure, pictures

SETTINGS = {
    "a-4": ("scenes-lcm", 4),
    "b-20": ("scenes-dit", 20),
    "b-50": ("scenes-dit", 50),
    "c-20": ("scenes-pixart", 20),
    "c-40": ("scenes-pixart", 40),
}
BUDGETS = (0.8, 0.6, 0.5, 0.41, 0.3)
SEARCHES = {"genetic, as ECAD": "nsga-2", OURS: "cma-es"}
ROUNDS = 3  # of a timing; the best one counts
TIMED_PICTURES, TIMED_STEPS = 4, 80  # at once, and of all of them together: at most


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="mddit bench tables", description=__doc__)
    parser.add_argument("--settings", nargs="+", choices=sorted(SETTINGS), default=sorted(SETTINGS))
    parser.add_argument("--budgets", nargs="+", type=float, default=BUDGETS)
    parser.add_argument("--images", type=int, default=100, help="of the hold-out set, to judge by")
    parser.add_argument("--search-images", type=int, default=8)
    parser.add_argument("--evaluations", type=int, default=100, help="policies of each search")
    parser.add_argument("--seed", type=int, default=1, help="of the searches and of what is random")
    parser.add_argument("--time", action="store_true", help="also measure the speed-ups; alone, but with one thread")
    parser.add_argument("--target", type=Path, default=ROOT / "docs" / "results.md")
    args = parser.parse_args(arguments)
    sizes = Sizes(args.images, args.search_images, args.evaluations, args.seed)
    command = " ".join(["python -m mddit_ui.bench.tables", *arguments])
    written = 0
    for setting in args.settings:
        model, steps = SETTINGS[setting]
        try:
            spec = catalog.get_model(model)
        except ModelError as error:
            print(f"Setting {setting} is left out: {error}", file=sys.stderr)
            continue
        found = table(setting, spec, steps, args.budgets, sizes, timed=args.time)
        strip(found, sizes, args.target.parent / "results")
        put_table(args.target, found, sizes, command)
        print(f"{args.target}: {model}, {steps} steps", file=sys.stderr, flush=True)
        written += 1
    return 0 if written else 1


def table(
    setting: str, spec: ModelSpec, steps: int, budgets: Iterable[float], sizes: Sizes, *, timed: bool = False
) -> Table:
    """Measure one setting; every line is announced on stderr."""
    trial = unseen(spec, steps, sizes)
    view = catalog.describe(spec.id, steps)
    table = Table(setting, spec.id, steps, trial.guidance_scale, [Line("full depth", None, None, measure(trial))])
    for name, budget, policy, fewer in rivals(spec, view, budgets, sizes):
        began = time.perf_counter()
        found = shortened(trial, fewer) if fewer else measure(trial, policy)
        speedup = _speedup(trial, policy, fewer) if timed else None
        table.lines.append(Line(name, budget, policy, found, speedup))
        took = time.perf_counter() - began
        print(f"{spec.id} {steps}: {name}, budget {found.budget:.3f}, {took:.0f} s", file=sys.stderr, flush=True)
    return table


def rivals(
    spec: ModelSpec, view: catalog.ModelView, budgets: Iterable[float], sizes: Sizes
) -> Iterator[tuple[str, float | None, Policy | None, int | None]]:
    """Name, budget, policy; or a number of steps in place of a policy."""
    steps, count = view.timesteps, len(view.timesteps)
    for policy in fixed(count, view.sites):
        yield policy.name, None, policy, None
    seen = searched_trial(spec, count, sizes)
    (first,) = Trial(seen.model, seen.prompts[:16], seen.seeds[:16], seen.steps, seen.guidance_scale).batches()
    calibration = calibrate(spec.id, first)
    for budget in budgets:
        space = Space(view.mac_table, count, budget, steps, spec.id)
        for name, policy in well_known(space, np.random.default_rng(sizes.seed)).items():
            yield name, budget, policy, None
        yield "SmoothCache", budget, smooth_cache(space, calibration), None
        yield "fewer steps", budget, None, max(round(budget * count), 1)
        for name, method in SEARCHES.items():
            yield name, budget, searched(space, seen, sizes, Sensitivity.from_calibration(calibration), method), None


def unseen(spec: ModelSpec, steps: int, sizes: Sizes) -> Trial:
    """The pictures to judge by: the hold-out captions; of a model with classes, all of them in turn, with new seeds."""
    prompts = _prompts(spec, "holdout", sizes.images)
    return Trial.of(spec.id, prompts, seed=UNSEEN_SEED, steps=steps)


def searched_trial(spec: ModelSpec, steps: int, sizes: Sizes) -> Trial:
    """The pictures of the searches."""
    return Trial.of(spec.id, _prompts(spec, "search", sizes.search_images), steps=steps)


def _prompts(spec: ModelSpec, name: str, count: int) -> tuple[str, ...]:
    if spec.classes:
        order = np.random.default_rng(len(name)).permutation(len(spec.classes))  # not all of one shape
        return tuple(spec.classes[order[number % len(order)]].caption for number in range(count))
    return tuple(json.loads((PROMPTS / f"{name}.json").read_text())[:count])


def searched(space: Space, trial: Trial, sizes: Sizes, sensitivity: Sensitivity, method: str) -> Policy:
    """The best policy of a search, as the app searches and chooses, in this process; what it evaluates is kept."""
    config = SearchConfig(
        model=trial.model,
        prompts=trial.prompts,
        image_seeds=trial.seeds,
        steps=trial.steps,
        guidance_scale=trial.guidance_scale,
        budget=space.budget,
        evaluations=sizes.evaluations,
        seed=sizes.seed,
    )

    def evaluate(policies: Iterable[Policy], race: Race | None = None) -> Iterator[tuple[Policy, Score]]:
        return make_evaluator(trial.model, trial.request(), quick=True)(policies, race)

    def evaluate_again(policies: Iterable[Policy]) -> Iterator[tuple[Policy, Score]]:
        return make_evaluator(trial.model, choosing)(policies)

    choosing = fresh(trial.request())
    name = f"{method}-{trial.steps}-{space.budget:g}-{len(trial.prompts)}-{sizes.seed}.jsonl"
    weights = hashlib.sha256(weights_stamp(catalog.get_model(trial.model)).encode()).hexdigest()[:16]
    path = data_dir() / "bench" / weights / name
    jury = kept_jury(path.with_suffix(f".finals-{choosing.images}.jsonl"), evaluate_again, Objective.of(config))
    task = make_task(space, config, evaluate, sensitivity, judge=jury.starts, method=METHODS[method])
    found, _ = kept_search(path, space, task)
    return jury(found)[0].policy


def shortened(trial: Trial, steps: int) -> Measurement:
    """Full depth with fewer steps, compared with the pictures of all steps."""
    short = Trial(trial.model, trial.prompts, trial.seeds, steps, trial.guidance_scale, trial.scheduler)
    found, full = measure(short), measure(trial)
    near = np.minimum(psnr(pictures(short), pictures(trial)), MAX_PSNR)
    error = float(near.std(ddof=1) / len(near) ** 0.5) if len(near) > 1 else None
    return found.replace(psnr=float(near.mean()), psnr_error=error, full_macs=full.macs)


def _speedup(trial: Trial, policy: Policy | None, fewer: int | None) -> float:
    """Seconds of full depth / those of the schedule: a few pictures at once, in the pipeline; the best of each."""
    count = max(1, min(TIMED_PICTURES, TIMED_STEPS // trial.steps))
    few = replace(trial, prompts=trial.prompts[:count], seeds=trial.seeds[:count])
    config = few.request()
    key = [trial.model, trial.steps, policy.digest if policy else f"{fewer} steps"]
    path = data_dir() / "speedups" / ("-".join(map(str, key)).replace("/", "-") + ".json")
    if path.is_file():
        return float(json.loads(path.read_text()))
    now = clock(load(trial.model).device)

    def seconds(chosen: Policy | None, request: GenerationConfig) -> float:
        began = now()
        generate(trial.model, chosen, request)
        return now() - began

    short = config.replace(steps=fewer or config.steps)
    full, ours = np.min([(seconds(None, config), seconds(policy, short)) for _ in range(ROUNDS)], axis=0)
    atomic_write(path, json.dumps(full / ours))
    return float(full / ours)


def strip(table: Table, sizes: Sizes, folder: Path, count: int = 6) -> None:
    """Full depth, then our search at each budget, a row each, as a picture."""
    from PIL import Image

    trial = unseen(catalog.get_model(table.model), table.steps, Sizes(count, 0, 0, 0))
    rows = [pictures(trial)] + [pictures(trial, line.policy) for line in table.lines if line.name == OURS]
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(folder / f"{table.model}-{table.steps}.png", optimize=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
