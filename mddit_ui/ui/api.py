"""The verbs for programs: typed endpoints for ``gradio_client``, and tools for MCP where that is installed."""

import base64
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from mddit_ui.core.errors import PolicyError
from mddit_ui.core.policy import Policy
from mddit_ui.core.policy_json import to_dict
from mddit_ui.core.presets import PRESETS
from mddit_ui.core.records import GenerationConfig, Score, SearchConfig
from mddit_ui.service import catalog
from mddit_ui.service import evaluate as evaluating
from mddit_ui.service import generate as generating
from mddit_ui.service import searches as searching
from mddit_ui.store.search_rows import SearchRow
from mddit_ui.ui.errors import shown
from mddit_ui.ui.grid import sent
from mddit_ui.ui.parts import known_model, request_of, shape_of
from mddit_ui.ui.quotas import quotas
from mddit_ui.ui.repaint import part_of
from mddit_ui.ui.searching import view
from mddit_ui.ui.zero import on_gpu

# Endpoints are called by strangers: whatever they send goes through the records, which hold every bound.


def models() -> list[dict[str, Any]]:
    """List the diffusion transformers that this page knows, with their defaults."""
    return [
        {"id": spec.id, "title": spec.title, "takes": spec.conditioning, "steps": spec.steps, "licence": spec.licence}
        for spec in catalog.list_models()
    ]


def make_policy(model: str, preset: str = "every", n: int = 2, steps: int = 20) -> dict[str, Any]:
    """Make a depth schedule from a preset: full, every, bands or skip_cache; n is the interval of full steps."""
    spec = known_model(model)
    if preset not in PRESETS:
        raise PolicyError(f"No preset {str(preset)[:40]!r}; known are {', '.join(PRESETS)}.")
    shape = shape_of(spec.id, _request(model, ["a"], 0, steps).steps, "default")
    more = {} if preset == "full" else {"n": int(n)}
    policy = PRESETS[preset](len(shape.timesteps), shape.sites, timesteps=shape.timesteps, model=spec.id, **more)
    return {**to_dict(policy), "budget": float(policy.budget(shape.mac_table))}


def generate(
    model: str,
    prompts: list[str],
    rows: list[str] | None = None,
    seed: int = 0,
    steps: int = 20,
    carry: str = "residual",
    keep: list[list[float]] | None = None,
    image: str | None = None,
    mask: str | None = None,
) -> dict[str, Any]:
    """Make one picture for each prompt under a depth schedule, given as rows of '#' compute, '=' cache, '.' skip.

    Without rows all blocks run. carry: what '=' reuses, residual or output; keep: the share of its tokens that each '#'
    runs on, in models with token routers. image and mask, data URLs of PNG, WebP or JPEG: each prompt repaints that
    picture where the mask is white; both are scaled to the model's size and cut to its shape. Pictures come back as PNG
    inside data URLs, with time, MACs and CLIP score.
    """
    config = quotas().check_request(_request(model, prompts, seed, steps))
    policy = _policy(model, rows, carry, keep, config)
    part = part_of(image, mask)
    inpainting = part.fitted(config) if part else None
    result = on_gpu(generating.generate)(model, policy, config, inpainting=inpainting)
    score = on_gpu(generating.score)(model, result, config)
    return {
        "images": [_png(image) for image in result.images],
        "seconds": float(result.wall_seconds),
        "macs": float(result.macs),  # numpy's numbers would come out as texts
        "full_macs": float(result.full_macs),
        "cache_bytes": int(result.peak_cache_bytes),
        "score": _score(score),
    }


def evaluate(
    model: str,
    prompts: list[str],
    rows: list[str] | None = None,
    seed: int = 0,
    steps: int = 20,
    carry: str = "residual",
    keep: list[list[float]] | None = None,
) -> dict[str, Any]:
    """Score a depth schedule on prompts against full depth with the same seeds: CLIP score, PSNR, SSIM.

    It is given as in generate.
    """
    config = quotas().check_request(_request(model, prompts, seed, steps))
    policy = _policy(model, rows, carry, keep, config)
    return _score(on_gpu(evaluating.evaluate)(model, policy, config))


def start_search(
    model: str,
    prompts: list[str],
    budget: float = 0.5,
    evaluations: int = 100,
    steps: int = 20,
    seed: int = 1,
    start: list[str] | None = None,
    carry: str = "residual",
    closeness: float | None = None,
    racing: bool = False,
) -> str:
    """Begin a search for the best depth schedule within a share of the full MACs; returns its id.

    start: rows of a depth schedule that it starts from, besides those of its own; carry as in generate.
    closeness: points of CLIP score that one dB of PSNR against full depth is worth; 0 for the CLIP score alone.
    racing: policies that are behind after some of the prompts are not scored on all.
    """
    spec = known_model(model)
    config = SearchConfig(
        model=spec.id,
        prompts=tuple(prompts),
        image_seeds=tuple(range(len(prompts))),
        steps=steps,
        guidance_scale=spec.guidance_scale,
        budget=budget,
        evaluations=evaluations,
        seed=seed,
        closeness=closeness,
        racing=racing,
        start=tuple(start) if start else None,
        carry=carry,  # type: ignore[arg-type]  # checked by the record
    )
    return searching.start(quotas().check_search(config, running()))


def search_status(search: str) -> dict[str, Any]:
    """How far a search is, and the best depth schedule so far."""
    return _status(view(search))


def pause_search(search: str) -> dict[str, Any]:
    """Pause a search after the evaluation that it is at; nothing is lost."""
    searching.pause(view(search).id)
    return _status(view(search))


def resume_search(search: str) -> dict[str, Any]:
    """Let a paused search go on exactly where it was."""
    searching.resume(view(search).id)
    return _status(view(search))


def stop_search(search: str) -> dict[str, Any]:
    """End a search; what it found stays."""
    searching.stop(view(search).id)
    return _status(view(search))


LIGHT = (models, search_status, pause_search, resume_search, stop_search)
ON_GPU = (generating.generate, generating.score, evaluating.evaluate)
HEAVY = (make_policy, generate, evaluate, start_search)


def add_endpoints() -> None:
    """Every verb under its own name; heavy ones wait in the same line as the buttons of the page."""
    alone: dict[str, Any] = {"concurrency_id": "compute", "concurrency_limit": 1}
    verbs: list[tuple[Callable[..., Any], dict[str, Any]]] = [
        *((verb, {"concurrency_limit": None}) for verb in LIGHT),
        *((verb, alone) for verb in HEAVY),
    ]
    for verb, limits in verbs:
        gr.api(shown(verb), api_name=verb.__name__, **limits)


def running() -> int:
    """Searches that have a process now."""
    return sum(row.state in ("queued", "running") for row in searching.recent(20))


def _request(model: str, prompts: list[str], seed: int, steps: int) -> GenerationConfig:
    spec = known_model(model)
    texts = [str(prompt) for prompt in prompts] if isinstance(prompts, list) else [""]
    return request_of(spec, texts, (seed,), steps, spec.guidance_scale, "default")


def _policy(
    model: str, rows: list[str] | None, carry: str, keep: list[list[float]] | None, config: GenerationConfig
) -> Policy | None:
    if not rows:
        return None
    if not isinstance(rows, list) or not all(isinstance(row, str) for row in rows):
        raise PolicyError("Rows are texts of '#' compute, '=' cache and '.' skip, one a step.")
    shape = shape_of(known_model(model).id, config.steps, config.scheduler)
    if len(rows) != len(shape.timesteps) or len(rows[0]) != len(shape.sites):
        wanted, got = (len(shape.timesteps), len(shape.sites)), (len(rows), len(rows[0]))
        raise PolicyError(f"This model takes {wanted[0]} rows of {wanted[1]} letters; got {got[0]} of {got[1]}.")
    return replace(sent({"rows": rows, "carry": carry, "keep": keep}), sites=shape.sites, timesteps=shape.timesteps)


def _score(score: Score) -> dict[str, Any]:
    return {key: value for key, value in score.to_dict().items() if key != "clip_scores"}


def _status(row: SearchRow) -> dict[str, Any]:
    best = row.best
    found: dict[str, Any] | None = None
    if best is not None:
        found = {"rows": list(best.policy_rows), "carry": row.config.carry, "budget": best.budget}
        found["score"] = _score(best.score)
    return {
        "state": row.state,
        "done": row.done,
        "evaluations": row.config.evaluations,
        "seconds_left": row.seconds_left,
        "error": row.error,
        "best": found,
        "full_depth": None if row.reference is None else _score(row.reference),
    }


def _png(image: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
