"""The CLIP score against open_clip itself."""

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from mddit_ui.core.errors import ConfigError, ModelError
from mddit_ui.metrics.clip import ClipScorer
from tests.tiny import PROMPTS

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)


def test_100_times_the_cosine(tiny_models: Path):
    scorer = ClipScorer.load("tiny-clip")
    folder = f"local-dir:{tiny_models / 'tiny-clip'}"
    model, _, preprocess = open_clip.create_model_and_transforms(folder)
    model.eval()
    with torch.no_grad():
        seen = model.encode_image(torch.stack([preprocess(Image.fromarray(image)) for image in IMAGES]))
        read = model.encode_text(open_clip.get_tokenizer(folder)(list(PROMPTS)))
    expected = 100 * torch.nn.functional.cosine_similarity(seen, read).numpy()
    assert np.allclose(scorer.score(IMAGES, PROMPTS), expected, atol=1e-3)
    assert scorer.backbone == "tiny-clip"
    assert scorer.score(IMAGES, PROMPTS).shape == (2,)


def test_each_pair_for_itself(tiny_models: Path):
    scorer = ClipScorer.load("tiny-clip")
    both = scorer.score(IMAGES, PROMPTS)
    assert scorer.score(IMAGES[1:], PROMPTS[1:]) == pytest.approx(both[1:], abs=1e-4)
    assert scorer.score(IMAGES[::-1], PROMPTS[::-1]) == pytest.approx(both[::-1], abs=1e-4)


def test_loaded_once_and_by_path(tiny_models: Path):
    assert ClipScorer.load("tiny-clip") is ClipScorer.load("tiny-clip")
    by_path = ClipScorer.load(str(tiny_models / "tiny-clip"))
    assert by_path.score(IMAGES, PROMPTS) == pytest.approx(ClipScorer.load("tiny-clip").score(IMAGES, PROMPTS))


def test_what_can_not_be_loaded_or_scored(tiny_models: Path):
    with pytest.raises(ModelError, match=r"No CLIP 'nope'.*open_clip_config.json"):
        ClipScorer.load("nope")
    with pytest.raises(ModelError, match="Can't load the CLIP 'ViT-B-32:no-such-weights'"):
        ClipScorer.load("ViT-B-32:no-such-weights")
    with pytest.raises(ModelError, match="2 images and 1 texts"):
        ClipScorer.load("tiny-clip").score(IMAGES, PROMPTS[:1])
    with pytest.raises(ConfigError, match="uint8"):
        ClipScorer.load("tiny-clip").score(IMAGES / 255, PROMPTS)
