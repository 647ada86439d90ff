"""What the tables of tiny transformers share: their form, and inputs of the usual shapes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

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


def x(*shape: int) -> torch.Tensor:
    return torch.randn(*shape)


def ids(tokens: int, axes: int = 3) -> torch.Tensor:
    return torch.arange(tokens)[:, None].expand(tokens, axes).float()


def ones(*shape: int) -> torch.Tensor:
    return torch.ones(*shape, dtype=torch.long)


def flux(t: torch.Tensor, **more: Any) -> dict[str, Any]:
    return {"hidden_states": x(1, 6, 4), "encoder_hidden_states": x(1, 5, 8), "timestep": t / 1000,
            "img_ids": ids(6), "txt_ids": ids(5), **more}  # fmt: skip


def wan(t: torch.Tensor, **more: Any) -> dict[str, Any]:
    return {"hidden_states": x(1, 4, 2, 4, 4), "timestep": t, "encoder_hidden_states": x(1, 5, 8), **more}


def image(t: torch.Tensor, channels: int = 4, text: int = 8, **more: Any) -> dict[str, Any]:
    return {"hidden_states": x(1, channels, 8, 8), "encoder_hidden_states": x(1, 5, text), "timestep": t, **more}


def video(t: torch.Tensor, **more: Any) -> dict[str, Any]:
    return {"hidden_states": x(1, 4, 2, 4, 4), "encoder_hidden_states": x(1, 5, 8), "timestep": t, **more}


def cog(t: torch.Tensor, **more: Any) -> dict[str, Any]:
    return {"hidden_states": x(1, 3, 4, 4, 4), "encoder_hidden_states": x(1, 5, 8), "timestep": t, **more}


def sizes(t: torch.Tensor) -> dict[str, Any]:
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


def allegro_rope() -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
    """(cosines and sines for each axis, positions on it) of 2 x 2 x 2 tokens, head dimension 24."""
    freqs = tuple((x(2, 8), x(2, 8)) for _ in range(3))
    grids = tuple(torch.arange(8).reshape(1, 8) // 2**axis % 2 for axis in range(3))
    return freqs, grids  # type: ignore[return-value]
