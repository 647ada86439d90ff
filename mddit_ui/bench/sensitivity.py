"""Do predicted errors rank policies as measured ones do."""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mddit_ui.core.paths import PROMPTS
from mddit_ui.core.policy import Policy, repair
from mddit_ui.core.records import GenerationConfig
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.metrics.fidelity import latent_error
from mddit_ui.search.encoding import cosines
from mddit_ui.search.space import Space
from mddit_ui.service import catalog
from mddit_ui.service.calibrate import calibrate
from mddit_ui.service.generate import generate

BUDGETS = (0.2, 0.9)
KINDS = ("cells", "steps", "fields")


class Measured(NamedTuple):
    """One random policy: how it was drawn, what was predicted, and the latent error on the pictures."""

    kind: str
    policy: Policy
    predicted: float
    error: float


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="mddit bench sensitivity", description=__doc__)
    parser.add_argument("--model", default="scenes-pixart")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--policies", type=int, default=200)
    parser.add_argument("--images", type=int, default=2)
    args = parser.parse_args(arguments)
    print(f"1,000 policies of 40 x 28: {1000 * seconds_of_a_thousand():.0f} ms", flush=True)
    found = list(measure(args.model, args.steps, args.policies, args.images))
    print("| random policies | number | rank correlation of predicted and measured latent error |\n|---|---:|---:|")
    for name, kinds in (("all", KINDS), *((kind, (kind,)) for kind in KINDS)):
        part = [each for each in found if each.kind in kinds]
        if len(part) > 1:
            correlation = rank_correlation([each.predicted for each in part], [each.error for each in part])
            print(f"| {name} | {len(part)} | {correlation:.3f} |")
    return 0


def seconds_of_a_thousand(steps: int = 40, sites: int = 28) -> float:
    """Processor time of ``Sensitivity.total`` of 1,000 policies; the best of 5."""
    random = np.random.default_rng(0)
    sensitivity = Sensitivity(random.uniform(0, 1, (steps - 1, steps, sites)), random.uniform(0, 5, (steps, sites)))
    actions = repair(random.integers(-1, 2, (1000, steps, sites), np.int8))
    times = []
    for _ in range(5):
        began = time.process_time()
        sensitivity.total(actions)
        times.append(time.process_time() - began)
    return min(times)


def measure(model: str, steps: int, count: int, images: int) -> Iterator[Measured]:
    """Random policies of random budgets, each run on the first hold-out prompts."""
    spec = catalog.get_model(model)
    prompts = json.loads((PROMPTS / "holdout.json").read_text())[:images]
    config = GenerationConfig(
        prompts=prompts,
        seeds=tuple(range(len(prompts))),
        steps=steps,
        guidance_scale=spec.guidance_scale,
        height=spec.height,
        width=spec.width,
    )
    view = catalog.describe(model, steps)
    sensitivity = Sensitivity.from_calibration(calibrate(model, config))
    reference = generate(model, None, config).latents
    for kind, policy in random_policies(Space(view.mac_table, len(view.timesteps), 1.0), count):
        error = latent_error(generate(model, policy, config).latents, reference).mean()
        yield Measured(kind, policy, float(sensitivity.total(policy.actions)), float(error))


def random_policies(whole: Space, count: int, seed: int = 0) -> Iterator[tuple[str, Policy]]:
    """Single cells, whole steps, and smooth fields in turn; in every second one some of the rest is skipped."""
    random = np.random.default_rng(seed)
    fields = cosines(*whole.shape, 4)
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        space = Space(whole.table, whole.steps, float(random.uniform(*BUDGETS)))
        scores = {
            "cells": random.random(space.shape),
            "steps": random.random((space.steps, 1)) + 1e-6 * random.random(space.shape),
            "fields": np.tensordot(random.normal(size=len(fields)), fields, 1),
        }[kind]
        skipped = random.random(space.shape) < (number // len(KINDS) % 2) * random.uniform(0, 0.3)
        yield kind, space.policy(scores, skipped)


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's: the correlation of the ranks."""
    ranks = [np.argsort(np.argsort(values, kind="stable"), kind="stable") for values in (one, other)]
    return float(np.asarray(np.corrcoef(ranks))[0, 1])
