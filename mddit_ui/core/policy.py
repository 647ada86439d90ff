"""A policy: the action of every (step, site) cell of a diffusion transformer."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from mddit_ui.core.errors import PolicyError

if TYPE_CHECKING:
    from mddit_ui.core.cost import MacTable

MAX_STEPS = 1000
MAX_SITES = 1000
MAX_CELLS = 200_000
MAX_NAME = 120


class Action(IntEnum):
    """What a cell does; 0 and 1 are the field's convention (ECAD, SmoothCache)."""

    SKIP = -1  # output = input
    CACHE = 0  # output = input + the last computed residual of this site (or, by ``carry``, its last computed output)
    COMPUTE = 1  # run the block, refresh its residual


Carry = Literal["residual", "output"]
CARRIES: tuple[Carry, ...] = get_args(Carry)
LETTERS = {Action.COMPUTE: "#", Action.CACHE: "=", Action.SKIP: "."}
_ACTION_OF = {letter: int(action) for action, letter in LETTERS.items()}


@dataclass(frozen=True, eq=False)
class Policy:
    """Which block runs at which denoising step. Immutable, legal by construction, compared by its cells.

    Args:
        actions: (steps, sites) int8 of ``Action`` values; row 0 is the noisiest step.
        sites: column names (diffusers' dotted module names); ``()`` fits any transformer with that many blocks.
        timesteps: (steps,) the scheduler's timesteps, noisiest first; ``()`` when unknown.
        keep: (steps, sites) float32 in (0, 1], share of the tokens that a COMPUTE cell keeps, to four digits (as the
            file has it); ``None`` = all.
        carry: what a CACHE cell reuses: "residual", its input plus the last computed residual; or "output", the last
            computed output, whatever its input is now (Skip-Cache, arXiv 2411.17616).
        model: id of the model it was made for; a hint, not a lock.
        name: for people; never a path.
        notes: provenance (JSON values); never used in computing.

    Raises:
        PolicyError: wrong shape or values, too large, or a CACHE cell with no COMPUTE before it in its column.
    """

    actions: np.ndarray
    sites: tuple[str, ...] = ()
    timesteps: tuple[float, ...] = ()
    keep: np.ndarray | None = None
    carry: Carry = "residual"
    model: str = ""
    name: str = "untitled"
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        actions = _checked_actions(self.actions)
        _check_cached_cells_have_a_source(actions)
        _set(self, "actions", _read_only(actions))
        _set(self, "sites", tuple(str(site) for site in self.sites))
        _set(self, "timesteps", tuple(float(t) for t in self.timesteps))
        _set(self, "keep", None if self.keep is None else _read_only(_checked_keep(self.keep, actions.shape)))
        _set(self, "notes", MappingProxyType(dict(self.notes)))
        _check_length("sites", self.sites, actions.shape[1])
        _check_length("timesteps", self.timesteps, actions.shape[0])
        if self.carry not in CARRIES:
            raise PolicyError(f"carry is {str(self.carry)[:40]!r}; expected {' or '.join(map(repr, CARRIES))}.")
        if len(set(self.sites)) != len(self.sites):
            raise PolicyError("The names of the sites must differ from each other.")
        if not np.all(np.isfinite(self.timesteps)):
            raise PolicyError("Timesteps must be finite numbers.")
        if len(self.name) > MAX_NAME:
            raise PolicyError(f"The name has {len(self.name)} characters; at most {MAX_NAME} fit.")
        for text in (self.name, self.model, *self.sites):
            _check_text(text)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies, and what another process is sent, are made anew from the fields, and so are checked and read-only."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return partial(Policy, **values | {"notes": dict(self.notes)}), ()

    @classmethod
    def full(cls, steps: int, sites: int | Sequence[str], **more: Any) -> "Policy":
        """All compute: the untouched model. ``sites`` is their number or their names."""
        names = () if isinstance(sites, int) else tuple(sites)
        count = sites if isinstance(sites, int) else len(names)
        check_size(steps, count)
        return cls(np.ones((steps, count), np.int8), sites=names, **more)

    @classmethod
    def from_rows(cls, rows: Iterable[str], **more: Any) -> "Policy":
        """From one string a step, one letter a site: ``#`` compute, ``=`` cache, ``.`` skip."""
        return cls(actions_from_rows(rows), **more)

    @classmethod
    def load(cls, path: str | Path) -> "Policy":
        """Read a policy file; see docs/policy-format.md.

        Raises:
            PolicyError: the file is too large, is not JSON, or breaks the format; the message says where.
        """
        from mddit_ui.core.policy_json import load

        return load(Path(path))

    def save(self, path: str | Path) -> None:
        """Write the policy file, atomically."""
        from mddit_ui.core.policy_json import save

        save(self, Path(path))

    @property
    def steps(self) -> int:
        return self.actions.shape[0]

    @property
    def rows(self) -> tuple[str, ...]:
        """One string a step, the picture that the file holds."""
        return tuple("".join(LETTERS[Action(cell)] for cell in row) for row in self.actions.tolist())

    @property
    def digest(self) -> str:
        """Hash of the cells and of what they carry (hex, 16 characters): the identity in the store."""
        hashed = hashlib.sha256(f"{self.actions.shape}".encode() + self.actions.tobytes())
        if self.keep is not None:
            hashed.update(self.keep.tobytes())
        if self.carry != "residual":
            hashed.update(self.carry.encode())
        return hashed.hexdigest()[:16]

    @property
    def ages(self) -> np.ndarray:
        """(steps, sites) int16: steps since the residual of a CACHE cell was computed; 0 for the others."""
        return ages(self.actions)

    def budget(self, table: "MacTable") -> float:
        """MACs of this policy / MACs of the full one, in (0, 1]."""
        return table.budget(self.actions, self.keep)

    def resample(self, steps: int | None = None, timesteps: Sequence[float] | None = None) -> "Policy":
        """The same schedule for another run: every new step takes the row of the nearest old one.

        Nearest in timestep when both are known, else in relative position. The result is repaired, so that it
        stays legal when the rows move.
        """
        if timesteps is not None:
            if self.timesteps and self.timesteps == tuple(timesteps):
                return self
            new = np.asarray(timesteps, float)
        elif steps is not None:
            check_size(steps, self.actions.shape[1])
            new = np.empty(steps)
        else:
            raise PolicyError("resample needs a number of steps or the timesteps of the run.")
        if timesteps is not None and self.timesteps:
            rows = np.abs(np.asarray(self.timesteps)[None, :] - new[:, None]).argmin(1)
        else:
            rows = np.rint(np.linspace(0, self.steps - 1, len(new))).astype(int)
        return replace(
            self,
            actions=repair(self.actions[rows]),
            timesteps=tuple(new) if timesteps is not None else (),
            keep=None if self.keep is None else self.keep[rows],
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Policy) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Policy({self.name!r}, {self.steps} steps x {self.actions.shape[1]} sites, {self.digest})"


def repair(actions: np.ndarray) -> np.ndarray:
    """The nearest legal table: a CACHE cell with no COMPUTE before it in its column becomes COMPUTE.

    That is the least change in result (a later CACHE of the column then has its residual).

    Args:
        actions: (..., steps, sites) of -1, 0, 1.
    """
    actions = np.array(actions, np.int8)
    computed_before = np.cumsum(actions == Action.COMPUTE, axis=-2) > 0
    orphans = (actions == Action.CACHE) & ~computed_before
    first = orphans & (np.cumsum(orphans, axis=-2) == 1)
    actions[first] = Action.COMPUTE
    return actions


def ages(actions: np.ndarray) -> np.ndarray:
    """(..., steps, sites) int16: steps since the residual of a CACHE cell was computed; 0 elsewhere."""
    actions = np.asarray(actions)
    steps = np.arange(actions.shape[-2]).reshape(-1, 1)
    last = np.maximum.accumulate(np.where(actions == Action.COMPUTE, steps, -1), axis=-2)
    return np.where(actions == Action.CACHE, steps - last, 0).astype(np.int16)


def actions_from_rows(rows: Iterable[str]) -> np.ndarray:
    """(steps, sites) int8 from the letters ``#``, ``=`` and ``.``."""
    rows = list(rows)
    width = len(rows[0]) if rows else 0
    check_size(len(rows), width)
    for step, row in enumerate(rows):
        if len(row) != width:
            raise PolicyError(f"Row {step} has {len(row)} letters, row 0 has {width}; all rows need the same number.")
        unknown = set(row) - set(_ACTION_OF)
        if unknown:
            raise PolicyError(f"Row {step} holds {min(unknown)!r}; expected '#' compute, '=' cache or '.' skip.")
    return np.array([[_ACTION_OF[letter] for letter in row] for row in rows], np.int8)


def _checked_actions(actions: np.ndarray) -> np.ndarray:
    try:
        actions = np.asarray(actions)
    except ValueError:
        raise PolicyError("Expected a table; its rows have different lengths.") from None
    if actions.ndim != 2:
        raise PolicyError(f"Expected a table of shape (steps, sites), got shape {actions.shape}.")
    check_size(*actions.shape)
    if actions.dtype.kind not in "iu" or actions.min() < -1 or actions.max() > 1:
        raise PolicyError("Cells must be the integers -1 (skip), 0 (cache) or 1 (compute).")
    return actions.astype(np.int8)


def _checked_keep(keep: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    keep = np.round(np.asarray(keep, np.float64), 4).astype(np.float32)
    if keep.shape != shape:
        raise PolicyError(f"keep has shape {keep.shape}, the cells {shape}; they must agree.")
    if not (np.isfinite(keep).all() and (keep > 0).all() and (keep <= 1).all()):
        raise PolicyError("keep must hold shares of tokens in (0, 1].")
    return keep


def check_size(steps: int, sites: int) -> None:
    """PolicyError unless a table of this size is a policy's; asked before a table is made."""
    if not (1 <= steps <= MAX_STEPS and 1 <= sites <= MAX_SITES and steps * sites <= MAX_CELLS):
        raise PolicyError(
            f"Got {steps} steps x {sites} sites; a policy has 1 to {MAX_STEPS} steps, "
            f"1 to {MAX_SITES} sites and at most {MAX_CELLS:,} cells."
        )


def _check_length(what: str, values: tuple, expected: int) -> None:
    if values and len(values) != expected:
        raise PolicyError(f"{len(values)} {what} given for a table with {expected}; give all of them or none.")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PolicyError(f"{text[:40]!r} holds half a character (a lone surrogate); write it anew.") from None


def _check_cached_cells_have_a_source(actions: np.ndarray) -> None:
    orphans = (actions == Action.CACHE) & ~(np.cumsum(actions == Action.COMPUTE, axis=0) > 0)
    if orphans.any():
        step, site = np.argwhere(orphans)[0].tolist()
        raise PolicyError(
            f"Cell (step {step}, site {site}) is cached, but nothing was computed before it in that column; "
            "compute an earlier step, or pass the table through repair()."
        )


def _read_only(array: np.ndarray) -> np.ndarray:
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array


def _set(policy: Policy, name: str, value: Any) -> None:
    object.__setattr__(policy, name, value)
