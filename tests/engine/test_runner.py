"""Generation through the real pipelines."""

import numpy as np
import pytest
import torch

from mddit_ui.core.errors import Cancelled, ConfigError, ModelError, PolicyError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine.adapters import make_scheduler
from mddit_ui.engine.measuring import measure
from mddit_ui.engine.runner import generate
from mddit_ui.models.loading import load
from tests.engine.toy import random_policy, traces
from tests.tiny import PROMPTS

CONFIG = GenerationConfig(prompts=PROMPTS, seeds=(3, 4), steps=6, height=64, width=64)
CLASSES = GenerationConfig(classes=(1, 7), seeds=(3, 4), steps=6, height=64, width=64, guidance_scale=4.0)


@pytest.fixture
def pixart(tiny_pixart: str):
    return load(tiny_pixart)


@pytest.fixture
def dit(tiny_dit: str):
    return load(tiny_dit)


def test_full_depth_is_the_plain_pipeline(pixart):
    plain = pixart.pipe(
        list(PROMPTS), num_inference_steps=6, guidance_scale=4.5, height=64, width=64, use_resolution_binning=False,
        clean_caption=False, generator=[torch.Generator().manual_seed(seed) for seed in (3, 4)], output_type="np",
    ).images  # fmt: skip
    for policy in (None, Policy.full(6, 4)):
        result = generate(pixart, policy, CONFIG)
        assert np.array_equal(result.images, np.round(plain * 255).astype(np.uint8))
    assert result.latents.shape == (2, 4, 8, 8)
    assert result.latents.dtype == np.float32
    assert result.timesteps == (999.0, 832.0, 666.0, 499.0, 332.0, 166.0)
    assert result.macs == result.full_macs == 2 * 6 * (4 * 1_228_800 + 448_512)
    assert 0 < result.transformer_seconds <= result.wall_seconds


def test_the_numbers_of_a_policy(pixart):
    policy = Policy.from_rows(["####", "====", "#==#", "....", "####", "===="])
    result = generate(pixart, policy, CONFIG)
    table = measure(pixart, CONFIG).table
    assert result.macs == pytest.approx(2 * table.total(policy.actions))
    assert result.macs / result.full_macs == pytest.approx(policy.budget(table))
    residual = measure(pixart, CONFIG).residual_bytes[0]
    assert residual == 2 * 16 * 32 * 4  # both calls of guidance x tokens x width x float32
    assert result.peak_cache_bytes == 2 * 3 * residual  # 2 images; blocks 0 and 3 each one, 1 and 2 one together


def test_an_image_does_not_depend_on_its_batch(pixart):
    policy = random_policy(6, 4, 5)
    both = generate(pixart, policy, CONFIG)
    for index in range(2):
        alone = generate(pixart, policy, CONFIG.replace(prompts=PROMPTS[index : index + 1], seeds=(3 + index,)))
        assert np.allclose(alone.latents[0], both.latents[index], atol=1e-5)


def test_the_same_request_gives_the_same_picture(pixart, dit):
    for loaded, config in ((pixart, CONFIG), (dit, CLASSES)):
        for scheduler in ("default", "lcm"):
            first, second = (generate(loaded, None, config.replace(scheduler=scheduler)) for _ in range(2))
            assert np.array_equal(first.images, second.images)


def test_the_text_encoder_runs_once_for_the_same_prompts(pixart):
    pixart.memo.clear()
    calls = []
    handle = pixart.pipe.text_encoder.register_forward_hook(lambda *_: calls.append(1))
    try:
        generate(pixart, None, CONFIG)
        first = len(calls)
        generate(pixart, Policy.full(6, 4), CONFIG)
    finally:
        handle.remove()
    assert len(calls) == first > 0


def test_classes(dit):
    events = []
    result = generate(dit, Policy.from_rows(["##", "==", "=#", "..", "##", "=="]), CLASSES, on_step=events.append)
    assert result.images.shape == (2, 64, 64, 3)
    assert result.latents.shape == (2, 4, 8, 8)
    assert [event.step for event in events] == list(range(6))
    decoded = dit.pipe.vae.decode(torch.tensor(result.latents) / dit.pipe.vae.config.scaling_factor).sample
    again = ((decoded / 2 + 0.5).clamp(0, 1) * 255).round().permute(0, 2, 3, 1).numpy()
    assert np.abs(again - result.images).max() <= 1
    assert "decode" not in vars(dit.pipe.vae)


def test_a_flow_matching_model_with_two_streams(tiny_flux: str):
    flux = load(tiny_flux)
    config = CONFIG.replace(steps=4, guidance_scale=3.5)
    measured = measure(flux, config)
    assert len(measured.table.sites) == 4
    plain = generate(flux, None, config)
    full = generate(flux, Policy.full(4, 4), config)
    assert np.array_equal(plain.images, full.images)
    assert plain.timesteps == measured.timesteps  # they depend on the size of the image: dynamic shifting
    assert plain.latents.shape == (2, 4, 8, 8)
    half = generate(flux, Policy.from_rows(["####", "====", "#==#", "===="]), config)
    assert half.macs < full.macs
    assert not np.array_equal(half.images, full.images)
    alone = generate(flux, None, config.replace(prompts=PROMPTS[:1], seeds=(3,)))
    assert np.allclose(alone.latents[0], plain.latents[0], atol=1e-5)


def test_events_and_previews(pixart):
    events = []
    generate(pixart, Policy.full(6, 4), CONFIG, on_step=events.append, previews=True)
    assert [(event.step, event.steps) for event in events] == [(step, 6) for step in range(6)]
    assert events[0].preview.shape == (2, 64, 64, 3)
    assert events[0].preview.dtype == np.uint8
    result = generate(pixart, Policy.full(6, 4), CONFIG)
    last = events[-1].preview.astype(float)
    assert np.abs(last - result.images).mean() < 2  # the last step's idea of the clean image is nearly the image


def test_cancel_between_steps_leaves_nothing(pixart, dit):
    for loaded, config, sites in ((pixart, CONFIG, 4), (dit, CLASSES, 2)):
        policy = random_policy(6, sites, 2)
        clean = generate(loaded, policy, config)
        before, scheduler = traces(loaded.transformer), loaded.pipe.scheduler
        steps = []

        def stop(event, steps=steps) -> None:
            steps.append(event.step)
            if event.step == 2:
                raise Cancelled("stop")

        with pytest.raises(Cancelled):
            generate(loaded, policy, config, on_step=stop)
        assert steps == [0, 1, 2]
        assert traces(loaded.transformer) == before
        assert loaded.pipe.scheduler is scheduler
        assert np.array_equal(generate(loaded, policy, config).latents, clean.latents)


@pytest.mark.parametrize(
    ("scheduler", "evaluations"), [("dpm++", 6), ("ddim", 6), ("euler", 6), ("heun", 11), ("lcm", 6)]
)
def test_samplers(pixart, scheduler: str, evaluations: int):
    config = CONFIG.replace(scheduler=scheduler)
    assert len(measure(pixart, config).timesteps) == evaluations
    plain = generate(pixart, None, config)
    full = generate(pixart, Policy.full(evaluations, 4), config)
    assert np.array_equal(plain.latents, full.latents)
    assert len(full.timesteps) == evaluations
    half = generate(pixart, random_policy(evaluations, 4, 0), config)
    assert not np.allclose(half.latents, full.latents, atol=1e-3)


def test_without_guidance(pixart):
    result = generate(pixart, random_policy(6, 4, 0), CONFIG.replace(guidance_scale=1.0))
    assert result.full_macs == 6 * (4 * 1_228_800 + 448_512)


def test_what_is_not_finite_is_said(pixart):
    weight = pixart.transformer.proj_out.weight
    kept = weight.data.clone()
    try:
        weight.data.fill_(float("nan"))
        with pytest.raises(ModelError, match=r"not finite \(float32 on cpu\)"):
            generate(pixart, None, CONFIG)
    finally:
        weight.data.copy_(kept)
    assert np.isfinite(generate(pixart, None, CONFIG).latents).all()


@pytest.mark.parametrize("step", [0, 3, 5])
def test_too_little_memory_is_said_and_the_next_run_is_as_ever(pixart, step):
    before = generate(pixart, None, CONFIG)

    def full(event):
        if event.step == step:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nSee documentation.")

    with pytest.raises(ModelError, match=r"memory of cpu is not enough for 2 images of 64 x 64 px") as told:
        generate(pixart, random_policy(6, 4, 0), CONFIG, on_step=full)
    assert told.value.__context__ is None  # or it would hold what the failed run held
    assert (generate(pixart, None, CONFIG).latents == before.latents).all()


def test_requests_that_do_not_fit(pixart, dit):
    with pytest.raises(ConfigError, match="takes prompts"):
        generate(pixart, None, CLASSES)
    with pytest.raises(ConfigError, match="draws classes"):
        generate(dit, None, CONFIG)
    with pytest.raises(ConfigError, match="classes 0 to 999; got 1000"):
        generate(dit, None, CLASSES.replace(classes=(1, 1000)))
    with pytest.raises(PolicyError, match=r"policy.resample\(11\)"):
        generate(pixart, Policy.full(6, 4), CONFIG.replace(scheduler="heun"))


def test_samplers_of_flow_matching_models():
    from diffusers import FlowMatchEulerDiscreteScheduler

    flow = FlowMatchEulerDiscreteScheduler(shift=3.0)
    for name in ("default", "euler", "heun", "lcm", "dpm++"):
        scheduler = make_scheduler(flow, name)
        scheduler.set_timesteps(4)
        assert len(scheduler.timesteps) >= 4
    with pytest.raises(ConfigError, match="'ddim' does not fit a flow-matching model"):
        make_scheduler(flow, "ddim")
