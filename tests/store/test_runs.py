"""A run and its pictures come back as they were."""

import numpy as np
import pytest
from PIL import Image

from mddit_ui.core import policy_json
from mddit_ui.core.errors import StoreError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig, RunRecord, Score
from mddit_ui.store import runs


def record(number, created=1.0):
    return RunRecord(
        id=f"{number:032x}",
        created=created,
        model="tiny",
        policy=policy_json.to_dict(Policy.full(2, 3)),
        config=GenerationConfig(prompts=("a",), steps=2),
        score=Score(clip_score=0.1 + 0.2, images=1),
        wall_seconds=1.5,
        macs=1e9,
        full_macs=2e9,
        peak_cache_bytes=10,
    )


def pictures(count):
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)


def test_round_trip(db):
    images = pictures(2)
    runs.save(db, record(1), images)
    assert runs.get(db, record(1).id) == record(1)
    paths = runs.image_paths(db, record(1).id)
    assert all(path.parent == db.path.parent / "runs" for path in paths)
    np.testing.assert_array_equal(np.stack([np.asarray(Image.open(path)) for path in paths]), images)


def test_old_runs_are_forgotten_with_their_files(db):
    for number in range(5):
        runs.save(db, record(number, created=float(number)), pictures(2), keep=3)
    assert [each.id for each in runs.recent(db)] == [record(number).id for number in (4, 3, 2)]
    assert len(list((db.path.parent / "runs").iterdir())) == 6


def test_an_unknown_run_is_an_error(db):
    with pytest.raises(StoreError, match="no run"):
        runs.get(db, "../../etc/passwd")
    with pytest.raises(StoreError, match="no run"):
        runs.image_paths(db, "0" * 32)


def test_pictures_must_be_pictures(db):
    with pytest.raises(StoreError, match="uint8"):
        runs.save(db, record(1), np.zeros((1, 8, 8, 3)))
    assert runs.recent(db) == []
