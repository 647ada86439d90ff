"""A hub that hangs: said within seconds, and what is on this machine is loaded without it."""

import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import close_session

from mddit_ui.core.errors import ModelError
from mddit_ui.models import hub
from mddit_ui.models.loading import load
from mddit_ui.models.registry import get_model
from mddit_ui.ui.download import needs


@pytest.fixture
def hanging_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Takes every connection and never says a word; the folder is the (empty) cache."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(hub, "TIMEOUT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        for name, value in {"HF_HUB_OFFLINE": False, "ENDPOINT": address, "HF_HUB_CACHE": str(tmp_path)}.items():
            monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
        close_session()
        yield tmp_path
    close_session()


def test_loading_says_so_within_seconds(hanging_hub: Path):
    began = time.monotonic()
    with pytest.raises(ModelError, match=r"not on this machine, and the hub did not answer \(ReadTimeout\)"):
        load("some/model")
    assert time.monotonic() - began < 15


def test_what_a_model_needs_is_then_not_known(hanging_hub: Path):
    found = needs(get_model("some/model"))
    assert found.bytes is None
    assert found.reason == "the hub did not answer (ReadTimeout)"


def test_a_model_in_the_cache_is_loaded_without_it(hanging_hub: Path, tiny_models: Path):
    folder = hanging_hub / "models--some--model"
    shutil.copytree(tiny_models / "tiny-pixart", folder / "snapshots" / "0123abcd")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0123abcd")
    assert load("some/model").transformer.config["num_layers"] == 4


def test_offline_is_another_reason(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="is not on this machine, and this machine is set to work offline"):
        load("some/other-model")
