"""Skip-DiT: unchanged before training, saved and loaded, exactly the joins of the paper."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from diffusers import DiffusionPipeline, PixArtAlphaPipeline, UNet2DModel
from torch import nn

from mddit_ui.core.errors import ModelError
from mddit_ui.models.loading import load
from mddit_ui.models.sites import find_sites
from mddit_ui.models.skip_dit import SkipPixArtTransformer2DModel, long_skips, with_skips
from tests.engine.tiny_transformers import build, inputs

BASES = ("PixArtTransformer2DModel", "DiTTransformer2DModel")


@torch.no_grad()
def said(model: nn.Module, name: str) -> torch.Tensor:
    return model(**inputs(name, 300.0), return_dict=False)[0]


@pytest.mark.parametrize("name", BASES)
def test_residual_fusion_changes_no_bit_before_training(name: str) -> None:
    plain = build(name)
    grown = with_skips(plain)
    assert torch.equal(said(plain, name), said(grown, name))
    assert torch.equal(said(copy.deepcopy(grown), name), said(plain, name))
    assert not torch.equal(said(with_skips(plain, "replace").eval(), name), said(plain, name))


@pytest.mark.parametrize("fusion", ["residual", "replace"])
def test_each_deep_block_joins_its_partner(fusion: Any) -> None:
    """Against the formula: Linear of LayerNorm of (what came, what the partner in the first half gave)."""
    name = "PixArtTransformer2DModel"
    model = with_skips(build(name), fusion).eval()
    for key, value in model.named_parameters():
        if "skip" in key:
            nn.init.normal_(value, std=0.3)
    blocks = model.transformer_blocks
    gave: dict[int, torch.Tensor] = {}
    entered: dict[int, torch.Tensor] = {}
    attended: dict[int, torch.Tensor] = {}
    for index, block in enumerate(blocks):
        block.register_forward_hook(lambda block, args, output, index=index: gave.update({index: output}))
        block.register_forward_pre_hook(lambda block, args, index=index: entered.update({index: args[0]}))
        block.norm1.register_forward_pre_hook(lambda norm, args, index=index: attended.update({index: args[0]}))
    said(model, name)
    half = len(blocks) // 2
    assert half >= 1
    for index in range(half):
        deep = len(blocks) - 1 - index
        both = torch.cat([entered[deep], gave[index]], -1)
        join = blocks[deep]
        normed = F.layer_norm(both, both.shape[-1:], join.skip_norm.weight, join.skip_norm.bias, 1e-6)
        joined = normed @ join.skip_linear.weight.T + join.skip_linear.bias
        expected = entered[deep] + joined if fusion == "residual" else joined
        torch.testing.assert_close(attended[deep], expected)


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("fusion", ["residual", "replace"])
def test_saved_and_loaded(name: str, fusion: Any, tmp_path: Path) -> None:
    model = with_skips(build(name), fusion).eval()
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["fusion"] == fusion
    assert config["num_layers"] == len(model.transformer_blocks)
    again = type(model).from_pretrained(tmp_path)
    assert (again.config.fusion, again.config.num_layers) == (fusion, model.config.num_layers)
    for key, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], value)
    torch.testing.assert_close(said(again, name), said(model, name))  # memory of another alignment may round otherwise


def test_a_pipeline_with_it_loads_like_any_other(tiny_pixart: str, tmp_path: Path) -> None:
    folder = tmp_path / "grown"
    pipe = load(tiny_pixart).pipe
    grown = PixArtAlphaPipeline(**{**pipe.components, "transformer": with_skips(pipe.transformer)})
    grown.save_pretrained(folder)
    assert json.loads((folder / "model_index.json").read_text())["transformer"] == [
        "mddit_ui.models.skip_dit",
        "SkipPixArtTransformer2DModel",
    ]
    loaded = load(str(folder))
    assert isinstance(loaded.transformer, SkipPixArtTransformer2DModel)
    assert isinstance(loaded.pipe, PixArtAlphaPipeline)
    assert isinstance(DiffusionPipeline.from_pretrained(folder).transformer, SkipPixArtTransformer2DModel)


def test_sites_are_those_of_the_plain_model() -> None:
    plain = build("PixArtTransformer2DModel")
    grown = with_skips(plain)
    for granularity in ("block", "branch"):
        names = [site.name for site in find_sites(plain, granularity)]
        assert [site.name for site in find_sites(grown, granularity)] == names


def test_long_skips_of_both_families() -> None:
    blocks = [f"blocks.{index}" for index in range(6)]
    hunyuan = long_skips(build("HunyuanDiT2DModel"), blocks)  # diffusers joins from block L / 2 + 1 on
    assert hunyuan == {"blocks.1": "blocks.4", "blocks.0": "blocks.5"}
    grown = with_skips(build("PixArtTransformer2DModel"))
    names = [site.name for site in find_sites(grown)]
    pairs = {(names.index(read), names.index(reader)) for read, reader in long_skips(grown, names).items()}
    assert pairs == {(index, len(names) - 1 - index) for index in range(len(names) // 2)}
    assert long_skips(build("PixArtTransformer2DModel"), names) == {}


def test_what_can_not_be_grown_says_so() -> None:
    with pytest.raises(ModelError, match="No Skip-DiT is made of UNet2DModel"):
        with_skips(UNet2DModel(sample_size=8, block_out_channels=(32, 32, 32, 32)))
    with pytest.raises(ModelError, match="'residual' or 'replace'"):
        with_skips(build("PixArtTransformer2DModel"), "mean")  # type: ignore[arg-type]
