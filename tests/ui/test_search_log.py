"""What the log of a search says, newest first."""

import re

from mddit_ui.core.records import Score, SearchConfig
from mddit_ui.store import searches
from mddit_ui.store.db import open_db
from mddit_ui.store.search_rows import EvaluationRow
from mddit_ui.ui import searching

CONFIG = SearchConfig(model="tiny", prompts=("a red ring", "a blue ball"), evaluations=3)


def score(clip: float) -> Score:
    return Score(clip_score=clip, psnr=20.0, images=2)


def log(chosen: int, state: str = "done") -> list[str]:
    """The lines of a search that has evaluated one starting policy and two others, the last of them the best."""
    db = open_db()
    search = searches.create(db, CONFIG)
    for number in (1, 2, 3):
        row = EvaluationRow(number, int(number > 1), ("##", "=."), f"{number:016x}", 0.5, score(number), number, 1.0)
        searches.add_evaluation(db, search, row)
    other = 4 - chosen
    searches.set_finalists(db, search, {str(chosen): score(9), str(other): score(8), "every 2": score(7), "full": score(10)})  # fmt: skip # noqa: E501
    searches.set_state(db, search, state, only_if=("queued",))
    html = searching.log_html(searches.get(db, search), searches.evaluations(db, search))
    return re.findall("<li>(.*?)</li>", html)


def test_what_fresh_pictures_choose_is_said() -> None:
    lines = log(chosen=3)
    assert lines[:2] == ["Finished after 3 evaluations.", "No. 3 is the best on fresh pictures."]
    assert "No. 3 on fresh pictures: CLIP score 9.00, PSNR 20.0 dB." in lines
    assert "Full depth on fresh pictures: CLIP score 10.00, PSNR 20.0 dB." in lines


def test_and_when_it_is_a_starting_policy() -> None:
    assert log(chosen=1)[1] == "No. 1 is the best on fresh pictures, a starting policy."


def test_starting_policies_are_judged_before_the_others_are_made() -> None:
    lines = log(chosen=3, state="paused")[::-1]
    order = [
        "No. 1, after",
        "Full depth on",
        "No. 1 on fresh",
        "No. 2, after",
        "No. 3, after",
        "No. 3 on",
        "Every 2 on",
    ]
    places = [next(place for place, line in enumerate(lines) if line.startswith(start)) for start in order]
    assert places == sorted(places)
    assert not any("is the best on fresh pictures" in line for line in lines)  # that is said in the end


def test_while_fresh_pictures_are_made_nobody_can_say_how_long() -> None:
    db = open_db()
    search = searches.create(db, CONFIG)
    searches.add_evaluation(db, search, EvaluationRow(1, 0, ("##", "=."), "0" * 16, 0.5, score(1), 1, 1.0))
    searches.set_state(db, search, "running", only_if=("queued",))
    before = searching.status_html(searches.get(db, search))
    searches.set_finalists(db, search, {"full": score(10)})
    after = searching.status_html(searches.get(db, search))
    assert ("Time left" in before, "fresh pictures" in before) == (True, False)
    assert ("Time left" in after, "fresh pictures" in after) == (False, True)
