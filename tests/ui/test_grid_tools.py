"""The tools of the grid in a real browser: by pointer, by keys and by touch; what is drawn and what is said."""

import os
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from mddit_ui.bench.serving import serving
from tests.ui.conftest import grid_ready

FULL = "/".join(["####"] * 6)


@pytest.fixture(scope="module")
def url(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("grid") / "page.log"
    with serving({**os.environ, "GRADIO_ANALYTICS_ENABLED": "False"}, log, ("-m", "tests.ui.grid_page")) as (url, _):
        yield url


@pytest.fixture
def errors(browser: Browser) -> Iterator[list[str]]:
    """What the consoles of the test's pages complain about: nothing."""
    said: list[str] = []
    yield said
    for context in browser.contexts:
        context.close()
    assert said == []


def opened(browser: Browser, url: str, errors: list[str], query: str = "", **more: object) -> Page:
    page = browser.new_context(**{"viewport": {"width": 1024, "height": 900}, **more}).new_page()  # type: ignore[arg-type]
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(f"{url}?{query}")
    grid_ready(page)
    return page


def expect_rows(page: Page, rows: str) -> None:
    expect(page.locator("#editor .pg")).to_have_attribute("data-rows", rows)


def live(page: Page) -> str:
    return page.locator('#editor [data-fact="live"]').text_content() or ""


def centre(page: Page, step: int, block: int, blocks: int = 4) -> tuple[float, float]:
    left, top, width, height = map(float, (page.get_attribute("#editor .pg", "data-frame") or "").split())
    frame = page.locator("#editor .pg-base").bounding_box()
    assert frame is not None
    return frame["x"] + left + (step + 0.5) * width, frame["y"] + top + (blocks - block - 0.5) * height


def drag(page: Page, start: tuple[int, int], end: tuple[int, int], blocks: int = 4) -> None:
    page.mouse.move(*centre(page, *start, blocks))
    page.mouse.down()
    page.mouse.move(*centre(page, *end, blocks), steps=3)
    page.mouse.up()


def do(page: Page, *names: str) -> None:
    for name in names:
        page.click(f'#editor [data-do="{name}"]')


def test_every_shape_by_pointer(browser: Browser, url: str, errors: list[str]) -> None:
    page = opened(browser, url, errors)
    expect_rows(page, FULL)
    do(page, "skip", "step")
    drag(page, (4, 2), (5, 1))
    expect_rows(page, "####/####/####/####/..../....")
    do(page, "cache", "block")
    drag(page, (3, 0), (3, 0))
    expect_rows(page, "####/=###/=###/=###/=.../=...")
    do(page, "compute", "flood")
    drag(page, (5, 3), (5, 3))
    expect_rows(page, "####/=###/=###/=###/=###/=###")
    do(page, "skip", "brush")
    page.keyboard.down("Shift")
    drag(page, (1, 2), (2, 3))
    page.keyboard.up("Shift")
    expect_rows(page, "####/=#../=#../=###/=###/=###")
    for _ in range(4):
        do(page, "undo")
    expect_rows(page, FULL)
    expect(page.locator('#editor [data-do="undo"]')).to_be_disabled()
    for _ in range(4):
        do(page, "redo")
    expect_rows(page, "####/=#../=#../=###/=###/=###")
    expect(page.locator("#editor .pg")).to_have_attribute("data-checked", "true")
    expect(page.locator('#editor [data-fact="share"]')).to_have_text("62.5 %")


def test_a_selection_is_painted_moved_and_repeated(browser: Browser, url: str, errors: list[str]) -> None:
    page = opened(browser, url, errors)
    do(page, "select")
    drag(page, (1, 0), (1, 3))
    do(page, "skip")
    expect_rows(page, "####/..../####/####/####/####")
    drag(page, (1, 2), (3, 2))  # inside the selection: it moves
    expect_rows(page, "####/####/####/..../####/####")
    expect(page.locator('#editor [data-fact="scope"]')).to_contain_text("Step 3")
    do(page, "earlier")
    expect_rows(page, "####/####/..../####/####/####")
    do(page, "deselect")
    drag(page, (1, 0), (2, 3))
    do(page, "repeat")
    expect_rows(page, "####/####/..../####/..../####")
    do(page, "copy", "deselect", "mirror")
    expect_rows(page, "####/..../####/..../####/####")


SIX_SKIPPED = "document.querySelector('#editor .pg').dataset.rows.split('.').length === 7"


def test_the_whole_way_by_keys(browser: Browser, url: str, errors: list[str]) -> None:
    page = opened(browser, url, errors)
    page.locator("#editor .pg-stage").focus()
    press = page.keyboard.press
    for key in ("Home", "PageDown", "ArrowRight", "ArrowRight", "ArrowUp", "2"):
        press(key)
    expect_rows(page, "####/####/#=##/####/####/####")
    assert live(page).startswith("step 2, block 0 attn2, cached, age 1, 4.2% of MACs saved")
    press("4")
    assert "locked" in live(page)
    for key in ("Control+a", "3"):
        press(key)
    expect_rows(page, "..../.#../.=../..../..../....")  # the locked cell stays, and has its source
    for key in ("Control+z", "Control+z", "Escape", "u", "n"):
        press(key)
    expect_rows(page, "####/..../####/..../####/....")
    for key in ("Control+z", "Home", "ArrowRight", "t", "3", "Escape", "Control+c", "End", "Control+v"):
        press(key)
    expect_rows(page, "####/#.##/#=##/####/####/#.##")
    for key in ("Control+z", "Control+z"):
        press(key)
    expect_rows(page, "####/####/#=##/####/####/####")
    for key in ("Escape", "k", "Enter"):
        press(key)
    page.wait_for_function(SIX_SKIPPED)
    for key in ("Control+z", "Control+y"):
        press(key)
    page.wait_for_function(SIX_SKIPPED)
    press("?")
    expect(page.locator("#editor .pg-help")).to_be_visible()


def test_touch_paints(browser: Browser, url: str, errors: list[str]) -> None:
    page = opened(browser, url, errors, has_touch=True, viewport={"width": 420, "height": 900}, device_scale_factor=2)
    page.locator('#editor [data-do="skip"]').tap()
    page.touchscreen.tap(*centre(page, 1, 1))
    expect_rows(page, "####/#.##/####/####/####/####")
    session = page.context.new_cdp_session(page)
    for kind, step in (("touchStart", 2), ("touchMove", 3), ("touchMove", 4)):
        x, y = centre(page, step, 3)
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect_rows(page, "####/#.##/###./###./###./####")
    canvas = page.evaluate("(c => [c.width, c.clientWidth])(document.querySelector('#editor .pg-base'))")
    assert canvas[0] == 2 * canvas[1]


def test_a_finger_hits_a_cell_on_a_narrow_screen(browser: Browser, url: str, errors: list[str]) -> None:
    page = opened(browser, url, errors, "n=20x14", has_touch=True, viewport={"width": 420, "height": 900})
    left, _, width, height = map(float, (page.get_attribute("#editor .pg", "data-frame") or "").split())
    assert min(width, height) >= 24  # px, as WCAG 2.2 wants it
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    page.locator("#editor .pg-pan").press("End")
    page.wait_for_function("document.querySelector('#editor .pg-scroll').scrollLeft > 100")
    page.locator('#editor [data-do="skip"]').tap()
    page.touchscreen.tap(*centre(page, 19, 5, 14))
    page.wait_for_function("document.querySelector('#editor .pg').dataset.rows.endsWith('#####.########')")
    page.locator("#editor .pg-stage").press("Home")  # the cursor stays in sight
    page.wait_for_function("(x) => document.querySelector('#editor .pg-scroll').scrollLeft < x", arg=left)


def test_numbers_are_shown_and_switched(browser: Browser, url: str, errors: list[str]) -> None:
    page = opened(browser, url, errors, f"n=4x3&measured=1&rows={quote('###/#==/#=./###')}")
    picture = "document.querySelector('#editor .pg-base').toDataURL()"
    seen = {page.evaluate(picture)}
    scales = {}
    for name in ("age", "macs", "similarity", "caching", "skipping"):
        do(page, f"show-{name}")
        seen.add(page.evaluate(picture))
        scales[name] = (page.inner_text('#editor [data-fact="low"]'), page.inner_text('#editor [data-fact="high"]'))
    assert len(seen) == 6
    assert scales["age"] == ("0 steps", "2 steps")
    assert scales["caching"] == ("1.0 %", "3.0 %")  # the root of 1e-4 at age 1, three times that at age 3
    assert scales["skipping"] == ("50 %", "50 %")
    page.mouse.move(*centre(page, 2, 1, 3))
    for text in ("Step 2, t 333, block attn2", "cached, age 2", "2.0 %", "50 %"):
        expect(page.locator("#editor .pg-inspect")).to_contain_text(text)
    # 1 - sqrt((1e-4 + 1e-4 + 4e-4 + 0.25) / 12)
    expect(page.locator('#editor [data-fact="closeness"]')).to_have_text("85.5 %")


def test_what_was_not_measured_is_not_offered(browser: Browser, url: str, errors: list[str]) -> None:
    page = opened(browser, url, errors)
    for name in ("similarity", "caching", "skipping"):
        expect(page.locator(f'#editor [data-do="show-{name}"]')).to_be_disabled()


@pytest.mark.parametrize(("width", "ratio"), [(1440, 2), (420, 1)])
def test_a_large_grid_is_sharp_whole_and_painted(
    browser: Browser, url: str, errors: list[str], width: int, ratio: int
) -> None:
    page = opened(
        browser, url, errors, "n=100x120", viewport={"width": width, "height": 900}, device_scale_factor=ratio
    )
    for name in ("base", "over"):  # as many pixels as the screen has in the place of the canvas
        sizes = "(c) => [c.width, c.height, c.getBoundingClientRect().width, c.getBoundingClientRect().height]"
        *pixels, wide, high = page.locator(f"#editor .pg-{name}").evaluate(sizes)
        assert pixels == [ratio * wide, ratio * high]
    edges = page.evaluate(
        """() => {
          const canvas = document.querySelector("#editor .pg-base"), {width, height} = canvas;
          const pixels = (...box) => canvas.getContext("2d").getImageData(...box).data;
          const ink = (...box) => pixels(...box).filter((_, i) => i % 4 === 3).some(Boolean);
          const sides = [[0, 0, 1, height], [width - 1, 0, 1, height], [0, height - 1, width, 1]];
          return [...sides, [0, 0, width, height]].map((box) => ink(...box));
        }"""
    )
    assert edges == [False, False, False, True]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    do(page, "skip", "box")
    drag(page, (1, 118), (4, 119), 120)  # at the top left, which is in sight
    skipped = "#" * 118 + ".."
    expect_rows(page, "/".join(["#" * 120] + [skipped] * 4 + ["#" * 120] * 95))
    expect(page.locator("#editor .pg")).to_have_attribute("data-checked", "true")


def test_every_button_has_a_name_and_every_key_one_meaning(browser: Browser, url: str, errors: list[str]) -> None:
    page = opened(browser, url, errors)
    buttons = page.evaluate(
        """() => Array.from(document.querySelectorAll("#editor [data-do]"), (button) =>
             [button.dataset.do, button.title, (button.getAttribute("aria-label") || button.textContent).trim()])"""
    )
    assert len({name for name, _, _ in buttons}) == len(buttons) > 25
    assert all(title and spoken for _, title, spoken in buttons)
    do(page, "help")
    keys = [key for text in page.locator("#editor .pg-help dt").all_inner_texts()[1:] for key in text.split(", ")]
    assert len(keys) == len(set(keys)) > 20


def test_what_cached_cells_reuse_is_chosen_undone_and_told(browser: Browser, url: str, errors: list[str]) -> None:
    page = opened(browser, url, errors, "grown=1&n=3x4&rows=" + quote("####/#==#/####"))
    grid = page.locator("#editor .pg")
    expect(grid).to_have_attribute("data-carry", "residual")
    do(page, "carry-output")
    expect(grid).to_have_attribute("data-carry", "output")
    expect(page.locator('#editor [data-do="carry-output"]')).to_have_attribute("aria-pressed", "true")
    expect(page.locator('#editor [data-fact="hint"]')).to_contain_text("last output")
    page.focus("#editor .pg-stage")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert "block 0 ff, cached output, age 1" in live(page)
    assert "skip branch from block 0 attn2" in live(page)
    page.keyboard.press("Control+z")
    expect(grid).to_have_attribute("data-carry", "residual")
    page.keyboard.press("c")
    expect(grid).to_have_attribute("data-carry", "output")
    expect(grid).to_have_attribute("data-checked", "true")
    expect_rows(page, "####/#==#/####")


def test_a_cell_computes_a_share_of_its_tokens(browser: Browser, url: str, errors: list[str]) -> None:
    page = opened(browser, url, errors, "grown=1&n=2x4")
    grid = page.locator("#editor .pg")
    page.select_option("#editor .pg-ratio", "0.6")
    do(page, "step")
    drag(page, (1, 0), (1, 0))
    expect(grid).to_have_attribute("data-keep", "1,1,1,1/0.6,0.6,0.6,0.6")
    expect(grid).to_have_attribute("data-checked", "true")
    expect(page.locator('#editor [data-fact="share"]')).to_have_text("80.0 %")
    page.focus("#editor .pg-stage")
    page.keyboard.press("End")
    page.keyboard.press("-")
    expect(grid).to_have_attribute("data-keep", "1,1,1,1/0.5,0.6,0.6,0.6")
    assert "computed on 50% of the tokens" in live(page)
    page.keyboard.press("2")
    expect(grid).to_have_attribute("data-keep", "1,1,1,1/1,0.6,0.6,0.6")
    for _ in range(3):
        page.keyboard.press("Control+z")
    expect(grid).to_have_attribute("data-keep", "")
    expect_rows(page, "####/####")


def test_a_model_without_routers_is_offered_no_shares(browser: Browser, url: str, errors: list[str]) -> None:
    page = opened(browser, url, errors)
    expect(page.locator("#editor .pg-ratio")).to_be_hidden()
    page.focus("#editor .pg-stage")
    page.keyboard.press("-")
    expect(page.locator("#editor .pg")).to_have_attribute("data-keep", "")
