"""What a policy has to remember: which residuals are stored, which are kept as one, and until when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from mddit_ui.core.policy import Action, Policy, ages, repair


class Cell(NamedTuple):
    """One cell of a policy and of its plan; see ``Plan``."""

    action: Action
    store: bool
    joined: bool
    last: bool


@dataclass(frozen=True, eq=False)
class Plan:
    """Made from a policy before the run, so that the run itself only looks things up.

    Neighbouring sites that were computed in the same step, and whose residuals are used in the same later steps, keep
    ONE residual: output of the last minus input of the first. Such a run of cached cells costs one add. Where outputs
    are carried instead of residuals, they keep the output of the last.

    Args:
        store: (steps, sites) bool: this COMPUTE cell's residual is used by a later CACHE cell.
        joined: (steps, sites) bool: this stored residual is kept as one with that of the site before it; on CACHE
            cells: the residual that it would use is part of the one that the site before it has added.
        free: (steps, sites) bool: this CACHE cell is the last to use its residual.
        live: (steps,) int: the most residuals held at one time during each step.
    """

    store: np.ndarray
    joined: np.ndarray
    free: np.ndarray
    live: np.ndarray

    def rows(self, policy: Policy) -> list[list["Cell"]]:
        """What to do in each cell, in plain Python, by step: a run looks it up and works nothing out."""
        columns = (policy.actions, self.store, self.joined, self.free)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [[Cell(Action(action), *rest) for action, *rest in zip(*row, strict=True)] for row in rows]

    @property
    def peak_residuals(self) -> int:
        return int(self.live.max(initial=0))

    def peak_bytes(self, site_bytes: Sequence[int] | np.ndarray, contexts: int = 1) -> int:
        """Most bytes of residuals held at one time.

        Args:
            site_bytes: (sites,) bytes of one residual of each site; or (contexts, sites), where they differ.
            contexts: calls of the model in each step (guidance in two calls keeps two sets of residuals).
        """
        sizes = np.atleast_2d(site_bytes)
        sizes = sizes if len(sizes) > 1 else np.tile(sizes, (contexts, 1))
        return peak_bytes([Held(self, of_context) for of_context in sizes])


class Held(NamedTuple):
    """What one context (one of the calls that make up a step) holds of residuals.

    Args:
        site_bytes: (sites,) of one residual.
        end: before this step all is let go of; ``None``: never.
    """

    plan: Plan
    site_bytes: np.ndarray
    end: int | None = None


def peak_bytes(contexts: Sequence[Held]) -> int:
    """Most bytes of residuals held at one time; the contexts follow each other in every step."""
    return int(_held(contexts).max(initial=0))


def entered(policy: Policy, step: int) -> Policy:
    """The policy of a run that begins at a later step: a CACHE cell that has nothing to reuse there is computed."""
    if step == 0:
        return policy
    actions = np.full_like(policy.actions, Action.SKIP)
    actions[step:] = repair(policy.actions[step:])
    return replace(policy, actions=actions)


def plan(
    policy: Policy, chained: Sequence[bool] | None = None, readers: Mapping[int, int | None] | None = None
) -> Plan:
    """The storage plan of a policy.

    Args:
        chained: (sites,) whether the site's input is, unchanged, the output of the site before it, which nothing else
            uses; only then can the two keep one residual. ``None``: all are.
        readers: site -> the later site that reads its output too, through a long skip branch; ``None`` for one that
            is no column. The site's output is its own in each step in which that reader is computed.
    """
    actions = policy.actions
    steps, sites = actions.shape
    cached = actions == Action.CACHE
    source = np.where(cached, np.arange(steps)[:, None] - ages(actions), -1)  # the step that computed the residual
    column = np.arange(sites)

    store = np.zeros((steps, sites), bool)
    last_use = np.full((steps, sites), -1)
    for current in range(steps):
        now = cached[current]
        store[source[current, now], column[now]] = True
        last_use[source[current, now], column[now]] = current

    # Two neighbours of one source step differ in use when some step reads one of them and not the other.
    differ = source[:, 1:] != source[:, :-1]
    parted = np.zeros((steps, sites), bool)
    for side in (source[:, 1:], source[:, :-1]):
        step, site = np.nonzero(differ & (side >= 0))
        parted[side[step, site], site + 1] = True
    for column_read, reader in (readers or {}).items():
        read = cached[:, column_read] & (True if reader is None else actions[:, reader] == Action.COMPUTE)
        if column_read + 1 < sites:
            parted[source[read, column_read], column_read + 1] = True
    joined = np.zeros((steps, sites), bool)
    joined[:, 1:] = store[:, 1:] & store[:, :-1] & ~parted[:, 1:]
    if chained is not None:
        joined &= np.asarray(chained, bool)

    free = np.zeros((steps, sites), bool)
    step, site = np.nonzero(store)
    free[last_use[step, site], site] = True
    joined |= cached & joined[np.maximum(source, 0), column]
    each = Held(Plan(store, joined, free, np.zeros(steps, int)), np.ones(sites, int))
    return Plan(store, joined, free, _held([each]).max(1, initial=0))


def _held(contexts: Sequence[Held]) -> np.ndarray:
    """(steps, contexts * sites) bytes held while each cell runs, in the order in which they run."""
    taken, given = (np.hstack(moves) for moves in zip(*(_moves(*context) for context in contexts), strict=True))
    return (np.cumsum(taken) - np.cumsum(given) + given.ravel()).reshape(taken.shape)


def _moves(plan: Plan, site_bytes: np.ndarray, end: int | None) -> tuple[np.ndarray, np.ndarray]:
    """(steps, sites) bytes that each cell takes, and that it gives back when it is done."""
    taken = ((plan.store & ~plan.joined) * site_bytes).astype(np.int64)
    given = ((plan.free & ~plan.joined) * site_bytes).astype(np.int64)
    if end is not None and end < len(taken):
        left = taken[:end].sum() - given[:end].sum()
        taken[end:] = given[end:] = 0
        given[end, 0] = left
    return taken, given
