"""A class-conditional model with random weights, as narrow as it can be: for the bench of the app, and for tests."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, DiTPipeline, DiTTransformer2DModel


def save_dit(folder: Path, blocks: int, *, heads: int = 1, **spec: Any) -> Path:
    """Write a ``DiTPipeline`` folder: 64 x 64 px, 16 tokens, heads of width 16; ``spec`` goes into ``mddit.json``."""
    torch.manual_seed(0)
    transformer = DiTTransformer2DModel(
        num_attention_heads=heads,
        attention_head_dim=16,
        in_channels=4,
        out_channels=8,
        num_layers=blocks,
        sample_size=8,
        patch_size=2,
        num_embeds_ada_norm=1000,
        norm_type="ada_norm_zero",
        norm_elementwise_affine=False,
    )
    DiTPipeline(transformer=transformer.eval(), vae=vae(), scheduler=DDIMScheduler()).save_pretrained(folder)
    known = {"family": "dit", "conditioning": "class", "guidance_scale": 4.5, "height": 64, "width": 64}
    (folder / "mddit.json").write_text(json.dumps({**known, "licence": "Apache-2.0", **spec}))
    return folder


def vae(**more: Any) -> AutoencoderKL:
    """An autoencoder of f8 that decodes 8 x 8 latents into noise."""
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=4,
        layers_per_block=1,
        sample_size=64,
        **more,
    ).eval()
