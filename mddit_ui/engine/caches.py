"""Caches of others: run a model under one of them, and freeze what it computed as a policy."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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

from mddit_ui.core.errors import ConfigError, MdditError, ModelError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine import cachedit
from mddit_ui.engine.adapters import call_arguments, seed_steps
from mddit_ui.engine.cachedit import taken_off
from mddit_ui.engine.measuring import measure
from mddit_ui.engine.record import give_context, hook_names, managers, record, remove_others
from mddit_ui.engine.run import StepEvent
from mddit_ui.engine.sampling import sample, with_scheduler
from mddit_ui.models.loading import LoadedModel
from mddit_ui.models.sites import Granularity, find_sites


@dataclass(frozen=True)
class Method:
    """A cache that can be recorded.

    Args:
        granularity: of the policy that it becomes.
        put_on: a model; settings as keyword arguments, ``steps`` among them.
        settings: the other settings and their defaults.
        note: what the frozen policy is to the cache.
    """

    granularity: Granularity
    put_on: Callable[..., None]
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
        ModelError: the cache does not take this model.
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
        with (
            record(loaded.pipe, granularity=chosen.granularity, on_step=told) as recording,
            under(loaded, chosen.put_on, steps=steps, **given, **more),
        ):
            _run(loaded, config)
    policy = recording.policy(
        name=f"{method} {' '.join(f'{value:g}' for value in given.values())}",
        model=loaded.spec.id,
        notes={"method": method, **given, "scheduler": config.scheduler, "is": chosen.note},
    )
    return replace(policy, timesteps=timesteps)


@contextmanager
def under(loaded: LoadedModel, put_on: Callable[..., None], **settings: Any) -> Iterator[None]:
    """The model with a cache on it, such as that of one of ``METHODS``.

    Raises:
        ConfigError: a setting out of bounds, or it is not installed.
        ModelError: the cache does not take this model.
    """
    transformer = loaded.transformer
    before = hook_names(transformer)
    with taken_off(loaded.pipe):
        try:
            _put_on(loaded, put_on, **settings)
            give_context(transformer, before)
            yield
        finally:
            remove_others(transformer, before)


def _first_block(loaded: LoadedModel, *, steps: int, threshold: float) -> None:
    apply_first_block_cache(loaded.transformer, FirstBlockCacheConfig(threshold=threshold))


def _mag(loaded: LoadedModel, *, steps: int, mag_ratios: list[float], **settings: float) -> None:
    settings["max_skip_steps"] = int(settings["max_skip_steps"])
    config = MagCacheConfig(num_inference_steps=steps, mag_ratios=mag_ratios, **settings)  # type: ignore[arg-type]
    apply_mag_cache(loaded.transformer, config)


def _taylor(loaded: LoadedModel, *, steps: int, interval: float, warmup: float, order: float) -> None:
    """By name, since diffusers' own patterns miss the attentions of most models (they want names that end in attn)."""
    if interval < 1 or warmup < 1:
        raise ConfigError("taylorseer computes at least the first step, and at intervals of at least 1.")
    names = [site.name.replace(".", r"\.") for site in find_sites(loaded.transformer, "branch")]
    config = TaylorSeerCacheConfig(
        cache_interval=int(interval),
        disable_cache_before_step=int(warmup),
        max_order=int(order),
        taylor_factors_dtype=torch.float32,
        cache_identifiers=names,
    )
    apply_taylorseer_cache(loaded.transformer, config)


def _cache_dit(loaded: LoadedModel, *, steps: int, threshold: float, **settings: float) -> None:
    whole = {name: int(value) for name, value in settings.items()}
    cachedit.put_on(loaded.pipe, threshold=threshold, **whole)


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
    "cache-dit": Method(
        "block",
        _cache_dit,
        {"threshold": 0.08, "warmup": 8, "first": 1, "last": 0, "order": 0},
        "the same computation with order 0: it reuses the sum of the residuals of the blocks between first and last",
    ),
}


def _put_on(loaded: LoadedModel, put_on: Callable[..., None], **settings: Any) -> None:
    """Caches say in many ways that they don't know a model."""
    try:
        put_on(loaded, **settings)
    except (AssertionError, ValueError, IndexError, KeyError, AttributeError) as error:
        if isinstance(error, MdditError):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise ModelError(f"This cache does not take {loaded.spec.id}: {reason}") from error


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

    # One step more than there are: at its last one it would print what it has found, and forget it.
    config_of_cache = MagCacheConfig(calibrate=True, num_inference_steps=steps + 1)

    def put_on(loaded: LoadedModel) -> None:
        apply_mag_cache(loaded.transformer, config_of_cache)

    with record(loaded.pipe, on_step=see) as recording, under(loaded, put_on):
        first = loaded.transformer.get_submodule(recording.applied.run.sites[0].name)
        hooks = vars(first)["_diffusers_hook"].hooks.values()
        found += [manager for hook in hooks for manager in managers(hook)]
        _run(loaded, config)
    return ratios
