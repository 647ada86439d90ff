"""The library: saved_policies/*.json, one policy a file, readable and diffable."""

import logging
import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from mddit_ui.core.errors import PolicyError, StoreError
from mddit_ui.core.paths import SAVED_POLICIES
from mddit_ui.core.policy import Policy

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Saved:
    """A policy of the library; ``id`` is the name of its file without ``.json``."""

    id: str
    policy: Policy


def folder() -> Path:
    """``$MDDIT_POLICIES``, else ``saved_policies/`` of the repository."""
    return Path(os.environ.get("MDDIT_POLICIES") or SAVED_POLICIES)


def list_policies() -> list[Saved]:
    """All policies, by id. A file that is no policy is left out, with a line in the log that says why."""
    found = []
    for path in sorted(folder().glob("*.json")):
        try:
            found.append(Saved(path.stem, load(path.stem)))
        except (PolicyError, StoreError) as error:
            _log.warning("%s is left out: %s", path.name, error)
    return found


def load(policy_id: str) -> Policy:
    """Raises StoreError when there is no such policy, PolicyError when the file is damaged."""
    return Policy.load(_existing(policy_id))


def save(policy: Policy) -> str:
    """Write the policy and return its id: a slug of its name and the first digits of its digest.

    The same cells under the same name are the same file.
    """
    plain = unicodedata.normalize("NFKD", policy.name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].strip("-") or "policy"
    policy_id = f"{slug}-{policy.digest[:8]}"
    policy.save(folder() / f"{policy_id}.json")
    return policy_id


def delete(policy_id: str) -> None:
    """Raises StoreError when there is no such policy."""
    _existing(policy_id).unlink()


def _existing(policy_id: str) -> Path:
    path = folder() / f"{policy_id}.json"
    if not _ID.fullmatch(policy_id) or not path.is_file():
        raise StoreError(f"There is no saved policy {policy_id[:120]!r}.")
    return path
