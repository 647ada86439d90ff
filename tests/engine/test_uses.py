"""What people do with a pipeline besides calling it once: samplers, cancelled runs, LoRA, resampling."""

from typing import Any

import diffusers
import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict

from mddit_ui.core.errors import PolicyError
from mddit_ui.core.policy import Policy
from mddit_ui.engine.hooks import apply_policy
from mddit_ui.models.sites import find_sites
from tests.engine.reference import by_hand
from tests.engine.test_pipelines import close
from tests.engine.tiny_pipelines import FAMILIES, make, run
from tests.engine.toy import random_policy, traces

pytestmark = pytest.mark.filterwarnings("default")  # what diffusers warns about is not ours to test

TWO_CALLS = "FluxPipeline, true guidance"


def slow(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.slow)


def follows(name: str, pipe: Any, policy: Policy, steps: int, **more: Any) -> None:
    """Full depth is the plain call, the policy is what it says."""
    family = FAMILIES[name]
    plain = run(name, pipe, steps, **more)
    with apply_policy(pipe, Policy.full(*policy.actions.shape)) as applied:
        assert torch.equal(run(name, pipe, steps, **more), plain)
        assert applied.run.steps == policy.steps
    with apply_policy(pipe, policy):
        fast = run(name, pipe, steps, **more)
    with by_hand(pipe.transformer, policy, family.streams, family.calls):
        slow = run(name, pipe, steps, **more)
    assert close(fast, slow)
    assert not close(fast, plain)


@pytest.mark.parametrize(
    ("name", "sampler", "options", "evaluations"),
    [
        ("PixArtSigmaPipeline", "HeunDiscreteScheduler", {}, 7),
        slow("DiTPipeline", "KDPM2DiscreteScheduler", {}, 7),
        slow("StableDiffusion3Pipeline", "FlowMatchHeunDiscreteScheduler", {}, 7),
        ("WanPipeline", "FlowMatchHeunDiscreteScheduler", {}, 7),  # guidance in two calls, both repeated
        slow("LattePipeline", "PNDMScheduler", {}, 13),
        ("WanPipeline", "UniPCMultistepScheduler", {"prediction_type": "flow_prediction", "use_flow_sigmas": True}, 4),
    ],
)
def test_samplers_that_make_other_numbers_of_evaluations(name: str, sampler: str, options: dict, evaluations: int):
    pipe = make(name)
    pipe.scheduler = getattr(diffusers, sampler)(**options)
    follows(name, pipe, random_policy(evaluations, len(find_sites(pipe.transformer)), 0), 4)


@pytest.mark.parametrize("name", [TWO_CALLS, *map(slow, ("PixArtSigmaPipeline", "WanPipeline"))])
def test_several_pictures_a_prompt(name: str):
    pipe = make(name)
    number = "num_videos_per_prompt" if "Wan" in name else "num_images_per_prompt"
    policy = random_policy(4, len(find_sites(pipe.transformer)), 2)

    def four() -> torch.Tensor:
        generators = [torch.Generator().manual_seed(seed) for seed in range(4)]
        return run(name, pipe, 4, **{number: 2, "generator": generators})

    with apply_policy(pipe, policy):
        fast = four()
    with by_hand(pipe.transformer, policy, FAMILIES[name].streams, FAMILIES[name].calls):
        slow = four()
    assert len(fast) == 4
    assert close(fast, slow)


class Stop(Exception):
    """What a person's cancel raises."""


@pytest.mark.parametrize(
    "name", ["CogView4Pipeline", *map(slow, ("DiTPipeline", "StableDiffusion3Pipeline", TWO_CALLS, "WanPipeline"))]
)
@pytest.mark.parametrize("bare", [False, True])
def test_a_run_after_a_cancelled_one(name: str, bare: bool):
    """Stopped after any call of the transformer, between the two calls of guidance too."""
    family, pipe = FAMILIES[name], make(name)
    policy = Policy.from_rows([row * len(find_sites(pipe.transformer)) for row in "#=#="])
    with apply_policy(pipe, policy):
        clean = run(name, pipe)
    before = traces(pipe.transformer)
    with apply_policy(pipe.transformer if bare else pipe, policy):
        for last in range(1, 4 * family.calls):
            calls = iter(range(1, 100))

            def stop(*_: Any, calls=calls, last=last) -> None:
                if next(calls) == last:
                    raise Stop

            handle = pipe.transformer.register_forward_hook(stop)
            with pytest.raises(Stop):
                run(name, pipe)
            handle.remove()
            if (
                bare and last <= family.calls
            ):  # the next run's first call looks like another one of this step: no result
                with pytest.raises(PolicyError, match="cut off in its first step"):
                    run(name, pipe)
            assert torch.equal(run(name, pipe), clean)
    assert traces(pipe.transformer) == before


def lora(transformer: torch.nn.Module) -> LoraConfig:
    return LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_v", "linear_1"], init_lora_weights=False)


@pytest.mark.parametrize(
    "name", ["FluxPipeline", *map(slow, ("SanaPipeline", "StableDiffusion3Pipeline", "WanPipeline"))]
)
def test_lora_before_and_during_a_policy(name: str, tmp_path):
    pipe = make(name)
    sites = len(find_sites(pipe.transformer))
    policy = random_policy(4, sites, 1)
    without = run(name, pipe)
    torch.manual_seed(5)
    pipe.transformer.add_adapter(lora(pipe.transformer), "styled")
    with_lora = run(name, pipe)
    assert not close(with_lora, without)
    follows(name, pipe, policy, 4)

    before = traces(pipe.transformer)
    with apply_policy(pipe, policy) as applied:
        styled = run(name, pipe)
        pipe.transformer.disable_adapters()
        plain = run(name, pipe)
        pipe.transformer.enable_adapters()
        assert torch.equal(run(name, pipe), styled)
        assert applied.run.calls == 4 * FAMILIES[name].calls
    assert not close(styled, plain)
    assert traces(pipe.transformer) == before

    # Saved, taken off, and loaded while a policy is at work.
    weights = get_peft_model_state_dict(pipe.transformer, adapter_name="styled")
    pipe.transformer.delete_adapters("styled")
    with apply_policy(pipe, policy):
        assert close(run(name, pipe), plain)
        pipe.transformer.load_lora_adapter(weights, adapter_name="again", prefix=None)
        assert torch.equal(run(name, pipe), styled)
    assert torch.equal(run(name, pipe), with_lora)


def test_lora_around_a_transformer_that_knows_none():
    """PixArt has no adapters of its own; peft wraps it."""
    name = "PixArtSigmaPipeline"
    pipe = make(name)
    without, plain = pipe.transformer, run(name, pipe)
    torch.manual_seed(5)
    pipe.transformer = get_peft_model(without, lora(without))
    with_lora = run(name, pipe)
    assert not close(with_lora, plain)
    policy = random_policy(4, 4, 1)
    with apply_policy(pipe, Policy.full(4, 4)):
        assert torch.equal(run(name, pipe), with_lora)
    with apply_policy(pipe, policy):
        fast = run(name, pipe)
    with by_hand(without, policy, {}):
        assert close(fast, run(name, pipe))
    assert torch.equal(run(name, pipe), with_lora)


def test_lora_scale_of_a_call():
    name = "FluxPipeline"
    pipe = make(name)
    torch.manual_seed(5)
    pipe.transformer.add_adapter(lora(pipe.transformer))
    scale = {"joint_attention_kwargs": {"scale": 0.3}}
    assert not close(run(name, pipe, **scale), run(name, pipe))
    follows(name, pipe, random_policy(4, 4, 1), 4, **scale)


def test_skip_layer_guidance_makes_a_third_call_in_some_steps():
    name = "StableDiffusion3Pipeline"
    pipe = make(name)
    more = {"skip_guidance_layers": [1], "skip_layer_guidance_start": 0.2, "skip_layer_guidance_stop": 0.8}
    plain = run(name, pipe, 6, **more)
    assert not close(plain, run(name, pipe, 6))
    with apply_policy(pipe, Policy.full(6, 3)) as applied:
        assert torch.equal(run(name, pipe, 6, **more), plain)
    assert applied.run.steps == 6
    assert applied.run.calls > 6
    assert len(applied.run.slots) == 2


def test_another_number_of_steps_from_end_to_end():
    """The error says what the run expects; the resampled policy runs, row by row where the timesteps are nearest."""
    name = "PixArtSigmaPipeline"
    pipe = make(name)
    policy = Policy.from_rows(["####", "====", "#==#", "....", "####", "===="])
    with apply_policy(pipe, policy), pytest.raises(PolicyError, match=r"use policy\.resample\(9\)"):
        run(name, pipe, 9)
    pipe.scheduler.set_timesteps(6)
    policy = Policy.from_rows(policy.rows, timesteps=[float(t) for t in pipe.scheduler.timesteps])
    pipe.scheduler.set_timesteps(9)
    for resampled in (policy.resample(9), policy.resample(timesteps=[float(t) for t in pipe.scheduler.timesteps])):
        assert resampled.steps == 9
        follows(name, pipe, resampled, 9)
