"""Learning-to-Cache's routers (arXiv 2406.01733): one score for each step, block, and part (attention, MLP).

Its checkpoint is a pickle, which is never read here; its content can be carried over as .npz or JSON:

    routers = torch.load("router.pt", weights_only=True)["routers"]
    numpy.savez("router.npz", **{name: score.numpy() for name, score in routers.items()})

gives the entries ``0.prob``, ``1.prob``, ...: logits, 2 for each block in the order attention, MLP. Router 0 is that of
the last step. A part runs where sigmoid(logit) > ``thres`` (an entry of the file; else the 0.1 of its README). Steps
with an odd router always run in full, and what is reused is at most one step old. An entry ``mask``, (steps, 2 x
blocks) of 0 and 1 with the first step first, is read as it stands.

https://github.com/horseee/learning-to-cache (DiT/models/dynamic_models.py, router_models.py, README.md)
"""

import io
import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from mddit_ui.core.errors import PolicyError
from mddit_ui.core.interchange_parts import BLOCKS, as_actions, computed
from mddit_ui.core.policy import Policy, check_size, repair

TITLE = "Learning-to-Cache"
PARTS = ("attn1", "ff")
THRESHOLD = 0.1
SURE = 10.0  # a logit that is above (or, with a minus, below) any threshold in use
MAX_BYTES = 10_000_000  # of the arrays, unpacked
MAX_ENTRIES = 1100
ROUTER = re.compile(r"(?:routers\.)?(\d{1,4})\.prob")


def loads(content: Mapping[str, Any]) -> Policy:
    """A policy of the branches ``attn1`` and ``ff``.

    Raises:
        PolicyError: entries are missing, of different lengths, or no numbers.
    """
    if "mask" in content:
        runs = _numbers("mask", content["mask"], 2)
        if not np.isin(runs, (0, 1)).all():
            raise PolicyError("mask: expected 0 and 1.")
        runs = runs == 1
    else:
        runs = _routers(content)
    steps, columns = runs.shape
    check_size(steps, columns)
    if columns % 2:
        raise PolicyError(f"Expected 2 numbers for each block (attention, MLP), got {columns}.")
    sites = tuple(f"{BLOCKS}.{block}.{part}" for block in range(columns // 2) for part in PARTS)
    return Policy(repair(as_actions(runs)), sites=sites)


def dumps(policy: Policy) -> str:
    """The routers as JSON. Raises PolicyError: what its sampler can't do."""
    return json.dumps({name: logits.tolist() for name, logits in _logits(policy).items()}) + "\n"


def dumps_npz(policy: Policy) -> bytes:
    """The routers as .npz. Raises PolicyError: what its sampler can't do."""
    packed = io.BytesIO()
    np.savez(
        packed, allow_pickle=False, **{name: values.astype(np.float32) for name, values in _logits(policy).items()}
    )
    return packed.getvalue()


def arrays(raw: bytes) -> dict[str, np.ndarray]:
    """The arrays of an .npz; never unpickles, never unpacks more than the limit.

    Raises:
        PolicyError: it is damaged, holds other things than numbers, or is too large.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = archive.infolist()
        if len(members) > MAX_ENTRIES or sum(each.file_size for each in members) > MAX_BYTES:
            raise PolicyError(f"The arrays are larger than {MAX_BYTES:,} bytes.")
        with np.load(io.BytesIO(raw), allow_pickle=False) as packed:
            return {name: packed[name] for name in packed.files}
    except (OSError, ValueError, LookupError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:80]
        raise PolicyError(f"This is not an .npz of numbers: {reason}.") from None


def _routers(content: Mapping[str, Any]) -> np.ndarray:
    """(steps, 2 x blocks) bool, the first step first."""
    threshold = float(_numbers("thres", content.get("thres", THRESHOLD), 0))
    if not 0 < threshold < 1:
        raise PolicyError(f"thres: expected a number between 0 and 1, got {threshold:g}.")
    found = {int(match[1]): name for name in content if (match := ROUTER.fullmatch(name))}
    if set(found) != set(range(len(found))) or not found:
        raise PolicyError("Expected the entries 0.prob, 1.prob, ... of the routers, one a step, or mask.")
    logits = [_numbers(name, content[name], 1) for _, name in sorted(found.items())]
    if len({len(each) for each in logits}) > 1:
        raise PolicyError("The routers have different lengths; each needs 2 numbers for each block.")
    scores = np.array(logits)
    runs = scores > np.log(threshold / (1 - threshold))
    runs[1::2] = True
    return runs[::-1]


def _logits(policy: Policy) -> dict[str, np.ndarray]:
    table = computed(policy, TITLE, PARTS)
    runs = table.reshape(len(table), -1)[::-1]
    partial = np.flatnonzero(~runs[1::2].all(1))
    if len(partial):
        step = len(runs) - 2 - 2 * int(partial[-1])
        raise PolicyError(
            f"{TITLE} computes step {step} in full, as every second one, but the policy caches cells of it; "
            "compute that step."
        )
    return {f"{index}.prob": np.where(row, SURE, -SURE) for index, row in enumerate(runs)}


def _numbers(name: str, values: Any, dimensions: int) -> np.ndarray:
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biuf" or array.ndim != dimensions or not np.isfinite(array).all() or not array.size:
            raise ValueError
        return array.astype(np.float64)
    except (ValueError, TypeError, OverflowError):
        kind = ("a number", "a list of numbers", "a table of numbers")[dimensions]
        raise PolicyError(f"{name[:40]}: expected {kind}.") from None
