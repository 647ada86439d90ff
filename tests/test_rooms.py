"""The house keeps its floors: who may import whom, where heavy packages live, how long a file may be."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "mddit_ui"
LONGEST_FILE = 400

FLOORS = {
    "core": 0,
    **dict.fromkeys(("models", "metrics", "store", "charts"), 1),
    **dict.fromkeys(("engine", "search"), 2),
    "service": 3,
    **dict.fromkeys(("ui", "cli", "train", "bench"), 4),
}
TENSORS = {"models", "metrics", "engine", "train", "bench"}
HOMES = {
    "gradio": {"ui"},
    "plotly": {"charts"},
    "pandas": {"charts", "ui"},
    "sqlite3": {"store"},
    "cma": {"search"},
    "cmaes": {"search"},
    "ray": {"search"},
    "torch": TENSORS,
    "torchvision": TENSORS,
    "diffusers": TENSORS,
    "transformers": TENSORS,
    "open_clip": {"metrics", "train"},
}
CORE_MAY_IMPORT = {"numpy", "pydantic"}
FORBIDDEN_PAIRS = {("ui", "engine"), ("ui", "search")}  # the screen asks service, and reads the store

MODULES = sorted(PACKAGE.rglob("*.py"))
SOURCES = [*sorted(path for folder in (PACKAGE, ROOT / "tests") for path in folder.rglob("*.py")), ROOT / "app.py"]


def imports(path: Path, source: str | None = None) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import, inside functions too; relative ones made absolute."""
    tree = ast.parse(path.read_text() if source is None else source)
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) + "." if node.level else ""
            origin = (base + (node.module or "")).strip(".")
            # `from mddit_ui import engine` names a room only in its last part
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and _is_import_call(node) and isinstance(node.args[0], ast.Constant):
            yield node.lineno, str(node.args[0].value)


def complaints(path: Path, source: str | None = None) -> list[str]:
    """What is wrong with the imports of a module of mddit_ui, and what to do about it."""
    where = path.relative_to(PACKAGE)
    room = where.parts[0] if len(where.parts) > 1 else ""
    found = []
    for line, name in imports(path, source):
        at = f"{path.relative_to(ROOT)}:{line} imports {name}: "
        top, *rest = name.split(".")
        if top == "mddit_ui":
            other = rest[0] if rest and rest[0] in FLOORS else ""
            if room and other and other != room and FLOORS[other] >= FLOORS[room]:
                found.append(
                    f"{at}{other} (floor {FLOORS[other]}) is not below {room} (floor {FLOORS[room]}); "
                    "move what both need down, or pass it in as an argument."
                )
            elif (room, other) in FORBIDDEN_PAIRS:
                found.append(f"{at}{room} does not use {other}; call mddit_ui.service, or read mddit_ui.store.")
        elif top in HOMES and room not in HOMES[top]:
            found.append(f"{at}{top} lives in {', '.join(sorted(HOMES[top]))}; put the code that needs it there.")
        elif room == "core" and top not in CORE_MAY_IMPORT and not _is_standard(top):
            found.append(f"{at}core imports numpy, pydantic and the standard library; put this in a higher room.")
    return found


def test_every_folder_is_a_room_with_a_floor():
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert rooms == set(FLOORS), "Give a new room its floor in FLOORS above, or move its files into an old room."


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_keep_the_floors(path: Path):
    assert not (found := complaints(path)), "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("core", "import torch"),
        ("core", "import yaml"),
        ("core", "from mddit_ui.store import db"),
        ("engine", "from mddit_ui import search"),
        ("engine", "def f():\n    from ..search.loop import run"),
        ("search", "import mddit_ui.engine.hooks as h"),
        ("service", "from importlib import import_module\nimport_module('torch')"),
        ("service", "import mddit_ui.ui"),
        ("store", "if True:\n    import plotly.graph_objects as go"),
        ("ui", "from mddit_ui.engine.hooks import apply_policy"),
        ("cli", "from gradio import Blocks"),
        ("charts", "from mddit_ui.metrics import clip"),
    ],
)
def test_a_wrong_import_is_found(room: str, source: str):
    (complaint,) = complaints(PACKAGE / room / "example.py", source)
    assert complaint.startswith(f"mddit_ui/{room}/example.py:")


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("engine", "import torch\nfrom mddit_ui.core import plan\nfrom . import hooks"),
        ("ui", "import gradio as gr\nfrom mddit_ui.service import catalog"),
        ("core", "import numpy as np, json\nfrom mddit_ui.core.policy import Policy"),
    ],
)
def test_a_right_import_is_left_alone(room: str, source: str):
    assert complaints(PACKAGE / room / "example.py", source) == []


def test_no_file_passes_the_wall():
    lengths = {path: len(path.read_text().splitlines()) for path in SOURCES if path.exists()}
    long = [f"{path.relative_to(ROOT)}: {lines} lines" for path, lines in lengths.items() if lines > LONGEST_FILE]
    assert not long, f"Longer than {LONGEST_FILE} lines; split by subject: {'; '.join(long)}"


def _is_import_call(node: ast.Call) -> bool:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in ("import_module", "__import__") and bool(node.args)


def _is_standard(package: str) -> bool:
    return package in sys.stdlib_module_names
