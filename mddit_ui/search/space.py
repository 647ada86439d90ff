"""The policies a search may ask for: legal, within the budget, locked cells kept; all by construction."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mddit_ui.core.cost import MacTable
from mddit_ui.core.errors import SearchError
from mddit_ui.core.policy import Action, Carry, Policy, actions_from_rows

FREE = 2  # a cell of ``locked`` that the search may choose


@dataclass(frozen=True, eq=False)
class Space:
    """All tables of ``steps`` x ``table.sites`` whose MACs are at most ``budget`` of full depth.

    Args:
        locked: (steps, sites) int8 of actions that stay, ``FREE`` elsewhere; ``None`` when all are free.
        carry: what cached cells reuse.

    Raises:
        SearchError: no table can meet the budget, or the locked cells alone break it.
    """

    table: MacTable
    steps: int
    budget: float
    timesteps: tuple[float, ...] = ()
    model: str = ""
    locked: np.ndarray | None = None
    carry: Carry = "residual"
    _locked: np.ndarray = field(init=False, repr=False)
    _must: np.ndarray = field(init=False, repr=False)  # (steps, sites) bool, computed in every policy
    _may: np.ndarray = field(init=False, repr=False)  # (cells,) flat indices that can be computed or not
    _macs: float = field(init=False, repr=False)  # what those may cost together

    def __post_init__(self) -> None:
        locked = np.full(self.shape, FREE, np.int8) if self.locked is None else np.array(self.locked, np.int8)
        if locked.shape != self.shape:
            raise SearchError(f"The locked cells have shape {locked.shape}, the policies {self.shape}.")
        must = (locked == Action.COMPUTE) | _sources(locked)
        macs = self.budget * self.table.full(self.steps) - self.table.total(must)
        if macs < -1e-9 * self.table.full(self.steps):
            least = self.table.budget(must)
            raise SearchError(
                f"The budget {self.budget:g} can't be met: what a policy can't save, and the locked cells, cost "
                f"{least:.3f}. Raise the budget or free some cells."
            )
        for name, value in {
            "_locked": locked,
            "_must": must,
            "_may": np.flatnonzero((locked == FREE) & ~must),
            "_macs": macs,
        }.items():
            object.__setattr__(self, name, value)

    @property
    def shape(self) -> tuple[int, int]:
        return self.steps, len(self.table.sites)

    @property
    def free(self) -> np.ndarray:
        """(steps, sites) bool: the cells that a search may choose."""
        return (self._locked == FREE) & ~self._must

    def holds(self, policy: Policy) -> bool:
        """Whether a policy is within the budget and keeps what is locked."""
        kept = self._locked != FREE
        return self.table.budget(policy.actions, policy.keep) <= self.budget * (1 + 1e-9) and bool(
            (policy.actions[kept] == self._locked[kept]).all()
        )

    def policy(
        self, scores: np.ndarray, skip: np.ndarray | None = None, keep: np.ndarray | None = None, **more
    ) -> Policy:
        """Computes the cells of highest score until the budget is spent; the others are cached, or skipped if told.

        At most one cell's MACs are left over. A cell with nothing to take from the cache is skipped.

        Args:
            scores: (steps, sites); skip: (steps, sites) bool; more: name, notes.
            keep: (steps, sites) share of the tokens that a cell runs on if it is computed: what that saves is spent
                on other cells.
        """
        costs = self.table.cells(np.full(self.shape, Action.COMPUTE), keep)
        macs = self._macs + float((self.table.site_macs - costs)[self._must].sum())
        computed = self._must.copy()
        computed.flat[self._affordable(np.asarray(scores, float).ravel(), costs.ravel(), macs)] = True
        if keep is not None:
            keep = np.where(computed, keep, 1.0)
            more["keep"] = keep if (keep < 1).any() else None
        return self._legal(computed, skip, **more)

    def _legal(self, computed: np.ndarray, skip: np.ndarray | None, **more) -> Policy:
        """What is not computed is cached, or skipped if told; locked cells stay."""
        actions = np.where(computed, Action.COMPUTE, Action.CACHE).astype(np.int8)
        if skip is not None:
            actions[~computed & skip] = Action.SKIP
        kept = (self._locked != FREE) & ~computed
        actions[kept] = self._locked[kept]
        without_source = (actions == Action.CACHE) & ~(np.cumsum(computed, axis=0) > 0)
        actions[without_source] = Action.SKIP
        more = {"name": f"searched, budget {self.budget:g}", "carry": self.carry, **more}
        return Policy(actions, sites=self.table.sites, timesteps=self.timesteps, model=self.model, **more)

    def nearest(self, actions: np.ndarray, importance: np.ndarray | None = None, **more) -> Policy:
        """The policy of this space that is like ``actions``: what is too much goes by least importance.

        Args:
            importance: (steps, sites) of what each cell is worth; of equal ones the earlier is kept.
        """
        ties = np.zeros(self.shape) if importance is None else importance
        return self.policy((actions == Action.COMPUTE) + 0.5 * ranks(ties), actions == Action.SKIP, **more)

    def within(self, actions: np.ndarray, importance: np.ndarray | None = None, **more) -> Policy:
        """The policy of this space that is like ``actions``, which may leave budget over; see ``nearest``."""
        computed = self._must.copy()
        computed.flat[self._may] |= (actions == Action.COMPUTE).ravel()[self._may]
        if self.table.total(computed) > self.budget * self.table.full(self.steps) * (1 + 1e-9):
            return self.nearest(actions, importance, **more)
        return self._legal(computed, actions == Action.SKIP, **more)

    def _affordable(self, scores: np.ndarray, costs: np.ndarray, macs: float) -> np.ndarray:
        order = self._may[np.argsort(-scores[self._may], kind="stable")]
        costs = costs[order]
        slack = 1e-9 * self.table.full(self.steps)
        spent = np.cumsum(costs)
        count = int(np.searchsorted(spent, macs + slack, side="right"))
        chosen = list(order[:count])
        left = macs + slack - (spent[count - 1] if count else 0.0)
        rest, costs = order[count:], costs[count:]
        while (fits := np.flatnonzero(costs <= left)).size:  # cheaper cells that still fit
            chosen.append(rest[fits[0]])
            left -= costs[fits[0]]
            rest, costs = rest[fits[0] + 1 :], costs[fits[0] + 1 :]
        return np.array(chosen, int)


def intended(policy: Policy) -> np.ndarray:
    """(steps, sites) actions to change: CACHE where a cell is skipped only because nothing was computed before it.

    When something is computed earlier, such a cell reuses it.
    """
    nothing_before = np.cumsum(policy.actions == Action.COMPUTE, axis=0) == 0
    return np.where(nothing_before, Action.CACHE, policy.actions).astype(np.int8)


def ranks(values: np.ndarray) -> np.ndarray:
    """Values replaced by their ranks, spread evenly over [-0.5, 0.5]; of equal ones the first is highest."""
    flat = np.asarray(values, float).ravel()
    order = np.argsort(-flat, kind="stable")
    ranked = np.empty(flat.size)
    ranked[order] = np.linspace(0.5, -0.5, flat.size) if flat.size > 1 else 0.0
    return ranked.reshape(np.shape(values))


def locked_from_rows(rows: Sequence[str]) -> np.ndarray:
    """(steps, sites) int8 from the letters ``#``, ``=``, ``.`` and ``?`` (free).

    Raises:
        PolicyError: other letters, or rows of different length.
    """
    locked = actions_from_rows([row.replace("?", ".") for row in rows])
    locked[np.array([list(row) for row in rows]) == "?"] = FREE
    return locked


def _sources(locked: np.ndarray) -> np.ndarray:
    """(steps, sites) bool: free cells that must be computed, because a locked CACHE cell needs a residual."""
    sources = np.zeros(locked.shape, bool)
    for step, site in np.argwhere(locked == Action.CACHE).tolist():
        before = locked[:step, site]
        if (before == Action.COMPUTE).any() or sources[:step, site].any():
            continue
        if not (before == FREE).any():
            raise SearchError(
                f"Cell (step {step}, site {site}) is locked to cache, but nothing may be computed before."
            )
        sources[int(np.argmax(before == FREE)), site] = True
    return sources
