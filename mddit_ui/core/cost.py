"""What a policy costs: MACs per site, per step and in all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mddit_ui.core.errors import PolicyError
from mddit_ui.core.policy import Action
from mddit_ui.core.tokens import BINS


@dataclass(frozen=True, eq=False)
class MacTable:
    """MACs of one model evaluation (one image, guidance counted), measured on the real transformer.

    Args:
        sites: names of the columns.
        site_macs: (sites,) MACs of each site when it is computed.
        rest_macs: MACs of everything in the transformer that a policy can't save (embedders, final layer).
        routed: (bins, sites) share of a site's MACs when it runs on a share of its tokens, measured at each of
            ``core.tokens.BINS``; ``None`` where sites can't do that.
    """

    sites: tuple[str, ...]
    site_macs: np.ndarray
    rest_macs: float
    routed: np.ndarray | None = None

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
        if self.routed is not None:
            routed = np.array(self.routed, np.float64)
            if routed.shape != (len(BINS), len(self.sites)) or not (np.isfinite(routed).all() and (routed >= 0).all()):
                raise PolicyError(f"Expected shares of shape ({len(BINS)}, {len(self.sites)}), got {routed.shape}.")
            routed.flags.writeable = False
            object.__setattr__(self, "routed", routed)

    def cells(self, actions: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(..., steps, sites) MACs of each cell; cache and skip cost nothing.

        Args:
            keep: (..., steps, sites) share of the tokens that a computed cell runs on; ``None`` = all.

        Raises:
            PolicyError: other sites; a part of the tokens where sites can't run on one.
        """
        actions = np.asarray(actions)
        if actions.shape[-1] != len(self.sites):
            raise PolicyError(
                f"The policy has {actions.shape[-1]} sites, the model {len(self.sites)}; they must agree."
            )
        full = (actions == Action.COMPUTE) * self.site_macs
        return full if keep is None else full * self.shares(np.where(full > 0, keep, 1.0))

    def shares(self, keep: np.ndarray) -> np.ndarray:
        """(..., sites) share of a site's MACs on a share of its tokens: straight lines between bins, level below."""
        keep = np.round(np.asarray(keep, np.float64), 4)  # what a float32 meant
        if (keep >= 1).all():
            return np.ones_like(keep)
        if self.routed is None:
            raise PolicyError("The model has no token routers: its blocks run on all tokens or not at all.")
        columns = [np.interp(keep[..., site], BINS[::-1], self.routed[::-1, site]) for site in range(len(self.sites))]
        return np.stack(columns, -1)

    def total(self, actions: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(...) MACs of a whole run of one image, the rest included."""
        steps = np.shape(actions)[-2]
        return self.cells(actions, keep).sum((-2, -1)) + steps * self.rest_macs

    def full(self, steps: int) -> float:
        """MACs of the untouched model over ``steps`` evaluations of one image."""
        return steps * float(self.site_macs.sum() + self.rest_macs)

    def budget(self, actions: np.ndarray, keep: np.ndarray | None = None) -> Any:
        """(...) MACs of the policy / MACs of the full one, in (0, 1]."""
        share = self.total(actions, keep) / self.full(np.shape(actions)[-2])
        return float(share) if np.ndim(share) == 0 else share

    def by_step(self, actions: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(..., steps) MACs of each step, the rest included."""
        return self.cells(actions, keep).sum(-1) + self.rest_macs

    def by_site(self, actions: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(..., sites) MACs of each site over the run."""
        return self.cells(actions, keep).sum(-2)

    def to_dict(self) -> dict[str, Any]:
        plain = {"sites": list(self.sites), "site_macs": self.site_macs.tolist(), "rest_macs": self.rest_macs}
        return plain if self.routed is None else {**plain, "routed": self.routed.tolist()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "MacTable":
        routed = np.array(content["routed"]) if content.get("routed") is not None else None
        return cls(tuple(content["sites"]), np.array(content["site_macs"]), float(content["rest_macs"]), routed)
