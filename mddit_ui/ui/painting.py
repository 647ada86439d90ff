"""The server's part in painting: it repairs and counts what the browser sends."""

from typing import Any

from mddit_ui.core.errors import ConfigError, MdditError
from mddit_ui.core.plan import plan
from mddit_ui.core.policy import MAX_CELLS, Policy, actions_from_rows, repair
from mddit_ui.ui.grid import sent
from mddit_ui.ui.measured import MEASURED
from mddit_ui.ui.parts import known_model, shape_for


def confirm(request: Any) -> dict[str, Any] | None:
    """The rows, repaired, and their numbers by core's arithmetic; nothing for what is no policy of the model.

    Args:
        request: ``{"model": id, "rows": [...], "keep": [[...]], "carry": word, "measured": name}``.
    """
    if not isinstance(request, dict) or not isinstance(request.get("rows"), list):
        return None
    try:
        spec = known_model(request.get("model"))
        repaired = Policy(repair(actions_from_rows(_texts(request["rows"]))))
        more = {key: request.get(key) for key in ("keep", "carry")}
        policy = sent({"rows": list(repaired.rows), **more})
        shape = shape_for(policy, spec.id, spec.steps, "default")  # MACs of one evaluation don't depend on the steps
        table = shape.mac_table
        macs = float(table.total(policy.actions, policy.keep))
        sensitivity = MEASURED.find(str(request.get("measured", "")))
        fits = sensitivity is not None and sensitivity.skipped.shape == policy.actions.shape
        return {
            "rows": list(policy.rows),
            "share": macs / table.full(policy.steps),
            "macs": macs,
            "full": table.full(policy.steps),
            "peak_bytes": plan(policy).peak_residuals * shape.residual_bytes,
            "closeness": float(sensitivity.closeness(policy.actions)) if sensitivity is not None and fits else None,
        }
    except MdditError:
        return None


def _texts(rows: list[Any]) -> list[str]:
    if len(rows) > MAX_CELLS or not all(isinstance(row, str) for row in rows):
        raise ConfigError("The grid sent something that is not a policy; reload the page.")
    return rows
