"""Screenshots of the app with a generated pair, for the documents and for judging how it looks.

``mddit bench screens OUT [--model ID] [--search N] [--caption TEXT]`` starts the app on a free port and
writes ``OUT/<width>-<mode>-<tab>.png``; ``mddit bench screens docs/gallery --gallery`` makes the pictures of
``docs/gallery.md``. Needs Chromium (``$CHROMIUM``, else ``/usr/bin/chromium``) and playwright.
"""

import argparse
import io
import os
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from mddit_ui.bench.serving import browser, serving

WIDTHS = (1440, 1024, 420)
MODES = ("light", "dark")
GALLERY = frozenset(
    ("1440-light-understand", "1440-light-search", "1440-dark-compare", "1440-light-library")
)  # what docs/gallery.md shows
TABS = ("Understand", "Search", "Compare", "Library")
SEARCH_CAPTIONS = 4  # so few, that a search for a picture takes two minutes
GALLERY_EVALUATIONS = 16
PATIENCE = 300_000  # ms


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="mddit bench screens", description="Screenshots of the app.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="", help="id of the model (default: that of the first visit)")
    parser.add_argument("--caption", default="")
    parser.add_argument("--preset", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--search",
        type=int,
        help=f"run a search of this many evaluations first (gallery: {GALLERY_EVALUATIONS}, else 0)",
    )
    parser.add_argument("--data", type=Path, help="folder with runs and searches to show (default: an empty one)")
    parser.add_argument("--gallery", action="store_true", help="only the pictures of docs/gallery.md, as WEBP")
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--modes", nargs="+", default=MODES, choices=MODES)
    wanted = parser.parse_args(arguments)
    if wanted.search is None:
        wanted.search = GALLERY_EVALUATIONS if wanted.gallery else 0
    wanted.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "MDDIT_DATA": str(wanted.data or folder)}
        if wanted.model:
            environment["MDDIT_MODEL"] = wanted.model
        take(wanted, environment, Path(folder) / "app.log")
    return 0


def take(wanted: argparse.Namespace, environment: dict[str, str], log: Path) -> None:
    """Start the app, use it, and write the pictures."""
    with serving(environment, log) as app, browser() as chromium:
        page = chromium.new_page(viewport={"width": wanted.widths[0], "height": 1000}, device_scale_factor=1)
        page.add_init_script("localStorage.setItem('mddit-tour', 'done')")
        page.goto(app.url)
        page.wait_for_selector('#editor .pg[data-ready="true"]', timeout=PATIENCE)
        prepare(page, wanted)
        for width in wanted.widths:
            page.set_viewport_size({"width": width, "height": 1000})
            for mode in wanted.modes:
                page.evaluate("dark => document.body.classList.toggle('dark', dark)", mode == "dark")
                shoot(page, wanted.out, f"{width}-{mode}", GALLERY if wanted.gallery else None)


def prepare(page: Any, wanted: argparse.Namespace) -> None:
    """Generate pairs, measure every cell, search."""
    if wanted.caption:
        page.fill("#prompt textarea", wanted.caption)
    if wanted.preset:
        page.locator("#preset label", has_text=wanted.preset).click()
    page.fill("#seed input", str(wanted.seed))
    generate(page)
    page.locator("#count label", has_text="4").click()
    page.locator("#preset label", has_text="Every n-th step").click()
    generate(page)
    page.get_by_role("tab", name="Understand", exact=True).click()
    page.click("#measure")
    page.wait_for_selector("#chart-similarity .js-plotly-plot", timeout=PATIENCE)
    page.click("#time-steps")
    page.wait_for_selector("#chart-time .js-plotly-plot", timeout=PATIENCE)
    if wanted.search:
        page.get_by_role("tab", name="Search", exact=True).click()
        captions = page.input_value("#search-prompts textarea").splitlines()[:SEARCH_CAPTIONS]
        page.fill("#search-prompts textarea", "\n".join(captions))
        page.fill("#search-evaluations input", str(wanted.search))
        page.fill("#search-least input", "30")
        page.click("#search-start")
        page.wait_for_selector("#search-status >> text=Finished", timeout=20 * PATIENCE)
        page.focus("#chart-front .pc-plot")
        page.keyboard.press("End")
        page.keyboard.press("Enter")
        page.wait_for_selector('#front-pair .pv[data-state="done"]', timeout=PATIENCE)
        page.click("#search-take")


def generate(page: Any) -> None:
    """Press the button, and wait for the pictures."""
    page.wait_for_timeout(800)  # what was set before is on its way
    page.click("#generate")
    page.wait_for_selector('#pair .pv[data-state="busy"]', timeout=PATIENCE)
    page.wait_for_selector('#pair .pv[data-state="done"]', timeout=PATIENCE)


def shoot(page: Any, out: Path, name: str, only: frozenset[str] | None = None) -> None:
    """The page with each of its tabs open; of a gallery ``only`` some, as WEBP."""
    for title in TABS:
        full = f"{name}-{title.lower()}"
        if only is not None and full not in only:
            continue
        page.get_by_role("tab", name=title, exact=True).click()
        page.wait_for_timeout(1500)  # charts and fonts settle
        page.evaluate("window.scrollTo(0, document.body.scrollHeight)")  # charts are drawn when they come near
        page.wait_for_timeout(1500)
        page.evaluate("window.scrollTo(0, 0)")
        png = page.screenshot(full_page=True)
        if only is None:
            (out / f"{full}.png").write_bytes(png)
        else:
            Image.open(io.BytesIO(png)).save(out / f"{full}.webp", "WEBP", quality=82, method=6)
