"""A PixArt block as one function: the same numbers for all that a block can be given, and for no other block."""

import pytest
import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import AttnProcessor
from torch import nn

from mddit_ui.engine.packed_block import LANES, MASKED, is_plain, packed_block
from mddit_ui.engine.packed_layers import linear
from mddit_ui.models.routed_dit import RoutedBlock
from mddit_ui.models.skip_dit import SkipBlock

WIDTH, TOKENS = 32, 16


def make(**changes) -> BasicTransformerBlock:
    torch.manual_seed(0)
    config = {
        "num_attention_heads": 2,
        "attention_head_dim": WIDTH // 2,
        "cross_attention_dim": WIDTH,
        "activation_fn": "gelu-approximate",
        "attention_bias": True,
        "norm_type": "ada_norm_single",
        "norm_elementwise_affine": False,
        "norm_eps": 1e-6,
    }
    return BasicTransformerBlock(WIDTH, **{**config, **changes}).eval().requires_grad_(False)


def given(lengths: list[int], m: int, *, same_time: bool = True, masked: bool = True) -> dict:
    """Inputs of a block, for captions of ``lengths`` tokens in ``m`` places."""
    torch.manual_seed(1)
    b = len(lengths)
    mask = torch.tensor([[0.0] * length + [MASKED] * (m - length) for length in lengths])[:, None]  # (b, 1, m)
    time = torch.randn(1 if same_time else b, 6 * WIDTH).expand(b, -1)
    return {
        "hidden_states": torch.randn(b, TOKENS, WIDTH),
        "attention_mask": None,
        "encoder_hidden_states": torch.randn(b, m, WIDTH),
        "encoder_attention_mask": mask if masked else None,
        "timestep": time.contiguous(),
        "cross_attention_kwargs": None,
        "class_labels": None,
    }


@torch.no_grad()
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    "inputs",
    [
        given([1, 1, 5, 9], 12),  # guidance: no words, then words
        given([1, 1, 5, 9], 12, same_time=False),
        given([3, 1, LANES, LANES + 1], 2 * LANES + 4),
        given([2 * LANES + 4, 2, 1, 1], 2 * LANES + 4),
        given([0, 1, 3, 0], 12),  # a caption that is masked altogether: the mean of all its places
        given([2, 0, 7], 12),
        given([4, 4], 12, masked=False),
        {**given([1, 2], 6), "attention_mask": torch.zeros(2, 1, TOKENS)},
        {**given([1, 2], 6), "encoder_attention_mask": torch.tensor([[[MASKED, 0, 0]], [[0, MASKED, MASKED]]]),
         "encoder_hidden_states": torch.randn(2, 3, WIDTH)},
    ],
    ids=["guided", "times", "longer than a vector", "words first", "no words", "odd", "no mask", "own mask", "gap"],
)  # fmt: skip
def test_it_gives_what_the_block_gives(inputs, bias):
    block = make(attention_bias=bias)
    before = {name: value.clone() for name, value in inputs.items() if value is not None}
    packed = packed_block(block, torch.float32)
    for _ in range(2):  # the second time with what it knows of the captions
        torch.testing.assert_close(packed(**inputs), block(**inputs), rtol=1e-5, atol=1e-5)
    for name, value in before.items():
        assert torch.equal(inputs[name], value)


@torch.no_grad()
def test_other_captions_or_another_mask_are_seen():
    block = make()
    packed = packed_block(block, torch.float32)
    inputs = given([1, 1, 5, 9], 12)
    for change in (
        {},
        {"encoder_attention_mask": given([1, 3, 5, 9], 12)["encoder_attention_mask"]},
        {"encoder_attention_mask": None},
        {"encoder_hidden_states": torch.randn(4, 12, WIDTH)},
        {"timestep": torch.randn(4, 6 * WIDTH)},
    ):
        torch.testing.assert_close(packed(**{**inputs, **change}), block(**{**inputs, **change}), rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.skipif(not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this CPU multiplies no bfloat16")
def test_products_in_bfloat16_are_near():
    block, inputs = make(), given([1, 1, 5, 9], 12)
    expected = block(**inputs)
    error = packed_block(block, torch.bfloat16)(**inputs) - expected
    assert 0 < (error**2).mean() / (expected**2).mean() < 1e-5


@torch.no_grad()
def test_who_watches_or_changes_a_layer_is_asked():
    block, inputs, seen = make(), given([1, 2], 12), []
    packed = packed_block(block, torch.float32)
    before = packed(**inputs)
    handle = block.ff.net[2].register_forward_hook(lambda module, given, output: seen.append(module))
    packed(**inputs)
    handle.remove()
    assert seen == [block.ff.net[2]]
    block.attn1.to_out[0].forward = torch.zeros_like
    assert torch.equal(packed(**inputs), block(**inputs))
    assert not torch.allclose(packed(**inputs), before)
    del block.attn1.to_out[0].forward
    assert torch.equal(packed(**inputs), before)
    block.attn1.set_processor(lambda attention, hidden, **kwargs: torch.zeros_like(hidden))
    assert torch.equal(packed(**inputs), block(**inputs))
    assert not torch.allclose(packed(**inputs), before)


class Wider(nn.Linear):
    """Somebody's own layer, as LoRA puts it into attentions."""


def altered(change) -> BasicTransformerBlock:
    block = make()
    change(block)
    return block


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (make(), True),
        (make(attention_bias=False), True),
        (make(norm_type="ada_norm_zero", num_embeds_ada_norm=10), False),
        (make(norm_elementwise_affine=True), False),
        (make(activation_fn="geglu"), False),
        (make(cross_attention_dim=None), False),
        (make(positional_embeddings="sinusoidal", num_positional_embeddings=16), False),
        (altered(lambda block: block.set_chunk_feed_forward(2, 1)), False),
        (altered(lambda block: block.attn2.set_processor(AttnProcessor())), False),
        (altered(lambda block: setattr(block.attn1, "to_q", Wider(WIDTH, WIDTH))), False),
        (altered(lambda block: setattr(block.attn1, "rescale_output_factor", 2.0)), False),
        (RoutedBlock.of(make()), False),
        (SkipBlock.of(make(), "residual"), False),
        (nn.Linear(2, 2), False),
    ],
)  # fmt: skip
def test_which_blocks_it_knows(block, expected):
    assert is_plain(block) is expected


@torch.no_grad()
def test_layers_side_by_side():
    layers = [nn.Linear(4, 3), nn.Linear(4, 2)]
    x = torch.randn(5, 4)
    expected = torch.cat([layer(x) for layer in layers], -1)
    torch.testing.assert_close(linear(layers, torch.float32)(x), expected)
