"""See and shape which blocks of a diffusion transformer run at which denoising step."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mddit_ui.core.policy import Action, Policy, repair

if TYPE_CHECKING:
    from mddit_ui.engine.hooks import apply_policy
    from mddit_ui.engine.record import record

__version__ = "0.1.0"
__all__ = ["Action", "Policy", "apply_policy", "record", "repair"]

_FROM_TORCH = {"apply_policy": "mddit_ui.engine.hooks", "record": "mddit_ui.engine.record"}


def __getattr__(name: str) -> Any:
    """torch is imported only when something that runs is asked for."""
    if name in _FROM_TORCH:
        return getattr(import_module(_FROM_TORCH[name]), name)
    raise AttributeError(f"module 'mddit_ui' has no attribute {name!r}")
