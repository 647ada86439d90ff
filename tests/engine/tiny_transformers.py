"""The smallest instance of every transformer class of diffusers that a few numbers can build, and inputs for it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import diffusers
import torch
from torch import nn

HEADS = {"num_attention_heads": 2, "attention_head_dim": 16}  # width 32
ROPE = (4, 6, 6)  # of head dimension 16
WAN = {**HEADS, "in_channels": 4, "out_channels": 4, "text_dim": 8, "freq_dim": 16, "ffn_dim": 32, "num_layers": 3,
       "rope_max_seq_len": 32}  # fmt: skip
COG = {**HEADS, "in_channels": 4, "out_channels": 4, "text_embed_dim": 8, "num_layers": 3, "time_embed_dim": 8,
       "sample_width": 4, "sample_height": 4, "sample_frames": 9, "max_text_seq_length": 5}  # fmt: skip
ENCODER_FIRST = ("encoder_hidden_states", "hidden_states")
HIDDEN_FIRST = ("hidden_states", "encoder_hidden_states")


@dataclass(frozen=True)
class Case:
    """A class of diffusers.

    Args:
        config: its constructor's arguments.
        inputs: keyword arguments of its forward from a timestep of shape (1,).
        streams: which arguments the outputs of a list's blocks continue, by hand, where it is not the first alone.
    """

    config: dict[str, Any]
    inputs: Callable[[torch.Tensor], dict[str, Any]]
    streams: dict[str, tuple[str, ...]] = field(default_factory=dict)


def build(name: str, seed: int = 0) -> nn.Module:
    """The tiny model; every weight is moved off its initial value, so that no gate is zero."""
    torch.manual_seed(seed)
    model = getattr(diffusers, name)(**CASES[name].config)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model.eval()


def inputs(name: str, timestep: float) -> dict[str, Any]:
    """The same inputs for every timestep."""
    torch.manual_seed(1)
    return CASES[name].inputs(torch.tensor([timestep]))


def x(*shape: int) -> torch.Tensor:
    return torch.randn(*shape)


def ids(tokens: int, axes: int = 3) -> torch.Tensor:
    return torch.arange(tokens)[:, None].expand(tokens, axes).float()


def ones(*shape: int) -> torch.Tensor:
    return torch.ones(*shape, dtype=torch.long)


def _flux(t: torch.Tensor, **more: Any) -> dict[str, Any]:
    return {"hidden_states": x(1, 6, 4), "encoder_hidden_states": x(1, 5, 8), "timestep": t / 1000,
            "img_ids": ids(6), "txt_ids": ids(5), **more}  # fmt: skip


def _wan(t: torch.Tensor, **more: Any) -> dict[str, Any]:
    return {"hidden_states": x(1, 4, 2, 4, 4), "timestep": t, "encoder_hidden_states": x(1, 5, 8), **more}


def _image(t: torch.Tensor, channels: int = 4, text: int = 8, **more: Any) -> dict[str, Any]:
    return {"hidden_states": x(1, channels, 8, 8), "encoder_hidden_states": x(1, 5, text), "timestep": t, **more}


def _video(t: torch.Tensor, **more: Any) -> dict[str, Any]:
    return {"hidden_states": x(1, 4, 2, 4, 4), "encoder_hidden_states": x(1, 5, 8), "timestep": t, **more}


def _cog(t: torch.Tensor, **more: Any) -> dict[str, Any]:
    return {"hidden_states": x(1, 3, 4, 4, 4), "encoder_hidden_states": x(1, 5, 8), "timestep": t, **more}


def _sizes(t: torch.Tensor) -> dict[str, Any]:
    size = torch.tensor([[8.0, 8.0]])
    return {"original_size": size, "target_size": size, "crop_coords": torch.zeros(1, 2)}


FLUX = {**HEADS, "in_channels": 4, "num_layers": 2, "num_single_layers": 2, "joint_attention_dim": 8,
        "axes_dims_rope": ROPE}  # fmt: skip
FLUX_STREAMS = {"transformer_blocks": ENCODER_FIRST, "single_transformer_blocks": ENCODER_FIRST}
HUNYUAN = {**HEADS, "in_channels": 4, "out_channels": 4, "num_layers": 2, "num_single_layers": 2,
           "num_refiner_layers": 1, "text_embed_dim": 8, "rope_axes_dim": ROPE}  # fmt: skip
HUNYUAN_STREAMS = {"transformer_blocks": HIDDEN_FIRST, "single_transformer_blocks": HIDDEN_FIRST}
SANA = {**HEADS, "in_channels": 4, "out_channels": 4, "num_layers": 3, "num_cross_attention_heads": 2,
        "cross_attention_head_dim": 16, "cross_attention_dim": 32, "caption_channels": 8}  # fmt: skip
LTX2 = {**HEADS, "in_channels": 4, "out_channels": 4, "cross_attention_dim": 32, "audio_in_channels": 4,
        "audio_out_channels": 4, "audio_num_attention_heads": 2, "audio_attention_head_dim": 8,
        "audio_cross_attention_dim": 16, "num_layers": 2, "caption_channels": 8}  # fmt: skip

CASES: dict[str, Case] = {
    "AceStepTransformer1DModel": Case(
        {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2,
         "num_key_value_heads": 2, "head_dim": 16, "in_channels": 12, "audio_acoustic_hidden_dim": 4,
         "encoder_hidden_size": 32},
        lambda t: {"hidden_states": x(1, 8, 4), "timestep": t / 1000, "timestep_r": t / 1000,
                   "encoder_hidden_states": x(1, 5, 32), "context_latents": x(1, 8, 8)},
    ),
    "AllegroTransformer3DModel": Case(
        {**HEADS, "in_channels": 4, "out_channels": 4, "num_layers": 3, "cross_attention_dim": 48,
         "sample_height": 4, "sample_width": 4, "sample_frames": 2, "caption_channels": 8, "attention_head_dim": 24},
        lambda t: _video(t, encoder_attention_mask=ones(1, 5), attention_mask=ones(1, 2, 4, 4).float(),
                         image_rotary_emb=_allegro_rope()),
    ),
    "AnyFlowTransformer3DModel": Case(
        WAN,
        lambda t: {"hidden_states": x(1, 2, 4, 4, 4), "timestep": t.expand(1, 2), "r_timestep": t.expand(1, 2) / 2,
                   "encoder_hidden_states": x(1, 5, 8)},
    ),
    "AuraFlowTransformer2DModel": Case(
        {**HEADS, "sample_size": 8, "in_channels": 4, "num_mmdit_layers": 2, "num_single_dit_layers": 2,
         "joint_attention_dim": 8, "caption_projection_dim": 32, "pos_embed_max_size": 16},
        lambda t: _image(t / 1000),
        {"joint_transformer_blocks": ENCODER_FIRST},
    ),
    "BriaFiboTransformer2DModel": Case(
        {**FLUX, "text_encoder_dim": 16},
        lambda t: _flux(t, text_encoder_layers=[x(1, 5, 16) for _ in range(4)]),
        {"transformer_blocks": ENCODER_FIRST},
    ),
    "BriaTransformer2DModel": Case(FLUX, _flux, FLUX_STREAMS),
    "ChromaTransformer2DModel": Case(
        {**FLUX, "approximator_num_channels": 8, "approximator_hidden_dim": 16, "approximator_layers": 1},
        _flux,
        {"transformer_blocks": ENCODER_FIRST},
    ),
    "ChronoEditTransformer3DModel": Case(WAN, _wan),
    "CogVideoXTransformer3DModel": Case(COG, _cog, {"transformer_blocks": HIDDEN_FIRST}),
    "CogView3PlusTransformer2DModel": Case(
        {**HEADS, "in_channels": 4, "out_channels": 4, "num_layers": 3, "text_embed_dim": 8, "time_embed_dim": 8,
         "condition_dim": 4, "pos_embed_max_size": 8, "sample_size": 8},
        lambda t: _image(t, **_sizes(t)),
        {"transformer_blocks": HIDDEN_FIRST},
    ),
    "CogView4Transformer2DModel": Case(
        {**HEADS, "in_channels": 4, "out_channels": 4, "num_layers": 3, "text_embed_dim": 8, "time_embed_dim": 8,
         "condition_dim": 4, "sample_size": 8, "rope_axes_dim": (8, 8)},
        lambda t: _image(t, **_sizes(t)),
        {"transformer_blocks": HIDDEN_FIRST},
    ),
    "ConsisIDTransformer3DModel": Case(COG, _cog, {"transformer_blocks": HIDDEN_FIRST}),
    "CosmosTransformer3DModel": Case(
        {**HEADS, "in_channels": 4, "out_channels": 4, "num_layers": 3, "text_embed_dim": 8, "adaln_lora_dim": 4,
         "max_size": (4, 8, 8), "concat_padding_mask": True},
        lambda t: _video(t, padding_mask=torch.zeros(1, 1, 4, 4)),
    ),
    "DiTTransformer2DModel": Case(
        {**HEADS, "in_channels": 4, "num_layers": 3, "sample_size": 8, "norm_num_groups": 4},
        lambda t: {"hidden_states": x(1, 4, 8, 8), "timestep": t, "class_labels": torch.tensor([3])},
    ),
    "EasyAnimateTransformer3DModel": Case(
        {**HEADS, "in_channels": 4, "out_channels": 4, "num_layers": 3, "mmdit_layers": 3, "time_embed_dim": 8,
         "text_embed_dim": 8, "sample_width": 4, "sample_height": 4, "patch_size": 2},
        _video,
        {"transformer_blocks": HIDDEN_FIRST},
    ),
    "ErnieImageTransformer2DModel": Case(
        {"hidden_size": 32, "num_attention_heads": 2, "num_layers": 3, "ffn_hidden_size": 32, "in_channels": 4,
         "out_channels": 4, "text_in_dim": 8, "rope_axes_dim": ROPE},
        lambda t: {"hidden_states": x(1, 4, 4, 4), "timestep": t, "text_bth": x(1, 5, 8),
                   "text_lens": torch.tensor([5])},
    ),
    "Flux2Transformer2DModel": Case(
        {**FLUX, "timestep_guidance_channels": 8, "axes_dims_rope": (4, 4, 4, 4)},
        lambda t: _flux(t, img_ids=ids(6, 4), txt_ids=ids(5, 4), guidance=torch.ones(1)),
        {"transformer_blocks": ENCODER_FIRST},
    ),
    "Flux3Transformer2DModel": Case(
        {**HEADS, "in_channels": 4, "cond_in_channels": 4, "num_layers": 2, "num_single_layers": 2,
         "joint_attention_dim": 8, "timestep_channels": 8, "axes_dims_rope": (4, 4, 4, 4)},
        lambda t: _flux(t, img_ids=ids(6, 4), txt_ids=ids(5, 4)),
        {"single_transformer_blocks": ENCODER_FIRST},
    ),
    "FluxTransformer2DModel": Case(
        {**FLUX, "pooled_projection_dim": 8}, lambda t: _flux(t, pooled_projections=x(1, 8)), FLUX_STREAMS
    ),
    "GlmImageTransformer2DModel": Case(
        {**HEADS, "in_channels": 4, "out_channels": 4, "num_layers": 3, "text_embed_dim": 8, "time_embed_dim": 8,
         "condition_dim": 4, "prior_vq_quantizer_codebook_size": 8},
        lambda t: _image(t, prior_token_id=torch.randint(0, 8, (1, 16)), prior_token_drop=torch.zeros(1, 16).bool(),
                         target_size=torch.tensor([[8.0, 8.0]]), crop_coords=torch.zeros(1, 2)),
        {"transformer_blocks": HIDDEN_FIRST},
    ),
    "HeliosTransformer3DModel": Case(
        {**{k: v for k, v in WAN.items() if k != "rope_max_seq_len"}, "rope_dim": ROPE,
         "has_multi_term_memory_patch": False, "zero_history_timestep": False, "guidance_cross_attn": False},
        _wan,
    ),
    "HiDreamImageTransformer2DModel": Case(
        {**HEADS, "patch_size": 2, "in_channels": 4, "num_layers": 2, "num_single_layers": 2,
         "caption_channels": [8, 8], "text_emb_dim": 8, "axes_dims_rope": ROPE, "max_resolution": (8, 8),
         "llama_layers": [0, 1, 2, 3], "force_inference_output": True},
        lambda t: {"hidden_states": x(1, 4, 8, 8), "timesteps": t, "encoder_hidden_states_t5": x(1, 5, 8),
                   "encoder_hidden_states_llama3": x(4, 1, 5, 8), "pooled_embeds": x(1, 8)},
        {"double_stream_blocks": HIDDEN_FIRST},
    ),
    "HunyuanDiT2DModel": Case(
        {**HEADS, "in_channels": 4, "patch_size": 2, "sample_size": 8, "hidden_size": 32, "num_layers": 6,
         "cross_attention_dim": 8, "cross_attention_dim_t5": 8, "pooled_projection_dim": 4, "text_len": 3,
         "text_len_t5": 2, "use_style_cond_and_image_meta_size": False},
        lambda t: {"hidden_states": x(1, 4, 8, 8), "timestep": t, "encoder_hidden_states": x(1, 3, 8),
                   "text_embedding_mask": ones(1, 3), "encoder_hidden_states_t5": x(1, 2, 8),
                   "text_embedding_mask_t5": ones(1, 2), "image_rotary_emb": (x(16, 16), x(16, 16))},
    ),
    "HunyuanImageTransformer2DModel": Case(
        {**HUNYUAN, "rope_axes_dim": (8, 8)},
        lambda t: {"hidden_states": x(1, 4, 4, 4), "timestep": t, "encoder_hidden_states": x(1, 5, 8),
                   "encoder_attention_mask": ones(1, 5)},
        HUNYUAN_STREAMS,
    ),
    "HunyuanVideo15Transformer3DModel": Case(
        {**{k: v for k, v in HUNYUAN.items() if k != "num_single_layers"}, "text_embed_2_dim": 8,
         "image_embed_dim": 8, "target_size": 4, "task_type": "t2v"},
        lambda t: _video(t, encoder_attention_mask=ones(1, 5), encoder_hidden_states_2=x(1, 3, 8),
                         encoder_attention_mask_2=ones(1, 3), image_embeds=torch.zeros(1, 3, 8)),
        {"transformer_blocks": HIDDEN_FIRST},
    ),
    "HunyuanVideoFramepackTransformer3DModel": Case(
        {**HUNYUAN, "pooled_projection_dim": 8, "guidance_embeds": False, "has_image_proj": True, "image_proj_dim": 8,
         "has_clean_x_embedder": True},
        lambda t: _video(t, encoder_attention_mask=ones(1, 5), pooled_projections=x(1, 8), image_embeds=x(1, 3, 8),
                         indices_latents=torch.arange(2),
                         latents_clean=x(1, 4, 1, 4, 4), indices_latents_clean=torch.arange(1),
                         latents_history_2x=x(1, 4, 2, 4, 4), indices_latents_history_2x=torch.arange(2),
                         latents_history_4x=x(1, 4, 4, 4, 4), indices_latents_history_4x=torch.arange(4)),
        HUNYUAN_STREAMS,
    ),
    "HunyuanVideoTransformer3DModel": Case(
        {**HUNYUAN, "pooled_projection_dim": 8, "guidance_embeds": False},
        lambda t: _video(t, encoder_attention_mask=ones(1, 5), pooled_projections=x(1, 8)),
        HUNYUAN_STREAMS,
    ),
    "Ideogram4Transformer2DModel": Case(
        {**HEADS, "in_channels": 4, "num_layers": 3, "intermediate_size": 32, "adaln_dim": 8, "llm_features_dim": 8,
         "mrope_section": (4, 2, 2)},
        lambda t: {"hidden_states": x(1, 8, 4), "timestep": t / 1000, "encoder_hidden_states": x(1, 8, 8),
                   "position_ids": torch.arange(8)[None, :, None].expand(1, 8, 3), "segment_ids": ones(1, 8),
                   "indicator": torch.tensor([[3, 3, 3, 2, 2, 2, 2, 2]])},
    ),
    "JoyImageEditTransformer3DModel": Case(
        {"in_channels": 4, "hidden_size": 32, "num_attention_heads": 2, "text_dim": 8, "num_layers": 3,
         "rope_dim_list": list(ROPE)},
        _video,
        {"double_blocks": HIDDEN_FIRST},
    ),
    "Kandinsky5Transformer3DModel": Case(
        {"in_visual_dim": 4, "in_text_dim": 8, "in_text_dim2": 8, "time_dim": 8, "out_visual_dim": 4, "model_dim": 32,
         "ff_dim": 32, "num_text_blocks": 2, "num_visual_blocks": 3, "axes_dims": ROPE},
        lambda t: {"hidden_states": x(1, 2, 4, 4, 4), "encoder_hidden_states": x(1, 5, 8), "timestep": t,
                   "pooled_projections": x(1, 8), "visual_rope_pos": [torch.arange(2)] * 3,
                   "text_rope_pos": torch.arange(5)},
    ),
    "Krea2Transformer2DModel": Case(
        {**HEADS, "in_channels": 4, "num_layers": 3, "num_key_value_heads": 2, "intermediate_size": 32,
         "timestep_embed_dim": 8, "text_hidden_dim": 32, "num_text_layers": 3, "text_num_attention_heads": 2,
         "text_num_key_value_heads": 2, "text_intermediate_size": 32, "num_layerwise_text_blocks": 1,
         "num_refiner_text_blocks": 1, "axes_dims_rope": ROPE},
        lambda t: {"hidden_states": x(1, 6, 4), "encoder_hidden_states": x(1, 5, 3, 32), "timestep": t / 1000,
                   "position_ids": ids(11)},
    ),
    "LTX2VideoTransformer3DModel": Case(
        LTX2,
        lambda t: {"hidden_states": x(1, 8, 4), "audio_hidden_states": x(1, 6, 4), "encoder_hidden_states": x(1, 5, 8),
                   "audio_encoder_hidden_states": x(1, 5, 8), "timestep": t.expand(1, 8), "num_frames": 2, "height": 2,
                   "width": 2, "audio_num_frames": 6, "audio_timestep": t.expand(1, 6), "sigma": t, "audio_sigma": t},
        {"transformer_blocks": ("hidden_states", "audio_hidden_states")},
    ),
    "LTXVideoTransformer3DModel": Case(
        {**HEADS, "in_channels": 4, "out_channels": 4, "cross_attention_dim": 32, "num_layers": 3,
         "caption_channels": 8},
        lambda t: {"hidden_states": x(1, 8, 4), "encoder_hidden_states": x(1, 5, 8), "timestep": t,
                   "encoder_attention_mask": ones(1, 5), "num_frames": 2, "height": 2, "width": 2},
    ),
    "LatteTransformer3DModel": Case(
        {**HEADS, "in_channels": 4, "out_channels": 8, "num_layers": 2, "cross_attention_dim": 32,
         "attention_bias": True, "sample_size": 4, "patch_size": 2, "activation_fn": "gelu-approximate",
         "num_embeds_ada_norm": 1000, "norm_type": "ada_norm_single", "norm_elementwise_affine": False,
         "caption_channels": 8, "video_length": 2},
        _video,
    ),
    "LongCatAudioDiTTransformer": Case(
        {"dit_dim": 32, "dit_depth": 3, "dit_heads": 2, "dit_text_dim": 8, "latent_dim": 4},
        lambda t: {"hidden_states": x(1, 8, 4), "encoder_hidden_states": x(1, 5, 8),
                   "encoder_attention_mask": ones(1, 5).bool(), "timestep": t / 1000,
                   "attention_mask": ones(1, 8).bool(), "latent_cond": x(1, 8, 4)},
    ),
    "LongCatImageTransformer2DModel": Case({**FLUX, "pooled_projection_dim": 8}, _flux, FLUX_STREAMS),
    "Lumina2Transformer2DModel": Case(
        {"sample_size": 8, "in_channels": 4, "hidden_size": 32, "num_layers": 3, "num_refiner_layers": 1,
         "num_attention_heads": 2, "num_kv_heads": 1, "multiple_of": 2, "axes_dim_rope": ROPE, "axes_lens": (16, 8, 8),
         "cap_feat_dim": 8},
        lambda t: _image(t / 1000, encoder_attention_mask=ones(1, 5).bool()),
    ),
    "LuminaNextDiT2DModel": Case(
        {"sample_size": 8, "in_channels": 4, "hidden_size": 32, "num_layers": 3, "num_attention_heads": 2,
         "num_kv_heads": 2, "multiple_of": 16, "cross_attention_dim": 8},
        lambda t: {"hidden_states": x(1, 4, 8, 8), "timestep": t / 1000, "encoder_hidden_states": x(1, 5, 8),
                   "encoder_mask": ones(1, 5), "image_rotary_emb": torch.polar(torch.ones(8, 8, 8), x(8, 8, 8)),
                   "cross_attention_kwargs": {}},
    ),
    "MiniMaxMusic3Transformer1DModel": Case(
        {**HEADS, "in_channels": 4, "condition_dim": 8, "num_layers": 3, "ff_inner_dim": 32, "rotary_dim": 8,
         "fourier_embedding_dim": 8},
        lambda t: {"hidden_states": x(1, 4, 8), "timestep": t / 1000, "encoder_hidden_states": x(1, 8, 8)},
    ),
    "MochiTransformer3DModel": Case(
        {**HEADS, "num_layers": 3, "pooled_projection_dim": 32, "in_channels": 4, "text_embed_dim": 8,
         "time_embed_dim": 4, "max_sequence_length": 5},
        lambda t: _video(t, encoder_attention_mask=ones(1, 5).bool()),
        {"transformer_blocks": HIDDEN_FIRST},
    ),
    "MotifVideoTransformer3DModel": Case(
        {**HEADS, "in_channels": 4, "out_channels": 4, "num_layers": 2, "num_single_layers": 2, "text_embed_dim": 8,
         "rope_axes_dim": ROPE},
        lambda t: _video(t, encoder_attention_mask=ones(1, 5)),
        HUNYUAN_STREAMS,
    ),
    "NucleusMoEImageTransformer2DModel": Case(
        {**HEADS, "in_channels": 16, "out_channels": 4, "num_layers": 3, "joint_attention_dim": 8,
         "axes_dims_rope": ROPE, "moe_enabled": False, "num_key_value_heads": 2},
        lambda t: {"hidden_states": x(1, 4, 16), "img_shapes": [(1, 2, 2)], "encoder_hidden_states": x(1, 5, 8),
                   "encoder_hidden_states_mask": ones(1, 5).bool(), "timestep": t / 1000},
    ),
    "OmniGenTransformer2DModel": Case(
        {"in_channels": 4, "hidden_size": 32, "num_attention_heads": 2, "num_key_value_heads": 2,
         "intermediate_size": 32, "num_layers": 3, "pad_token_id": 0, "vocab_size": 32, "pos_embed_max_size": 8,
         "time_step_dim": 8, "rope_scaling": {"long_factor": [1.0] * 8, "short_factor": [1.0] * 8}},
        lambda t: {"hidden_states": x(1, 4, 8, 8), "timestep": t, "input_ids": torch.randint(1, 32, (1, 5)),
                   "input_img_latents": [], "input_image_sizes": {}, "attention_mask": ones(1, 22, 22),
                   "position_ids": torch.arange(22)[None]},
    ),
    "OvisImageTransformer2DModel": Case({**FLUX, "out_channels": 4}, _flux, FLUX_STREAMS),
    "PRXTransformer2DModel": Case(
        {"in_channels": 4, "context_in_dim": 8, "hidden_size": 32, "num_heads": 2, "depth": 3, "axes_dim": [8, 8]},
        lambda t: _image(t / 1000, attention_mask=ones(1, 5)),
    ),
    "PixArtTransformer2DModel": Case(
        {**HEADS, "in_channels": 4, "num_layers": 3, "cross_attention_dim": 32, "sample_size": 8, "norm_num_groups": 4,
         "caption_channels": 8},
        _image,
    ),
    "PriorTransformer": Case(
        {**HEADS, "num_layers": 3, "embedding_dim": 8, "num_embeddings": 5, "additional_embeddings": 4},
        lambda t: {"hidden_states": x(1, 8), "timestep": t, "proj_embedding": x(1, 8),
                   "encoder_hidden_states": x(1, 5, 8)},
    ),
    "QwenImageTransformer2DModel": Case(
        {**HEADS, "in_channels": 16, "out_channels": 4, "num_layers": 3, "joint_attention_dim": 8,
         "axes_dims_rope": ROPE},
        lambda t: {"hidden_states": x(1, 4, 16), "encoder_hidden_states": x(1, 5, 8),
                   "encoder_hidden_states_mask": ones(1, 5).bool(), "timestep": t / 1000, "img_shapes": [[(1, 2, 2)]]},
        {"transformer_blocks": ENCODER_FIRST},
    ),
    "SD3Transformer2DModel": Case(
        {**HEADS, "sample_size": 8, "in_channels": 4, "out_channels": 4, "num_layers": 3, "joint_attention_dim": 8,
         "caption_projection_dim": 32, "pooled_projection_dim": 8, "pos_embed_max_size": 8},
        lambda t: _image(t, pooled_projections=x(1, 8)),
        {"transformer_blocks": ENCODER_FIRST},
    ),
    "SanaTransformer2DModel": Case({**SANA, "sample_size": 8}, _image),
    "SanaVideoTransformer3DModel": Case({**SANA, "sample_size": 4}, _video),
    "SkyReelsV2Transformer3DModel": Case(WAN, _wan),
    "StableAudio3DiTModel": Case(
        {"io_channels": 4, "embed_dim": 64, "depth": 3, "num_heads": 2, "cond_token_dim": 8, "global_cond_dim": 8,
         "local_add_cond_dim": 5, "timestep_features_dim": 8, "num_memory_tokens": 2},
        lambda t: {"hidden_states": x(1, 4, 8), "timestep": t / 1000, "encoder_hidden_states": x(1, 5, 8),
                   "global_hidden_states": x(1, 8), "local_add_cond": x(1, 5, 8)},
    ),
    "StableAudioDiTModel": Case(
        {**HEADS, "sample_size": 8, "in_channels": 4, "num_layers": 3, "num_key_value_attention_heads": 2,
         "out_channels": 4, "cross_attention_dim": 8, "time_proj_dim": 8, "global_states_input_dim": 8,
         "cross_attention_input_dim": 8},
        lambda t: {"hidden_states": x(1, 4, 8), "timestep": t, "encoder_hidden_states": x(1, 5, 8),
                   "global_hidden_states": x(1, 1, 8), "rotary_embedding": (x(9, 8), x(9, 8))},
    ),
    "TransformerTemporalModel": Case(
        {**HEADS, "in_channels": 32, "num_layers": 3, "norm_num_groups": 4},
        lambda t: {"hidden_states": x(2, 32, 4, 4) * t / 1000, "timestep": t, "num_frames": 2},
    ),
    "WanTransformer3DModel": Case(WAN, _wan),
    "WanVACETransformer3DModel": Case(
        {**WAN, "vace_layers": [0, 2], "vace_in_channels": 12},
        lambda t: _wan(t, control_hidden_states=x(1, 12, 2, 4, 4), control_hidden_states_scale=torch.ones(2)),
        {"vace_blocks": ("hidden_states", "control_hidden_states")},
    ),
    "ZImageTransformer2DModel": Case(
        {"in_channels": 4, "dim": 32, "n_layers": 3, "n_refiner_layers": 1, "n_heads": 2, "n_kv_heads": 2,
         "cap_feat_dim": 8, "axes_dims": list(ROPE), "axes_lens": [64, 64, 64]},
        lambda t: {"x": [x(4, 1, 8, 8)], "t": t / 1000, "cap_feats": [x(5, 8)]},
    ),
}  # fmt: skip


def _allegro_rope() -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
    """(cosines and sines for each axis, positions on it) of 2 x 2 x 2 tokens, head dimension 24."""
    freqs = tuple((x(2, 8), x(2, 8)) for _ in range(3))
    grids = tuple(torch.arange(8).reshape(1, 8) // 2**axis % 2 for axis in range(3))
    return freqs, grids  # type: ignore[return-value]
