"""One hook on one module, below whatever others have put on it, and the way back."""

import functools
from collections.abc import Callable
from typing import Any

from diffusers.hooks.hooks import HookRegistry
from torch import nn

from mddit_ui.core.errors import ModelError
from mddit_ui.engine.acting import Hook


class Attached:
    """A hook in diffusers' registry of a module, called last: it stands directly before the module's own forward.

    What others have put there (offloading by accelerate or diffusers, casts) stays around it, whenever it came: weights
    are where they should be for every cell, and pipelines that renew their offloading after each run don't wipe it off.
    """

    def __init__(self, module: nn.Module, hook: Hook, name: str) -> None:
        self.module = module
        self.hook = hook
        self.name = name
        self.had_registry = "_diffusers_hook" in vars(module)
        self.had_forward = "forward" in vars(module)
        self.compiled = module._compiled_call_impl  # by module.compile()
        top, self.base = module.forward, _own_forward(module)
        registry = HookRegistry.check_if_exists_or_initialize(module)
        try:
            if top != self.base:
                module.forward = self.base
            registry.register_hook(hook, name)
        except BaseException:
            self._restore(registry, top)
            raise
        self.ours = module.forward
        if top != self.base:
            module.forward = top
            _last_to_first(registry)
            if not _replace(module, self.base, self.ours, hook):
                self.remove()
                raise ModelError(f"The forward of {type(module).__name__} was replaced by something that hides it.")
        if self.compiled is not None:
            hook.compiled = self.compiled
            module._compiled_call_impl = None

    def remove(self) -> None:
        """The module as it was, but for what others have done since."""
        module = self.module
        registry = vars(module).get("_diffusers_hook")
        if self.compiled is not None:
            module._compiled_call_impl = self.compiled
        if registry is None or registry.hooks.get(self.name) is not self.hook:
            return
        place = registry._hook_order.index(self.name)
        for table in (registry._hook_order, registry._fn_refs):
            table.pop(place)
        del registry.hooks[self.name]
        _replace(module, self.ours, self.base, self.hook)
        self._restore(registry, module.forward)

    def _restore(self, registry: HookRegistry, forward: Callable[..., Any]) -> None:
        self.module.forward = forward
        if not registry.hooks and not self.had_registry:
            del self.module._diffusers_hook
        if not self.had_forward and forward == self.base:
            del self.module.forward


def _own_forward(module: nn.Module) -> Callable[..., Any]:
    """The forward below the wrappers of diffusers' registry and of accelerate, both of which are partials."""
    forward: Any = module.forward
    while isinstance(forward, functools.partial) and hasattr(forward, "__wrapped__"):
        forward = forward.__wrapped__
    return forward


def _last_to_first(registry: HookRegistry) -> None:
    for table in (registry._hook_order, registry._fn_refs):
        table.insert(0, table.pop())


def _replace(module: nn.Module, old: Callable[..., Any], new: Callable[..., Any], ours: Hook) -> bool:
    """Put ``new`` wherever ``old`` is called from; whether there was such a place."""
    found = False
    for name in ("forward", "_old_forward"):
        if vars(module).get(name) == old:
            setattr(module, name, new)
            found = True
    for reference in vars(module)["_diffusers_hook"]._fn_refs:
        name = "forward" if reference.original_forward is None else "original_forward"
        if reference is not ours.fn_ref and getattr(reference, name) == old:
            setattr(reference, name, new)
            found = True
    return found
