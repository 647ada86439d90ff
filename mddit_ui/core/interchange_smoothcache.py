"""SmoothCache's schedules (arXiv 2411.10510): JSON, lists of 1 (run) and 0 (reuse), one number a step.

Two forms are in use: one list for each part of each block of the original DiT, ``{"attn-0": [...], "mlp-0": [...]}``,
and one list for a part of all blocks, ``{"attn1": [...]}`` by diffusers' names. Parts that are not listed always run,
and so does a part with nothing cached yet. What is reused is the part's output, before its gate.

https://github.com/Roblox/SmoothCache (smoothcache_schedules, SmoothCache/calibration/calibration_helper.py)
"""

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from mddit_ui.core.errors import PolicyError
from mddit_ui.core.interchange_parts import BLOCKS, Place, as_actions, computed, place
from mddit_ui.core.policy import Policy, check_size, repair

TITLE = "SmoothCache"
PARTS = ("attn1", "ff")
_ALIAS = {"attn": "attn1", "mlp": "ff"}  # the original DiT's names
_ORIGINAL = {part: name for name, part in _ALIAS.items()}
KEY = re.compile(r"([a-z]\w{0,39})(?:-(\d{1,4}))?")


def loads(content: Any, branches: Sequence[str] = ()) -> Policy:
    """A policy of branches.

    Args:
        branches: the model's sites, needed for a list that stands for all blocks.

    Raises:
        PolicyError: lists of other values or of different lengths; the model is needed, or has no such branch.
    """
    if not isinstance(content, dict) or not content:
        raise PolicyError('Expected lists of 0 and 1 by name, such as {"attn-0": [1, 0, 1]}.')
    columns = {}
    for key, values in content.items():
        runs = _flags(key, values)
        for site in _sites(key, branches):
            if site in columns:
                raise PolicyError(f"{key[:40]!r} sets {site} once more; list each part of a block once.")
            columns[site] = runs
    if len({len(runs) for runs in columns.values()}) > 1:
        raise PolicyError("The lists have different lengths; each needs one number a step.")
    order = {site: index for index, site in enumerate(branches)}
    sites = sorted(columns, key=lambda site: order.get(site, -1) if branches else _natural(site))
    check_size(len(next(iter(columns.values()))), len(sites))
    return Policy(repair(as_actions(np.array([columns[site] for site in sites], bool).T)), sites=tuple(sites))


def dumps(policy: Policy) -> str:
    """One list for all blocks where they agree (what its helper for diffusers takes), else one for each block.

    Raises:
        PolicyError: what the format can't express.
    """
    table = computed(policy, TITLE, PARTS).astype(int)
    lists: dict[str, list[int]] = {}
    if (table == table[:, :1]).all():
        lists = {part: table[:, 0, index].tolist() for index, part in enumerate(PARTS)}
    else:
        for block in range(table.shape[1]):
            lists |= {f"{_ORIGINAL[part]}-{block}": table[:, block, index].tolist() for index, part in enumerate(PARTS)}
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(values)}" for name, values in lists.items())
    return "{\n" + lines + "\n}\n"


def _flags(key: str, values: Any) -> list[int]:
    if not isinstance(values, list) or not values or not all(type(v) in (int, bool) and v in (0, 1) for v in values):
        raise PolicyError(f"{key[:40]!r}: expected a list of 0 (reuse) and 1 (run), one number a step.")
    return values


def _sites(key: str, branches: Sequence[str]) -> list[str]:
    """The sites that a name stands for."""
    found = KEY.fullmatch(key)
    if found is None:
        raise PolicyError(f"{key[:40]!r} is no part of a block; expected names such as attn-0, mlp-0 or attn1.")
    known = [place(site, TITLE) for site in branches]
    part = found[1] if any(each.part == found[1] for each in known) else _ALIAS.get(found[1], found[1])
    if not branches:
        if found[2] is None:
            raise PolicyError(f"{key[:40]!r} stands for all blocks; name the model, so that their number is known.")
        return [f"{BLOCKS}.{int(found[2])}.{part}"]
    sites = [
        site
        for site, each in zip(branches, known, strict=True)
        if each.part == part and (found[2] is None or each.block == int(found[2]))
    ]
    if not sites or (found[2] is not None and len(sites) > 1):
        raise PolicyError(f"{key[:40]!r} names {'no' if not sites else 'more than one'} branch of this model.")
    return sites


def _natural(site: str) -> tuple[int, int, str]:
    each: Place = place(site, TITLE)
    return each.block, PARTS.index(each.part) if each.part in PARTS else 1, each.part
