"""How smooth a model's features are: over its steps, and around one of them."""

from collections.abc import Callable

from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine.run import StepEvent
from mddit_ui.engine.surface import Surface
from mddit_ui.engine.surface import surface as measure
from mddit_ui.models.loading import load

__all__ = ["Surface", "surface"]


def surface(model_id: str, config: GenerationConfig, *, on_step: Callable[[StepEvent], None] | None = None) -> Surface:
    """How alike the features stay when the latents in the middle of a run are pushed aside."""
    return measure(load(model_id), config, on_step=on_step)
