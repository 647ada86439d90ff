"""A measurement on a real (tiny) pipeline: its numbers, its batches, and that nothing is made twice."""

import json
from pathlib import Path

import numpy as np
import pytest

from mddit_ui.core.errors import Cancelled
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import ClassLabel
from mddit_ui.metrics.clip import ClipScorer
from mddit_ui.metrics.distribution import cmmd
from mddit_ui.models.loading import unload
from mddit_ui.models.registry import get_model
from mddit_ui.service import measure as service
from mddit_ui.service.generate import generate, score
from mddit_ui.service.measure import Trial, measure, pictures
from tests.tiny import PROMPTS

EVERY_SECOND = Policy.from_rows(["####", "====", "####", "===="])


@pytest.fixture
def trial(tiny_pixart: str, monkeypatch: pytest.MonkeyPatch) -> Trial:
    monkeypatch.setattr("mddit_ui.service.batches.BATCH", 2)
    return Trial.of(tiny_pixart, (PROMPTS * 3)[:5], seed=3, steps=4)


def test_it_agrees_with_the_scores_of_a_run(trial: Trial):
    found, full = measure(trial, EVERY_SECOND), measure(trial)
    assert found.images == 5
    assert full.psnr is None
    assert full.budget == 1
    (first, *_) = trial.batches()
    reference = generate(trial.model, None, first)
    scored = score(trial.model, generate(trial.model, EVERY_SECOND, first), first, reference=reference)
    assert found.clip_scores[:2] == pytest.approx(scored.clip_scores)
    assert found.clip_score == pytest.approx(np.mean(found.clip_scores))
    assert found.clip_error == pytest.approx(np.std(found.clip_scores, ddof=1) / 5**0.5)
    assert measure(Trial.of(trial.model, first.prompts, seed=3, steps=4), EVERY_SECOND).psnr == pytest.approx(
        scored.psnr
    )
    assert 0.4 < found.budget < 0.6
    assert found.cmmd is None  # there are no real pictures beside a tiny model
    assert (pictures(trial)[:2] == reference.images).all()


def test_an_interrupted_measurement_goes_on(trial: Trial, monkeypatch: pytest.MonkeyPatch):
    def stop(done: int, total: int) -> None:
        assert (done, total) == (2, 5)
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        measure(trial, EVERY_SECOND, on_image=stop)
    made = []
    monkeypatch.setattr(
        service, "generate", lambda *given, **more: made.append(given[2].images) or generate(*given, **more)
    )
    seen = []
    found = measure(trial, EVERY_SECOND, on_image=lambda done, total: seen.append(done))
    assert seen == [2, 4, 5]
    assert made == [2, 2, 1, 1]  # full depth and policy of the second and the third batch
    assert measure(trial, EVERY_SECOND) == found
    assert len(made) == 4


def test_a_torn_file_is_made_again(trial: Trial, data_folder: Path):
    before = measure(trial)
    for file in data_folder.glob("measurements/*/*.npz"):
        file.write_bytes(file.read_bytes()[:100])
    assert measure(trial).clip_scores == before.clip_scores


def test_against_real_pictures(trial: Trial, tiny_models: Path):
    scorer = ClipScorer.load("tiny-clip")
    real = scorer.embed_images(np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8))
    file = tiny_models / trial.model / service.REAL_FILE
    np.save(file, real.astype(np.float16))
    try:
        found = measure(trial)
    finally:
        file.unlink()
    assert found.cmmd == pytest.approx(cmmd(scorer.embed_images(pictures(trial)), real), abs=0.01)


def test_accuracy_is_the_share_of_pictures_that_like_their_own_caption_best(tiny_dit: str, tiny_models: Path):
    """A class model with three captions: the CLIP of the tiny models knows no truth, so it is counted by hand."""
    file = tiny_models / tiny_dit / "mddit.json"
    plain = file.read_text()
    labels = [ClassLabel(name=name, caption=f"a {name} thing") for name in ("red", "blue", "green")]
    changed = {"clip": "tiny-clip", "classes": [label.to_dict() for label in labels]}
    file.write_text(json.dumps({**json.loads(plain), **changed}))
    unload()
    try:
        trial = Trial.of(tiny_dit, ("red", "1", "a green thing", "blue"), steps=3)
        found = measure(trial)
        made = pictures(trial)
        assert get_model(tiny_dit).classes == tuple(labels)
    finally:
        file.write_text(plain)
        unload()
    scorer = ClipScorer.load("tiny-clip")
    cosines = scorer.embed_images(made) @ scorer.embed_texts([label.caption for label in labels]).T
    assert found.accuracy == np.mean(cosines.argmax(1) == [0, 1, 2, 1])
    assert found.clip_scores == pytest.approx(100 * cosines[range(4), [0, 1, 2, 1]], rel=1e-4)
