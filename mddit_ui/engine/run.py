"""What the hooks of one attachment share: the policy, where its run is, and what was done so far."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from mddit_ui.core.cost import MacTable
from mddit_ui.core.plan import Cell, Plan
from mddit_ui.core.policy import Policy
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


@dataclass
class Slot:
    """One of the calls that make up a step, such as that of the empty prompt: what it did in all steps."""

    args: tuple  # of the first step
    kwargs: dict[str, Any]
    counts: list[list[int]]  # (sites, skip | cache | compute)
    site_bytes: np.ndarray  # (sites,) of one residual
    calls: int = 0
    macs: MacTable | None = None  # of one call, all computed; counted when asked for


@dataclass
class Run:
    """What the hooks of one attachment share."""

    policy: Policy | None
    sites: tuple[Site, ...]
    clock: StepClock
    plan: Plan | None = None
    tally: Tally = field(default_factory=Tally)
    streams: dict[int, Streams] = field(default_factory=dict)
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
    rows: list[list[Cell]] = field(default_factory=list)  # of the policy and its plan
    row: list[Cell] = field(default_factory=list)  # of this step; empty without a policy

    @property
    def chained(self) -> list[bool]:
        """Which sites may share a residual with the one before them, as far as is known."""
        return [index not in self.broken for index in range(len(self.sites))]

    def begin(self) -> None:
        """A new run starts with all counts at zero."""
        self.tally.held_bytes = self.tally.peak_bytes = 0
        self.filled = self.calls = self.steps = 0
        self.watch.reset()
        self.slots = {}

    def enter(self, step: int, slot: str, args: tuple, kwargs: dict[str, Any]) -> None:
        """A call of the transformer is about to run."""
        if slot not in self.slots:
            sites = len(self.sites)
            self.slots[slot] = Slot(args, kwargs, [[0, 0, 0] for _ in range(sites)], np.zeros(sites, int))
        self.slots[slot].calls += 1
        self.row = self.rows[step] if self.rows else []
        self.step, self.slot = step, slot
        self.steps = step + 1
        self.calls += 1

    def count(self, site: int, action: int) -> None:
        self.slots[self.slot].counts[site][action + 1] += 1

    @property
    def counts(self) -> np.ndarray:
        """(sites, skip | cache | compute) over all calls."""
        return (
            np.sum([slot.counts for slot in self.slots.values()], 0, int).reshape(-1, 3)
            if self.slots
            else (np.zeros((len(self.sites), 3), int))
        )
