"""Shared work changes no bit: whatever ran before, whatever the memory holds."""

import numpy as np
import pytest
import torch

from mddit_ui.core.policy import Policy, repair
from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine.memo import Memo
from mddit_ui.engine.runner import generate
from mddit_ui.models.loading import load
from tests.tiny import PROMPTS

STEPS = 6


def config(**more):
    return GenerationConfig(prompts=PROMPTS, seeds=(1, 2), steps=STEPS, height=64, width=64, **more)


def policies(sites, count=12, seed=0):
    """Random tables, the later ones with the first rows of earlier ones, parted at a random cell."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        actions = random.choice([-1, 0, 1], (STEPS, sites), p=[0.15, 0.4, 0.45]).astype(np.int8)
        if made:
            cut = int(random.integers(0, actions.size))
            actions.flat[:cut] = made[int(random.integers(len(made)))].actions.flat[:cut]
        made.append(Policy(repair(actions)))
    return made


def same(one, two):
    np.testing.assert_array_equal(one.latents, two.latents)
    np.testing.assert_array_equal(one.images, two.images)


@pytest.mark.parametrize("scheduler", ["default", "lcm", "heun"])
def test_it_changes_no_bit(tiny_pixart, scheduler):
    loaded = load(tiny_pixart)
    request = config(scheduler=scheduler)
    steps = 2 * STEPS - 1 if scheduler == "heun" else STEPS
    memo = Memo()
    for policy in policies(4, 8):
        policy = policy.resample(steps)
        same(generate(loaded, policy, request, memo=memo), generate(loaded, policy, request))
    assert memo.recalled > 20


def test_what_is_recalled_is_not_run_again(tiny_pixart):
    loaded = load(tiny_pixart)
    first, other = Policy.from_rows(["####"] * 6), Policy.from_rows(["####"] * 4 + ["====", "####"])
    memo = Memo()
    generate(loaded, first, config(), memo=memo)  # its very first call of each block is not kept
    generate(loaded, first, config(), memo=memo)
    before, computed = memo.recalled, memo.computed
    generate(loaded, other, config(), memo=memo)
    assert memo.recalled - before == 16
    assert memo.computed - computed == 4
    before, computed = memo.recalled, memo.computed
    generate(loaded, other, config(), memo=memo)
    assert (memo.recalled - before, memo.computed - computed) == (20, 0)


def test_little_memory_is_enough(tiny_pixart):
    loaded = load(tiny_pixart)
    memo = Memo(limit_bytes=20_000)
    for policy in policies(4, 6):
        same(generate(loaded, policy, config(), memo=memo), generate(loaded, policy, config()))
        assert memo.held_bytes <= 20_000
    none = Memo(limit_bytes=0)
    for policy in policies(4, 3):
        generate(loaded, policy, config(), memo=none)
    assert (none.held_bytes, none.recalled) == (0, 0)


def test_what_others_write_to_is_recalled_as_it_was():
    memo, tensor = Memo(), torch.zeros(3)
    memo.keep("a", tensor)
    tensor += 1
    memo.recall("a").add_(1)
    assert memo.recall("a").tolist() == [0, 0, 0]


def test_room_is_used_again_and_what_was_given_from_it_stays():
    memo = Memo(limit_bytes=24)
    memo.keep("a", torch.full((3,), 1.0))
    memo.keep("b", (torch.full((3,), 2.0), None))
    assert memo.recall("b")[1] is None
    given = memo.recall("a")
    places = {tensor.data_ptr() for tensor in (memo._outputs["a"], memo._outputs["b"][0])}
    memo.keep("c", torch.full((3,), 3.0))  # in the place of b, which was asked for longest ago
    assert memo.recall("b") is None
    assert {memo._outputs[key].data_ptr() for key in "ac"} == places
    memo.keep("d", torch.full((3,), 4.0))
    assert [memo.recall(key) is None for key in "acd"] == [True, False, False]
    assert given.tolist() == [1, 1, 1]
    assert memo.held_bytes == 24


def test_two_streams(tiny_flux):
    loaded = load(tiny_flux)
    memo = Memo()
    for policy in policies(4, 3):
        same(generate(loaded, policy, config(), memo=memo), generate(loaded, policy, config()))
    assert memo.recalled > 0


def test_two_requests_share_the_room_and_nothing_else(tiny_pixart):
    loaded = load(tiny_pixart)
    memo = Memo()
    other = config().replace(seeds=(3, 4))
    policy = Policy.from_rows(["####"] * 6)
    generate(loaded, policy, config(), memo=memo.part("one"))
    generate(loaded, policy, config(), memo=memo.part("one"))
    before = memo.recalled
    same(generate(loaded, policy, other, memo=memo.part("other")), generate(loaded, policy, other))
    assert memo.recalled == before
