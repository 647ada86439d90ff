"""The policy file: JSON that is a picture of the policy. Format and limits: docs/policy-format.md."""

import json
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from mddit_ui.core.errors import PolicyError
from mddit_ui.core.paths import atomic_write
from mddit_ui.core.policy import MAX_NAME, MAX_SITES, MAX_STEPS, Carry, Policy, actions_from_rows

FORMAT = "mddit-policy/1"
MAX_BYTES = 256_000

Model = TypeVar("Model", bound=BaseModel)


class _PolicyFile(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    format: str
    name: str = Field("untitled", max_length=MAX_NAME)
    model: str = Field("", max_length=200)
    sites: list[str] = Field([], max_length=MAX_SITES)
    timesteps: list[float] = Field([], max_length=MAX_STEPS)
    rows: list[str] = Field(min_length=1, max_length=MAX_STEPS)
    keep: list[list[float]] | None = None
    carry: Carry = "residual"
    notes: dict[str, JsonValue] = {}


def to_dict(policy: Policy) -> dict[str, Any]:
    """The content of the file, as plain JSON values."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "name": policy.name,
        "model": policy.model,
        "sites": list(policy.sites),
        "timesteps": list(policy.timesteps),
        "rows": list(policy.rows),
        "notes": dict(policy.notes),
    }
    if policy.carry != "residual":
        content["carry"] = policy.carry
    if policy.keep is not None:
        content["keep"] = [[round(share, 4) for share in row] for row in policy.keep.tolist()]
    return content


def dumps(policy: Policy) -> str:
    """The file as text: one row a line, so that ``git diff`` shows the changed steps."""
    lines = []
    for key, value in to_dict(policy).items():
        if key in ("rows", "keep"):
            inner = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in value)
            lines.append(f" {json.dumps(key)}: [\n  {inner}]")
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(lines) + "}\n"


def loads(text: str | bytes) -> Policy:
    """A policy from the text of a policy file.

    Raises:
        PolicyError: more than 256 kB, not JSON, unknown or repeated keys, wrong types, NaN, another format, or an
            illegal table. The message says what was expected, what was found, and where.
    """
    raw = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    if len(raw) > MAX_BYTES:
        raise PolicyError(f"The file has {len(raw):,} bytes; a policy file has at most {MAX_BYTES:,}.")
    content = parse(raw)
    if not isinstance(content, dict):
        raise PolicyError(f"Expected a JSON object, got {type(content).__name__}.")
    if content.get("format") != FORMAT:
        raise PolicyError(f"Expected format {FORMAT!r}, got {_short(content.get('format'))}.")
    file = validated(_PolicyFile, content)
    try:
        json.dumps(file.notes, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise PolicyError("In the policy file, notes: half a character (a lone surrogate); write it anew.") from None
    return Policy(
        actions_from_rows(file.rows),
        sites=tuple(file.sites),
        timesteps=tuple(file.timesteps),
        keep=None if file.keep is None else _keep_array(file.keep),
        carry=file.carry,
        model=file.model,
        name=file.name,
        notes=file.notes,
    )


def parse(raw: bytes) -> Any:
    """The JSON value of a policy's file. Raises PolicyError: not JSON, NaN or Infinity, a key that is there twice."""
    try:
        return json.loads(raw, object_pairs_hook=_without_repeated_keys, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise PolicyError(f"This is not a policy file: {_one_line(error)}.") from None


def validated(kind: type[Model], content: Any) -> Model:
    """The content of a file, checked. Raises PolicyError: which entry is wrong, and how."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PolicyError(f"In the policy file, {_short(where)}: {first['msg']}.") from None


def load(path: Path) -> Policy:
    try:
        with open(path, "rb") as file:
            return loads(file.read(MAX_BYTES + 1))
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        reason = error.strerror if isinstance(error, OSError) else error
        raise PolicyError(f"Can't read {str(path)!r}: {reason}.") from None


def save(policy: Policy, path: Path) -> None:
    atomic_write(path, dumps(policy))


def _keep_array(keep: list[list[float]]) -> np.ndarray:
    if len({len(row) for row in keep}) != 1:
        raise PolicyError("In the policy file, keep: all rows need the same length.")
    return np.array(keep, np.float32)


def _without_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {_short(repeated)} is there twice")
    return content


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _one_line(error: BaseException) -> str:
    return _short(str(error) or type(error).__name__, quoted=False)


def _short(value: Any, quoted: bool = True) -> str:
    text = repr(value) if quoted else str(value)
    return text if len(text) <= 80 else text[:77] + "..."
