"""A search that is given a policy to start from, with real worker processes on the toy model."""

from mddit_ui.service import searches
from tests.service.test_searches import COMMAND, config, data, ended, trajectory, wait

__all__ = ["data"]  # the fixture that keeps the folder, and ends what runs in it


def test_a_warm_start_is_tried_first_resumed_exactly_and_cloned():
    start = tuple("########" if step % 4 in (0, 1) else "====####" for step in range(20))
    asked = config(0.01, budget=0.9, start=start)
    search = searches.start(asked, command=COMMAND)
    wait(search, lambda row: row.done >= 10)
    searches.pause(search)
    wait(search, ended)
    searches.resume(search, command=COMMAND)
    assert wait(search, ended).state == "done"
    assert searches.evaluations(search)[0].policy_rows == start

    again = searches.clone(search, command=COMMAND)
    assert wait(again, ended).config == asked
    assert trajectory(again) == trajectory(search)

    wrong = searches.clone(search, command=COMMAND, start=start[1:])
    assert "19 steps x 8 blocks; this search has 20 x 8" in wait(wrong, ended).error
