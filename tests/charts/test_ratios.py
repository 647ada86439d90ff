"""Charts of token routing: the tables that they show, as data."""

import numpy as np
import pytest

from mddit_ui.charts import ratios


def test_ratios_by_region() -> None:
    info = ratios.ratios_info(np.array([[0.3, 0.5, 1.0], [0.5, 0.7, 1.0]]), (1000, 600, 200, 0), ("0", "1"))
    assert info.regions == ("1000-600", "600-200", "200-0")
    np.testing.assert_allclose(info.by_region, [0.4, 0.6, 1.0])
    assert info.mean == pytest.approx(4 / 6)
    for dark in (False, True):
        [trace] = ratios.ratios_figure(info, dark).data
        np.testing.assert_allclose(np.array(trace.z, float), info.values)
        assert trace.text[1][0] == "block 1, t = 1000-600"


def test_tokens_lie_where_their_patches_do() -> None:
    kept = np.zeros((2, 3, 2, 2))
    kept[1, 2, 0, 1] = 1  # step 1, block 2: the patch at the top right alone
    info = ratios.tokens_info(kept, ("0", "1", "2"))
    assert info.maps.shape == (2, 2, 8)  # three maps side by side, and a gap after each but the last
    assert np.isnan(info.maps[:, :, [2, 5]]).all()
    assert np.argwhere(info.maps == 1).tolist() == [[1, 0, 7]]
    assert info.corners[2].tolist() == [0, 6]
    np.testing.assert_allclose(info.shares, [[0, 0, 0], [0, 0, 0.25]])


def test_the_figure_goes_through_the_steps() -> None:
    info = ratios.tokens_info(np.random.default_rng(0).random((4, 5, 2, 2)), ("a", "b", "c", "d", "e"))
    figure = ratios.tokens_figure(info, "data:,", dark=False)
    assert [frame.name for frame in figure.frames] == ["step 0", "step 1", "step 2", "step 3"]
    for step, frame in enumerate(figure.frames):
        np.testing.assert_allclose(np.array(frame.data[0].z, float), info.maps[step], atol=0.005, equal_nan=True)
    assert figure.data[0].text[0][0] == "block a"
    assert [figure.layout.images[0][key] for key in ("source", "sizex", "sizey")] == ["data:,", *info.maps.shape[:0:-1]]
    assert figure.to_json()


def test_the_picture_lies_under_each_map() -> None:
    info = ratios.tokens_info(np.ones((1, 3, 2, 2)), ("0", "1", "2"))
    picture = np.random.default_rng(0).integers(1, 256, (8, 6, 3), np.uint8)  # 4 x 3 pixels a patch
    under = ratios.beneath(info, picture)
    assert under.shape == (8, 24, 4)
    for left in (0, 9, 18):
        np.testing.assert_array_equal(under[:, left : left + 6, :3], picture)
    assert (under[:, 6:9] == 0).all()
    assert (under[..., 3] > 0).sum() == 3 * 8 * 6
