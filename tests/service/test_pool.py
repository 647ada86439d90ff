"""Processes side by side: lazy, in any order, alive when one of them dies, gone when their parent is."""

import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mddit_ui.core.errors import ConfigError, SearchError
from mddit_ui.core.paths import ROOT
from mddit_ui.core.records import ModelSpec
from mddit_ui.service.pool import Pool, cores, processes_for
from mddit_ui.service.processes import alive, started


def square(number):
    return number * number, os.getpid()


def threads(_):
    import torch

    return torch.get_num_threads()


def faults(_):
    """Pages that the system maps when forty blocks of 2 MB are asked for, given back, and asked for again."""
    import resource

    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        blocks = [bytearray(2**21) for _ in range(40)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def fail(number):
    raise SearchError(f"no {number}")


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(task):
    """Dies where nobody has died yet."""
    folder, number = task
    try:
        (Path(folder) / "died").touch(exist_ok=False)
    except FileExistsError:
        return number
    os.kill(os.getpid(), signal.SIGKILL)


def meet(folder):
    """Returns when two are here at a time."""
    (Path(folder) / str(os.getpid())).touch()
    while len(list(Path(folder).iterdir())) < 2:
        time.sleep(0.01)
    return os.getpid()


@pytest.fixture(scope="module")
def pool():
    with Pool(2) as pool:
        yield pool


def test_each_item_comes_back_with_its_result(pool):
    found = dict(pool.map(square, range(20)))
    assert {number: result for number, (result, _) in found.items()} == {number: number**2 for number in range(20)}
    assert os.getpid() not in {pid for _, pid in found.values()}
    assert list(pool.map(square, [])) == []


def test_each_has_its_share_of_the_cores():
    with Pool(1, threads=1) as pool:
        assert list(pool.map(threads, [0])) == [(0, 1)]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_stays(pool):
    assert next(pool.map(faults, [0]))[1] < 1000  # of 20,480


def test_two_work_at_the_same_time(pool, tmp_path):
    assert len({pid for _, pid in pool.map(meet, [tmp_path, tmp_path])}) == 2


def test_an_item_is_taken_when_there_is_room_for_it(pool):
    taken = []
    results = pool.map(square, (taken.append(number) or number for number in range(9)))
    for count in range(1, 9):
        next(results)
        assert len(taken) <= count + 1
    results.close()


def test_an_error_reaches_the_caller_and_the_pool_goes_on(pool):
    with pytest.raises(SearchError, match="no 3"):
        list(pool.map(fail, [3]))
    assert [result for _, (result, _) in pool.map(square, [5])] == [25]


@pytest.mark.slow
def test_a_process_that_dies_is_replaced_and_its_work_done_again(tmp_path):
    with Pool(2) as pool:
        tasks = [(tmp_path, number) for number in range(6)]
        assert sorted(result for _, result in pool.map(die_once, tasks)) == list(range(6))
    assert (tmp_path / "died").exists()


def hang_once(task):
    """Hangs where nobody has hung yet."""
    folder, number = task
    try:
        (Path(folder) / "hung").touch(exist_ok=False)
    except FileExistsError:
        return number
    time.sleep(600)


@pytest.mark.slow
def test_a_process_that_hangs_is_ended_and_its_work_done_again(tmp_path, monkeypatch):
    monkeypatch.setattr("mddit_ui.service.pool.NEW_LIMIT_SECONDS", 5.0)
    began = time.monotonic()
    with Pool(2) as pool:
        tasks = [(tmp_path, number) for number in range(6)]
        assert sorted(result for _, result in pool.map(hang_once, tasks)) == list(range(6))
    assert time.monotonic() - began < 60


def test_what_is_too_long_depends_on_what_others_took(monkeypatch):
    with Pool(1) as pool:
        assert pool._limit(square) == 900
        pool._seconds[square].extend([30.0, 20.0, 400.0])
        assert pool._limit(square) == 300
        assert pool._limit(meet) == 3000  # other work may take much longer
        pool._seconds[square].extend([0.1] * 20)
        assert pool._limit(square) == 60
        assert pool._limit(meet) == 900


def nap(seconds):
    time.sleep(seconds)
    return os.getpid()


def test_other_work_may_take_longer(monkeypatch):
    """As the first of the fresh pictures do, after a search on two prompts."""
    monkeypatch.setattr("mddit_ui.service.pool.LEAST_LIMIT_SECONDS", 0.5)
    with Pool(1) as pool:
        pids = {pid for _, (_, pid) in pool.map(square, range(5))}
        assert dict(pool.map(nap, [1.0])) == {1.0: pids.pop()}


@pytest.mark.slow
def test_processes_that_die_again_and_again_are_told():
    with Pool(1) as pool, pytest.raises(SearchError, match="MDDIT_PROCESSES=1"):
        list(pool.map(die, [1]))


def test_they_end_with_their_parent():
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from mddit_ui.service.pool import Pool\n"
            "from tests.service.test_pool import square\n"
            "pool = Pool(1)\n"
            "if __name__ == '__main__':\n"
            "    print(next(pool.map(square, [2]))[1][1], flush=True)\n"
            "    input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    with parent.stdin, parent.stdout:
        child = int(parent.stdout.readline())
        since = started(child)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 30
    while alive(child, since):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_how_many(tmp_path, monkeypatch):
    spec = ModelSpec(id="a", source=str(tmp_path), family="pixart", conditioning="prompt", title="a")
    monkeypatch.setenv("MDDIT_DEVICE", "cpu")
    assert processes_for(spec) == 1  # nothing here: a model of the hub
    (tmp_path / "model.safetensors").write_bytes(b"small")
    assert processes_for(spec) == cores() == len(os.sched_getaffinity(0))
    monkeypatch.setenv("MDDIT_DEVICE", "cuda")
    assert processes_for(spec) == 1
    monkeypatch.setenv("MDDIT_PROCESSES", "3")
    assert processes_for(spec) == 3
    for wrong in ("0", "-1", "many", "1000"):
        monkeypatch.setenv("MDDIT_PROCESSES", wrong)
        with pytest.raises(ConfigError, match="from 1 to 256"):
            processes_for(spec)
