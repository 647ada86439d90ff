"""What a teacher sees and says on its way from noise to pictures: worked out once, learnt from many times."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import PixArtAlphaPipeline
from safetensors.torch import load_file, save_file

from mddit_ui.train.lcm import Diffusion
from mddit_ui.train.loop import autocast, device, replaced_folder
from mddit_ui.train.text import tokenize


@dataclass(frozen=True)
class Trajectories:
    """Guided runs of a teacher; row i is a run, its columns are the steps, noisiest first.

    Args:
        rows: (n,) which caption each run was given.
        timesteps: (n, s) int64.
        latents: (n, s, c, h, w) float16, what entered the transformer.
        said: (n, s, 2, c, h, w) float16, its velocity for the caption and for the empty one.
    """

    rows: torch.Tensor
    timesteps: torch.Tensor
    latents: torch.Tensor
    said: torch.Tensor

    def save(self, folder: Path) -> None:
        with replaced_folder(folder) as fresh:
            save_file(vars(self), fresh / "trajectories.safetensors")

    @classmethod
    def load(cls, folder: Path) -> Trajectories:
        return cls(**load_file(folder / "trajectories.safetensors"))


def uneven_timesteps(rng: np.random.Generator, steps: int) -> list[int]:
    """999, then one timestep in each of the following of ``steps`` equal parts: what is learnt fits other samplers."""
    strata = (np.arange(steps) + rng.random(steps)) / steps
    strata[0] = 0.0
    return (999 * (1 - strata)).astype(int).tolist()


def encode(teacher: PixArtAlphaPipeline, captions: list[str]) -> dict[str, torch.Tensor]:
    """What the transformer is given of the captions."""
    ids, mask = (part.to(device()) for part in tokenize(teacher.tokenizer, captions))
    words = teacher.text_encoder(ids, attention_mask=mask)[0]
    return {"encoder_hidden_states": words, "encoder_attention_mask": mask}


@torch.no_grad()
def travel(
    teacher: PixArtAlphaPipeline, captions: list[str], count: int, guidance: float, steps: int = 20, batch: int = 32,
    seed: int = 0,
) -> Trajectories:  # fmt: skip
    """Runs of the teacher, guided, by DDIM (Song et al. 2020, arXiv 2010.02502) at timesteps of their own."""
    rng, diffusion, started = np.random.default_rng((seed, 2)), Diffusion(), time.monotonic()
    torch.manual_seed(seed)
    shape = (teacher.transformer.config.in_channels, *[teacher.transformer.config.sample_size] * 2)
    rows = np.sort(rng.choice(len(captions), count, replace=False))
    parts: list[tuple[torch.Tensor, ...]] = []
    for start in range(0, count, batch):
        mine = rows[start : start + batch]
        asked = uneven_timesteps(rng, steps)
        x = torch.randn(len(mine), *shape).to(device())
        seen, said = [], []
        with autocast():
            given = encode(teacher, [*(captions[row] for row in mine), *[""] * len(mine)])
        for now, then in zip(asked, [*asked[1:], None], strict=True):
            at = torch.full((len(mine),), now, device=device())
            with autocast():
                velocity = teacher.transformer(x.repeat(2, 1, 1, 1), timestep=at.repeat(2), **given).sample.float()
            spoken, silent = velocity.chunk(2)
            seen.append(x.half().cpu())
            said.append(torch.stack([spoken, silent], 1).half().cpu())
            if then is not None:
                clean, noise = diffusion.guesses(x, silent + guidance * (spoken - silent), at)
                x = diffusion.noisy(clean, noise, torch.full_like(at, then))
        parts.append(
            (torch.from_numpy(mine), torch.tensor([asked] * len(mine)), torch.stack(seen, 1), torch.stack(said, 1))
        )
        if len(parts) % 8 == 0:
            done = start + len(mine)
            left = (time.monotonic() - started) * (count / done - 1) / 60
            print(f"{done} of {count} runs of the teacher, {left:.1f} min left", flush=True)
    return Trajectories(*(torch.cat(part) for part in zip(*parts, strict=True)))
