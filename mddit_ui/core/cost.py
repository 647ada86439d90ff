"""What a policy costs: MACs per site, per step and in all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mddit_ui.core.errors import PolicyError
from mddit_ui.core.policy import Action


@dataclass(frozen=True, eq=False)
class MacTable:
    """MACs of one model evaluation (one image, guidance counted), measured on the real transformer.

    Args:
        sites: names of the columns.
        site_macs: (sites,) MACs of each site when it is computed.
        rest_macs: MACs of everything in the transformer that a policy can't save (embedders, final layer).
    """

    sites: tuple[str, ...]
    site_macs: np.ndarray
    rest_macs: float

    def __post_init__(self) -> None:
        site_macs = np.array(self.site_macs, np.float64)
        if site_macs.shape != (len(self.sites),):
            raise PolicyError(f"Expected MACs of shape ({len(self.sites)},), got {site_macs.shape}.")
        if not (np.isfinite(site_macs).all() and (site_macs >= 0).all() and 0 <= self.rest_macs < np.inf):
            raise PolicyError("MACs must be finite and not negative.")
        if not site_macs.sum() + self.rest_macs > 0:
            raise PolicyError("A model with no MACs at all can't be budgeted.")
        site_macs.flags.writeable = False
        object.__setattr__(self, "site_macs", site_macs)

    def cells(self, actions: np.ndarray) -> np.ndarray:
        """(..., steps, sites) MACs of each cell; cache and skip cost nothing."""
        actions = np.asarray(actions)
        if actions.shape[-1] != len(self.sites):
            raise PolicyError(
                f"The policy has {actions.shape[-1]} sites, the model {len(self.sites)}; they must agree."
            )
        return (actions == Action.COMPUTE) * self.site_macs

    def total(self, actions: np.ndarray) -> np.ndarray:
        """(...) MACs of a whole run of one image, the rest included."""
        steps = np.shape(actions)[-2]
        return self.cells(actions).sum((-2, -1)) + steps * self.rest_macs

    def full(self, steps: int) -> float:
        """MACs of the untouched model over ``steps`` evaluations of one image."""
        return steps * float(self.site_macs.sum() + self.rest_macs)

    def budget(self, actions: np.ndarray) -> Any:
        """(...) MACs of the policy / MACs of the full one, in (0, 1]."""
        share = self.total(actions) / self.full(np.shape(actions)[-2])
        return float(share) if np.ndim(share) == 0 else share

    def by_step(self, actions: np.ndarray) -> np.ndarray:
        """(..., steps) MACs of each step, the rest included."""
        return self.cells(actions).sum(-1) + self.rest_macs

    def by_site(self, actions: np.ndarray) -> np.ndarray:
        """(..., sites) MACs of each site over the run."""
        return self.cells(actions).sum(-2)

    def to_dict(self) -> dict[str, Any]:
        return {"sites": list(self.sites), "site_macs": self.site_macs.tolist(), "rest_macs": self.rest_macs}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "MacTable":
        return cls(tuple(content["sites"]), np.array(content["site_macs"]), float(content["rest_macs"]))
