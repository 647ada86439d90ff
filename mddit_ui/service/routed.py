"""What a routed model has learned: how many tokens its blocks keep, and which."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from mddit_ui.core.errors import ModelError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig
from mddit_ui.core.tokens import TIMESTEPS
from mddit_ui.engine.importance import kept_tokens
from mddit_ui.engine.run import StepEvent
from mddit_ui.models.loading import load
from mddit_ui.models.routed_dit import is_routed, learned_keep
from mddit_ui.service.catalog import describe


class Learned(NamedTuple):
    """The kept ratios that a model has learned.

    Args:
        sites: names of the blocks.
        edges: (regions + 1,) timesteps between which each region lies, noisiest first.
        ratios: target -> (blocks, regions), the bins that inference runs at.
    """

    sites: tuple[str, ...]
    edges: tuple[float, ...]
    ratios: dict[float, np.ndarray]


def learned(model_id: str) -> Learned:
    """The ratios of a routed model, for all its targets. Loads it."""
    transformer = _routed(model_id)
    regions = transformer.config.regions
    edges = np.linspace(TIMESTEPS, 0, regions + 1)
    middles = ((edges[:-1] + edges[1:]) / 2).tolist()
    return Learned(
        sites=tuple(f"transformer_blocks.{index}" for index in range(len(transformer.transformer_blocks))),
        edges=tuple(edges.tolist()),
        ratios={target: learned_keep(transformer, middles, target).T for target in transformer.config.targets},
    )


def learned_policy(model_id: str, target: float, steps: int | None = None, scheduler: str = "default") -> Policy:
    """Everything computed, on the shares of the tokens that the model has learned for a target.

    Raises:
        ModelError: it has no routers, or has learned other targets.
    """
    transformer = _routed(model_id)
    view = describe(model_id, steps or load(model_id).spec.steps, scheduler)
    keep = learned_keep(transformer, view.timesteps, target)
    notes = {"made_by": "mddit policies learned", "target": target}
    return Policy.full(
        len(view.timesteps),
        view.sites,
        timesteps=view.timesteps,
        keep=keep,
        model=view.spec.id,
        name=f"learned ratios, target {target:g}",
        notes=notes,
    )


def importance(
    model_id: str, policy: Policy, config: GenerationConfig, *, on_step: Callable[[StepEvent], None] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(steps, sites, rows, columns) which patches each cell kept in the run of one picture; and the picture."""
    return kept_tokens(load(model_id), policy, config, on_step=on_step)


def _routed(model_id: str) -> Any:
    transformer: Any = load(model_id).transformer
    if not is_routed(transformer):
        raise ModelError(f"{model_id} has no token routers, so it has learned no ratios; scenes-routed has.")
    return transformer
