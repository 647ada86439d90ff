"""What one visitor has on the screen, as one value: packed into the link and into the browser's storage."""

import base64
import binascii
import json
import zlib
from dataclasses import dataclass
from typing import Any

from mddit_ui.core.errors import ConfigError, PolicyError
from mddit_ui.core.policy import Policy
from mddit_ui.core.policy_json import loads, to_dict
from mddit_ui.core.records import GenerationConfig
from mddit_ui.ui.locks import locks_of

VERSION = 1
MAX_PACKED = 16_000  # characters of a link
MAX_UNPACKED = 300_000  # bytes after decompression


@dataclass(frozen=True)
class Session:
    """Model, policy and request of one visitor.

    ``locked``: one string a step, ``?`` for the free cells and the action's letter for those that stay.
    """

    model: str
    policy: Policy
    config: GenerationConfig
    locked: tuple[str, ...] | None = None


def pack(session: Session) -> str:
    """The session as URL-safe text; the policy's notes stay behind.

    Raises:
        ConfigError: it doesn't fit into a link.
    """
    policy = {key: value for key, value in to_dict(session.policy).items() if key != "notes"}
    content = {"v": VERSION, "model": session.model, "policy": policy, "config": session.config.to_dict()}
    if session.locked:
        content["locked"] = "/".join(session.locked)
    raw = zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 9)
    text = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    if len(text) > MAX_PACKED:
        raise ConfigError("This policy is too large for a link; download it as a file instead.")
    return text


def unpack(text: Any) -> Session:
    """The inverse of `pack`; anything else that a link may hold is a ConfigError.

    Raises:
        ConfigError: too long, damaged, of another version, or with values out of bounds.
    """
    content = _content(text)
    known = {"v", "model", "policy", "config"}
    if not isinstance(content, dict) or set(content) - {"locked"} != known or content["v"] != VERSION:
        raise ConfigError("The link was made by another version of this page.")
    model, policy, config = content["model"], content["policy"], content["config"]
    if not isinstance(model, str) or not 0 < len(model) <= 200:
        raise ConfigError("The link names no model.")
    if not isinstance(config, dict):
        raise ConfigError("The link holds no request.")
    try:
        loaded = loads(json.dumps(policy))
        return Session(model, loaded, GenerationConfig.from_dict(config), locks_of(content.get("locked"), loaded))
    except PolicyError as error:
        raise ConfigError(f"The policy in the link is damaged. {error}") from None


def _content(text: Any) -> Any:
    if not isinstance(text, str) or not 0 < len(text) <= MAX_PACKED:
        raise ConfigError(f"A link holds 1 to {MAX_PACKED:,} characters.")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        unpacker = zlib.decompressobj()
        plain = unpacker.decompress(raw, MAX_UNPACKED)
        if unpacker.unconsumed_tail or not unpacker.eof or unpacker.unused_data:
            raise ConfigError("The link is damaged: it was cut, or it unpacks to too much.")
        return json.loads(plain)
    except (binascii.Error, zlib.error, ValueError, RecursionError):
        raise ConfigError("The link is damaged; ask for it again.") from None
