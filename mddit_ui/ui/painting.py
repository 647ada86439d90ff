"""The server's part in painting: it repairs and counts what the browser sends, and keeps locked cells as they are."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mddit_ui.core.errors import ConfigError, MdditError
from mddit_ui.core.plan import plan
from mddit_ui.core.policy import MAX_CELLS, Action, Policy, actions_from_rows, repair
from mddit_ui.ui.measured import MEASURED
from mddit_ui.ui.parts import known_model, shape_of

FREE = "?"
# Keeps the text of the locked cells beside the grid, so that handlers can be given it.
READ_LOCKS = "(grid) => (grid && grid.locked ? grid.locked.join('/') : '')"


def confirm(request: Any) -> dict[str, Any] | None:
    """The rows, repaired, and their numbers by core's arithmetic; nothing for what is no policy of the model.

    Args:
        request: ``{"model": id, "rows": [...], "measured": name}``, as a browser sends it.
    """
    if not isinstance(request, dict) or not isinstance(request.get("rows"), list):
        return None
    try:
        spec = known_model(request.get("model"))
        policy = Policy(repair(actions_from_rows(_texts(request["rows"]))))
        shape = shape_of(spec.id, spec.steps, "default")  # MACs of one evaluation don't depend on the steps
        table = shape.mac_table
        sensitivity = MEASURED.find(str(request.get("measured", "")))
        fits = sensitivity is not None and sensitivity.skipped.shape == policy.actions.shape
        return {
            "rows": list(policy.rows),
            "share": table.budget(policy.actions),
            "macs": float(table.total(policy.actions)),
            "full": table.full(policy.steps),
            "peak_bytes": plan(policy).peak_residuals * shape.residual_bytes,
            "closeness": float(sensitivity.closeness(policy.actions)) if sensitivity is not None and fits else None,
        }
    except MdditError:
        return None


def locks_of(text: Any, policy: Policy | None) -> tuple[str, ...] | None:
    """The locked cells of a policy from the text beside the grid; ``None`` when nothing is locked.

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
    return replace(made, actions=repair(actions))


def _texts(rows: list[Any]) -> list[str]:
    if len(rows) > MAX_CELLS or not all(isinstance(row, str) for row in rows):
        raise ConfigError("The grid sent something that is not a policy; reload the page.")
    return rows
