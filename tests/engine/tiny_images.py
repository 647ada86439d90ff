"""Tiny transformers that make images."""

import torch

from tests.engine.tiny_cases import (
    ENCODER_FIRST,
    FLUX,
    FLUX_STREAMS,
    HEADS,
    HIDDEN_FIRST,
    HUNYUAN,
    HUNYUAN_STREAMS,
    ROPE,
    SANA,
    Case,
    flux,
    ids,
    image,
    ones,
    sizes,
    x,
)

IMAGES: dict[str, Case] = {
    "AuraFlowTransformer2DModel": Case(
        {**HEADS, "sample_size": 8, "in_channels": 4, "num_mmdit_layers": 2, "num_single_dit_layers": 2,
         "joint_attention_dim": 8, "caption_projection_dim": 32, "pos_embed_max_size": 16},
        lambda t: image(t / 1000),
        {"joint_transformer_blocks": ENCODER_FIRST},
    ),
    "BriaFiboTransformer2DModel": Case(
        {**FLUX, "text_encoder_dim": 16},
        lambda t: flux(t, text_encoder_layers=[x(1, 5, 16) for _ in range(4)]),
        {"transformer_blocks": ENCODER_FIRST},
    ),
    "BriaTransformer2DModel": Case(FLUX, flux, FLUX_STREAMS),
    "ChromaTransformer2DModel": Case(
        {**FLUX, "approximator_num_channels": 8, "approximator_hidden_dim": 16, "approximator_layers": 1},
        flux,
        {"transformer_blocks": ENCODER_FIRST},
    ),
    "CogView3PlusTransformer2DModel": Case(
        {**HEADS, "in_channels": 4, "out_channels": 4, "num_layers": 3, "text_embed_dim": 8, "time_embed_dim": 8,
         "condition_dim": 4, "pos_embed_max_size": 8, "sample_size": 8},
        lambda t: image(t, **sizes(t)),
        {"transformer_blocks": HIDDEN_FIRST},
    ),
    "CogView4Transformer2DModel": Case(
        {**HEADS, "in_channels": 4, "out_channels": 4, "num_layers": 3, "text_embed_dim": 8, "time_embed_dim": 8,
         "condition_dim": 4, "sample_size": 8, "rope_axes_dim": (8, 8)},
        lambda t: image(t, **sizes(t)),
        {"transformer_blocks": HIDDEN_FIRST},
    ),
    "DiTTransformer2DModel": Case(
        {**HEADS, "in_channels": 4, "num_layers": 3, "sample_size": 8, "norm_num_groups": 4},
        lambda t: {"hidden_states": x(1, 4, 8, 8), "timestep": t, "class_labels": torch.tensor([3])},
    ),
    "ErnieImageTransformer2DModel": Case(
        {"hidden_size": 32, "num_attention_heads": 2, "num_layers": 3, "ffn_hidden_size": 32, "in_channels": 4,
         "out_channels": 4, "text_in_dim": 8, "rope_axes_dim": ROPE},
        lambda t: {"hidden_states": x(1, 4, 4, 4), "timestep": t, "text_bth": x(1, 5, 8),
                   "text_lens": torch.tensor([5])},
    ),
    "Flux2Transformer2DModel": Case(
        {**FLUX, "timestep_guidance_channels": 8, "axes_dims_rope": (4, 4, 4, 4)},
        lambda t: flux(t, img_ids=ids(6, 4), txt_ids=ids(5, 4), guidance=torch.ones(1)),
        {"transformer_blocks": ENCODER_FIRST},
    ),
    "Flux3Transformer2DModel": Case(
        {**HEADS, "in_channels": 4, "cond_in_channels": 4, "num_layers": 2, "num_single_layers": 2,
         "joint_attention_dim": 8, "timestep_channels": 8, "axes_dims_rope": (4, 4, 4, 4)},
        lambda t: flux(t, img_ids=ids(6, 4), txt_ids=ids(5, 4)),
        {"single_transformer_blocks": ENCODER_FIRST},
    ),
    "FluxTransformer2DModel": Case(
        {**FLUX, "pooled_projection_dim": 8}, lambda t: flux(t, pooled_projections=x(1, 8)), FLUX_STREAMS
    ),
    "GlmImageTransformer2DModel": Case(
        {**HEADS, "in_channels": 4, "out_channels": 4, "num_layers": 3, "text_embed_dim": 8, "time_embed_dim": 8,
         "condition_dim": 4, "prior_vq_quantizer_codebook_size": 8},
        lambda t: image(t, prior_token_id=torch.randint(0, 8, (1, 16)), prior_token_drop=torch.zeros(1, 16).bool(),
                         target_size=torch.tensor([[8.0, 8.0]]), crop_coords=torch.zeros(1, 2)),
        {"transformer_blocks": HIDDEN_FIRST},
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
    "Ideogram4Transformer2DModel": Case(
        {**HEADS, "in_channels": 4, "num_layers": 3, "intermediate_size": 32, "adaln_dim": 8, "llm_features_dim": 8,
         "mrope_section": (4, 2, 2)},
        lambda t: {"hidden_states": x(1, 8, 4), "timestep": t / 1000, "encoder_hidden_states": x(1, 8, 8),
                   "position_ids": torch.arange(8)[None, :, None].expand(1, 8, 3), "segment_ids": ones(1, 8),
                   "indicator": torch.tensor([[3, 3, 3, 2, 2, 2, 2, 2]])},
    ),
    "Krea2Transformer2DModel": Case(
        {**HEADS, "in_channels": 4, "num_layers": 3, "num_key_value_heads": 2, "intermediate_size": 32,
         "timestep_embed_dim": 8, "text_hidden_dim": 32, "num_text_layers": 3, "text_num_attention_heads": 2,
         "text_num_key_value_heads": 2, "text_intermediate_size": 32, "num_layerwise_text_blocks": 1,
         "num_refiner_text_blocks": 1, "axes_dims_rope": ROPE},
        lambda t: {"hidden_states": x(1, 6, 4), "encoder_hidden_states": x(1, 5, 3, 32), "timestep": t / 1000,
                   "position_ids": ids(11)},
    ),
    "LongCatImageTransformer2DModel": Case({**FLUX, "pooled_projection_dim": 8}, flux, FLUX_STREAMS),
    "Lumina2Transformer2DModel": Case(
        {"sample_size": 8, "in_channels": 4, "hidden_size": 32, "num_layers": 3, "num_refiner_layers": 1,
         "num_attention_heads": 2, "num_kv_heads": 1, "multiple_of": 2, "axes_dim_rope": ROPE, "axes_lens": (16, 8, 8),
         "cap_feat_dim": 8},
        lambda t: image(t / 1000, encoder_attention_mask=ones(1, 5).bool()),
    ),
    "LuminaNextDiT2DModel": Case(
        {"sample_size": 8, "in_channels": 4, "hidden_size": 32, "num_layers": 3, "num_attention_heads": 2,
         "num_kv_heads": 2, "multiple_of": 16, "cross_attention_dim": 8},
        lambda t: {"hidden_states": x(1, 4, 8, 8), "timestep": t / 1000, "encoder_hidden_states": x(1, 5, 8),
                   "encoder_mask": ones(1, 5), "image_rotary_emb": torch.polar(torch.ones(8, 8, 8), x(8, 8, 8)),
                   "cross_attention_kwargs": {}},
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
    "OvisImageTransformer2DModel": Case({**FLUX, "out_channels": 4}, flux, FLUX_STREAMS),
    "PRXTransformer2DModel": Case(
        {"in_channels": 4, "context_in_dim": 8, "hidden_size": 32, "num_heads": 2, "depth": 3, "axes_dim": [8, 8]},
        lambda t: image(t / 1000, attention_mask=ones(1, 5)),
    ),
    "PixArtTransformer2DModel": Case(
        {**HEADS, "in_channels": 4, "num_layers": 3, "cross_attention_dim": 32, "sample_size": 8, "norm_num_groups": 4,
         "caption_channels": 8},
        image,
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
        lambda t: image(t, pooled_projections=x(1, 8)),
        {"transformer_blocks": ENCODER_FIRST},
    ),
    "SanaTransformer2DModel": Case({**SANA, "sample_size": 8}, image),
    "ZImageTransformer2DModel": Case(
        {"in_channels": 4, "dim": 32, "n_layers": 3, "n_refiner_layers": 1, "n_heads": 2, "n_kv_heads": 2,
         "cap_feat_dim": 8, "axes_dims": list(ROPE), "axes_lens": [64, 64, 64]},
        lambda t: {"x": [x(4, 1, 8, 8)], "t": t / 1000, "cap_feats": [x(5, 8)]},
    ),
}  # fmt: skip
