"""Training of skip branches: what is trained on is what the engine runs; a branch in closed form."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from mddit_ui.core.presets import skip_cache
from mddit_ui.engine.hooks import apply_policy
from mddit_ui.models.skip_dit import with_skips
from mddit_ui.train.skip import Drawn, Middle, SkipConfig, solve
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
    for outer in (1, 2):
        with apply_policy(model, skip_cache(2, 6, 2, b=outer, full_until=1000, reset_at=0)):
            model(**inputs(NAME, 800.0))
            expected = model(**inputs(NAME, 300.0)).sample
        middle = Middle(model, outer)
        with middle.seen():
            model(**inputs(NAME, 800.0))
        with middle.stale():
            stale = model(**inputs(NAME, 300.0)).sample
        assert torch.equal(stale, expected)
        assert len(model.transformer_blocks) == 6
        assert not torch.equal(stale, model(**inputs(NAME, 300.0)).sample)


def test_a_branch_in_closed_form_brings_the_stale_middle_nearer() -> None:
    student = with_skips(build(NAME)).eval()
    rng = np.random.default_rng(0)

    def draw(step: int) -> Drawn:
        now, before = inputs(NAME, 300.0), inputs(NAME, 600.0)
        torch.manual_seed(int(rng.integers(100)))
        noisy = torch.randn_like(now["hidden_states"])
        noisier = noisy + torch.randn_like(noisy)
        given = {key: now[key] for key in now if key not in ("hidden_states", "timestep")}
        return Drawn(noisy, now["timestep"], noisier, before["timestep"], given, 1)

    model: Any = SimpleNamespace(student=student, draw=draw, config=SkipConfig())
    left = solve(model, outer=1, batches=4)
    assert 0 < left < 0.9
    block = student.transformer_blocks[-1]
    assert isinstance(block.skip_linear, nn.Linear)
    assert block.skip_linear.weight.abs().max() > 0
