"""Where to start: schedules that are good before anything was searched, all at the budget."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import product

import numpy as np

from mddit_ui.core import presets
from mddit_ui.core.errors import SearchError
from mddit_ui.core.policy import Action, Policy, actions_from_rows
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.search.space import Space

BENDS = (0.7, 1.0, 1.4)  # step times ~ t^bend: below 1 more computed steps late, above 1 early
# Errors of step t count ((t + 1) / steps) ^ lateness: late ones are not corrected, early ones lead elsewhere.
LATENESS = (0.0, -2.0, 1.0)
# Share of the steps before the first that is computed; the blocks are skipped until then.
FIRSTS = (0.2, 0.25, 0.3, 0.0, 0.1)
SKIP_CACHES = 4  # those nearest to the budget, to start from where outputs are carried
STEP_SHARES = (0.85, 0.7)  # of the budget for whole steps, the rest for single cells


def portfolio(space: Space, sensitivity: Sensitivity | None = None, start: Sequence[str] | None = None) -> list[Policy]:
    """Different starting policies, the most promising kinds first.

    Without a calibration: evenly and unevenly spaced whole steps, bands, Skip-Cache. With one: dynamic programming over
    whole steps, and over whole steps and cells, as well. Where outputs are carried, Skip-Cache comes first.

    Args:
        start: rows of a policy that comes before all of these; it loses cells only where it costs too much.

    Raises:
        SearchError: the start is not of this shape.
    """
    importance = None if sensitivity is None else importance_of(sensitivity)
    tables: list[tuple[str, np.ndarray]] = []
    if sensitivity is not None:
        firsts = [min(round(share * space.steps), space.steps - _full_steps(space)) for share in FIRSTS]
        made = {late: whole_steps(space, sensitivity, firsts, late) for late in LATENESS}
        for late, place in _both(LATENESS, range(len(firsts))):
            tables.append((f"best steps from {firsts[place]}, late^{late:g}", made[late][place]))
    tables += [(f"steps ~ t^{bend:g}", _spaced(space, bend)) for bend in BENDS]
    if sensitivity is not None:
        tables += [(f"steps {share:g} + cells", _mixed(space, sensitivity, share)) for share in STEP_SHARES]
    else:
        tables += [
            ("warm-up, then even", _warm_up(space)),
            ("bands", _bands(space)),
            ("skip-cache", _skip_cache(space)),
        ]
    if space.carry == "output":
        found = sorted(_all_skip_caches(space), key=partial(_distance, space))[:SKIP_CACHES]
        tables = [(policy.name, policy.actions) for policy in found] + tables
    policies = [space.nearest(actions, spare_first_row(importance, actions), name=name) for name, actions in tables]
    return list(dict.fromkeys([*_given(space, start, importance), *policies]))


def baselines(space: Space) -> list[Policy]:
    """What a search has to beat: every n-th step, bands and Skip-Cache, as published, nearest to the budget.

    They are not cut to the budget: what a policy can't save makes "every 2" cost a little more than one half.
    """
    steps, sites = space.shape
    n = max(round(1 / space.budget), 1)
    made = [
        presets.every(steps, sites, n),
        _closest(space, _all_bands(space)),
        _closest(space, _all_skip_caches(space)),
    ]
    return list(dict.fromkeys(made))


def importance_of(sensitivity: Sensitivity) -> np.ndarray:
    """(steps, sites) what one step of age costs in each cell, on a logarithmic scale; least in the noisiest step."""
    return np.log(sensitivity.cached[0] + 1e-12)


def best_steps(sensitivity: Sensitivity, count: int, lateness: float = 0.0, first: int = 0) -> np.ndarray:
    """(count,) steps to compute in full so that the predicted error is least; ``first`` is the first of them."""
    return _best_from(sensitivity, count, lateness)(first)


def whole_steps(
    space: Space, sensitivity: Sensitivity, firsts: Iterable[int], lateness: float = 0.0
) -> list[np.ndarray]:
    """(steps, sites) actions for each first step: as many whole steps as the budget pays for, the best ones."""
    best = _best_from(sensitivity, _full_steps(space), lateness)
    return [_whole(space, best(first)) for first in firsts]


def _best_from(sensitivity: Sensitivity, count: int, lateness: float) -> Callable[[int], np.ndarray]:
    """What the best steps are from a first one on.

    Dynamic programming: an edge k -> m costs the errors of the steps between, served by the residuals of step k.
    """
    steps = sensitivity.steps
    by_age = np.asarray(sensitivity.whole) * ((np.arange(steps) + 1) / steps) ** lateness  # (ages, steps)
    edge = np.full((steps, steps + 1), np.inf)
    for k in range(steps):
        served = by_age[np.arange(steps - 1 - k).clip(max=len(by_age) - 1), np.arange(k + 1, steps)]
        edge[k, k + 1 :] = np.concatenate([[0.0], np.cumsum(served)])
    count = min(max(count, 1), steps)
    cost = edge.copy()[:, steps]  # of everything after step k when it is the last computed one
    following = np.full((count, steps), steps)
    for left in range(1, count):
        through = edge[:, :steps] + cost[None, :]
        following[left] = through.argmin(1)
        cost = through.min(1)

    def best(first: int) -> np.ndarray:
        chosen = [first]
        for left in range(min(count, steps - first) - 1, 0, -1):
            chosen.append(int(following[left, chosen[-1]]))
        return np.array(chosen)

    return best


def best_cells(sensitivity: Sensitivity, price: np.ndarray) -> np.ndarray:
    """(steps, sites) bool: what to compute in each column so that predicted error + price of the cells is least.

    Args:
        price: (steps, sites) of computing a cell, in units of error; step 0 is computed at any price.
    """
    steps, sites = sensitivity.skipped.shape
    cached = sensitivity.cached
    best = np.zeros((steps + 1, sites))  # cost of the steps from k on when k is computed, without k's own price
    following = np.full((steps, sites), steps)
    for k in range(steps - 1, -1, -1):
        reach = np.arange(steps - 1 - k)
        served = cached[reach.clip(max=len(cached) - 1), reach + k + 1]  # (steps - 1 - k, sites)
        until = np.concatenate([np.zeros((1, sites)), np.cumsum(served, axis=0)])  # next compute at k + 1 ... steps
        after = best[k + 1 :] + np.concatenate([price[k + 1 :], np.zeros((1, sites))])
        options = until + after
        following[k] = options.argmin(0) + k + 1
        best[k] = options.min(0)
    computed = np.zeros((steps, sites), bool)
    at = np.zeros(sites, int)
    while (inside := at < steps).any():
        computed[at[inside], np.flatnonzero(inside)] = True
        at[inside] = following[at[inside], np.flatnonzero(inside)]
    return computed


def _both(one: Sequence[float], other: Sequence[int]) -> list[tuple[float, int]]:
    """All pairs; those that come early in both first."""
    pairs = sorted(product(range(len(one)), range(len(other))), key=sum)
    return [(one[i], other[j]) for i, j in pairs]


def _given(space: Space, rows: Sequence[str] | None, importance: np.ndarray | None) -> list[Policy]:
    """The policy that somebody starts from, as it is if it is of the space."""
    if rows is None:
        return []
    actions = actions_from_rows(rows)
    if actions.shape != space.shape:
        (steps, sites), wanted = actions.shape, space.shape
        raise SearchError(
            f"The policy to start from has {steps} steps x {sites} blocks; this search has {wanted[0]} x {wanted[1]}."
        )
    return [space.within(actions, spare_first_row(importance, actions), name="given to start from")]


def spare_first_row(importance: np.ndarray | None, actions: np.ndarray) -> np.ndarray:
    """What is too much is taken from the last blocks of the first computed row: half a row costs most in the middle."""
    spared = np.zeros(actions.shape) if importance is None else importance.copy()
    first = int(np.argmax((actions == Action.COMPUTE).any(1)))
    spared[first] = spared.min() - 1
    return spared


def _mixed(space: Space, sensitivity: Sensitivity, share: float) -> np.ndarray:
    """Whole steps for a share of the budget, single cells for the rest."""
    whole = np.zeros(space.shape, bool)
    whole[best_steps(sensitivity, int(_full_steps(space) * share), lateness=1.0)] = True
    return _cells(space, sensitivity, whole)


def _cells(space: Space, sensitivity: Sensitivity, given: np.ndarray) -> np.ndarray:
    """The given cells and the best others; the price per MAC is found by bisection so that the budget is just spent."""
    macs = np.broadcast_to(space.table.site_macs, space.shape) / space.table.site_macs.sum()
    low, high = -30.0, 30.0
    for _ in range(30):
        middle = (low + high) / 2
        computed = given | best_cells(sensitivity, np.where(given, 0.0, macs * np.exp(middle)))
        low, high = (low, middle) if space.table.budget(computed) <= space.budget else (middle, high)
    return _actions(given | best_cells(sensitivity, np.where(given, 0.0, macs * np.exp(low))))


def _full_steps(space: Space) -> int:
    """How many whole steps the budget pays for."""
    rest = space.table.rest_macs * space.steps
    share = (space.budget * space.table.full(space.steps) - rest) / (space.table.full(space.steps) - rest)
    return min(max(round(share * space.steps), 1), space.steps)


def _spaced(space: Space, bend: float, first: int = 0) -> np.ndarray:
    """Whole steps at ``bend``-ed distances, the first ``first`` of them in a row."""
    count = _full_steps(space)
    first = min(first, count)
    where = np.linspace(0, 1, count - first, endpoint=False) ** bend * (space.steps - first) + first
    rows = {*range(first), *np.floor(where).astype(int).tolist()}
    missing = [step for step in range(space.steps) if step not in rows]
    rows.update(missing[: count - len(rows)])
    return _whole(space, sorted(rows))


def _warm_up(space: Space) -> np.ndarray:
    return _spaced(space, 1.0, first=max(2, _full_steps(space) // 3))


def _whole(space: Space, rows: Iterable[int]) -> np.ndarray:
    computed = np.zeros(space.shape, bool)
    computed[list(rows)] = True
    return _actions(computed)


def _actions(computed: np.ndarray) -> np.ndarray:
    return np.where(computed, Action.COMPUTE, Action.CACHE).astype(np.int8)


def _bands(space: Space) -> np.ndarray:
    return _closest(space, _all_bands(space)).actions


def _skip_cache(space: Space) -> np.ndarray:
    return _closest(space, _all_skip_caches(space)).actions


def _all_bands(space: Space) -> list[Policy]:
    shares = (0.25, 0.5, 0.75, 1.0)
    return [presets.bands(*space.shape, n=n, share=share) for n in (2, 3, 4, 6) for share in shares]


def _all_skip_caches(space: Space) -> list[Policy]:
    steps, sites = space.shape
    always = {"full_until": 1000, "reset_at": 0}
    settings = [(n, b) for n in (2, 3, 4, 6, 10) for b in range(1, sites // 2)]
    made = [presets.skip_cache(steps, sites, n=n, b=b, **always) for n, b in settings]
    return made or [presets.every(steps, sites, 2)]


def _closest(space: Space, policies: list[Policy]) -> Policy:
    return min(policies, key=partial(_distance, space))


def _distance(space: Space, policy: Policy) -> float:
    return abs(space.table.budget(policy.actions) - space.budget)
