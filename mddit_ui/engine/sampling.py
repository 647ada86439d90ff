"""One run of the real pipeline: its scheduler, its latents, its pictures."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine.adapters import adapter, make_scheduler
from mddit_ui.engine.previews import to_images
from mddit_ui.models.loading import LoadedModel

DECODE_BATCH = 8  # images in the VAE at one time


@torch.no_grad()
def decode(loaded: LoadedModel, latents: torch.Tensor) -> np.ndarray:
    """(n, h, w, 3) uint8 pictures of latents."""
    vae = loaded.pipe.vae
    shift = vae.config.get("shift_factor") or 0.0
    latents = (latents / vae.config.scaling_factor + shift).to(vae.dtype)
    parts = [vae.decode(part, return_dict=False)[0] for part in latents.split(DECODE_BATCH)]
    return to_images(torch.cat(parts) / 2 + 0.5)


def sample(loaded: LoadedModel, arguments: dict[str, Any]) -> tuple[torch.Tensor, np.ndarray | None]:
    """(latents, images or None where the pipeline leaves decoding to us)."""
    if adapter(loaded.pipe).latent:
        return loaded.pipe(**arguments).images, None
    vae = loaded.pipe.vae
    shift = vae.config.get("shift_factor") or 0.0
    given: list[torch.Tensor] = []

    def decode_and_keep(latents: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        given.append((latents - shift) * vae.config.scaling_factor)
        return type(vae).decode(vae, latents, *args, **kwargs)

    vae.decode = decode_and_keep
    try:
        pictures = loaded.pipe(**arguments).images
    finally:
        del vae.decode
    return torch.cat(given), to_images(torch.as_tensor(pictures))


@contextmanager
def with_scheduler(loaded: LoadedModel, config: GenerationConfig) -> Iterator[None]:
    """A fresh scheduler for one run; the pipeline's own one is put back."""
    own = loaded.pipe.scheduler
    loaded.pipe.scheduler = make_scheduler(own, config.scheduler)
    try:
        yield
    finally:
        loaded.pipe.scheduler = own
