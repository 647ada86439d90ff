"""Apply a policy to any diffusers pipeline or transformer."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self

import torch
from diffusers.hooks.hooks import HookRegistry
from torch import nn

from mddit_ui.core.cost import MacTable
from mddit_ui.core.errors import ModelError
from mddit_ui.core.plan import Held, peak_bytes
from mddit_ui.core.policy import Policy
from mddit_ui.core.tokens import TokenChoice
from mddit_ui.engine.acting import BlockHook, Hook, RootHook
from mddit_ui.engine.attached import Attached
from mddit_ui.engine.branches import BranchHook
from mddit_ui.engine.macs import count_call
from mddit_ui.engine.report import Report, SiteReport
from mddit_ui.engine.run import Call, Run, Slot, StepEvent
from mddit_ui.engine.steps import StepClock
from mddit_ui.engine.stopwatch import Stopwatch
from mddit_ui.engine.targets import PARTS, ROOT_HOOK, check_free, readers, same_columns, transformers
from mddit_ui.engine.tokens import check_keep
from mddit_ui.models.sites import Granularity

HOOK = "mddit"


def apply_policy(
    target: Any,
    policy: Policy | None,
    *,
    on_step: Callable[[StepEvent], None] | None = None,
    tokens: TokenChoice = "routers",
) -> "AppliedPolicy":
    """Make ``target`` follow ``policy`` until ``remove()``; use it in a ``with`` statement, or keep the result.

    Modules are never replaced: the policy acts through diffusers' hooks, on the root and on each site. With all cells
    computed the model's output is bit for bit that of the untouched model. Attaching is all or nothing.

    Args:
        target: a diffusers pipeline (best: its scheduler tells the steps), or a transformer. The two experts of a
            pipeline (Wan 2.2) follow one policy, whose rows are the steps of the whole run. Residuals never go from one
            to the other: where the second takes over, a cell with nothing to reuse is computed, and counted as filled.
        policy: columns are matched by ``policy.sites``, else by their number; ``None`` watches without acting.
        on_step: called after each model evaluation; what it raises ends the run and leaves nothing behind.
        tokens: who chooses the tokens of a cell that keeps some of them (``policy.keep``): the model's routers; or
            "residual-norm", an experiment for models that have none (see ``engine.tokens``).

    Raises:
        PolicyError: the columns don't fit, or a policy (or one of diffusers' caches) is already there.
        ModelError: no transformer, or no blocks in it.
    """

    def observe(call: Call) -> None:
        if on_step is not None and call.is_first:
            on_step(StepEvent(call.step, policy.steps if policy else 0))

    return attach(target, policy, observe if on_step is not None else None, tokens=tokens)


def attach(
    target: Any,
    policy: Policy | None,
    observe: Callable[[Call], None] | None = None,
    site_hook: Callable[[Run, int], Hook] | None = None,
    granularity: Granularity = "block",
    tokens: TokenChoice = "routers",
) -> "AppliedPolicy":
    """``apply_policy`` for a caller that wants to see every call of the transformer, or to act on sites by itself.

    Args:
        observe: called after every call of the transformer.
        site_hook: makes the hook of a column from the shared run and its index; all sites of the granularity, when
            there is no policy.
    """
    experts, scheduler = transformers(target)
    watched = policy is not None or site_hook is not None
    sites = same_columns(experts, policy, granularity) if watched else ()
    for transformer in experts:
        check_free(transformer)
    clock = StepClock(policy.steps if policy else None, scheduler)
    device = next((parameter.device for parameter in experts[0].parameters()), torch.device("cpu"))
    run = Run(policy, sites, clock, watch=Stopwatch(device), chosen=tokens)
    if policy is not None:
        check_keep(experts, sites, policy, tokens)
        run.broken = {index for index, site in enumerate(sites) if site.kind == "branch"}  # don't follow each other
        run.readers = readers(experts[0], sites)
        run.schedule(0)
    return AppliedPolicy(experts, run, observe, site_hook or _site_hook)


class AppliedPolicy:
    """A policy at work on one transformer, or on the experts of one pipeline."""

    def __init__(
        self,
        experts: Sequence[nn.Module],
        run: Run,
        observe: Callable[[Call], None] | None,
        site_hook: Callable[[Run, int], Hook],
    ) -> None:
        self.experts = tuple(experts)
        self.run = run
        self.roots = tuple(RootHook(run, observe, name) for name, _ in zip(("", *PARTS[1:]), experts, strict=False))
        self._attached: list[Attached] = []
        self._resets: list[nn.Module] = []
        try:
            for transformer, root in zip(self.experts, self.roots, strict=True):
                self._attach(transformer, root, ROOT_HOOK)
                for index, site in enumerate(run.sites):
                    self._attach(transformer.get_submodule(site.name), site_hook(run, index), HOOK)
                if not hasattr(transformer, "_reset_stateful_cache"):
                    # pipelines call it at the end of every run, on whatever component has it
                    transformer._reset_stateful_cache = partial(_reset, transformer)  # type: ignore[assignment]
                    self._resets.append(transformer)
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
        """Leave the transformers as they were found; safe to call twice."""
        for root in self.roots:
            root.forget()
        for attached in reversed(self._attached):
            attached.remove()
        self._attached = []
        for transformer in self._resets:
            vars(transformer).pop("_reset_stateful_cache", None)
        self._resets = []
        self._invalidate()

    @property
    def transformer(self) -> nn.Module:
        """The first, where a pipeline has two."""
        return self.experts[0]

    @property
    def peak_cache_bytes(self) -> int:
        """Most bytes of residuals held at one time in the last run."""
        return self.run.tally.peak_bytes

    @property
    def predicted_cache_bytes(self) -> int:
        """The same as the plan says it."""
        held = [
            Held(self.run.plan(slot.schedule.policy), slot.site_bytes, slot.end)
            for slot in self.run.slots.values()
            if slot.schedule is not None
        ]
        return peak_bytes(held) if held else 0

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
            - slot.saved_macs(table)
            for slot, table in self.costs()
        )

    def report(self) -> Report:
        """What was mapped and what ran in the last run (or so far)."""
        run = self.run
        return Report(
            transformer=" and ".join(type(transformer).__name__ for transformer in self.experts),
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
            full_macs=sum(table.full(slot.calls) for slot, table in self.costs()),
            peak_cache_bytes=run.tally.peak_bytes,
            predicted_cache_bytes=self.predicted_cache_bytes,
            seconds=run.watch.seconds,
        )

    def costs(self) -> Iterator[tuple[Slot, MacTable]]:
        """What one call of each slot costs, all computed."""
        sites = [site.name for site in self.run.sites]
        for slot in self.run.slots.values():
            if slot.macs is None:
                by_tokens = any(slot.kept)
                slot.macs = count_call(self.experts[slot.expert], sites, slot.args, slot.kwargs, by_tokens=by_tokens)
            yield slot, slot.macs

    def _attach(self, module: nn.Module, hook: Any, name: str) -> None:
        self._attached.append(Attached(module, hook, name))

    def _invalidate(self) -> None:
        for transformer in self.experts:
            for module in transformer.modules():
                registry = vars(module).get("_diffusers_hook")
                if registry is not None:
                    registry._child_registries_cache = None


def _reset(transformer: nn.Module, recurse: bool = True) -> None:
    HookRegistry.check_if_exists_or_initialize(transformer).reset_stateful_hooks(recurse=recurse)


def _site_hook(run: Run, index: int) -> Hook:
    return BranchHook(run, index) if run.sites[index].kind == "branch" else BlockHook(run, index)
