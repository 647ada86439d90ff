"""What models that grow out of diffusers' own have in common."""

import inspect
from collections.abc import Callable
from typing import Any


def takes_more(base: type, **more: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives an ``__init__(self, *args, **kwargs)`` the signature of ``base`` with ``more`` (name -> default): diffusers
    reads it to know what belongs into the config."""

    def tell(init: Callable[..., None]) -> Callable[..., None]:
        theirs = inspect.signature(base.__init__)  # type: ignore[misc]
        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default) for name, default in more.items()
        ]
        init.__signature__ = theirs.replace(parameters=[*theirs.parameters.values(), *added])  # type: ignore
        return init

    return tell
