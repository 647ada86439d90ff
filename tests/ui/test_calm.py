"""Whoever asks for less motion gets none: nothing on the page is animated, and the cells of a grid don't flash."""

import pytest
from playwright.sync_api import Page, expect

from tests.ui.conftest import App, ready
from tests.ui.test_app import LONG, drag, expect_rows, tab

# Every animation and transition that lasts, of style sheets and of scripts, from the first moment on.
WATCH = """window.moved = new Set();
const note = (animation, what) => {
  const {activeDuration} = animation.effect ? animation.effect.getComputedTiming() : {activeDuration: 0};
  if (activeDuration > 1) window.moved.add(what + " " + (animation.effect.target || {}).className);
};
const look = () => { document.getAnimations().forEach((each) => note(each, each.animationName || each.transitionProperty || "script")); requestAnimationFrame(look); };
requestAnimationFrame(look);"""  # noqa: E501
# How much ink of cells that flash was on the grid in any frame from now on, and how many kinds of frames there were.
FLASHES = """() => { const canvas = document.querySelector("#editor .pg-over"), {width, height} = canvas; window.inks = new Set();
  const ink = () => { window.inks.add(canvas.getContext("2d").getImageData(0, 0, width, height).data.reduce((a, b) => a + b, 0));
    requestAnimationFrame(ink); };
  ink(); }"""  # noqa: E501


def moved(page: Page) -> list[str]:
    return page.evaluate("[...window.moved]")


@pytest.mark.slow  # two pages, a run of the model
@pytest.mark.parametrize("asked", ["reduce", "no-preference"])
def test_nothing_moves_for_those_who_ask_for_it(app: App, asked: str) -> None:
    context = app.browser.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion=asked)  # type: ignore[arg-type]
    page = context.new_page()
    page.add_init_script(WATCH)
    app.listen(page)
    page.goto(app.url)
    ready(page)
    tour = page.locator("#tour .tr")
    expect(tour).to_be_visible()
    for _ in range(4):
        page.click("#tour .tr-next")

    page.click('#editor [data-do="skip"]')
    drag(page, (1, 1), (3, 1))
    painted = "####/#.##/#.##/#.##/####/####"
    expect_rows(page, painted)
    page.mouse.move(1, 1)
    expect(page.locator('#editor [data-fact="where"]')).to_have_text("")
    page.locator('#editor [data-do="undo"]').focus()
    page.evaluate(FLASHES)
    page.keyboard.press("Enter")  # the three cells fade out
    expect_rows(page, "/".join(["####"] * 6))
    if asked != "reduce":
        page.wait_for_function("window.inks.size > 2")
    page.click("#generate")
    expect(page.locator('#pair .pv[data-state="done"]')).to_be_visible(timeout=LONG)
    for title in ("Search", "Compare", "Library", "Understand"):
        tab(page, title)
    page.locator("#preset label", has_text="Every n-th step").hover()
    page.locator("#preset label", has_text="Every n-th step").click()
    page.fill("#steps input", "0")
    page.press("#steps input", "Enter")  # a toast
    expect(page.get_by_text("give a whole number from 1 to 200")).to_be_visible()
    assert bool(moved(page)) == (asked != "reduce"), moved(page)
    if asked == "reduce":
        assert page.evaluate("[...window.inks]") == [0]
