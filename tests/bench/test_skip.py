"""The table of Skip-Cache on a tiny model, and its place in the page of results."""

import json
import os
from pathlib import Path

import pytest
from diffusers import PixArtAlphaPipeline

from mddit_ui.bench import skip
from mddit_ui.bench.page import INTRODUCTION, put_section
from mddit_ui.core.policy import Policy
from mddit_ui.models.loading import load
from mddit_ui.models.skip_dit import with_skips


def test_both_models_follow_the_same_cells(tiny_pixart: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MDDIT_MODELS", f"{os.environ['MDDIT_MODELS']}{os.pathsep}{tmp_path}")
    plain = load(tiny_pixart)
    folder = tmp_path / "grown"
    transformer = with_skips(plain.transformer)
    PixArtAlphaPipeline(**{**plain.pipe.components, "transformer": transformer}).save_pretrained(folder)
    facts = json.loads((Path(plain.spec.source) / "mddit.json").read_text())
    (folder / "mddit.json").write_text(json.dumps({**facts, "id": "grown"}))
    page = tmp_path / "results.md"
    page.write_text("# Results\n\nold\n")
    found = tmp_path / "found.json"
    Policy([[1] * 4, [0] * 4, [1] * 4, [0] * 4], name="searched 0.6", model="grown", carry="output").save(found)
    arguments = ["--plain", tiny_pixart, "--grown", "grown", "--images", "2", "--steps", "4", "--intervals", "2",
                 "--b", "1", "--reset-at", "0", "--time", "1", "--searched", str(found),
                 "--target", str(page)]  # fmt: skip
    assert skip.main(arguments) == 0
    text = page.read_text()
    assert text.startswith("# Results\n\nold\n")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ") and "budget" not in line]
    assert [each[1] for each in rows] == 2 * [
        "full depth", "Skip-Cache 2, b = 1", "the same cells 2, b = 1, residuals", "every 2",
        "searched 0.6 on grown, output",
    ]  # fmt: skip
    assert [each[0].removeprefix("| ") for each in rows] == 5 * ["grown"] + 5 * ["tiny-pixart"]
    budgets = [float(each[2]) for each in rows]
    assert budgets[0] == budgets[5] == 1
    assert budgets[1] == budgets[2] > budgets[3]  # the outer pair runs in every step
    assert all(float(each[4]) > 0 for each in rows)


def test_a_section_is_replaced_and_outlives_the_rest(tmp_path: Path) -> None:
    page = tmp_path / "results.md"
    put_section(page, "one", "first")
    put_section(page, "two", "second\nline")
    put_section(page, "one", "third")
    assert page.read_text() == (
        f"{INTRODUCTION}\n<!-- one -->\nthird\n<!-- end of one -->\n\n<!-- two -->\nsecond\nline\n<!-- end of two -->\n"
    )
