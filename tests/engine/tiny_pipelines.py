"""A tiny pipeline of every family: the real pipeline class, random weights, 64 x 64 px, made on the spot."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import diffusers
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler, LCMScheduler

from tests import tiny
from tests.engine import tiny_parts as parts
from tests.engine.tiny_cases import ENCODER_FIRST, HIDDEN_FIRST, ROPE
from tests.tiny import PROMPTS

HEADS = {"num_attention_heads": 2, "attention_head_dim": 16}  # width 32
V_PREDICTION = {"prediction_type": "v_prediction", "timestep_spacing": "trailing"}
LATENT = {"sample_size": 8, "in_channels": 4, "out_channels": 4, "patch_size": 2}


@dataclass(frozen=True)
class Family:
    """One pipeline of diffusers.

    Args:
        make: the pipeline, from a random state that is already set.
        call: what it is called with, besides steps and generators.
        calls: calls of the transformer that make up one step.
        streams: which arguments the outputs of a list's blocks continue, by hand, where it is not the first alone.
        output: name of the field with the pictures.
    """

    make: Callable[[], Any]
    call: dict[str, Any] = field(default_factory=dict)
    calls: int = 1
    streams: dict[str, tuple[str, ...]] = field(default_factory=dict)
    output: str = "images"


def make(name: str, seed: int = 0) -> Any:
    """The pipeline of a family, every weight of its transformer moved off its initial value."""
    torch.manual_seed(seed)
    pipe = FAMILIES[name].make()
    parts.stirred(pipe.transformer)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def run(name: str, pipe: Any, steps: int = 4, **more: Any) -> torch.Tensor:
    """Latents (or what ``output_type`` says) of the plain call, two prompts, seeds 0 and 1; ``None`` takes an argument
    of the family away."""
    family = FAMILIES[name]
    generators = [torch.Generator().manual_seed(seed) for seed in range(2)]
    given = {"num_inference_steps": steps, "generator": generators, "output_type": "latent", **family.call, **more}
    given = {key: value for key, value in given.items() if key not in more or value is not None}
    given = {key: list(value) if isinstance(value, list) else value for key, value in given.items()}  # Z-Image edits it
    return getattr(pipe(**given), family.output)


def _transformer(kind: str, **config: Any) -> Any:
    return getattr(diffusers, kind)(**config).eval()


def _pixart(sizes: bool = False) -> Any:
    config = {**HEADS, **LATENT, "out_channels": 8, "num_layers": 4, "cross_attention_dim": 32, "norm_num_groups": 4,
              "caption_channels": 16, "use_additional_conditions": sizes, "norm_type": "ada_norm_single"}  # fmt: skip
    if sizes:  # what a picture's size adds to the condition takes thirds of the width
        config |= {"num_attention_heads": 3, "cross_attention_dim": 48, "sample_size": 128}
    return _transformer("PixArtTransformer2DModel", **config)


def pixart_alpha() -> Any:
    return diffusers.PixArtAlphaPipeline(
        tiny.tokenizer(), tiny.text_encoder(), tiny.vae(), _pixart(), DPMSolverMultistepScheduler(**V_PREDICTION)
    )


def pixart_sigma() -> Any:
    return diffusers.PixArtSigmaPipeline(
        tiny.tokenizer(), tiny.text_encoder(), tiny.vae(), _pixart(), DPMSolverMultistepScheduler(**V_PREDICTION)
    )


def pixart_lcm() -> Any:
    """As PixArt-LCM at 1024 px: with the picture's size as a condition."""
    return diffusers.PixArtAlphaPipeline(
        tiny.tokenizer(), tiny.text_encoder(), tiny.vae(), _pixart(sizes=True), LCMScheduler()
    )


def dit() -> Any:
    config = {**HEADS, **LATENT, "out_channels": 8, "num_layers": 3, "num_embeds_ada_norm": 1000,
              "norm_type": "ada_norm_zero", "norm_elementwise_affine": False}  # fmt: skip
    transformer = _transformer("DiTTransformer2DModel", **config)
    return diffusers.DiTPipeline(transformer=transformer, vae=tiny.vae(), scheduler=DDIMScheduler())


def sd3(kind: str = "StableDiffusion3Pipeline") -> Any:
    config = {**HEADS, **LATENT, "num_layers": 3, "joint_attention_dim": 32, "caption_projection_dim": 32,
              "pooled_projection_dim": 32, "pos_embed_max_size": 16}  # fmt: skip
    t5 = tiny.text_encoder(32)
    return getattr(diffusers, kind)(
        transformer=_transformer("SD3Transformer2DModel", **config), scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=tiny.vae(shift_factor=0.1), text_encoder=parts.clip_text(), tokenizer=tiny.clip_tokenizer(),
        text_encoder_2=parts.clip_text(), tokenizer_2=tiny.clip_tokenizer(), text_encoder_3=t5,
        tokenizer_3=tiny.tokenizer(),
    )  # fmt: skip


def flux(kind: str = "FluxPipeline") -> Any:
    config = {**HEADS, "in_channels": 16, "num_layers": 2, "num_single_layers": 2, "joint_attention_dim": 16,
              "pooled_projection_dim": 16, "axes_dims_rope": ROPE, "guidance_embeds": True}  # fmt: skip
    return getattr(diffusers, kind)(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True), vae=tiny.vae(shift_factor=0.1),
        text_encoder=tiny.clip_text_encoder(), tokenizer=tiny.clip_tokenizer(), text_encoder_2=tiny.text_encoder(),
        tokenizer_2=tiny.tokenizer(), transformer=_transformer("FluxTransformer2DModel", **config),
    )  # fmt: skip


def hunyuan_dit() -> Any:
    config = {**HEADS, "in_channels": 4, "patch_size": 2, "sample_size": 8, "hidden_size": 32, "num_layers": 6,
              "cross_attention_dim": 16, "cross_attention_dim_t5": 16, "pooled_projection_dim": 8, "text_len": 77,
              "text_len_t5": 256}  # fmt: skip
    return diffusers.HunyuanDiTPipeline(
        vae=tiny.vae(), text_encoder=parts.bert(), tokenizer=parts.word_tokenizer(77),
        transformer=_transformer("HunyuanDiT2DModel", **config), scheduler=diffusers.DDPMScheduler(),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
        text_encoder_2=tiny.text_encoder(), tokenizer_2=tiny.tokenizer(),
    )  # fmt: skip


def sana() -> Any:
    config = {**HEADS, "in_channels": 4, "out_channels": 4, "num_layers": 3, "num_cross_attention_heads": 2,
              "cross_attention_head_dim": 16, "cross_attention_dim": 32, "caption_channels": 16, "sample_size": 8,
              "patch_size": 1}  # fmt: skip
    return diffusers.SanaPipeline(
        parts.word_tokenizer(), parts.gemma2(), parts.dc_vae(), _transformer("SanaTransformer2DModel", **config),
        DPMSolverMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0),
    )  # fmt: skip


def lumina2() -> Any:
    config = {"sample_size": 8, "in_channels": 4, "hidden_size": 32, "num_layers": 3, "num_refiner_layers": 1,
              "num_attention_heads": 2, "num_kv_heads": 1, "multiple_of": 2, "axes_dim_rope": ROPE,
              "axes_lens": (128, 16, 16), "cap_feat_dim": 16}  # fmt: skip
    return diffusers.Lumina2Pipeline(
        _transformer("Lumina2Transformer2DModel", **config), FlowMatchEulerDiscreteScheduler(),
        tiny.vae(shift_factor=0.1), parts.gemma2(), parts.word_tokenizer(),
    )  # fmt: skip


def aura_flow() -> Any:
    config = {**HEADS, **LATENT, "num_mmdit_layers": 2, "num_single_dit_layers": 2, "joint_attention_dim": 16,
              "caption_projection_dim": 32, "pos_embed_max_size": 64}  # fmt: skip
    return diffusers.AuraFlowPipeline(
        tiny.tokenizer(), parts.umt5(), tiny.vae(), _transformer("AuraFlowTransformer2DModel", **config),
        FlowMatchEulerDiscreteScheduler(),
    )  # fmt: skip


def cogview4() -> Any:
    config = {**HEADS, **LATENT, "num_layers": 3, "text_embed_dim": 16, "time_embed_dim": 8, "condition_dim": 4,
              "rope_axes_dim": (8, 8)}  # fmt: skip
    return diffusers.CogView4Pipeline(
        parts.word_tokenizer(), parts.glm(), tiny.vae(), _transformer("CogView4Transformer2DModel", **config),
        FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, base_shift=0.25, max_shift=0.75),
    )  # fmt: skip


def qwen_image(kind: str = "QwenImagePipeline") -> Any:
    config = {**HEADS, "in_channels": 16, "out_channels": 4, "num_layers": 3, "joint_attention_dim": 16,
              "axes_dims_rope": ROPE}  # fmt: skip
    return getattr(diffusers, kind)(
        FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True), parts.qwen_vae(), parts.qwen_vl(),
        parts.word_tokenizer(), _transformer("QwenImageTransformer2DModel", **config),
    )  # fmt: skip


def z_image() -> Any:
    config = {"in_channels": 4, "dim": 32, "n_layers": 3, "n_refiner_layers": 1, "n_heads": 2, "n_kv_heads": 2,
              "cap_feat_dim": 16, "axes_dims": list(ROPE), "axes_lens": [128, 64, 64]}  # fmt: skip
    return diffusers.ZImagePipeline(
        FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True), tiny.vae(shift_factor=0.1), parts.qwen3(),
        parts.word_tokenizer(), _transformer("ZImageTransformer2DModel", **config),
    )  # fmt: skip


def latte() -> Any:
    config = {**HEADS, **LATENT, "out_channels": 8, "num_layers": 2, "cross_attention_dim": 32, "caption_channels": 16,
              "norm_type": "ada_norm_single", "norm_elementwise_affine": False, "video_length": 2,
              "attention_bias": True, "num_embeds_ada_norm": 1000}  # fmt: skip
    transformer = _transformer("LatteTransformer3DModel", **config)
    return diffusers.LattePipeline(tiny.tokenizer(), tiny.text_encoder(), tiny.vae(), transformer, DDIMScheduler())


def cogvideox(kind: str = "CogVideoXPipeline") -> Any:
    config = {**HEADS, "in_channels": 4, "out_channels": 4, "text_embed_dim": 16, "num_layers": 3, "time_embed_dim": 8,
              "sample_width": 8, "sample_height": 8, "sample_frames": 9, "max_text_seq_length": 16}  # fmt: skip
    return getattr(diffusers, kind)(
        tiny.tokenizer(), tiny.text_encoder(), parts.cogvideo_vae(),
        _transformer("CogVideoXTransformer3DModel", **config), diffusers.CogVideoXDDIMScheduler(),
    )  # fmt: skip


def _wan_transformer() -> Any:
    config = {**HEADS, "in_channels": 4, "out_channels": 4, "text_dim": 16, "freq_dim": 16, "ffn_dim": 32,
              "num_layers": 3, "rope_max_seq_len": 32}  # fmt: skip
    return _transformer("WanTransformer3DModel", **config)


def wan(experts: int = 1) -> Any:
    """``experts=2``: as Wan 2.2, where a second transformer takes over below a timestep."""
    more = {"transformer_2": parts.stirred(_wan_transformer()), "boundary_ratio": 0.5} if experts == 2 else {}
    return diffusers.WanPipeline(
        tiny.tokenizer(), parts.umt5(), parts.wan_vae(), FlowMatchEulerDiscreteScheduler(), _wan_transformer(), **more
    )


SIZE = {"height": 64, "width": 64}
TEXTS = {"prompt": list(PROMPTS), **SIZE}
SHORT = {**TEXTS, "max_sequence_length": 16}
EXACT = {"clean_caption": False, "use_resolution_binning": False}
ENCODER_FIRST_EVERYWHERE = {"transformer_blocks": ENCODER_FIRST, "single_transformer_blocks": ENCODER_FIRST}

FAMILIES: dict[str, Family] = {
    "PixArtAlphaPipeline": Family(pixart_alpha, {**SHORT, **EXACT}),
    "PixArtSigmaPipeline": Family(pixart_sigma, {**SHORT, **EXACT}),
    "PixArtAlphaPipeline, LCM": Family(pixart_lcm, {**SHORT, **EXACT, "guidance_scale": 1.0}),
    "DiTPipeline": Family(dit, {"class_labels": [1, 7], "output_type": "pt"}),
    "StableDiffusion3Pipeline": Family(sd3, SHORT, streams={"transformer_blocks": ENCODER_FIRST}),
    "FluxPipeline": Family(flux, SHORT, streams=ENCODER_FIRST_EVERYWHERE),
    "FluxPipeline, true guidance": Family(
        flux, {**SHORT, "true_cfg_scale": 3.0, "negative_prompt": ["a ball", "red"]}, 2, ENCODER_FIRST_EVERYWHERE
    ),
    "HunyuanDiTPipeline": Family(hunyuan_dit, {**TEXTS, "use_resolution_binning": False}),
    "SanaPipeline": Family(sana, {**SHORT, **EXACT, "complex_human_instruction": None}),
    "Lumina2Pipeline": Family(lumina2, {**TEXTS, "max_sequence_length": 64}, 2),
    "AuraFlowPipeline": Family(aura_flow, SHORT, streams={"joint_transformer_blocks": ENCODER_FIRST}),
    "CogView4Pipeline": Family(cogview4, SHORT, 2, {"transformer_blocks": HIDDEN_FIRST}),
    "QwenImagePipeline": Family(
        qwen_image, {**SHORT, "negative_prompt": ["a ball", "red"]}, 2, {"transformer_blocks": ENCODER_FIRST}
    ),
    "ZImagePipeline": Family(z_image, SHORT),
    "LattePipeline": Family(latte, {**TEXTS, "video_length": 2, "clean_caption": False}, output="frames"),
    "CogVideoXPipeline": Family(
        cogvideox, {**SHORT, "num_frames": 9}, 1, {"transformer_blocks": HIDDEN_FIRST}, output="frames"
    ),
    "WanPipeline": Family(wan, {**SHORT, "num_frames": 5}, 2, output="frames"),
}
