"""Who is judged again, and who wins then."""

import math

from mddit_ui.core.policy import Policy
from mddit_ui.core.records import Score
from mddit_ui.search.finals import FINALISTS, finalists, ranked
from mddit_ui.search.loop import Evaluation

ROWS = [["##", a + b] for a in "#=." for b in "#=."]


def score(clip: float) -> Score:
    return Score(clip_score=clip, clip_scores=(clip,), latent_error=0.0, images=1)


def evaluation(number: int, objective: float) -> Evaluation:
    return Evaluation(number, 1, Policy.from_rows(ROWS[number]), score(1.0), objective, 1.0)


def test_luck_of_the_search_is_found_out() -> None:
    objectives = [5.0, math.nan, 9.0, 7.0, 8.0, 6.0]
    among = finalists(evaluation(number, value) for number, value in enumerate(objectives))
    assert [each.number for each in among] == [2, 4, 3, 5]
    assert len(among) == FINALISTS
    clips = {2: 1.0, 4: 3.0, 3: 2.0, 5: 0.0}  # sums 10, 11, 9; the last one not finite
    again = {each.policy: score(clips[each.number]) for each in among}
    assert [each.number for each in ranked(among, again, lambda found: found.clip_score or math.nan)] == [4, 2, 3, 5]
