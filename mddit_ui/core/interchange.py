"""Policies from and to the files of other projects; the format of each stands in its own file."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from mddit_ui.core import interchange_cachedit as cachedit
from mddit_ui.core import interchange_ecad as ecad
from mddit_ui.core import interchange_l2c as l2c
from mddit_ui.core import interchange_smoothcache as smoothcache
from mddit_ui.core import policy_json
from mddit_ui.core.errors import PolicyError
from mddit_ui.core.policy import Policy

MAX_BYTES = 10_000_000  # other formats take up to 50 bytes for a cell


class Format(NamedTuple):
    """``title`` for people; ``dumps``: a policy as text."""

    title: str
    dumps: Callable[[Policy], str]


FORMATS = {
    "json": Format("mddit_ui's own", policy_json.dumps),
    "ecad": Format(ecad.TITLE, ecad.dumps),
    "smoothcache": Format(smoothcache.TITLE, smoothcache.dumps),
    "l2c": Format(l2c.TITLE, l2c.dumps),
    "cache-dit": Format(cachedit.TITLE, cachedit.dumps),
}


def load(path: Path, format: str | None = None, **columns: Sequence[str]) -> Policy:
    """The policy of a file; arguments and errors as of ``loads``."""
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        reason = error.strerror if isinstance(error, OSError) else error
        raise PolicyError(f"Can't read {str(path)!r}: {reason}.") from None
    return loads(raw, format, **columns)


def loads(raw: bytes, format: str | None = None, *, blocks: Sequence[str] = (), branches: Sequence[str] = ()) -> Policy:
    """A policy from the content of a file.

    Args:
        format: one of ``FORMATS``; ``None`` when the content tells.
        blocks, branches: the model's sites; some formats don't say how many blocks there are. When they are given, the
            policy must fit them.

    Raises:
        PolicyError: too large, damaged, ambiguous, not of that format, not for that model, or needs the model.
    """
    if len(raw) > MAX_BYTES:
        raise PolicyError(f"The file has more than {MAX_BYTES:,} bytes; no policy needs so many.")
    content = _content(raw)
    format = format or _detected(content)
    policy = policy_json.loads(raw) if format == "json" else _read(content, format, blocks, branches)
    foreign = [site for site in policy.sites if site not in {*blocks, *branches}]
    if (blocks or branches) and foreign:
        raise PolicyError(f"The file names {foreign[0]}, which this model has not.")
    if format == "json":
        return policy
    return replace(policy, notes={"made_by": "mddit import", "format": format})


def dumps(policy: Policy, format: str, *, npz: bool = False) -> bytes:
    """A policy as the content of a file.

    Args:
        npz: numpy's archive instead of JSON, for ``l2c`` alone.

    Raises:
        PolicyError: the format can't express it; the message says which cell or why.
    """
    if format not in FORMATS:
        raise PolicyError(f"No format {format[:40]!r}; known are {', '.join(FORMATS)}.")
    if npz:
        if format != "l2c":
            raise PolicyError(f"{FORMATS[format].title} has no .npz files; give the file another ending.")
        return l2c.dumps_npz(policy)
    return FORMATS[format].dumps(policy).encode()


def _content(raw: bytes) -> Any:
    """Arrays of an archive, a JSON value, a text of 0 and 1, or the lines of a config."""
    if raw.startswith(b"PK"):
        return l2c.arrays(raw)
    text = raw.decode("utf-8", errors="replace").strip()
    if text and set(text) <= {"0", "1"}:
        return text
    if cachedit.MASK in text and not text.startswith("{"):
        return cachedit.parse_yaml(text)
    return policy_json.parse(raw)


def _detected(content: Any) -> str:
    if isinstance(content, str | list):
        return "cache-dit"
    if isinstance(content, dict):
        if "format" in content:
            return "json"
        if "cache_schedule" in content:
            return "ecad"
        if cachedit.SECTION in content or cachedit.MASK in content:
            return "cache-dit"
        if "mask" in content or any(l2c.ROUTER.fullmatch(name) for name in content):
            return "l2c"
        if content and all(smoothcache.KEY.fullmatch(name) and isinstance(content[name], list) for name in content):
            return "smoothcache"
    raise PolicyError(f"Can't tell what format this is; name it, one of {', '.join(FORMATS)}.")


def _read(content: Any, format: str, blocks: Sequence[str], branches: Sequence[str]) -> Policy:
    if format == "ecad":
        return ecad.loads(content)
    if format == "smoothcache":
        return smoothcache.loads(content, branches)
    if format == "cache-dit":
        return cachedit.loads(content, blocks)
    if format == "l2c":
        if not isinstance(content, dict):
            raise PolicyError(f"Expected the routers of {l2c.TITLE} by name (0.prob, 1.prob, ...).")
        return l2c.loads(content)
    raise PolicyError(f"No format {format[:40]!r}; known are {', '.join(FORMATS)}.")
