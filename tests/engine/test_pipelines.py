"""Every family of pipelines, through its real class: full depth is the plain call, a policy is what it says."""

from typing import Any

import pytest
import torch

from mddit_ui.core.policy import Policy
from mddit_ui.engine.hooks import apply_policy
from mddit_ui.models.sites import find_sites
from tests.engine.reference import by_hand
from tests.engine.tiny_pipelines import FAMILIES, make, run
from tests.engine.toy import random_policy, traces

STEPS = 4


def close(one: torch.Tensor, two: torch.Tensor) -> bool:
    return torch.allclose(one, two, rtol=1e-5, atol=1e-5 * max(1.0, float(two.abs().max())))


def pipeline_traces(pipe: Any) -> dict[str, Any]:
    """Everything that a policy could leave behind: on the transformer, on the pipeline."""
    parts = {key: value for key, value in vars(pipe).items() if key in pipe.components or not key.startswith("_")}
    return {**traces(pipe.transformer), "pipeline": sorted(f"{key}={id(value)}" for key, value in parts.items())}


@pytest.mark.filterwarnings("default")  # what diffusers' pipelines warn about is not ours to test
@pytest.mark.parametrize("name", FAMILIES)
def test_two_prompts_follow_a_policy_exactly(name: str) -> None:
    family, pipe = FAMILIES[name], make(name)
    sites = len(find_sites(pipe.transformer))
    plain = run(name, pipe, STEPS)
    pictures = run(name, pipe, STEPS, output_type="pt")
    before = pipeline_traces(pipe)

    with apply_policy(pipe, Policy.full(STEPS, sites)) as applied:
        assert torch.equal(run(name, pipe, STEPS), plain)
        assert torch.equal(run(name, pipe, STEPS, output_type="pt"), pictures)
        report = applied.report()
    assert (report.steps, report.calls) == (STEPS, STEPS * family.calls)
    assert report.macs == report.full_macs > 0

    for policy in (Policy.from_rows(["#" * sites, "=" * sites] * 2), random_policy(STEPS, sites, 1)):
        with apply_policy(pipe, policy) as applied:
            fast = run(name, pipe, STEPS)
        assert applied.run.filled == 0
        assert applied.peak_cache_bytes == applied.predicted_cache_bytes
        for column, counts in enumerate(applied.run.counts.tolist()):
            assert counts == [(policy.actions[:, column] == action).sum() * family.calls for action in (-1, 0, 1)]
        with by_hand(pipe.transformer, policy, family.streams, family.calls):
            slow = run(name, pipe, STEPS)
        assert close(fast, slow)
        assert not close(fast, plain)  # the policy did change something

    assert pipeline_traces(pipe) == before
    assert torch.equal(run(name, pipe, STEPS), plain)
