"""What caching or skipping each cell is predicted to cost in quality, from one calibration run."""

from dataclasses import dataclass, field

import numpy as np

from mddit_ui.core.calibration import Calibration
from mddit_ui.core.errors import PolicyError
from mddit_ui.core.policy import Action, ages


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """Squared error that a cell puts into the stream of blocks, relative to the size of the stream at their end.

    It counts the more the later the step: what goes wrong early is partly corrected. A cached residual drifts with its
    age, so the error of a CACHE cell never falls with age; that makes the predicted error of a policy fall, or stay,
    whenever one more cell is computed.

    Args:
        cached: (ages, steps, sites) error of a residual that is ``a + 1`` steps old.
        skipped: (steps, sites) error of leaving the block out.
        whole: (ages, steps) error of the model's output when ALL blocks take residuals ``a + 1`` steps old. That is
            less than the sum of the cells: residuals of one step fit each other. ``None``: that sum.
    """

    cached: np.ndarray
    skipped: np.ndarray
    whole: np.ndarray | None = None
    _lookup: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        cached = np.array(self.cached, np.float64)
        skipped = np.array(self.skipped, np.float64)
        if cached.ndim != 3 or cached.shape[1:] != skipped.shape:
            raise PolicyError(f"Expected (ages, steps, sites) and (steps, sites), got {cached.shape}, {skipped.shape}.")
        if not (np.isfinite(cached).all() and np.isfinite(skipped).all()):
            raise PolicyError("Predicted errors must be finite numbers.")
        cached = np.maximum.accumulate(cached, axis=0)
        whole = cached.sum(2) if self.whole is None else np.maximum.accumulate(np.array(self.whole, np.float64), axis=0)
        if whole.shape != cached.shape[:2]:
            raise PolicyError(f"Expected (ages, steps) like {cached.shape[:2]}, got {whole.shape}.")
        # (ages + 2, steps, sites): row 0 compute, rows 1.. cached at that age, the last row skip
        lookup = np.concatenate([np.zeros_like(skipped)[None], cached, skipped[None]]).astype(np.float32)
        arrays: dict[str, np.ndarray] = {"cached": cached, "skipped": skipped, "whole": whole, "_lookup": lookup}
        for name, array in arrays.items():
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @classmethod
    def from_calibration(cls, calibration: Calibration) -> "Sensitivity":
        """From the measured changes; ages that were not measured go on growing as the last measured one did."""
        size = np.nan_to_num(calibration.residual_size) * _stream_size(calibration)  # (steps, sites)
        change = np.asarray(calibration.residual_change, float)  # (ages, steps, sites), NaN before the first step
        measured, steps, _ = change.shape
        known = np.nan_to_num(change)
        ages = range(1, max(steps, 2))
        grown = np.stack([known[min(age, measured) - 1] * max(age / measured, 1) for age in ages])

        # |a - b|^2 / |a|^2 = 2 (1 - cos) of two outputs of one size; it grows with age as the residuals' changes do.
        moved = 2 * (1 - np.nan_to_num(calibration.step_similarity[:, -1], nan=1.0))  # (steps,)
        growth = (grown**2).mean(2) / np.maximum((known[0] ** 2).mean(1), 1e-12)  # (ages, steps)
        late = (np.arange(steps)[:, None] + 1) / steps
        return cls((grown * size) ** 2 * late, size**2 * late, growth * moved)

    @property
    def steps(self) -> int:
        return self.skipped.shape[0]

    def cells(self, actions: np.ndarray) -> np.ndarray:
        """(..., steps, sites) predicted error of each cell; 0 where it is computed.

        Raises:
            PolicyError: a table of another shape.
        """
        actions = np.asarray(actions)
        if actions.shape[-2:] != self.skipped.shape:
            raise PolicyError(
                f"The calibration is for {self.skipped.shape} cells, the policy has {actions.shape[-2:]}."
            )
        rows = np.minimum(ages(actions), len(self.cached)).astype(np.int32)
        rows[actions == Action.SKIP] = len(self.cached) + 1
        rows *= self.skipped.size
        rows += np.arange(self.skipped.size, dtype=np.int32).reshape(self.skipped.shape)
        return self._lookup.ravel()[rows]

    def total(self, actions: np.ndarray) -> np.ndarray:
        """(...) predicted error of whole policies."""
        return self.cells(actions).sum((-2, -1), dtype=np.float64)

    def closeness(self, actions: np.ndarray) -> np.ndarray:
        """(...) 1 for full depth, less the root mean square of the errors of all cells; never below 0."""
        return np.maximum(1 - np.sqrt(self.total(actions) / self.skipped.size), 0)


def _stream_size(calibration: Calibration) -> np.ndarray:
    """(steps, sites) size of the stream at the input of each block / at the output of the last.

    A block's growth g = |output| / |input| follows from c = cos(output, input) and s = |output - input| / |input|:
    s^2 = g^2 + 1 - 2 g c, of which the larger root is taken (streams grow).
    """
    size = np.nan_to_num(calibration.residual_size)
    cosine = np.nan_to_num(calibration.site_similarity, nan=1.0)
    growth = cosine + np.sqrt(np.maximum(cosine**2 + size**2 - 1, 0))
    after = np.cumprod(np.maximum(growth, 1e-6), axis=1)
    return after / np.maximum(growth, 1e-6) / after[:, -1:]
