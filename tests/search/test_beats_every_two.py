"""The promise of the search, on the demo model: 100 evaluations beat "every second step" on prompts it never saw."""

import json
import os
import resource
import time
from functools import partial

import numpy as np
import pytest

from mddit_ui.core.paths import PROMPTS, model_folders
from mddit_ui.core.policy import Policy
from mddit_ui.core.presets import every
from mddit_ui.core.records import GenerationConfig, SearchConfig
from mddit_ui.metrics.fidelity import psnr
from mddit_ui.service import catalog, searches
from mddit_ui.service.generate import generate, score
from mddit_ui.service.pool import Pool, cores
from mddit_ui.store.db import open_db

MODEL = os.environ.get("MDDIT_SEARCH_MODEL", "scenes-pixart")
STEPS = 20
HOLDOUT = int(os.environ.get("MDDIT_HOLDOUT", "500"))  # unseen prompts
SEEDS = int(os.environ.get("MDDIT_SEEDS", "3"))  # pictures of each: at this budget CLIP is nearly flat
COMPARED = 128  # of these pictures, with full depth: PSNR needs fewer
BATCH = 16
SECONDS = 300  # on two cores; counted in processor time, since a machine may be busy with other things


def unseen():
    """(pictures before it, request) of each batch: the hold-out prompts again and again, with seeds of no search."""
    prompts = json.loads((PROMPTS / "holdout.json").read_text())[:HOLDOUT] * SEEDS
    spec = catalog.get_model(MODEL)
    for start in range(0, len(prompts), BATCH):
        part = prompts[start : start + BATCH]
        yield (
            start,
            GenerationConfig(
                prompts=part,
                seeds=tuple(range(10_000 + start, 10_000 + start + len(part))),
                steps=STEPS,
                guidance_scale=spec.guidance_scale,
                height=spec.height,
                width=spec.width,
            ),
        )


def judged(policies):
    """name -> {"clip": (n,), "psnr": (COMPARED,)} over the unseen pictures."""
    found = {name: {"clip": [], "psnr": []} for name in policies}
    with Pool(cores()) as pool:
        batches = dict(pool.map(partial(scores, policies), unseen()))
    for batch in batches.values():
        for name, each in batch.items():
            for what, values in each.items():
                found[name][what] += values
    return {name: {what: np.array(values) for what, values in each.items()} for name, each in found.items()}


def scores(policies, batch):
    """name -> {"clip": [...], "psnr": [...]} of one batch."""
    start, config = batch
    reference = generate(MODEL, None, config) if start < COMPARED else None
    found = {}
    for name, policy in policies.items():
        result = generate(MODEL, policy, config)
        found[name] = {"clip": score(MODEL, result, config).clip_scores}
        if reference is not None:
            found[name]["psnr"] = psnr(result.images, reference.images).tolist()
    return found


def seconds_of_children():
    """Processor time of the processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.slow
@pytest.mark.skipif(not any((folder / MODEL).is_dir() for folder in model_folders()), reason="no demo model")
def test_a_search_beats_every_two_on_unseen_prompts(capsys):
    prompts = tuple(json.loads((PROMPTS / "search.json").read_text())[:8])
    began, before = time.perf_counter(), seconds_of_children()
    search = searches.start(
        SearchConfig(
            model=MODEL,
            prompts=prompts,
            image_seeds=tuple(range(8)),
            steps=STEPS,
            guidance_scale=catalog.get_model(MODEL).guidance_scale,
            budget=0.5,
            evaluations=100,
        )
    )
    while (row := searches.view(search)).state in ("queued", "running"):
        time.sleep(0.5)
    seconds = time.perf_counter() - began
    while not (processor := seconds_of_children() - before) and time.perf_counter() - began < seconds + 60:
        time.sleep(0.1)  # until the worker has ended and was waited for
    open_db().close()
    assert (row.state, row.error) == ("done", "")
    assert row.done == 100
    assert row.best.budget <= 0.5

    best = Policy.from_rows(row.best.policy_rows)
    half = every(STEPS, best.actions.shape[1], 2)
    found = judged({"searched": best, "every 2": half})
    load = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    lines = [f"searched in {seconds:.0f} s, {processor:.0f} s of processor time; {load}"]
    lines += [
        f"{name:9} CLIP {each['clip'].mean():.3f}  PSNR {each['psnr'].mean():.2f} dB" for name, each in found.items()
    ]
    gains = {}
    for what in ("clip", "psnr"):
        gain = found["searched"][what] - found["every 2"][what]
        gains[what] = (gain.mean(), gain.std(ddof=1) / np.sqrt(len(gain)))
        lines.append(f"{what} gain {gains[what][0]:+.4f} +- {gains[what][1]:.4f} on {len(gain)} unseen pictures")
    with capsys.disabled():
        print("", *lines, *best.rows, sep="\n")
    for what, (gain, error) in gains.items():
        assert gain > error, what
    assert 0 < processor / 2 <= SECONDS
