"""Fixtures for all tests: tiny models made once a session, and a data folder of their own."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("untimed", deadline=None)  # a busy machine is slow, not wrong
hypothesis.settings.load_profile("untimed")
os.environ.setdefault("MDDIT_DEVICE", "cpu")
os.environ.setdefault("MDDIT_DTYPE", "float32")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the tiny models, known to the registry as "tiny-pixart", "tiny-dit" and the CLIP "tiny-clip"."""
    from tests import tiny

    folder = tmp_path_factory.mktemp("models")
    tiny.tiny_pixart(folder / tiny.PIXART)
    tiny.tiny_dit(folder / tiny.DIT)
    tiny.tiny_flux(folder / tiny.FLUX)
    tiny.tiny_clip(folder / tiny.CLIP)
    before = os.environ.get("MDDIT_MODELS")
    os.environ["MDDIT_MODELS"] = str(folder)
    yield folder
    if before is None:
        del os.environ["MDDIT_MODELS"]
    else:
        os.environ["MDDIT_MODELS"] = before


@pytest.fixture(scope="session")
def tiny_pixart(tiny_models: Path) -> str:
    """The id of a random-weight PixArt of 4 blocks, 64 x 64 px; its CLIP is "tiny-clip"."""
    return "tiny-pixart"


@pytest.fixture(scope="session")
def tiny_dit(tiny_models: Path) -> str:
    """The id of a random-weight class-conditional DiT of 2 blocks, 64 x 64 px."""
    return "tiny-dit"


@pytest.fixture(scope="session")
def tiny_flux(tiny_models: Path) -> str:
    """The id of a random-weight Flux (flow matching, two streams) of 2 + 2 blocks, 64 x 64 px."""
    return "tiny-flux"


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test writes into a data folder of its own, never into that of the user."""
    folder = tmp_path / "data"
    monkeypatch.setenv("MDDIT_DATA", str(folder))
    return folder
