"""A transformer whose every number can be worked out by hand, and the slow way to follow a policy."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from mddit_ui.core.policy import Action, Policy


class ToyBlock(nn.Module):
    """out = h + w * t, so that its residual, w * t, tells in which step it was computed."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.linear.weight, weight)

    def forward(self, hidden_states: torch.Tensor, temb: torch.Tensor | None = None) -> torch.Tensor:
        hidden_states = hidden_states + self.linear(temb)
        return hidden_states


class ToyTransformer(nn.Module):
    """Block i adds 10^i * timestep."""

    def __init__(self, blocks: int = 3) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([ToyBlock(10.0**index) for index in range(blocks)])

    def forward(self, hidden_states: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        temb = timestep.reshape(1, 1).float()
        for block in self.blocks:
            hidden_states = block(hidden_states, temb=temb)
        return hidden_states


@torch.no_grad()
def run(transformer: nn.Module, timesteps: list[float]) -> list[float]:
    """What the toy gives for zero at each timestep."""
    return [float(transformer(torch.zeros(1, 1), timestep=torch.tensor(t))) for t in timesteps]


@contextmanager
def slow_reference(transformer: nn.Module, names: list[str], policy: Policy, row: Callable[[], int]) -> Iterator[None]:
    """Follow a policy by hand: every residual kept for ever, blocks of one stream only."""
    kept: dict[str, torch.Tensor] = {}

    def replaced(index: int, name: str, original: Callable) -> Callable:
        def forward(hidden_states: torch.Tensor, *args, **kwargs) -> torch.Tensor:
            action = policy.actions[row(), index]
            if action == Action.SKIP:
                return hidden_states
            if action == Action.CACHE:
                return hidden_states + kept[name]
            output = original(hidden_states, *args, **kwargs)
            kept[name] = output - hidden_states
            return output

        return forward

    blocks = [transformer.get_submodule(name) for name in names]
    for index, (name, block) in enumerate(zip(names, blocks, strict=True)):
        block.forward = replaced(index, name, block.forward)
    try:
        yield
    finally:
        for block in blocks:
            del block.forward


def random_policy(steps: int, sites: int, seed: int) -> Policy:
    """Any legal mixture of the three actions."""
    from mddit_ui.core.policy import repair

    generator = torch.Generator().manual_seed(seed)
    return Policy(repair(torch.randint(-1, 2, (steps, sites), generator=generator).numpy()))


def traces(transformer: nn.Module) -> dict[str, list[str]]:
    """The attributes of every module, to see whether anything was left behind."""
    return {name: sorted(f"{key}={id(value)}" for key, value in vars(m).items() if key != "training")
            for name, m in transformer.named_modules()}  # fmt: skip
