"""CLIP first, closeness as the tie-breaker, NaN for what is not finite."""

import math

import pytest

from mddit_ui.core.errors import ConfigError
from mddit_ui.core.records import Score, SearchConfig
from mddit_ui.search.objective import Objective


def test_a_decibel_is_worth_closeness_points():
    objective = Objective(closeness=0.5)
    far = Score(clip_score=90.0, psnr=30.0, latent_error=0.1)
    assert objective(Score(clip_score=90.0, psnr=40.0, latent_error=0.1)) - objective(far) == pytest.approx(5.0)
    assert objective(Score(clip_score=91.0, psnr=30.0, latent_error=0.2)) - objective(far) == pytest.approx(1.0)


def asked(prompts: int, **more) -> SearchConfig:
    return SearchConfig(model="tiny", prompts=("a ball",) * prompts, **more)


def test_closeness_counts_less_the_more_prompts_there_are():
    assert Objective.of(asked(8)) == Objective(0.5)
    assert Objective.of(asked(64)) == Objective(0.0625)


def test_a_search_may_say_what_closeness_is_worth():
    near, good = Score(clip_score=90.0, psnr=60.0), Score(clip_score=90.1, psnr=30.0)
    by_clip, by_both = Objective.of(asked(8, closeness=0.0)), Objective.of(asked(8, closeness=0.01))
    assert by_clip(good) > by_clip(near)
    assert by_both(good) < by_both(near)
    with pytest.raises(ConfigError, match="closeness"):
        asked(8, closeness=-0.1)


def test_without_a_clip_score_closeness_decides_at_any_worth():
    assert Objective(0.0)(Score(psnr=20.0)) == 20.0
    assert Objective(0.0)(Score(latent_error=0.01)) == pytest.approx(20.0)


def test_a_latent_error_stands_in_for_psnr():
    objective = Objective(closeness=0.5)
    near, far = Score(clip_score=90.0, latent_error=0.01), Score(clip_score=90.0, latent_error=0.1)
    assert objective(near) - objective(far) == pytest.approx(5.0)


def test_scores_without_a_part_use_the_other():
    assert Objective(0.5)(Score(clip_score=30.0)) == 30.0
    assert Objective(0.5)(Score(psnr=20.0)) == 10.0
    assert Objective(0.5)(Score(latent_error=0.1)) == pytest.approx(5.0)


def test_the_same_pictures_are_a_finite_value():
    assert Objective(0.5)(Score(clip_score=30.0, latent_error=0.0)) == pytest.approx(80.0)


def test_nothing_to_judge_is_nan():
    assert math.isnan(Objective()(Score()))
    broken = Score.model_construct(clip_score=math.nan, psnr=30.0)
    assert math.isnan(Objective()(broken))
