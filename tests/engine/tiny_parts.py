"""Text encoders, tokenizers and VAEs with random weights, made on the spot: the real classes at their smallest."""

from typing import Any

import torch
from diffusers import AutoencoderDC, AutoencoderKLCogVideoX, AutoencoderKLQwenImage, AutoencoderKLWan
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import (
    BertConfig,
    BertModel,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    Gemma2Config,
    Gemma2Model,
    GlmConfig,
    GlmModel,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3Config,
    Qwen3Model,
    UMT5Config,
    UMT5EncoderModel,
)

from tests.tiny import WORDS

WIDTH = 16  # of all text encoders
SPECIAL = ("<pad>", "<unk>", "<s>")
VOCABULARY = len(SPECIAL) + len(WORDS)
CHAT = "{% for message in messages %}user {{ message['content'] }} {% endfor %}"


def stirred(module: nn.Module) -> nn.Module:
    """Every weight moved off its initial value, so that no gate is zero."""
    for parameter in module.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return module.eval()


def word_tokenizer(length: int = 64) -> PreTrainedTokenizerFast:
    """One token a word; for the encoders whose own tokenizers are made of downloaded files."""
    words = {word: index for index, word in enumerate((*SPECIAL, *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", words["<s>"])])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", model_max_length=length, chat_template=CHAT
    )


def _decoder(**more: Any) -> dict[str, Any]:
    return {"vocab_size": VOCABULARY, "hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 512,
            "pad_token_id": 0, "bos_token_id": None, "eos_token_id": None, **more}  # fmt: skip


def gemma2() -> Gemma2Model:
    return Gemma2Model(Gemma2Config(**_decoder())).eval()


def glm() -> GlmModel:
    return GlmModel(GlmConfig(**_decoder())).eval()


def qwen3() -> Qwen3Model:
    return Qwen3Model(Qwen3Config(**_decoder())).eval()


def qwen_vl() -> Qwen2_5_VLForConditionalGeneration:
    text = _decoder(rope_parameters={"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0})
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": WIDTH,
              "fullatt_block_indexes": [0]}  # fmt: skip
    return Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(text_config=text, vision_config=vision)).eval()


def umt5() -> UMT5EncoderModel:
    config = UMT5Config(vocab_size=VOCABULARY, d_model=WIDTH, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    return UMT5EncoderModel(config).eval()


def bert() -> BertModel:
    config = BertConfig(vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=2,
                        intermediate_size=32, max_position_embeddings=77)  # fmt: skip
    return BertModel(config).eval()


def clip_text() -> CLIPTextModelWithProjection:
    config = CLIPTextConfig(vocab_size=2 + len(WORDS), hidden_size=WIDTH, intermediate_size=16, num_hidden_layers=2,
                            num_attention_heads=2, projection_dim=WIDTH, bos_token_id=0, eos_token_id=1,
                            pad_token_id=1)  # fmt: skip
    return CLIPTextModelWithProjection(config).eval()


def dc_vae() -> AutoencoderDC:
    """8 pixels a side of a latent, 4 channels."""
    return AutoencoderDC(
        latent_channels=4, attention_head_dim=2, encoder_block_types=("ResBlock",) * 4,
        decoder_block_types=("ResBlock",) * 4, encoder_block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8), encoder_layers_per_block=(1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1), encoder_qkv_multiscales=((), (), (), ()),
        decoder_qkv_multiscales=((), (), (), ()), scaling_factor=0.41407,
    ).eval()  # fmt: skip


_VIDEO_VAE = {"base_dim": 4, "z_dim": 4, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1,
              "temperal_downsample": [False, True, True], "latents_mean": [0.1, -0.2, 0.3, 0.0],
              "latents_std": [1.5, 2.0, 0.5, 1.0]}  # fmt: skip


def qwen_vae() -> AutoencoderKLQwenImage:
    return AutoencoderKLQwenImage(**_VIDEO_VAE).eval()


def wan_vae() -> AutoencoderKLWan:
    return AutoencoderKLWan(**_VIDEO_VAE).eval()


def cogvideo_vae() -> AutoencoderKLCogVideoX:
    return AutoencoderKLCogVideoX(
        block_out_channels=(8, 8, 8, 8), latent_channels=4, layers_per_block=1, norm_num_groups=2,
        temporal_compression_ratio=4, sample_height=64, sample_width=64,
    ).eval()  # fmt: skip
