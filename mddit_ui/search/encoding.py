"""From a real vector to a policy: a smooth field over the grid, round a starting policy, then the budget."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from mddit_ui.core.policy import Action, Policy
from mddit_ui.core.tokens import BINS
from mddit_ui.search.space import Space, intended, ranks

MARGIN = 0.1  # at least, between what the start computes and the middle
SKIP_MODES = 3  # the field that turns cache cells into skip cells has 3 x 3 cosines
SKIP_AT = 2.0  # ... and does so above this
RATIO_MODES = 3  # the field that lets computed cells run on a part of their tokens
RATIO_SCALE = 0.5  # of that field: at the usual first step size, ratios down to the least bin are tried


@dataclass(frozen=True, eq=False)
class Encoding:
    """``decode(x)`` is a policy of the space for every x; ``decode(0)`` is the start.

    Score of a cell = about +1 or -1 as the start has it, + what the calibration says, + sum of x_i basis_i. Whole rows
    can move with one number (refreshing many blocks in one step beats the same number scattered), columns likewise.

    Args:
        start: a policy of the space.
        basis: (dimension, steps, sites) fields of what is computed; see ``rows_and_columns``, ``cosines``.
        importance: (steps, sites) of what computing a cell is worth, any unit; ``None`` when unknown.
        prior: how far the importance moves the scores; below ``MARGIN`` the start stays the start.
        ratios: whether more numbers choose the share of its tokens that each cell runs on, around the start's, in bins;
            nothing where the model has no routers.
    """

    space: Space
    start: Policy
    basis: np.ndarray
    importance: np.ndarray | None = None
    prior: float = 0.05
    ratios: bool = False
    _base: np.ndarray = field(init=False, repr=False)
    _skip_base: np.ndarray = field(init=False, repr=False)
    _skip_basis: np.ndarray = field(init=False, repr=False)
    _ratio_basis: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        base = _scores(self.start.actions == Action.COMPUTE)
        if self.importance is not None:
            base = base + 2 * self.prior * ranks(self.importance)
        skipped = np.where(intended(self.start) == Action.SKIP, 2 * SKIP_AT, 0.0)
        object.__setattr__(self, "_base", base)
        object.__setattr__(self, "_skip_base", skipped)
        object.__setattr__(self, "_skip_basis", cosines(*self.space.shape, SKIP_MODES, constant=True))
        has_ratios = self.ratios and self.space.table.routed is not None
        shares = cosines(*self.space.shape, RATIO_MODES, constant=True)
        object.__setattr__(self, "_ratio_basis", shares if has_ratios else shares[:0])

    @property
    def dimension(self) -> int:
        return len(self.basis) + len(self._skip_basis) + len(self._ratio_basis)

    def decode(self, x: np.ndarray) -> Policy:
        """The policy of vector x (dimension,)."""
        x = np.asarray(x, float)
        scores = self._base + np.tensordot(x[: len(self.basis)], self.basis, 1)
        first, last = len(self.basis), len(self.basis) + len(self._skip_basis)
        skip = self._skip_base + np.tensordot(x[first:last], self._skip_basis, 1)
        return self.space.policy(scores, skip > SKIP_AT, self._keep(x[last:]))

    def _keep(self, x: np.ndarray) -> np.ndarray | None:
        """(steps, sites) bins of the ratios round those of the start."""
        if not len(x):
            return None
        start = np.ones(self.space.shape) if self.start.keep is None else self.start.keep
        bins = np.array(BINS)
        wanted = start - RATIO_SCALE * np.tensordot(x, self._ratio_basis, 1)
        return bins[np.abs(wanted[..., None] - bins).argmin(-1)]


def _scores(computed: np.ndarray) -> np.ndarray:
    """(steps, sites) about +1 in computed steps, -1 in others; above and below by as little as keeps cells in order.

    So the cells of a whole step that the budget did not pay for trade places with others of such steps first.
    """
    rows = np.broadcast_to(2 * computed.mean(1, keepdims=True) - 1, computed.shape)
    overlap = 0.0 if computed.all() or not computed.any() else rows[~computed].max() - rows[computed].min()
    return rows + np.where(computed, 1, -1) * (max(overlap, 0.0) / 2 + MARGIN)


def cells(steps: int, sites: int) -> np.ndarray:
    """(steps * sites, steps, sites): a number for each cell."""
    return np.eye(steps * sites).reshape(-1, steps, sites)


def rows_and_columns(steps: int, sites: int) -> np.ndarray:
    """(steps + sites, steps, sites): one field a row, one a column."""
    rows = np.eye(steps)[:, :, None] * np.ones((1, 1, sites))
    columns = np.eye(sites)[:, None, :] * np.ones((1, steps, 1))
    return np.concatenate([rows, columns])


def cosines(steps: int, sites: int, modes: int, *, constant: bool = False, mixed_only: bool = False) -> np.ndarray:
    """(n, steps, sites): the lowest ``modes`` x ``modes`` cosines over the grid, together of mean square 1.

    Args:
        constant: with the constant field (it would not change which cells come first).
        mixed_only: without those that vary along one axis alone.
    """
    along = [np.cos(np.pi * k * (np.arange(steps) + 0.5) / steps) for k in range(min(modes, steps))]
    across = [np.cos(np.pi * k * (np.arange(sites) + 0.5) / sites) for k in range(min(modes, sites))]
    fields = [
        np.outer(a, b)
        for u, a in enumerate(along)
        for v, b in enumerate(across)
        if (u or v or constant) and ((u and v) or not mixed_only)
    ]
    if not fields:
        return np.zeros((0, steps, sites))
    stack = np.stack(fields)
    stack /= np.sqrt((stack**2).mean((1, 2), keepdims=True))
    return stack / np.sqrt(len(stack))


def mostly_rows(steps: int, sites: int, modes: int = 4) -> np.ndarray:
    """Rows, columns, and the cosines that vary along both; rows much stronger than the others.

    A step that is computed in part mixes fresh residuals with old ones, which costs more than each does alone; so whole
    steps should trade places before cells do.
    """
    rows, columns = np.split(rows_and_columns(steps, sites), [steps])
    return np.concatenate([rows, 0.15 * columns, 0.15 * cosines(steps, sites, modes, mixed_only=True)])


def _encoding(
    space: Space,
    start: Policy,
    importance: np.ndarray | None,
    *,
    basis: Callable[[int, int], np.ndarray],
    prior: float = Encoding.prior,
    ratios: bool = False,
) -> Encoding:
    return Encoding(space, start, basis(*space.shape), importance, prior, ratios)


# All are within one cell of the budget, whatever the vector: they only order the cells, the space spends the budget.
ENCODINGS: dict[str, Callable[[Space, Policy, np.ndarray | None], Encoding]] = {
    "mixed": partial(_encoding, basis=mostly_rows),
    "ratios": partial(_encoding, basis=mostly_rows, ratios=True),  # "mixed" where the model has no routers
    "rows": partial(_encoding, basis=rows_and_columns),
    "cosines": partial(_encoding, basis=partial(cosines, modes=6)),
    "calibrated": partial(_encoding, basis=partial(cosines, modes=6), prior=5.0),  # the start breaks ties alone
    "cells": partial(_encoding, basis=cells),
}
