"""cache-dit's steps masks: 1 for a step that runs in full, 0 for one whose middle blocks are reused.

As in its ``DBCacheConfig``: ``steps_computation_mask`` with ``steps_computation_policy`` "static", where the first
``Fn_compute_blocks`` (at least 1) and the last ``Bn_compute_blocks`` run at every step. Its files are YAML, read here
as far as its manual shows it (``name: value`` under ``cache_config:``); JSON is YAML too, and is what is written. A
bare mask, ``1101`` or ``[1, 1, 0, 1]``, is read with one first block and no last one.

https://github.com/vipshop/cache-dit (docs/user_guide/CACHE_API.md, LOAD_CONFIGS.md, cache_contexts/cache_config.py)
"""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mddit_ui.core.errors import PolicyError
from mddit_ui.core.interchange_parts import as_actions, places, refuse_other_actions
from mddit_ui.core.policy import MAX_SITES, MAX_STEPS, Action, Policy, check_size, repair
from mddit_ui.core.policy_json import validated

TITLE = "cache-dit"
SECTION = "cache_config"
MASK = "steps_computation_mask"

_Count = Annotated[int, Field(ge=0, le=MAX_SITES)]


class _Config(BaseModel):
    """The entries that a policy heeds; bounds and defaults are those of ``DBCacheConfig``."""

    model_config = ConfigDict(strict=True)

    cache_type: Literal["DBCache"] = "DBCache"
    Fn_compute_blocks: Annotated[int, Field(ge=1, le=MAX_SITES)] = 8
    Bn_compute_blocks: _Count = 0
    num_inference_steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] | None = None
    steps_computation_mask: Annotated[
        list[Annotated[int, Field(ge=0, le=1)]], Field(min_length=1, max_length=MAX_STEPS)
    ]
    steps_computation_policy: Literal["static", "dynamic"] = "dynamic"


def loads(content: Any, blocks: Sequence[str] = ()) -> Policy:
    """A policy of whole blocks. With the policy "dynamic", a 0 is taken as reused.

    Args:
        content: the config, or a bare mask: a list, or a text of 0 and 1.
        blocks: the model's blocks; a mask does not say how many there are.

    Raises:
        PolicyError: no mask, or the name of one that only cache-dit knows; more blocks than the model has.
    """
    if isinstance(content, str | list):
        content = {
            MASK: [int(flag) for flag in content] if isinstance(content, str) else content,
            "Fn_compute_blocks": 1,
        }
    elif isinstance(content, dict):
        content = content.get(SECTION, content)
    if isinstance(content, dict) and isinstance(content.get(MASK), str):
        raise PolicyError(
            f"{MASK} {content[MASK][:40]!r} is worked out by cache-dit; write the list of 0 and 1 instead, "
            "as cache_dit.steps_mask() gives it."
        )
    config = validated(_Config, content)
    mask = np.array(config.steps_computation_mask, bool)
    if config.num_inference_steps not in (None, len(mask)):
        raise PolicyError(
            f"The mask has {len(mask)} numbers for {config.num_inference_steps} steps; it needs one a step."
        )
    if not blocks:
        raise PolicyError("A steps mask does not say how many blocks there are; name the model.")
    if config.Fn_compute_blocks + config.Bn_compute_blocks > len(blocks):
        raise PolicyError(
            f"{config.Fn_compute_blocks} first and {config.Bn_compute_blocks} last blocks are more than the "
            f"{len(blocks)} of this model."
        )
    check_size(len(mask), len(blocks))
    runs = np.repeat(mask[:, None], len(blocks), 1)
    runs[:, : config.Fn_compute_blocks] = True
    runs[:, len(blocks) - config.Bn_compute_blocks :] = True
    return Policy(repair(as_actions(runs)), sites=tuple(blocks))


def dumps(policy: Policy) -> str:
    """A config of one static mask.

    Raises:
        PolicyError: other rows than full ones and ones that reuse the same middle blocks.
    """
    refuse_other_actions(policy, TITLE)
    if any(each.part for each in places(policy, TITLE)):
        raise PolicyError(f"{TITLE}'s masks act on whole blocks; the policy names parts of them.")
    runs = policy.actions == Action.COMPUTE
    mask = runs.all(1)
    first, last = 1, 0
    reused = runs[~mask]
    if len(reused):
        middle = np.flatnonzero(~reused[0])
        first, last = int(middle[0]), runs.shape[1] - 1 - int(middle[-1])
        expected = np.ones(runs.shape[1], bool)
        expected[middle[0] : middle[-1] + 1] = False
        other = np.flatnonzero(~mask & (runs != expected).any(1))
        if len(other):
            raise PolicyError(
                f"{TITLE}'s masks reuse the same middle blocks at every step that is not full; step {other[0]} differs."
            )
        if first == 0:
            raise PolicyError(f"{TITLE} computes the first block at every step; the policy caches it at some.")
    config = {
        "Fn_compute_blocks": first,
        "Bn_compute_blocks": last,
        "num_inference_steps": policy.steps,
        MASK: mask.astype(int).tolist(),
        "steps_computation_policy": "static",
    }
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in config.items())
    return "{" + json.dumps(SECTION) + ": {\n" + lines + "\n}}\n"


def parse_yaml(text: str) -> dict[str, Any]:
    """``name: value`` lines, those under ``cache_config:`` where there is one; comments and other sections pass by.

    Raises:
        PolicyError: a line that is neither.
    """
    content: dict[str, Any] = {}
    inside = not any(line.split("#")[0].strip() == f"{SECTION}:" for line in text.splitlines())
    for line in text.splitlines():
        line = line.split("#")[0].rstrip()
        if not line.strip() or line == "---":
            continue
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon:
            raise PolicyError(
                f"Expected 'name: value', got {line.strip()[:60]!r}; write the mask in one line, [1, 0, 1]."
            )
        if not line[0].isspace() and not value:
            inside = name == SECTION
        elif inside:
            content[name] = _scalar(value)
    return content


def _scalar(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value.strip("'\"")
