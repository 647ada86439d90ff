"""Every transformer class of diffusers that a few numbers can build follows a policy, exactly."""

import inspect
from typing import Any

import diffusers
import pytest
import torch
from diffusers.hooks.hooks import HookRegistry, ModelHook
from torch import nn
from torch.utils._pytree import tree_leaves

from mddit_ui.core.policy import Policy
from mddit_ui.engine.hooks import apply_policy
from mddit_ui.engine.run import StepEvent
from mddit_ui.models.sites import find_sites
from tests.engine.reference import by_hand
from tests.engine.tiny_transformers import CASES, NOT_BUILT, build, inputs
from tests.engine.toy import random_policy, traces

TIMESTEPS = (999.0, 700.0, 400.0, 100.0)
FAST = (
    "AuraFlowTransformer2DModel",
    "CogVideoXTransformer3DModel",
    "DiTTransformer2DModel",
    "FluxTransformer2DModel",
    "HunyuanDiT2DModel",
    "LTX2VideoTransformer3DModel",
    "LatteTransformer3DModel",
    "Lumina2Transformer2DModel",
    "PixArtTransformer2DModel",
    "SD3Transformer2DModel",
    "SanaTransformer2DModel",
    "WanTransformer3DModel",
    "WanVACETransformer3DModel",
    "ZImageTransformer2DModel",
)
FASTEST = ("FluxTransformer2DModel", "LatteTransformer3DModel", "PixArtTransformer2DModel", "SD3Transformer2DModel")
EVERY_CLASS = [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in CASES]


@torch.no_grad()
def run(name: str, model: nn.Module) -> list[list[torch.Tensor]]:
    """What the model gives at each timestep: all tensors of its output."""
    outputs = [model(**inputs(name, timestep), **_as_tuple(model)) for timestep in TIMESTEPS]
    return [[leaf for leaf in tree_leaves(output) if isinstance(leaf, torch.Tensor)] for output in outputs]


def _equal(left: list[list[torch.Tensor]], right: list[list[torch.Tensor]]) -> bool:
    """Bit for bit."""
    steps = zip(left, right, strict=True)
    return all(torch.equal(one, two) for ours, theirs in steps for one, two in zip(ours, theirs, strict=True))


def _as_tuple(model: nn.Module) -> dict[str, Any]:
    return {"return_dict": False} if "return_dict" in inspect.signature(type(model).forward).parameters else {}


@pytest.mark.filterwarnings("default")  # what diffusers' models warn about is not ours to test
@pytest.mark.parametrize(
    "name", [name if name in FASTEST else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def test_whatever_raises_half_way_leaves_the_model_as_it_was(name: str) -> None:
    """Attaching that fails at its last block, a call that fails in any block, an observer that stops the run."""
    model = build(name)
    sites = find_sites(model)
    plain = run(name, model)
    before = traces(model)
    last = model.get_submodule(sites[-1].name)
    in_the_way = HookRegistry.check_if_exists_or_initialize(last)
    in_the_way.register_hook(ModelHook(), "mddit")
    with pytest.raises(ValueError, match="already exists"):
        apply_policy(model, Policy.full(4, len(sites)))
    in_the_way.remove_hook("mddit")
    for attribute in ("_diffusers_hook", "forward"):
        delattr(last, attribute)
    assert traces(model) == before

    policy = random_policy(4, len(sites), 0)
    clean = follow(name, model, policy)
    with apply_policy(model, Policy.full(4, len(sites))) as applied:
        run(name, model)
        ran = [
            site for site, counts in zip(sites, applied.run.counts, strict=True) if counts[2]
        ]  # not all are asked to
    for site in (ran[0], ran[len(ran) // 2], ran[-1]):
        block = model.get_submodule(site.name)
        part = next(m for m in block.modules() if isinstance(m, nn.Linear))
        handle = part.register_forward_pre_hook(_fail_at(2))
        with pytest.raises(Stop), apply_policy(model, Policy.full(4, len(sites))):
            run(name, model)
        handle.remove()
        assert traces(model) == before

    def stop(event: StepEvent) -> None:
        if event.step == 1:
            raise Stop

    with pytest.raises(Stop), apply_policy(model, policy, on_step=stop):
        run(name, model)
    assert traces(model) == before
    assert _equal(follow(name, model, policy), clean)
    assert _equal(run(name, model), plain)


class Stop(Exception):
    """Something went wrong in the middle."""


def _fail_at(count: int) -> Any:
    calls = iter(range(1, 100))

    def fail(*_: Any) -> None:
        if next(calls) == count:
            raise Stop

    return fail


def follow(name: str, model: nn.Module, policy: Policy) -> list[list[torch.Tensor]]:
    with apply_policy(model, policy):
        return run(name, model)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", EVERY_CLASS)
def test_follows_a_policy_exactly(name: str) -> None:
    model = build(name)
    sites = len(find_sites(model))
    plain = run(name, model)
    before = traces(model)

    with apply_policy(model, Policy.full(4, sites)) as applied:
        full = run(name, model)
        report = applied.report()
        assert report.steps == 4
        assert report.macs == report.full_macs > 0
    assert _equal(full, plain)

    every_second = Policy.from_rows(["#" * sites, "=" * sites, "#" * sites, "=" * sites])
    for policy in (every_second, random_policy(4, sites, 0), random_policy(4, sites, 1)):
        with apply_policy(model, policy) as applied:
            fast = run(name, model)
        assert applied.run.filled == 0
        assert applied.peak_cache_bytes == applied.predicted_cache_bytes
        with by_hand(model, policy, CASES[name].streams):
            slow = run(name, model)
        for ours, theirs in zip(fast, slow, strict=True):
            for one, two in zip(ours, theirs, strict=True):
                assert torch.allclose(one, two, rtol=1e-5, atol=1e-5 * max(1.0, float(two.abs().max())))
        assert not _equal(fast, plain)  # the policy did change something

    assert traces(model) == before
    assert _equal(run(name, model), plain)


def every_class() -> set[str]:
    """Names of the transformers in diffusers' public list."""
    found = set()
    for name in dir(diffusers):
        kind = getattr(diffusers, name) if "Transformer" in name or name.endswith("DiTModel") else None
        if inspect.isclass(kind) and kind.__module__.startswith("diffusers.models"):
            found.add(name)
    return found


def test_every_class_is_tested_or_has_a_reason_why_not() -> None:
    assert len(CASES) >= 59
    assert set(FAST) <= set(CASES)
    assert not set(CASES) & set(NOT_BUILT)
    assert every_class() <= set(CASES) | set(NOT_BUILT)


@pytest.mark.parametrize("name", NOT_BUILT)
def test_not_built(name: str) -> None:
    pytest.skip(NOT_BUILT[name])
