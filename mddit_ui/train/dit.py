"""Trains the class-conditional model of scenes: `python -m mddit_ui.train.dit`.

A DiT (Peebles & Xie 2022, arXiv 2212.09748) whose classes are the shapes in their colours. A DiT block is a PixArt
block without cross-attention: it starts from the blocks of `scenes-pixart`, adaptive norms included, and has only the
labels left to learn.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DiTPipeline, DiTTransformer2DModel, PixArtAlphaPipeline, PixArtTransformer2DModel
from PIL import Image
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from mddit_ui.train.captions import Scene, class_scenes
from mddit_ui.train.latents import LatentSet, encode
from mddit_ui.train.lcm import Diffusion
from mddit_ui.train.loop import Schedule, Trainer, add_schedule_arguments, autocast, device, step_rng
from mddit_ui.train.optim import optimizers
from mddit_ui.train.pixart import timestep_cdf
from mddit_ui.train.publish import DIT_GUIDANCE as GUIDANCE
from mddit_ui.train.publish import dit_facts, publish, scheduler, sheet

NO_CLASS = 1000  # DiTPipeline's own number for "any": the table of labels must reach that far


@dataclass(frozen=True)
class DitConfig:
    blocks: tuple[int, ...] = (0, 2, 4, 6, 7, 9, 11, 13)  # of the PixArt transformer, to start from
    batch: int = 64
    no_class: float = 0.1  # share, for classifier-free guidance
    muon_lr: float = 0.006
    adam_lr: float = 1e-3
    not_muon: tuple[str, ...] = ("pos_embed", "emb.", "proj_out_2")


def draw_class_scenes(rng: np.random.Generator) -> Iterator[Scene]:
    """Endless scenes, all classes equally often."""
    scenes = class_scenes()
    while True:
        yield from (scenes[index] for index in rng.permutation(len(scenes)))


@torch.no_grad()
def make_transformer(config: DitConfig, donor: PixArtTransformer2DModel) -> DiTTransformer2DModel:
    """A DiT that does what the donor's blocks do without their cross-attention; labels add nothing yet."""
    shape = donor.config
    transformer = DiTTransformer2DModel(
        num_attention_heads=shape.num_attention_heads,
        attention_head_dim=shape.attention_head_dim,
        in_channels=shape.in_channels,
        out_channels=shape.in_channels,  # DiTPipeline reads it: twice as many would mean a learned variance
        num_layers=len(config.blocks),
        sample_size=shape.sample_size,
        patch_size=shape.patch_size,
        num_embeds_ada_norm=NO_CLASS,
    )
    transformer.pos_embed.load_state_dict(donor.pos_embed.state_dict())
    for block, number in zip(transformer.transformer_blocks, config.blocks, strict=True):
        given = donor.transformer_blocks[number]
        block.attn1.load_state_dict(given.attn1.state_dict())
        block.ff.load_state_dict(given.ff.state_dict())
        embedding = block.norm1.emb
        embedding.timestep_embedder.load_state_dict(donor.adaln_single.emb.timestep_embedder.state_dict())
        embedding.class_embedder.embedding_table.weight.zero_()
        block.norm1.linear.weight.copy_(donor.adaln_single.linear.weight)
        block.norm1.linear.bias.copy_(donor.adaln_single.linear.bias + given.scale_shift_table.flatten())
    nn.init.zeros_(transformer.proj_out_1.weight)
    transformer.proj_out_1.bias.copy_(donor.scale_shift_table.flatten())
    transformer.proj_out_2.load_state_dict(donor.proj_out.state_dict())
    return transformer


class DitLoss(nn.Module):
    """v-prediction on latents whose captions name the class."""

    def __init__(self, config: DitConfig, transformer: DiTTransformer2DModel, data: LatentSet, seed: int):
        super().__init__()
        self.config, self.data, self.seed = config, data, seed
        self.transformer = transformer
        for block in transformer.transformer_blocks:
            block.norm1.emb.class_embedder.dropout_prob = 0.0  # a label is left out of all blocks or of none: below
        number = {scene.caption(): index for index, scene in enumerate(class_scenes())}
        self.labels = np.array([number[caption] for caption in data.captions])
        self.diffusion = Diffusion()
        self.timestep_cdf = timestep_cdf(len(self.diffusion.alphas))

    def forward(self, step: int) -> dict[str, torch.Tensor]:
        rng, batch = step_rng(self.seed, step), self.config.batch
        rows = np.sort(rng.choice(len(self.labels), batch, replace=False))
        clean = torch.from_numpy(self.data.latents[rows].astype(np.float32)).to(device())  # (b, c, 16, 16)
        labels = np.where(rng.random(batch) < self.config.no_class, NO_CLASS, self.labels[rows])
        strata = (rng.permutation(batch) + rng.random(batch)) / batch
        timesteps = torch.from_numpy(np.searchsorted(self.timestep_cdf[:-1], strata)).to(device())
        noise = torch.randn_like(clean)
        alpha = self.diffusion.alphas[timesteps].view(-1, 1, 1, 1)
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        velocity = alpha.sqrt() * noise - (1 - alpha).sqrt() * clean
        with autocast(), sdpa_kernel(SDPBackend.MATH):  # the CPU's fused attention is slow backwards
            predicted = self.transformer(
                noisy, timestep=timesteps, class_labels=torch.from_numpy(labels).to(device())
            ).sample
        return {"loss": (predicted.float() - velocity).square().mean()}


def train(
    config: DitConfig, schedule: Schedule, folder: Path, donor: PixArtTransformer2DModel, data: LatentSet,
    seed: int = 0, report=None,
) -> DiTTransformer2DModel:  # fmt: skip
    """The averaged transformer."""
    torch.manual_seed(seed)
    model = DitLoss(config, make_transformer(config, donor), data, seed).to(device())
    made = optimizers(model.named_parameters(), config.muon_lr, config.adam_lr, config.not_muon, weight_decay=0.05)
    trainer = Trainer(model, made, folder, schedule)
    trainer.run(model, (lambda: report(trainer.average.transformer)) if report else None)
    return trainer.average.transformer


def pipeline(transformer: DiTTransformer2DModel, vae: AutoencoderKL) -> DiTPipeline:
    facts = dit_facts()
    names = {number: label["name"] for number, label in enumerate(facts["classes"])}
    pipe = DiTPipeline(transformer, vae, scheduler(), id2label=names)
    pipe.register_to_config(id2label=names)  # it forgets to, and would save none
    pipe.set_progress_bar_config(disable=True)
    return pipe


def generate(pipe: DiTPipeline, labels: list[int], seed: int, batch: int = 24, **overrides) -> torch.Tensor:
    """One picture a label, (b, 3, 128, 128) float32 in -1..1; picture i has the seed `seed + i`."""
    call = {"num_inference_steps": 20, "guidance_scale": GUIDANCE, **overrides}
    pictures = []
    for start in range(0, len(labels), batch):
        part = labels[start : start + batch]
        noise = [torch.Generator().manual_seed(seed + start + index) for index in range(len(part))]
        pictures.append(pipe(part, generator=noise, output_type="pt", **call).images.float().cpu() * 2 - 1)
    return torch.cat(pictures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_schedule_arguments(parser, minutes=20)
    parser.add_argument("--folder", type=Path, default=Path("runs/dit"), help="latents, checkpoints, sample sheets")
    parser.add_argument("--donor", type=Path, default=Path("assets/models/scenes-pixart"))
    parser.add_argument("--target", type=Path, default=Path("assets/models/scenes-dit"))
    parser.add_argument("--pictures", type=int, default=4800, help="drawn and encoded before the training")
    parser.add_argument("--muon-lr", type=float, default=DitConfig.muon_lr, help="peak rate of the matrices")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    donor = PixArtAlphaPipeline.from_pretrained(args.donor, dtype=torch.float32).to(device())
    latents = args.folder / "latents"
    if not latents.exists():
        encode(donor.vae, args.pictures, latents, args.seed, scenes_of=draw_class_scenes)

    def checkpoint(transformer: DiTTransformer2DModel) -> str:
        pipe = pipeline(transformer, donor.vae)
        pictures = generate(pipe, list(range(0, 48, 3)), seed=0, num_inference_steps=10)
        Image.fromarray(sheet(pictures)).save(args.folder / "samples.png")
        publish(pipe, args.target, dit_facts())
        return f"wrote {args.target} and {args.folder / 'samples.png'}"

    schedule = Schedule.of(args, flat=0.3, save_every=600, average=0.995)
    config = DitConfig(muon_lr=args.muon_lr)
    data = LatentSet.load(latents)
    checkpoint(train(config, schedule, args.folder / "transformer", donor.transformer, data, args.seed, checkpoint))


if __name__ == "__main__":
    main()
