"""DiffRatio-MoD: the model it was made from where nothing is left out, and a masked one where something is."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import PixArtAlphaPipeline, UNet2DModel
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mddit_ui.core.errors import ModelError
from mddit_ui.core.tokens import kept
from mddit_ui.models.loading import load
from mddit_ui.models.routed_dit import (
    RoutedPixArtTransformer2DModel,
    is_routed,
    learned_keep,
    use_target,
    with_routers,
)
from mddit_ui.models.sites import find_sites
from tests.engine.tiny_transformers import build, inputs

BASES = ("PixArtTransformer2DModel", "DiTTransformer2DModel")
TOKENS = 16


def routed(name: str, ratio: float = 1.0) -> Any:
    """Targets 0.8 and 0.5, two regions; every ratio of 0.5 is ``ratio``."""
    model = with_routers(build(name), (0.8, 0.5), 2)
    model.ratios.data[1] = ratio
    return model


@torch.no_grad()
def said(model: nn.Module, name: str, timestep: float = 300.0) -> torch.Tensor:
    return model(**inputs(name, timestep), return_dict=False)[0]


@pytest.mark.parametrize("name", BASES)
def test_no_bit_changes_where_all_tokens_are_kept(name: str) -> None:
    plain, model = build(name), routed(name)
    assert is_routed(model)
    assert not is_routed(plain)
    assert torch.equal(said(plain, name), said(model, name))
    use_target(model, 0.5)
    assert torch.equal(said(plain, name), said(model, name))
    assert torch.equal(said(copy.deepcopy(model), name), said(plain, name))
    model.ratios.data[1] = 0.5
    assert not torch.equal(said(model, name), said(plain, name))
    assert torch.equal(said(copy.deepcopy(model), name), said(model, name))
    use_target(model, None)
    assert torch.equal(said(model, name), said(plain, name))


@pytest.mark.parametrize("name", BASES)
def test_a_block_on_some_tokens_is_a_masked_block(name: str) -> None:
    """Nobody attends to what was left out, what was left out stays as it was, and the MLP is weighted."""
    plain, model = build(name).transformer_blocks[1], routed(name).transformer_blocks[1]
    model.router.weight.data.normal_()
    torch.manual_seed(2)
    states = torch.randn(2, TOKENS, model.dim)
    given = {"timestep": torch.randn(2, 6 * model.dim), "encoder_hidden_states": torch.randn(2, 5, model.dim)}
    if name == "DiTTransformer2DModel":
        given = {"timestep": torch.tensor([300, 20]), "class_labels": torch.tensor([1, 2])}
    with torch.no_grad():
        scores = model.scores(states)
        count = kept(0.6, TOKENS)
        assert count == 10
        is_kept = scores >= scores.sort(1, descending=True).values[:, count - 1 : count]  # (2, 16)
        weights = 1 + (1 - count / TOKENS) * (2 * scores.sigmoid() - 1)
        plain.ff.register_forward_hook(lambda ff, args, output: output * weights[..., None])
        bias = torch.where(is_kept, 0.0, -10_000.0)[:, None]  # (2, 1, 16)
        expected = torch.where(is_kept[..., None], plain(states, attention_mask=bias, **given), states)
        found = model(states, keep=0.6, **given)
        masked = model(states, attention_mask=torch.zeros(2, 1, TOKENS), keep=0.6, **given)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(masked, expected)
    assert torch.equal(found[~is_kept], states[~is_kept])


def test_in_training_two_bins_are_mixed_and_the_ratio_learns() -> None:
    block = routed(BASES[0]).transformer_blocks[0].train()
    torch.manual_seed(2)
    states = torch.randn(2, TOKENS, block.dim)
    given = {"timestep": torch.randn(2, 6 * block.dim), "encoder_hidden_states": torch.randn(2, 5, block.dim)}
    ratio = torch.tensor(0.63, requires_grad=True)
    block.ratio = ratio
    mixed = block(states, **given)
    low, high = block(states, keep=0.6, **given), block(states, keep=0.7, **given)
    torch.testing.assert_close(mixed, 0.7 * low + 0.3 * high)
    direction = torch.randn_like(states)
    (mixed * direction).sum().backward()
    assert ratio.grad is not None
    torch.testing.assert_close(ratio.grad, ((high - low) * direction).sum() / 0.1, rtol=1e-4, atol=1e-4)
    assert block.router.weight.grad is not None
    assert block.router.weight.grad.abs().max() > 0


@pytest.mark.parametrize("name", BASES)
def test_the_model_gives_gradients_to_the_ratios_of_its_region_and_target(name: str) -> None:
    model = routed(name).train()
    use_target(model, 0.5)
    model(**inputs(name, 300.0), return_dict=False)[0].square().sum().backward()
    gradient = model.ratios.grad
    assert (gradient[1, :, 1] != 0).all()  # timestep 300 of 1000 is in the second half of a run
    assert (gradient[0] == 0).all()
    assert (gradient[1, :, 0] == 0).all()
    assert all(block.ratio == 1.0 for block in model.transformer_blocks)  # told for one call


def test_what_was_learned_as_a_table_for_a_policy() -> None:
    model = routed(BASES[0])
    model.ratios.data[1, :, 0] = torch.tensor([0.32, 0.58, 1.0])
    keep = learned_keep(model, [950.0, 600.0, 400.0], 0.5)
    np.testing.assert_allclose(keep, [[0.3, 0.6, 1.0], [0.3, 0.6, 1.0], [1.0, 1.0, 1.0]], rtol=1e-6)
    assert keep.dtype == np.float32
    use_target(model, 0.5)
    assert not torch.equal(said(model, BASES[0], 950.0), said(build(BASES[0]), BASES[0], 950.0))
    assert torch.equal(said(model, BASES[0], 400.0), said(build(BASES[0]), BASES[0], 400.0))


def test_fewer_tokens_are_fewer_macs() -> None:
    """Self-attention by the square, all else by the number; the text's keys and values are made in any case."""
    block = routed(BASES[0]).transformer_blocks[0]
    d, words = block.dim, 5
    states = torch.randn(1, TOKENS, d)
    given = {"timestep": torch.randn(1, 6 * d), "encoder_hidden_states": torch.randn(1, words, d)}
    for ratio in (1.0, 0.5):
        k = kept(ratio, TOKENS)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            block(states, keep=ratio, **given)
        of_tokens = 4 * d * d + 2 * d * d + 8 * d * d + 2 * k * d + 2 * words * d
        assert counter.get_total_flops() / 2 == k * of_tokens + 2 * words * d * d


@pytest.mark.parametrize("name", BASES)
def test_saved_and_loaded(name: str, tmp_path: Path) -> None:
    model = routed(name, 0.5)
    use_target(model, 0.5)
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["targets"], config["regions"], config["target"]) == ([0.8, 0.5], 2, 0.5)
    again = type(model).from_pretrained(tmp_path).eval()
    for key, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], value)
    torch.testing.assert_close(said(again, name), said(model, name))  # memory of another alignment may round otherwise


def test_a_pipeline_with_it_loads_like_any_other(tiny_pixart: str, tmp_path: Path) -> None:
    folder = tmp_path / "grown"
    pipe = load(tiny_pixart).pipe
    grown = PixArtAlphaPipeline(**{**pipe.components, "transformer": with_routers(pipe.transformer)})
    grown.save_pretrained(folder)
    loaded = load(str(folder))
    assert isinstance(loaded.transformer, RoutedPixArtTransformer2DModel)
    assert isinstance(loaded.pipe, PixArtAlphaPipeline)


@pytest.mark.parametrize("name", BASES)
def test_sites_are_those_of_the_plain_model(name: str) -> None:
    for granularity in ("block", "branch"):
        names = [site.name for site in find_sites(build(name), granularity)]
        assert [site.name for site in find_sites(routed(name), granularity)] == names


def test_what_can_not_be_routed_says_so() -> None:
    with pytest.raises(ModelError, match="No routers are known for UNet2DModel"):
        with_routers(UNet2DModel(sample_size=8, block_out_channels=(32, 32, 32, 32)))
    with pytest.raises(ModelError, match="targets in"):
        with_routers(build(BASES[0]), (0.2,))
    with pytest.raises(ModelError, match="regions"):
        with_routers(build(BASES[0]), regions=0)
    with pytest.raises(ModelError, match=r"learned the targets 0\.8, 0\.5, not 0\.6"):
        use_target(routed(BASES[0]), 0.6)
