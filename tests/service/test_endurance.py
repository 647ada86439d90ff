"""A search that runs for days neither grows nor keeps files open."""

import json
import os
import subprocess
import sys

import pytest

from mddit_ui.core.paths import ROOT

RUNS = """
import json, os, sys
from pathlib import Path
from mddit_ui.service import worker
from mddit_ui.store import searches as store
from mddit_ui.store.db import open_db
from tests.service import kills
from tests.service.toy_worker import TOY

def census():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {"megabytes": pages * os.sysconf("SC_PAGE_SIZE") / 2**20, "files": len(os.listdir("/proc/self/fd"))}

found = []
for _ in range(int(sys.argv[1])):
    assert worker.run(store.create(open_db(), kills.config(100)), TOY) == 0
    found.append(census())
print(json.dumps(found))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
@pytest.mark.parametrize("runs", [4, pytest.param(60, marks=pytest.mark.slow)])
def test_nothing_grows(tmp_path, runs):
    ran = subprocess.run(
        [sys.executable, "-c", RUNS, str(runs)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "MDDIT_DATA": str(tmp_path)},
        check=True,
    )
    census = json.loads(ran.stdout.splitlines()[-1])
    warm, last = census[1], census[-1]
    assert last["files"] == warm["files"]
    assert last["megabytes"] - warm["megabytes"] < 8, census
