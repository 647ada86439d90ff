"""The app is killed while a search runs: started again on the same folder, it finds the search by its link."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from mddit_ui.bench.serving import free_port, serving
from mddit_ui.service import searches
from tests.ui.conftest import ready, surroundings
from tests.ui.test_app import CAPTION, LONG, tab


def done(page: Page) -> int:
    found = re.search(r"(\d+) of 5000", page.inner_text("#search-status"))
    assert found is not None
    return int(found[1])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Of both apps; no search outlives the test."""
    yield tmp_path
    monkeypatch.setenv("MDDIT_DATA", str(tmp_path / "data"))
    for row in searches.recent():
        searches.stop(row.id)


@pytest.mark.slow  # the app starts twice, and the search once
def test_a_search_goes_on_through_the_death_of_the_app(browser: Browser, tiny_models: Path, folder: Path) -> None:
    environment, log, port = surroundings(folder, tiny_models), folder / "app.log", free_port()
    page = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()
    page.add_init_script("localStorage.setItem('mddit-tour', 'done')")
    with serving(environment, log, port=port) as (url, process):
        page.goto(url)
        ready(page)
        tab(page, "Search")
        page.fill("#search-prompts textarea", f"{CAPTION}\na small blue ring at the top")
        page.fill("#search-evaluations input", "5000")
        page.click("#search-start")
        expect(page.locator("#search-take")).to_be_enabled(timeout=3 * LONG)  # two processes load the model
        page.wait_for_url(re.compile(r"job=[0-9a-f]{32}"))
        link, before = page.url, done(page)
        process.send_signal(signal.SIGKILL)
        process.wait()
    page.context.close()

    other = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()  # somebody else's, by the link
    other.add_init_script("localStorage.setItem('mddit-tour', 'done')")
    with serving(environment, log, port=port):
        other.goto(link)
        ready(other)
        tab(other, "Search")
        status = other.locator("#search-status")
        expect(status).to_contain_text("Running", timeout=LONG)
        seen = done(other)
        assert seen >= before
        expect(status).not_to_contain_text(f"{seen} of 5000", timeout=LONG)  # it moves on
        other.click("#search-stop")
        expect(status).to_contain_text("Stopped", timeout=LONG)
        assert done(other) > seen
    other.context.close()
    assert "Traceback" not in log.read_text(), log.read_text()[-4000:]
