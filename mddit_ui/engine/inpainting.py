"""Inpainting by latent blending, with any pipeline: after every step, what is not to be painted is put back.

What is put back is the latent of the given picture, as noisy as the step has left the rest (RePaint without resampling,
Lugmayr et al. 2022, arXiv 2201.09865; Blended Latent Diffusion, Avrahami et al. 2023, arXiv 2206.02779).
"""

import functools
from typing import Any

import torch
import torch.nn.functional as F

from mddit_ui.core.errors import ConfigError
from mddit_ui.core.inpainting import Inpainting
from mddit_ui.engine.sampling import encode
from mddit_ui.models.loading import LoadedModel


def blend_steps(loaded: LoadedModel, inpainting: Inpainting, seeds: tuple[int, ...]) -> None:
    """Let the scheduler of the run that follows put back what is not to be painted.

    Args:
        inpainting: one picture and mask for each image of the run.
        seeds: the images'; their noise is the one that the run begins with.
    """
    scheduler = loaded.pipe.scheduler
    original = scheduler.step
    clean = encode(loaded, inpainting.images)  # (n, c, h, w)
    noise = torch.stack([torch.randn(clean.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds])
    noise = noise.to(clean)
    masks = torch.from_numpy(inpainting.masks.copy()).float()[:, None]
    painted = F.adaptive_max_pool2d(masks, clean.shape[-2:]).to(clean).expand_as(clean)  # 1: a pixel of it is painted
    calls = 0

    @functools.wraps(original)
    def step(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        result = original(*args, **kwargs)
        known = clean
        if calls < len(scheduler.timesteps):
            known = _noisy(scheduler, clean, noise, scheduler.timesteps[calls : calls + 1])
        if isinstance(result, tuple):
            return (_blended(loaded.pipe, result[0], known, painted), *result[1:])
        result.prev_sample = _blended(loaded.pipe, result.prev_sample, known, painted)
        return result

    scheduler.step = step


def _noisy(scheduler: Any, clean: torch.Tensor, noise: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    if "FlowMatch" in type(scheduler).__name__:
        return scheduler.scale_noise(clean, timestep, noise)
    return scheduler.add_noise(clean, noise, timestep)


def _blended(pipe: Any, sample: torch.Tensor, known: torch.Tensor, painted: torch.Tensor) -> torch.Tensor:
    known, painted = (_as_sampled(pipe, part.to(sample), sample) for part in (known, painted))
    return painted * sample + (1 - painted) * known


def _as_sampled(pipe: Any, latents: torch.Tensor, sample: torch.Tensor) -> torch.Tensor:
    """Latents (n, c, h, w) in the form in which a pipeline samples them.

    Raises:
        ConfigError: an unknown one.
    """
    if sample.ndim == 3 and callable(pack := getattr(pipe, "_pack_latents", None)):
        latents = pack(latents, *latents.shape)
    elif sample.ndim == 5 and sample.shape[2] == 1:
        latents = latents[:, :, None]
    if sample.shape[1:] != latents.shape[1:] or len(sample) % len(latents):
        raise ConfigError(
            f"{type(pipe).__name__} samples {tuple(sample.shape)}, the picture's latents are {tuple(latents.shape)}; "
            "inpainting does not know this form."
        )
    return latents.repeat(len(sample) // len(latents), *[1] * (latents.ndim - 1))  # DiT carries a second copy along
