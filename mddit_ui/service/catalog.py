"""What models there are, and what a run of one would cost."""

from dataclasses import dataclass
from typing import Any, cast

from mddit_ui.core.cost import MacTable
from mddit_ui.core.records import GenerationConfig, ModelSpec, SchedulerName
from mddit_ui.engine.runner import measure
from mddit_ui.models.loading import load
from mddit_ui.models.registry import get_model, list_models

__all__ = ["ModelView", "describe", "get_model", "list_models"]


@dataclass(frozen=True, eq=False)
class ModelView:
    """A model and the grid of a run of it.

    Args:
        sites: names of the columns, in the order in which they run.
        timesteps: (rows,) one for each model evaluation (Heun makes 2 n - 1 of n steps).
        mac_table: one evaluation, one image, guidance counted.
        residual_bytes: one site's residual for one image, guidance counted; the largest where they differ.
    """

    spec: ModelSpec
    sites: tuple[str, ...]
    timesteps: tuple[float, ...]
    mac_table: MacTable
    residual_bytes: int


def describe(model_id: str, steps: int, scheduler: str = "default") -> ModelView:
    """The grid of a model at its own size and guidance. Loads it."""
    loaded = load(model_id)
    spec = loaded.spec
    subject: dict[str, Any] = {"prompts": ("a",)} if spec.conditioning == "prompt" else {"classes": (0,)}
    config = GenerationConfig(
        **subject,
        steps=steps,
        guidance_scale=spec.guidance_scale,
        scheduler=cast(SchedulerName, scheduler),  # checked by the record
        height=spec.height,
        width=spec.width,
    )
    measured = measure(loaded, config)
    return ModelView(
        spec, measured.table.sites, measured.timesteps, measured.table, max(measured.residual_bytes, default=0)
    )
