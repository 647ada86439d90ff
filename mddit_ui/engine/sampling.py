"""One run of the real pipeline: its scheduler, its latents, its pictures."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
    latents = _scale(vae).undo(latents).to(vae.dtype)
    parts = [vae.decode(part, return_dict=False)[0] for part in latents.split(DECODE_BATCH)]
    pictures = torch.cat(parts) / 2 + 0.5
    return to_images(pictures[:, :, 0] if pictures.ndim == 5 else pictures)


@torch.no_grad()
def encode(loaded: LoadedModel, images: np.ndarray) -> torch.Tensor:
    """(n, c, h/8, w/8) latents, as the transformer sees them, of pictures (n, h, w, 3) uint8."""
    vae = loaded.pipe.vae
    scale = _scale(vae)
    pixels = torch.from_numpy(images.copy()).to(loaded.device).permute(0, 3, 1, 2) / 127.5 - 1
    pixels = pixels[:, :, None] if scale.frames else pixels
    parts = []
    for part in pixels.to(vae.dtype).split(DECODE_BATCH):
        encoded = vae.encode(part)
        parts.append(encoded.latent if "latent" in encoded else encoded.latent_dist.mode())
    return scale.do(torch.cat(parts))


def sample(loaded: LoadedModel, arguments: dict[str, Any]) -> tuple[torch.Tensor, np.ndarray | None]:
    """(latents, images or None where the pipeline leaves decoding to us)."""
    if adapter(loaded.pipe).latent:
        return loaded.pipe(**arguments).images, None
    vae = loaded.pipe.vae
    scale = _scale(vae)
    given: list[torch.Tensor] = []

    def decode_and_keep(latents: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        given.append(scale.do(latents))
        return type(vae).decode(vae, latents, *args, **kwargs)

    vae.decode = decode_and_keep
    try:
        pictures = loaded.pipe(**arguments).images
    finally:
        del vae.decode
    return torch.cat(given), to_images(torch.as_tensor(pictures))


@dataclass(frozen=True)
class _Scale:
    """Between what a VAE takes, (n, c, h, w) or (n, c, 1, h, w), and what its transformer sees, (n, c, h, w)."""

    shift: Any
    factor: Any
    frames: bool = False

    def do(self, latents: torch.Tensor) -> torch.Tensor:
        seen = (latents - self.shift) * self.factor
        return seen[:, :, 0] if self.frames else seen

    def undo(self, latents: torch.Tensor) -> torch.Tensor:
        return (latents[:, :, None] if self.frames else latents) / self.factor + self.shift


def _scale(vae: Any) -> _Scale:
    """One number for all channels, or (Qwen-Image, whose VAE is one of films) a mean and a deviation of each."""
    if vae.config.get("scaling_factor") is not None:
        return _Scale(vae.config.get("shift_factor") or 0.0, vae.config.scaling_factor)
    mean, deviation = (
        torch.tensor(vae.config[name], device=vae.device).reshape(1, -1, 1, 1, 1)
        for name in ("latents_mean", "latents_std")
    )
    return _Scale(mean, 1 / deviation, frames=True)


@contextmanager
def with_scheduler(loaded: LoadedModel, config: GenerationConfig) -> Iterator[None]:
    """A fresh scheduler for one run; the pipeline's own one is put back."""
    own = loaded.pipe.scheduler
    loaded.pipe.scheduler = make_scheduler(own, config.scheduler)
    try:
        yield
    finally:
        loaded.pipe.scheduler = own
