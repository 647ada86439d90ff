"""Who is judged again, on what, and who wins then."""

import math

import pytest

from mddit_ui.core.policy import Policy
from mddit_ui.core.records import MAX_WORK, GenerationConfig, Score
from mddit_ui.search.finals import FINALISTS, FRESH_IMAGES, Jury, finalists, fresh
from mddit_ui.search.loop import Evaluation

ROWS = [["##", a + b] for a in "#=." for b in "#=."]


def score(clip: float) -> Score:
    return Score(clip_score=clip, clip_scores=(clip,), latent_error=0.0, images=1)


def evaluation(number: int, objective: float, generation: int = 1) -> Evaluation:
    return Evaluation(number, generation, Policy.from_rows(ROWS[number]), score(1.0), objective, 1.0)


def test_the_best_and_the_best_starts_are_judged_again() -> None:
    known = [evaluation(0, 4.0, 0), evaluation(1, math.nan, 0), evaluation(2, 9.0), evaluation(3, 7.0)]
    known += [evaluation(4, 8.0), evaluation(5, 6.0), evaluation(6, 3.0, 0), evaluation(7, 5.0)]
    assert [each.number for each in finalists(known)] == [2, 4, 3, 5, 0, 6]
    known.append(evaluation(8, 8.5, 0))  # a start that is among the best is there once
    assert [each.number for each in finalists(known)] == [2, 8, 4, 3, 0, 6]
    assert FINALISTS == 4


def test_what_is_judged_of_the_starts_is_judged_once() -> None:
    starts = [evaluation(number, number, 0) for number in range(6)]
    assert [each.number for each in finalists(starts)] == [5, 4, 3, 2]
    later = [evaluation(6, 6.0), evaluation(7, 1.0)]
    assert {each.number for each in finalists(starts + later)} == {6, 5, 4, 3, 2}


class Judging:
    """A jury that says what it was asked for, and what it kept."""

    def __init__(self, clips: dict[int, float], known: dict[str, Score] | None = None) -> None:
        self.clips, self.asked, self.kept = clips, [], {}
        self.jury = Jury(self.evaluate, lambda found: found.clip_score or math.nan, known or {}, self.keep)

    def evaluate(self, policies):
        for policy in policies:
            self.asked.append(number := ROWS.index(list(policy.rows)))
            yield policy, Score() if math.isnan(self.clips[number]) else score(self.clips[number])

    def keep(self, each: Evaluation, found: Score) -> None:
        self.kept[each.policy.digest] = found


def test_luck_of_the_search_is_found_out() -> None:
    among = [evaluation(2, 9.0), evaluation(4, 8.0), evaluation(3, 7.0), evaluation(0, 4.0, 0)]
    judging = Judging({2: 2.0, 4: math.nan, 3: 2.0, 0: 2.5})
    # own scores count between equals only; not finite is last
    assert [each.number for each in judging.jury(among)] == [0, 2, 3, 4]
    assert judging.asked == [2, 4, 3, 0]


def test_a_jury_scores_no_policy_twice() -> None:
    starts = [evaluation(0, 4.0, 0), evaluation(1, 5.0, 0)]
    clips = {0: 3.0, 1: 2.0, 2: 2.5}
    judging = Judging(clips)
    assert [each.number for each in judging.jury(starts)] == [0, 1]
    assert [each.number for each in judging.jury([*starts, evaluation(2, 9.0)])] == [0, 2, 1]
    assert judging.asked == [1, 0, 2]

    again = Judging(clips, judging.kept)  # taken up in another process
    assert [each.number for each in again.jury(starts)] == [0, 1]
    assert again.asked == []


def test_a_jury_without_finalists_asks_for_nothing() -> None:
    judging = Judging({})
    assert judging.jury([evaluation(0, math.nan, 0)]) == []
    assert judging.asked == []


@pytest.mark.parametrize("images", [1, 5, 8, 23, 24, 100])
@pytest.mark.parametrize("what", ["prompts", "classes"])
def test_fresh_pictures_show_the_same_with_seeds_of_their_own(images: int, what: str) -> None:
    subjects = tuple(str(number) if what == "prompts" else number for number in range(images))
    for seeds in ((3,), tuple(range(images))):
        request = GenerationConfig(**{what: subjects}, seeds=seeds)
        found = fresh(request)
        assert FRESH_IMAGES <= found.images < FRESH_IMAGES + images
        pairs = list(zip(getattr(found, what), found.image_seeds, strict=True))
        assert len(set(pairs)) == found.images
        assert not set(pairs) & set(zip(subjects, request.image_seeds, strict=True))
        assert getattr(found, what)[-images:] == subjects
        assert found.replace(prompts=request.prompts, classes=request.classes, seeds=seeds) == request


def test_fresh_pictures_are_not_more_than_a_request_may_ask_for() -> None:
    request = GenerationConfig(prompts=("a", "b"), seeds=(2**63 - 1,), steps=500, height=2048, width=2048)
    found = fresh(request)
    assert found.images == 16 == MAX_WORK // (500 * 2048 * 2048)
    assert found.seeds[0] == 1_000_002  # seeds stay in their bounds


@pytest.mark.parametrize(("gain", "ahead"), [(0.0, False), (1.5, False), (2.5, True), (math.nan, False)])
def test_a_planned_start_leads_only_where_it_is_clearly_ahead(gain, ahead) -> None:
    """Four pictures, gains of mean ``gain`` and standard error 1."""
    spread = [-(3**0.5), 3**0.5, -(3**0.5), 3**0.5]
    values = {0: [10.0] * 4, 1: [9.0] * 4, 2: [10 + gain + each for each in spread]}

    def evaluate(policies):
        for policy in policies:
            clips = tuple(values[ROWS.index(list(policy.rows))])
            finite = not math.isnan(sum(clips))
            yield policy, Score(clip_score=sum(clips) / 4, clip_scores=clips, images=4) if finite else Score()

    jury = Jury(evaluate, lambda found: math.nan if found.clip_score is None else found.clip_score, {}, lambda *_: None)
    given, planned = [evaluation(1, 5.0, 0), evaluation(0, 4.0, 0)], [evaluation(2, 9.0, 0)]
    assert [each.number for each in jury.starts(given, planned)] == ([2, 0, 1] if ahead else [0, 1])
    assert [each.number for each in jury.starts(given, [])] == [0, 1]


def test_planned_starts_stand_in_where_no_other_is_finite() -> None:
    broken, planned = [evaluation(0, math.nan, 0), evaluation(1, math.nan, 0)], [evaluation(2, 9.0, 0)]
    judging = Judging({2: 2.0})
    assert [each.number for each in judging.jury.starts(broken, planned)] == [2]
    assert judging.jury.starts(broken, []) == []
