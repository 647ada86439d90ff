"""Only what lies between start and stop counts."""

import time

import torch

from mddit_ui.engine.stopwatch import Stopwatch


def test_it_adds_up_and_begins_anew():
    watch = Stopwatch(torch.device("cpu"))
    assert watch.seconds == 0
    begun = time.perf_counter()
    for _ in range(2):
        watch.start()
        sum(range(10_000))
        watch.stop()
    all_in_all = time.perf_counter() - begun
    assert 0 < watch.seconds <= all_in_all
    assert watch.seconds == watch.seconds
    watch.reset()
    assert watch.seconds == 0
