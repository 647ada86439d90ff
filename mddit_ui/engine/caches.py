"""diffusers' caches: run a model under one of them, and freeze what it computed as a policy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from diffusers.hooks import (
    FirstBlockCacheConfig,
    MagCacheConfig,
    TaylorSeerCacheConfig,
    apply_first_block_cache,
    apply_mag_cache,
    apply_taylorseer_cache,
)
from torch import nn

from mddit_ui.core.errors import ConfigError, ModelError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine.adapters import call_arguments, seed_steps
from mddit_ui.engine.measuring import measure
from mddit_ui.engine.record import managers, record
from mddit_ui.engine.run import StepEvent
from mddit_ui.engine.sampling import sample, with_scheduler
from mddit_ui.models.loading import LoadedModel
from mddit_ui.models.sites import Granularity, find_sites


@dataclass(frozen=True)
class Method:
    """A cache of diffusers that can be recorded.

    Args:
        granularity: of the policy that it becomes.
        apply: puts it on a transformer; settings as keyword arguments, ``steps`` among them.
        settings: the other settings and their defaults.
        note: what the frozen policy is to the cache.
    """

    granularity: Granularity
    apply: Callable[..., None]
    settings: Mapping[str, float]
    note: str


def freeze(
    loaded: LoadedModel,
    config: GenerationConfig,
    method: str,
    settings: Mapping[str, float] | None = None,
    *,
    on_step: Callable[[StepEvent], None] | None = None,
) -> Policy:
    """Run a model under one of ``METHODS`` and get what it computed as a policy.

    Such a cache decides by what it sees: another prompt may give another policy.

    Raises:
        ConfigError: no such method or setting, or a setting out of bounds.
        ModelError: diffusers' cache does not take this model.
    """
    if method not in METHODS:
        raise ConfigError(f"No method {method[:40]!r}; known are {', '.join(METHODS)}.")
    chosen = METHODS[method]
    given = {**chosen.settings, **(settings or {})}
    if unknown := sorted(set(given) - set(chosen.settings)):
        raise ConfigError(f"{method} has no setting {', '.join(unknown)}; it has {', '.join(chosen.settings)}.")
    if not all(np.isfinite(value) and value >= 0 for value in given.values()):
        raise ConfigError(f"The settings of {method} must be numbers from 0 on.")
    with loaded.lock:
        timesteps = measure(loaded, config).timesteps
        steps = len(timesteps)

        def told(event: StepEvent) -> None:
            if on_step is not None:
                on_step(StepEvent(event.step, steps))

        more = {"mag_ratios": _mag_ratios(loaded, config, steps)} if method == "mag-cache" else {}
        with record(loaded.pipe, granularity=chosen.granularity, on_step=told) as recording:
            _put_on(loaded, chosen.apply, steps=steps, **given, **more)
            _run(loaded, config)
    policy = recording.policy(
        name=f"{method} {' '.join(f'{value:g}' for value in given.values())}",
        model=loaded.spec.id,
        notes={"method": method, **given, "scheduler": config.scheduler, "is": chosen.note},
    )
    return replace(policy, timesteps=timesteps)


def _first_block(transformer: nn.Module, *, steps: int, threshold: float) -> None:
    apply_first_block_cache(transformer, FirstBlockCacheConfig(threshold=threshold))


def _mag(transformer: nn.Module, *, steps: int, mag_ratios: list[float], **settings: float) -> None:
    settings["max_skip_steps"] = int(settings["max_skip_steps"])
    config = MagCacheConfig(num_inference_steps=steps, mag_ratios=mag_ratios, **settings)  # type: ignore[arg-type]
    apply_mag_cache(transformer, config)


def _taylor(transformer: nn.Module, *, steps: int, interval: float, warmup: float, order: float) -> None:
    """By name, since diffusers' own patterns miss the attentions of most models (they want names that end in attn)."""
    if interval < 1 or warmup < 1:
        raise ConfigError("taylorseer computes at least the first step, and at intervals of at least 1.")
    names = [site.name.replace(".", r"\.") for site in find_sites(transformer, "branch")]
    config = TaylorSeerCacheConfig(
        cache_interval=int(interval),
        disable_cache_before_step=int(warmup),
        max_order=int(order),
        taylor_factors_dtype=torch.float32,
        cache_identifiers=names,
    )
    apply_taylorseer_cache(transformer, config)


METHODS = {
    "first-block-cache": Method(
        "block",
        _first_block,
        {"threshold": 0.1},
        "the same computation: it reuses the sum of the residuals of all blocks after the first, as a policy does",
    ),
    "mag-cache": Method(
        "block",
        _mag,
        {"threshold": 0.06, "max_skip_steps": 3, "retention_ratio": 0.2},
        "the same computation where blocks have one stream: it reuses the sum of the residuals of all blocks",
    ),
    "taylorseer": Method(
        "branch",
        _taylor,
        {"interval": 3, "warmup": 3, "order": 1},
        "the nearest policy: it extrapolates what a branch gave (order 0: reuses it), a policy reuses it",
    ),
}


def _put_on(loaded: LoadedModel, apply: Callable[..., None], *args: Any, **settings: Any) -> None:
    """diffusers says in many ways that a cache of its does not know a model."""
    try:
        apply(loaded.transformer, *args, **settings)
    except (ValueError, IndexError, KeyError, AttributeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise ModelError(f"diffusers' cache does not take {loaded.spec.id}: {reason}") from error


def _run(loaded: LoadedModel, config: GenerationConfig) -> None:
    with with_scheduler(loaded, config):
        arguments = call_arguments(loaded, config)
        seed_steps(loaded.pipe.scheduler, arguments["generator"])
        sample(loaded, arguments)


def _mag_ratios(loaded: LoadedModel, config: GenerationConfig, steps: int) -> list[float]:
    """How much the residual of all blocks grows from step to step: what MagCache is to be told of a model."""
    ratios: list[float] = []
    found: list[Any] = []

    def see(event: StepEvent) -> None:
        ratios[:] = found[0].get_state().calibration_ratios

    with record(loaded.pipe, on_step=see) as recording:
        # One step more than there are: at its last one it would print what it has found, and forget it.
        _put_on(loaded, apply_mag_cache, MagCacheConfig(calibrate=True, num_inference_steps=steps + 1))
        first = loaded.transformer.get_submodule(recording.applied.run.sites[0].name)
        hooks = vars(first)["_diffusers_hook"].hooks.values()
        found += [manager for hook in hooks for manager in managers(hook)]
        _run(loaded, config)
    return ratios
