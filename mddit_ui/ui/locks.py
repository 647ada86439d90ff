"""Locked cells: the text in which they travel beside a policy, and what a new policy does with them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mddit_ui.core.errors import ConfigError
from mddit_ui.core.policy import MAX_CELLS, Action, Policy, repair

FREE = "?"
# Keeps the text of the locked cells beside the grid, so that handlers can be given it.
READ_LOCKS = "(grid) => (grid && grid.locked ? grid.locked.join('/') : '')"


def locks_of(text: Any, policy: Policy | None) -> tuple[str, ...] | None:
    """The locked cells of a policy from the text of its rows, joined by ``/``; ``None`` when nothing is locked.

    Raises:
        ConfigError: it is no text of locked cells.
    """
    if not text or policy is None:
        return None
    if not isinstance(text, str) or len(text) > 2 * MAX_CELLS or set(text) - set("#=.?/"):
        raise ConfigError("The locked cells are damaged; reload the page.")
    locked = tuple(text.split("/"))
    mask = mask_of(locked)
    if mask is None or mask.shape != policy.actions.shape:
        return None  # of the grid before: its steps or blocks have changed since
    agreed = tuple(
        "".join(was if was == is_now else FREE for was, is_now in zip(old, new, strict=True))
        for old, new in zip(locked, policy.rows, strict=True)
    )
    return agreed if any(set(row) != {FREE} for row in agreed) else None


def mask_of(locked: Sequence[str]) -> np.ndarray | None:
    """(steps, sites) bool: which cells are locked; ``None`` for rows of different length."""
    if not locked or not locked[0] or len({len(row) for row in locked}) != 1:
        return None
    return np.array([[letter != FREE for letter in row] for row in locked])


def keep_locked(made: Policy, painted: Policy | None, locked: Sequence[str] | None) -> Policy:
    """``made`` with the locked cells as they were painted; legal again where the two don't go together."""
    mask = None if locked is None else mask_of(locked)
    if mask is None or painted is None or not mask.shape == painted.actions.shape == made.actions.shape:
        return made
    actions = np.where(mask, painted.actions, made.actions)
    for site in range(
        actions.shape[1]
    ):  # a locked CACHE cell that comes first gets the nearest free cell as its source
        first = int(np.argmax(actions[:, site] != Action.SKIP))
        free = np.flatnonzero(~mask[:first, site])
        if actions[first, site] == Action.CACHE and mask[first, site] and free.size:
            actions[free[-1], site] = Action.COMPUTE
    return replace(made, actions=repair(actions), keep=_shares(mask, painted, made))


def _shares(mask: np.ndarray, painted: Policy, made: Policy) -> np.ndarray | None:
    """The shares of tokens of the locked cells as they were painted; ``None`` where all cells compute all."""
    if painted.keep is None and made.keep is None:
        return None
    before, after = (np.ones(mask.shape) if each.keep is None else each.keep for each in (painted, made))
    keep = np.where(mask, before, after)
    return None if (keep == 1).all() else keep
