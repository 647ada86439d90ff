"""Where things lie on disk, and the one way to write a file."""

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "assets"
MODELS = ASSETS / "models"
PROMPTS = ASSETS / "prompts"
SAVED_POLICIES = ROOT / "saved_policies"


def data_dir() -> Path:
    """The folder of everything the app writes: ``$MDDIT_DATA``, else ``data/`` beside the app. Made when asked for."""
    path = Path(os.environ.get("MDDIT_DATA") or ROOT / "data")
    path.mkdir(parents=True, exist_ok=True)
    return path


def model_folders() -> tuple[Path, ...]:
    """The folders of model folders: ``assets/models``, then those of ``$MDDIT_MODELS`` (split like ``$PATH``)."""
    extra = os.environ.get("MDDIT_MODELS", "").split(os.pathsep)
    return (MODELS, *(Path(folder) for folder in extra if folder))


def atomic_write(path: Path, content: bytes | str) -> None:
    """Write ``content`` so that a reader (or a crash) sees the old file or the new one, never a torn one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def sweep(folder: Path, older_than_seconds: float = 3600) -> None:
    """Remove what writers that were killed have left in a folder; younger files may be at work."""
    for path in folder.glob(".*.tmp"):
        with suppress(FileNotFoundError):  # another process sweeps, too
            if time.time() - path.stat().st_mtime >= older_than_seconds:
                path.unlink()
