"""Whether a process is still there, and still the same one."""

import os
import subprocess
import sys
import time

from mddit_ui.service.processes import alive, started


def test_processes_are_told_apart():
    assert started(os.getpid()) == started(os.getpid()) != ""
    assert alive(os.getpid(), started(os.getpid()))
    assert not alive(os.getpid(), "another boot:1")
    ending = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    since = started(ending.pid)
    assert alive(ending.pid, since)
    ending.stdin.close()
    while alive(ending.pid, since):
        time.sleep(0.01)  # until it is a zombie: nobody has waited for it yet
    assert ending.wait() == 1
    assert not alive(ending.pid, since)
