"""Policies whose cells keep a part of the tokens: by routers, and by the experiment that needs none."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mddit_ui.core.errors import PolicyError
from mddit_ui.core.policy import Policy
from mddit_ui.core.tokens import BINS
from mddit_ui.engine.hooks import apply_policy
from mddit_ui.engine.macs import count_call
from mddit_ui.models.routed_dit import learned_keep, use_target, with_routers
from tests.engine.tiny_transformers import build, inputs

NAME = "PixArtTransformer2DModel"
SITES = tuple(f"transformer_blocks.{index}" for index in range(3))
TIMES = (800.0, 300.0)


def routed() -> Any:
    return with_routers(build(NAME), (0.8, 0.5), 2)


@torch.no_grad()
def run(model: nn.Module, policy: Policy | None, **more: Any) -> tuple[list[torch.Tensor], Any]:
    """The outputs of two steps, and what was applied."""
    with apply_policy(model, policy, **more) as applied:
        outputs = [model(**inputs(NAME, time)).sample for time in TIMES]
        return outputs, applied


def policy_of(*keep: list[float], rows: tuple[str, ...] = ("###", "###")) -> Policy:
    return Policy.from_rows(rows, sites=SITES, keep=np.array(keep, np.float32))


def all_equal(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> bool:
    return all(torch.equal(one, two) for one, two in zip(ours, theirs, strict=True))


def test_all_ratios_1_and_all_computed_is_the_model_without_routers() -> None:
    plain, _ = run(build(NAME), None)
    model = routed()
    model.ratios.data[1] = 0.5
    assert all_equal(run(model, policy_of([1, 1, 1], [1, 1, 1]))[0], plain)
    assert all_equal(run(model, Policy.full(2, SITES))[0], plain)
    use_target(model, 0.5)
    assert all_equal(run(model, policy_of([1, 1, 1], [1, 1, 1]))[0], plain)  # the policy comes first
    assert not all_equal(run(model, Policy.full(2, SITES))[0], plain)


def test_ratios_act_cell_by_cell() -> None:
    """Against the model with each block told its ratio by hand."""
    keep = [[1.0, 0.6, 0.3], [0.5, 1.0, 0.75]]
    ours, _ = run(routed(), policy_of(*keep))
    by_hand = routed()
    expected = []
    for time, ratios in zip(TIMES, keep, strict=True):
        for block, ratio in zip(by_hand.transformer_blocks, ratios, strict=True):
            block.ratio = ratio
        with torch.no_grad():
            expected.append(by_hand(**inputs(NAME, time)).sample)
    assert all_equal(ours, expected)


def test_a_policy_of_what_was_learned_is_the_model_at_its_target() -> None:
    model = routed()
    model.ratios.data[1] = torch.tensor([[0.5, 0.9], [1.0, 0.3], [0.7, 0.6]])
    use_target(model, 0.5)
    own, applied = run(model, Policy.full(2, SITES))
    learned = learned_keep(model, TIMES, 0.5)
    use_target(model, None)
    given, again = run(model, Policy.full(2, SITES, keep=learned))
    assert all_equal(own, given)
    assert applied.macs == again.macs < run(model, Policy.full(2, SITES))[1].macs


def test_a_cached_cell_gives_kept_tokens_their_change_and_the_others_none() -> None:
    model = routed()
    seen: dict[str, torch.Tensor] = {}
    block = model.transformer_blocks[1]
    handle = block.register_forward_hook(
        lambda block, args, output: seen.update({f"in {len(seen) // 2}": args[0], f"out {len(seen) // 2}": output})
    )
    run(model, policy_of([1, 0.5, 1], [1, 1, 1], rows=("###", "#=#")))
    handle.remove()
    first = seen["out 0"] - seen["in 0"]
    moved = (first != 0).any(-1)  # (b, n)
    assert moved.sum() == 8  # of 16 tokens
    torch.testing.assert_close(seen["out 1"] - seen["in 1"], first, atol=1e-5, rtol=1e-4)
    assert torch.equal(seen["out 1"][~moved], seen["in 1"][~moved])


def test_macs_of_a_run_are_those_of_the_real_gather() -> None:
    model, keep = routed(), [[1.0, 0.6, 0.3], [0.5, 1.0, 0.7]]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        _, applied = run(model, policy_of(*keep, rows=("###", "#=#")))
    assert applied.macs == pytest.approx(counter.get_total_flops() / 2, rel=1e-9)
    table = count_call(model, SITES, (), inputs(NAME, 300.0), by_tokens=True)
    assert table.routed is not None
    policy = policy_of(*keep, rows=("###", "#=#"))
    assert float(table.total(policy.actions, policy.keep)) == pytest.approx(applied.macs, rel=1e-9)
    assert policy.budget(table) == pytest.approx(applied.macs / table.full(2))


def test_shares_of_macs_are_those_of_the_formula() -> None:
    """k tokens of n: projections and MLP by k, attention by k squared, the text's keys and values by neither."""
    table = count_call(routed(), SITES, (), inputs(NAME, 300.0), by_tokens=True)
    n, d, words = 16, 32, 5

    def macs(k: int) -> int:
        return k * (14 * d * d + 2 * k * d + 2 * words * d) + 2 * words * d * d

    expected = [macs(int(np.ceil(round(ratio * n, 3)))) / macs(n) for ratio in BINS]
    assert table.routed is not None
    np.testing.assert_allclose(table.routed, np.tile(expected, (3, 1)).T)


def test_a_model_without_routers_says_so() -> None:
    with pytest.raises(PolicyError, match=r"no token routers.*residual-norm"):
        run(build(NAME), policy_of([1, 1, 0.5], [1, 1, 1]))
    run(build(NAME), policy_of([1, 1, 1], [1, 1, 0.5], rows=("###", "##=")))  # nothing is computed on a part
    flux = build("FluxTransformer2DModel")
    columns = sum(len(blocks) for blocks in (flux.transformer_blocks, flux.single_transformer_blocks))
    some = Policy.full(2, columns, keep=np.full((2, columns), 0.5))
    with pytest.raises(PolicyError, match="PixArt's blocks"):
        apply_policy(flux, some, tokens="residual-norm")


def test_the_experiment_runs_on_the_tokens_that_were_changed_most() -> None:
    plain = build(NAME)
    policy = policy_of([0.5, 1, 1], [0.5, 1, 1])
    ours, applied = run(plain, policy, tokens="residual-norm")
    assert applied.macs < run(plain, Policy.full(2, SITES))[1].macs
    model = build(NAME)
    entered: list[torch.Tensor] = []
    model.transformer_blocks[0].register_forward_hook(
        lambda block, args, output: entered.extend((args[0], output)),
    )
    with torch.no_grad():
        firsts = [model(**inputs(NAME, time)).sample for time in TIMES]
        assert torch.equal(ours[0], firsts[0])  # nothing is known of the tokens yet
        before, after = entered[:2]
        chosen = (after - before).norm(dim=-1).topk(8, 1).indices
        kept = torch.zeros(before.shape[:2], dtype=torch.bool).scatter(1, chosen, True)
    seen: list[torch.Tensor] = []
    handle = plain.transformer_blocks[0].register_forward_hook(
        lambda block, args, output: seen.extend((args[0], output))
    )
    run(plain, policy, tokens="residual-norm")
    handle.remove()
    assert torch.equal(seen[3][~kept], seen[2][~kept])
    assert (seen[3][kept] != seen[2][kept]).any(-1).all()
