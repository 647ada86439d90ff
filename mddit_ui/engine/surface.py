"""How smooth a model's features are around a point of a run: how alike they stay when its latents are pushed aside."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from mddit_ui.core.errors import ConfigError
from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine.adapters import call_arguments, seed_steps
from mddit_ui.engine.hooks import attach
from mddit_ui.engine.measuring import measure
from mddit_ui.engine.run import Call, StepEvent
from mddit_ui.engine.sampling import sample, with_scheduler
from mddit_ui.metrics.features import cosine
from mddit_ui.models.loading import LoadedModel
from mddit_ui.models.sites import find_sites

LATENTS = "hidden_states"  # what diffusers' transformers call them


@dataclass(frozen=True, eq=False)
class Surface:
    """What the last block gives at one step of a run, against what it gives for pushed latents.

    Args:
        model: id; step, timestep: where in the run.
        pushes: (side,) length of a push along either direction, as a share of the latents' own length.
        similarity: (side, side) cosine, mean over the images; [i, j]: pushed by ``pushes[i]`` along the first random
            direction and by ``pushes[j]`` along the second.
    """

    model: str
    step: int
    timestep: float
    pushes: np.ndarray
    similarity: np.ndarray


def surface(
    loaded: LoadedModel,
    config: GenerationConfig,
    *,
    at: float = 0.5,
    reach: float = 0.5,
    side: int = 9,
    seed: int = 0,
    on_step: Callable[[StepEvent], None] | None = None,
) -> Surface:
    """The smoothness surface of Skip-DiT (arXiv 2411.17616), whose text does not say what is pushed: here the latents.

    Args:
        at: which step, as a share of the run; reach: the longest push; side: points along either direction.
        seed: of the two directions, which are the same for all images.
        on_step: called after every evaluation of the model; may raise ``Cancelled``.

    Raises:
        ConfigError: a setting out of bounds.
    """
    if not (0 <= at <= 1 and 0 < reach < np.inf and 1 <= side <= 101):
        raise ConfigError(f"A surface needs 0 <= at <= 1, reach > 0 and 1 to 101 points; got {at}, {reach}, {side}.")
    with loaded.lock:
        timesteps = measure(loaded, config).timesteps
        step = round(at * (len(timesteps) - 1))
        total = step + 1 + side * side

        def told(done: int) -> None:
            if on_step is not None:
                on_step(StepEvent(done, total))

        calls = _calls_of_step(loaded, config, step, told)
        pushes = np.linspace(-reach, reach, side) if side > 1 else np.zeros(1)
        similarity = np.zeros((side, side))
        with _watched(loaded.transformer) as features, torch.no_grad():
            still = [_features(loaded.transformer, features, call) for call in calls]
            for index, (one, other) in enumerate((one, other) for one in pushes for other in pushes):
                pushed = [_features(loaded.transformer, features, call, (one, other), seed) for call in calls]
                alike = [float(cosine(new, old).mean()) for new, old in zip(pushed, still, strict=True)]
                similarity.flat[index] = np.mean(alike)
                told(step + 1 + index)
    return Surface(loaded.spec.id, step, float(timesteps[step]), pushes, similarity)


class _Enough(Exception):
    """The run has come to the step that was asked for."""


def _calls_of_step(
    loaded: LoadedModel, config: GenerationConfig, step: int, told: Callable[[int], None]
) -> list[tuple[tuple, dict[str, Any]]]:
    """What the transformer is given in one step of a run: guidance may call it twice."""
    calls: list[tuple[tuple, dict[str, Any]]] = []
    last = len(measure(loaded, config).timesteps) - 1

    def observe(call: Call) -> None:
        if call.is_first:
            told(call.step)
        if call.step > step:
            raise _Enough
        if call.step == step:
            calls.append((call.args, dict(call.kwargs)))

    arguments = call_arguments(loaded, config)
    with with_scheduler(loaded, config), attach(loaded.pipe, None, observe):
        seed_steps(loaded.pipe.scheduler, arguments["generator"])
        try:
            sample(loaded, arguments)
        except _Enough:
            return calls
    if step < last:
        raise ConfigError(f"The run ended before step {step}.")
    return calls


@contextmanager
def _watched(transformer: nn.Module) -> Iterator[list[torch.Tensor]]:
    """A list that holds what the last block gave in the last call."""
    seen: list[torch.Tensor] = []

    def see(block: nn.Module, args: tuple, output: Any) -> None:
        elements = (output,) if isinstance(output, torch.Tensor) else output
        seen[:] = [element for element in elements if isinstance(element, torch.Tensor)]

    handle = transformer.get_submodule(find_sites(transformer)[-1].name).register_forward_hook(see)
    try:
        yield seen
    finally:
        handle.remove()


def _features(
    transformer: nn.Module,
    features: list[torch.Tensor],
    call: tuple[tuple, dict[str, Any]],
    push: tuple[float, float] = (0.0, 0.0),
    seed: int = 0,
) -> tuple[torch.Tensor, ...]:
    args, kwargs = call
    if LATENTS in kwargs:
        transformer(*args, **{**kwargs, LATENTS: _pushed(kwargs[LATENTS], push, seed)})
    else:
        transformer(_pushed(args[0], push, seed), *args[1:], **kwargs)
    return tuple(features)


def _pushed(latents: torch.Tensor, push: tuple[float, float], seed: int) -> torch.Tensor:
    """Latents (b, ...) moved along two directions of their own length."""
    generator = torch.Generator().manual_seed(seed)
    length = latents.flatten(1).norm(dim=1).view(-1, *[1] * (latents.ndim - 1))  # (b, 1, ...)
    moved = latents
    for share in push:
        direction = torch.randn(latents.shape[1:], generator=generator).to(latents)
        moved = moved + share * length * direction / direction.norm()
    return moved
