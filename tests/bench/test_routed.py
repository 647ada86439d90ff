"""The table of what can be left out, on a tiny model; merging against a loop; equal MACs."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from mddit_ui.bench import routed
from mddit_ui.bench.merging import match, merged, merging
from mddit_ui.core.cost import MacTable
from mddit_ui.core.policy import Policy
from mddit_ui.core.tokens import BINS
from mddit_ui.train.repaint import repaints
from tests.engine.tiny_transformers import build, inputs
from tests.routed import save_routed

TABLE = MacTable(tuple("abcdef"), np.full(6, 10.0), 6.0, np.tile(np.array(BINS)[:, None], 6))


def test_merged_tokens_are_means_of_the_most_alike() -> None:
    torch.manual_seed(0)
    states = torch.randn(2, 16, 8)
    states[0, 1] = 3 * states[0, 10]  # patch (0, 1) is most like the taker at (2, 2)
    merge = match(states, 15)
    left = merged(states, merge)
    assert left.shape == (2, 15, 8)
    assert merge.places[0, 1] == merge.places[0, 10]
    torch.testing.assert_close(left[0, merge.places[0, 1]], (states[0, 1] + states[0, 10]) / 2)
    for picture in range(2):
        for place in range(15):
            together = states[picture][merge.places[picture] == place]
            assert len(together) in (1, 2)
            torch.testing.assert_close(left[picture, place], together.mean(0))
    assert match(states, 1).left == 4  # one of every 2 x 2 stays


@torch.no_grad()
def test_merging_goes_as_it_came() -> None:
    model = build("PixArtTransformer2DModel")
    given = inputs("PixArtTransformer2DModel", 300.0)
    before = model(**given).sample
    with merging(model, 1.0):
        torch.testing.assert_close(model(**given).sample, before, atol=1e-4, rtol=1e-4)  # the order of tokens alone
    with merging(model, 0.5):
        assert not torch.allclose(model(**given).sample, before, atol=1e-3)
    assert torch.equal(model(**given).sample, before)


def test_equal_macs() -> None:
    assert routed.equal_ratio(TABLE, 4, 0.6) == pytest.approx((0.6 * 66 - 6) / 60, abs=1e-3)
    policy = routed.fewer_blocks(TABLE, 4, 0.7)
    assert policy.rows[0] == "##..##"
    assert routed.nearest([policy], TABLE, 0.7) is policy
    assert routed.nearest([policy], TABLE, 0.5) is None


def test_a_repainted_picture_differs_inside_of_its_mask_alone() -> None:
    for task in repaints(6):
        changed = (task.image != task.truth).any(-1)
        assert changed.any()
        assert not changed[~task.mask].any()
        assert task.mask.mean() < 0.4


@pytest.mark.slow
def test_the_table(tiny_pixart: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MDDIT_MODELS", f"{os.environ['MDDIT_MODELS']}{os.pathsep}{tmp_path}")
    save_routed(tmp_path / "tiny-routed", tiny_pixart)
    half = Policy.from_rows(["####", "====", "####", "===="], name="every 2")
    half.save(tmp_path / "half.json")
    most = Policy.from_rows(["####", "###=", "####", "#=##"], name="most")
    most.save(tmp_path / "most.json")
    rng = np.random.default_rng(0)
    masks = np.zeros((2, 64, 64), bool)
    masks[:, 16:48, 16:48] = True
    images = rng.integers(0, 256, (2, 64, 64, 3), np.uint8)
    np.savez(tmp_path / "repaint.npz", images=images, masks=masks, captions=np.array(["a red ball", "a blue ring"]))
    page = tmp_path / "results.md"
    arguments = [
        "--plain", tiny_pixart, "--routed", "tiny-routed", "--images", "2", "--steps", "4", "--time", "1",
        "--searched", str(tmp_path / "half.json"), str(tmp_path / "most.json"),
        "--repaint", str(tmp_path / "repaint.npz"), "--target", str(page),
    ]  # fmt: skip
    assert routed.main(arguments) == 0
    rows = [line.strip("| ").split(" | ") for line in page.read_text().splitlines() if line.startswith("| ")][1:]
    assert {each[0] for each in rows} == set(routed.TASKS)
    learned = [each for each in rows if each[3] == "learned ratios"]
    assert len(learned) == 4  # two targets, two tasks
    for line in (each for each in rows if each[1] == "0.5"):
        wanted = next(each for each in learned if each[1] == "0.5")
        assert abs(float(line[4]) - float(wanted[4])) < 0.16  # of 4 blocks, one is much
        assert float(line[5]) > 0
