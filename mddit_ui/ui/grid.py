"""The policy grid: a canvas in the browser, a checked ``Policy`` in Python."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from mddit_ui.core.calibration import nested
from mddit_ui.core.cost import MacTable
from mddit_ui.core.errors import MdditError, PolicyError
from mddit_ui.core.policy import Policy
from mddit_ui.core.policy_json import FORMAT, loads
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.core.tokens import BINS
from mddit_ui.ui.errors import as_toast
from mddit_ui.ui.measured import MEASURED

STATIC = Path(__file__).parent / "static"
_HTML = (STATIC / "grid.html").read_text()
_CSS = (STATIC / "grid.css").read_text()
SCRIPTS = (
    "policy.js",
    "grid_tools.js",
    "grid_shades.js",
    "grid_draw.js",
    "grid_small.js",
    "grid_skips.js",
    "grid_commands.js",
    "grid.js",
    "grid_events.js",
    "grid_pan.js",
)
_JS = "\n".join((STATIC / name).read_text() for name in SCRIPTS)
_LIVE_JS, _CHECK_JS = ((STATIC / name).read_text() for name in ("live.js", "grid_check.js"))
SENT_AGES = 8
MOST_SHADED = 20_000  # cells of a grid that gets similarity and sensitivity
_SENT_BACK = ("name", "model", "sites", "timesteps", "rows", "carry", "keep")


@dataclass(frozen=True, eq=False)
class GridView:
    """A policy and what is shown about it.

    Args:
        table: its MACs; ``None`` counts all blocks alike.
        residual_bytes: size of one stored residual.
        similarity: (steps, sites) cosine with the step before, NaN where there is none.
        sensitivity: what caching or skipping each cell is predicted to cost.
        locked: one string a step, ``?`` for the free cells and the action's letter for those that stay; ``None`` leaves
            the locks of the grid as they are, where their cells are the same.
        job: id of the search that a live grid follows.
        skips: (from, to) columns of long skip branches.
    """

    policy: Policy
    table: MacTable | None = None
    residual_bytes: int = 0
    similarity: np.ndarray | None = None
    sensitivity: Sensitivity | None = None
    locked: tuple[str, ...] | None = None
    hint: str = ""
    job: str = ""
    skips: tuple[tuple[int, int], ...] = ()


class PolicyGrid(gr.HTML):
    """Paint a policy: handlers get a ``Policy`` and return a ``GridView``; ``input`` fires once a gesture.

    ``poll`` (of a live grid) and ``confirm`` (of an editor) are asked by the browser, outside the queue. ``locks``, if
    somebody sets it, is the component that has the locked cells as text.
    """

    locks: gr.Textbox | None = None
    every: None = None  # or gradio takes the word, which its JavaScript quotes, for an event and copies the whole app

    def __init__(
        self,
        value: Any = None,
        *,
        readonly: bool = False,
        poll: Callable[..., Any] | None = None,
        confirm: Callable[..., Any] | None = None,
        **more: Any,
    ):
        self.readonly = readonly
        for name, template in (("html_template", _HTML), ("css_template", _CSS)):
            more.setdefault(name, template)
        more.setdefault("js_on_load", _JS + (_LIVE_JS if poll else "") + (_CHECK_JS if confirm else ""))
        more.setdefault("apply_default_css", False)
        if asked := [function for function in (poll, confirm) if function]:
            more.setdefault("server_functions", asked)
        super().__init__(value, **more)

    def postprocess(self, value: GridView | Policy | None) -> dict[str, Any] | None:  # type: ignore[override]
        """The plain values that the browser draws from."""
        if value is None:
            return None
        view = GridView(value) if isinstance(value, Policy) else value
        return {**as_content(view), "readonly": self.readonly}

    def preprocess(self, payload: Any) -> Policy | None:  # type: ignore[override]
        """What the browser sent, checked like a policy file."""
        try:
            return policy_of(payload)
        except MdditError as error:
            raise as_toast(error) from None

    def api_info(self) -> dict[str, Any]:
        return {"type": "object", "description": "A policy file: format, rows of '#', '=' and '.', sites, name."}

    def example_payload(self) -> Any:
        return {"rows": ["##", "#="]}

    def example_value(self) -> Any:
        return None


def policy_of(payload: Any) -> Policy | None:
    """The policy of an editor, which may still be empty."""
    return None if payload is None else sent(payload)


def sent(payload: Any) -> Policy:
    """The policy in what a browser sent; unknown keys are only for drawing and are left out.

    Raises:
        PolicyError: anything that a policy file may not hold either.
    """
    if not isinstance(payload, dict) or not isinstance(payload.get("rows"), list):
        raise PolicyError("The grid sent something that is not a policy; reload the page.")
    content = {key: payload[key] for key in _SENT_BACK if payload.get(key) is not None}
    try:
        text = json.dumps({"format": FORMAT, **content})
    except (TypeError, ValueError, RecursionError):
        raise PolicyError("The grid sent something that is not a policy; reload the page.") from None
    return loads(text)


def as_content(view: GridView) -> dict[str, Any]:
    """A view as plain JSON values."""
    policy, table = view.policy, view.table
    if table is not None and len(table.sites) != policy.actions.shape[1]:
        raise PolicyError(f"The policy has {policy.actions.shape[1]} blocks, the model {len(table.sites)}.")
    sites = policy.sites or (table.sites if table else ())
    routed = table.routed if table else None
    small = policy.actions.size <= MOST_SHADED  # so that one gesture never sends a megabyte back
    similar, sensitivity = (view.similarity, view.sensitivity) if small else (None, None)
    return {
        "rows": list(policy.rows),
        "name": policy.name,
        "model": policy.model,
        "sites": list(sites),
        "timesteps": list(policy.timesteps),
        "carry": policy.carry,
        "keep": None if policy.keep is None else nested(policy.keep.astype(float), 4),
        "skips": [list(pair) for pair in view.skips],
        "routed": None if routed is None else {"bins": list(BINS), "macs": nested(routed)},
        "labels": short_labels(sites) if sites else [str(site) for site in range(policy.actions.shape[1])],
        "site_macs": table.site_macs.tolist() if table else None,
        "rest_macs": table.rest_macs if table else 0,
        "residual_bytes": view.residual_bytes,
        "similarity": None if similar is None else nested(similar, 4),
        "sensitivity": None if sensitivity is None else _sensitivity(sensitivity),
        "measured": "" if sensitivity is None else MEASURED.keep(sensitivity),
        "locked": None if view.locked is None else list(view.locked),
        "hint": view.hint,
        "job": view.job,
    }


def _sensitivity(sensitivity: Sensitivity) -> dict[str, Any]:
    """Errors of the first ages; the browser lets later ages grow with the square of the age, as they do."""

    def short(array: np.ndarray) -> list[Any]:
        return np.array([float(f"{value:.3g}") for value in array.ravel()]).reshape(array.shape).tolist()

    return {"cached": short(sensitivity.cached[:SENT_AGES]), "skipped": short(sensitivity.skipped)}


def short_labels(sites: Sequence[str]) -> list[str]:
    """Site names without what all of them share: ``transformer_blocks.3.attn1`` becomes ``3 attn1``."""
    parts = [site.split(".") for site in sites]
    if len({tuple(part[:-1]) for part in parts}) == 1 and len(sites) > 1:
        return [part[-1] for part in parts]
    if len({part[0] for part in parts}) == 1 and all(len(part) > 1 for part in parts):
        return [" ".join(part[1:]) for part in parts]
    return [f"{'single ' if part[0].startswith('single') else ''}{' '.join(part[1:]) or part[0]}" for part in parts]
