"""Apply a policy to any diffusers pipeline or transformer."""

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from diffusers.hooks.hooks import HookRegistry
from diffusers.utils.torch_utils import unwrap_module
from torch import nn

from mddit_ui.core.cost import MacTable
from mddit_ui.core.errors import ModelError, PolicyError
from mddit_ui.core.plan import plan
from mddit_ui.core.policy import Policy
from mddit_ui.engine.acting import BlockHook, Hook, RootHook
from mddit_ui.engine.attached import Attached
from mddit_ui.engine.branches import BranchHook
from mddit_ui.engine.macs import count_call
from mddit_ui.engine.report import Report, SiteReport
from mddit_ui.engine.run import Call, Run, Slot, StepEvent
from mddit_ui.engine.steps import StepClock
from mddit_ui.engine.stopwatch import Stopwatch
from mddit_ui.models.sites import Granularity, Site, find_sites
from mddit_ui.models.skip_dit import long_skips

HOOK = "mddit"
ROOT_HOOK = "mddit_root"


def apply_policy(
    target: Any, policy: Policy | None, *, on_step: Callable[[StepEvent], None] | None = None
) -> "AppliedPolicy":
    """Make ``target`` follow ``policy`` until ``remove()``; use it in a ``with`` statement, or keep the result.

    Modules are never replaced: the policy acts through diffusers' hooks, on the root and on each site. With all cells
    computed the model's output is bit for bit that of the untouched model. Attaching is all or nothing.

    Args:
        target: a diffusers pipeline (best: its scheduler tells the steps), or a transformer.
        policy: columns are matched by ``policy.sites``, else by their number; ``None`` watches without acting.
        on_step: called after each model evaluation; what it raises ends the run and leaves nothing behind.

    Raises:
        PolicyError: the columns don't fit, or a policy (or one of diffusers' caches) is already there.
        ModelError: no transformer, or no blocks in it.
    """

    def observe(call: Call) -> None:
        if on_step is not None and call.is_first:
            on_step(StepEvent(call.step, policy.steps if policy else 0))

    return attach(target, policy, observe if on_step is not None else None)


def attach(
    target: Any,
    policy: Policy | None,
    observe: Callable[[Call], None] | None = None,
    site_hook: Callable[[Run, int], Hook] | None = None,
    granularity: Granularity = "block",
) -> "AppliedPolicy":
    """``apply_policy`` for a caller that wants to see every call of the transformer, or to act on sites by itself.

    Args:
        observe: called after every call of the transformer.
        site_hook: makes the hook of a column from the shared run and its index; all sites of the granularity, when
            there is no policy.
    """
    transformer, scheduler = _transformer(target)
    sites = _columns(transformer, policy) if policy else find_sites(transformer, granularity) if site_hook else ()
    _check_free(transformer)
    clock = StepClock(policy.steps if policy else None, scheduler)
    device = next((parameter.device for parameter in transformer.parameters()), torch.device("cpu"))
    run = Run(policy, sites, clock, watch=Stopwatch(device))
    if policy is not None:
        run.broken = {
            index for index, site in enumerate(sites) if site.kind == "branch"
        }  # they don't follow each other
        run.readers = _readers(transformer, sites)
        run.plan = plan(policy, run.chained, run.readers)
        run.rows = run.plan.rows(policy)
    root = RootHook(run, observe)
    return AppliedPolicy(transformer, run, root, site_hook or _site_hook)


class AppliedPolicy:
    """A policy at work on one transformer."""

    def __init__(self, transformer: nn.Module, run: Run, root: RootHook, site_hook: Callable[[Run, int], Hook]) -> None:
        self.transformer = transformer
        self.run = run
        self.root = root
        self._attached: list[Attached] = []
        try:
            self._attach(transformer, root, ROOT_HOOK)
            for index, site in enumerate(run.sites):
                self._attach(transformer.get_submodule(site.name), site_hook(run, index), HOOK)
            self._gives_reset = not hasattr(transformer, "_reset_stateful_cache")
            if self._gives_reset:  # pipelines call it at the end of every run, on whatever component has it
                transformer._reset_stateful_cache = self._reset  # type: ignore[assignment]
            self._invalidate()
        except BaseException:
            self.remove()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def remove(self) -> None:
        """Leave the transformer as it was found; safe to call twice."""
        self.root.forget()
        for attached in reversed(self._attached):
            attached.remove()
        self._attached = []
        if vars(self.transformer).get("_reset_stateful_cache") == self._reset:
            del self.transformer._reset_stateful_cache
        self._invalidate()

    @property
    def peak_cache_bytes(self) -> int:
        """Most bytes of residuals held at one time in the last run."""
        return self.run.tally.peak_bytes

    @property
    def seconds(self) -> float:
        """Time inside the transformer in the last run."""
        return self.run.watch.seconds

    @property
    def macs(self) -> float:
        """MACs of the last run, all images, guidance counted: what ran, by what each site costs.

        Raises:
            ModelError: nothing has run yet.
        """
        if not self.run.slots:
            raise ModelError("Nothing has run yet; run the pipeline, then ask for MACs.")
        return sum(
            sum(counts[2] * macs for counts, macs in zip(slot.counts, table.site_macs.tolist(), strict=True))
            + slot.calls * table.rest_macs
            for slot, table in self._costs()
        )

    def report(self) -> Report:
        """What was mapped and what ran in the last run (or so far)."""
        run = self.run
        sizes = [slot.site_bytes for slot in run.slots.values()]
        again = plan(run.policy, run.chained, run.readers) if run.policy else None
        predicted = again.peak_bytes(np.array(sizes)) if again and sizes else 0
        return Report(
            transformer=type(self.transformer).__name__,
            policy=repr(run.policy),
            sites=tuple(
                SiteReport(site.name, site.block_class, str(run.streams.get(index, "not run yet")), *map(int, counts))
                for index, (site, counts) in enumerate(zip(run.sites, run.counts, strict=True))
            ),
            steps=run.steps,
            calls=run.calls,
            slots=tuple(run.slots),
            filled=run.filled,
            macs=self.macs if run.slots else 0.0,
            full_macs=sum(table.full(slot.calls) for slot, table in self._costs()),
            peak_cache_bytes=run.tally.peak_bytes,
            predicted_cache_bytes=predicted,
            seconds=run.watch.seconds,
        )

    def _costs(self) -> Iterator[tuple[Slot, MacTable]]:
        """What one call of each slot costs, all computed."""
        sites = [site.name for site in self.run.sites]
        for slot in self.run.slots.values():
            if slot.macs is None:
                slot.macs = count_call(self.transformer, sites, slot.args, slot.kwargs)
            yield slot, slot.macs

    def _attach(self, module: nn.Module, hook: Any, name: str) -> None:
        self._attached.append(Attached(module, hook, name))

    def _reset(self, recurse: bool = True) -> None:
        HookRegistry.check_if_exists_or_initialize(self.transformer).reset_stateful_hooks(recurse=recurse)

    def _invalidate(self) -> None:
        for module in self.transformer.modules():
            registry = vars(module).get("_diffusers_hook")
            if registry is not None:
                registry._child_registries_cache = None


def _transformer(target: Any) -> tuple[nn.Module, Callable[[], Any] | None]:
    if isinstance(target, nn.Module):
        return _not_compiled(_without_peft(target)), None
    transformer = getattr(target, "transformer", None)
    if not isinstance(transformer, nn.Module):
        raise ModelError(
            f"Expected a diffusers pipeline with a transformer, or a transformer; got {type(target).__name__}."
        )
    return _not_compiled(_without_peft(transformer)), lambda: getattr(target, "scheduler", None)


def _without_peft(transformer: nn.Module) -> nn.Module:
    """The transformer inside of peft's wrapper, which calls it with its LoRA in place."""
    inner = getattr(transformer, "get_base_model", None)
    return inner() if callable(inner) else transformer


def _not_compiled(transformer: nn.Module) -> nn.Module:
    if unwrap_module(transformer) is not transformer or transformer._compiled_call_impl is not None:
        raise ModelError(
            "The transformer is compiled as a whole, so that what runs can't change from step to step; "
            "compile its blocks instead (compile_repeated_blocks, or block.compile())."
        )
    return transformer


def _site_hook(run: Run, index: int) -> Hook:
    return BranchHook(run, index) if run.sites[index].kind == "branch" else BlockHook(run, index)


def _columns(transformer: nn.Module, policy: Policy) -> tuple[Site, ...]:
    """The sites that the policy's columns mean."""
    blocks = find_sites(transformer)
    name = type(transformer).__name__
    if not policy.sites:
        if policy.actions.shape[1] != len(blocks):
            raise PolicyError(
                f"The policy has {policy.actions.shape[1]} columns, {name} has {len(blocks)} blocks; "
                "make a policy for this model, or name its sites."
            )
        return blocks
    known = {site.name: site for site in blocks}
    if policy.sites[0] not in known:
        known |= {site.name: site for site in _branches(transformer)}
    missing = [site for site in policy.sites if site not in known]
    if missing:
        raise PolicyError(
            f"{name} has no block {missing[0]!r}; its {len(blocks)} blocks are {blocks[0].name} to {blocks[-1].name}."
        )
    columns = tuple(known[site] for site in policy.sites)
    if len({site.kind for site in columns}) > 1:
        raise PolicyError("The policy names blocks and branches of blocks; use one kind for all columns.")
    return columns


def _readers(transformer: nn.Module, columns: tuple[Site, ...]) -> dict[int, int | None]:
    """The long skips of the model between columns: what reads each; ``None``: a block that is no column."""
    place = {site.name: index for index, site in enumerate(columns)}
    skips = long_skips(transformer, [site.name for site in find_sites(transformer)])
    return {place[read]: place.get(reader) for read, reader in skips.items() if read in place}


def _branches(transformer: nn.Module) -> tuple[Site, ...]:
    try:
        return find_sites(transformer, "branch")
    except ModelError:
        return ()


def _check_free(transformer: nn.Module) -> None:
    if getattr(transformer, "is_cache_enabled", False):
        raise PolicyError("One of diffusers' caches is enabled on this transformer; call its disable_cache() first.")
    registry = vars(transformer).get("_diffusers_hook")
    if registry is not None and ROOT_HOOK in registry.hooks:
        raise PolicyError("This transformer already follows a policy; remove() that one first.")
