"""See and shape which blocks of a diffusion transformer run at which denoising step."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mddit_ui.core.policy import Action, Policy, repair

if TYPE_CHECKING:
    from mddit_ui.engine.hooks import apply_policy

__version__ = "0.1.0"
__all__ = ["Action", "Policy", "apply_policy", "repair"]


def __getattr__(name: str) -> Any:
    """torch is imported only when ``apply_policy`` is asked for."""
    if name == "apply_policy":
        return import_module("mddit_ui.engine.hooks").apply_policy
    raise AttributeError(f"module 'mddit_ui' has no attribute {name!r}")
