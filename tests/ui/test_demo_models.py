"""The four-step model and the one that draws classes, painted, generated and searched as the first model is."""

import pytest
from playwright.sync_api import expect

from mddit_ui.core.presets import every
from tests.ui.conftest import App
from tests.ui.test_app import LONG, expect_rows, rows, tab
from tests.ui.test_skip_cache import choose

SEARCHED = 600_000  # ms: the worker of a search gives way to everybody else


@pytest.mark.slow  # the real models: pictures, and a search of a few policies
@pytest.mark.parametrize(
    ("title", "steps", "blocks"),
    [("Scenes (LCM, 4 steps)", 4, 14), ("Scenes (DiT, by class)", 20, 8)],
)
def test_a_demo_model_is_painted_generated_and_searched(app: App, title: str, steps: int, blocks: int) -> None:
    page = app.page()
    choose(page, "model", title)
    expect_rows(page, "/".join(["#" * blocks] * steps))
    page.locator("#preset label", has_text="Every").click()
    policy = every(steps, blocks, 3)
    expect_rows(page, "/".join(policy.rows))

    page.click("#generate")
    pair = page.locator("#pair")
    expect(pair.locator('.pv[data-state="done"]')).to_be_visible(timeout=LONG)
    assert pair.locator("figcaption").all_text_contents()[1] == policy.name
    assert pair.locator("tbody th").all_inner_texts() == ["Time", "MACs", "CLIP score"]
    numbers = pair.locator("tbody td").all_inner_texts()
    assert all(any(letter.isdigit() for letter in text) for text in numbers), numbers

    tab(page, "Search")
    expect(page.locator(".m-nothing").first).to_be_visible()
    expect(page.locator("#search-results")).to_be_hidden()  # until there is something to show
    page.fill("#search-evaluations input", "4")
    page.click("#search-start")
    expect(page.locator("#search-status")).to_contain_text("Finished", timeout=SEARCHED)
    expect(page.locator("#search-status")).to_contain_text("4 of 4")
    expect(page.locator("#search-results")).to_be_visible()
    page.click("#search-take")
    expect_rows(page, rows(page, "live-grid"))
    assert len(rows(page).split("/")) == steps
