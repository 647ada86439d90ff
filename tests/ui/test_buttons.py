"""The buttons of a running search: each is pressed, and what it promises is looked for."""

import re

import pytest
from playwright.sync_api import expect

from tests.ui.conftest import App
from tests.ui.test_app import CAPTION, LONG, rows, tab


@pytest.mark.slow  # three processes, each of which loads the model
def test_a_search_is_paused_resumed_and_stopped(app: App) -> None:
    page = app.page()
    tab(page, "Search")
    page.fill("#search-prompts textarea", f"{CAPTION}\na small blue ring at the top")
    page.fill("#search-evaluations input", "5000")
    for button in ("pause", "resume", "stop"):
        expect(page.locator(f"#search-{button}")).to_be_disabled()
    page.click("#search-start")
    status = page.locator("#search-status")
    expect(page.locator("#search-take")).to_be_enabled(timeout=LONG)

    page.click("#search-pause")
    expect(status).to_contain_text("Paused", timeout=LONG)
    expect(page.locator("#search-pause")).to_be_disabled()
    expect(page.locator("#search-resume")).to_be_enabled()
    paused = re.search(r"(\d+) of 5000", status.inner_text())
    assert paused is not None

    page.click("#search-resume")
    expect(status).to_contain_text("Running", timeout=LONG)
    expect(page.locator("#search-pause")).to_be_enabled()
    expect(status).not_to_contain_text(f"{paused[1]} of 5000", timeout=LONG)  # it goes on where it was

    page.click("#search-stop")
    expect(status).to_contain_text("Stopped", timeout=LONG)
    for button in ("pause", "stop"):
        expect(page.locator(f"#search-{button}")).to_be_disabled()
    assert rows(page, "live-grid")
