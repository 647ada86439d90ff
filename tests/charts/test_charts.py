"""Charts: the data are what they should be, and every figure can be drawn in both modes."""

import math
import re

import numpy as np
import plotly.graph_objects as go
import pytest

from mddit_ui.charts import (
    cells,
    convergence,
    depth,
    gains,
    macs,
    profile,
    ratios,
    residual,
    sensitivity,
    similarity,
    smoothness,
    style,
    tradeoff,
)
from mddit_ui.core.calibration import Calibration
from mddit_ui.core.cost import MacTable
from mddit_ui.core.policy import Policy
from mddit_ui.core.sensitivity import Sensitivity

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
    assert info.values.shape == (2, 3)
    assert np.isnan(info.values[:, 0]).all()
    assert info.values[1].tolist()[1:] == [0.8, 0.95]
    assert 0.79 < info.low < 0.82


def test_a_cell_of_a_chart_names_its_step_and_its_block() -> None:
    figure = similarity.similarity_figure(similarity.similarity_info(calibration(), ("0", "1")), False)
    assert figure.data[0].customdata[1][2] == "cell:2:1"


def test_sensitivity_is_the_logarithm_of_the_error() -> None:
    cached = np.full((1, 3, 2), 1e-4)
    cached[0, 2, 1] = 1e-6
    info = sensitivity.sensitivity_info(Sensitivity(cached, np.ones((3, 2))), ("0", "1"))
    assert np.isnan(info.values[:, 0]).all()  # nothing to cache in step 0
    assert info.values[0, 1] == pytest.approx(-2)
    assert info.values[1, 2] == pytest.approx(-3)


def test_residuals_are_percent_of_the_input() -> None:
    assert residual.residual_info(calibration(), ("0", "1")).values[1].tolist()[1:] == pytest.approx([80.0, 95.0])


def test_steps_are_timed_from_end_to_end() -> None:
    slow, quick = [5.0, 6.0, 7.0], [0.5, 0.6, 0.65]
    info = profile.profile_info([quick, slow, quick], [[0.5, 0.7, 0.9]], [1.0, 0.5, 0.25])  # one run was disturbed
    assert info.policy_ms[1:].tolist() == pytest.approx([100, 50])
    assert np.isnan(info.policy_ms[0])  # can't be told from reading the caption
    assert info.expected_ms.tolist() == pytest.approx([200, 100, 50])


def test_every_chart_is_read_in_one_sentence() -> None:
    modules = [convergence, depth, macs, profile, ratios, residual, sensitivity, similarity, smoothness, tradeoff]
    reads = {
        f"{module.__name__}.{name}": text for module in modules for name, text in vars(module).items() if "READ" in name
    }
    assert len(reads) >= 13
    for name, text in reads.items():
        assert re.fullmatch(r"[A-Z][^.!?]*\.", text), (name, text)


def test_bars_of_macs_are_no_points_to_take() -> None:
    """Steps and blocks may have the same name; only what a click brings somewhere has a key."""
    figure = macs.macs_figure(macs.macs_info(POLICY, TABLE, ("0", "1")), False)
    assert all(trace.customdata is None for trace in figure.data)
    assert [list(trace.text) for trace in figure.data if trace.text] == [["0", "1", "2"], ["0", "1"]]


@pytest.mark.parametrize(("count", "last"), [(1, 0), (12, 11), (14, 12), (100, 90), (120, 110)])
def test_axes_have_at_most_twelve_marks(count: int, last: int) -> None:
    places = cells.marks(count)
    assert len(places) <= 12
    assert places[-1] == last


def test_the_front_holds_what_nothing_beats() -> None:
    points = [
        tradeoff.Point(*pair, str(pair))
        for pair in ((0.5, 30), (0.4, 29), (0.6, 29.5), (0.4, 28), (0.9, 31), (0.9, 31))
    ]
    assert [(p.budget, p.clip_score) for p in tradeoff.front_of(points)] == [(0.4, 29), (0.5, 30), (0.9, 31)]
    assert tradeoff.front_of([]) == ()


def test_the_best_so_far_passes_over_failures() -> None:
    """The line shows the score of the policy that leads by the objective, which may have a lower score."""
    info = convergence.convergence_info([1, 2, 3, 4], [1.0, math.nan, 3.0, 2.0], [31.0, None, 30.0, 30.5], 10)
    assert info.best.tolist() == [31.0, 31.0, 30.0, 30.0]
    assert np.isnan(info.values[1])


def test_before_the_first_success_there_is_no_best() -> None:
    info = convergence.convergence_info([1, 2], [math.nan, 1.0], [None, 30.0], 10)
    assert np.isnan(info.best[0])
    assert info.best[1] == 30.0


def test_depth_is_the_mean_of_the_best_policies() -> None:
    tables = [("##", "#="), ("##", "=="), ("##", "##"), ("##", ".."), ("..", "##"), ("..", "..")]
    info = depth.depth_info(tables, [5.0, 4.0, 3.0, 2.0, 1.0, math.nan], ("0", "1"))
    assert info.policies == 4
    computed, cached, skipped = info.shares
    assert computed.tolist() == [[1.0, 0.5], [1.0, 0.25]]
    assert cached.tolist() == [[0.0, 0.25], [0.0, 0.5]]
    assert skipped.tolist() == [[0.0, 0.25], [0.0, 0.25]]


def test_depth_begins_with_the_pareto_set() -> None:
    tables = [("##", "#="), ("##", "=="), ("##", "##"), ("##", ".."), ("..", "##")]
    info = depth.depth_info(tables, [5.0, 4.0, 3.0, 2.0, 1.0], ("0", "1"), front=[4])
    assert info.policies == 4  # the front, filled up with the best others: 0, 1, 2
    assert info.shares[0].tolist() == [[0.75, 0.75], [0.75, 0.5]]


def figures(dark: bool) -> list[go.Figure]:
    point = tradeoff.Point(0.5, 30.0, "<b>bold</b>", "1")
    return [
        macs.macs_figure(macs.macs_info(POLICY, TABLE, ("0", "1")), dark),
        similarity.similarity_figure(similarity.similarity_info(calibration(), ("0", "1")), dark),
        tradeoff.tradeoff_figure(tradeoff.tradeoff_info([point], [point], [point], 31.0, "ViT"), dark),
        depth.depth_figure(depth.depth_info([("##", "#=")] * 4, [1.0] * 4, ("0", "1")), dark),
        depth.shares_figure(depth.depth_info([("##", "#=")] * 4, [1.0] * 4, ("0", "1")), dark),
        residual.residual_figure(residual.residual_info(calibration(), ("0", "1")), dark),
        profile.profile_figure(profile.profile_info([[1, 2, 3]], [[1, 3, 5]], [1, 0.5, 0.2]), dark),
        tradeoff.tradeoff_figure(tradeoff.tradeoff_info(), dark),
        convergence.convergence_figure(convergence.convergence_info([1], [0.5], [30.0], 9), dark),
        convergence.convergence_figure(convergence.convergence_info([], [], [], 9), dark),
    ]


@pytest.mark.parametrize("dark", [False, True])
def test_every_figure_is_valid_json_in_both_modes(dark: bool) -> None:
    for figure in figures(dark):
        assert figure.to_json()


def test_methods_lie_beside_each_other_and_the_default_has_errors() -> None:
    rows = [
        gains.Gains("a", [50, 100], [(0.1, 0.2), (0.3, 0.1)], [(1.0, 0.5), (2.0, 0.4)]),
        gains.Gains("b", [50], [(0.0, 0.1)], [(-1.0, 0.3)]),
    ]
    traces = gains.gains_figure(rows, "a").data
    assert [(trace.name, trace.xaxis or "x", list(trace.y)) for trace in traces] == [
        ("a", "x", [0.1, 0.3]),
        ("b", "x", [0.0]),
        ("a", "x2", [1.0, 2.0]),
        ("b", "x2", [-1.0]),
    ]
    assert [trace.error_y.visible for trace in traces] == [True, False, True, False]
    assert list(traces[2].error_y.array) == [0.5, 0.4]


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


def test_a_far_baseline_does_not_squeeze_the_points() -> None:
    seen = style.window([50.0, 52.0], [("near", 53.5), ("skip-cache 10", 12.0)], 0.5)
    assert seen.range == [50.0 - 0.5, 53.5 + 0.5]
    assert seen.away == "below: skip-cache 10 at 12.00"
    assert style.window([1.0], [("one", -9), ("two", 9)], 0.5).away == "below: one at -9.00; above: two at 9.00"
    assert style.window([], [("only", 3.0)], 0.5) == ([2.5, 3.5], "")
    assert style.window([], [], 0.5) == (None, "")

    lines = [convergence.Line("skip-cache 10", 12.0), convergence.Line("every 2", 51.0)]
    info = convergence.convergence_info([1, 2], [1.0, 2.0], [50.0, 52.0], 9, lines=lines)
    figure = convergence.convergence_figure(info, False)
    low, high = figure.layout.yaxis.range
    assert 49 < low < 50 < 52 < high < 53
    assert [note.text for note in figure.layout.annotations] == ["below: skip-cache 10 at 12.00"]
    assert 12.0 in [trace.y[0] for trace in figure.data]  # it is there for those who zoom out

    far = tradeoff.Point(0.1, 12.0, "skip-cache 10")
    points = [tradeoff.Point(0.5, 50.0, "1"), tradeoff.Point(0.6, 52.0, "2")]
    drawn = tradeoff.tradeoff_figure(tradeoff.tradeoff_info(points, [far]), False)
    assert drawn.layout.yaxis.range[0] > 49
    assert "skip-cache 10 at 12.00" in drawn.layout.annotations[-1].text
