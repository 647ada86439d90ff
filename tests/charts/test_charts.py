"""Charts: the data are what they should be, and every figure can be drawn in both modes."""

import math

import numpy as np
import plotly.graph_objects as go
import pytest

from mddit_ui.charts import convergence, depth, macs, similarity, style, tradeoff
from mddit_ui.core.cost import MacTable
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import Calibration

POLICY = Policy.from_rows(["##", "#=", ".="])
TABLE = MacTable(("b.0", "b.1"), np.array([3.0, 5.0]), 2.0)


def calibration() -> Calibration:
    similar = np.array([[np.nan, np.nan], [0.9, 0.8], [0.99, 0.95]])
    return Calibration("m", ("b.0", "b.1"), (9.0, 5.0, 1.0), similar, similar, np.zeros((1, 3, 2)), similar)


def test_macs_are_shares_of_full_depth() -> None:
    info = macs.macs_info(POLICY, TABLE, ("0", "1"))
    assert info.by_step.tolist() == [1.0, 0.5, 0.2]
    assert info.by_site.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert (info.macs, info.full_macs) == (17.0, 30.0)


def test_similarity_has_blocks_as_rows() -> None:
    info = similarity.similarity_info(calibration(), ("0", "1"))
    assert info.cosine.shape == (2, 3)
    assert np.isnan(info.cosine[:, 0]).all()
    assert info.cosine[1].tolist()[1:] == [0.8, 0.95]
    assert 0.79 < info.lowest < 0.82


def test_the_front_holds_what_nothing_beats() -> None:
    points = [
        tradeoff.Point(*pair, str(pair))
        for pair in ((0.5, 30), (0.4, 29), (0.6, 29.5), (0.4, 28), (0.9, 31), (0.9, 31))
    ]
    assert [(p.budget, p.clip_score) for p in tradeoff.front_of(points)] == [(0.4, 29), (0.5, 30), (0.9, 31)]
    assert tradeoff.front_of([]) == ()


def test_the_best_so_far_passes_over_failures() -> None:
    info = convergence.convergence_info([1, 2, 3, 4], [1.0, math.nan, 3.0, 2.0], [30.0, None, 31.0, 30.5], 10)
    assert info.best.tolist() == [1.0, 1.0, 3.0, 3.0]
    assert np.isnan(info.clip_scores[1])


def test_depth_is_the_mean_of_the_best_policies() -> None:
    tables = [("##", "#="), ("##", "=="), ("##", "##"), ("##", ".."), ("..", "##"), ("..", "..")]
    info = depth.depth_info(tables, [5.0, 4.0, 3.0, 2.0, 1.0, math.nan], ("0", "1"))
    assert info.policies == 4
    assert info.computed.tolist() == [[1.0, 0.5], [1.0, 0.25]]


def figures(dark: bool) -> list[go.Figure]:
    point = tradeoff.Point(0.5, 30.0, "<b>bold</b>", "1")
    return [
        macs.macs_figure(macs.macs_info(POLICY, TABLE, ("0", "1")), dark),
        similarity.similarity_figure(similarity.similarity_info(calibration(), ("0", "1")), dark),
        tradeoff.tradeoff_figure(tradeoff.tradeoff_info([point], [point], [point], 31.0, "ViT"), dark),
        depth.depth_figure(depth.depth_info([("##", "#=")] * 4, [1.0] * 4, ("0", "1")), dark),
        tradeoff.tradeoff_figure(tradeoff.tradeoff_info(), dark),
        convergence.convergence_figure(convergence.convergence_info([1], [0.5], [30.0], 9), dark),
        convergence.convergence_figure(convergence.convergence_info([], [], [], 9), dark),
    ]


@pytest.mark.parametrize("dark", [False, True])
def test_every_figure_is_valid_json_in_both_modes(dark: bool) -> None:
    for figure in figures(dark):
        assert figure.to_json()


def test_names_of_people_are_text_in_a_chart() -> None:
    names = [name for trace in figures(False)[2].data for name in trace.text]
    assert set(names) == {"&lt;b&gt;bold&lt;/b&gt;"}


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [style.LIGHT, style.DARK])
def test_inks_can_be_read(palette: style.Palette) -> None:
    """WCAG AA: text 4.5 : 1, marks and outlines that carry meaning 3 : 1."""
    for paper in (palette.surface, palette.page, palette.sunken):
        for ink in (palette.ink, palette.ink_soft, palette.ink_faint, palette.bad, palette.good):
            assert contrast(ink, paper) >= 4.5, (ink, paper)
    assert contrast(palette.compute_ink, palette.compute) >= 4.5
    assert contrast(palette.cache_ink, palette.cache) >= 3
    assert contrast(palette.skip_ink, palette.surface) >= 3
    assert contrast(palette.compute, palette.cache) >= 2.4
