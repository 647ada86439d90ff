"""Long work is watched: its progress arrives, its errors arrive, and it ends when nobody watches."""

import threading

import pytest

from mddit_ui.core.errors import Cancelled, ModelError
from mddit_ui.ui.running import Progress, Report, duration, watch


def test_progress_and_result_arrive_in_order() -> None:
    def work(report: Report) -> str:
        for step in range(3):
            report("Step", step + 1, 3, step)
        return "result"

    *news, result = watch(work, gap_seconds=0)
    assert result == "result"
    assert [item.done for item in news if isinstance(item, Progress) and item.event is not None] == [1, 2, 3]
    assert news[-1].share == 1.0
    assert "3 of 3" in news[-1].text()


def test_what_comes_too_fast_is_outrun() -> None:
    def work(report: Report) -> str:
        for step in range(1000):
            report("Step", step, 1000)
        return "result"

    assert [news if news == "result" else news.done for news in watch(work, gap_seconds=1e9)] == [0, "result"]


def test_an_error_of_the_work_is_raised_here() -> None:
    def work(report: Report) -> None:
        raise ModelError("no such model")

    with pytest.raises(ModelError, match="no such model"):
        list(watch(work))


def test_closing_stops_the_work_at_its_next_report() -> None:
    go_on, ended = threading.Event(), threading.Event()
    seen = []

    def work(report: Report) -> None:
        try:
            report("Step", 1, 2)
            go_on.wait(20)
            report("Step", 2, 2)
            seen.append("went on")
        except Cancelled:
            seen.append("cancelled")
            raise
        finally:
            ended.set()

    watcher = watch(work)
    next(watcher)
    watcher.close()
    go_on.set()
    assert ended.wait(20)
    assert seen == ["cancelled"]


def test_cancelling_is_told_to_the_watcher() -> None:
    cancelled = threading.Event()

    def work(report: Report) -> None:
        for step in range(1000):
            cancelled.wait(0.05)
            report("Step", step, 1000)

    watcher = watch(work, cancelled)
    next(watcher)
    cancelled.set()
    with pytest.raises(Cancelled):
        list(watcher)


def test_durations_read_like_words() -> None:
    assert [duration(s) for s in (0.2, 8.4, 89, 100, 5400, 7800)] == [
        "1 s",
        "8 s",
        "89 s",
        "2 min",
        "1 h 30 min",
        "2 h 10 min",
    ]
