"""A browser, and the app in a process of its own with the tiny models."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from mddit_ui.bench.serving import ARGUMENTS, serving

CHROMIUM = Path("/usr/bin/chromium")


@dataclass
class App:
    """A running app: its address, its folders, and how to open a page that collects what the console says."""

    url: str
    data: Path
    policies: Path
    browser: Browser
    said: list[str] = field(default_factory=list)

    def page(self, query: str = "", width: int = 1440, tour: bool = False) -> Page:
        """A fresh visitor's page, when the grid is there; the tour is done already."""
        context = self.browser.new_context(viewport={"width": width, "height": 1000}, locale="en-GB")
        if not tour:
            context.add_init_script("localStorage.setItem('mddit-tour', 'done')")
        page = context.new_page()
        self.listen(page)
        page.goto(self.url + query)
        ready(page)
        return page

    def reload(self, page: Page) -> None:
        """The page again. What it says while it is left isn't heard: answers on their way are broken off then."""
        said = list(self.said)
        page.reload(wait_until="domcontentloaded")
        self.said[:] = said
        ready(page)

    def listen(self, page: Page) -> None:
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.said.append(f"page error: {error}"))
        page.on("dialog", lambda dialog: (self.said.append(f"dialog: {dialog.message}"), dialog.dismiss()))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.said.append(f"{message.type}: {message.text}")


def surroundings(folder: Path, models: Path, **more: str) -> dict[str, str]:
    """The environment of an app with the tiny models, which writes into ``folder`` and offers its verbs as tools."""
    own = {"MDDIT_DATA": "data", "MDDIT_POLICIES": "policies", "GRADIO_TEMP_DIR": "gradio"}
    folders = {name: str(folder / part) for name, part in own.items()}
    known = {"MDDIT_MODELS": str(models), "MDDIT_MODEL": "tiny-pixart", "MDDIT_MCP": "1", "MDDIT_PROCESSES": "1"}
    return {**os.environ, **folders, **known, **more}


def ready(page: Page) -> None:
    """The grid of the app is there, and so is what comes after it: whoever reloads earlier breaks that off."""
    grid_ready(page)
    page.wait_for_selector('body[data-restored="true"]', timeout=180_000)


def grid_ready(page: Page) -> None:
    page.wait_for_selector('#editor .pg[data-ready="true"]', timeout=180_000)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{CHROMIUM} is missing, and CI has to run these tests.")
        pytest.skip(f"{CHROMIUM} is missing; install Chromium to run these tests.")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        expect.set_options(timeout=30_000)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def served(tiny_models: Path, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app as a person starts it, on a free port, with folders of its own."""
    folder = tmp_path_factory.mktemp("app")
    log = folder / "app.log"
    with serving(surroundings(folder, tiny_models), log) as (url, _):
        yield App(url, folder / "data", folder / "policies", browser)
    assert "Traceback" not in log.read_text(), log.read_text()[-4000:]


@pytest.fixture
def app(served: App) -> Iterator[App]:
    """The running app; a test fails when the console of one of its pages reports an error."""
    served.said.clear()
    yield served
    said = list(served.said)  # not what a page says of answers that its closing breaks off
    for context in served.browser.contexts:
        context.close()
    assert said == []
