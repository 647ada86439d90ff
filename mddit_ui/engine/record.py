"""Record what another cache computes, and freeze it as a policy that can be read, edited and compared."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from diffusers.hooks.hooks import CacheContext, StateManager
from torch import nn

from mddit_ui.core.errors import PolicyError
from mddit_ui.core.policy import Action, Policy, repair
from mddit_ui.engine.acting import Hook
from mddit_ui.engine.cachedit import taken_off
from mddit_ui.engine.hooks import AppliedPolicy, attach
from mddit_ui.engine.run import Call, Run, StepEvent
from mddit_ui.models.sites import Granularity

CONTEXT = "mddit"  # of a cache in a pipeline that sets no context of its own


@contextmanager
def record(
    target: Any, *, granularity: Granularity = "block", on_step: Callable[[StepEvent], None] | None = None
) -> Iterator["Recording"]:
    """Watch which sites run, while something else decides it; the last run inside of the ``with`` counts.

    Enable a cache of diffusers inside of it (``transformer.enable_cache(config)``, or ``apply_first_block_cache`` and
    the like for models without it), or cache-dit (``cache_dit.enable_cache(pipe)``), run the pipeline, and ask for
    ``recording.policy()``. Afterwards the transformer is as it was: the cache is gone too. ::

        with mddit_ui.record(pipe) as recording:
            apply_first_block_cache(pipe.transformer, FirstBlockCacheConfig(threshold=0.1))
            pipe("a fox in the snow", num_inference_steps=20)
        policy = recording.policy()

    Args:
        target: a diffusers pipeline, or a transformer.
        granularity: "block", or "branch" for a cache that acts on attentions and feed-forwards (TaylorSeer).
        on_step: called after each model evaluation; what it raises ends the run.

    Raises:
        PolicyError: a policy or a cache is on the transformer already: its hooks would hide what runs.
    """
    watched = _Watched(on_step)

    def hook(run: Run, index: int) -> Hook:
        return WatchHook(index, watched)

    with attach(target, None, watched.observe, hook, granularity) as applied:
        watched.applied = applied
        before = [hook_names(expert) for expert in applied.experts]

        def begin(*_: object) -> None:
            watched.running.clear()
            for expert, root, names in zip(applied.experts, applied.roots, before, strict=True):
                if root.states._context is None:
                    give_context(expert, names)

        handles = [expert.register_forward_pre_hook(begin) for expert in applied.experts]
        try:
            with taken_off(target):
                yield Recording(applied, watched)
        finally:
            for handle in handles:
                handle.remove()
            for expert, names in zip(applied.experts, before, strict=True):
                remove_others(expert, names)


@dataclass(frozen=True, eq=False)
class Recording:
    """What was seen; see ``record``."""

    applied: AppliedPolicy
    watched: "_Watched"

    def policy(self, *, name: str = "recorded", model: str = "", notes: Mapping[str, Any] | None = None) -> Policy:
        """The last run: COMPUTE where a site ran, else CACHE.

        Where the calls of one step differ (guidance in two calls), the cell counts as computed; ``notes`` say how many
        cells that were.

        Raises:
            PolicyError: nothing has run.
        """
        calls = self.watched.calls
        if not calls:
            raise PolicyError("Nothing has run; run the pipeline while it is recorded.")
        sites = self.applied.run.sites
        ran = np.zeros((max(step for step, _ in calls) + 1, len(sites)), int)
        made = np.zeros((len(ran), 1), int)
        for step, computed in calls:
            made[step] += 1
            ran[step, sorted(computed)] += 1
        actions = repair(np.where(ran > 0, Action.COMPUTE, Action.CACHE))
        differing = int(((ran > 0) & (ran < made)).sum())
        table = self.applied.run.clock.timesteps
        timesteps = () if table is None else tuple(float(t) for t in table)
        return Policy(
            actions,
            sites=tuple(site.name for site in sites),
            timesteps=timesteps if len(timesteps) == len(actions) else (),
            model=model,
            name=name,
            notes={
                "made_by": "mddit record",
                **(notes or {}),
                **({"cells_that_differ_between_calls": differing} if differing else {}),
            },
        )


class WatchHook(Hook):
    """Notes that its site runs. It lies inside of the hooks of a cache that is put on after it."""

    def __init__(self, index: int, watched: "_Watched") -> None:
        super().__init__()
        self.index = index
        self.watched = watched

    def new_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        self.watched.running.add(self.index)
        return self.original(module, *args, **kwargs)


class _Watched:
    """The calls of the last run: (step, indices of the sites that ran)."""

    def __init__(self, on_step: Callable[[StepEvent], None] | None) -> None:
        self.on_step = on_step
        self.applied: AppliedPolicy | None = None
        self.running: set[int] = set()
        self.calls: list[tuple[int, frozenset[int]]] = []

    def observe(self, call: Call) -> None:
        if self.applied is not None and self.applied.run.calls == 1:
            self.calls.clear()
        self.calls.append((call.step, frozenset(self.running)))
        if self.on_step is not None and call.is_first:
            self.on_step(StepEvent(call.step, 0))


def give_context(transformer: nn.Module, before: dict[nn.Module, set[str]]) -> None:
    """Caches keep their state by context; PixArt's, DiT's and many other pipelines set none.

    Args:
        before: the hooks that were there when the caches came.
    """
    for module in transformer.modules():
        registry = vars(module).get("_diffusers_hook")
        for name, hook in registry.hooks.items() if registry is not None else ():
            for manager in managers(hook) if name not in before.get(module, ()) else ():
                if manager._context is None:
                    manager.set_context(CacheContext(CONTEXT))


def managers(hook: Any) -> list[StateManager]:
    """Where a hook of diffusers keeps its state."""
    return [value for value in vars(hook).values() if isinstance(value, StateManager)]


def hook_names(transformer: nn.Module) -> dict[nn.Module, set[str]]:
    return {
        module: set(vars(module)["_diffusers_hook"].hooks)
        for module in transformer.modules()
        if "_diffusers_hook" in vars(module)
    }


def remove_others(transformer: nn.Module, before: dict[nn.Module, set[str]]) -> None:
    """Take off what was put on since; the last one first, as diffusers' removal wants it."""
    for module in transformer.modules():
        registry = vars(module).get("_diffusers_hook")
        if registry is None:
            continue
        for name in [name for name in reversed(registry._hook_order) if name not in before.get(module, ())]:
            registry.remove_hook(name, recurse=False)
        if not registry.hooks and module not in before:
            del module._diffusers_hook
            vars(module).pop("forward", None)
    if getattr(transformer, "_cache_config", None) is not None:
        transformer._cache_config = None  # type: ignore[assignment]
