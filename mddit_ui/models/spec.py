"""Model ids and the ``mddit.json`` beside a model's weights."""

import json
import re
from pathlib import Path
from typing import Any

from mddit_ui.core.errors import ConfigError, ModelError
from mddit_ui.core.records import ModelSpec

SPEC_FILE = "mddit.json"
GRAMMAR_FILE = "grammar.json"
PIPELINE_FILE = "model_index.json"
MAX_SPEC_BYTES = 256_000
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


def read_spec(folder: Path) -> ModelSpec:
    """What the folder's ``mddit.json`` says, with its ``grammar.json`` if there is one.

    Raises:
        ModelError: the file is missing, is not JSON, or has a wrong or unknown key; the message says which.
    """
    content = read_json(folder / SPEC_FILE)
    grammar = folder / GRAMMAR_FILE
    if grammar.is_file():
        content["grammar"] = read_json(grammar)
    try:
        return ModelSpec.from_dict({**content, "source": str(folder)})
    except ConfigError as error:
        raise ModelError(f"In {folder / SPEC_FILE}: {error}") from None


def is_hub_id(text: str) -> bool:
    """Whether ``text`` has the form ``owner/name``; nothing is asked of the hub."""
    return HUB_ID.fullmatch(text) is not None and ".." not in text


def read_json(path: Path) -> dict[str, Any]:
    """A small JSON object from a file; ``ModelError`` says what is wrong with it."""
    try:
        raw = path.read_bytes()
        if len(raw) > MAX_SPEC_BYTES:
            raise ModelError(f"{path} has {len(raw):,} bytes; at most {MAX_SPEC_BYTES:,} are read.")
        content = json.loads(raw)
    except OSError as error:
        raise ModelError(f"Can't read {path}: {error.strerror}.") from None
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}.") from None
    if not isinstance(content, dict):
        raise ModelError(f"Expected a JSON object in {path}, got {type(content).__name__}.")
    return content
