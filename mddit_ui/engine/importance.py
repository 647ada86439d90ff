"""Which tokens the blocks of a routed model keep, at every step of a run."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from mddit_ui.core.errors import ModelError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine.acting import BlockHook
from mddit_ui.engine.adapters import call_arguments, seed_steps
from mddit_ui.engine.hooks import attach
from mddit_ui.engine.run import Call, Run, StepEvent
from mddit_ui.engine.sampling import decode, sample, with_scheduler
from mddit_ui.models.loading import LoadedModel
from mddit_ui.models.routed_dit import RoutedBlock, best, is_routed


class _Watching(BlockHook):
    """A column of the policy that notes which tokens its cells run on."""

    def __init__(self, run: Run, index: int, seen: np.ndarray) -> None:
        super().__init__(run, index)
        self.seen = seen

    def original(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        states = args[0] if args else kwargs["hidden_states"]
        if isinstance(module, RoutedBlock):
            chosen = best(module.scores(states), kwargs["keep"])
            marks = torch.zeros(states.shape[:2], device=states.device).scatter(1, chosen, 1.0)
            self.seen[self.run.step, self.index] = marks.mean(0).cpu().numpy()
        return super().original(module, *args, **kwargs)


def kept_tokens(
    loaded: LoadedModel,
    policy: Policy,
    config: GenerationConfig,
    *,
    on_step: Callable[[StepEvent], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Run a request for one picture, and see which tokens each cell keeps.

    Returns:
        (steps, sites, rows, columns) share of the calls of guidance that kept a patch, 0 in cells that don't run; and
        the picture, (h, w, 3) uint8.

    Raises:
        ModelError: the model has no token routers.
    """
    transformer: Any = loaded.transformer
    if not is_routed(transformer):
        raise ModelError(f"{loaded.spec.id} has no token routers: all its blocks run on all tokens.")
    one = config.replace(prompts=config.prompts[:1], classes=config.classes[:1], seeds=config.seeds[:1])
    patch = transformer.config.patch_size * 2 ** (len(loaded.pipe.vae.config.block_out_channels) - 1)
    rows, columns = one.height // patch, one.width // patch
    seen = np.zeros((*policy.actions.shape, rows * columns), np.float32)

    def observe(call: Call) -> None:
        if on_step is not None and call.is_first:
            on_step(StepEvent(call.step, policy.steps))

    with loaded.lock, torch.no_grad():
        arguments = call_arguments(loaded, one)
        with (
            with_scheduler(loaded, one),
            attach(loaded.pipe, policy, observe, lambda run, index: _Watching(run, index, seen)),
        ):
            seed_steps(loaded.pipe.scheduler, arguments["generator"])
            latents, images = sample(loaded, arguments)
        picture = (decode(loaded, latents) if images is None else images)[0]
    return seen.reshape(*policy.actions.shape, rows, columns), picture
