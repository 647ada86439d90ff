"""The first screen: grid, pair and charts are there before anything was computed; and what a page remembers."""

import json
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from mddit_ui.bench.serving import serving
from mddit_ui.service import catalog
from mddit_ui.store.db import open_db
from mddit_ui.ui.first import first_screen
from tests.ui.conftest import App, grid_ready, ready, surroundings
from tests.ui.test_app import LONG, drag, expect_rows, tab
from tests.ui.test_points import DEAR, kept
from tests.ui.test_side_by_side import picture

TITLES = ("Paint the schedule", "See what it does", "Let a search do it", "Keep and share it")


def filled(app: App) -> bool:
    """Whether the page that is sent holds a caption already."""
    with urllib.request.urlopen(f"{app.url}config") as answer:
        parts = json.load(answer)["components"]
    return any(part["props"].get("elem_id") == "prompt" and part["props"].get("value") for part in parts)


def visitor(browser: Browser, **more: str) -> Page:
    return browser.new_context(viewport={"width": 1440, "height": 1000}, **more).new_page()  # type: ignore[arg-type]


@pytest.mark.slow  # an app of its own, with the model that comes along
def test_the_first_screen_is_there_and_nothing_was_generated(
    browser: Browser, tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready_made = first_screen(catalog.get_model("scenes-pixart"))
    assert ready_made is not None
    left, right = ready_made.pair.left, ready_made.pair.right
    assert left is not None
    assert right is not None
    log = tmp_path / "app.log"
    with serving(surroundings(tmp_path, tiny_models, MDDIT_MODEL="scenes-pixart"), log) as (url, _):
        for _ in range(2):  # the first visitor of the app, and one whose page comes filled in
            page = visitor(browser)
            page.goto(url)
            ready(page)
            expect_rows(page, "/".join(ready_made.view.policy.rows))
            expect(page.locator('#editor [data-do="show-similarity"]')).to_be_enabled()
            expect(page.locator('#editor [data-fact="closeness"]')).to_contain_text("%")
            expect(page.locator("#prompt textarea")).to_have_value(ready_made.session.config.prompts[0])
            expect(page.locator("#pair .pv[data-state='done'] .pv-table")).to_contain_text("CLIP score")
            for side, made in (("full", left), ("policy", right)):
                np.testing.assert_array_equal(picture(page.locator("#pair"), side), made[0])
            for chart in ("chart-similarity", "chart-macs"):
                page.locator(f"#{chart}").scroll_into_view_if_needed()
                expect(page.locator(f"#{chart} .js-plotly-plot .main-svg").first).to_be_visible(timeout=LONG)
            tab(page, "Library")
            expect(page.locator("#snippet")).to_contain_text("scenes-pixart")

            card = page.locator("#tour .tr")
            for number, title in enumerate(TITLES, 1):
                expect(card).to_contain_text(f"{number} of 4")
                expect(card.get_by_role("heading")).to_have_text(title)
                card.locator(".tr-next").click()
            expect(card).to_be_hidden()
            page.context.close()
    monkeypatch.setenv("MDDIT_DATA", str(tmp_path / "data"))
    assert open_db().rows("SELECT id FROM runs") == []
    for folder in ("runs", "calibrations"):
        assert not list((tmp_path / "data" / folder).glob("*"))
    assert "Traceback" not in log.read_text(), log.read_text()[-4000:]


def test_a_new_page_comes_filled_in_and_a_link_to_a_search_counts_all_the_same(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MDDIT_DATA", str(app.data))
    if not filled(app):
        app.page().context.close()  # the first visitor of an app fills it in for those who come after

    # A page of which nothing but itself arrives: nothing that it asks for is answered.
    page = visitor(app.browser)
    page.add_init_script("localStorage.setItem('mddit-tour', 'done')")
    for asked in ("queue", "run"):
        page.route(f"**/gradio_api/{asked}/**", lambda route: None)
    page.goto(f"{app.url}?job={kept()}")
    grid_ready(page)
    expect(page.locator("#prompt textarea")).not_to_have_value("")
    expect(page.locator("#steps input")).to_have_value("6")
    expect(page.locator("#model-card")).to_contain_text("64 × 64 px")
    page.unroute("**/gradio_api/run/**")
    tab(page, "Search")  # the link is followed although nothing was restored
    expect_rows(page, "/".join(DEAR), "live-grid")


@pytest.mark.slow  # four pages
def test_a_search_and_what_was_painted_are_there_in_a_second_tab_and_after_a_reload(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MDDIT_DATA", str(app.data))
    page = app.page(f"?job={kept()}")
    tab(page, "Search")
    expect(page.locator("#search-status")).to_contain_text("Stopped")
    expect_rows(page, "/".join(DEAR), "live-grid")
    tab(page, "Library")
    expect(page.locator("#snippet")).to_contain_text("####")
    page.click('#editor [data-do="skip"]')
    drag(page, (2, 0), (2, 3))
    painted = "####/####/..../####/####/####"
    expect_rows(page, painted)
    expect(page.locator("#snippet")).to_contain_text("....")  # the script comes with what the browser keeps
    second = page.context.new_page()
    app.listen(second)
    second.goto(app.url)
    ready(second)
    app.reload(page)
    for each in (second, page):
        expect_rows(each, painted)
        tab(each, "Search")
        expect_rows(each, "/".join(DEAR), "live-grid")
