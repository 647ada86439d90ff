"""A PixArt block as one function: fewer passes over memory than its modules make, and captions no longer than they are.

It gives what ``BasicTransformerBlock`` does (Chen et al. 2023, PixArt-alpha, arXiv 2310.00426), with another rounding.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from diffusers.models.activations import GELU
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import nn

from mddit_ui.engine.packed_layers import Forward, linear, linear_gelu, remembered

LANES = 32  # keys are padded to a multiple: 8 more than that take a CPU as long as these
MASKED = -10000.0  # what diffusers' PixArt adds where there is no token


class _Captions(NamedTuple):
    """What cross-attention needs of the captions of some images; (b, heads, m, d) each, or an ``answer`` (b, 1, d)."""

    images: slice
    keys: torch.Tensor
    values: torch.Tensor
    mask: torch.Tensor | None = None
    answer: torch.Tensor | None = None  # to every query, where all captions are of one token


def is_plain(block: nn.Module) -> bool:
    """Whether it is a block that ``packed_block`` knows: of PixArt, with nothing of somebody else's inside."""
    return (
        type(block) is BasicTransformerBlock
        and block.norm_type == "ada_norm_single"
        and block.pos_embed is None
        and block._chunk_size is None
        and not block.only_cross_attention
        and all(type(norm) is nn.LayerNorm and norm.weight is None for norm in (block.norm1, block.norm2))
        and all(_plain_attention(attention) for attention in (block.attn1, block.attn2))
        and [type(each) for each in block.ff.net] == [GELU, nn.Dropout, nn.Linear]
    )


def _plain_attention(attention: Any) -> bool:
    return (
        type(attention) is Attention
        and type(attention.processor) is AttnProcessor2_0
        and not any((attention.norm_q, attention.norm_k, attention.group_norm, attention.spatial_norm))
        and not attention.norm_cross
        and not attention.residual_connection
        and attention.rescale_output_factor == 1
        and all(type(layer) is nn.Linear for layer in _linears(attention))
        and len({layer.bias is None for layer in _linears(attention)[:3]}) == 1
    )


def _linears(attention: Any) -> list[nn.Linear]:
    return [attention.to_q, attention.to_k, attention.to_v, attention.to_out[0]]


def packed_block(block: Any, dtype: torch.dtype) -> Forward:
    """The forward of a block for which ``is_plain`` holds; products in ``dtype``, all sums float32.

    It is that of the modules, at their own pace, while somebody watches or changes what is inside of the block.
    """
    own, cross = block.attn1, block.attn2
    query_key_value, own_out = linear(_linears(own)[:3], dtype), linear(_linears(own)[3:], dtype)
    cross_query, cross_out = linear([cross.to_q], dtype), linear(_linears(cross)[3:], dtype)
    wide, narrow = linear_gelu(block.ff.net[0], dtype), linear([block.ff.net[2]], dtype)
    norms = block.norm1, block.norm2
    table = block.scale_shift_table.detach()  # (6, d)
    captions = _captions(linear([cross.to_k, cross.to_v], dtype), cross_out, cross.heads, dtype)
    modulation = remembered(lambda timestep: _modulation(timestep, table))
    inside = [module for module in block.modules() if module is not block]

    def normed(hidden: torch.Tensor, norm: nn.LayerNorm, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        shape = list(norm.normalized_shape)
        if scale.shape[0] == 1:  # all images are at the same timestep
            return F.layer_norm(hidden, shape, scale[0, 0], shift[0, 0], norm.eps).to(dtype)
        return torch.addcmul(shift, F.layer_norm(hidden, shape, eps=norm.eps), scale).to(dtype)

    def forward(
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        encoder_hidden_states: torch.Tensor | None = None,
        encoder_attention_mask: torch.Tensor | None = None,
        timestep: torch.Tensor | None = None,
        cross_attention_kwargs: dict[str, Any] | None = None,
        class_labels: torch.Tensor | None = None,
    ) -> torch.Tensor:
        usual = attention_mask is None and not cross_attention_kwargs
        usual = usual and all(type(each.processor) is AttnProcessor2_0 for each in (own, cross))
        if not usual or encoder_hidden_states is None or timestep is None or any(map(_is_touched, inside)):
            others = (encoder_hidden_states, encoder_attention_mask, timestep, cross_attention_kwargs, class_labels)
            return type(block).forward(block, hidden_states, attention_mask, *others)
        b, n, _ = hidden_states.shape
        shift, scale, gate, feed_shift, feed_scale, feed_gate = modulation(timestep)  # (b or 1, 1, d) each

        hidden = normed(hidden_states, norms[0], scale, shift)  # (b, n, d)
        query, key, value = query_key_value(hidden).view(b, n, 3, own.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)  # (b, heads, n, d / heads)
        answer = own_out(mixed.transpose(1, 2).reshape(b, n, -1))
        hidden_states = torch.addcmul(hidden_states, gate, answer.float())

        for given in captions(encoder_hidden_states, encoder_attention_mask):
            part = hidden_states[given.images]
            if given.answer is not None:
                part += given.answer
                continue
            query = cross_query(part.to(dtype)).view(len(part), n, cross.heads, -1).transpose(1, 2)
            mixed = F.scaled_dot_product_attention(query, given.keys, given.values, attn_mask=given.mask)
            part += cross_out(mixed.transpose(1, 2).reshape(len(part), n, -1))

        answer = narrow(wide(normed(hidden_states, norms[1], feed_scale, feed_shift)))
        return hidden_states.addcmul_(feed_gate, answer.float())

    return forward


def _is_touched(module: nn.Module) -> bool:
    """Whether calling it is more than what its class does: a policy on branches, another cache, offloading."""
    return "forward" in vars(module) or bool(module._forward_hooks or module._forward_pre_hooks)


def _modulation(timestep: torch.Tensor, table: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """(b, 1, d) each, or (1, 1, d) where all images agree; 1 is added to both scales."""
    rows = timestep[:1] if bool((timestep == timestep[:1]).all()) else timestep  # (b, 6 d)
    given = (table + rows.view(len(rows), *table.shape)).unsqueeze(2)  # (b, 6, 1, d)
    shift, scale, gate, feed_shift, feed_scale, feed_gate = given.unbind(1)
    return shift, 1 + scale, gate, feed_shift, 1 + feed_scale, feed_gate


def _captions(
    key_value: Forward, out: Forward, heads: int, dtype: torch.dtype
) -> Callable[[torch.Tensor, torch.Tensor | None], list[_Captions]]:
    """What the captions become; made anew when they or their mask change."""
    known = remembered(lambda hidden: [])

    def captions(hidden: torch.Tensor, mask: torch.Tensor | None) -> list[_Captions]:
        last = known(hidden)
        if not last or (mask is None) != (last[0] is None) or (mask is not None and not torch.equal(mask, last[0])):
            b, m, _ = hidden.shape
            both = key_value(hidden.to(dtype)).view(b, m, 2, heads, -1).permute(2, 0, 3, 1, 4)  # (2, b, heads, m, d)
            last[:] = mask, [*_halves(both, mask, out)]
        return last[1]

    return captions


def _halves(both: torch.Tensor, mask: torch.Tensor | None, out: Forward) -> Iterator[_Captions]:
    """Each half with no more keys than its longest caption: guidance puts captions without words first."""
    b, m = both.shape[1], both.shape[3]
    if mask is None:
        yield _Captions(slice(b), *both)
        return
    for images in (slice(b // 2), slice(b // 2, b)) if b % 2 == 0 else (slice(b),):
        keys, values = both[:, images]
        tokens = mask[images, 0] > MASKED / 2  # (b, m)
        end = int(tokens.any(0).nonzero().max()) + 1 if bool(tokens.any(1).all()) else m
        if end == 1:
            yield _Captions(images, keys, values, answer=out(values[:, :, :1].transpose(1, 2).flatten(2)).float())
            continue
        size = -(-end // LANES) * LANES
        missing = max(size - m, 0)
        keys, values = (F.pad(each[:, :, :size], (0, 0, 0, missing)).contiguous() for each in (keys, values))
        bias = F.pad(mask[images, :, :size], (0, missing), value=-math.inf)[:, None]  # (b, 1, 1, m)
        yield _Captions(images, keys, values, bias.to(keys.dtype))
