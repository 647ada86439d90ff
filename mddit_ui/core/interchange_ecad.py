"""ECAD's schedules (arXiv 2506.15682): JSON, true where a part of a block is recomputed.

As its ``CacheSchedule.to_json`` writes it: ``cache_schedule`` holds ``num_blocks``, ``num_inference_steps``, ``name``,
``attributes`` and ``schedule[step][block][part]``, with steps as "000", "001", ...; ``config`` and ``metrics`` lie
beside it. For PixArt the parts are ``attn1``, ``attn2`` and ``ff``, for FLUX three parts of each full block "0" and
each single block "single_0". A part without anything cached is recomputed, whatever the schedule says.

https://github.com/aniaggarwal/ecad (ecad/schedulers/cache_scheduler, ecad/transformer_blocks)
"""

import json
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mddit_ui.core.errors import PolicyError
from mddit_ui.core.interchange_parts import BLOCKS, as_actions, computed, places, refuse_other_actions
from mddit_ui.core.policy import MAX_NAME, MAX_SITES, MAX_STEPS, Action, Policy, check_size, repair
from mddit_ui.core.policy_json import validated

TITLE = "ECAD"
PARTS = ("attn1", "attn2", "ff")
FULL = ("full_attn", "full_ff", "full_ff_context")
SINGLE = ("single_attn", "single_proj_mlp", "single_proj_out")
SINGLE_BLOCKS = f"single_{BLOCKS}"
_PLAIN = ("compute_attn_cached", "compute_ff_cached")  # the ways of computing a part that leave it as it is

_Parts = dict[str, bool | dict[str, Any]]


class _Schedule(BaseModel):
    model_config = ConfigDict(strict=True)

    num_blocks: Annotated[int, Field(ge=1, le=MAX_SITES)]
    num_inference_steps: Annotated[int, Field(ge=1, le=MAX_STEPS)]
    num_single_blocks: Annotated[int, Field(ge=0, le=MAX_SITES)] | None = None
    name: str = "untitled"
    schedule: dict[str, dict[str, _Parts]]


class _File(BaseModel):
    cache_schedule: _Schedule


def loads(content: Any) -> Policy:
    """A policy of branches; of whole blocks for FLUX, whose single blocks have parts that are no sites.

    Raises:
        PolicyError: something is missing, or a part is computed in a way of its own (T-GATE).
    """
    file = validated(_File, content).cache_schedule
    steps, blocks = file.num_inference_steps, file.num_blocks
    check_size(steps, blocks)
    rows = {_number(key): row for key, row in file.schedule.items()}
    if set(rows) != set(range(steps)) or len(rows) != len(file.schedule):
        raise PolicyError(f"The schedule needs an entry for each of the steps 0 to {steps - 1}.")
    if file.num_single_blocks is None:
        check_size(steps, blocks * len(PARTS))
        runs = np.array([_runs(rows, step, str(block), PARTS) for step in range(steps) for block in range(blocks)])
        sites = [f"{BLOCKS}.{block}.{part}" for block in range(blocks) for part in PARTS]
        runs = runs.reshape(steps, -1)
    else:
        singles = range(file.num_single_blocks)
        names = [(str(block), FULL) for block in range(blocks)] + [(f"single_{block}", SINGLE) for block in singles]
        check_size(steps, len(names))
        runs = np.array([[_together(rows, step, *name) for name in names] for step in range(steps)])
        sites = [f"{BLOCKS}.{block}" for block in range(blocks)] + [f"{SINGLE_BLOCKS}.{block}" for block in singles]
    return Policy(repair(as_actions(runs)), sites=tuple(sites), name=file.name[:MAX_NAME])


def dumps(policy: Policy) -> str:
    """Whole blocks are written as all of their parts.

    Raises:
        PolicyError: what the format can't express.
    """
    found = places(policy, TITLE)
    counts: dict[str, int] = {}
    if {each.list for each in found} == {BLOCKS, SINGLE_BLOCKS}:
        refuse_other_actions(policy, TITLE)
        if any(each.part for each in found):
            raise PolicyError(f"{TITLE} has other parts of FLUX's blocks than a policy; give one of whole blocks.")
        runs = (policy.actions == Action.COMPUTE).tolist()
        full = sum(each.list == BLOCKS for each in found)
        counts = {"num_blocks": full, "num_single_blocks": len(found) - full}
        schedule = [
            {
                (str(each.block) if each.list == BLOCKS else f"single_{each.block}"): dict.fromkeys(
                    FULL if each.list == BLOCKS else SINGLE, run
                )
                for each, run in zip(found, row, strict=True)
            }
            for row in runs
        ]
    else:
        table = computed(policy, TITLE, PARTS).tolist()
        counts = {"num_blocks": len(table[0])}
        schedule = [
            {str(block): dict(zip(PARTS, parts, strict=True)) for block, parts in enumerate(row)} for row in table
        ]
    inner = {
        **counts,
        "num_inference_steps": policy.steps,
        "name": policy.name,
        "attributes": {},
        "schedule": {f"{step:03}": row for step, row in enumerate(schedule)},
    }
    return json.dumps({"cache_schedule": inner, "config": {}, "metrics": {}}, indent=1) + "\n"


def _runs(rows: dict[int, dict[str, _Parts]], step: int, block: str, parts: tuple[str, ...]) -> list[bool]:
    """Whether each part of a block runs at a step."""
    found = rows[step].get(block, {})
    for name, way in found.items():
        if isinstance(way, dict) and way and way.get("name") not in _PLAIN:
            raise PolicyError(f"Step {step}, block {block}: {name[:40]!r} computes in a way that a policy has not.")
    flags = [found.get(part) for part in parts]
    if not all(isinstance(flag, bool) for flag in flags):
        raise PolicyError(f"Step {step}, block {block}: expected true or false for {', '.join(parts)}.")
    return [flag is True for flag in flags]


def _together(rows: dict[int, dict[str, _Parts]], step: int, block: str, parts: tuple[str, ...]) -> bool:
    runs = _runs(rows, step, block, parts)
    if len(set(runs)) > 1:
        raise PolicyError(
            f"Step {step}, block {block}: some of {', '.join(parts)} run and some do not; "
            "a policy acts on such a block as a whole."
        )
    return runs[0]


def _number(key: str) -> int:
    if not (key.isascii() and key.isdecimal() and len(key) <= 4):
        raise PolicyError(f"Expected the number of a step, got {key[:40]!r}.")
    return int(key)
