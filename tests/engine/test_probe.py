"""The probe's numbers against their definition, computed slowly from a recorded run."""

import numpy as np
import pytest
import torch

from mddit_ui.core.errors import ConfigError
from mddit_ui.core.records import Calibration, GenerationConfig
from mddit_ui.engine.probe import probe
from mddit_ui.engine.runner import generate
from mddit_ui.models.loading import load
from tests.engine.toy import traces
from tests.tiny import PROMPTS

CONFIG = GenerationConfig(prompts=PROMPTS, seeds=(3, 4), steps=5, height=64, width=64)


def test_against_the_definition(tiny_pixart: str):
    loaded = load(tiny_pixart)
    record: list[tuple[torch.Tensor, torch.Tensor]] = []
    handles = [
        block.register_forward_hook(lambda module, args, output: record.append((args[0].clone(), output.clone())))
        for block in loaded.transformer.transformer_blocks
    ]
    try:
        generate(loaded, None, CONFIG)
    finally:
        for handle in handles:
            handle.remove()
    inputs, outputs = (
        torch.stack([pair[which] for pair in record]).reshape(5, 4, 4, -1).double().numpy() for which in (0, 1)
    )  # (steps, sites, 2 images x guidance, tokens x width)
    before = traces(loaded.transformer)
    found = probe(loaded, CONFIG, ages=2)
    assert traces(loaded.transformer) == before

    def norm(x: np.ndarray) -> np.ndarray:
        return np.linalg.norm(x, axis=-1)

    def cosine(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return ((x * y).sum(-1) / norm(x) / norm(y)).mean(-1)

    residual = outputs - inputs
    close = {"rtol": 1e-4, "atol": 1e-6}
    assert np.allclose(found.site_similarity, cosine(outputs, inputs), **close)
    assert np.allclose(found.step_similarity[1:], cosine(outputs[1:], outputs[:-1]), **close)
    assert np.isnan(found.step_similarity[0]).all()
    assert np.allclose(found.residual_size, (norm(residual) / norm(inputs)).mean(-1), **close)
    assert found.residual_change.shape == (2, 5, 4)
    for age in (1, 2):
        change = (norm(residual[age:] - residual[:-age]) / norm(residual[age:])).mean(-1)
        assert np.allclose(found.residual_change[age - 1, age:], change, **close)
        assert np.isnan(found.residual_change[age - 1, :age]).all()
    assert found.sites == tuple(f"transformer_blocks.{i}" for i in range(4))
    assert found.prompts == PROMPTS


def test_it_travels_as_json(tiny_pixart: str):
    found = probe(load(tiny_pixart), CONFIG, ages=1)
    again = Calibration.from_dict(found.to_dict())
    assert np.allclose(again.residual_change, found.residual_change, atol=1e-6, equal_nan=True)


def test_steps_are_told_and_ages_checked(tiny_dit: str):
    events = []
    config = GenerationConfig(classes=(1,), steps=4, height=64, width=64)
    found = probe(load(tiny_dit), config, on_step=events.append)
    assert [event.step for event in events] == [0, 1, 2, 3]
    assert found.step_similarity.shape == (4, 2)
    with pytest.raises(ConfigError, match="ages=0"):
        probe(load(tiny_dit), config, ages=0)
