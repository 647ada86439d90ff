"""Screenshots of the app with a generated pair, for the documents and for judging how it looks.

``mddit bench screens OUT [--model ID] [--search N] [--caption TEXT]`` starts the app on a free port and
writes ``OUT/<width>-<mode>[-tab].png``. Needs Chromium (``$CHROMIUM``, else ``/usr/bin/chromium``) and playwright.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mddit_ui.core.errors import MdditError
from mddit_ui.core.paths import ROOT

WIDTHS = (1440, 1024, 420)
MODES = ("light", "dark")
TABS = ("Understand", "Search", "Compare", "Library")
ARGUMENTS = ("--no-sandbox", "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking")
PATIENCE = 300_000  # ms


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="mddit bench screens", description="Screenshots of the app.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="", help="id of the model (default: that of the first visit)")
    parser.add_argument("--caption", default="")
    parser.add_argument("--preset", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--search", type=int, default=0, help="run a search of this many evaluations first")
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--modes", nargs="+", default=MODES, choices=MODES)
    wanted = parser.parse_args(arguments)
    wanted.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data, served(Path(data), wanted.model) as url, browser() as chromium:
        state: dict[str, Any] | None = None
        for width in wanted.widths:
            for mode in wanted.modes:
                context = chromium.new_context(
                    viewport={"width": width, "height": 1000}, device_scale_factor=1, storage_state=state
                )
                page = context.new_page()
                page.goto(f"{url}?__theme={mode}")
                page.wait_for_selector('#editor .pg[data-ready="true"]', timeout=PATIENCE)
                prepare(page, wanted, first=state is None)
                state = context.storage_state()
                shoot(page, wanted.out, f"{width}-{mode}")
                context.close()
    return 0


def prepare(page: Any, wanted: argparse.Namespace, first: bool) -> None:
    """Generate a pair, measure the similarity, and (once) search."""
    if wanted.caption:
        page.fill("#prompt textarea", wanted.caption)
    if wanted.preset and first:
        page.locator("#preset label", has_text=wanted.preset).click()
    page.fill("#seed input", str(wanted.seed))
    page.click("#generate")
    page.wait_for_selector('#pair .pv[data-state="done"]', timeout=PATIENCE)
    page.click("#measure")
    page.wait_for_selector("#chart-similarity .js-plotly-plot", timeout=PATIENCE)
    if wanted.search and first:
        page.get_by_role("tab", name="Search", exact=True).click()
        page.get_by_label("Evaluations").fill(str(wanted.search))
        page.click("#search-start")
        page.wait_for_selector("#search-status >> text=Finished", timeout=20 * PATIENCE)
        page.click("#search-take")


def shoot(page: Any, out: Path, name: str) -> None:
    """The page with each of its tabs open."""
    for title in TABS:
        page.get_by_role("tab", name=title, exact=True).click()
        page.wait_for_timeout(1500)  # charts and fonts settle
        page.screenshot(path=out / f"{name}-{title.lower()}.png", full_page=True)


@contextmanager
def served(data: Path, model: str) -> Iterator[str]:
    """The app in a process of its own, on a free port, with a data folder of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port), "MDDIT_DATA": str(data)}
    if model:
        environment["MDDIT_MODEL"] = model
    url = f"http://127.0.0.1:{port}/"
    process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + PATIENCE / 1000
        while True:
            try:
                with urllib.request.urlopen(url, timeout=5):
                    break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    raise MdditError("The app did not start; run `python app.py` to see why.") from None
                time.sleep(0.5)
        yield url
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        chromium = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield chromium
        chromium.close()
