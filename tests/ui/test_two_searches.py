"""Two searches in the same charts, old ones found again, and a point that is clicked with the mouse."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.ui.conftest import App
from tests.ui.test_app import LONG, expect_rows, tab
from tests.ui.test_points import CHEAP, DEAR, MORE, kept

SEEDS = (71, 72)  # by which the table tells them apart from those of other tests
NAMES = "plot => plot.data.map((trace) => trace.name).filter(Boolean)"
POINT = """(plot, number) => { const box = plot.getBoundingClientRect(), {xaxis, yaxis} = plot._fullLayout;
  const trace = plot.data.find(({customdata}) => Array.isArray(customdata) && customdata.includes(number));
  const at = trace.customdata.indexOf(number);
  return [box.left + xaxis._offset + xaxis.d2p(trace.x[at]), box.top + yaxis._offset + yaxis.d2p(trace.y[at])]; }"""


def history(page: Page, seed: int) -> Locator:
    """The row of a search in the table of all."""
    return page.locator("#search-history tbody tr").filter(has=page.get_by_role("cell", name=str(seed), exact=True))


def plot(page: Page, chart: str) -> Locator:
    page.locator(f"#{chart}").scroll_into_view_if_needed()
    expect(page.locator(f"#{chart} .js-plotly-plot .main-svg").first).to_be_visible(timeout=LONG)
    return page.locator(f"#{chart} .pc-plot")


@pytest.mark.slow  # two pictures, and two charts
def test_two_searches_are_compared_and_an_old_one_is_opened(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MDDIT_DATA", str(app.data))
    long, short = kept(*MORE, seed=SEEDS[0]), kept(seed=SEEDS[1])
    page = app.page(f"?job={short}")
    tab(page, "Search")
    assert "front of the other" not in plot(page, "chart-front").evaluate(NAMES)

    # The other one in the charts of this one: its front, and its best so far.
    page.click("#search-rival input")
    page.get_by_role("option", name="6 evaluations").first.click()
    page.wait_for_function(
        "() => document.querySelector('#chart-front .pc-plot').data.some(({name}) => name === 'front of the other')"
    )
    traces = plot(page, "chart-front").evaluate("plot => plot.data.map(({name, x}) => [name, (x || []).length])")
    assert dict(traces)["evaluated"] == 2
    assert dict(traces)["front of the other"] >= 2
    assert "the other" in " ".join(plot(page, "chart-curve").evaluate(NAMES))

    # A point of this one, by the mouse: its policy is in the grid, its pictures are made.
    place = plot(page, "chart-front")
    place.scroll_into_view_if_needed()
    page.mouse.click(*place.evaluate(POINT, "2"))
    expect_rows(page, "/".join(DEAR))
    expect(page.locator('#front-pair .pv[data-state="done"]')).to_be_visible(timeout=LONG)
    expect(page.locator("#front-pair .pv-table thead")).to_contain_text("No. 2")
    page.locator("#chart-front").scroll_into_view_if_needed()
    page.mouse.click(*place.evaluate(POINT, "1"))
    expect_rows(page, "/".join(CHEAP))

    # The table of all searches: this one is marked, the other one is opened, and the address is its.
    marked = re.compile(r"\bdt-mark\b")
    expect(history(page, SEEDS[1])).to_have_class(marked)
    expect(history(page, SEEDS[0])).not_to_have_class(marked)
    history(page, SEEDS[0]).get_by_role("button", name="Open").click()
    page.wait_for_url(f"**/?job={long}")
    expect(page.locator("#search-status")).to_contain_text("6 of 6")
    expect(history(page, SEEDS[0])).to_have_class(marked)
    expect(page.locator("#live-grid .pg")).to_have_attribute("data-rows", "/".join(DEAR))
    assert dict(plot(page, "chart-front").evaluate("plot => plot.data.map(({name, x}) => [name, (x || []).length])"))[
        "evaluated"
    ] == 2 + len(MORE)
