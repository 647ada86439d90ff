"""The probe's numbers against their definition, computed slowly from a recorded run."""

import numpy as np
import pytest
import torch

from mddit_ui.core.calibration import Calibration
from mddit_ui.core.errors import ConfigError
from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine.probe import Seen, probe
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
    )  # (steps, sites, guidance x 2 images, tokens x width)
    before = traces(loaded.transformer)
    found = probe(loaded, CONFIG, ages=2)
    assert traces(loaded.transformer) == before

    def norm(x: np.ndarray) -> np.ndarray:
        return np.linalg.norm(x, axis=-1)

    def cosine(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x * y).sum(-1) / norm(x) / norm(y)

    def same(name: str, where, expected: np.ndarray) -> None:
        by_image = expected.reshape(*expected.shape[:-1], 2, 2).mean(-2)  # over guidance
        assert np.allclose(getattr(found, name)[where], by_image.mean(-1), rtol=1e-4, atol=1e-6)
        assert np.allclose(found.spreads[name][where], by_image.std(-1), rtol=1e-2, atol=1e-6)
        assert by_image.std(-1).max() > 1e-5  # the two images are not alike

    residual = outputs - inputs
    same("site_similarity", slice(None), cosine(outputs, inputs))
    same("step_similarity", slice(1, None), cosine(outputs[1:], outputs[:-1]))
    same("residual_size", slice(None), norm(residual) / norm(inputs))
    assert np.isnan(found.step_similarity[0]).all()
    assert np.isnan(found.spreads["step_similarity"][0]).all()
    assert found.residual_change.shape == (2, 5, 4)
    for age in (1, 2):
        change = norm(residual[age:] - residual[:-age]) / norm(residual[age:])
        same("residual_change", (age - 1, slice(age, None)), change)
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


def test_rows_of_a_batch_find_their_image():
    seen = Seen(steps=1, sites=1, ages=1, images=2)
    two_frames_each = torch.tensor([1.0, 3.0, 10.0, 30.0, 5.0, 7.0, 50.0, 70.0])  # empty prompt, then prompt
    seen.add("residual_size", (0, 0), two_frames_each, rows=4)
    assert seen.by_image("residual_size").tolist() == [[[4, 40]]]
    seen.add("residual_size", (0, 0), torch.tensor([6.0, 60.0]), rows=2)  # another call of this step
    assert seen.by_image("residual_size").tolist() == [[[5, 50]]]
    assert seen.means()["residual_size"].tolist() == [[27.5]]
    assert seen.spreads()["residual_size"].tolist() == [[22.5]]
    seen.add("step_similarity", (0, 0), torch.tensor([1.0, 2.0, 3.0]), rows=4)  # not to be told apart
    assert seen.by_image("step_similarity").tolist() == [[[2, 2]]]
