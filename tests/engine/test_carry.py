"""Cached outputs instead of residuals, and Skip-Cache: against references written straight from the definitions."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mddit_ui.core.policy import Action, Policy, repair
from mddit_ui.core.presets import skip_cache
from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine.hooks import apply_policy
from mddit_ui.engine.memo import Memo
from mddit_ui.engine.runner import generate
from mddit_ui.models.loading import load
from mddit_ui.models.sites import find_sites
from mddit_ui.models.skip_dit import with_skips
from tests.engine.tiny_pipelines import make, run
from tests.engine.tiny_transformers import build, inputs
from tests.engine.toy import ToyTransformer
from tests.engine.toy import run as run_toy
from tests.tiny import PROMPTS

TIMESTEPS = [900.0, 700.0, 500.0, 300.0, 100.0]
PAIRED = ("HunyuanDiT2DModel", "SkipPixArt", "SkipDiT")
MODELS = (*PAIRED, "FluxTransformer2DModel", "LatteTransformer3DModel", "PixArtTransformer2DModel")


def model_and_inputs(name: str) -> tuple[nn.Module, Any]:
    """A tiny model whose skip branches, if it has any, say something; and what to give it at a timestep."""
    plain = {"SkipPixArt": "PixArtTransformer2DModel", "SkipDiT": "DiTTransformer2DModel"}.get(name, name)
    model = build(plain)
    if name.startswith("Skip"):
        model = with_skips(deeper(model), "residual")
        for key, value in model.named_parameters():
            if "skip" in key:
                nn.init.normal_(value, std=0.2)
    return model.eval(), lambda timestep: inputs(plain, timestep)


def deeper(model: Any) -> Any:
    """Of 6 blocks, so that there are three pairs."""
    torch.manual_seed(2)
    made = type(model).from_config({**model.config, "num_layers": 6})
    for value in made.parameters():
        value.data += 0.05 * torch.randn_like(value)
    return made.eval()


@torch.no_grad()
def outputs(model: nn.Module, given: Any) -> list[torch.Tensor]:
    return [model(**given(timestep), return_dict=False)[0] for timestep in TIMESTEPS]


@contextmanager
def by_definition(model: nn.Module, policy: Policy) -> Iterator[None]:
    """A CACHE cell gives what its block gave when it was computed last; everything is kept for ever."""
    at = {"step": -1}
    kept: dict[int, Any] = {}

    def replaced(index: int, block: nn.Module) -> Any:
        def forward(*args: Any, **kwargs: Any) -> Any:
            if policy.actions[at["step"], index] == Action.COMPUTE:
                output = type(block).forward(block, *args, **kwargs)
                kept[index] = tuple(t.clone() for t in output) if isinstance(output, tuple) else output.clone()
            return kept[index]

        return forward

    blocks = [model.get_submodule(site.name) for site in find_sites(model)]
    for index, block in enumerate(blocks):
        block.forward = replaced(index, block)
    counter = model.register_forward_pre_hook(lambda *_: at.update(step=at["step"] + 1))
    try:
        yield
    finally:
        counter.remove()
        for block in blocks:
            del block.forward


@contextmanager
def skip_cache_by_definition(model: nn.Module, b: int, full: list[bool], calls: int = 1) -> Iterator[None]:
    """All blocks run, but on the other steps the last b begin with what entered them at the last full step."""
    at = {"call": -1}
    kept: dict[int, torch.Tensor] = {}

    def enter(block: nn.Module, args: tuple) -> tuple:
        step, call = divmod(at["call"], calls)
        if full[step]:
            kept[call] = args[0].clone()
        return kept[call], *args[1:]

    block = model.get_submodule(find_sites(model)[-b].name)
    handles = [model.register_forward_pre_hook(lambda *_: at.update(call=at["call"] + 1)),
               block.register_forward_pre_hook(enter)]  # fmt: skip
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["###", "===", "===", "==="], [444, 444, 444, 444]),
        (["###", "#=#", "#==", "=##"], [444, 344, 344, 112]),  # by hand: outputs, digit by digit
        (["###", "=.#", "#=.", "==="], [444, 304, 44, 304]),
        (["###", "#.=", "###", "#=="], [444, 444, 222, 222]),
    ],
)
def test_every_digit(rows: list[str], expected: list[float]) -> None:
    with apply_policy(ToyTransformer(), Policy.from_rows(rows, carry="output")) as applied:
        assert run_toy(applied.transformer, [4.0, 3.0, 2.0, 1.0]) == expected


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_carried_exactly(name: str) -> None:
    """Any mixture of computed and cached cells, bit for bit; what is held is what was planned."""
    model, given = model_and_inputs(name)
    sites = len(find_sites(model))
    for seed in range(4):
        table = np.random.default_rng(seed).choice([0, 1], (len(TIMESTEPS), sites), p=[0.6, 0.4])
        policy = Policy(repair(table), carry="output")
        with by_definition(model, policy):
            slow = outputs(model, given)
        with apply_policy(model, policy) as applied:
            fast = outputs(model, given)
            filled = applied.run.filled
            again = outputs(model, given)
        assert all(map(torch.equal, slow, fast))
        assert all(map(torch.equal, slow, again))
        assert filled == 0
        assert applied.peak_cache_bytes == applied.predicted_cache_bytes


@pytest.mark.parametrize("name", PAIRED)
@pytest.mark.parametrize("b", [1, 2])
def test_skip_cache_is_what_the_paper_says_and_holds_one_tensor(name: str, b: int) -> None:
    model, given = model_and_inputs(name)
    sites = tuple(site.name for site in find_sites(model))
    policy = skip_cache(5, sites, 3, b=b, full_until=1000, reset_at=0, timesteps=tuple(TIMESTEPS))
    full = [True, False, False, True, False]
    assert [bool((row == Action.COMPUTE).all()) for row in policy.actions] == full
    with skip_cache_by_definition(model, b, full):
        slow = outputs(model, given)
    with apply_policy(model, policy) as applied:
        fast = outputs(model, given)
        report = applied.report()
    assert all(map(torch.equal, slow, fast))
    assert not torch.equal(fast[1], outputs(model, given)[1])
    slot = applied.run.slots["call 0"]
    assert slot.schedule.plan.peak_residuals == 1
    assert report.peak_cache_bytes == report.predicted_cache_bytes == slot.site_bytes[b]  # one activation
    outer = [slot.macs.site_macs[index] for index in (*range(b), *range(len(sites) - b, len(sites)))]
    assert report.macs == 2 * slot.macs.full(1) + 3 * (sum(outer) + slot.macs.rest_macs)


@pytest.mark.filterwarnings("default")  # what diffusers' pipelines warn about is not ours to test
def test_skip_cache_on_hunyuan_without_training() -> None:
    """diffusers' own pipeline and its own skips, guidance in one batch."""
    pipe = make("HunyuanDiTPipeline")
    policy = skip_cache(4, 6, 2, full_until=1000, reset_at=0)
    with skip_cache_by_definition(pipe.transformer, 1, [True, False, True, False]):
        slow = run("HunyuanDiTPipeline", pipe, 4)
    with apply_policy(pipe, policy) as applied:
        fast = run("HunyuanDiTPipeline", pipe, 4)
    assert torch.equal(slow, fast)
    assert applied.peak_cache_bytes == applied.predicted_cache_bytes
    assert applied.run.counts[:, 1].tolist() == [0, 2, 2, 2, 2, 0]


def test_who_writes_into_an_output_does_not_write_into_the_cache() -> None:
    """The root adds to what the last block gave, in place."""

    class Writing(ToyTransformer):
        def forward(self, hidden_states: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
            return super().forward(hidden_states, timestep).add_(1000)

    with apply_policy(Writing(), Policy.from_rows(["###", "===", "===", "==="], carry="output")) as applied:
        assert run_toy(applied.transformer, [4.0, 3.0, 2.0, 1.0]) == [1444] * 4


def test_what_is_remembered_of_one_way_is_not_used_for_the_other(tiny_pixart: str) -> None:
    loaded = load(tiny_pixart)
    request = GenerationConfig(prompts=PROMPTS, seeds=(1, 2), steps=4, height=64, width=64)
    memo = Memo()
    rows = ["####", "#==#", "####", "#==#"]
    for carry in ("residual", "output", "residual"):
        policy = Policy.from_rows(rows, carry=carry)
        shared, alone = generate(loaded, policy, request, memo=memo), generate(loaded, policy, request)
        np.testing.assert_array_equal(shared.latents, alone.latents)
