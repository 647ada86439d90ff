"""Which models can be named, and what is said about those that can't."""

import json
import os
import shutil
from pathlib import Path

import pytest

from mddit_ui.core.errors import ModelError
from mddit_ui.models.registry import get_model, list_models
from mddit_ui.models.spec import is_hub_id


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MDDIT_MODELS", os.pathsep.join([str(tmp_path / "a"), str(tmp_path / "b")]))
    return tmp_path


def write(path: Path, **content) -> None:
    path.mkdir(parents=True)
    (path / "mddit.json").write_text(json.dumps({"id": path.name, **content}))


def test_folders_come_first_and_hub_models_after(folder: Path):
    write(folder / "a" / "one", steps=7, clip="judge", call={"max_sequence_length": 40})
    write(folder / "b" / "two")
    (folder / "b" / "two" / "grammar.json").write_text(json.dumps({"shapes": ["ball"]}))
    ids = [spec.id for spec in list_models()]
    assert ids.index("one") < ids.index("two") < ids.index("PixArt-alpha/PixArt-XL-2-512x512")
    assert (get_model("one").steps, get_model("one").clip) == (7, "judge")
    assert get_model("one").call == {"max_sequence_length": 40}
    assert get_model("two").grammar == {"shapes": ["ball"]}
    assert get_model("two").source == str(folder / "b" / "two")


def test_a_broken_folder_is_named_when_asked_for_and_hides_nothing(folder: Path):
    write(folder / "a" / "good")
    write(folder / "a" / "wrong-key", colour="red")
    (folder / "a" / "torn").mkdir()
    (folder / "a" / "torn" / "mddit.json").write_text("{")
    assert "good" in [spec.id for spec in list_models()]
    with pytest.raises(ModelError, match=r"mddit.json: ModelSpec colour: Extra inputs"):
        get_model("wrong-key")
    with pytest.raises(ModelError, match="is not JSON"):
        get_model("torn")


def test_other_names(folder: Path):
    assert get_model("some-owner/some.name").source == "some-owner/some.name"
    assert get_model("facebook/DiT-XL-2-256").conditioning == "class"
    for bad in ("nope", "", "../etc", "a/b/c", "a/..", "-a/b", "a/b\n", "https://x/y"):
        with pytest.raises(ModelError, match="No model"):
            get_model(bad)
    assert not is_hub_id("a" * 97 + "/b")


def test_a_pipelines_folder_by_path(tiny_models: Path, tmp_path: Path):
    """Elsewhere its path is its id, whatever it calls itself: everybody who is given the id finds it again."""
    listed = get_model(str(tiny_models / "tiny-pixart"))
    assert (listed.id, listed.clip) == ("tiny-pixart", "tiny-clip")
    copy = tmp_path / "a copy"
    shutil.copytree(tiny_models / "tiny-pixart", copy)
    for _ in range(2):  # with a word of ours, and without one
        spec = get_model(str(copy))
        assert (spec.id, spec.source) == (str(copy), str(copy))
        assert get_model(spec.id) == spec
        (copy / "mddit.json").unlink(missing_ok=True)
    assert spec.title == "a copy"


def test_a_folder_without_a_spec_tells_what_it_takes_and_how_large(tmp_path: Path):
    """Nothing but what diffusers writes: 64 latents of 8 pixels; a DiT takes classes."""
    for name, kind in (("words", "PixArtAlphaPipeline"), ("classes", "DiTPipeline")):
        for part, config in (("transformer", {"sample_size": 64}), ("vae", {"block_out_channels": [1, 2, 3, 4]})):
            (tmp_path / name / part).mkdir(parents=True)
            (tmp_path / name / part / "config.json").write_text(json.dumps(config))
        (tmp_path / name / "model_index.json").write_text(json.dumps({"_class_name": kind}))
    words, classes = (get_model(str(tmp_path / name)) for name in ("words", "classes"))
    assert (words.conditioning, words.height, words.width) == ("prompt", 512, 512)
    assert classes.conditioning == "class"
    (tmp_path / "words" / "transformer" / "config.json").write_text(json.dumps({"sample_size": 16}))
    assert get_model(str(tmp_path / "words")).height == 128
    (tmp_path / "words" / "vae" / "config.json").unlink()
    assert get_model(str(tmp_path / "words")).height == 512  # what nothing says is left at the default
