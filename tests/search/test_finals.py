"""Who is judged again, on what, and who wins then."""

import math

import pytest

from mddit_ui.core.policy import Policy
from mddit_ui.core.records import MAX_WORK, GenerationConfig, Score
from mddit_ui.search.finals import FINALISTS, FRESH_IMAGES, finalists, fresh, ranked
from mddit_ui.search.loop import Evaluation

ROWS = [["##", a + b] for a in "#=." for b in "#=."]


def score(clip: float) -> Score:
    return Score(clip_score=clip, clip_scores=(clip,), latent_error=0.0, images=1)


def evaluation(number: int, objective: float, generation: int = 1) -> Evaluation:
    return Evaluation(number, generation, Policy.from_rows(ROWS[number]), score(1.0), objective, 1.0)


def test_the_best_and_the_best_start_are_judged_again() -> None:
    known = [evaluation(0, 4.0, 0), evaluation(1, math.nan, 0), evaluation(2, 9.0), evaluation(3, 7.0)]
    known += [evaluation(4, 8.0), evaluation(5, 6.0), evaluation(6, 3.0, 0), evaluation(7, 5.0)]
    assert [each.number for each in finalists(known)] == [2, 4, 3, 5, 0]
    known.append(evaluation(8, 8.5, 0))  # a start that is among the best is there once
    assert [each.number for each in finalists(known)] == [2, 8, 4, 3]
    assert len(finalists(known)) == FINALISTS


def test_luck_of_the_search_is_found_out() -> None:
    among = [evaluation(2, 9.0), evaluation(4, 8.0), evaluation(3, 7.0), evaluation(0, 4.0, 0)]
    clips = {2: 2.0, 4: math.nan, 3: 2.0, 0: 2.5}  # own scores count between equals only; not finite is last
    again = {each.policy: Score() if math.isnan(clips[each.number]) else score(clips[each.number]) for each in among}
    best = ranked(among, again, lambda found: math.nan if found.clip_score is None else found.clip_score)
    assert [each.number for each in best] == [0, 2, 3, 4]


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
