"""The app in the environment of a Space: read-only library, listed models, quotas, and one folder for all it writes."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import yaml
from gradio_client import Client
from gradio_client.exceptions import AppError

from mddit_ui.core.paths import ROOT
from tests.tiny import PROMPTS

PATIENCE = 300  # seconds


def snapshot(folder: Path) -> dict[Path, int]:
    """What a run could have changed: names and times; caches of Python and of the type checker are not the app's."""
    kept = (path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".pyc", ".pyi"))
    return {path: path.stat().st_mtime_ns for path in kept}


@pytest.mark.slow
def test_a_space_writes_into_its_data_folder_only(tiny_models: Path, tmp_path: Path) -> None:
    home, data, temporary = tmp_path / "home", tmp_path / "written", tmp_path / "tmp"
    for folder in (home, temporary):
        folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GRADIO")},
        **{"SPACE_ID": "someone/space", "SYSTEM": "spaces", "SPACE_HOST": "someone-space.hf.space"},
        **{"GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1", "MDDIT_MAX_STEPS": "5"},
        **{"HOME": str(home), "TMPDIR": str(temporary), "MDDIT_DATA": str(data)},
        **{"MDDIT_MODELS": str(tiny_models), "MDDIT_MODEL": "tiny-pixart"},
    }
    watched = [ROOT / "saved_policies", ROOT / "assets" / "prompts", tiny_models]
    before = [snapshot(folder) for folder in watched]
    process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment)
    try:
        url, end = f"http://127.0.0.1:{port}/", time.monotonic() + PATIENCE
        while True:
            try:
                with urllib.request.urlopen(url, timeout=5):
                    break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.3)
        client = Client(url, verbose=False)
        assert client.predict("tiny-pixart", [PROMPTS[0]], None, 0, 3, api_name="/generate")["images"]
        with pytest.raises(AppError, match="5 steps at most"):
            client.predict("tiny-pixart", [PROMPTS[0]], None, 0, 6, api_name="/generate")
        with pytest.raises(AppError, match="models of the list"):
            client.predict("someone/else", [PROMPTS[0]], None, 0, 3, api_name="/generate")
        assert urllib.request.urlopen(url).status == 200
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    assert [snapshot(folder) for folder in watched] == before
    written = [path for path in (*home.rglob("*"), *temporary.rglob("*")) if path.is_file()]
    assert written == [], written


def test_the_front_matter_is_that_of_a_gradio_space() -> None:
    """Spaces reads the block at the top of the README."""
    import gradio

    _, block, _ = (ROOT / "README.md").read_text().split("---\n", 2)
    front = yaml.safe_load(block)
    assert front["sdk"] == "gradio"
    assert front["sdk_version"] == gradio.__version__
    assert (ROOT / front["app_file"]).is_file()
    assert len(front["short_description"]) <= 60
