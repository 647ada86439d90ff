"""Evaluations per minute of a search, and of the naive loop."""

import argparse
import json
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from mddit_ui.core.errors import SearchError
from mddit_ui.core.paths import PROMPTS
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig, ModelSpec, Score, SearchConfig
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.engine.hooks import apply_policy
from mddit_ui.engine.packing import product_type
from mddit_ui.metrics.clip import ClipScorer
from mddit_ui.metrics.fidelity import psnr
from mddit_ui.models.loading import load
from mddit_ui.search.loop import Evaluation, search
from mddit_ui.search.recipe import make_task
from mddit_ui.search.space import Space
from mddit_ui.service import catalog
from mddit_ui.service.calibrate import calibrate
from mddit_ui.service.evaluate import PooledEvaluator, make_evaluator
from mddit_ui.service.generate import MAX_PSNR
from mddit_ui.service.pool import Pool, cores, processes_for


class Rate(NamedTuple):
    """Evaluations per minute, once all is loaded."""

    search: float
    naive: float
    processes: int
    products: str
    request: GenerationConfig
    policies: list[Policy]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="mddit bench throughput", description=__doc__)
    parser.add_argument("--model", default="scenes-pixart")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--budget", type=float, default=0.5)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--evaluations", type=int, default=48, help="of the search")
    parser.add_argument("--naive", type=int, default=8, help="of the naive loop")
    parser.add_argument("--racing", action="store_true", help="bad candidates of the search leave early")
    args = parser.parse_args(arguments)
    print(f"{args.images} prompts, {args.steps} steps, budget {args.budget:g}, {cores()} cores")
    print("| loop | evaluations a minute |\n|---|---:|")
    rate = measure(args.model, args.steps, args.budget, args.images, args.evaluations, args.naive, args.racing)
    print(f"| a pipeline call for each candidate, one process | {rate.naive:.1f} |")
    print(f"| search, {rate.processes} processes, products in {rate.products} | {rate.search:.1f} |")
    print(f"{rate.search / rate.naive:.2f} times as many", flush=True)
    print(f"{100 * recalled(args.model, rate):.0f}% of the computed cells are shared, had there been one process")
    return 0


def measure(
    model: str, steps: int, budget: float, images: int, evaluations: int, naive: int, racing: bool = False
) -> Rate:
    """A search as a worker runs it, then some of its policies as a pipeline call each."""
    spec = catalog.get_model(model)
    prompts = tuple(json.loads((PROMPTS / "search.json").read_text())[:images])
    request = GenerationConfig(
        prompts=prompts,
        seeds=tuple(range(images)),
        steps=steps,
        guidance_scale=spec.guidance_scale,
        height=spec.height,
        width=spec.width,
    )
    view = catalog.describe(model, steps)
    space = Space(view.mac_table, len(view.timesteps), budget, view.timesteps, model)
    sensitivity = Sensitivity.from_calibration(calibrate(model, request))
    config = SearchConfig(
        model=model, prompts=prompts, steps=steps, budget=budget, evaluations=evaluations, racing=racing
    )
    found: list[Evaluation] = []
    processes = processes_for(spec)
    with Pool(processes, threads=max(cores() // processes, 1)) as pool:
        evaluate = PooledEvaluator(pool, model, request, quick=True)
        warm = [space.policy(np.random.default_rng(n).random(space.shape)) for n in range(4 * processes)]
        dict(evaluate(warm))  # loads the model and makes the reference in each process
        began = time.perf_counter()
        search(make_task(space, config, evaluate, sensitivity), on_evaluation=found.append)
        searched = time.perf_counter() - began

    whole = [each.policy for each in found if each.score.images == images]
    policies = whole[:: max(len(whole) // naive, 1)][:naive]
    reference = _pipeline_call(model, request, Policy.full(space.steps, space.table.sites))[0]
    began = time.perf_counter()
    scores = [_naive_score(model, request, policy, reference) for policy in policies]
    called = time.perf_counter() - began
    known = {each.policy: each.score for each in found}
    for policy, score in zip(policies, scores, strict=True):
        pair = np.array([score.clip_score, known[policy].clip_score], float)
        if not np.ptp(pair) < 0.05:
            raise SearchError(f"The two loops disagree about a policy: CLIP scores {pair}.")
    return Rate(
        60 * len(found) / searched, 60 * len(policies) / called, processes, _products(spec), request, list(known)
    )


def _naive_score(model: str, request: GenerationConfig, policy: Policy, reference: np.ndarray) -> Score:
    images, clip = _pipeline_call(model, request, policy)
    return Score(clip_score=clip, psnr=float(np.minimum(psnr(images, reference), MAX_PSNR).mean()), images=len(images))


def _pipeline_call(model: str, request: GenerationConfig, policy: Policy) -> tuple[np.ndarray, float]:
    """What a person writes who has ``apply_policy`` and a pipeline: prompts in, pictures out, then their CLIP score."""
    loaded = load(model)
    arguments = {
        **loaded.spec.call,
        "prompt": list(request.prompts),
        "num_inference_steps": request.steps,
        "guidance_scale": request.guidance_scale,
        "height": request.height,
        "width": request.width,
        "generator": [torch.Generator().manual_seed(seed) for seed in request.image_seeds],
        "output_type": "np",
        "use_resolution_binning": False,
        "clean_caption": False,
    }
    with apply_policy(loaded.pipe, policy):
        pictures = loaded.pipe(**arguments).images
    images = np.rint(pictures * 255).astype(np.uint8)
    scorer = ClipScorer.load(loaded.spec.clip)
    return images, float(scorer.score(images, list(request.prompts)).mean())


def _products(spec: ModelSpec) -> str:
    """What the blocks multiply in while a search evaluates."""
    loaded = load(spec.id)
    dtype = product_type() if (loaded.device, loaded.dtype) == ("cpu", "float32") else loaded.dtype
    return str(dtype).removeprefix("torch.")


def recalled(model: str, rate: Rate) -> float:
    """The share of the computed cells that were known before, all policies in their order."""
    evaluator = make_evaluator(model, rate.request, quick=True)
    for policy in rate.policies:
        evaluator.score(policy)
    memo = evaluator.memo
    return memo.recalled / max(memo.recalled + memo.computed, 1)
