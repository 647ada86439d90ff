"""What one probed full-depth run tells about every cell."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np


@dataclass(frozen=True, eq=False)
class Calibration:
    """What one probed full-depth run tells about every cell; arrays are means over the images of the run.

    An image stands for its prompt; guidance's calls are averaged.

    Args:
        model: id; sites: column names; timesteps: (steps,).
        step_similarity: (steps, sites) cosine of the site's output with that of the previous step; row 0 is NaN.
        site_similarity: (steps, sites) cosine of the site's output with its input, what the site before it gave.
        residual_change: (ages, steps, sites) |residual - residual a+1 steps before| / |residual|; NaN if a+1 > step.
        residual_size: (steps, sites) |residual| / |input|.
        prompts: one an image; () where a model that draws classes has no words for them.
        spreads: name of an array -> standard deviation over the images, of the same shape.
    """

    model: str
    sites: tuple[str, ...]
    timesteps: tuple[float, ...]
    step_similarity: np.ndarray
    site_similarity: np.ndarray
    residual_change: np.ndarray
    residual_size: np.ndarray
    prompts: tuple[str, ...] = ()
    spreads: Mapping[str, np.ndarray] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; NaN becomes null."""
        arrays: dict[str, Any] = {name: nested(getattr(self, name)) for name in _CALIBRATION_ARRAYS}
        arrays["spreads"] = {name: nested(array) for name, array in self.spreads.items()}
        plain = {"model": self.model, "sites": list(self.sites), "timesteps": list(self.timesteps)}
        return {**plain, "prompts": list(self.prompts), **arrays}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        values: dict[str, Any] = {name: np.array(content[name], np.float64) for name in _CALIBRATION_ARRAYS}
        values |= {name: tuple(content[name]) for name in ("sites", "timesteps", "prompts")}
        values["spreads"] = {name: np.array(array, np.float64) for name, array in content.get("spreads", {}).items()}
        return cls(model=content["model"], **values)


_CALIBRATION_ARRAYS = ("step_similarity", "site_similarity", "residual_change", "residual_size")


def nested(array: np.ndarray, digits: int = 6) -> list:
    """Nested lists for JSON; NaN becomes null."""
    rounded = np.round(array, digits).astype(object)
    rounded[np.isnan(array)] = None
    return rounded.tolist()
