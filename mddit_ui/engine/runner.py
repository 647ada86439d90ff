"""Run one generation through the real pipeline."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from mddit_ui.core.errors import ModelError, NotFiniteError
from mddit_ui.core.inpainting import Inpainting
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig, RunResult
from mddit_ui.core.tokens import TokenChoice
from mddit_ui.engine.adapters import call_arguments, seed_steps
from mddit_ui.engine.hooks import AppliedPolicy, attach
from mddit_ui.engine.inpainting import blend_steps
from mddit_ui.engine.measuring import Measurement, measure
from mddit_ui.engine.memo import Memo, Part
from mddit_ui.engine.packing import Packing, packed
from mddit_ui.engine.previews import preview
from mddit_ui.engine.run import Call, StepEvent
from mddit_ui.engine.sampling import decode, sample, with_scheduler
from mddit_ui.models.loading import LoadedModel


def generate(
    loaded: LoadedModel,
    policy: Policy | None,
    config: GenerationConfig,
    *,
    on_step: Callable[[StepEvent], None] | None = None,
    previews: bool = False,
    memo: Memo | Part | None = None,
    tokens: TokenChoice = "routers",
    inpainting: Inpainting | None = None,
    packing: Packing = "off",
) -> RunResult:
    """Pictures of a config under a policy (``None``: the untouched model).

    Image i depends on its prompt and seed alone, not on the batch that it is in.

    Args:
        on_step: called after each model evaluation; may raise ``Cancelled`` to stop there, leaving nothing behind.
        previews: give it a small picture of what the model sees at that step.
        memo: shares work with other policies of the same request; see ``Memo``.
        tokens: who chooses them where the policy keeps some; see ``apply_policy``.
        inpainting: pictures to paint on; the pixels outside of the masks stay theirs.
        packing: on a CPU, faster and rounded otherwise; see ``packed``.

    Raises:
        ConfigError, PolicyError: the request, the policy and the model don't fit.
        NotFiniteError: the latents are not finite; ModelError: the memory is not enough.
    """
    try:
        return _run(loaded, policy, config, on_step, previews, memo, tokens, inpainting, packing)
    except torch.OutOfMemoryError:
        pass  # out of this block nothing holds the frames of the run, and with them its tensors
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    raise ModelError(
        f"The memory of {loaded.device} is not enough for {config.images} images of {config.width} x {config.height} "
        f"px with {loaded.spec.id}; ask for fewer or smaller ones, or close other programs."
    )


def _run(
    loaded: LoadedModel,
    policy: Policy | None,
    config: GenerationConfig,
    on_step: Callable[[StepEvent], None] | None,
    previews: bool,
    memo: Memo | Part | None,
    tokens: TokenChoice,
    inpainting: Inpainting | None,
    packing: Packing,
) -> RunResult:
    with loaded.lock:
        measured = measure(loaded, config)
        arguments = call_arguments(loaded, config)

        def observe(call: Call) -> None:
            if on_step is not None and call.is_first:
                on_step(StepEvent(call.step, len(loaded.pipe.scheduler.timesteps), picture(call)))

        def picture(call: Call) -> np.ndarray | None:
            return preview(loaded.pipe, call, config) if previews else None

        start = time.perf_counter()
        config_of_model: Any = loaded.transformer.config
        is_alone = config_of_model.get("target") is not None  # its own ratios are in no cell, by which memos know
        is_recalled = memo is not None and policy is not None and not is_alone and inpainting is None
        site_hook = memo.hook if memo is not None and is_recalled else None
        with (
            with_scheduler(loaded, config),
            packed(loaded, packing),
            attach(loaded.pipe, policy, observe, site_hook, tokens=tokens) as applied,
        ):
            seed_steps(loaded.pipe.scheduler, arguments["generator"])
            if inpainting is not None:
                inpainting = inpainting.fitted(config)
                blend_steps(loaded, inpainting, config.image_seeds)
            latents, images = sample(loaded, arguments)
            timesteps = tuple(float(t) for t in loaded.pipe.scheduler.timesteps)
        if not bool(torch.isfinite(latents).all()):
            raise NotFiniteError(
                f"{loaded.spec.id} gave numbers that are not finite ({loaded.dtype} on {loaded.device}); "
                "compute more cells, or set MDDIT_DTYPE=float32."
            )
        if images is None:
            images = decode(loaded, latents)
        images = images if inpainting is None else inpainting.over(images)
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


def _saved(applied: AppliedPolicy, measured: Measurement, steps: int) -> float:
    """MACs that the run did not do, for one image."""
    run = applied.run
    tables = [measured.table] + ([measured.branches] if measured.branches else [])
    cost = {site: macs for table in tables for site, macs in zip(table.sites, table.site_macs, strict=True)}
    calls_a_step = run.calls / steps
    not_run = sum(
        float(cost[site.name]) * (steps - computed / calls_a_step)
        for site, computed in zip(run.sites, run.counts[:, 2], strict=True)
    )
    return not_run + sum(
        slot.saved_macs(replace(table, site_macs=np.array([cost[site] for site in table.sites]))) / calls_a_step
        for slot, table in (applied.costs() if any(any(slot.kept) for slot in run.slots.values()) else ())
    )
