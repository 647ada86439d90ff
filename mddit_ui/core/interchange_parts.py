"""What the formats of other projects have in common: blocks with parts, each computed or reused at each step."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mddit_ui.core.errors import PolicyError
from mddit_ui.core.policy import Action, Policy

BLOCKS = "transformer_blocks"  # diffusers' name of the list of blocks in PixArt, DiT and most others
_SITE = re.compile(r"(?P<list>[\w.]*?\w)\.(?P<block>\d{1,4})(?:\.(?P<part>[a-z]\w*))?")


class Place(NamedTuple):
    """Where a site is: a part of a block (``attn1``), or with part "" the whole block."""

    list: str
    block: int
    part: str


def places(policy: Policy, title: str) -> list[Place]:
    """Where the columns of a policy are; columns without names are the blocks of one list."""
    if not policy.sites:
        return [Place(BLOCKS, index, "") for index in range(policy.actions.shape[1])]
    return [place(site, title) for site in policy.sites]


def place(site: str, title: str) -> Place:
    """Raises PolicyError: the name has no number of a block in it."""
    found = _SITE.fullmatch(site)
    if found is None:
        raise PolicyError(f"{title} numbers blocks; the site {site[:80]!r} names none (as in {BLOCKS}.0.attn1).")
    return Place(found["list"], int(found["block"]), found["part"] or "")


def computed(policy: Policy, title: str, parts: Sequence[str]) -> np.ndarray:
    """(steps, blocks, parts) bool, whether each part runs.

    A whole block stands for all of its parts; what the policy does not name runs. A part that the format does not know
    is refused unless it always runs.

    Raises:
        PolicyError: skipped cells, cells that keep a share of the tokens, several lists of blocks, unknown parts.
    """
    refuse_other_actions(policy, title)
    where = places(policy, title)
    lists = sorted({each.list for each in where})
    if len(lists) > 1:
        raise PolicyError(f"{title} knows one list of blocks; the policy has {' and '.join(lists[:3])}.")
    table = np.ones((policy.steps, max(each.block for each in where) + 1, len(parts)), bool)
    for column, (each, runs) in enumerate(zip(where, (policy.actions == Action.COMPUTE).T, strict=True)):
        if each.part == "":
            table[:, each.block, :] &= runs[:, None]
        elif each.part in parts:
            table[:, each.block, parts.index(each.part)] &= runs
        elif not runs.all():
            raise PolicyError(f"{title} knows {', '.join(parts)}; the policy caches {policy.sites[column]}.")
    return table


def refuse_other_actions(policy: Policy, title: str) -> None:
    """PolicyError when a cell is neither computed nor cached, keeps a share of the tokens, or reuses whole outputs."""
    skipped = np.argwhere(policy.actions == Action.SKIP)
    if len(skipped):
        step, site = skipped[0].tolist()
        raise PolicyError(
            f"{title} can't express the skipped cell (step {step}, site {site}): it knows computed and cached ones; "
            "paint that cell cached or computed."
        )
    if policy.keep is not None and (policy.keep[policy.actions == Action.COMPUTE] < 1).any():
        raise PolicyError(f"{title} can't express cells that keep a share of the tokens.")
    if policy.carry != "residual":
        raise PolicyError(f"{title} can't express cells that reuse a block's output; it reuses what a block adds.")


def as_actions(runs: np.ndarray) -> np.ndarray:
    """(steps, sites) int8: COMPUTE where it runs, else CACHE."""
    return np.where(runs, Action.COMPUTE, Action.CACHE).astype(np.int8)
