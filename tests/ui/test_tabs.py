"""Two tabs of one browser on the same search: both follow it, and closing one loses nothing."""

import re

import pytest
from playwright.sync_api import Page, expect

from mddit_ui.service import searches
from mddit_ui.store import searches as store
from mddit_ui.store.db import open_db
from tests.ui.conftest import App, ready
from tests.ui.test_app import CAPTION, LONG, expect_rows, rows, tab

MANY = 5000


def done(page: Page) -> int:
    found = re.search(rf"(\d+) of {MANY}", page.inner_text("#search-status"))
    return int(found[1]) if found else 0


def follows(page: Page) -> None:
    """The numbers of the page move without anybody touching it."""
    status = page.locator("#search-status")
    expect(status).to_contain_text("Running", timeout=LONG)
    expect(status).not_to_contain_text(re.compile(rf"\b{done(page)} of {MANY}"), timeout=LONG)


@pytest.mark.slow  # processes that load the model
def test_two_tabs_follow_one_search(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MDDIT_DATA", str(app.data))
    first = app.page()
    tab(first, "Search")
    first.fill("#search-prompts textarea", f"{CAPTION}\na small blue ring at the top")
    first.fill("#search-evaluations input", str(MANY))
    first.click("#search-start")
    first.wait_for_url(re.compile(r"job=[0-9a-f]{32}"))
    search = first.url[-32:]
    try:
        expect(first.locator("#search-take")).to_be_enabled(timeout=LONG)
        second = first.context.new_page()
        app.listen(second)
        second.goto(app.url)  # no link: the browser remembers the search
        ready(second)
        tab(second, "Search")
        for page in (first, second):
            follows(page)

        first.close()
        follows(second)
        second.click("#search-pause")
        expect(second.locator("#search-status")).to_contain_text("Paused", timeout=LONG)
        kept = store.get(open_db(), search)
        assert len(store.evaluations(open_db(), search)) == kept.done
        assert kept.best is not None
        expect_rows(second, "/".join(kept.best.policy_rows), "live-grid")

        third = second.context.new_page()
        app.listen(third)
        third.goto(f"{app.url}?job={search}")
        ready(third)
        tab(third, "Search")
        expect(third.locator("#search-status")).to_contain_text(f"{kept.done} of {MANY}", timeout=LONG)
        assert rows(third, "live-grid") == "/".join(kept.best.policy_rows)
        third.click("#search-stop")
        for page in (second, third):
            expect(page.locator("#search-status")).to_contain_text("Stopped", timeout=LONG)
    finally:
        searches.stop(search)
