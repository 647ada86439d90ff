"""Weights: loaded once, from safetensors alone."""

import shutil
from pathlib import Path

import pytest
import torch

from mddit_ui.core.errors import ModelError
from mddit_ui.models.loading import load, pick_dtype, weights_stamp
from mddit_ui.models.registry import get_model


def test_once_and_ready_to_run(tiny_pixart: str):
    loaded = load(tiny_pixart)
    assert load(tiny_pixart) is loaded
    assert (loaded.device, loaded.dtype) == ("cpu", "float32")
    assert not any(p.requires_grad for p in loaded.transformer.parameters())
    assert not loaded.transformer.training
    assert loaded.spec.id == tiny_pixart


def test_pickles_are_not_read(tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "pickled"
    shutil.copytree(tiny_models / "tiny-dit", folder)
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    torch.save({"x": torch.zeros(1)}, weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(ModelError, match="Can't load"):
        load(str(folder))


DAMAGE = {
    "cut off": lambda content: content[: len(content) // 2],
    "emptied": lambda content: b"",
    "a huge header": lambda content: b"\xff" * 8 + content[8:],
    "no JSON in its header": lambda content: content[:8] + b"}" + content[9:],
    "another file": lambda content: b"<html>" * 100,
}


@pytest.mark.parametrize("part", ["transformer/diffusion_pytorch_model", "text_encoder/model"])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_weights_are_one_line_and_mended_ones_load(tiny_models: Path, tmp_path: Path, damage, part):
    folder = tmp_path / "damaged"
    shutil.copytree(tiny_models / "tiny-pixart", folder)
    weights = folder / f"{part}.safetensors"
    sound = weights.read_bytes()
    weights.write_bytes(damage(sound))
    with pytest.raises(ModelError, match="Can't load") as told:
        load(str(folder))
    assert "\n" not in str(told.value)
    weights.write_bytes(sound)
    assert load(str(folder)).transformer is not None


def test_a_pipeline_without_a_transformer(tmp_path: Path):
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    unet = UNet2DModel(
        sample_size=8, block_out_channels=(8,), down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",),
        norm_num_groups=4,
    )  # fmt: skip
    DDPMPipeline(unet, DDPMScheduler()).save_pretrained(tmp_path / "unet")
    with pytest.raises(ModelError, match="is a DDPMPipeline, which has no transformer"):
        load(str(tmp_path / "unet"))


def test_precision_by_wish(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MDDIT_DTYPE", raising=False)
    assert pick_dtype("cpu") == torch.float32
    monkeypatch.setenv("MDDIT_DTYPE", "bfloat16")
    assert pick_dtype("cpu") == torch.bfloat16
    monkeypatch.setenv("MDDIT_DTYPE", "int4")
    with pytest.raises(ModelError, match="'int4'; expected float32, float16 or bfloat16"):
        pick_dtype("cpu")


def test_the_stamp_changes_with_the_weights(tiny_models: Path, tmp_path: Path):
    folder = tmp_path / "copy"
    shutil.copytree(tiny_models / "tiny-dit", folder)
    before = weights_stamp(get_model(str(folder)))
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    assert weights_stamp(get_model(str(folder))) != before
    assert weights_stamp(get_model("facebook/DiT-XL-2-256")) == "facebook/DiT-XL-2-256"
