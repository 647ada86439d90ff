"""Every chart in the page: one sentence, three files, both modes, and a click on a cell that the grid answers."""

import csv
import io
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from mddit_ui.charts.style import DARK, LIGHT
from mddit_ui.core.policy import Policy
from tests.ui.conftest import App
from tests.ui.test_app import LONG, expect_rows, tab
from tests.ui.test_points import MORE, kept

MAPS = ("Between steps", "Between blocks", "Residual size", "Sensitivity")
STEPS, BLOCKS = 6, 4

TEXTS = """plot => [...plot.querySelectorAll("svg.main-svg text")].filter((text) => text.textContent.trim())
  .map((text) => getComputedStyle(text).fill)"""
PAPER = """plot => { for (let node = plot; node; node = node.parentElement) {
  const colour = getComputedStyle(node).backgroundColor; if (!/, 0\\)$/.test(colour)) return colour; } return ""; }"""
CELL = """(plot, [step, block]) => { const {xaxis, yaxis} = plot._fullLayout, box = plot.getBoundingClientRect();
  return [box.left + xaxis._offset + xaxis.d2p(plot.data[0].x ? plot.data[0].x[step] : step),
    box.top + yaxis._offset + yaxis.d2p(plot.data[0].y ? plot.data[0].y[block] : block)]; }"""


def drawn(page: Page, chart: str) -> None:
    page.locator(f"#{chart}").scroll_into_view_if_needed()
    expect(page.locator(f"#{chart} .js-plotly-plot .main-svg").first).to_be_visible(timeout=LONG)


def saved(page: Page, chart: str, kind: str, folder: Path) -> bytes:
    with page.expect_download() as download:
        page.click(f'#{chart} [data-save="{kind}"]')
    assert download.value.suggested_filename == f"{chart.replace('chart-', 'mddit-')}.{kind}"
    download.value.save_as(folder / kind)
    return (folder / kind).read_bytes()


def luminance(colour: np.ndarray) -> float:
    """WCAG's relative luminance of (3,) sRGB, 0 to 255."""
    parts = colour / 255
    return float(np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


def rgb(text: str) -> np.ndarray:
    return np.array([float(part) for part in re.findall(r"[\d.]+", text)[:3]])


def contrasts(page: Page, chart: str) -> list[float]:
    """Of all words of a chart with what they stand on."""
    plot = page.locator(f"#{chart} .pc-plot")
    paper = luminance(rgb(plot.evaluate(PAPER)))
    pairs = [sorted((luminance(rgb(fill)), paper)) for fill in plot.evaluate(TEXTS)]
    return [(high + 0.05) / (low + 0.05) for low, high in pairs]


def check(page: Page, chart: str, folder: Path, least_rows: int) -> None:
    """What is promised of every chart."""
    drawn(page, chart)
    read = page.inner_text(f"#{chart} .pc-read")
    assert re.fullmatch(r"[A-Z][^.!?]*(\.\d[^.!?]*)*\.", read), read  # one sentence

    for paper in (LIGHT.surface, DARK.surface):
        raw = saved(page, chart, "png", folder)
        size = page.locator(f"#{chart} .pc-plot").evaluate("plot => [plot.clientWidth, plot.clientHeight]")
        assert raw.startswith(b"\x89PNG\r\n\x1a\n")
        with Image.open(io.BytesIO(raw)) as image:
            assert list(image.size) == [2 * side for side in size]
            assert image.convert("RGB").getpixel((1, 1)) == tuple(bytes.fromhex(paper[1:]))
        words = contrasts(page, chart)
        assert len(words) > 3
        assert min(words) >= 4.5, (chart, paper, words)
        page.click("#mode")  # light, then dark; then light again
        page.wait_for_function(INK, arg=[chart, (DARK if paper == LIGHT.surface else LIGHT).ink_soft])

    svg = ET.fromstring(saved(page, chart, "svg", folder))
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(list(svg.iter("{http://www.w3.org/2000/svg}text"))) > 3
    head, *rows = csv.reader(io.StringIO(saved(page, chart, "csv", folder).decode()))
    assert head == ["series", "x", "y", "value", "label"]
    assert len(rows) >= least_rows
    assert {len(row) for row in rows} == {5}


INK = "([chart, ink]) => document.querySelector(`#${chart} .pc-plot`)._fullLayout.font.color === ink"


@pytest.mark.slow  # the model is measured, and timed; thirty files
def test_every_chart_of_understand(app: App, tmp_path: Path) -> None:
    page = app.page()
    tab(page, "Understand")
    check(page, "chart-macs", tmp_path, STEPS + BLOCKS)
    page.click("#measure")
    for kind in MAPS:
        before = page.locator("#chart-similarity .pc-read").text_content() or ""
        if kind != MAPS[0]:
            page.locator("#map-kind label", has_text=kind).click()
            expect(page.locator("#chart-similarity .pc-read")).not_to_have_text(before)
        check(page, "chart-similarity", tmp_path, STEPS * BLOCKS)

    # A click on a cell: the grid comes into view and points at it.
    plot = page.locator("#chart-similarity .pc-plot")
    for step, block in ((3, 1), (5, 2)):
        plot.scroll_into_view_if_needed()
        page.mouse.click(*plot.evaluate(CELL, [step, block]))
        expect(page.locator("#editor .pg-stage")).to_be_in_viewport()
        where = page.locator('#editor [data-fact="where"]')
        expect(where).to_contain_text(re.compile(rf"Step {step}\b.*, block {block}$"))

    # What was measured stays with another policy of as many steps.
    Policy.from_rows(["####"] * 2 + ["===="] * 4, name="from the shelf", model="tiny-pixart").save(
        app.policies / "shelf.json"
    )
    tab(page, "Library")
    page.locator("#library-list .cd-card", has_text="from the shelf").locator(".cd-load").click()
    expect_rows(page, "####/####/====/====/====/====")
    page.click('#editor [data-do="show-similarity"]')
    expect(page.locator('#editor [data-fact="closeness"]')).to_contain_text("%")

    tab(page, "Understand")
    page.click("#time-steps")
    check(page, "chart-time", tmp_path, 2 * STEPS)
    expect(page.locator("#chart-time .legend")).to_contain_text("from the shelf")
    page.click("#smooth-measure")
    check(page, "chart-smooth-steps", tmp_path, STEPS - 1)
    check(page, "chart-surface", tmp_path, 81)


@pytest.mark.slow  # fifteen files
def test_every_chart_of_a_search_and_of_a_visit(app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MDDIT_DATA", str(app.data))
    page = app.page(f"?job={kept(*MORE)}")
    tab(page, "Search")
    evaluated = 2 + len(MORE)  # one more was without finite pictures
    drawn(page, "chart-depth")
    fill = page.locator("#chart-depth .cbfills rect").first.evaluate("rect => rect.style.fill")
    assert fill.startswith('url("#'), fill  # or the colours go when the page's address changes
    for chart, rows in (
        ("chart-front", evaluated),
        ("chart-curve", evaluated),
        ("chart-depth", STEPS * BLOCKS),
        ("chart-shares", 3 * (STEPS + BLOCKS)),
    ):
        check(page, chart, tmp_path, rows)
    page.click("#generate")
    expect(page.locator('#pair .pv[data-state="done"]')).to_be_visible(timeout=LONG)
    tab(page, "Compare")
    check(page, "chart-runs", tmp_path, 2)
