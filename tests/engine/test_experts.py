"""Two transformers in one pipeline, as in Wan 2.2: below a timestep the second takes over."""

from typing import Any

import numpy as np
import pytest
import torch

from mddit_ui.core.errors import ModelError, PolicyError
from mddit_ui.core.policy import Policy
from mddit_ui.engine.hooks import apply_policy
from mddit_ui.engine.macs import count_call
from mddit_ui.engine.record import record
from mddit_ui.models.sites import find_sites
from tests.engine.reference import by_hand
from tests.engine.test_pipelines import close
from tests.engine.tiny_parts import stirred
from tests.engine.tiny_pipelines import run, wan
from tests.engine.toy import traces

STEPS, CALLS, SWITCH = 6, 2, 3  # guidance in two calls
POLICY = Policy.from_rows(["###", "#==", "#=#", "=.=", "=#=", "==="])


@pytest.fixture(scope="module")
def pipe() -> Any:
    torch.manual_seed(0)
    made = wan(experts=2)
    stirred(made.transformer)
    made.set_progress_bar_config(disable=True)
    return made


def sample(pipe: Any) -> torch.Tensor:
    return run("WanPipeline", pipe, STEPS)


def test_the_second_takes_over_in_this_step(pipe: Any) -> None:
    calls = {"transformer": 0, "transformer_2": 0}

    def count(name: str) -> None:
        calls[name] += 1

    handles = [getattr(pipe, n).register_forward_pre_hook(lambda *_, n=n: count(n)) for n in calls]
    sample(pipe)
    for handle in handles:
        handle.remove()
    assert calls == {"transformer": CALLS * SWITCH, "transformer_2": CALLS * (STEPS - SWITCH)}


def test_one_policy_for_both(pipe: Any) -> None:
    """Exact at full depth; else as by hand, where each expert knows its own residuals alone."""
    plain = sample(pipe)
    before = traces(pipe.transformer), traces(pipe.transformer_2)
    with apply_policy(pipe, Policy.full(STEPS, 3)) as applied:
        assert torch.equal(sample(pipe), plain)
        report = applied.report()
    assert (report.steps, report.calls, report.filled) == (STEPS, STEPS * CALLS, 0)
    assert report.slots == ("cond", "uncond", "cond of transformer_2", "uncond of transformer_2")
    with apply_policy(pipe, POLICY) as applied:
        fast = [sample(pipe) for _ in range(2)]
        report = applied.report()
    with by_hand(pipe.transformer, POLICY, {}, CALLS), by_hand(pipe.transformer_2, POLICY, {}, CALLS, SWITCH):
        slow = sample(pipe)
    assert torch.equal(*fast)
    assert close(fast[0], slow)
    assert not close(slow, plain)
    assert report.filled == CALLS * 2  # the first and the last block, in the first step of the second expert
    assert (traces(pipe.transformer), traces(pipe.transformer_2)) == before
    assert torch.equal(sample(pipe), plain)


def test_the_report_covers_both(pipe: Any) -> None:
    with apply_policy(pipe, POLICY) as applied:
        sample(pipe)
        report = applied.report()
        slot = applied.run.slots["cond of transformer_2"]
    filled = np.array([1, 0, 1])
    cells = (POLICY.actions == 1).sum(0) + filled
    assert [site.computed for site in report.sites] == (CALLS * cells).tolist()
    names = [site.name for site in find_sites(pipe.transformer_2)]
    table = count_call(pipe.transformer_2, names, slot.args, slot.kwargs)
    assert report.full_macs == pytest.approx(STEPS * CALLS * table.full(1))
    assert report.macs == pytest.approx(CALLS * (cells @ table.site_macs + STEPS * table.rest_macs))
    residual = slot.site_bytes[0]
    # Before the switch blocks 0 and 2 (computed in step 2) and 1 (in step 0) hold one each; after it 0 and 2 the filled
    # ones, and 1 what it computes in step 4. What the first expert held is gone by then.
    assert report.peak_cache_bytes == report.predicted_cache_bytes == 3 * CALLS * residual
    assert applied.run.tally.held_bytes == 0


def test_a_policy_for_one_of_them(pipe: Any) -> None:
    """The pipeline tells each call its step: rows are those of the whole run here too."""
    plain = sample(pipe)
    with apply_policy(pipe.transformer_2, POLICY) as applied:
        fast = sample(pipe)
    with by_hand(pipe.transformer_2, POLICY, {}, CALLS, SWITCH):
        assert close(fast, sample(pipe))
    assert (applied.run.steps, applied.run.calls) == (STEPS, CALLS * (STEPS - SWITCH))
    with apply_policy(pipe, None) as applied:
        assert torch.equal(sample(pipe), plain)
    assert applied.run.calls == CALLS * STEPS


def test_all_or_nothing(pipe: Any) -> None:
    before = traces(pipe.transformer), traces(pipe.transformer_2)
    with apply_policy(pipe.transformer_2, POLICY), pytest.raises(PolicyError, match="already follows"):
        apply_policy(pipe, POLICY)
    blocks = pipe.transformer_2.blocks
    pipe.transformer_2.blocks = blocks[:2]
    try:
        with pytest.raises(ModelError, match="different blocks"), record(pipe):
            pass
        with pytest.raises(PolicyError, match="2 blocks"):
            apply_policy(pipe, POLICY)
    finally:
        pipe.transformer_2.blocks = blocks
    assert (traces(pipe.transformer), traces(pipe.transformer_2)) == before


def test_what_both_compute_is_recorded(pipe: Any) -> None:
    with record(pipe) as recording:
        sample(pipe)
    assert recording.policy().rows == ("###",) * STEPS
