"""The points of a search's charts: by keys and by mouse, with their pictures; and the settings of that search."""

import math
import re
import threading

import numpy as np
import pytest
from playwright.sync_api import expect

from mddit_ui.core.errors import Cancelled, SearchError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import Score, SearchConfig
from mddit_ui.service import previews
from mddit_ui.store import searches as store
from mddit_ui.store.db import open_db
from mddit_ui.store.search_rows import EvaluationRow
from mddit_ui.ui import front
from tests.ui.conftest import App
from tests.ui.test_app import CAPTION, LONG, expect_rows, tab

MINE = ("####", "#.##", "#.==", "#.##", "####", "####")
CHEAP = ("####", "====", "====", "####", "====", "====")
MORE = tuple(("####", row, "====", "####", "====", "====") for row in ("#===", "##==", "###="))
DEAR = ("####", "####", "====", "####", "####", "====")

# The last element of a chart: found and measured in one go, since a chart that is drawn again makes all of them anew.
BOX = "(plot, selector) => [...plot.querySelectorAll(selector)].at(-1).getBoundingClientRect().toJSON()"
CURSOR = ".shapelayer path"


def kept(*more: tuple[str, ...], seed: int = 5) -> str:
    """A search that has ended: a cheap policy, a dearer and better one, one without finite pictures; ``more``."""
    found = [(CHEAP, 20.0), (DEAR, 25.0), (MINE, math.nan), *((rows, 21.0) for rows in more)]
    config = SearchConfig(
        model="tiny-pixart",
        prompts=(CAPTION,),
        steps=6,
        evaluations=len(found),
        budget=0.8,
        seed=seed,
        method="random",
        closeness=0.25,
        racing=True,
        start=MINE,
    )
    db = open_db()
    search = store.create(db, config)
    store.set_state(db, search, "stopped", only_if=("queued",))
    store.set_reference(db, search, Score(clip_score=24.0, images=1))
    for number, (rows, clip) in enumerate(found, 1):
        policy = Policy.from_rows(rows)
        score = Score() if math.isnan(clip) else Score(clip_score=clip, images=1)
        share = float((policy.actions == 1).mean())
        store.add_evaluation(db, search, EvaluationRow(number, 0, rows, policy.digest, share, score, clip, 1.0))
    return search


def test_pictures_are_made_once_and_found_again(tiny_pixart: str) -> None:
    search = kept()
    assert front.picture({"scope": search, "key": "2"}) is None
    cancelled = threading.Event()
    cancelled.set()
    for work in (front.pair(search, 2, cancelled), front.whole_front(search, cancelled)):
        with pytest.raises(Cancelled):
            list(work)
    *working, last = front.pair(search, 2)
    assert working
    assert all(view.busy for view in working)
    assert last.busy == ""
    assert last.names == ("Full depth", "No. 2")
    assert [row[2] for row in last.rows] == ["66.7 %", "25.00"]
    assert last.left is not None
    assert last.right is not None
    assert last.left.shape == last.right.shape == (1, 64, 64, 3)
    assert not np.array_equal(last.left, last.right)
    assert len(list(front.pair(search, 2))) == 1  # nothing is made twice
    found = front.picture({"scope": search, "key": "2"})
    assert found is not None
    assert found["url"].startswith("data:image/webp;base64,")

    *_, said = front.whole_front(search)
    assert said.startswith("2 points")
    config = store.get(open_db(), search).config
    assert previews.find(config, Policy.from_rows(CHEAP)) is not None
    assert previews.find(config, Policy.from_rows(MINE)) is None  # it is on no front
    assert previews.find(config.replace(image_seeds=(1,)), Policy.from_rows(CHEAP)) is None


@pytest.mark.parametrize("asked", [None, {}, {"scope": "x", "key": "1"}, {"scope": "0" * 32, "key": "1"}, {"scope": 7}])
def test_who_asks_for_nothing_gets_nothing(asked: object) -> None:
    assert front.picture(asked) is None


def test_a_point_that_is_none(tiny_pixart: str) -> None:
    search = kept()
    assert front.picture({"scope": search, "key": "99"}) is None
    with pytest.raises(SearchError, match="click a dot"):
        next(front.pair(search, "99"))


def test_a_point_is_chosen_by_keys_and_seen_by_mouse(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MDDIT_DATA", str(app.data))
    page = app.page(f"?job={kept()}")
    tab(page, "Search")
    chart, tip = page.locator("#chart-front .pc-plot"), page.locator("#chart-front .pc-tip")
    expect(page.locator("#chart-front .js-plotly-plot")).to_be_visible(timeout=LONG)
    chart.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#chart-front .pc-live")).to_contain_text("evaluation 2")
    expect(tip).to_be_hidden()  # there is no picture of it yet
    page.keyboard.press("Enter")
    expect_rows(page, "/".join(DEAR))
    pair = page.locator("#front-pair")
    expect(pair.locator('.pv[data-state="done"]')).to_be_visible(timeout=LONG)
    expect(pair.locator(".pv-table")).to_contain_text("25.00")
    assert pair.locator("img[src^='data:image/webp']").count() == 2

    dot = page.locator("#chart-front .scatterlayer .trace").last.locator(".point").last  # of the front
    dot.scroll_into_view_if_needed()
    box = chart.evaluate(BOX, ".scatterlayer .trace:last-child .point")
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=3)
    expect(tip.locator("img")).to_be_visible()
    page.mouse.move(box["x"] - 200, box["y"] - 40, steps=3)
    expect(tip).to_be_hidden()

    page.click("#search-clone")  # its settings, and the policy that it started from
    expect_rows(page, "/".join(MINE))
    expect(page.locator("#search-racing input")).to_be_checked()
    expect(page.locator("#search-warm input")).to_be_checked()
    expect(page.locator("#search-evaluations input")).to_have_value("3")
    expect(page.locator("#search-closeness input")).to_have_value("CLIP score + 0.25 x PSNR")


def test_a_cell_of_a_heat_map_is_found_by_keys_and_shown_in_the_grid(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MDDIT_DATA", str(app.data))
    page = app.page(f"?job={kept(*MORE)}")
    tab(page, "Search")
    chart, said = page.locator("#chart-depth .pc-plot"), page.locator("#chart-depth .pc-live")
    chart.scroll_into_view_if_needed()
    expect(page.locator("#chart-depth .js-plotly-plot")).to_be_visible(timeout=LONG)
    chart.focus()
    page.keyboard.press("ArrowRight")  # to the first cell at the top left
    expect(said).to_contain_text("step 0, block 3")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowUp", "ArrowUp", "ArrowDown"):  # it stops at the edge
        page.keyboard.press(key)
    expect(said).to_contain_text("step 2, block 2")
    before, whole = (chart.evaluate(BOX, what) for what in (CURSOR, ".heatmaplayer image"))  # one of six steps wide
    assert before["width"] == pytest.approx(whole["width"] / 6, rel=0.2)
    assert before["x"] + before["width"] / 2 == pytest.approx(whole["x"] + whole["width"] * 2.5 / 6, abs=4)
    page.keyboard.press("Enter")
    expect(page.locator("#editor .pg-stage")).to_be_in_viewport()
    expect(page.locator('#editor [data-fact="where"]')).to_contain_text(re.compile("step 2.*block 2", re.IGNORECASE))
    page.keyboard.press("End")
    expect(said).to_contain_text("step 5, block 2")
    after = chart.evaluate(BOX, CURSOR)
    assert after["x"] == pytest.approx(before["x"] + whole["width"] / 2, abs=4)
    page.keyboard.press("Tab")
    expect(chart.locator(CURSOR)).to_have_count(0)
