"""Small pictures of a run on its way: what the model, at this step, takes the clean image to be."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine.run import Call

MAX_IMAGES = 8
LATENT_SIDE = 16  # latents are shrunk to this before the VAE, so that a preview costs little


def to_images(pictures: torch.Tensor) -> np.ndarray:
    """(n, h, w, 3) uint8 from (n, 3, h, w) in [0, 1]."""
    pictures = pictures.detach().float().nan_to_num(0.0).clamp(0, 1)
    return (pictures * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


@torch.no_grad()
def preview(pipe: Any, call: Call, config: GenerationConfig) -> np.ndarray | None:
    """(n, h, w, 3) uint8 of the first images, or ``None`` where the clean latents can't be told from the call."""
    clean = _clean_latents(pipe.scheduler, call, config)
    if clean is None or clean.ndim != 4:
        return None
    clean = clean[:MAX_IMAGES]
    shrink = max(1, max(clean.shape[-2:]) // LATENT_SIDE)
    small = F.avg_pool2d(clean, shrink) if shrink > 1 else clean
    vae = pipe.vae
    latents = small / vae.config.scaling_factor + (vae.config.get("shift_factor") or 0.0)
    # Through the class: the instance's decode may be watched for the final latents.
    return to_images(type(vae).decode(vae, latents.to(vae.dtype), return_dict=False)[0] / 2 + 0.5)


def _clean_latents(scheduler: Any, call: Call, config: GenerationConfig) -> torch.Tensor | None:
    """The clean latents that the model's output implies; (n, c, h, w)."""
    noisy = call.args[0] if call.args else call.kwargs.get("hidden_states")
    output = call.output[0] if isinstance(call.output, tuple) else call.output.sample
    alphas = getattr(scheduler, "alphas_cumprod", None)
    if not isinstance(noisy, torch.Tensor) or alphas is None:
        return None
    output = output[:, : noisy.shape[1]].float()  # without the learned variance
    noisy = noisy.float()
    if len(noisy) == 2 * config.images:
        first, second = output.chunk(2)
        cond, uncond = (first, second) if config.classes else (second, first)  # DiT puts the classes first
        output = uncond + config.guidance_scale * (cond - uncond)
        noisy = noisy[: config.images]
    alpha = alphas[int(scheduler.timesteps[call.step])].to(noisy)
    kind = scheduler.config.get("prediction_type", "epsilon")
    if kind == "v_prediction":
        return alpha.sqrt() * noisy - (1 - alpha).sqrt() * output
    if kind == "sample":
        return output
    return (noisy - (1 - alpha).sqrt() * output) / alpha.sqrt()
