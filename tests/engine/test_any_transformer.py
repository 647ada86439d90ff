"""Every transformer class of diffusers that a few numbers can build follows a policy, exactly."""

import inspect
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from mddit_ui.core.policy import Policy
from mddit_ui.engine.hooks import apply_policy
from mddit_ui.models.sites import find_sites
from tests.engine.reference import by_hand
from tests.engine.tiny_transformers import CASES, build, inputs
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
@pytest.mark.parametrize("name", EVERY_CLASS)
def test_follows_a_policy_exactly(name: str) -> None:
    model = build(name)
    sites = len(find_sites(model))
    plain = run(name, model)
    before = traces(model)

    with apply_policy(model, Policy.full(4, sites)) as applied:
        full = run(name, model)
        assert applied.report().steps == 4
    assert _equal(full, plain)

    every_second = Policy.from_rows(["#" * sites, "=" * sites, "#" * sites, "=" * sites])
    for policy in (every_second, random_policy(4, sites, 0), random_policy(4, sites, 1)):
        with apply_policy(model, policy) as applied:
            fast = run(name, model)
            report = applied.report()
        assert report.filled == 0
        assert report.peak_cache_bytes == report.predicted_cache_bytes
        with by_hand(model, policy, CASES[name].streams):
            slow = run(name, model)
        for ours, theirs in zip(fast, slow, strict=True):
            for one, two in zip(ours, theirs, strict=True):
                assert torch.allclose(one, two, rtol=1e-5, atol=1e-5 * max(1.0, float(two.abs().max())))
        assert not _equal(fast, plain)  # the policy did change something

    assert traces(model) == before
    assert _equal(run(name, model), plain)


def test_there_are_many_classes() -> None:
    assert len(CASES) >= 50
    assert set(FAST) <= set(CASES)
