"""What the hooks of one attachment share: the policy, where its run is, and what was done so far."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch

from mddit_ui.core.cost import MacTable
from mddit_ui.core.plan import Cell, Plan, entered, plan
from mddit_ui.core.policy import Action, Policy
from mddit_ui.core.tokens import TokenChoice
from mddit_ui.engine.residuals import Residuals, Tally
from mddit_ui.engine.steps import StepClock
from mddit_ui.engine.stopwatch import Stopwatch
from mddit_ui.engine.streams import Streams
from mddit_ui.models.sites import Site


@dataclass(frozen=True)
class StepEvent:
    """One model evaluation is done. ``preview``: (n, h, w, 3) uint8, or ``None``."""

    step: int
    steps: int
    preview: np.ndarray | None = None


@dataclass(frozen=True)
class Call:
    """One call of the transformer as the root hook saw it; ``is_first`` of its step."""

    step: int
    is_first: bool
    args: tuple
    kwargs: Mapping[str, Any]
    output: Any


@dataclass(frozen=True, eq=False)
class Schedule:
    """What calls do that begin at some step of the policy; worked out once, looked up in the run.

    Args:
        policy: with a CACHE cell computed where there is nothing to reuse; what lies before that step means nothing.
        rows: cells by step; plain: whether all of a step are computed and none is stored.
        filled: how many of a step are computed that are not in the policy.
    """

    policy: Policy
    plan: Plan
    rows: list[list[Cell]]
    plain: list[bool]
    filled: list[int]


@dataclass
class Slot:
    """One of the calls that make up a step, such as that of the empty prompt: what it did in all steps."""

    expert: int  # whose call
    args: tuple  # of the first step
    kwargs: dict[str, Any]
    schedule: Schedule | None
    counts: list[list[int]]  # (sites, skip | cache | compute)
    site_bytes: np.ndarray  # (sites,) of one residual
    kept: list[dict[float, int]]  # (sites,) ratio below 1 -> how often a site ran on that share of its tokens
    calls: int = 0
    end: int | None = None  # the step in which another expert took over
    macs: MacTable | None = None  # of one call, all computed; counted when asked for

    def saved_macs(self, table: MacTable) -> float:
        """What its cells saved by running on a part of their tokens."""
        return sum(
            count * float(table.site_macs[site] * (1 - table.shares(np.full(len(table.sites), ratio))[site]))
            for site, of_site in enumerate(self.kept)
            for ratio, count in of_site.items()
        )


class Expert(Protocol):
    """A transformer of the run, as its root hook knows it."""

    def forget(self) -> None: ...


@dataclass
class Run:
    """What the hooks of one attachment share.

    A pipeline may have two transformers (Wan 2.2), of which the second takes over at some step. They follow the rows of
    one policy; residuals are each one's own.
    """

    policy: Policy | None
    sites: tuple[Site, ...]
    clock: StepClock
    experts: list[Expert] = field(default_factory=list)
    expert: int = 0  # the one at work
    tally: Tally = field(default_factory=Tally)
    streams: dict[int, Streams] = field(default_factory=dict)
    harmless: set[type] = field(default_factory=set)  # classes of blocks that don't write into their inputs
    broken: set[int] = field(default_factory=set)  # sites that can't share a residual with the one before them
    readers: dict[int, int | None] = field(default_factory=dict)  # site -> the later one that its long skip leads to
    filled: int = 0  # CACHE cells that had nothing to reuse and were computed
    slots: dict[str, Slot] = field(default_factory=dict)  # calls that make up one step, in their order
    calls: int = 0
    steps: int = 0
    watch: Stopwatch = field(default_factory=lambda: Stopwatch(torch.device("cpu")))
    step: int = -1  # -1: outside of the transformer's forward
    slot: str = ""
    current: Residuals | None = None
    schedules: dict[int, Schedule] = field(default_factory=dict)  # by the step at which calls begin
    row: list[Cell] = field(default_factory=list)  # of this step; empty without a policy
    plain: bool = False  # this step: blocks have nothing to do but to run and to be counted
    routed: bool = False  # there are blocks with ratios of their own
    cells: list[list[int]] = field(default_factory=list)  # counts of this call
    ratios: list[float] | None = None  # of this step, by site: the share of its tokens a computed one runs on
    chosen: TokenChoice = "routers"

    @property
    def chained(self) -> list[bool]:
        """Which sites may share a residual with the one before them, as far as is known."""
        return [index not in self.broken for index in range(len(self.sites))]

    def plan(self, policy: Policy) -> Plan:
        """With what is known of the sites by now."""
        return plan(policy, self.chained, self.readers)

    def schedule(self, first: int) -> Schedule | None:
        """For calls that begin at a step; ``None`` without a policy."""
        if self.policy is not None and first not in self.schedules:
            policy = entered(self.policy, first)
            made = self.plan(policy)
            filled = (policy.actions[first:] != self.policy.actions[first:]).sum(1).tolist()
            computed = (policy.actions == Action.COMPUTE) & ~made.store
            keeps_all = policy.keep is None
            plain = [keeps_all and all(row) for row in computed.tolist()]
            self.schedules[first] = Schedule(policy, made, made.rows(policy), plain, [0] * first + filled)
        return self.schedules.get(first)

    def begin(self) -> None:
        """A new run starts with all counts at zero, and nothing held."""
        for expert in self.experts:
            expert.forget()
        self.tally.held_bytes = self.tally.peak_bytes = 0
        self.filled = self.calls = self.steps = 0
        self.watch.reset()
        self.slots = {}

    def enter(self, expert: int, step: int, slot: str, args: tuple, kwargs: dict[str, Any]) -> None:
        """A call of a transformer is about to run."""
        if expert != self.expert:
            self._hand_over(expert, step)
        if slot not in self.slots:
            counts = [[0, 0, 0] for _ in self.sites]
            site_bytes, kept = np.zeros(len(counts), int), [{} for _ in counts]  # type: ignore[var-annotated]
            self.slots[slot] = Slot(expert, args, kwargs, self.schedule(step), counts, site_bytes, kept)
        entered = self.slots[slot]
        entered.calls += 1
        if entered.schedule is not None:
            self.row = entered.schedule.rows[step]
            self.plain = entered.schedule.plain[step] and len(self.streams) == len(self.sites) and not self.routed
            keep = entered.schedule.policy.keep
            self.ratios = None if keep is None else keep[step].tolist()
            self.filled += entered.schedule.filled[step]
        self.step, self.slot, self.cells = step, slot, entered.counts
        self.steps = step + 1
        self.calls += 1

    def leave(self) -> None:
        """The call is over."""
        self.step, self.current, self.plain = -1, None, False

    def _hand_over(self, expert: int, step: int) -> None:
        """Another expert goes on; what the one before it holds is of no use any more."""
        for slot in self.slots.values():
            slot.end = step if slot.end is None else slot.end
        self.experts[self.expert].forget()
        self.expert = expert

    def count(self, site: int, action: int, ratio: float = 1.0) -> None:
        """A cell was done; a computed one on ``ratio`` of its tokens."""
        self.cells[site][action + 1] += 1
        if ratio < 1:
            kept = self.slots[self.slot].kept[site]
            kept[ratio] = kept.get(ratio, 0) + 1

    @property
    def counts(self) -> np.ndarray:
        """(sites, skip | cache | compute) over all calls."""
        return (
            np.sum([slot.counts for slot in self.slots.values()], 0, int).reshape(-1, 3)
            if self.slots
            else (np.zeros((len(self.sites), 3), int))
        )
