"""Is it still the same process? A pid alone does not tell: numbers are given out again."""

import os
from pathlib import Path

PARENT = "MDDIT_PARENT"  # the process that a worker ends with: "pid started"; unset or empty: it outlives all


def started(pid: int) -> str:
    """Tells two processes of one pid apart: boot and start time, from /proc; empty where there is none.

    Also empty for a process that has ended and only waits to be buried.
    """
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
    state, start_ticks = after_name[0], after_name[19]
    return "" if state in "ZX" else f"{boot}:{start_ticks}"


def alive(pid: int, since: str) -> bool:
    """Whether the process that ``started(pid)`` once described still runs."""
    if since or Path("/proc/self/stat").exists():
        return bool(since) and started(pid) == since
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def parent() -> tuple[int, str] | None:
    """The process that this one ends with, as ``alive`` wants it."""
    pid, _, since = os.environ.get(PARENT, "").partition(" ")
    return (int(pid), since) if pid.isdigit() else None
