"""Which models can be named, and what is said about those that can't."""

import json
import os
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


def test_a_pipelines_folder_by_path(tiny_models: Path):
    assert get_model(str(tiny_models / "tiny-pixart")).clip == "tiny-clip"
