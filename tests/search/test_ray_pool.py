"""Actors of a local Ray cluster, some of them killed: the same search, bit for bit."""

import json
import subprocess
import sys

import pytest

from mddit_ui.core.errors import SearchError
from mddit_ui.core.paths import ROOT
from mddit_ui.search.ray_pool import RayPool


@pytest.mark.slow
def test_killed_actors_change_nothing(tmp_path):
    pytest.importorskip("ray")
    command = [sys.executable, "-m", "tests.search.ray_cluster", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found.pop("killed") >= 5
    assert "died 4 times" in found.pop("told")
    assert found == {"squares": True, "same populations": True, "same trajectory": True, "evaluations": 60}


def test_a_public_space_runs_no_ray(monkeypatch):
    monkeypatch.setenv("SPACE_ID", "someone/space")
    with pytest.raises(SearchError, match="public Space"):
        RayPool("auto")


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SearchError, match="pip install"):
        RayPool("auto")
