"""One click to Skip-Cache on the model that was made for it, beside the model without skip branches."""

import pytest
from playwright.sync_api import Page, expect

from mddit_ui.core.presets import skip_cache
from tests.ui.conftest import App
from tests.ui.test_app import LONG, expect_rows

STEPS, BLOCKS = 20, 14  # of both models


def choose(page: Page, box: str, option: str) -> None:
    page.click(f"#{box} input")
    page.get_by_role("option", name=option, exact=True).click()


@pytest.mark.slow  # the real models: two pictures of 20 steps
def test_skip_cache_by_one_click_beside_the_model_without_branches(app: App) -> None:
    page = app.page()
    choose(page, "model", "Scenes (Skip-DiT)")
    expect_rows(page, "/".join(["#" * BLOCKS] * STEPS))
    grid = page.locator("#editor .pg")
    expect(grid).to_have_attribute("data-carry", "residual")

    page.locator("#preset label", has_text="Skip-Cache").click()
    policy = skip_cache(STEPS, BLOCKS, n=3, b=2)
    expect_rows(page, "/".join(policy.rows))
    expect(page.locator("#policy-name input, #policy-name textarea")).to_have_value(policy.name)

    # The grid says which tensor its cached cells carry: by a button, in words, and for one cell.
    expect(grid).to_have_attribute("data-carry", "output")
    expect(page.locator('#editor [data-do="carry-output"]')).to_have_attribute("aria-pressed", "true")
    expect(page.locator('#editor [data-fact="held"]')).to_have_text("Outputs held")
    expect(page.locator('#editor [data-fact="hint"]')).to_contain_text("hand on the block's last output")
    page.locator("#editor .pg-stage").press("End")
    for key in ("PageDown", "ArrowUp", "ArrowUp"):
        page.keyboard.press(key)
    expect(page.locator('#editor [data-fact="live"]')).to_contain_text("step 19, block 2, cached output, age 1")
    expect(page.locator("#editor .pg-cell")).to_contain_text("Skip branch")

    choose(page, "rival", "this policy on Scenes (PixArt)")
    page.click("#generate")
    pair = page.locator("#pair")
    expect(pair.locator('.pv[data-state="done"]')).to_be_visible(timeout=LONG)
    names = ["scenes-pixart", "scenes-skip"]  # the policy has the same name on both sides
    assert pair.locator("thead th").all_inner_texts()[1:3] == names
    assert pair.locator("figcaption").all_text_contents() == names
    assert pair.locator("tbody th").all_inner_texts() == ["Time", "MACs", "CLIP score"]
    numbers = pair.locator("tbody td").all_inner_texts()
    assert all(any(letter.isdigit() for letter in text) for text in numbers), numbers
    expect(pair.locator(".pv-facts")).to_contain_text("PSNR")
    expect(pair.locator(".pv-facts")).to_contain_text("Cache held")
    left, right = pair.locator("img").evaluate_all("images => images.map((image) => image.src)")
    assert left.startswith("data:image/webp;base64,")
    assert right.startswith("data:image/webp;base64,")
    assert left != right
