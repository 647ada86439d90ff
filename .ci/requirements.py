"""Print requirements.txt: every direct dependency of pyproject.toml, pinned to the version that is installed."""

import tomllib
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement

HEAD = """\
# Made by `make requirements` from pyproject.toml. For a Space, or wherever the project runs without being installed.
# Only the direct dependencies are pinned: a Space adds packages of its own, whose needs must still fit beside these.
"""

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
pins = [f"{name}=={version(name)}" for name in (Requirement(line).name for line in project["dependencies"])]
print(HEAD + "\n".join(pins))
