"""Columns that are branches of blocks: attention and feed-forward by themselves."""

import pytest
import torch
from torch import nn

from mddit_ui.core.errors import PolicyError
from mddit_ui.core.policy import Action, Policy
from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine.hooks import apply_policy
from mddit_ui.engine.measuring import measure
from mddit_ui.engine.runner import generate
from mddit_ui.models.loading import load
from mddit_ui.models.sites import find_sites
from tests.engine.test_any_transformer import _equal, run
from tests.engine.tiny_transformers import build
from tests.engine.toy import random_policy, traces
from tests.tiny import PROMPTS

CLASSES = (
    "PixArtTransformer2DModel",
    "DiTTransformer2DModel",
    "FluxTransformer2DModel",
    "SD3Transformer2DModel",
    "WanTransformer3DModel",
    "SanaTransformer2DModel",
)


def by_hand(name: str, model: nn.Module, policy: Policy) -> list[list[torch.Tensor]]:
    """Every output kept for ever; a skip is zeros of the shape of the output that there would be."""
    step = {"at": -1}
    kept: dict[int, object] = {}

    def replaced(index: int, branch: nn.Module):
        def forward(*args, **kwargs):
            action = policy.actions[step["at"], index]
            output = type(branch).forward(branch, *args, **kwargs)
            if action == Action.COMPUTE:
                kept[index] = output
            several = isinstance(output, tuple)
            if action == Action.SKIP:
                return tuple(torch.zeros_like(o) for o in output) if several else torch.zeros_like(output)
            return kept[index]

        return forward

    branches = [model.get_submodule(site) for site in policy.sites]
    for index, branch in enumerate(branches):
        branch.forward = replaced(index, branch)
    counter = model.register_forward_pre_hook(lambda *_: step.update(at=step["at"] + 1))
    try:
        return run(name, model)
    finally:
        counter.remove()
        for branch in branches:
            del branch.forward


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", CLASSES)
def test_exactly(name: str):
    model = build(name)
    sites = tuple(site.name for site in find_sites(model, "branch"))
    plain, before = run(name, model), traces(model)
    with apply_policy(model, Policy.full(4, sites)):
        assert _equal(run(name, model), plain)
    for seed in range(2):
        policy = Policy(random_policy(4, len(sites), seed).actions, sites=sites)
        with apply_policy(model, policy) as applied:
            fast = run(name, model)
            report = applied.report()
        assert _equal(fast, by_hand(name, model, policy))
        assert not _equal(fast, plain)
        assert report.peak_cache_bytes == report.predicted_cache_bytes
        assert report.macs < report.full_macs
    assert traces(model) == before


def test_macs_of_branches(tiny_pixart: str):
    loaded = load(tiny_pixart)
    config = GenerationConfig(prompts=PROMPTS, seeds=(0, 1), steps=4, height=64, width=64)
    measured = measure(loaded, config)
    attention, cross, feed_forward = measured.branches.site_macs[:3]
    tokens, width, text = 16, 32, 120
    assert attention == 2 * (4 * tokens * width**2 + 2 * tokens**2 * width)
    assert cross == 2 * (2 * tokens * width**2 + 2 * text * width**2 + 2 * tokens * text * width)
    assert feed_forward == 2 * 8 * tokens * width**2
    assert measured.branches.full(1) == measured.table.full(1)
    policy = Policy(random_policy(4, 12, 0).actions, sites=measured.branches.sites)
    result = generate(loaded, policy, config)
    assert result.macs == pytest.approx(2 * measured.branches.total(policy.actions))


def test_blocks_and_branches_do_not_mix(tiny_pixart: str):
    sites = ("transformer_blocks.0.attn1", "transformer_blocks.1")
    with pytest.raises(PolicyError, match="one kind for all columns"):
        apply_policy(load(tiny_pixart).pipe, Policy.full(4, sites))
