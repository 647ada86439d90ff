"""What a routed model has learned, as tables, as a policy, as pictures of patches; from Python and the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from mddit_ui.cli.main import main
from mddit_ui.core.errors import ModelError, PolicyError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig
from mddit_ui.core.tokens import BINS
from mddit_ui.service import catalog, routed
from mddit_ui.service.generate import generate
from tests.routed import RATIOS, save_routed
from tests.tiny import PROMPTS

CONFIG = GenerationConfig(prompts=PROMPTS, seeds=(3, 4), steps=4, height=64, width=64)


@pytest.fixture
def model(tiny_pixart: str, tmp_path: Path) -> str:
    return save_routed(tmp_path / "routed", tiny_pixart)


def test_what_was_learned(model: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    found = routed.learned(model)
    assert found.edges == (1000, 500, 0)
    np.testing.assert_allclose(found.ratios[0.5], RATIOS, rtol=1e-6)
    np.testing.assert_allclose(found.ratios[0.8], 1)
    policy = routed.learned_policy(model, 0.5, 4)
    assert policy.timesteps == (999.0, 749.0, 499.0, 249.0)
    assert policy.keep is not None
    np.testing.assert_allclose(policy.keep, np.array(RATIOS).T[[0, 0, 1, 1]], rtol=1e-6)
    view = catalog.describe(model, 4)
    shares = view.mac_table.routed
    assert shares is not None
    assert shares.shape == (len(BINS), 4)
    assert (np.diff(shares[:, 0]) < 0).all()
    out = tmp_path / "learned.json"
    argv = ["policies", "learned", "--model", model, "--target", "0.5", "--steps", "4", "--out", str(out), "--json"]
    assert main(argv) == 0
    told = json.loads(capsys.readouterr().out)
    assert Policy.load(out) == policy
    assert told["budget"] == pytest.approx(policy.budget(view.mac_table))
    assert 0.6 < told["budget"] < 0.95


def test_a_run_costs_what_the_table_says(model: str) -> None:
    policy = routed.learned_policy(model, 0.5, 4)
    result = generate(model, policy, CONFIG)
    table = catalog.describe(model, 4).mac_table
    assert result.macs / result.full_macs == pytest.approx(policy.budget(table))
    full = generate(model, None, CONFIG)
    assert full.macs == full.full_macs
    ones = Policy.full(4, 4, keep=np.ones((4, 4)))
    assert np.array_equal(generate(model, ones, CONFIG).images, full.images)
    assert not np.array_equal(result.images, full.images)


def test_which_patches_were_kept(model: str) -> None:
    rows = ("####", "#=##", "####", "##.#")
    learned = routed.learned_policy(model, 0.5, 4)
    policy = Policy.from_rows(rows, keep=learned.keep)
    kept, picture = routed.importance(model, policy, CONFIG)
    assert kept.shape == (4, 4, 4, 4)  # steps, blocks, and 16 tokens
    assert np.array_equal(picture, generate(model, policy, CONFIG.replace(prompts=PROMPTS[:1], seeds=(3,))).images[0])
    counts = kept.sum((2, 3))
    expected = np.ceil(np.round(np.array(learned.keep, float), 4) * 16) * (policy.actions == 1)
    np.testing.assert_allclose(counts, expected)


def test_other_models_have_learned_none(tiny_pixart: str, model: str) -> None:
    with pytest.raises(ModelError, match="no token routers"):
        routed.learned(tiny_pixart)
    with pytest.raises(ModelError, match="no token routers"):
        routed.importance(tiny_pixart, Policy.full(4, 4), CONFIG)
    with pytest.raises(ModelError, match=r"learned the targets 0\.8, 0\.5"):
        routed.learned_policy(model, 0.6)
    with pytest.raises(PolicyError, match="residual-norm"):
        generate(tiny_pixart, Policy.full(4, 4, keep=np.full((4, 4), 0.5)), CONFIG)
    half = generate(tiny_pixart, Policy.full(4, 4, keep=np.full((4, 4), 0.5)), CONFIG, tokens="residual-norm")
    assert half.macs < half.full_macs
