"""Runs that enter the schedule late: a picture or a film is given, and strength below 1 says how much is made anew."""

from typing import Any

import diffusers
import pytest
import torch

from mddit_ui.core.policy import Policy
from mddit_ui.engine.hooks import apply_policy
from mddit_ui.models.sites import find_sites
from tests.engine.reference import by_hand
from tests.engine.test_pipelines import close
from tests.engine.tiny_pipelines import FAMILIES, make, run
from tests.engine.toy import random_policy, traces

STEPS, STRENGTH, FIRST = 6, 0.5, 3
FAST = ("StableDiffusion3Img2ImgPipeline", "QwenImageImg2ImgPipeline", "CogVideoXVideoToVideoPipeline")
PICTURES = {"image": torch.linspace(0, 1, 2 * 3 * 64 * 64).reshape(2, 3, 64, 64), "strength": STRENGTH}
FILM = {"video": torch.linspace(0, 1, 9 * 3 * 64 * 64).reshape(9, 3, 64, 64), "strength": STRENGTH, "num_frames": None}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "StableDiffusion3Img2ImgPipeline": ("StableDiffusion3Pipeline", PICTURES),
    "FluxImg2ImgPipeline": ("FluxPipeline", PICTURES),
    "QwenImageImg2ImgPipeline": ("QwenImagePipeline", PICTURES),  # guidance in two calls
    "ZImageImg2ImgPipeline": ("ZImagePipeline", PICTURES),
    "CogVideoXVideoToVideoPipeline": ("CogVideoXPipeline", FILM),  # does not tell its scheduler where it begins
    "WanVideoToVideoPipeline": ("WanPipeline", FILM),
}


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    "kind", [kind if kind in FAST else pytest.param(kind, marks=pytest.mark.slow) for kind in CASES]
)
def test_rows_are_those_of_the_whole_schedule(kind: str) -> None:
    name, given = CASES[kind]
    family, whole = FAMILIES[name], make(name)
    parts = {key: value for key, value in whole.components.items() if not key.endswith("_2") or value is not None}
    parts.pop("transformer_2", None)
    pipe = getattr(diffusers, kind)(**parts)
    pipe.set_progress_bar_config(disable=True)
    sites = len(find_sites(pipe.transformer))

    def sample() -> torch.Tensor:
        one = {"prompt": ["red ball"], "generator": torch.Generator().manual_seed(0)} if "video" in given else {}
        return run(name, pipe, STEPS, **given, **one)

    plain = sample()
    before = traces(pipe.transformer)
    with apply_policy(pipe, Policy.full(STEPS, sites)) as applied:
        assert torch.equal(sample(), plain)
    assert (applied.run.steps, applied.run.calls) == (STEPS, (STEPS - FIRST) * family.calls)
    for policy in (Policy.from_rows(["#" * sites, "=" * sites] * 3), random_policy(STEPS, sites, 1)):
        with apply_policy(pipe, policy) as applied:
            fast = sample()
        with by_hand(pipe.transformer, policy, family.streams, family.calls, FIRST):
            slow = sample()
        assert applied.peak_cache_bytes == applied.predicted_cache_bytes
        assert close(fast, slow)
        assert not close(fast, plain)
    assert applied.run.filled == family.calls * late(policy)
    assert traces(pipe.transformer) == before


def late(policy: Policy) -> int:
    """CACHE cells of a run that begins at FIRST with no compute before them in their column."""
    rows = policy.actions[FIRST:]
    return sum(int(((rows[:, site] == 1).cumsum() == 0)[rows[:, site] == 0][:1].sum()) for site in range(rows.shape[1]))
