"""The smoothness surface: 1 where nothing is pushed, less where more is; and nothing is left behind."""

import numpy as np
import pytest
import torch

from mddit_ui.core.errors import Cancelled, ConfigError
from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine.surface import _pushed, surface
from mddit_ui.models.loading import load
from tests.engine.toy import traces
from tests.tiny import PROMPTS


def config(**more) -> GenerationConfig:
    return GenerationConfig(prompts=PROMPTS, seeds=(1, 2), steps=4, height=64, width=64, **more)


@pytest.mark.parametrize("model", ["tiny-pixart", "tiny-flux"])  # latents by place, and by name
def test_a_surface(tiny_models, model: str) -> None:
    loaded = load(model)
    surface(loaded, config(), at=1 / 3, side=1)  # Flux's pipeline leaves a registry of diffusers' on its transformer
    before = traces(loaded.transformer)
    seen: list[tuple[int, int]] = []
    found = surface(loaded, config(), at=1 / 3, side=5, on_step=lambda event: seen.append((event.step, event.steps)))
    assert traces(loaded.transformer) == before
    assert (found.model, found.step) == (model, 1)
    np.testing.assert_allclose(found.pushes, [-0.5, -0.25, 0, 0.25, 0.5])
    assert found.similarity.shape == (5, 5)
    assert found.similarity[2, 2] == pytest.approx(1, abs=1e-6)
    inner, corners = found.similarity[1:4, 1:4], found.similarity[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.max() < inner.min() < 1
    again = surface(loaded, config(), at=1 / 3, side=5)
    np.testing.assert_array_equal(again.similarity, found.similarity)
    assert [step for step, _ in seen] == sorted(step for step, _ in seen)
    assert {steps for _, steps in seen} == {2 + 25}


def test_pushes_have_the_length_that_was_asked_for() -> None:
    latents = torch.randn(3, 4, 8, 8)
    moved = _pushed(latents, (0.25, 0.0), 0) - latents
    torch.testing.assert_close(moved.flatten(1).norm(dim=1), 0.25 * latents.flatten(1).norm(dim=1))
    other = _pushed(latents, (0.0, 0.25), 0) - latents
    assert abs(torch.cosine_similarity(moved.flatten(), other.flatten(), 0)) < 0.3  # another direction


def test_it_can_be_cancelled_and_leaves_nothing(tiny_pixart: str) -> None:
    loaded = load(tiny_pixart)
    before = traces(loaded.transformer)

    def stop(event) -> None:
        if event.step >= 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        surface(loaded, config(), side=5, on_step=stop)
    assert traces(loaded.transformer) == before


@pytest.mark.parametrize("wrong", [{"at": 1.5}, {"reach": 0.0}, {"side": 0}, {"side": 1000}])
def test_wrong_settings_are_refused(tiny_pixart: str, wrong: dict) -> None:
    with pytest.raises(ConfigError, match="A surface needs"):
        surface(load(tiny_pixart), config(), **wrong)
