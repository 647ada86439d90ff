"""Training of skip branches: what is trained on is what the engine runs; runs of a teacher."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from mddit_ui.core.presets import skip_cache
from mddit_ui.engine.hooks import apply_policy
from mddit_ui.models.skip_dit import with_skips
from mddit_ui.train.skip import Middle, Shown, SkipConfig, SkipLoss
from mddit_ui.train.trajectories import Trajectories, uneven_timesteps
from tests.engine.tiny_transformers import build, inputs

NAME = "PixArtTransformer2DModel"


def grown(seed: int = 3) -> Any:
    """Six blocks, so that there are three pairs."""
    torch.manual_seed(seed)
    plain = build(NAME)
    made = with_skips(type(plain).from_config({**plain.config, "num_layers": 6}))
    for value in made.parameters():
        value.data += 0.05 * torch.randn_like(value)
    return made.eval()


@torch.no_grad()
def test_a_stale_middle_is_that_of_skip_cache() -> None:
    model = grown()
    middle = Middle(model)
    with middle.seen(1, 2):
        model(**inputs(NAME, 800.0))
    for outer in (1, 2):
        with apply_policy(model, skip_cache(2, 6, 2, b=outer, full_until=1000, reset_at=0)):
            model(**inputs(NAME, 800.0))
            expected = model(**inputs(NAME, 300.0)).sample
        with middle.stale(outer):
            stale = model(**inputs(NAME, 300.0)).sample
        assert torch.equal(stale, expected)
        assert len(model.transformer_blocks) == 6
        assert not torch.equal(stale, model(**inputs(NAME, 300.0)).sample)


def test_the_stale_pass_teaches_the_middle() -> None:
    """Its gradient arrives at blocks that do not run in it."""
    model = grown().train()
    middle = Middle(model)
    with middle.seen(1):
        model(**inputs(NAME, 800.0))
    with middle.stale(1):
        model(**inputs(NAME, 300.0)).sample.square().mean().backward()
    assert model.transformer_blocks[3].attn1.to_q.weight.grad.abs().max() > 0


def test_errors_of_both_captions_count_and_what_guidance_makes_of_them() -> None:
    """The one says 1 too much, the other one is right: guided, that is 2.5 too much."""
    truth = torch.zeros(2, 1, 2, 2)
    said = torch.stack([torch.ones(1, 2, 2), torch.zeros(1, 2, 2)])
    student = lambda noisy, timestep: SimpleNamespace(sample=said)  # noqa: E731
    loss: Any = SimpleNamespace(student=student, config=SkipConfig(guided_weight=0.1))
    error = SkipLoss.error(loss, Shown(truth, torch.zeros(2), truth), {})
    assert float(error) == 0.5 + 0.1 * 2.5**2


def test_timesteps_of_a_teacher_go_down_one_in_each_part() -> None:
    timesteps = uneven_timesteps(np.random.default_rng(0), 20)
    assert timesteps[0] == 999
    assert all(999 * (19 - at) / 20 - 1 <= each <= 999 * (20 - at) / 20 for at, each in enumerate(timesteps))


def test_runs_of_a_teacher_come_back_from_the_disk(tmp_path: Path) -> None:
    runs = Trajectories(torch.arange(2), torch.ones(2, 3, dtype=torch.int64), torch.randn(2, 3, 4, 2, 2).half(),
                        torch.randn(2, 3, 2, 4, 2, 2).half())  # fmt: skip
    runs.save(tmp_path / "runs")
    back = Trajectories.load(tmp_path / "runs")
    assert all(torch.equal(mine, its) for mine, its in zip(vars(runs).values(), vars(back).values(), strict=True))
