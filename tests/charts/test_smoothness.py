"""Smoothness: the second half of the blocks, and a surface that keeps its numbers."""

import numpy as np
import pytest

from mddit_ui.charts import smoothness
from mddit_ui.core.calibration import Calibration


def calibration(rows: list[list[float]]) -> Calibration:
    similar = np.array(rows)
    steps, sites = similar.shape
    names = tuple(f"b.{index}" for index in range(sites))
    return Calibration("m", names, tuple(range(steps)), similar, similar, np.zeros((1, steps, sites)), similar)


def test_a_line_is_the_mean_of_the_second_half() -> None:
    nothing = [np.nan] * 4
    info = smoothness.smoothness_info({"one": calibration([nothing, [0, 0, 0.5, 0.7]])})
    assert np.isnan(info.lines["one"][0])
    assert info.lines["one"][1] == pytest.approx(0.6)


@pytest.mark.parametrize("dark", [False, True])
def test_figures(dark: bool) -> None:
    lines = smoothness.smoothness_info({"<b>a</b>": calibration([[np.nan] * 2, [0.5, 0.7]])})
    figure = smoothness.smoothness_figure(lines, dark)
    assert figure.data[0].name == "&lt;b&gt;a&lt;/b&gt;"
    assert list(figure.data[0].y) == [None, 0.7]
    table = np.array([[0.8, 0.9], [1.0, 0.7]])
    figure = smoothness.surface_figure(smoothness.surface_info(np.array([-1, 1]), table), dark)
    assert figure.to_json()
    assert figure.data[0].zmin == 0.7
    other = smoothness.surface_info(np.array([-1, 1]), table, title="<i>b</i>", low=0.5)
    assert smoothness.surface_figure(other, dark).data[0].zmin == 0.5  # two surfaces, one scale
    assert smoothness.surface_figure(other, dark).layout.title.text == "&lt;i&gt;b&lt;/i&gt;"
    np.testing.assert_array_equal(figure.data[0].z, table)  # rows: along y, the first direction
