"""Which benchmarks there are: the modules of this room that have ``main(arguments: list[str]) -> int``."""

import ast
from importlib import import_module
from pathlib import Path

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Their names; nothing is imported."""
    return [path.stem for path in sorted(FOLDER.glob("[a-z]*.py")) if _main(path) is not None]


def subject(name: str) -> str:
    """What one measures: the first sentence of its file."""
    first = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text())) or ""
    return " ".join(first.split("\n\n")[0].split()).split(": ``python")[0]


def run(name: str, arguments: list[str]) -> int:
    """Run one; its exit code."""
    return import_module(f"mddit_ui.bench.{name}").main(arguments)


def _main(path: Path) -> ast.FunctionDef | None:
    tree = ast.parse(path.read_text())
    return next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main"), None)
