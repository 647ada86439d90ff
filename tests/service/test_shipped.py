"""The models that come along: small files, each a folder of its own, all painted and scored by the same calls."""

import numpy as np
import pytest

from mddit_ui.core.paths import ASSETS, MODELS
from mddit_ui.core.policy import Policy
from mddit_ui.models.loading import unload
from mddit_ui.models.registry import get_model
from mddit_ui.service.catalog import describe
from mddit_ui.service.measure import REAL_FILE, Trial, measure

SHIPPED = ("scenes-pixart", "scenes-lcm", "scenes-skip", "scenes-routed", "scenes-dit")


@pytest.mark.parametrize("model", SHIPPED)
def test_it_is_loaded_painted_and_scored(model: str):
    spec = get_model(model)
    view = describe(model, 2)
    prompts = ("a large red heart", "3") if not spec.classes else (spec.classes[4].name, "3")
    trial = Trial.of(model, prompts, steps=2)
    found = measure(trial, Policy.from_rows(["#" * len(view.sites), "#=" * (len(view.sites) // 2)]))
    assert 0.5 < found.budget < 1
    assert found.psnr is not None
    assert found.clip_backbone == "scenes-clip"
    assert (found.accuracy is None) == (not spec.classes)  # those are no captions of the grammar
    assert np.isfinite(np.load(MODELS / model / REAL_FILE, allow_pickle=False)).all()
    unload()


def test_they_fit_into_a_repository():
    sizes = {path: path.stat().st_size for path in ASSETS.rglob("*") if path.is_file()}
    assert max(sizes.values()) < 10_000_000
    assert sum(sizes.values()) <= 120_000_000
