"""The library in the page: cards with the drawn grid, tags, filters; masks of others; a picture and a script."""

import ast
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from mddit_ui.charts.style import LIGHT
from mddit_ui.core.policy import Policy, actions_from_rows
from mddit_ui.core.policy_json import loads
from mddit_ui.core.records import GenerationConfig
from mddit_ui.service import catalog
from mddit_ui.ui.state import Session, pack
from tests.ui.conftest import App
from tests.ui.test_app import CAPTION, LONG, expect_rows, tab

ROWS = ("####", "#.##", "#==#", "####", "====", "####")
MINE = Policy.from_rows(ROWS, name="on a shelf")
BLOCKS = tuple(f"transformer_blocks.{block}" for block in range(4))
COLOURS = {"#": LIGHT.compute, "=": LIGHT.cache, ".": LIGHT.surface}

# The colour in the middle of each cell of a card's little grid, step after step, the first block first.
CELLS = """(canvas, [steps, blocks]) => { const context = canvas.getContext("2d"), ratio = window.devicePixelRatio || 1;
  const pad = 6 * ratio, w = (canvas.width - 2 * pad) / steps, h = (canvas.height - 2 * pad) / blocks;
  const at = (step, block) => context.getImageData(pad + (step + 0.5) * w, canvas.height - pad - (block + 0.5) * h, 1, 1).data;
  return Array.from({length: steps}, (_, step) => Array.from({length: blocks}, (_, block) =>
    "#" + Array.from(at(step, block).slice(0, 3), (value) => value.toString(16).padStart(2, "0")).join(""))); }"""  # noqa: E501


def card(page: Page, title: str) -> Locator:
    return page.locator("#library-list .cd-card", has=page.get_by_role("heading", name=title, exact=True))


def upload(page: Page, file: Path) -> None:
    page.locator('input[type="file"]').first.set_input_files(file)


@pytest.mark.slow  # three files, and a visit
def test_a_policy_is_shelved_found_and_taken_elsewhere(app: App, tmp_path: Path) -> None:
    Policy.from_rows(["##", "=="], name="of two blocks", model="another-model").save(app.policies / "two.json")
    config = GenerationConfig(prompts=(CAPTION,), steps=6, height=64, width=64)
    page = app.page("?s=" + pack(Session("tiny-pixart", MINE, config)))
    tab(page, "Library")
    page.fill("#library-tags input, #library-tags textarea", "fast, for slides, fast")
    page.click("#library-save")

    # A card: the grid as it is drawn, budget, provenance, tags.
    mine = card(page, "on a shelf")
    expect(mine).to_be_visible()
    drawn = mine.locator("canvas").evaluate(CELLS, [6, 4])
    assert drawn == [[COLOURS[letter] for letter in row] for row in ROWS]
    assert mine.locator(".cd-tags span").all_inner_texts() == ["fast", "for slides"]
    facts = mine.locator(".cd-facts").inner_text()
    assert page.inner_text('#editor [data-fact="share"]') in facts
    assert "6 steps × 4 blocks" in facts
    assert "mddit_ui" in facts

    # Filters: by tag, by model, by what fits.
    other = card(page, "of two blocks")
    for fill, here, gone in (("slides", mine, other), ("two blocks", other, mine)):
        page.fill("#library-list .cd-find", fill)
        expect(here).to_be_visible()
        expect(gone).to_have_count(0)
    page.fill("#library-list .cd-find", "")
    page.select_option("#library-list .cd-model", "another-model")
    expect(other).to_be_visible()
    expect(mine).to_have_count(0)
    page.select_option("#library-list .cd-model", "")
    page.check("#library-list .cd-only input")
    expect(mine).to_be_visible()
    expect(other).to_have_count(0)

    # Elsewhere: a script that is Python and holds the policy, its file, and the grid as a picture for slides.
    script = page.locator("#snippet").inner_text()
    ast.parse(script)
    assert "tiny-pixart" in script
    assert all(row in script for row in ROWS)
    with page.expect_download() as download:
        page.click("#library-download")
    assert loads(download.value.path().read_text()).rows == ROWS
    with page.expect_download() as download:
        page.click('#editor [data-do="png"]')
    assert download.value.suggested_filename.endswith(".png")
    raw = download.value.path().read_bytes()
    assert raw.startswith(b"\x89PNG\r\n\x1a\n")
    with Image.open(io.BytesIO(raw)) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    for colour in (LIGHT.surface, LIGHT.compute, LIGHT.cache):
        assert (pixels == list(bytes.fromhex(colour[1:]))).all(1).sum() > 100, colour


# As ECAD writes it: every part of a block, at every step; true where it is computed anew.
SECOND = {"attn1": True, "attn2": False, "ff": True}
ECAD = {
    "cache_schedule": {
        "num_blocks": 4,
        "num_inference_steps": 6,
        "name": "from ECAD",
        "schedule": {
            f"{step:03}": {
                str(block): {part: not step % 2 or kept for part, kept in SECOND.items()} for block in range(4)
            }
            for step in range(6)
        },
    }
}
CACHE_DIT = """
cache_config:
  Fn_compute_blocks: 1
  Bn_compute_blocks: 1
  num_inference_steps: 6
  steps_computation_mask: [1, 1, 0, 1, 0, 0]
  steps_computation_policy: static
"""


@pytest.mark.slow  # two runs of the model
def test_masks_of_other_projects_are_uploaded_and_run(app: App, tmp_path: Path) -> None:
    """Of whole blocks they go into the grid of blocks; of parts of blocks, the grid takes a row for each part."""
    page = app.page()
    grid, share = page.locator("#editor .pg"), page.locator('#editor [data-fact="share"]')
    (tmp_path / "mask.yaml").write_text(CACHE_DIT)
    upload(page, tmp_path / "mask.yaml")
    expect_rows(page, "####/####/#==#/####/#==#/#==#")

    (tmp_path / "ecad.json").write_text(json.dumps(ECAD))
    upload(page, tmp_path / "ecad.json")
    odd = "#=#" * 4
    rows = "/".join(["#" * 12, odd] * 3)
    expect_rows(page, rows)
    expect(page.locator("#policy-name input, #policy-name textarea")).to_have_value("from ECAD")
    finer = catalog.describe("tiny-pixart", 6).branches
    assert finer is not None
    expect(share).to_have_text(f"{100 * finer.mac_table.budget(actions_from_rows(rows.split('/'))):.1f} %")
    page.locator("#editor .pg-stage").press("Home")
    for key in ("PageDown", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    expect(page.locator('#editor [data-fact="live"]')).to_contain_text("step 1, block 0 attn2, cached, age 1")

    # It is painted on like any other, the server counts it, it runs, and is saved with its columns.
    page.keyboard.press("1")
    painted = rows.replace(odd, "###" + odd[3:], 1)
    expect_rows(page, painted)
    expect(grid).to_have_attribute("data-checked", "true")
    page.click("#generate")
    expect(page.locator('#pair .pv[data-state="done"]')).to_be_visible(timeout=LONG)
    macs = page.locator("#pair tbody tr", has_text="MACs")
    expect(macs).to_contain_text("fewer")
    page.click("#library-save")
    tab(page, "Library")
    expect(card(page, "from ECAD")).to_contain_text("6 steps × 12 blocks")
    saved = next(policy for policy in map(Policy.load, app.policies.glob("from-ecad*.json")))
    assert ("/".join(saved.rows), saved.sites[:3]) == (painted, tuple(f"{BLOCKS[0]}.{part}" for part in SECOND))

    # A preset is of blocks again; the card brings the parts back.
    page.locator("#preset label", has_text="Full depth").click()
    expect_rows(page, "/".join(["####"] * 6))
    card(page, "from ECAD").locator(".cd-load").click()
    expect_rows(page, painted)

    # A mask for another model is refused in words.
    (tmp_path / "other.json").write_text(
        json.dumps({"attn-0": [1, 0], "mlp-0": [1, 0], "attn-9": [1, 1], "mlp-9": [1, 1]})
    )
    upload(page, tmp_path / "other.json")
    expect(page.get_by_text("'attn-9' names no branch of this model")).to_be_visible()
    expect_rows(page, painted)
