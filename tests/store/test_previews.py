"""Small pictures: found as they were kept, made smaller when large, and only so many of them."""

import os

import numpy as np
import pytest

from mddit_ui.core.errors import StoreError
from mddit_ui.store import previews


def picture(size=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


def test_round_trip(db):
    assert previews.find(db, "0" * 32) is None
    kept = previews.save(db, "0" * 32, picture())
    np.testing.assert_array_equal(kept, picture())
    np.testing.assert_array_equal(previews.find(db, "0" * 32), picture())


def test_a_large_one_is_made_smaller(db):
    wide = np.zeros((600, 1200, 3), np.uint8)
    assert previews.save(db, "0" * 32, wide).shape == previews.find(db, "0" * 32).shape == (256, 512, 3)


def test_the_newest_stay(db):
    for number in range(3):
        previews.save(db, f"{number:032x}", picture(seed=number))
        os.utime(db.path.parent / "previews" / f"{number:032x}.webp", (number, number))
    previews.save(db, f"{3:032x}", picture(), keep=2)
    assert [previews.find(db, f"{number:032x}") is not None for number in range(4)] == [False, False, True, True]


def test_a_torn_one_is_none(db):
    previews.save(db, "0" * 32, picture())
    (db.path.parent / "previews" / f"{'0' * 32}.webp").write_bytes(b"RIFF")
    assert previews.find(db, "0" * 32) is None


@pytest.mark.parametrize("key", ["", "../x", "0" * 31, "g" * 32])
def test_a_key_is_no_path(db, key):
    with pytest.raises(StoreError, match="key of a preview"):
        previews.find(db, key)
