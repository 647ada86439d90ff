"""MACs: by hand, golden, and without touching the model."""

import torch
from diffusers import DiTTransformer2DModel
from torch import nn

from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine.macs import Counter, count_call, meta_twin
from mddit_ui.engine.runner import measure_macs
from mddit_ui.models.loading import load
from mddit_ui.models.sites import find_sites
from tests.engine.toy import ToyTransformer, traces
from tests.tiny import PROMPTS


class AttentionBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_qkv = nn.Linear(width, 3 * width)
        self.to_out = nn.Linear(width, width)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        q, k, v = self.to_qkv(hidden_states)[:, None].chunk(3, -1)
        return hidden_states + self.to_out(nn.functional.scaled_dot_product_attention(q, k, v)[:, 0])


class OneBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([AttentionBlock(width)])
        self.final = nn.Linear(width, 2)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.final(self.blocks[0](hidden_states))


def test_a_block_by_hand():
    tokens, width = 16, 8
    table = count_call(OneBlock(width), ["blocks.0"], (torch.zeros(1, tokens, width),), {})
    linear = tokens * width * 3 * width + tokens * width * width
    attention = 2 * tokens * tokens * width  # Q K^T and its product with V
    assert table.site_macs.tolist() == [linear + attention]
    assert table.rest_macs == tokens * width * 2


def test_the_golden_number_of_dit_xl_2():
    """118.64 GFLOPs (in our words MACs) of DiT-XL/2 at 256 px, Peebles and Xie 2022 (arXiv 2212.09748), table 4."""
    with torch.device("meta"):
        dit = DiTTransformer2DModel(
            num_attention_heads=16, attention_head_dim=72, in_channels=4, out_channels=8, num_layers=28,
            attention_bias=True, sample_size=32, activation_fn="gelu-approximate", num_embeds_ada_norm=1000,
            norm_elementwise_affine=False,
        )  # fmt: skip
    arguments = {"timestep": torch.zeros(1), "class_labels": torch.zeros(1, dtype=torch.long)}
    table = count_call(dit, [s.name for s in find_sites(dit)], (torch.zeros(1, 4, 32, 32),), arguments)
    total = table.site_macs.sum() + table.rest_macs
    assert abs(total / 1e9 - 118.66) < 0.01
    assert abs(total / 118.64e9 - 1) < 1e-3


def test_per_image_with_guidance(tiny_pixart: str):
    loaded = load(tiny_pixart)
    config = GenerationConfig(prompts=PROMPTS, seeds=(0, 1), steps=6, height=64, width=64)
    guided = measure_macs(loaded, config)
    plain = measure_macs(loaded, config.replace(guidance_scale=1.0))
    tokens, width, text = 16, 32, 120
    attention = 4 * tokens * width**2 + 2 * tokens**2 * width
    cross = 2 * tokens * width**2 + 2 * text * width**2 + 2 * tokens * text * width
    feed_forward = 8 * tokens * width**2
    assert plain.site_macs.tolist() == [attention + cross + feed_forward] * 4
    assert guided.site_macs.tolist() == (2 * plain.site_macs).tolist()
    assert guided.rest_macs == 2 * plain.rest_macs


def test_counting_leaves_no_trace(tiny_pixart: str):
    loaded = load(tiny_pixart)
    loaded.memo.clear()
    before, own = traces(loaded.transformer), loaded.pipe.scheduler
    measure_macs(loaded, GenerationConfig(prompts=PROMPTS[:1], steps=6, height=64, width=64))
    assert traces(loaded.transformer) == before
    assert loaded.pipe.scheduler is own


def test_the_twin_has_no_weights_and_shares_nothing():
    toy = ToyTransformer()
    twin = meta_twin(toy)
    assert all(parameter.is_meta for parameter in twin.parameters())
    assert not any(parameter.is_meta for parameter in toy.parameters())
    twin.blocks[0].forward = None
    assert "forward" not in vars(toy.blocks[0])


class Counting(nn.Module):
    """Asks for a number in its forward, as models with padded text do; a meta tensor has none to give."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([AttentionBlock(8)])

    def forward(self, hidden_states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.blocks[0](hidden_states[:, : int(mask.sum())])


def test_models_that_need_real_numbers_are_counted_with_them():
    table = count_call(Counting(), ["blocks.0"], (torch.zeros(1, 20, 8), torch.ones(16)), {})
    assert table.site_macs.tolist() == [16 * 8 * 32 + 2 * 16 * 16 * 8]
    assert Counter(Counting(), ["blocks.0"]).count((torch.zeros(1, 20, 8), torch.ones(16)), {})[1].shape == (1, 16, 8)
