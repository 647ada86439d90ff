"""The tables on a tiny model with random weights: every contestant, every number, nothing measured twice."""

from pathlib import Path

import numpy as np
import pytest

from mddit_ui.bench import tables
from mddit_ui.bench.contestants import smooth_cache, well_known
from mddit_ui.core.calibration import Calibration
from mddit_ui.core.cost import MacTable
from mddit_ui.core.policy import Action
from mddit_ui.search.space import Space
from mddit_ui.service import measure as service
from mddit_ui.service.generate import generate

SPACE = Space(MacTable(("a", "b"), np.array([1.0, 1.0]), 0.0), 6, 0.5, tuple(range(6, 0, -1)))


def calibration(change: np.ndarray) -> Calibration:
    return Calibration(
        model="m", sites=("a", "b"), timesteps=SPACE.timesteps, step_similarity=np.ones((6, 2)),
        site_similarity=np.ones((6, 2)), residual_change=change, residual_size=np.ones((6, 2)),
    )  # fmt: skip


def test_smooth_cache_computes_where_residuals_change():
    """Residuals that change at steps 3 and 4 alone: those two are computed, and the first."""
    jumps = np.array([0, 0, 0, 1.0, 1.0, 0])
    change = np.stack([np.convolve(jumps, np.ones(age + 1))[:6] for age in range(4)])  # of the last age + 1 steps
    found = smooth_cache(SPACE, calibration(np.repeat(change[..., None], 2, axis=2)))
    assert found.rows == ("##", "==", "==", "##", "##", "==")
    assert SPACE.table.budget(found.actions) == 0.5


def test_bands_and_chance_keep_the_budget():
    found = well_known(SPACE, np.random.default_rng(0))
    budgets = {name: SPACE.table.budget(policy.actions) for name, policy in found.items()}
    assert budgets["random"] == 0.5
    assert 0.4 <= budgets["Delta-DiT bands"] <= 0.51
    assert (found["random"].actions != Action.COMPUTE).any(axis=0).all()


def test_the_page(tiny_pixart: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.setattr(tables, "SETTINGS", {"a": (tiny_pixart, 4), "b": ("no-such-model", 20)})
    made = []
    monkeypatch.setattr(service, "generate", lambda *given, **more: made.append(given[1]) or generate(*given, **more))
    argv = ["--settings", "a", "b", "--budgets", "0.8", "--images", "3", "--search-images", "2"]
    argv += ["--evaluations", "6", "--target", str(tmp_path / "results.md")]
    assert tables.main(argv) == 0
    text = (tmp_path / "results.md").read_text()
    assert " ".join(argv) in text
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")][1:]
    assert [row[0].strip("| ") for row in rows] == [
        "full depth", "every 2", "every 3", "Delta-DiT bands", "random", "SmoothCache", "fewer steps",
        "genetic, as ECAD", "our search",
    ]  # fmt: skip
    assert {len(row) for row in rows} == {10}
    assert float(rows[6][2]) == 0.75  # three of four steps
    assert all(float(row[2]) <= 0.8 for row in rows[4:])
    assert "best rival" in text
    assert (tmp_path / "results" / f"{tiny_pixart}-4.png").is_file()
    assert "no-such-model" in capsys.readouterr().err

    count = len(made)
    assert tables.main(argv) == 0
    assert len(made) == count + 1  # all of it was on disk, but for the pictures of the strip
    assert (tmp_path / "results.md").read_text() == text
