"""What a model says of itself: its long skip branches, as columns of the grid."""

import json
import os
from pathlib import Path

import pytest
from diffusers import PixArtAlphaPipeline

from mddit_ui.models.loading import load, unload
from mddit_ui.models.skip_dit import with_skips
from mddit_ui.service.catalog import describe


def test_skip_branches_are_pairs_of_columns(tiny_pixart: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert describe(tiny_pixart, 2).skips == ()
    monkeypatch.setenv("MDDIT_MODELS", f"{os.environ['MDDIT_MODELS']}{os.pathsep}{tmp_path}")
    plain = load(tiny_pixart)
    pipe = PixArtAlphaPipeline(**{**plain.pipe.components, "transformer": with_skips(plain.transformer)})
    pipe.save_pretrained(tmp_path / "grown")
    facts = json.loads((Path(plain.spec.source) / "mddit.json").read_text())
    (tmp_path / "grown" / "mddit.json").write_text(json.dumps({**facts, "id": "grown"}))
    assert sorted(describe("grown", 2).skips) == [(0, 3), (1, 2)]
    unload()
