"""Accessibility: axe-core finds nothing serious, on every tab, with charts and pictures, in both modes, at all widths.

``npm install axe-core`` in the repository (it is not committed), or ``$AXE`` names the file; else the test is skipped.
"""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from mddit_ui.core.paths import ROOT
from tests.ui.conftest import App
from tests.ui.test_app import LONG, tab
from tests.ui.test_points import MORE, kept

AXE = Path(os.environ.get("AXE") or ROOT / "node_modules" / "axe-core" / "axe.min.js")
TABS = ("Understand", "Search", "Compare", "Library")
SERIOUS = ("serious", "critical")
NARROW, MIDDLE, WIDE = 420, 1024, 1440
CHARTS = ("chart-front", "chart-curve", "chart-depth", "chart-shares")


def findings(page: Page) -> list[str]:
    """What axe calls serious: the rule, and where."""
    found = page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
    return [
        f"{each['id']} ({each['impact']}): {each['help']}: "
        + "; ".join(f"{' '.join(map(str, node['target']))} {node['failureSummary']}" for node in each["nodes"][:3])
        for each in found
        if each["impact"] in SERIOUS
    ]


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not there; npm install axe-core")
@pytest.mark.parametrize(("width", "mode"), [(WIDE, "dark"), (MIDDLE, "light"), (MIDDLE, "dark"), (NARROW, "light")])
def test_nothing_serious(app: App, width: int, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MDDIT_DATA", str(app.data))
    page = app.page(f"?__theme={mode}&job={kept(*MORE)}", width=width)
    for title in ("Examples and caption builder", "Repaint a part"):
        page.get_by_role("button", name=title).click()
    page.click("#generate")
    expect(page.locator('#pair .pv[data-state="done"]')).to_be_visible(timeout=LONG)
    page.add_script_tag(path=str(AXE))
    for title in TABS:
        tab(page, title)
        for chart in CHARTS if title == "Search" else ():
            page.locator(f"#{chart}").scroll_into_view_if_needed()
            expect(page.locator(f"#{chart} .js-plotly-plot")).to_be_visible(timeout=LONG)
        page.wait_for_timeout(300)  # the tab's own transition: axe measures contrast
        assert findings(page) == [], title


def test_nothing_is_wider_than_a_small_screen(app: App) -> None:
    page = app.page(width=NARROW)
    for title in TABS:
        tab(page, title)
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW, title


def test_the_tour_is_shown_once_and_the_mode_stays(app: App) -> None:
    paper = "() => getComputedStyle(document.querySelector('.gradio-container')).backgroundColor"
    page = app.page(tour=True)
    card = page.locator("#tour .tr")
    expect(card).to_be_visible()
    expect(card).to_contain_text("1 of 4")
    page.click("#tour .tr-next")
    expect(card).to_contain_text("2 of 4")
    page.click("#tour .tr-skip")
    expect(card).to_be_hidden()
    assert page.evaluate(paper) == "rgb(246, 247, 249)"
    page.click("#mode")
    assert page.evaluate("document.body.classList.contains('dark')")
    assert page.evaluate(paper) == "rgb(14, 17, 22)"

    app.reload(page)
    expect(card).to_be_hidden()
    assert page.evaluate(paper) == "rgb(14, 17, 22)"
    page.click("#mode")
    assert page.evaluate(paper) == "rgb(246, 247, 249)"
    page.click("#tour-again")
    expect(card).to_contain_text("1 of 4")
