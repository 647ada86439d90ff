"""Model folders with random weights, made on the spot: the real classes and files, small enough for a test."""

import json
from pathlib import Path

import open_clip
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    PixArtAlphaPipeline,
    PixArtTransformer2DModel,
)
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel, T5Tokenizer

from mddit_ui.bench.tiny import save_dit, vae

PIXART = "tiny-pixart"
DIT = "tiny-dit"
FLUX = "tiny-flux"
CLIP = "tiny-clip"
PROMPTS = ("a large red ball on the left", "a small blue ring at the top")
WORDS = "a large small red blue green ball ring star on in at the left right top bottom center and background".split()


def tiny_pixart(folder: Path, blocks: int = 4) -> Path:
    """A ``PixArtAlphaPipeline`` folder: 64 x 64 px, 16 tokens, width 32; with its ``mddit.json``."""
    torch.manual_seed(0)
    transformer = PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=4,
        out_channels=8,
        num_layers=blocks,
        cross_attention_dim=32,
        sample_size=8,
        patch_size=2,
        norm_num_groups=4,
        caption_channels=16,
        use_additional_conditions=False,
        norm_type="ada_norm_single",
    )
    pipe = PixArtAlphaPipeline(
        tokenizer=tokenizer(),
        text_encoder=text_encoder(),
        vae=vae(),
        transformer=transformer.eval(),
        scheduler=DPMSolverMultistepScheduler(prediction_type="v_prediction", timestep_spacing="trailing"),
    )
    return _save(pipe, folder, id=PIXART, family="pixart", conditioning="prompt", clip=CLIP)


def tiny_dit(folder: Path, blocks: int = 2) -> Path:
    """A class-conditional ``DiTPipeline`` folder: 64 x 64 px, 16 tokens, width 32; with its ``mddit.json``."""
    words = {"title": folder.name, "description": "Random weights, for tests."}
    return save_dit(folder, blocks, heads=2, id=DIT, steps=6, clip="", **words)


def tiny_flux(folder: Path, blocks: int = 2) -> Path:
    """A ``FluxPipeline`` folder: flow matching, two streams, 64 x 64 px, 16 tokens; with its ``mddit.json``."""
    torch.manual_seed(0)
    transformer = FluxTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=16,
        num_layers=blocks,
        num_single_layers=blocks,
        joint_attention_dim=16,
        pooled_projection_dim=16,
        axes_dims_rope=(4, 6, 6),
    )
    pipe = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=vae(shift_factor=0.1),
        text_encoder=clip_text_encoder(),
        tokenizer=clip_tokenizer(),
        text_encoder_2=text_encoder(),
        tokenizer_2=tokenizer(),
        transformer=transformer.eval(),
    )
    return _save(
        pipe, folder, id=FLUX, family="flux", conditioning="prompt", clip=CLIP, call={"max_sequence_length": 16}
    )


def tiny_clip(folder: Path) -> Path:
    """A CLIP folder as open_clip writes it, for 32 x 32 px."""
    torch.manual_seed(0)
    model_cfg = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 32, "layers": 1, "head_width": 16},
        "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    model = open_clip.CLIP(**model_cfg)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
    config = {"model_cfg": model_cfg, "preprocess_cfg": {"size": 32, "mode": "RGB", **preprocess}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


def _save(pipe, folder: Path, **more) -> Path:
    pipe.save_pretrained(folder)
    spec = {"steps": 6, "guidance_scale": 4.5, "height": 64, "width": 64, "licence": "Apache-2.0"}
    words = {"title": folder.name, "description": "Random weights, for tests."}
    (folder / "mddit.json").write_text(json.dumps({**spec, **words, **more}))
    return folder


def tokenizer() -> T5Tokenizer:
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    return T5Tokenizer(vocab=special + [(f"▁{word}", -1.0) for word in WORDS], extra_ids=0, model_max_length=120)


def clip_tokenizer() -> CLIPTokenizer:
    words = ["<|startoftext|>", "<|endoftext|>", *(f"{word}</w>" for word in WORDS)]
    return CLIPTokenizer(vocab={word: index for index, word in enumerate(words)}, merges=[], model_max_length=77)


def clip_text_encoder() -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=2 + len(WORDS), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    return CLIPTextModel(config).eval()


def text_encoder(width: int = 16) -> T5EncoderModel:
    config = T5Config(vocab_size=4 + len(WORDS), d_model=width, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    return T5EncoderModel(config).eval()
