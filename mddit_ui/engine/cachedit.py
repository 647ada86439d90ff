"""cache-dit (https://github.com/vipshop/cache-dit), where it is installed: put on a pipeline, and taken off again."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import MethodType
from typing import Any

from torch import nn

from mddit_ui.core.errors import ConfigError

INSTALL = "pip install cache-dit"


def is_installed() -> bool:
    return find_spec("cache_dit") is not None


def put_on(pipe: Any, *, threshold: float, warmup: int = 8, first: int = 1, last: int = 0, order: int = 0) -> None:
    """Its DBCache: the first blocks tell whether those between them and the last ones are reused.

    Args:
        threshold: how much what the first blocks give may have changed; warmup: first steps that run in full.
        first, last: blocks that always run.
        order: of the extrapolation of what is reused (its TaylorSeer); 0 reuses it as it is.

    Raises:
        ConfigError: it is not installed, or ``first`` is not positive.
    """
    if not is_installed():
        raise ConfigError(f"cache-dit is not installed: {INSTALL}")
    if first < 1:
        raise ConfigError(f"cache-dit decides by its first blocks, at least 1; got {first}.")
    import cache_dit

    for name in list(logging.root.manager.loggerDict):  # each of its modules sets a level of its own
        if name.startswith("cache_dit"):
            logging.getLogger(name).setLevel(logging.ERROR)
    config = cache_dit.DBCacheConfig(
        Fn_compute_blocks=first,
        Bn_compute_blocks=last,
        residual_diff_threshold=threshold,
        max_warmup_steps=warmup,
    )
    calibrator = cache_dit.TaylorSeerCalibratorConfig(taylorseer_order=order) if order else None
    cache_dit.enable_cache(pipe, cache_config=config, calibrator_config=calibrator)


@contextmanager
def taken_off(target: Any) -> Iterator[None]:
    """Afterwards it is gone without a trace, if it was put on inside: by itself it leaves some.

    Args:
        target: a pipeline, or a transformer.
    """
    transformer = target if isinstance(target, nn.Module) else target.transformer
    before = {module: set(vars(module)) for module in transformer.modules()}
    forward, call = vars(transformer).get("forward"), type(target).__call__
    scheduler = getattr(target, "scheduler", None)
    try:
        yield
    finally:
        if "_original_forward" in set(vars(transformer)) - before[transformer]:
            import cache_dit

            transformer._original_forward = MethodType(type(transformer).forward, transformer)  # it binds it anew
            cache_dit.disable_cache(target)
            for module, names in before.items():
                for name in set(vars(module)) - names:
                    delattr(module, name)
            if forward is not None:
                transformer.forward = forward
            if scheduler is not None:
                target.scheduler = scheduler
            if type(target).__call__ is not call:
                type(target).__call__ = call
