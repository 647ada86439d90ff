"""The whole path of a person through the app, in a real browser, on a real (tiny) model."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from mddit_ui.core.policy import Policy
from mddit_ui.core.policy_json import dumps
from mddit_ui.core.records import GenerationConfig
from mddit_ui.store import searches as store
from mddit_ui.store.db import open_db
from mddit_ui.ui.state import Session, pack
from tests.ui.conftest import App

LONG = 300_000  # ms; two busy cores, and a search loads the model in a process of its own
CAPTION = "a large red ball on the left"


def rows(page: Page, grid: str = "editor") -> str:
    return page.get_attribute(f"#{grid} .pg", "data-rows") or ""


def centre(page: Page, step: int, block: int, blocks: int = 4) -> tuple[float, float]:
    """Where a cell of the editor is on the screen."""
    left, top, width, height = map(float, (page.get_attribute("#editor .pg", "data-frame") or "").split())
    frame = page.locator("#editor .pg-base").bounding_box()
    assert frame is not None
    return frame["x"] + left + (step + 0.5) * width, frame["y"] + top + (blocks - block - 0.5) * height


def drag(page: Page, start: tuple[int, int], end: tuple[int, int]) -> None:
    page.locator("#editor .pg-stage").scroll_into_view_if_needed()
    page.mouse.move(*centre(page, *start))
    page.mouse.down()
    page.mouse.move(*centre(page, *end), steps=4)
    page.mouse.up()


def expect_rows(page: Page, value: str, grid: str = "editor") -> None:
    expect(page.locator(f"#{grid} .pg")).to_have_attribute("data-rows", value, timeout=30_000)


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def test_paint_undo_generate_judge_reload_save_load(app: App) -> None:
    page = app.page()
    first = "####/####/####/####/####/####"  # four blocks: all are among the two outer pairs of Skip-Cache
    expect_rows(page, first)

    # Paint, see the numbers follow, undo, redo.
    page.click('#editor [data-do="skip"]')
    drag(page, (1, 1), (3, 1))
    painted = "####/#.##/#.##/#.##/####/####"
    expect_rows(page, painted)
    expect(page.locator('#editor [data-fact="share"]')).not_to_have_text("100.0 %")
    page.keyboard.press("Control+z")
    expect_rows(page, first)
    page.keyboard.press("Control+y")
    expect_rows(page, painted)

    # A box, a whole step, and a cell that may not be cached.
    page.click('#editor [data-do="cache"]')
    page.click('#editor [data-do="box"]')
    drag(page, (1, 2), (2, 3))
    expect_rows(page, "####/#.==/#.==/#.##/####/####")
    page.keyboard.press("Control+z")
    drag(page, (0, 0), (0, 0))
    expect_rows(page, painted)
    expect(page.locator('#editor [data-fact="live"]')).to_contain_text("needs an earlier computed one")

    # The keyboard alone: from the top left to step 2, select two blocks, cache them.
    page.locator("#editor .pg-stage").press("Home")
    for key in ("PageUp", "ArrowRight", "ArrowRight", "Shift+ArrowDown", "2"):
        page.keyboard.press(key)
    mine = "####/#.##/#.==/#.##/####/####"
    expect_rows(page, mine)
    expect(page.locator('#editor [data-fact="live"]')).to_contain_text(
        re.compile("step 2, block 2, cached( output)?, age 1")
    )

    # Generate a pair.
    page.fill("#prompt textarea", CAPTION)
    page.click("#generate")
    expect(page.locator('#pair .pv[data-state="done"]')).to_be_visible(timeout=LONG)
    table = page.inner_text("#pair .pv-table")
    assert all(word in table for word in ("Time", "MACs", "CLIP score"))
    assert page.locator("#pair img[src^='data:image/webp']").count() == 2
    expect(page.locator("#generate")).to_be_visible()
    tab(page, "Compare")
    expect(page.locator("#runs-table tbody tr")).to_have_count(2)  # full depth, and the policy
    expect(page.locator("#chart-runs .js-plotly-plot")).to_be_visible()
    for width in (1024, 420, 1440):  # the table is never wider than its panel
        page.set_viewport_size({"width": width, "height": 1000})
        wide = "(table) => table.scrollWidth - table.clientWidth"
        expect(page.locator("#runs-table tbody tr").first).to_be_visible()
        assert page.locator("#runs-table .dt-scroll").evaluate(wide) == 0, width

    # Judge it on many captions.
    page.click("#judge")
    expect(page.locator("#verdict")).to_contain_text("PSNR", timeout=LONG)
    expect(page.locator("#verdict")).to_contain_text("CLIP score")
    expect(page.locator("#judge")).to_be_visible()

    # What was painted is there after a reload, too.
    app.reload(page)
    expect_rows(page, mine)
    expect(page.locator("#editor .pg")).to_have_attribute("data-carry", "output")  # it began as Skip-Cache
    expect(page.locator("#prompt textarea")).to_have_value(CAPTION)

    # Save it, paint something else, load it.
    page.fill("#policy-name input, #policy-name textarea", "painted by hand")
    page.click("#library-save")
    tab(page, "Library")
    saved = page.locator("#library-list .cd-card", has_text="painted by hand")
    expect(saved).to_be_visible()
    files = list(app.policies.glob("*.json"))
    assert [(kept.rows, kept.carry) for kept in map(Policy.load, files)] == [(tuple(mine.split("/")), "output")]
    page.locator("#preset label", has_text="Full depth").click()
    expect_rows(page, first)
    saved.locator(".cd-load").click()
    expect_rows(page, mine)


@pytest.mark.slow  # processes that load the model
def test_search_from_the_grid_reload_and_copy(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Policy.from_rows(["####", "#.##", "#.==", "#.##", "####", "####"])
    config = GenerationConfig(prompts=(CAPTION,), steps=6, height=64, width=64)
    page = app.page("?s=" + pack(Session("tiny-pixart", policy, config)))
    mine = "/".join(policy.rows)
    expect_rows(page, mine)

    tab(page, "Search")
    page.fill("#search-prompts textarea", f"{CAPTION}\na small blue ring at the top")
    page.fill("#search-evaluations input", "6")
    page.check("#search-warm input")
    page.click("#search-start")
    expect(page.locator("#search-status")).to_contain_text("of 6", timeout=LONG)
    page.wait_for_url(re.compile(r"job=[0-9a-f]{32}"))
    monkeypatch.setenv("MDDIT_DATA", str(app.data))
    assert store.get(open_db(), page.url[-32:]).config.start == tuple(mine.split("/"))
    expect(page.locator("#search-take")).to_be_enabled(timeout=LONG)
    app.reload(page)
    expect_rows(page, mine)
    expect(page.locator("#prompt textarea")).to_have_value(CAPTION)
    tab(page, "Search")
    expect(page.locator("#search-status")).to_contain_text("Finished", timeout=LONG)
    expect(page.locator("#search-status")).to_contain_text("6 of 6")
    expect(page.locator("#chart-curve .js-plotly-plot")).to_be_visible()
    best = rows(page, "live-grid")
    page.click("#search-take")
    expect_rows(page, best)


def test_a_link_restores_model_policy_and_caption(app: App) -> None:
    policy = Policy.from_rows(["####", "##==", "..##", "####", "####"], name="from a link")
    config = GenerationConfig(prompts=(CAPTION,), seeds=(7,), steps=5, guidance_scale=3.0, height=64, width=64)
    page = app.page("?s=" + pack(Session("tiny-pixart", policy, config)))
    expect_rows(page, "/".join(policy.rows))
    expect(page.locator("#prompt textarea")).to_have_value(CAPTION)
    expect(page.locator("#seed input")).to_have_value("7")
    expect(page.locator("#steps input")).to_have_value("5")


def test_a_damaged_link_is_said_and_the_page_is_there(app: App) -> None:
    page = app.page("?s=notalink&job=" + "0" * 32)
    expect(page.get_by_text("The link is damaged", exact=False)).to_be_visible()
    assert rows(page)


def test_who_waits_is_told_the_place_in_the_line_and_who_cancels_has_a_page_that_works(app: App) -> None:
    first, second = app.page(), app.page()
    first.fill("#steps input", "200")
    first.press("#steps input", "Enter")
    expect(first.locator("#editor .pg")).to_have_attribute("data-rows", re.compile("(####/){199}####"), timeout=LONG)
    first.locator("#count label", has_text="4").click()
    first.fill("#prompt textarea", CAPTION)
    first.click("#generate")
    expect(first.locator('#pair .pv[data-state="busy"]')).to_be_visible(timeout=LONG)
    second.click("#generate")
    expect(second.locator("#line")).to_contain_text("queue: 1/1", timeout=LONG)
    first.click("#cancel")
    expect(first.locator("#pair .pv-status")).to_have_text("Stopped.", timeout=LONG)
    expect(first.locator("#generate")).to_be_visible(timeout=LONG)
    assert first.locator('#pair .pv[data-state="done"]').count() == 0
    expect(second.locator('#pair .pv[data-state="done"]')).to_be_visible(timeout=LONG)
    expect(second.locator("#line")).to_have_text("")


# Markup, a template of JavaScript, one of Handlebars, and an attribute that breaks out: each would open a dialog.
PAYLOAD = '<img src=x onerror=alert(1)>${alert(2)}"><svg onload=alert(3)>{{#with 1}}${alert(4)}{{/with}}'


def test_text_of_strangers_stays_text(app: App, tmp_path: Path) -> None:
    """Names, captions, files and links that hold markup or templates are shown, and run nothing."""
    policy = Policy.from_rows(["####", "#==="], name=PAYLOAD, model=PAYLOAD)
    config = GenerationConfig(prompts=(PAYLOAD,), steps=2, height=64, width=64)
    page = app.page("?s=" + pack(Session("tiny-pixart", policy, config)))
    expect(page.locator("#policy-name input, #policy-name textarea")).to_have_value(PAYLOAD)
    tab(page, "Library")
    page.click("#library-save")
    expect(page.locator("#library-list .cd-card", has_text=PAYLOAD)).to_be_visible()

    page.click("#generate")
    expect(page.locator('#pair .pv[data-state="done"]')).to_be_visible(timeout=LONG)
    tab(page, "Compare")
    expect(page.locator("#runs-table")).to_contain_text(PAYLOAD)

    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({"format": PAYLOAD, "rows": ["#"]}))
    page.set_input_files('input[type="file"]', bad)
    expect(page.get_by_text("Expected format", exact=False)).to_be_visible()
    good = tmp_path / "good.json"
    good.write_text(dumps(policy))
    page.set_input_files('input[type="file"]', good)
    expect_rows(page, "####/#===")
