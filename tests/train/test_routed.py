"""Training of routed models: ratios that meet their targets, routers in closed form, a loss that moves both."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mddit_ui.core.tokens import BINS
from mddit_ui.models.routed_dit import with_routers
from mddit_ui.train.routed import made_optimizers, ratio_lines, settle, solve_routers
from mddit_ui.train.routed_loss import Drawn, RoutedConfig, RoutedLoss, mac_shares
from tests.engine.tiny_transformers import build, inputs

NAME = "PixArtTransformer2DModel"
CONFIG = RoutedConfig(targets=(0.8, 0.5), regions=2, batch=1, truth=0.2, distance=2.0)


class Taught(RoutedLoss):
    """The loss on the tiny transformer, with drawn inputs instead of a data set."""

    def __init__(self, target: float | None) -> None:
        nn.Module.__init__(self)
        self.config, self.target = CONFIG, target
        transformer: Any = build(NAME)
        self.student = with_routers(transformer, CONFIG.targets, CONFIG.regions).requires_grad_(True)
        self.teacher: Any = [SimpleNamespace(transformer=transformer)]
        self.shares = mac_shares(transformer)

    def draw(self, step: int) -> Drawn:
        one = inputs(NAME, 0.0)
        noisy = torch.randn(2, *one["hidden_states"].shape[1:], generator=torch.Generator().manual_seed(step))
        words = {"encoder_hidden_states": one["encoder_hidden_states"].expand(2, -1, -1)}
        return Drawn(noisy, torch.zeros(2, 8, *noisy.shape[2:]), torch.tensor([800, 300]), words, self.target)


def test_the_loss_is_zero_for_what_the_teacher_says_and_moves_the_ratios_of_its_target() -> None:
    model = Taught(0.5).train()
    said = model(0)
    assert said["taught"].detach() < 1e-3 * said["truth"].detach()  # all ratios are 1
    assert said["r0.5"].detach() == pytest.approx(1)
    said["loss"].backward()
    gradient = model.student.ratios.grad
    assert (gradient[1] != 0).all()  # by the pictures and by the target
    assert (gradient[0] == 0).all()
    expected = 0.2 * said["truth"] + 2 * 0.25 + said["taught"]
    torch.testing.assert_close(said["loss"], expected)
    ungated = Taught(None).train()
    said = ungated(0)
    torch.testing.assert_close(said["loss"], said["taught"] + 0.2 * said["truth"])


def test_a_few_steps_bring_the_mean_ratio_to_its_target() -> None:
    model = Taught(0.5).train()
    made = made_optimizers(model, RoutedConfig(ratio_lr=0.05))
    rates = [group["peak_lr"] for optimizer in made for group in optimizer.param_groups]
    assert rates == [0.01, 6e-4, 1e-3, 0.05]  # matrices, the rest, routers, ratios
    for step in range(30):
        model(step)["loss"].backward()
        for optimizer in made:
            optimizer.step()
            optimizer.zero_grad()
    means = model.mean_ratios()
    assert abs(float(means[0.5].detach()) - 0.5) < 0.12
    assert float(means[0.8].detach()) == pytest.approx(1)  # was never drawn


def test_settled_ratios_are_bins_that_meet_the_target() -> None:
    random = np.random.default_rng(0)
    learned = torch.tensor(random.uniform(0.3, 1, (2, 14, 5)), dtype=torch.float32)
    student = SimpleNamespace(ratios=nn.Parameter(learned.clone()))
    model: Any = SimpleNamespace(student=student, config=CONFIG, shares=torch.full((14,), 1 / 14))
    settle(model)
    found = student.ratios.detach().double().numpy()
    for row, target in enumerate(CONFIG.targets):
        assert np.abs(found[row][..., None] - np.array(BINS)).min(-1).max() < 1e-6
        assert found[row].mean() == pytest.approx(target, abs=0.01)
        order = learned[row].numpy().ravel().argsort()
        assert (np.diff(found[row].ravel()[order]) >= -1e-6).all()  # who had less keeps less


def test_routers_in_closed_form_know_what_their_blocks_change() -> None:
    model = Taught(None)
    explained = solve_routers(model, batches=3)
    assert all(0.2 < share <= 1 for share in explained)
    block = model.student.transformer_blocks[1]
    states = torch.randn(1, 16, block.dim)
    assert float(block.scores(states).detach().std()) > 0
    assert "target 0.5: keeps 1.000" in ratio_lines(model.student)
