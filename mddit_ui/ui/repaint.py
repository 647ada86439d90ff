"""Repainting a part: a picture with a mark on it, as a browser or a program sends it, made to fit a request."""

import base64
import binascii
import io
import struct
from typing import Any, NamedTuple

import gradio as gr
import numpy as np
from PIL import Image, ImageOps

from mddit_ui.core.errors import ConfigError, MdditError
from mddit_ui.core.inpainting import Inpainting
from mddit_ui.core.records import GenerationConfig
from mddit_ui.ui.display import template
from mddit_ui.ui.errors import as_toast

MAX_TEXT = 900_000  # characters of a picture; the request that it comes with holds a million
MAX_SIDE = 2048  # pixels
FORMATS = ("PNG", "WEBP", "JPEG")
# What Pillow raises at broken files, and at those that unpack to too much.
UNREADABLE = (binascii.Error, ValueError, OSError, SyntaxError, struct.error, Image.DecompressionBombError)


class Part(NamedTuple):
    """A picture, and a mask of the same size: bright where it is to be painted anew."""

    image: Image.Image
    mask: Image.Image

    def fitted(self, config: GenerationConfig) -> Inpainting:
        """Scaled to the size of a request, and cut to its shape around the middle.

        Raises:
            ConfigError: nothing is marked there.
        """
        size = (config.width, config.height)
        image, mask = self
        if image.size != size:
            image = ImageOps.fit(image, size, Image.Resampling.LANCZOS)
            mask = ImageOps.fit(mask, size, Image.Resampling.BILINEAR)
        marked = np.asarray(mask) > 127
        if not marked.any():
            raise ConfigError("Mark the part of the picture that is to be painted anew, or remove the picture.")
        return Inpainting(np.asarray(image), marked)


class Repaint(gr.HTML):
    """Open a picture and mark a part of it: handlers get a ``Part``, or ``None`` without a picture."""

    def __init__(self, value: Any = None, **more: Any):
        super().__init__(value, **{**template("repaint"), **more})

    def preprocess(self, payload: Any) -> Part | None:  # type: ignore[override]
        if not isinstance(payload, dict):
            return None
        try:
            return part_of(payload.get("image"), payload.get("mask"))
        except MdditError as error:
            raise as_toast(error) from None

    def postprocess(self, value: None) -> None:  # type: ignore[override]
        return None

    def api_info(self) -> dict[str, Any]:
        return {"type": "object", "description": "Data URLs of a picture and of a mask, white where to paint."}

    def example_payload(self) -> Any:
        return None

    def example_value(self) -> Any:
        return None


def part_of(image: Any, mask: Any) -> Part | None:
    """From two texts: data URLs, or plain base64; ``None`` without either.

    Raises:
        ConfigError: one without the other, two sizes, too large, or no picture.
    """
    if not image and not mask:
        return None
    if not image or not mask:
        raise ConfigError("Repainting needs both, a picture and a mask (white where to paint).")
    part = Part(_read(image, "RGB", "picture"), _read(mask, "L", "mask"))
    if part.image.size != part.mask.size:
        sizes = [f"{each.width} x {each.height}" for each in part]
        raise ConfigError(f"The picture has {sizes[0]} pixels, its mask {sizes[1]}; make them of one size.")
    return part


def _read(text: Any, mode: str, what: str) -> Image.Image:
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise ConfigError(f"The {what} is too large: at most {MAX_TEXT:,} characters of base64.")
    try:
        content = base64.b64decode(text.rpartition(",")[2], validate=True)
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            if max(picture.size) > MAX_SIDE:
                raise ConfigError(f"The {what} has more than {MAX_SIDE} pixels a side.")
            return picture.convert(mode)
    except UNREADABLE:
        raise ConfigError(f"The {what} is none that can be read: PNG, WebP or JPEG, as a data URL.") from None
