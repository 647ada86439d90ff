"""The app in the environment of a Space: read-only library, listed models, quotas, and one folder for all it writes."""

import os
import urllib.request
from pathlib import Path

import pytest
import yaml
from gradio_client import Client
from gradio_client.exceptions import AppError

from mddit_ui.bench.serving import serving
from mddit_ui.core.paths import ROOT
from mddit_ui.core.policy import Policy
from tests.tiny import PROMPTS

# What ZeroGPU's own package does, as far as the app can tell: arguments and results are copied between processes.
SPACES = """
import functools, os, pathlib, pickle

def GPU(duration=60):
    def decorate(work):
        @functools.wraps(work)
        def call(*args, **more):
            args, more = pickle.loads(pickle.dumps((args, more)))
            with (pathlib.Path(os.environ["MDDIT_DATA"]) / "gpu.txt").open("a") as calls:
                calls.write(f"{work.__module__}.{work.__name__} {duration}\\n")
            return pickle.loads(pickle.dumps(work(*args, **more)))
        return call
    return decorate

def gradio_auto_wrap(handler):  # Gradio asks for it
    return handler
"""


def snapshot(folder: Path) -> dict[Path, int]:
    """What a run could have changed: names and times; caches of Python and of the type checker are not the app's."""
    kept = (path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".pyc", ".pyi"))
    return {path: path.stat().st_mtime_ns for path in kept}


@pytest.mark.slow
def test_a_space_with_zero_gpu_writes_into_its_data_folder_only(tiny_models: Path, tmp_path: Path) -> None:
    home, hub, data, temporary, packages = (tmp_path / name for name in ("home", "hub", "written", "tmp", "packages"))
    for folder in (home, hub, temporary, packages):
        folder.mkdir()
    (packages / "spaces.py").write_text(SPACES)
    hub.chmod(0o555)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GRADIO")},
        **{"SPACE_ID": "someone/space", "SYSTEM": "spaces", "SPACE_HOST": "someone-space.hf.space"},
        **{"SPACES_ZERO_GPU": "true", "PYTHONPATH": str(packages), "MDDIT_GPU_SECONDS": "33", "MDDIT_MAX_STEPS": "5"},
        **{"HOME": str(home), "HF_HOME": str(hub), "TMPDIR": str(temporary), "MDDIT_DATA": str(data)},
        **{"MDDIT_MODELS": str(tiny_models), "MDDIT_MODEL": "tiny-pixart"},
    }
    watched = [ROOT / "saved_policies", ROOT / "assets" / "prompts", ROOT / ".gradio", tiny_models]
    before = [snapshot(folder) for folder in watched]
    log = tmp_path / "app.log"
    with serving(environment, log) as (url, _):
        client = Client(url, verbose=False)
        rows = list(Policy.from_rows(["####", "====", "####"]).rows)
        assert client.predict("tiny-pixart", [PROMPTS[0]], rows, 0, 3, api_name="/generate")["images"]
        assert client.predict("tiny-pixart", [PROMPTS[0]], rows, 0, 3, api_name="/evaluate")["psnr"] > 0
        with pytest.raises(AppError, match="5 steps at most"):
            client.predict("tiny-pixart", [PROMPTS[0]], None, 0, 6, api_name="/generate")
        with pytest.raises(AppError, match="models of the list"):
            client.predict("someone/else", [PROMPTS[0]], None, 0, 3, api_name="/generate")
        assert urllib.request.urlopen(url).status == 200
    assert "/mddit_ui/" not in log.read_text(), log.read_text()[
        -4000:
    ]  # a trace of ours; Gradio misses parts of the fake
    calls = (data / "gpu.txt").read_text().splitlines()
    assert calls == [
        f"mddit_ui.service.{work} 33" for work in ("generate.generate", "generate.score", "evaluate.evaluate")
    ]
    assert [snapshot(folder) for folder in watched] == before
    written = [path for folder in (home, hub, temporary) for path in folder.rglob("*") if path.is_file()]
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
