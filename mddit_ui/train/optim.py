"""Muon for the hidden matrices, AdamW for the rest, as one list of optimizers with one learning-rate dial."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

# Newton-Schulz coefficients of Muon (Jordan 2024, kellerjordan.github.io/posts/muon): steep at zero, flat near one.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """Momentum whose update is replaced by its nearest orthogonal matrix; convolutions are read as (out, in k k).

    torch.optim.Muon takes matrices only; half of our parameters are kernels. Updates are scaled by
    sqrt(max(1, rows / columns)), so that one learning rate serves all shapes.
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is None:
                    continue
                state = self.state[param]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(param)
                momentum = state["momentum"].lerp_(param.grad, 1 - group["momentum"])
                update = param.grad.lerp(momentum, group["momentum"])  # Nesterov
                update = orthogonal(update.flatten(1)).view_as(param)
                scale = max(1.0, param.shape[0] / param[0].numel()) ** 0.5
                param.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"] * scale)


def orthogonal(matrix: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """About U V' of a matrix U S V', (m, n): the singular values end between 0.7 and 1.2."""
    a, b, c = NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if tall else x).to(matrix.dtype)


def optimizers(
    named: Iterable[tuple[str, nn.Parameter]],
    muon_lr: float,
    adam_lr: float,
    not_muon: tuple[str, ...] = (),
    weight_decay: float = 0.0,
) -> list[torch.optim.Optimizer]:
    """Muon for what has two or more axes and no name of `not_muon` in its name; AdamW for the rest."""
    matrices: list[torch.nn.Parameter] = []
    rest: list[torch.nn.Parameter] = []
    for name, param in named:
        if param.requires_grad:
            hidden = param.ndim >= 2 and not any(part in name for part in not_muon)
            (matrices if hidden else rest).append(param)
    made: list[torch.optim.Optimizer] = []
    if matrices:
        made.append(Muon(matrices, muon_lr, weight_decay=weight_decay))
    if rest:
        made.append(torch.optim.AdamW(rest, adam_lr, betas=(0.9, 0.98), weight_decay=0.0, foreach=True))
    for optimizer in made:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return made


def set_rate(made: list[torch.optim.Optimizer], factor: float) -> None:
    """Set every learning rate to `factor` times its peak."""
    for optimizer in made:
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor
