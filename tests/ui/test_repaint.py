"""Repainting a part: what a browser or a program may send, and the form in a browser."""

import base64
import io
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image
from playwright.sync_api import Page, expect

from mddit_ui.core.errors import ConfigError
from mddit_ui.core.records import GenerationConfig
from mddit_ui.ui import repaint
from tests.ui.conftest import App
from tests.ui.test_app import CAPTION, LONG

CONFIG = GenerationConfig(prompts=(CAPTION,), steps=4, height=64, width=64)


def url(array: np.ndarray, form: str = "PNG") -> str:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, form)
    return f"data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def noise(height: int = 64, width: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def box(height: int = 64, width: int = 64) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    mask[16:40, 8:32] = 255
    return mask


def test_a_picture_of_the_right_size_is_taken_as_it_is() -> None:
    part = repaint.part_of(url(noise()), url(box()))
    assert part is not None
    fitted = part.fitted(CONFIG)
    np.testing.assert_array_equal(fitted.images[0], noise())
    np.testing.assert_array_equal(fitted.masks[0], box() > 0)
    plain = url(noise()).partition(",")[2]
    same = repaint.part_of(plain, url(box()))
    assert same is not None
    assert same.fitted(CONFIG).digest == fitted.digest
    assert repaint.part_of(None, "") is None


def test_another_one_is_scaled_and_cut_around_the_middle() -> None:
    picture, mask = np.zeros((128, 256, 3), np.uint8), np.zeros((128, 256), np.uint8)
    picture[:, 64:192] = 200  # the square in the middle
    mask[64:, 64:128] = 255  # its lower left quarter
    part = repaint.part_of(url(picture), url(mask))
    assert part is not None
    fitted = part.fitted(CONFIG)
    assert (fitted.images[0, 4:-4, 4:-4] == 200).all()
    assert fitted.masks[0, 36:, :28].all()
    assert not fitted.masks[0, :28].any()
    assert not fitted.masks[0, :, 36:].any()


BROKEN = url(noise())[:-400] + "===="
BAD: dict[str, tuple[Any, Any, str]] = {
    "no mask": (url(noise()), None, "needs both"),
    "no picture": (None, url(box()), "needs both"),
    "two sizes": (url(noise(64, 32)), url(box()), "32 x 64 pixels, its mask 64 x 64"),
    "no base64": ("data:image/png;base64,<b>", url(box()), "The picture is none that can be read"),
    "no picture in it": ("data:image/png;base64,AAAA", url(box()), "The picture is none that can be read"),
    "cut off": (BROKEN, url(box()), "The picture is none that can be read"),
    "no text": (7, url(box()), "The picture is too large"),
    "another format": (url(noise(), "GIF"), url(box()), "PNG, WebP or JPEG"),
    "too long": ("A" * (repaint.MAX_TEXT + 1), url(box()), "too large"),
    "too wide": (url(np.zeros((4, repaint.MAX_SIDE + 1, 3), np.uint8)), url(box()), "2048 pixels a side"),
}


@pytest.mark.parametrize(("image", "mask", "said"), BAD.values(), ids=BAD)
def test_what_is_no_picture_is_refused_in_words(image: Any, mask: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        repaint.part_of(image, mask)
    with pytest.raises(gr.Error, match=said):
        repaint.Repaint().preprocess({"image": image, "mask": mask})


def test_a_picture_without_a_mark_is_refused() -> None:
    part = repaint.part_of(url(noise()), url(np.zeros((64, 64), np.uint8)))
    assert part is not None
    with pytest.raises(ConfigError, match="Mark the part"):
        part.fitted(CONFIG)


def test_the_verb_repaints(served: App) -> None:
    client = Client(served.url, verbose=False)
    more: dict[str, Any] = {"seed": 3, "steps": 4, "api_name": "/generate"}
    made = client.predict("tiny-pixart", [CAPTION], image=url(noise()), mask=url(box()), **more)
    with Image.open(io.BytesIO(base64.b64decode(made["images"][0].partition(",")[2]))) as image:
        pixels = np.asarray(image)
    np.testing.assert_array_equal(pixels[box() == 0], noise()[box() == 0])
    assert not np.array_equal(pixels[box() > 0], noise()[box() > 0])
    with pytest.raises(AppError, match="needs both"):
        client.predict("tiny-pixart", [CAPTION], image=url(noise()), **more)


def shown(page: Page) -> list[np.ndarray]:
    """The two pictures of the pair, as they came."""
    sources = page.eval_on_selector_all("#pair .pv-one img", "images => images.map((image) => image.src)")
    pictures = [Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) for source in sources]
    return [np.asarray(picture.convert("RGB")) for picture in pictures]


@pytest.mark.slow  # three times the model, and a visit
def test_a_part_is_marked_and_painted_anew(app: App, tmp_path: Path) -> None:
    file = tmp_path / "noise.png"
    Image.fromarray(noise()).save(file)
    page = app.page()
    page.fill("#prompt textarea", CAPTION)
    page.get_by_role("button", name="Repaint a part").click()
    page.click('#repaint [data-do="last"]')
    expect(page.locator("#repaint .rp-say")).to_contain_text("no picture yet")
    page.set_input_files("#repaint .rp-file", file)
    expect(page.locator("#repaint .rp-say")).to_contain_text("Mark the part")
    page.click("#generate")
    expect(page.get_by_text("Mark the part of the picture that is to be painted anew, or")).to_be_visible(timeout=LONG)
    expect(page.locator("#generate")).to_be_visible(timeout=LONG)

    picture = page.locator("#repaint .rp-over")
    picture.scroll_into_view_if_needed()
    frame = picture.bounding_box()
    assert frame is not None
    page.mouse.move(frame["x"] + 0.2 * frame["width"], frame["y"] + 0.2 * frame["height"])
    page.mouse.down()
    page.mouse.move(frame["x"] + 0.5 * frame["width"], frame["y"] + 0.2 * frame["height"], steps=3)
    page.mouse.up()
    by_mouse = float(page.get_attribute("#repaint .rp", "data-marked") or 0)
    assert 5 < by_mouse < 15
    page.mouse.move(5, 5)
    picture.focus()  # the brush begins in the middle
    page.keyboard.press("ArrowDown")
    expect(page.locator("#repaint .rp-say")).to_contain_text("50% from the left, 59% from the top")
    page.keyboard.press("Space")
    assert float(page.get_attribute("#repaint .rp", "data-marked") or 0) > by_mouse
    page.click('#repaint [data-tool="erase"]')
    picture.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    assert float(page.get_attribute("#repaint .rp", "data-marked") or 0) == pytest.approx(by_mouse, abs=0.1)

    page.click("#generate")
    expect(page.locator('#pair .pv[data-state="done"]')).to_be_visible(timeout=LONG)
    expect(page.locator("#pair .pv-status")).to_contain_text("painted anew")
    for made in shown(page):
        changed = (made != noise()).any(-1)
        assert changed.mean() == pytest.approx(by_mouse / 100, abs=0.01)
        assert changed[10:16, 16:30].mean() > 0.9  # what the mouse went over
        assert not changed[24:].any()

    page.click('#repaint [data-do="remove"]')
    page.click("#generate")
    expect(page.locator("#pair .pv-status")).to_have_text("", timeout=LONG)
    expect(page.locator('#pair .pv[data-state="done"]')).to_be_visible(timeout=LONG)
    assert (shown(page)[0] != noise()).any(-1).mean() > 0.9
