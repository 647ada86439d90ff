"""Who leaves a race, by hand; what it is worth then."""

import pytest

from mddit_ui.core.records import Score
from mddit_ui.search.objective import Objective
from mddit_ui.search.racing import Race, Racing, first

OBJECTIVE = Objective(closeness=0.5)


def score(*clip, psnr=20.0):
    count = len(clip)
    return Score(
        clip_score=sum(clip) / count, clip_scores=clip, psnr=psnr, psnrs=(psnr,) * count, images=count
    )  # objective: mean of clip + 10


BEFORE = [score(10.0 * n, 10.0 * n, 50.0, 50.0) for n in range(1, 6)]  # 10 .. 50 on the first two, 30 .. 50 on all


def test_the_first_images_alone():
    part = first(Score(clip_scores=(1.0, 2.0, 6.0), psnrs=(10.0, 30.0, 50.0), images=3), 2)
    assert (part.clip_score, part.psnr, part.images) == (1.5, 20.0, 2)


def test_halving_looks_after_a_quarter_and_a_half():
    assert [Racing.halving(images).rungs for images in (1, 2, 4, 8, 32)] == [(), (1,), (1, 2), (2, 4), (8, 16)]


def test_there_is_no_race_before_there_are_others():
    racing = Racing(images=4, rungs=(2,), least=6)
    assert racing.race(OBJECTIVE, BEFORE).rungs == ()
    assert Racing(images=4).race(OBJECTIVE, BEFORE * 10).rungs == ()


def test_the_worse_half_leaves():
    race = Racing(images=4, rungs=(2,), least=5).race(OBJECTIVE, BEFORE)
    assert race == Race(OBJECTIVE, ((2, 40.0),))  # the median of 20 .. 60
    assert race.ends(4) == [2, 4]
    assert race.leaves(score(29.0, 30.0))
    assert not race.leaves(score(30.0, 30.0))
    assert not race.leaves(score(1.0, 1.0, 1.0, 1.0))  # nobody looks there
    assert race.leaves(Score(images=2))  # not finite


def test_who_left_is_told_what_it_would_have_been_and_never_a_good_one():
    racing = Racing(images=4, rungs=(2,), least=5)
    assert racing.value(OBJECTIVE, score(7.0, 7.0, 7.0, 7.0), BEFORE) == 17.0
    # all images gave 20, 15, 10, 5, 0 more than the first two, 10 in the mean; the median of all is 50
    assert racing.value(OBJECTIVE, score(0.0, 10.0), BEFORE) == pytest.approx(5 + 10 + 10)
    assert racing.value(OBJECTIVE, score(99.0, 99.0), BEFORE) == pytest.approx(50)
    assert racing.value(OBJECTIVE, Score(), BEFORE) != racing.value(OBJECTIVE, Score(), BEFORE)  # NaN stays NaN
