"""Genetic methods on the tables themselves: one whose moves keep the budget, and NSGA-II as ECAD has it."""

from collections.abc import Sequence

import numpy as np

from mddit_ui.core.errors import SearchError
from mddit_ui.core.policy import Action, Policy
from mddit_ui.search.methods import Setting
from mddit_ui.search.optimizers import check_told
from mddit_ui.search.space import intended

MOVES = 3  # at most, for one child
TRIES = 20  # to make a child that is new
CROSSED = 0.5  # share of the children that have two parents
FLIPPED = 0.05  # NSGA-II: share of the children with flipped cells; the others are crossed alone
POINTS = 4  # NSGA-II: cuts of a crossover


class Genetic:
    """(mu + lambda) selection; children move rows, cells or skips of their parents, at the same budget."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._random = np.random.default_rng(setting.seed)
        self._parents = sorted(zip(setting.losses, range(len(setting.starts)), setting.starts, strict=True))
        self._parents = self._parents[: setting.population]
        self._born = len(setting.starts)
        self._seen = {policy.digest for policy in setting.starts}
        self._asked: list[Policy] = []

    def ask(self) -> list[Policy]:
        if self._asked:
            raise SearchError("The last generation was not told yet.")
        seen = set(self._seen)
        for _ in range(self._setting.population):
            self._asked.append(_new_one(self._child, seen))
            seen.add(self._asked[-1].digest)
        return list(self._asked)

    def tell(self, losses: Sequence[float]) -> None:
        check_told(len(self._asked), losses)
        born = range(self._born, self._born + len(losses))
        self._parents = sorted([*self._parents, *zip(losses, born, self._asked, strict=True)])
        self._parents = self._parents[: self._setting.population]
        self._born += len(losses)
        self._seen |= {policy.digest for policy in self._asked}
        self._asked = []

    @property
    def done(self) -> bool:
        return False

    def _child(self) -> Policy:
        actions = intended(self._parent())
        if self._random.random() < CROSSED:
            _cross(self._random, actions, intended(self._parent()))
        for _ in range(self._random.integers(1, MOVES + 1)):
            _MOVES[self._random.choice(len(_MOVES), p=_WEIGHTS)](self._random, actions)
        return self._setting.space.nearest(actions, self._random.random(actions.shape))

    def _parent(self) -> Policy:
        """The better of two."""
        return self._parents[min(self._random.integers(len(self._parents), size=2))][2]


class Nsga2:
    """NSGA-II, Deb et al. 2002 (doi 10.1109/4235.996017); objectives are loss and MACs as in ECAD (arXiv 2506.15682).

    The first generation is half of it random, like the tables of ECAD; what is over the budget is cut to it.
    """

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._random = np.random.default_rng(setting.seed)
        self._seen = {policy.digest for policy in setting.starts}
        self._members = list(setting.starts)
        self._objectives = np.array([self._point(*pair) for pair in zip(setting.starts, setting.losses, strict=True)])
        self._ranked: tuple[np.ndarray, np.ndarray] | None = None  # fronts and crowding; None: random tables first
        self._asked: list[Policy] = []

    def ask(self) -> list[Policy]:
        if self._asked:
            raise SearchError("The last generation was not told yet.")
        seen = set(self._seen)
        make = self._any if self._ranked is None else self._child
        for _ in range(self._setting.population):
            self._asked.append(_new_one(make, seen))
            seen.add(self._asked[-1].digest)
        return list(self._asked)

    def tell(self, losses: Sequence[float]) -> None:
        check_told(len(self._asked), losses)
        new = [self._point(*pair) for pair in zip(self._asked, losses, strict=True)]
        members, objectives = [*self._members, *self._asked], np.concatenate([self._objectives, new])
        self._seen |= {policy.digest for policy in self._asked}
        fronts, crowding = rank_and_crowd(objectives)
        best = np.lexsort((-crowding, fronts))[: self._setting.population]
        self._members, self._objectives = [members[index] for index in best], objectives[best]
        self._ranked = fronts[best], crowding[best]
        self._asked = []

    @property
    def done(self) -> bool:
        return False

    def _point(self, policy: Policy, loss: float) -> tuple[float, float]:
        return loss, self._setting.space.table.budget(policy.actions)

    def _any(self) -> Policy:
        """Every cell computed or cached, by the flip of a coin."""
        return self._setting.space.within(self._random.integers(0, 2, self._setting.space.shape).astype(np.int8))

    def _child(self) -> Policy:
        one, other = self._parent(), self._parent()
        cuts = np.sort(self._random.choice(one.size + 1, POINTS, replace=one.size < POINTS))
        swapped = np.cumsum(np.bincount(cuts, minlength=one.size + 1))[: one.size] % 2 == 1
        cells = np.where(swapped, other.ravel(), one.ravel())
        if self._random.random() < FLIPPED:
            flipped = self._random.random(cells.size) < 1 / cells.size
            cells = np.where(flipped, np.where(cells == Action.COMPUTE, Action.CACHE, Action.COMPUTE), cells)
        return self._setting.space.within(cells.reshape(one.shape).astype(np.int8), self._random.random(one.shape))

    def _parent(self) -> np.ndarray:
        assert self._ranked is not None
        fronts, crowding = self._ranked
        pair = self._random.integers(len(self._members), size=2).tolist()
        return intended(self._members[min(pair, key=lambda index: (fronts[index], -crowding[index], index))])


def rank_and_crowd(objectives: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) front of each point, 0 = not dominated; (n,) crowding distance within its front.

    Args:
        objectives: (n, m), all to be minimised.
    """
    count = len(objectives)
    one, other = objectives[:, None], objectives[None]
    less = np.asarray((one <= other).all(2) & (one < other).any(2))
    fronts = np.full(count, -1)
    front = 0
    while (fronts < 0).any():
        left = fronts < 0
        fronts[left & ~less[left].any(0)] = front
        front += 1
    crowding = np.zeros(count)
    for members in (np.flatnonzero(fronts == each) for each in range(front)):
        for values in objectives[members].T:
            order = members[np.argsort(values, kind="stable")]
            ordered = np.sort(values)
            span = max(ordered[-1] - ordered[0], 1e-12)
            crowding[order[[0, -1]]] = np.inf
            crowding[order[1:-1]] += (ordered[2:] - ordered[:-2]) / span
    return fronts, crowding


def _new_one(make, seen: set[str]) -> Policy:
    for _ in range(TRIES):
        policy = make()
        if policy.digest not in seen:
            break
    return policy


def _cross(random: np.random.Generator, actions: np.ndarray, other: np.ndarray) -> None:
    """Some steps, or some sites, from the other parent."""
    axis = int(random.integers(2))
    low, high = np.sort(random.integers(0, actions.shape[axis] + 1, size=2))
    part = (slice(low, high),) if axis == 0 else (slice(None), slice(low, high))
    actions[part] = other[part]


def _move_row(random: np.random.Generator, actions: np.ndarray) -> None:
    """A range of blocks changes places with the same range of a near step."""
    steps, sites = actions.shape
    step = int(random.integers(steps))
    other = int(np.clip(step + random.choice([-2, -1, 1, 2]), 0, steps - 1))
    low, high = (0, sites) if random.random() < 0.5 else np.sort(random.integers(0, sites + 1, size=2))
    actions[[step, other], low:high] = actions[[other, step], low:high]


def _swap_cells(random: np.random.Generator, actions: np.ndarray) -> None:
    """A computed cell changes places with one that is not."""
    computed, others = np.flatnonzero(actions == Action.COMPUTE), np.flatnonzero(actions != Action.COMPUTE)
    if len(computed) and len(others):
        one, other = random.choice(computed), random.choice(others)
        actions.flat[[one, other]] = actions.flat[[other, one]]


def _toggle_skips(random: np.random.Generator, actions: np.ndarray) -> None:
    """Cache becomes skip, or skip becomes cache, in a part of some steps."""
    steps, sites = actions.shape
    low, high = np.sort(random.integers(0, sites + 1, size=2))
    first = int(random.integers(steps))
    part = actions[first : first + int(random.integers(1, 4)), low:high]
    to, from_ = (Action.SKIP, Action.CACHE) if random.random() < 0.5 else (Action.CACHE, Action.SKIP)
    part[part == from_] = to


_MOVES = (_move_row, _swap_cells, _toggle_skips)
_WEIGHTS = (0.6, 0.3, 0.1)
