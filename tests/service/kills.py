"""Ends workers at random moments, as a program of its own: ``python -m tests.service.kills COUNT SIGNAL SEED``.

It forks, so that a worker costs milliseconds; it has no threads and opens the database in its children alone. Prints
JSON: what was acknowledged before each end, what the store held after it, and the longest time to go on.
"""

import json
import os
import random
import select
import signal
import sys
import time
from functools import partial

from mddit_ui.core.records import SearchConfig
from mddit_ui.service import worker
from mddit_ui.service.processes import alive
from mddit_ui.store import searches as store
from mddit_ui.store.db import open_db
from tests.service.toy_worker import TOY

LONGEST_LIFE = 0.15  # seconds; at 0.01 s a policy, `count` lives do not finish 12 * `count` of them


def config(evaluations):
    return SearchConfig(model="toy-0.01", prompts=("a",), evaluations=evaluations, population=8, sigma=0.6, seed=3)


def in_child(function):
    """Run it in a process of its own; its pid, and the end of a pipe that it may write to."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    os.close(reading)
    status = 1
    try:
        status = function(partial(os.write, writing)) or 0
    finally:
        os._exit(status)


def answer(function):
    """What it returns (JSON), from a process of its own."""
    pid, reading = in_child(lambda write: write(json.dumps(function()).encode() + b"\n") and 0)
    with os.fdopen(reading, "rb") as pipe:
        content = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(content)


def work(search, write):
    """The worker; every evaluation is told once it is kept."""
    keep = store.add_evaluation

    def told(db, search_id, row):
        keep(db, search_id, row)
        write(f"{row.number}\n".encode())

    store.add_evaluation = told
    return worker.run(search, TOY)


def state(search):
    db = open_db()
    row = store.get(db, search)
    return {
        "state": row.state,
        "held": row.worker_pid is not None and alive(row.worker_pid, row.worker_started),
        "rows": [[each.number, each.digest, each.objective.hex()] for each in store.evaluations(db, search)],
        "populations": [list(each) for each in db.rows("SELECT generation, population FROM generations ORDER BY 1")],
        "integrity": db.rows("PRAGMA integrity_check")[0][0],
    }


def wish_to_go_on(search):
    db = open_db()
    store.set_state(db, search, "paused", only_if=("running", "queued"))
    return store.queue(db, search, only_if=("paused",))


def main(count, how, seed):
    moments = random.Random(seed)
    search = answer(lambda: store.create(open_db(), config(12 * count)))
    ends, slowest = [], 0.0
    for _ in range(count):
        answer(lambda: wish_to_go_on(search))
        began = time.monotonic()
        pid, reading = in_child(partial(work, search))
        select.select([reading], [], [], 60)
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(moments.uniform(0, LONGEST_LIFE))
        ended = time.monotonic()
        os.kill(pid, how)
        _, status = os.waitpid(pid, 0)
        with os.fdopen(reading, "rb") as pipe:
            told = [int(line) for line in pipe.read().split()]
        found = answer(lambda: state(search))
        lost = sorted(set(told) - {row[0] for row in found["rows"]})
        ends.append(
            {
                "told": len(told),
                "lost": lost,
                "state": found["state"],
                "held": found["held"],
                "integrity": found["integrity"],
                "seconds": time.monotonic() - ended,
                "exit": os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status),
            }
        )
        if found["state"] == "done":
            break
    return {"ends": ends, "slowest": slowest, **answer(lambda: state(search))}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), signal.Signals[sys.argv[2]], int(sys.argv[3]))))
