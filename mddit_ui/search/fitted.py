"""What evaluated policies teach about a calibration: how much each step, block and age of it counts in the pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mddit_ui.core.policy import Action, ages
from mddit_ui.core.sensitivity import Sensitivity

NOISE = 0.2  # of the logarithm of an error: few pictures, and what the weights have no words for
SMOOTH = 4.0  # steps over which the weights of steps are alike
# Standard deviations of the weights before anything was evaluated: of a step, a block, skipping, growth with age.
STEP, ROUGH, BLOCK, SKIP, AGE = 1.0, 0.5, 0.3, 1.0, 0.5
REST = 0.3  # of the variance of what the weights don't explain, what is noise
ITERATIONS, EQUAL = 200, 1e-9  # until the weights are the same on any CPU, where rounding differs
MOST = 400  # policies that it learns from, the best ones


@dataclass(frozen=True, eq=False)
class FittedSensitivity:
    """log of the pictures' squared error = log(sum over the cells of calibrated error x exp(weights)) + c + rest.

    The weights have normal priors round 0, where all is as it was calibrated, and are fitted by Levenberg-Marquardt;
    their uncertainty is that of Laplace's approximation. The rest is a Gaussian process on which cells are computed and
    skipped. docs/LOG.md compares it with others.

    Args:
        sensitivity: of the calibration.
        weights: (steps + blocks + 3,) one a step, one a block, of skipping, of log age in cached cells, and c.
        precision: (n, n) of the weights.
        known: (policies, features) of those that it was fitted to; rest: (policies,) what each adds to others like it.
    """

    sensitivity: Sensitivity
    weights: np.ndarray
    precision: np.ndarray
    known: np.ndarray
    rest: np.ndarray

    @classmethod
    def fit(cls, sensitivity: Sensitivity, actions: np.ndarray, errors: np.ndarray) -> "FittedSensitivity":
        """From (n, steps, blocks) actions and (n,) logarithms of what errors they had, up to a constant."""
        best = np.argsort(errors, kind="stable")[:MOST]
        actions, errors = np.asarray(actions)[best], np.asarray(errors, float)[best]
        cells, prior = _Cells(sensitivity, actions), _prior(*sensitivity.skipped.shape)
        weights = np.zeros(len(prior))
        weights[-1] = (errors - cells.error(weights)).mean()

        def cost(weights: np.ndarray) -> float:
            return float(((errors - cells.error(weights)) ** 2).sum() / NOISE**2 + weights @ prior @ weights)

        now, damping = cost(weights), 1.0
        slope = cells.slope(weights)
        for _ in range(ITERATIONS):
            precision = slope.T @ slope / NOISE**2 + prior
            gradient = slope.T @ (errors - cells.error(weights)) / NOISE**2 - prior @ weights
            move = np.linalg.solve(precision + damping * np.eye(len(prior)), gradient)
            if (then := cost(weights + move)) < now + EQUAL:
                weights, now, damping = weights + move, then, damping / 3
                slope = cells.slope(weights)
            else:
                damping *= 3
            if np.abs(move).max() < EQUAL:
                break
        known = _features(actions)
        like = _likeness(known, known) + REST * np.eye(len(known))
        rest = np.linalg.solve(like, errors - cells.error(weights))
        return cls(sensitivity, weights, slope.T @ slope / NOISE**2 + prior, known, rest)

    def predict(self, actions: np.ndarray, weights: Sequence[np.ndarray]) -> np.ndarray:
        """(len(weights), n) log errors of (n, steps, blocks) actions, with each of these weights."""
        actions = np.asarray(actions)
        cells, rest = _Cells(self.sensitivity, actions), _likeness(_features(actions), self.known) @ self.rest
        return np.stack([cells.error(each) + rest for each in weights])

    def sample(self, random: np.random.Generator) -> np.ndarray:
        """Weights as they may be, given what was evaluated."""
        return self.weights + np.linalg.solve(self._root, random.normal(size=len(self.weights)))

    def calibrated(self, weights: np.ndarray) -> Sensitivity:
        """The calibration with such weights."""
        steps, blocks = self.sensitivity.skipped.shape
        step, block = np.exp(weights[:steps]), np.exp(weights[steps : steps + blocks])
        cached, whole = self.sensitivity.cached, np.asarray(self.sensitivity.whole)
        growth = np.arange(1.0, len(cached) + 1) ** weights[-2]
        cell = step[:, None] * block
        return Sensitivity(
            growth[:, None, None] * cell * cached,
            np.exp(weights[-3]) * cell * self.sensitivity.skipped,
            growth[:, None] * step * whole,
        )

    @cached_property
    def _root(self) -> np.ndarray:
        return np.linalg.cholesky(self.precision).T


class _Cells:
    """The calibrated errors of the cells of policies, to be weighed."""

    def __init__(self, sensitivity: Sensitivity, actions: np.ndarray) -> None:
        self._errors = sensitivity.cells(actions).astype(float) + 1e-12
        self._skipped = actions == Action.SKIP
        self._ages = np.log(np.maximum(np.where(actions == Action.CACHE, ages(actions), 1), 1))

    def error(self, weights: np.ndarray) -> np.ndarray:
        """(n,) log errors."""
        return np.log(self._weighed(weights).sum((1, 2))) + weights[-1]

    def slope(self, weights: np.ndarray) -> np.ndarray:
        """(n, weights) derivatives of the log errors."""
        cells = self._weighed(weights)
        shares = cells / cells.sum((1, 2), keepdims=True)
        more = [(shares * self._skipped).sum((1, 2)), (shares * self._ages).sum((1, 2)), np.ones(len(cells))]
        return np.concatenate([shares.sum(2), shares.sum(1), np.stack(more, 1)], axis=1)

    def _weighed(self, weights: np.ndarray) -> np.ndarray:
        steps, blocks = self._errors.shape[1:]
        cell = weights[:steps, None] + weights[steps : steps + blocks]
        return self._errors * np.exp(cell + weights[-3] * self._skipped + weights[-2] * self._ages)


def _prior(steps: int, blocks: int) -> np.ndarray:
    """(n, n) precision of the weights; the constant may be anything."""
    apart = np.arange(steps)[:, None] - np.arange(steps)
    prior = np.zeros((steps + blocks + 3,) * 2)
    prior[:steps, :steps] = np.linalg.inv(STEP**2 * np.exp(-0.5 * (apart / SMOOTH) ** 2) + ROUGH**2 * np.eye(steps))
    others = np.arange(steps, len(prior) - 1)
    prior[others, others] = 1 / np.array([*[BLOCK] * blocks, SKIP, AGE]) ** 2
    return prior


def _features(actions: np.ndarray) -> np.ndarray:
    """(n, features) which cells are computed and which skipped, blurred over three steps."""
    tables = np.concatenate([actions == Action.COMPUTE, actions == Action.SKIP], axis=2).astype(float)
    padded = np.pad(tables, ((0, 0), (1, 1), (0, 0)), mode="edge")
    return (padded[:, :-2] + 2 * tables + padded[:, 2:]).reshape(len(actions), -1) / 4


def _likeness(some: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(n, m) Gaussian kernel, as wide as the known ones lie apart."""
    apart = _squared_distances(known, known)
    width = max(float(np.median(apart[np.triu_indices(len(known), 1)])) if len(known) > 1 else 1.0, 1e-9)
    return np.exp(-0.5 * _squared_distances(some, known) / width)


def _squared_distances(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    squares = (some**2).sum(1)[:, None] + (others**2).sum(1) - 2 * some @ others.T
    return np.maximum(squares, 0)
