"""requirements.txt and pyproject.toml agree."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


def test_every_dependency_is_pinned_inside_its_range():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {canonicalize_name(each.name): each for each in map(Requirement, project["dependencies"])}
    pinned = {canonicalize_name(each.name): each for each in map(Requirement, _lines())}

    assert set(pinned) == set(wanted), "run `make requirements`"
    for name, pin in pinned.items():
        (only,) = pin.specifier
        assert only.operator == "==", f"{pin} is no pin; run `make requirements`"
        assert wanted[name].specifier.contains(only.version), (
            f"{pin} is outside {wanted[name]}; run `make requirements`"
        )


def test_no_host_is_named():
    for line in _lines():
        assert re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][A-Za-z0-9.]*", line), f"{line!r} is more than name==version"


def _lines() -> list[str]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]
