"""The verbs on a real (tiny) pipeline: describe, generate, score, evaluate, calibrate."""

from pathlib import Path

import numpy as np
import pytest

from mddit_ui.core.errors import Cancelled, ConfigError, PolicyError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig
from mddit_ui.search.objective import Objective
from mddit_ui.search.racing import Race, first
from mddit_ui.service.calibrate import calibrate
from mddit_ui.service.catalog import describe, get_model, list_models
from mddit_ui.service.evaluate import evaluate, make_evaluator
from mddit_ui.service.generate import generate, score
from tests.tiny import PROMPTS

CONFIG = GenerationConfig(prompts=PROMPTS, seeds=(3, 4), steps=4, height=64, width=64)
EVERY_SECOND = Policy.from_rows(["####", "====", "####", "===="])


def test_describe(tiny_pixart: str, tiny_dit: str):
    view = describe(tiny_pixart, 6)
    assert view.sites == tuple(f"transformer_blocks.{i}" for i in range(4))
    assert view.timesteps == (999.0, 832.0, 666.0, 499.0, 332.0, 166.0)
    assert view.mac_table.site_macs.tolist() == [1_228_800.0] * 4
    assert view.residual_bytes == 4096
    assert len(describe(tiny_pixart, 6, "heun").timesteps) == 11
    assert len(describe(tiny_dit, 5).sites) == 2
    with pytest.raises(ConfigError, match="scheduler"):
        describe(tiny_pixart, 6, "nope")
    assert get_model(tiny_pixart) in list_models()


def test_score_of_a_run(tiny_pixart: str):
    full = generate(tiny_pixart, None, CONFIG)
    half = generate(tiny_pixart, EVERY_SECOND, CONFIG)
    found = score(tiny_pixart, half, CONFIG, reference=full)
    assert found.clip_backbone == "tiny-clip"
    assert found.clip_score == pytest.approx(np.mean(found.clip_scores))
    assert len(found.clip_scores) == found.images == 2
    assert 0 < found.psnr < 100
    assert found.ssim < 1
    assert found.latent_error > 0
    alone = score(tiny_pixart, half, CONFIG)
    assert alone.psnr is alone.ssim is alone.latent_error is None
    same = score(tiny_pixart, full, CONFIG, reference=full)
    assert (same.psnr, same.ssim, same.latent_error) == (100, 1, 0)


def test_the_evaluator_of_a_search(tiny_pixart: str):
    evaluator = make_evaluator(tiny_pixart, CONFIG)
    assert evaluator.reference_score.latent_error == 0
    scores = [found for _, found in evaluator([EVERY_SECOND, Policy.full(4, 4), EVERY_SECOND])]
    assert scores[0] == scores[2]
    assert scores[1] == evaluator.reference_score
    full, half = (generate(tiny_pixart, policy, CONFIG, packing="exact") for policy in (None, EVERY_SECOND))
    assert scores[0] == score(tiny_pixart, half, CONFIG, reference=full)
    with pytest.raises(PolicyError, match="5 steps"):
        list(evaluator([Policy.full(5, 4)]))


def test_who_leaves_a_race_is_scored_on_the_first_images(tiny_pixart: str):
    evaluator = make_evaluator(tiny_pixart, CONFIG)
    whole = evaluator.score(EVERY_SECOND)
    objective = Objective()
    value = objective(first(whole, 1))
    stays = evaluator.score(EVERY_SECOND, Race(objective, ((1, value - 1),)))
    leaves = evaluator.score(EVERY_SECOND, Race(objective, ((1, value + 1),)))
    assert (stays.images, leaves.images) == (2, 1)
    assert stays.psnrs == pytest.approx(whole.psnrs, abs=0.1)  # in another batch the last bits differ
    assert leaves.clip_scores == pytest.approx(whole.clip_scores[:1], abs=0.01)


def test_evaluate_in_batches_with_progress(tiny_pixart: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mddit_ui.service.batches.BATCH", 2)
    config = CONFIG.replace(prompts=PROMPTS + PROMPTS[:1], seeds=(3, 4, 5))
    told = []
    batched = evaluate(tiny_pixart, EVERY_SECOND, config, on_image=lambda *progress: told.append(progress))
    assert told == [(2, 6), (3, 6), (5, 6), (6, 6)]
    monkeypatch.setattr("mddit_ui.service.batches.BATCH", 16)
    at_once = evaluate(tiny_pixart, EVERY_SECOND, config)
    assert batched.images == 3
    assert batched.clip_score == pytest.approx(at_once.clip_score, abs=0.05)
    assert batched.latent_error == pytest.approx(at_once.latent_error, rel=1e-3)

    def stop(done: int, total: int) -> None:
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        evaluate(tiny_pixart, EVERY_SECOND, config, on_image=stop)


def test_classes_have_no_clip_score(tiny_dit: str):
    config = GenerationConfig(classes=(1, 2), seeds=(3, 4), steps=4, height=64, width=64)
    found = evaluate(tiny_dit, Policy.from_rows(["##", "==", "##", "=="]), config)
    assert found.clip_score is None
    assert found.latent_error > 0


def test_calibrations_are_kept(tiny_pixart: str, data_folder: Path):
    events = []
    first = calibrate(tiny_pixart, CONFIG, on_step=events.append)
    assert len(events) == 4
    again = calibrate(tiny_pixart, CONFIG, on_step=events.append)
    assert len(events) == 4  # nothing ran
    np.testing.assert_array_equal(first.residual_change, again.residual_change)  # to the last bit, rounded alike
    calibrate(tiny_pixart, CONFIG.replace(steps=3), on_step=events.append)
    assert len(events) == 7
    (data_folder / "calibrations").mkdir(exist_ok=True)
    for file in (data_folder / "calibrations").iterdir():
        file.write_text("{torn")
    calibrate(tiny_pixart, CONFIG, on_step=events.append)
    assert len(events) == 11
