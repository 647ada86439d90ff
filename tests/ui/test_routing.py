"""The panel of token routing: what a model has learned, and which patches it keeps, for models with routers alone."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from mddit_ui.core.errors import ConfigError, ModelError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig
from mddit_ui.service import catalog
from mddit_ui.ui.parts import view_of
from mddit_ui.ui.state import Session, pack
from mddit_ui.ui.tabs import routing
from tests.routed import RATIOS, save_routed
from tests.ui.conftest import App
from tests.ui.test_app import CAPTION, LONG, expect_rows
from tests.ui.test_charts_in_the_page import check

STEPS = 4


@pytest.fixture(scope="module")
def model(tiny_models: Path, tiny_pixart: str) -> str:
    """Among the models of the app."""
    save_routed(tiny_models / "tiny-routed", tiny_pixart)
    return "tiny-routed"


def test_the_panel_is_there_for_models_with_routers(model: str, tiny_pixart: str) -> None:
    panel, *others = routing.updates(catalog.get_model(tiny_pixart), view_of(tiny_pixart, None, STEPS, "default"))
    assert not panel.visible
    assert len(others) + 1 == len(routing.Panel._fields)
    panel, target, chart, tokens = routing.updates(catalog.get_model(model), view_of(model, None, STEPS, "default"))
    assert panel.visible
    assert target.choices == [("80%", "tiny-routed 0.8"), ("50%", "tiny-routed 0.5")]
    assert target.value == "tiny-routed 0.5"
    np.testing.assert_allclose(np.array(chart.make(False).data[0].z, float), RATIOS, rtol=1e-6)
    assert chart.read.count(".") == 1
    assert tokens == routing.NOT_RUN


def test_other_targets_and_models_are_refused(model: str, tiny_pixart: str) -> None:
    with pytest.raises(ConfigError, match=r"not learned the target 0\.6"):
        routing.ratios_chart(model, 0.6)
    with pytest.raises(ModelError, match="no token routers"):
        routing.ratios_chart(tiny_pixart, 0.5)
    for chosen in (None, "", model, f"{model} x", 7):
        with pytest.raises((ConfigError, ModelError)):
            routing._of(chosen)


def test_patches_lie_over_the_picture() -> None:
    kept = np.random.default_rng(0).integers(0, 2, (3, 2, 4, 4)).astype(float)
    picture = np.full((64, 64, 3), 90, np.uint8)
    for dark in (False, True):
        figure = routing.tokens_chart(kept, picture, ["0", "1"]).make(dark)
        assert len(figure.frames) == 3
        assert figure.layout.images[0].source.startswith("data:image/webp;base64,")


@pytest.mark.slow  # a visit, and a run of another model
def test_every_chart_of_a_model_with_routers(app: App, model: str, tiny_pixart: str, tmp_path: Path) -> None:
    policy = Policy.from_rows(["####", "#=##", "####", "##.#"])
    config = GenerationConfig(prompts=(CAPTION,), steps=STEPS, height=64, width=64)
    page = app.page("?s=" + pack(Session(model, policy, config)))
    panel = page.locator("#routing")
    expect(panel).to_be_visible(timeout=LONG)
    page.click("#routing-run")
    tokens = page.locator("#chart-tokens")
    expect(tokens.locator(".js-plotly-plot")).to_be_visible(timeout=LONG)
    expect(tokens.locator("output")).to_have_text("step 0 of 4")
    slider = tokens.locator('input[type="range"]')
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(tokens.locator("output")).to_have_text("step 1 of 4")
    veiled = "plot => plot.data[0].z.flat().filter((value) => value === 0).length"
    at_one = tokens.locator(".pc-plot").evaluate(veiled)
    assert at_one >= 16  # step 1 caches a block of 16 patches
    tokens.get_by_role("button", name="Play").click()
    expect(tokens.locator("output")).to_have_text("step 3 of 4")
    expect(tokens.get_by_role("button", name="Play")).to_be_visible()

    ratios = page.locator("#chart-ratios .pc-plot")
    expect(page.locator("#chart-ratios .js-plotly-plot")).to_be_visible(timeout=LONG)
    ratios.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#chart-ratios .pc-live")).to_have_text("block 3, t = 500-0, kept 0.7")
    page.locator("#routing-target label", has_text="80%").click()
    page.wait_for_function(
        "document.querySelector('#chart-ratios .pc-plot').data[0].z.flat().every((value) => value === 1)"
    )
    page.locator("#routing-target label", has_text="50%").click()
    page.click("#routing-take")
    expect_rows(page, "/".join(["####"] * STEPS))
    expect(page.locator("#policy-name input, #policy-name textarea")).to_have_value("learned ratios, target 0.5")
    check(page, "chart-ratios", tmp_path, sum(map(len, RATIOS)))
    check(page, "chart-tokens", tmp_path, 16)

    page.click("#smooth-beside input")
    page.get_by_role("option", name=catalog.get_model(tiny_pixart).title, exact=True).click()
    page.click("#smooth-measure")
    for chart in ("chart-surface", "chart-surface-beside"):
        check(page, chart, tmp_path, 81)
