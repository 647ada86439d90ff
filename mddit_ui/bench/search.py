"""How good the best policy is after so many evaluations, by optimizer: ``python -m mddit_ui.bench.search``."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from mddit_ui.core.paths import PROMPTS
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig, Score, SearchConfig
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.search.loop import Evaluation, Evaluator, search
from mddit_ui.search.optimizers import OPTIMIZERS
from mddit_ui.search.portfolio import baselines
from mddit_ui.search.recipe import make_task
from mddit_ui.search.space import Space
from mddit_ui.service import catalog
from mddit_ui.service.calibrate import calibrate
from mddit_ui.service.evaluate import make_evaluator

MARKS = (0.25, 0.5, 1.0)  # shares of the evaluations at which the best so far is judged on the other prompts


@dataclass(frozen=True)
class Line:
    """One line of the table: scores on prompts that the search did not see."""

    name: str
    evaluations: int
    budget: float
    score: Score


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m mddit_ui.bench.search", description=__doc__)
    parser.add_argument("--model", default="scenes-pixart")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--budget", type=float, default=0.5)
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--images", type=int, default=8, help="prompts of the search")
    parser.add_argument("--unseen", type=int, default=64, help="prompts of the judgement")
    parser.add_argument("--optimizers", nargs="+", choices=sorted(OPTIMIZERS), default=sorted(OPTIMIZERS))
    args = parser.parse_args(arguments)
    print("| policies | evaluations | budget | CLIP score | PSNR, dB |\n|---|---|---|---|---|")
    for line in lines(args.model, args.steps, args.budget, args.evaluations, args.images, args.unseen, args.optimizers):
        clip, psnr = (f"{value:.2f}" if value is not None else "" for value in (line.score.clip_score, line.score.psnr))
        print(f"| {line.name} | {line.evaluations or ''} | {line.budget:.3f} | {clip} | {psnr} |", flush=True)


def lines(
    model: str, steps: int, budget: float, evaluations: int, images: int, unseen: int, optimizers: Sequence[str]
) -> list[Line]:
    """The table: full depth, the well-known schedules, then each optimizer at each mark."""
    seen = json.loads((PROMPTS / "search.json").read_text())[:images]
    others = json.loads((PROMPTS / "holdout.json").read_text())[:unseen]
    config = _request(model, steps, seen, 0)
    view = catalog.describe(model, steps)
    space = Space(view.mac_table, len(view.timesteps), budget, view.timesteps, model)
    sensitivity = Sensitivity.from_calibration(calibrate(model, config))
    evaluate, judge = make_evaluator(model, config), make_evaluator(model, _request(model, steps, others, 10_000))

    def judged(name: str, policy: Policy, count: int = 0) -> Line:
        return Line(name, count, space.table.budget(policy.actions), judge.score(policy))

    made = [Line("full depth", 0, 1.0, judge.reference_score)]
    made += [judged(policy.name, policy) for policy in baselines(space)]
    settings = SearchConfig(model=model, prompts=tuple(seen), steps=steps, budget=budget, evaluations=evaluations)
    for optimizer in optimizers:
        found = _searched(space, settings, evaluate, sensitivity, optimizer)
        for mark in MARKS:
            until = found[: max(round(mark * evaluations), 1)]
            best = max(until, key=lambda each: (each.objective == each.objective, each.objective))
            made.append(judged(optimizer, best.policy, len(until)))
    return made


def _searched(
    space: Space, config: SearchConfig, evaluate: Evaluator, sensitivity: Sensitivity, optimizer: str
) -> list[Evaluation]:
    found: list[Evaluation] = []
    began = time.perf_counter()
    search(make_task(space, config, evaluate, sensitivity, optimizer=optimizer), on_evaluation=found.append)
    print(f"{optimizer}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return found


def _request(model: str, steps: int, prompts: Sequence[str], first_seed: int) -> GenerationConfig:
    spec = catalog.get_model(model)
    return GenerationConfig(
        prompts=tuple(prompts),
        seeds=tuple(range(first_seed, first_seed + len(prompts))),
        steps=steps,
        guidance_scale=spec.guidance_scale,
        height=spec.height,
        width=spec.width,
    )


if __name__ == "__main__":
    main()
