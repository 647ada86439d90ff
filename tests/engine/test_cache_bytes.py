"""Any policy on the toy against a naive simulation: what comes out, what is held at the most, that nothing stays."""

from collections import defaultdict

from hypothesis import given, settings

from mddit_ui.core.policy import Action, Policy
from mddit_ui.engine.hooks import apply_policy
from tests.core.strategies import policies
from tests.engine.toy import ToyTransformer, run

BYTES = 4  # of the toy's residuals, one float


def simulate(policy: Policy, timesteps: list[float]) -> tuple[list[float], int]:
    """(outputs, most bytes held): every residual kept as long as a later cell wants it.

    Neighbours of one step that are wanted in the same steps count once.
    """
    steps, sites = policy.actions.shape
    wanted = defaultdict(set)
    source = {}
    for site in range(sites):
        for step in range(steps):
            action = policy.actions[step, site]
            if action == Action.COMPUTE:
                latest = step
            elif action == Action.CACHE:
                wanted[latest, site].add(step)
                source[step, site] = latest
    outputs, held, most = [], set(), 0
    for step in range(steps):
        total = 0.0
        for site in range(sites):
            action = policy.actions[step, site]
            at = source.get((step, site), step)
            total += 0 if action == Action.SKIP else timesteps[at] * 10.0**site
            if wanted.get((step, site)):
                held.add((step, site))
            heads = {(s, c) for s, c in held if wanted.get((s, c - 1)) != wanted[s, c]}
            most = max(most, len(heads))
            if action == Action.CACHE and step == max(wanted[at, site]):
                held.discard((at, site))
        outputs.append(total)
    assert not held
    return outputs, most * BYTES


@settings(max_examples=60)
@given(policies())
def test_against_a_naive_simulation(policy: Policy):
    steps, sites = policy.actions.shape
    timesteps = [float(steps - step) for step in range(steps)]
    bare = Policy(policy.actions)
    outputs, most = simulate(bare, timesteps)
    with apply_policy(ToyTransformer(sites), bare) as applied:
        assert run(applied.transformer, timesteps) == outputs
        report = applied.report()
        assert report.peak_cache_bytes == report.predicted_cache_bytes == most
        assert applied.run.tally.held_bytes == 0
    assert [s.computed for s in report.sites] == (policy.actions == Action.COMPUTE).sum(0).tolist()
    assert [s.cached for s in report.sites] == (policy.actions == Action.CACHE).sum(0).tolist()
    assert report.macs == (policy.actions == Action.COMPUTE).sum()
