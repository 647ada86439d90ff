"""Painting a part of a picture anew: the rest stays, with every pipeline and sampler."""

from typing import Any

import numpy as np
import pytest
import torch

from mddit_ui.core.errors import ConfigError
from mddit_ui.core.inpainting import Inpainting
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine.runner import generate
from mddit_ui.engine.sampling import encode
from mddit_ui.models.loading import load
from tests.tiny import PROMPTS

STEPS = 4
CONFIG = GenerationConfig(prompts=PROMPTS, seeds=(3, 4), steps=STEPS, height=64, width=64)


def task(box: tuple[int, int, int, int] = (16, 16, 40, 48)) -> Inpainting:
    """Two pictures of noise, and a box (top, left, bottom, right) on the edges of latent cells."""
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    masks = np.zeros((2, 64, 64), bool)
    masks[:, box[0] : box[2], box[1] : box[3]] = True
    return Inpainting(images, masks)


def outside(given: Inpainting) -> np.ndarray:
    """(n, 8, 8) latent cells that nothing is painted in."""
    return ~given.masks[:, ::8, ::8]


@pytest.mark.parametrize("model", ["tiny-pixart", "tiny-dit", "tiny-flux"])
def test_what_is_not_painted_stays(model: str, tiny_models: Any) -> None:
    loaded, given = load(model), task()
    config = CONFIG.replace(prompts=(), classes=(1, 0)) if model == "tiny-dit" else CONFIG
    result = generate(loaded, None, config, inpainting=given)
    assert np.array_equal(result.images[~given.masks], given.images[~given.masks])
    assert not np.array_equal(result.images[given.masks], given.images[given.masks])
    clean = encode(loaded, given.images).numpy()
    kept = np.broadcast_to(outside(given)[:, None], clean.shape)
    np.testing.assert_allclose(result.latents[kept], clean[kept], atol=1e-5)
    assert np.abs(result.latents - clean)[~kept].max() > 0.1
    again = generate(loaded, None, config, inpainting=given)
    assert np.array_equal(again.images, result.images)
    assert again.macs == again.full_macs


@pytest.mark.parametrize("scheduler", ["ddim", "euler", "heun", "lcm"])
def test_every_step_puts_back_as_much_noise_as_is_left(scheduler: Any, tiny_pixart: str) -> None:
    """At each step, the known part is the picture's latent, and noise of the deviation that the sampler's rest has."""
    loaded, given = load(tiny_pixart), task()
    config = CONFIG.replace(scheduler=scheduler)
    seen: list[torch.Tensor] = []
    handle = loaded.transformer.register_forward_pre_hook(
        lambda model, args, kwargs: seen.append((args[0] if args else kwargs["hidden_states"]).chunk(2)[0]),
        with_kwargs=True,
    )
    generate(loaded, None, config, inpainting=given)
    handle.remove()
    clean = encode(loaded, given.images)
    kept = torch.from_numpy(outside(given))[:, None].expand_as(clean)
    seen = [states for states in seen if len(states) == 2]  # what it costs is counted with one picture
    far = [float((states[kept] - clean[kept]).std()) for states in seen[1:]]
    assert far == sorted(far, reverse=True) or scheduler == "heun"  # less and less of it
    assert far[-1] < 0.8 * far[0]


def test_all_painted_is_what_was_made_without_a_picture(tiny_pixart: str) -> None:
    loaded = load(tiny_pixart)
    free = generate(loaded, None, CONFIG)
    painted = generate(loaded, None, CONFIG, inpainting=task((0, 0, 64, 64)))
    assert np.array_equal(free.images, painted.images)


def test_with_a_policy(tiny_pixart: str) -> None:
    loaded, given = load(tiny_pixart), task()
    policy = Policy.from_rows(["####", "=##=", "#==#", "===="])
    result = generate(loaded, policy, CONFIG, inpainting=given)
    assert np.array_equal(result.images[~given.masks], given.images[~given.masks])
    assert result.macs < result.full_macs
    full = generate(loaded, Policy.full(STEPS, 4), CONFIG, inpainting=given)
    assert np.array_equal(full.images, generate(loaded, None, CONFIG, inpainting=given).images)


def test_what_does_not_fit_says_so(tiny_pixart: str) -> None:
    images, masks = np.zeros((1, 64, 64, 3), np.uint8), np.ones((1, 64, 64), bool)
    assert len(Inpainting(images, masks).fitted(CONFIG).images) == 2
    assert Inpainting(images[0], masks[0]).digest == Inpainting(images, masks).digest
    with pytest.raises(ConfigError, match="uint8"):
        Inpainting(images.astype(float), masks)
    with pytest.raises(ConfigError, match="masks"):
        Inpainting(images, masks[:, :32])
    with pytest.raises(ConfigError, match="nothing to paint"):
        Inpainting(images, ~masks)
    with pytest.raises(ConfigError, match="at most 4096 pixels"):
        Inpainting(np.zeros((1, 5000, 8, 3), np.uint8), np.ones((1, 5000, 8), bool))
    with pytest.raises(ConfigError, match="32 x 64 pixels, the request 64 x 64"):
        generate(load(tiny_pixart), None, CONFIG, inpainting=Inpainting(images[:, :, :32], masks[:, :, :32]))
    with pytest.raises(ConfigError, match="one picture to paint on, or 2; got 3"):
        Inpainting(images.repeat(3, 0), masks.repeat(3, 0)).fitted(CONFIG)
