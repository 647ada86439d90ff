"""The table of the presets on a tiny model with random weights."""

import pytest

from mddit_ui.bench.presets import INTERVALS, markdown, measure


def test_every_preset_is_measured_against_full_depth(tiny_pixart: str):
    lines = list(measure(tiny_pixart, ["a large red ball on the left", "a small blue ring at the top"], steps=4))
    assert len(lines) == 1 + 3 * len(INTERVALS)
    full, every_2 = lines[0], lines[1]
    assert full.budget == 1
    assert full.score.psnr == 100
    assert every_2.name == "every 2"
    assert every_2.budget == pytest.approx(0.5, abs=0.05)
    assert 5 < every_2.score.psnr < 100
    assert all(0 < line.budget <= 1 for line in lines[1:])  # skip_cache keeps the outer 2 + 2 of 4 blocks

    table = markdown(lines)
    assert len(table) == 2 + len(lines)
    assert len({row.count("|") for row in table}) == 1
    assert table[2].startswith("| full depth | 1.000 | 1.00 |")
