"""What diffusers' caches compute, frozen as policies that give the same pictures."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from diffusers.hooks import (
    FirstBlockCacheConfig,
    TaylorSeerCacheConfig,
    apply_first_block_cache,
    apply_taylorseer_cache,
)
from torch import nn

import mddit_ui
from mddit_ui.core.errors import ConfigError, ModelError, PolicyError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine.adapters import call_arguments, seed_steps
from mddit_ui.engine.caches import METHODS, freeze
from mddit_ui.engine.hooks import apply_policy
from mddit_ui.engine.run import StepEvent
from mddit_ui.engine.sampling import sample as run_pipeline
from mddit_ui.engine.sampling import with_scheduler
from mddit_ui.models.loading import LoadedModel, load
from mddit_ui.models.sites import find_sites
from tests.engine.toy import ToyTransformer, run
from tests.tiny import PROMPTS

STEPS = 8


def config_of(loaded: LoadedModel) -> GenerationConfig:
    subject = {"classes": (1, 2)} if loaded.spec.conditioning == "class" else {"prompts": PROMPTS}
    return GenerationConfig(**subject, seeds=(0, 1), steps=STEPS, guidance_scale=4.5, height=64, width=64)


def latents(loaded: LoadedModel, config: GenerationConfig) -> torch.Tensor:
    with with_scheduler(loaded, config):
        arguments = call_arguments(loaded, config)
        seed_steps(loaded.pipe.scheduler, arguments["generator"])
        return run_pipeline(loaded, arguments)[0]


def both(
    loaded: LoadedModel, put_on: Callable[[nn.Module], None], granularity: str = "block"
) -> tuple[Policy, torch.Tensor, torch.Tensor]:
    """(policy, latents under the cache, latents under the frozen policy)."""
    config = config_of(loaded)
    with mddit_ui.record(loaded.pipe, granularity=granularity) as recording:
        put_on(loaded.transformer)
        cached = latents(loaded, config)
    policy = recording.policy()
    with apply_policy(loaded.pipe, policy):
        return policy, cached, latents(loaded, config)


def state(transformer: nn.Module) -> dict[str, set[str]]:
    """What lies on each module."""
    return {name: set(vars(module)) for name, module in transformer.named_modules()}


@pytest.mark.parametrize("model", ["tiny-pixart", "tiny-dit", "tiny-flux"])
def test_a_frozen_first_block_cache_gives_its_pictures(model: str, tiny_models: object):
    """FirstBlockCache adds the sum of the residuals of all blocks after the first: a run of cached cells."""
    loaded = load(model)
    full = latents(loaded, config_of(loaded))
    for threshold in (0.05, 0.1, 0.2, 0.4, 0.8):  # random weights: one that computes some steps and not others
        policy, cached, frozen = both(
            loaded, lambda transformer, t=threshold: apply_first_block_cache(transformer, FirstBlockCacheConfig(t))
        )
        partial = [row for row in policy.rows if "=" in row]
        if 0 < len(partial) < STEPS - 1:
            break
    sites = policy.actions.shape[1]
    assert set(policy.rows) == {"#" * sites, "#" + "=" * (sites - 1)}
    assert policy.sites == tuple(site.name for site in find_sites(loaded.transformer))
    assert len(policy.timesteps) == STEPS
    assert (frozen - cached).abs().max() <= 1e-5
    assert (full - cached).abs().max() > 1e-4


def test_a_frozen_taylorseer_of_order_0_gives_its_pictures(tiny_pixart: str):
    """Of order 0 it reuses what the attentions and feed-forwards gave; the gates are those of the step."""
    loaded = load(tiny_pixart)
    names = [site.name.replace(".", r"\.") for site in find_sites(loaded.transformer, "branch")]
    settings = TaylorSeerCacheConfig(
        cache_interval=3, disable_cache_before_step=2, max_order=0,
        taylor_factors_dtype=torch.float32, cache_identifiers=names,
    )  # fmt: skip
    policy, cached, frozen = both(loaded, lambda t: apply_taylorseer_cache(t, settings), "branch")
    assert [row[0] for row in policy.rows] == list("##=#==#=")  # (step - 2 - 1) % 3 == 0
    assert (frozen - cached).abs().max() <= 1e-5


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_frozen(method: str, tiny_pixart: str):
    loaded = load(tiny_pixart)
    before = state(loaded.transformer)
    seen: list[StepEvent] = []
    if method == "cache-dit":
        pytest.importorskip("cache_dit")
    settings = {
        "first-block-cache": {"threshold": 0.3},
        "mag-cache": {"threshold": 0.5},
        "cache-dit": {"threshold": 0.3, "warmup": 2},
    }.get(method, {})
    policy = freeze(loaded, config_of(loaded), method, settings, on_step=seen.append)
    assert policy.steps == STEPS
    assert 0 < (policy.actions == 0).mean() < 1
    assert policy.model == tiny_pixart
    assert policy.notes["method"] == method
    assert [event.step for event in seen] == list(range(STEPS))
    assert {event.steps for event in seen} == {STEPS}
    assert state(loaded.transformer) == before


def test_a_frozen_mag_cache_gives_its_pictures(tiny_pixart: str):
    """Whole steps are reused: the sum of all residuals. Recorded and frozen in two runs of ``freeze``."""
    loaded = load(tiny_pixart)
    config = config_of(loaded)
    policy = freeze(loaded, config, "mag-cache", {"threshold": 0.5})
    assert set(policy.rows) == {"####", "===="}
    from mddit_ui.engine import caches

    ratios = caches._mag_ratios(loaded, config, STEPS)
    assert len(ratios) == STEPS
    assert ratios[0] == 1.0
    assert np.isfinite(ratios).all()
    settings = {"mag_ratios": ratios, "threshold": 0.5, "max_skip_steps": 3, "retention_ratio": 0.2}
    with (
        mddit_ui.record(loaded.pipe) as recording,
        caches.under(loaded, METHODS["mag-cache"].put_on, steps=STEPS, **settings),
    ):
        cached = latents(loaded, config)
    assert recording.policy() == policy
    with apply_policy(loaded.pipe, policy):
        assert (latents(loaded, config) - cached).abs().max() <= 1e-5


def test_a_frozen_cache_dit_gives_its_pictures(tiny_pixart: str):
    """By hand, as in its manual; the first and the last block always run, the residual of those between is reused."""
    cache_dit = pytest.importorskip("cache_dit")
    loaded = load(tiny_pixart)
    config, sites = config_of(loaded), find_sites(loaded.transformer)
    before, own = state(loaded.transformer), vars(type(loaded.pipe)).copy()
    untouched = latents(loaded, config)
    settings = cache_dit.DBCacheConfig(
        Fn_compute_blocks=1, Bn_compute_blocks=1, max_warmup_steps=2, residual_diff_threshold=0.3
    )
    with mddit_ui.record(loaded.pipe) as recording:
        cache_dit.enable_cache(loaded.pipe, cache_config=settings)
        cached = latents(loaded, config)
        assert recording.applied.report().full_macs > 0  # counting MACs comes to an end among its modules
    policy = recording.policy()
    assert set(policy.rows) == {"####", "#==#"}
    assert policy.sites == tuple(site.name for site in sites)
    with apply_policy(loaded.pipe, policy):
        assert (latents(loaded, config) - cached).abs().max() <= 1e-5
    assert (untouched - cached).abs().max() > 1e-4
    assert state(loaded.transformer) == before
    assert dict(vars(type(loaded.pipe))) == own
    assert torch.equal(latents(loaded, config), untouched)


def test_cache_dit_is_asked_for_where_it_is_not_installed(tiny_pixart: str, monkeypatch: pytest.MonkeyPatch):
    loaded = load(tiny_pixart)
    before = state(loaded.transformer)
    monkeypatch.setattr("mddit_ui.engine.cachedit.is_installed", lambda: False)
    with pytest.raises(ConfigError, match="cache-dit is not installed: pip install cache-dit"):
        freeze(loaded, config_of(loaded), "cache-dit")
    assert state(loaded.transformer) == before


def test_the_model_is_as_it_was(tiny_pixart: str):
    loaded = load(tiny_pixart)
    config = config_of(loaded)
    before, untouched = state(loaded.transformer), latents(loaded, config)
    with pytest.raises(PolicyError, match="Nothing has run"), mddit_ui.record(loaded.pipe) as recording:  # noqa: PT012
        apply_first_block_cache(loaded.transformer, FirstBlockCacheConfig(0.5))
        recording.policy()
    assert state(loaded.transformer) == before
    assert torch.equal(latents(loaded, config), untouched)


def test_the_last_run_counts():
    toy = ToyTransformer()
    with mddit_ui.record(toy) as recording:
        run(toy, [4.0, 3.0, 2.0])
        run(toy, [4.0, 3.0])
    assert recording.policy(name="mine", model="toy").rows == ("###", "###")


def test_nothing_has_run():
    with mddit_ui.record(ToyTransformer()) as recording:
        pass
    with pytest.raises(PolicyError, match="Nothing has run"):
        recording.policy()


def test_not_under_a_policy(tiny_pixart: str):
    loaded = load(tiny_pixart)
    with (
        apply_policy(loaded.pipe, Policy.full(STEPS, 4)),
        pytest.raises(PolicyError, match="already"),
        mddit_ui.record(loaded.pipe),
    ):
        pass


@pytest.mark.parametrize(
    ("method", "settings", "says"),
    [
        ("teacache", {}, "known are first-block-cache"),
        ("first-block-cache", {"interval": 3}, "no setting interval"),
        ("first-block-cache", {"threshold": -1}, "from 0 on"),
        ("first-block-cache", {"threshold": float("nan")}, "from 0 on"),
        ("taylorseer", {"interval": 0}, "at least 1"),
        ("cache-dit", {"first": 0}, "at least 1|not installed"),
    ],
)
def test_wrong_settings_are_said(method: str, settings: dict, says: str, tiny_pixart: str):
    loaded = load(tiny_pixart)
    before = state(loaded.transformer)
    with pytest.raises(ConfigError, match=says):
        freeze(loaded, config_of(loaded), method, settings)
    assert state(loaded.transformer) == before


def test_a_model_that_the_cache_does_not_know_is_said(tiny_pixart: str, monkeypatch: pytest.MonkeyPatch):
    """diffusers finds blocks by the names of their lists."""
    loaded = load(tiny_pixart)
    blocks = loaded.transformer.transformer_blocks
    del loaded.transformer.transformer_blocks
    loaded.transformer.joint_transformer_blocks = blocks
    try:
        with pytest.raises(ModelError, match="does not take tiny-pixart"), warnings.catch_warnings():
            freeze(loaded, config_of(loaded), "first-block-cache")
    finally:
        del loaded.transformer.joint_transformer_blocks
        loaded.transformer.transformer_blocks = blocks
