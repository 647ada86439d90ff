"""Locked cells in the whole app: a preset leaves them, a reload and a link bring them back, a search is given them."""

from playwright.sync_api import Page, expect

from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig
from mddit_ui.ui.state import Session, pack
from tests.ui.conftest import App
from tests.ui.test_app import drag, expect_rows, tab


def expect_locked(page: Page, count: str) -> None:
    """The numbers beside the grid come after its picture."""
    expect(page.locator('#editor [data-count="lock"]')).to_have_text(count)


# The browser keeps the session a moment after the last stroke: once it was written again, and then no more for a while.
COUNT_SAVES = """() => { const set = Storage.prototype.setItem; window.saves = 0;
  Storage.prototype.setItem = function (...given) {
    window.saves += 1; window.savedAt = performance.now(); return set.apply(this, given); }; }"""
SAVED = "(before) => window.saves > before && performance.now() - window.savedAt > 1500"


def test_locked_cells_stay(app: App) -> None:
    policy = Policy.from_rows(["####", "#.##", "####", "####", "####", "####"])
    config = GenerationConfig(prompts=("a large red ball",), steps=6, height=64, width=64)
    page = app.page(
        "?s=" + pack(Session("tiny-pixart", policy, config, ("????", "?.??", "????", "????", "????", "????")))
    )
    expect_rows(page, "/".join(policy.rows))
    expect_locked(page, "1")

    page.click('#editor [data-do="compute"]')
    drag(page, (1, 0), (1, 3))
    expect_rows(page, "/".join(policy.rows))
    page.locator("#preset label", has_text="Every n-th step").click()
    expect_rows(page, "####/=.==/====/####/====/====")
    expect_locked(page, "1")

    page.evaluate(COUNT_SAVES)
    page.click('#editor [data-do="lock"]')
    drag(page, (4, 2), (4, 3))
    expect_locked(page, "3")
    expect(page.locator("#editor .pg")).to_have_attribute("data-checked", "true")
    page.wait_for_function(SAVED, arg=0)
    tab(page, "Library")
    expect(page.locator("#snippet")).to_contain_text("====")
    page.click('#editor [data-do="skip"]')
    drag(page, (5, 0), (5, 0))
    expect(page.locator("#snippet")).to_contain_text(".===")  # the script comes with what the browser keeps
    app.reload(page)
    expect_rows(page, "####/=.==/====/####/====/.===")
    expect_locked(page, "3")
    page.click('#editor [data-do="unlock"]')
    expect_locked(page, "")
