"""Pictures that a person gives as files."""

from pathlib import Path

import numpy as np

from mddit_ui.core.errors import ConfigError
from mddit_ui.core.inpainting import MAX_SIDE, Inpainting

MAX_FILE = 64_000_000  # bytes


def read_inpainting(image: Path | None, mask: Path | None) -> Inpainting | None:
    """A picture and its mask (white: to be painted); ``None`` without either.

    Raises:
        ConfigError: one without the other, or a file that is no picture.
    """
    if image is None and mask is None:
        return None
    if image is None or mask is None:
        raise ConfigError("Inpainting needs both, --image and --mask.")
    return Inpainting(_read(image, "RGB"), _read(mask, "L") > 127)


def _read(path: Path, mode: str) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        if path.stat().st_size > MAX_FILE:
            raise ConfigError(f"{str(path)!r} has more than {MAX_FILE:,} bytes.")
        with Image.open(path) as picture:
            if max(picture.size) > MAX_SIDE:
                raise ConfigError(f"{str(path)!r} has more than {MAX_SIDE} pixels a side.")
            return np.array(picture.convert(mode))
    except UnidentifiedImageError:
        raise ConfigError(f"{str(path)!r} is no picture.") from None
    except OSError as error:
        raise ConfigError(f"Can't read {str(path)!r}: {error.strerror or 'it is broken'}.") from None
