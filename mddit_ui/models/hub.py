"""What the Hugging Face hub says of a model, within seconds; loading alone would wait for minutes where it hangs."""

import os
from typing import Any

from mddit_ui.core.errors import ModelError

TIMEOUT_SECONDS = 8


def ask(source: str) -> Any:
    """``huggingface_hub``'s ``ModelInfo`` of a hub id, sizes of the files included.

    Raises:
        ModelError: this machine works offline, the hub does not answer, or there is no such model.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes"):
        raise ModelError("this machine is set to work offline")
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return HfApi().model_info(source, files_metadata=True, timeout=TIMEOUT_SECONDS)
    except RepositoryNotFoundError:
        raise ModelError("the hub has no such model, or not for you") from None
    except Exception as error:  # those of the library under it, which has changed before
        raise ModelError(f"the hub did not answer ({type(error).__name__})") from None


def is_here(source: str) -> bool:
    """Whether a hub model lies in the cache of this machine."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(source, "model_index.json"), str)
