"""ZeroGPU: there, work on the GPU runs in a process of its own, through ``spaces.GPU``; elsewhere nothing changes."""

import importlib.util
import os
from collections.abc import Callable
from functools import cache
from typing import Any

from mddit_ui.ui.quotas import quotas


def has_zero_gpu() -> bool:
    """Whether this Space lends its GPU call by call."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "true") and _has_spaces()


@cache
def on_gpu(work: Callable[..., Any]) -> Callable[..., Any]:
    """``work`` with the GPU where it is lent: its arguments and its result are then copied between processes.

    Made once for each work; the page does so when it is built, since ZeroGPU looks for such functions at the start.
    """
    if not has_zero_gpu():
        return work
    import spaces

    return spaces.GPU(duration=quotas().gpu_seconds)(work)


def _has_spaces() -> bool:
    return importlib.util.find_spec("spaces") is not None
