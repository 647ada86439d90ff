"""Run one generation through the real pipeline."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_map

from mddit_ui.core.cost import MacTable
from mddit_ui.core.errors import ModelError, NotFiniteError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig, RunResult
from mddit_ui.engine.acting import Call, StepEvent
from mddit_ui.engine.adapters import adapter, call_arguments, make_scheduler, seed_steps
from mddit_ui.engine.hooks import AppliedPolicy, attach
from mddit_ui.engine.macs import Counter
from mddit_ui.engine.memo import Memo
from mddit_ui.engine.previews import preview, to_images
from mddit_ui.models.loading import LoadedModel
from mddit_ui.models.sites import find_sites

DECODE_BATCH = 8  # images in the VAE at one time


@dataclass(frozen=True, eq=False)
class Measurement:
    """What one evaluation of the model costs, for one image, guidance counted."""

    table: MacTable  # of the blocks
    residual_bytes: tuple[int, ...]  # one residual of each block
    timesteps: tuple[float, ...]  # of the run that was asked for
    branches: MacTable | None = None  # of the branches of the blocks, where they have any


def generate(
    loaded: LoadedModel,
    policy: Policy | None,
    config: GenerationConfig,
    *,
    on_step: Callable[[StepEvent], None] | None = None,
    previews: bool = False,
    memo: Memo | None = None,
) -> RunResult:
    """Pictures of a config under a policy (``None``: the untouched model).

    Image i depends on its prompt and seed alone, not on the batch that it is in.

    Args:
        on_step: called after each model evaluation; may raise ``Cancelled`` to stop there, leaving nothing behind.
        previews: give it a small picture of what the model sees at that step.
        memo: shares work with other policies of the same request; see ``Memo``.

    Raises:
        ConfigError, PolicyError: the request, the policy and the model don't fit.
        NotFiniteError: the latents are not finite.
    """
    with loaded.lock:
        measured = measure(loaded, config)
        arguments = call_arguments(loaded, config)

        def observe(call: Call) -> None:
            if on_step is not None and call.is_first:
                on_step(StepEvent(call.step, len(loaded.pipe.scheduler.timesteps), picture(call)))

        def picture(call: Call) -> np.ndarray | None:
            return preview(loaded.pipe, call, config) if previews else None

        start = time.perf_counter()
        site_hook = memo.hook if memo is not None and policy is not None else None
        with with_scheduler(loaded, config), attach(loaded.pipe, policy, observe, site_hook) as applied:
            seed_steps(loaded.pipe.scheduler, arguments["generator"])
            latents, images = sample(loaded, arguments)
            timesteps = tuple(float(t) for t in loaded.pipe.scheduler.timesteps)
        if not bool(torch.isfinite(latents).all()):
            raise NotFiniteError(
                f"{loaded.spec.id} gave numbers that are not finite ({loaded.dtype} on {loaded.device}); "
                "compute more cells, or set MDDIT_DTYPE=float32."
            )
        if images is None:
            images = decode(loaded, latents)
        wall_seconds = time.perf_counter() - start
    full_macs = measured.table.full(len(timesteps)) * config.images
    return RunResult(
        images=images,
        latents=latents.float().cpu().numpy(),
        timesteps=timesteps,
        wall_seconds=wall_seconds,
        transformer_seconds=applied.seconds,
        macs=full_macs - _saved(applied, measured, len(timesteps)) * config.images,
        full_macs=full_macs,
        peak_cache_bytes=applied.peak_cache_bytes,
    )


def measure(loaded: LoadedModel, config: GenerationConfig) -> Measurement:
    """What one evaluation of the model costs: counted in a run of the pipeline in which nothing is computed."""
    with loaded.lock:
        timesteps = _timesteps(loaded, config)
        key = ("measurement", config.height, config.width, config.guidance_scale > 1)
        if key not in loaded.memo:
            loaded.memo[key] = _measure(loaded, config)
        return replace(loaded.memo[key], timesteps=timesteps)


def measure_macs(loaded: LoadedModel, config: GenerationConfig) -> MacTable:
    """MACs of one model evaluation (one image, guidance counted)."""
    return measure(loaded, config).table


@torch.no_grad()
def decode(loaded: LoadedModel, latents: torch.Tensor) -> np.ndarray:
    """(n, h, w, 3) uint8 pictures of latents."""
    vae = loaded.pipe.vae
    shift = vae.config.get("shift_factor") or 0.0
    latents = (latents / vae.config.scaling_factor + shift).to(vae.dtype)
    parts = [vae.decode(part, return_dict=False)[0] for part in latents.split(DECODE_BATCH)]
    return to_images(torch.cat(parts) / 2 + 0.5)


def sample(loaded: LoadedModel, arguments: dict[str, Any]) -> tuple[torch.Tensor, np.ndarray | None]:
    """(latents, images or None where the pipeline leaves decoding to us)."""
    if adapter(loaded.pipe).latent:
        return loaded.pipe(**arguments).images, None
    vae = loaded.pipe.vae
    shift = vae.config.get("shift_factor") or 0.0
    given: list[torch.Tensor] = []

    def decode_and_keep(latents: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        given.append((latents - shift) * vae.config.scaling_factor)
        return type(vae).decode(vae, latents, *args, **kwargs)

    vae.decode = decode_and_keep
    try:
        pictures = loaded.pipe(**arguments).images
    finally:
        del vae.decode
    return torch.cat(given), to_images(torch.as_tensor(pictures))


@contextmanager
def with_scheduler(loaded: LoadedModel, config: GenerationConfig) -> Iterator[None]:
    """A fresh scheduler for one run; the pipeline's own one is put back."""
    own = loaded.pipe.scheduler
    loaded.pipe.scheduler = make_scheduler(own, config.scheduler)
    try:
        yield
    finally:
        loaded.pipe.scheduler = own


def _measure(loaded: LoadedModel, config: GenerationConfig) -> Measurement:
    transformer = loaded.transformer
    blocks = [site.name for site in find_sites(transformer)]
    try:
        branches = [site.name for site in find_sites(transformer, "branch")]
    except ModelError:
        branches = []
    counters = {kind: Counter(transformer, names) for kind, names in (("block", blocks), ("branch", branches)) if names}
    counted: dict[str, list[MacTable]] = {kind: [] for kind in counters}

    sizes: list[tuple[int, ...]] = []  # of one residual of each block, for each call

    def count(*args: Any, **kwargs: Any) -> Any:
        for kind, counter in counters.items():
            table, output = counter.count(args, kwargs)
            counted[kind].append(table)
        sizes.append(tuple(counters["block"].site_bytes.values()))
        return output

    evaluations = len(_dry_run(loaded, config.replace(steps=2, scheduler="default"), count))
    tables = {kind: _per_evaluation(tables, evaluations) for kind, tables in counted.items()}
    residual_bytes = tuple(round(sum(of_calls) / evaluations) for of_calls in zip(*sizes, strict=True))
    return Measurement(tables["block"], residual_bytes, (), tables.get("branch"))


def _timesteps(loaded: LoadedModel, config: GenerationConfig) -> tuple[float, ...]:
    """The timesteps of a run, one for each model evaluation."""
    with with_scheduler(loaded, config):
        scheduler = loaded.pipe.scheduler
        if not scheduler.config.get("use_dynamic_shifting"):
            scheduler.set_timesteps(config.steps)
            return tuple(float(t) for t in scheduler.timesteps)
    # They depend on the size of the image, in a way that the pipeline alone knows.
    counter = Counter(loaded.transformer, ())
    outputs: list[Any] = []

    def answer(*args: Any, **kwargs: Any) -> Any:
        if not outputs:
            outputs.append(counter.count(args, kwargs)[1])
        return outputs[0]

    return _dry_run(loaded, config, answer)


def _dry_run(loaded: LoadedModel, config: GenerationConfig, answer: Callable[..., Any]) -> tuple[float, ...]:
    """Run the pipeline for one image with zeros, in the shape of what ``answer`` gives, for the model's output.

    Gives the timesteps of the run.
    """
    transformer = loaded.transformer
    one = config.replace(prompts=config.prompts[:1], classes=config.classes[:1], seeds=config.seeds[:1])

    def forward(*args: Any, **kwargs: Any) -> Any:
        return tree_map(lambda value: _zeros(value, loaded.device), answer(*args, **kwargs))

    before = vars(transformer).get("forward")
    with with_scheduler(loaded, one):
        transformer.forward = forward
        try:
            sample(loaded, call_arguments(loaded, one))
        finally:
            if before is None:
                del transformer.forward
            else:
                transformer.forward = before
        return tuple(float(t) for t in loaded.pipe.scheduler.timesteps)


def _per_evaluation(counted: list[MacTable], evaluations: int) -> MacTable:
    site_macs = np.sum([table.site_macs for table in counted], 0) / evaluations
    return MacTable(counted[0].sites, site_macs, sum(table.rest_macs for table in counted) / evaluations)


def _zeros(value: Any, device: str) -> Any:
    if not isinstance(value, torch.Tensor) or not value.is_meta:
        return value
    return torch.zeros(value.shape, dtype=value.dtype, device=device)


def _saved(applied: AppliedPolicy, measured: Measurement, steps: int) -> float:
    """MACs that the run did not do, for one image."""
    run = applied.run
    tables = [measured.table] + ([measured.branches] if measured.branches else [])
    cost = {site: macs for table in tables for site, macs in zip(table.sites, table.site_macs, strict=True)}
    calls_a_step = run.calls / steps
    return sum(
        float(cost[site.name]) * (steps - computed / calls_a_step)
        for site, computed in zip(run.sites, run.counts[:, 2], strict=True)
    )
