"""Trains the VAE of scenes: `python -m mddit_ui.train.vae`, then the same with `--decoder-only`.

Phase one trains all of it and ends with the latents: the encoder is frozen there, and the transformer can start on
them. Phase two goes on with the decoder alone, which costs half as much a step and moves no latent.
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import nn

from mddit_ui.train.captions import heldout_scenes, training_scenes
from mddit_ui.train.loop import (
    Schedule,
    Trainer,
    add_schedule_arguments,
    autocast,
    device,
    replaced_folder,
    step_rng,
)  # fmt: skip
from mddit_ui.train.optim import optimizers
from mddit_ui.train.scenes import render


@dataclass(frozen=True)
class VaeConfig:
    channels: tuple[int, ...] = (16, 32, 64, 64)  # f8: three halvings
    latent_channels: int = 4
    groups: int = 8  # of GroupNorm
    batch: int = 8
    kl: float = 1e-4  # nats per latent number; keeps the noise of the posterior below 1 % of the error at 35 dB
    muon_lr: float = 0.02
    adam_lr: float = 2e-3


def make_vae(config: VaeConfig) -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(config.channels),
        up_block_types=("UpDecoderBlock2D",) * len(config.channels),
        block_out_channels=config.channels,
        layers_per_block=1,
        latent_channels=config.latent_channels,
        norm_num_groups=config.groups,
        sample_size=128,
        mid_block_add_attention=False,  # scenes are local; attention over 256 tokens bought nothing
    )


def to_tensor(pictures: np.ndarray) -> torch.Tensor:
    """(b, 128, 128, 3) uint8 to (b, 3, 128, 128) float32 in -1..1."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous()


def training_pictures(rng: np.random.Generator, count: int) -> torch.Tensor:
    """Half of them crowded, since more edges a picture teach faster; (b, 3, 128, 128) in -1..1."""
    crowded, usual = training_scenes(rng, 4, 9), training_scenes(rng)
    scenes = [next(crowded if index % 2 else usual) for index in range(count)]
    return to_tensor(np.stack([render(scene, rng) for scene in scenes])).to(device())


def psnr(vae: AutoencoderKL, pictures: torch.Tensor, batch: int = 25) -> float:
    """Mean PSNR in dB of pictures (b, 3, h, w) in -1..1 through the mean latent and back, clipped, in float32."""
    values = []
    with torch.inference_mode():
        for part in pictures.split(batch):
            back = vae.decode(vae.encode(part).latent_dist.mode()).sample.clamp(-1, 1)
            values.append(-10 * torch.log10((back - part).square().mean((1, 2, 3)) / 4))
    return float(torch.cat(values).mean())


def heldout_pictures(count: int, seed: int = 0) -> torch.Tensor:
    """Pictures of scenes that no training shows, (count, 3, 128, 128) in -1..1."""
    scenes = heldout_scenes(np.random.default_rng(seed), count)
    return to_tensor(np.stack([render(scene, seed + index) for index, scene in enumerate(scenes)])).to(device())


class VaeLoss(nn.Module):
    """Squared error plus a little KL: PSNR is the bar, and the latents should stay near a unit ball."""

    def __init__(self, vae: AutoencoderKL, config: VaeConfig, seed: int):
        super().__init__()
        self.vae, self.config, self.seed = vae, config, seed

    def forward(self, step: int) -> dict[str, torch.Tensor]:
        pictures = training_pictures(step_rng(self.seed, step), self.config.batch)
        whole = self.vae.encoder.conv_in.weight.requires_grad
        with autocast():
            with torch.set_grad_enabled(whole):
                posterior = self.vae.encode(pictures).latent_dist
            back = self.vae.decode(posterior.sample()).sample
        error = (back.float() - pictures).square().mean()
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        loss = error + self.config.kl * kl if whole else error
        return {"loss": loss, "dB": -10 * torch.log10(error / 4), "kl": kl}


def latent_std(vae: AutoencoderKL, pictures: torch.Tensor) -> float:
    with torch.inference_mode():
        return float(vae.encode(pictures).latent_dist.mode().std())


def export(vae: AutoencoderKL, target: Path, scaling_factor: float) -> None:
    """Write the folder that diffusers loads, float16."""
    half = copy.deepcopy(vae).half()
    half.register_to_config(scaling_factor=scaling_factor)
    with replaced_folder(target) as fresh:
        half.save_pretrained(fresh)


def train(config: VaeConfig, schedule: Schedule, folder: Path, decoder_only: bool, seed: int = 0) -> AutoencoderKL:
    """One phase; the averaged model. The second phase starts from the averaged weights of the first."""
    torch.manual_seed(seed)
    vae = make_vae(config).to(device())
    if decoder_only:
        first = AutoencoderKL.from_pretrained(folder / "whole-export").to(device())
        vae.load_state_dict(first.float().state_dict())
        vae.register_to_config(scaling_factor=first.config.scaling_factor)
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)
    made = optimizers(vae.named_parameters(), config.muon_lr, config.adam_lr, ("conv_in", "conv_out", "quant_conv"))
    trainer = Trainer(vae, made, folder / ("decoder" if decoder_only else "whole"), schedule)
    heldout = heldout_pictures(64)
    trainer.run(VaeLoss(vae, config, seed + decoder_only), lambda: f"held out {psnr(trainer.average, heldout):.2f} dB")
    scaling = vae.config.scaling_factor if decoder_only else 1 / latent_std(trainer.average, heldout)
    export(trainer.average, folder / ("decoder-export" if decoder_only else "whole-export"), scaling)
    return trainer.average


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_schedule_arguments(parser, minutes=25)
    parser.add_argument("--folder", type=Path, default=Path("runs/vae"), help="checkpoints and exports")
    parser.add_argument("--decoder-only", action="store_true", help="the encoder is final; go on with the decoder")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    schedule = Schedule(steps=args.steps, minutes=args.minutes, flat=0.3 if args.decoder_only else 0.5)
    vae = train(VaeConfig(), schedule, args.folder, args.decoder_only, args.seed)
    print(f"PSNR {psnr(vae, heldout_pictures(500)):.2f} dB on 500 held-out scenes")


if __name__ == "__main__":
    main()
