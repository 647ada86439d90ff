"""Models that stand on no list: what they need is said before anything is loaded, and a folder opens by its path."""

import json
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, Page, expect

from mddit_ui.bench.serving import serving
from tests.ui.conftest import App, ready, surroundings
from tests.ui.test_app import CAPTION, LONG, expect_rows, tab

FULL = "/".join(["####"] * 20)  # a folder without a word about steps: what nothing says is left at the default
SIZES = {"transformer/model.safetensors": 2_000_000_000, "vae/model.safetensors": 400_000_000, "vae/config.json": 700,
         "transformer/model.fp16.safetensors": 1_000_000_000, "picture.png": 5_000_000}  # fmt: skip


def name(page: Page, model: str) -> None:
    """Type the name of a model."""
    box = page.locator("#model input")
    box.fill(model)
    box.press("Enter")


def test_a_folder_opens_by_its_path_and_a_hub_model_says_first_what_it_needs(
    app: App, tiny_models: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "my own model"  # as diffusers writes it, without a word of ours
    shutil.copytree(tiny_models / "tiny-pixart", mine)
    (mine / "mddit.json").unlink()
    page = app.page()
    before = "/".join(["####"] * 6)
    expect_rows(page, before)

    # This machine is set to work offline: so it says, loads nothing, and leaves the page as it was.
    name(page, "someone/large-model")
    ask = page.locator("#ask-model")
    expect(ask).to_contain_text("someone/large-model is not on this machine yet. How much it downloads is not known")
    expect(ask).to_contain_text("this machine is set to work offline")
    expect(page.locator("#model input")).to_have_value("tiny-pixart")
    expect_rows(page, before)
    page.click("#ask-yes")
    expect(page.get_by_text("is not on this machine, and this machine is set to work offline")).to_be_visible()
    page.click("#ask-no")
    expect(ask).to_be_hidden()
    expect_rows(page, before)

    name(page, str(mine))
    expect_rows(page, FULL)
    expect(ask).to_be_hidden()
    expect(page.locator("#model-card")).to_contain_text("my own model · 64 × 64 px")
    expect(page.locator("#model input")).to_have_value(str(mine))
    tab(page, "Library")
    expect(page.locator("#snippet")).to_contain_text(str(mine))
    page.fill("#steps input", "3")
    page.press("#steps input", "Enter")
    expect_rows(page, "####/####/####")
    page.fill("#prompt textarea", CAPTION)


class Hub(BaseHTTPRequestHandler):
    """Answers what the hub answers when it is asked for a model and the sizes of its files."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        files = [{"rfilename": file, "size": size} for file, size in SIZES.items()]
        model = {"_id": "0", "id": "someone/large-model", "modelId": "someone/large-model", "siblings": files}
        known = self.path.startswith("/api/models/someone/large-model")
        body = json.dumps(model if known else {"error": "Repository not found"}).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if not known:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on the screen."""


@pytest.fixture
def hub() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Hub) as server:
        server.asked = []  # type: ignore[attr-defined]
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.slow  # an app of its own
def test_what_a_hub_model_downloads_and_needs_is_said(
    browser: Browser, hub: HTTPServer, tiny_models: Path, tmp_path: Path
) -> None:
    more = {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(tmp_path / "hub"),
    }
    page = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()
    page.add_init_script("localStorage.setItem('mddit-tour', 'done')")
    log = tmp_path / "app.log"
    with serving(surroundings(tmp_path, tiny_models, **more), log) as (url, _):
        page.goto(url)
        ready(page)
        name(page, "someone/large-model")
        ask = page.locator("#ask-model")  # full precision; those of half precision are not loaded
        expect(ask).to_contain_text("someone/large-model downloads 2.4 GB once", timeout=LONG)
        expect(ask).to_contain_text("about 3.1 GB of memory")
        name(page, "someone/nothing")
        expect(ask).to_contain_text("the hub has no such model, or not for you", timeout=LONG)
        asked = [path.partition("?")[0] for path in hub.asked]  # type: ignore[attr-defined]
        assert {"/api/models/someone/large-model", "/api/models/someone/nothing"} <= set(asked)
        assert not [path for path in asked if "/resolve/" in path]  # no file of it
        page.context.close()
    assert "Traceback" not in log.read_text(), log.read_text()[-4000:]
