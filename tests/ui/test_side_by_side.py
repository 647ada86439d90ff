"""Two policies side by side: previews while they run, four ways to look at them, and the table of the visit's runs."""

import base64
import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig
from mddit_ui.ui.state import Session, pack
from tests.ui.conftest import App
from tests.ui.test_app import CAPTION, LONG, expect_rows, tab
from tests.ui.test_skip_cache import choose

STEPS = 60  # enough of them to see several previews of a model that takes milliseconds a step
MINE = Policy.from_rows(["####", "#==#"] * (STEPS // 2), name="mine")
OTHER = Policy.from_rows(["####", "#..#", "#..#"] * (STEPS // 3), name="other", model="tiny-pixart")
SIDES = ("full", "policy")  # left and right, by the names of the style sheet

WATCH = """() => { const pair = document.querySelector("#pair .pv"); window.previews = {full: new Set(), policy: new Set()};
  new MutationObserver(() => { if (pair.dataset.state !== "busy") return;
    for (const side of ["full", "policy"]) { const {src} = pair.querySelector(".pv-" + side + " img"); if (src) window.previews[side].add(src); }
  }).observe(pair, {subtree: true, attributes: true, attributeFilter: ["src"]}); }"""  # noqa: E501
DIFFERENCE = """() => { const canvas = document.querySelector("#pair .pv-diff");
  return canvas.width && Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data); }"""


def generate(page: Page, count: int) -> Locator:
    """Press the button; so many pairs when they are done. There were more or fewer of them before."""
    page.click("#generate")
    expect(page.locator(f'#pair .pv[data-state="done"][data-count="{count}"]')).to_be_visible(timeout=LONG)
    expect(page.locator("#generate")).to_be_visible(timeout=LONG)
    return page.locator("#pair")


def picture(pair: Locator, side: str) -> np.ndarray:
    """The first one of a side, as numbers; pictures that are done lose nothing on the way."""
    source = pair.locator(f".pv-{side} img").first.get_attribute("src") or ""
    with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def column(page: Page, title: str) -> list[str]:
    table = page.locator("#runs-table")
    place = table.locator("thead tr > *").all_inner_texts().index(title)
    return [row.locator("td").nth(place).inner_text() for row in table.locator("tbody tr").all()]


def shares(page: Page) -> list[float]:
    return [float(text.removesuffix(" %")) for text in column(page, "MACs")]


@pytest.mark.slow  # ten runs of the model
def test_two_policies_side_by_side(app: App, tmp_path: Path) -> None:
    OTHER.save(app.policies / "other-one.json")
    config = GenerationConfig(prompts=(CAPTION,) * 4, seeds=(3, 4, 5, 6), steps=STEPS, height=64, width=64)
    page = app.page("?s=" + pack(Session("tiny-pixart", MINE, config)))
    choose(page, "rival", "library: other")
    page.evaluate(WATCH)
    pair = generate(page, 4)

    # Both panes were seen to become pictures, step by step.
    seen = page.evaluate("[window.previews.full.size, window.previews.policy.size]")
    assert min(seen) >= 3, seen

    # Neither is full depth; four seeds, the numbers of the pair.
    assert pair.locator("thead th").all_inner_texts()[1:3] == ["other", "mine"]
    assert pair.locator(".pv-item").count() == 4
    assert [text.split(" · ")[0] for text in pair.locator(".pv-caption").all_inner_texts()] == [
        f"seed {seed}" for seed in config.seeds
    ]
    assert pair.locator("tbody th").all_inner_texts() == ["Time", "MACs", "CLIP score"]
    expect(pair.locator(".pv-facts")).to_contain_text("PSNR")

    # The slider, by keys: at its left end all is the policy, at its right end all is the rival.
    policy = pair.locator(".pv-policy").first
    for key, cut in (("Home", "0%"), ("End", "100%")):
        pair.locator(".pv-range").first.press(key)
        expect(policy).to_have_css("clip-path", f"inset(0px 0px 0px {cut})")

    # Side by side, none lies on the other; blinking, the left one comes and goes.
    mode = pair.locator(".pv-modes")
    mode.get_by_text("Side by side").click()
    left, right = (pair.locator(f".pv-{side}").first.bounding_box() for side in SIDES)
    assert left is not None
    assert right is not None
    assert left["x"] + left["width"] < right["x"]
    mode.get_by_text("Blink").click()
    for visible in ("hidden", "visible", "hidden"):
        expect(policy).to_have_css("visibility", visible)

    # The difference, four times as bright.
    mode.get_by_text("Difference").click()
    page.wait_for_function(DIFFERENCE)
    drawn = np.array(page.evaluate(DIFFERENCE)).reshape(64, 64, 4)
    full, own = picture(pair, "full"), picture(pair, "policy")
    assert (full != own).any()
    np.testing.assert_array_equal(drawn[..., :3], np.minimum(255, 4 * abs(full - own)))
    mode.get_by_text("Slider").click()

    # One to three seeds, in fewer steps; what comes then is a pair of its own.
    page.fill("#steps input", "4")
    page.press("#steps input", "Enter")
    expect_rows(page, "/".join(MINE.resample(steps=4).rows))
    for count in (3, 2, 1):
        page.locator("#count label", has_text=str(count)).click()
        expect(generate(page, count).locator(".pv-item")).to_have_count(count)

    # All eight runs are in the table, which sorts by numbers and by words, down and up.
    tab(page, "Compare")
    table = page.locator("#runs-table")
    expect(table.locator("tbody tr")).to_have_count(8)
    assert column(page, "Run") == [str(number) for number in range(8, 0, -1)]
    head = table.locator("th", has_text="MACs")
    for way in ("descending", "ascending"):
        head.get_by_role("button").click()
        expect(head).to_have_attribute("aria-sort", way)
        assert shares(page) == sorted(shares(page), reverse=way == "descending")
    assert len(set(shares(page))) == 2
    table.locator("th", has_text="Policy").get_by_role("button").click()
    assert column(page, "Policy") == ["mine"] * 4 + ["other"] * 4

    # As CSV.
    with page.expect_download() as download:
        page.click("#export-csv")
    download.value.save_as(tmp_path / "runs.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "runs.csv").read_text())))
    assert [row["policy"] for row in rows] == ["other", "mine"] * 4
    assert [row["compared_with"] for row in rows] == ["", "other"] * 4
    assert [row["seeds"] for row in rows[::2]] == ["3 4 5 6", "3 4 5", "3 4", "3"]
    assert sorted(round(100 * float(row["budget"]), 1) for row in rows) == sorted(shares(page))

    # After a reload they are there still; the first pair comes back with its policy, its seeds and its pictures.
    app.reload(page)
    expect(pair.locator(".pv-item")).to_have_count(0)
    tab(page, "Compare")
    expect(table.locator("tbody tr")).to_have_count(8)
    table.get_by_role("button", name="Restore 2", exact=True).click()
    expect_rows(page, "/".join(MINE.rows))
    expect(pair.locator(".pv-item")).to_have_count(4)
    assert pair.locator("thead th").all_inner_texts()[1:3] == ["other", "mine"]
    expect(page.locator("#count input:checked")).to_have_value("4")
    expect(page.locator("#steps input")).to_have_value(str(STEPS))
    np.testing.assert_array_equal(picture(pair, "policy"), own)
    np.testing.assert_array_equal(picture(pair, "full"), full)
