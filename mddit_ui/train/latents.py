"""Encodes training scenes once, `python -m mddit_ui.train.latents`: no picture is drawn while a transformer trains.

The folder holds `latents.npy`, (n, c, 16, 16) float16, already scaled, and `captions.txt`, a line each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from mddit_ui.train.captions import Scene, training_scenes
from mddit_ui.train.loop import autocast, device, replaced_folder
from mddit_ui.train.scenes import render
from mddit_ui.train.vae import to_tensor


@dataclass(frozen=True)
class LatentSet:
    """Scenes as the transformer sees them: line i of the captions belongs to latent i."""

    latents: np.ndarray  # (n, c, 16, 16) float16, memory-mapped
    captions: list[str]

    @classmethod
    def load(cls, folder: Path) -> LatentSet:
        captions = (folder / "captions.txt").read_text().splitlines()
        latents = np.load(folder / "latents.npy", mmap_mode="r")
        if len(captions) != len(latents):
            raise ValueError(f"{folder} has {len(captions)} captions for {len(latents)} latents; encode it again")
        return cls(latents, captions)


def encode(
    vae: AutoencoderKL,
    count: int,
    target: Path,
    seed: int = 0,
    batch: int = 50,
    scenes_of: Callable[[np.random.Generator], Iterator[Scene]] = training_scenes,
) -> None:
    """Draw and encode `count` scenes; their posterior means, scaled."""
    rng = np.random.default_rng((seed, 1))
    stream = scenes_of(rng)
    captions: list[str] = []
    parts, started = [], time.monotonic()
    while len(captions) < count:
        scenes = [next(stream) for _ in range(min(batch, count - len(captions)))]
        pictures = to_tensor(np.stack([render(scene, rng) for scene in scenes])).to(device())
        with torch.inference_mode(), autocast():
            latents = vae.encode(pictures).latent_dist.mode().float() * vae.config.scaling_factor
        parts.append(latents.cpu().numpy().astype(np.float16))
        captions += [scene.caption() for scene in scenes]
        if len(parts) % 100 == 0:
            left = (time.monotonic() - started) * (count / len(captions) - 1)
            print(f"{len(captions)} of {count} encoded, {left / 60:.1f} min left", flush=True)
    with replaced_folder(target) as fresh:
        np.save(fresh / "latents.npy", np.concatenate(parts))
        (fresh / "captions.txt").write_text("\n".join(captions) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vae", type=Path, default=Path("runs/vae/whole-export"))
    parser.add_argument("--target", type=Path, default=Path("runs/latents"))
    parser.add_argument("--count", type=int, default=60_000)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    vae = AutoencoderKL.from_pretrained(args.vae).to(device()).float()
    encode(vae, args.count, args.target, args.seed)
    print(f"latents of standard deviation {LatentSet.load(args.target).latents[:5000].astype(np.float32).std():.3f}")


if __name__ == "__main__":
    main()
