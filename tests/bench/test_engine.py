"""The bench of the engine on tiny models: its tables say what the runs did; speeds are not tested here."""

import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from mddit_ui.bench import engine, peers
from mddit_ui.bench.subjects import of_model, of_shape
from mddit_ui.bench.timing import interleaved, macs_of, speed_up, timed
from mddit_ui.core.cost import MacTable
from mddit_ui.core.errors import ConfigError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine.hooks import attach
from mddit_ui.models.loading import load
from tests.engine.toy import traces
from tests.tiny import PROMPTS

CONFIG = GenerationConfig(prompts=PROMPTS, seeds=(0, 1), steps=6, height=64, width=64)


@pytest.fixture
def subject(tiny_pixart: str):
    return of_model(load(tiny_pixart), CONFIG)


def test_lines_say_what_the_runs_did(subject):
    before = traces(subject.transformer)
    timing = engine.measure(subject, rounds=1)
    assert traces(subject.transformer) == before
    names = [line.name for line in timing.lines]
    assert names[:3] == ["all computed", "whole steps, 80%", "scattered, 80%"]
    assert len(names) == 1 + 2 * len(engine.BUDGETS)
    for line in timing.lines:
        assert line.measured_bytes == line.planned_bytes <= line.naive_bytes
        assert line.speed_up.median > 0
    assert timing.lines[0].budget == 1
    assert timing.lines[0].naive_bytes == 0
    table = list(engine.markdown(timing, subject))
    assert len(table) == 4 + len(names) + 4
    assert "2 images, 6 steps" in table[0]


@pytest.mark.parametrize("make", [engine.whole_steps, engine.scattered])
@pytest.mark.parametrize("budget", engine.BUDGETS)
def test_policies_meet_their_budget_but_for_one_cell(make, budget: float):
    table = MacTable(tuple("abcdefghijklmn"), np.full(14, 70.0), 20.0)
    policy = make(table, 20, budget)
    assert abs(policy.budget(table) - budget) * table.full(20) <= 70
    assert (policy.actions[0] == 1).all()


def test_macs_counted_in_a_run_are_those_of_the_policy(subject):
    policy = engine.scattered(subject.table, 6, 0.41)
    full, _ = macs_of(subject, nullcontext)
    assert full == subject.table.full(6)
    macs, latents = macs_of(subject, lambda: attach(subject.target, policy))
    assert macs == subject.table.total(policy.actions)
    assert latents.shape == (2, 4, 8, 8)


def test_all_are_timed_in_every_round(subject):
    ran: list[str] = []

    def arrangement(name: str):
        def arrange():
            ran.append(name)
            return nullcontext()

        return arrange

    seconds = interleaved(subject, {name: arrangement(name) for name in "abc"}, rounds=2)
    assert [sorted(ran[start : start + 3]) for start in (0, 3, 6)] == [list("abc")] * 3
    assert [len(times) for times in seconds.values()] == [2, 2, 2]
    assert min(min(times) for times in seconds.values()) > 0


def test_the_speed_up_is_the_median_of_the_rounds():
    seconds = {"x": [2.0, 4.0, 100.0], "fast": [1.0, 1.0, 100.0]}
    median, error = speed_up(seconds, "fast", "x")  # of 2, 4, 1, whose quartiles are 1.5 and 3
    assert median == 2.0
    assert error == pytest.approx(1.2533 * (1.5 / 1.349) / 3**0.5)
    assert speed_up({"x": [3.0], "fast": [2.0]}, "fast", "x") == (1.5, math.inf)


def test_only_the_transformer_is_timed(subject):
    with timed(subject) as spent:
        assert spent() == 0
        torch.zeros(1000, 1000) @ torch.zeros(1000, 1000)
        assert spent() == 0
        subject.run()
    assert spent() > 0


@pytest.mark.parametrize("name", ["tiny-dit", "tiny-pixart"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shapes_with_random_weights(name: str, dtype: torch.dtype):
    subject = of_shape(name, 64, steps=4, images=1, device="cpu", dtype=dtype)
    assert next(subject.transformer.parameters()).dtype == dtype
    assert subject.residual_bytes.tolist() == [2 * 16 * 16 * dtype.itemsize] * 2  # guided, tokens, width
    timing = engine.measure(subject, rounds=1)
    assert all(line.measured_bytes == line.planned_bytes for line in timing.lines)
    assert macs_of(subject, nullcontext)[0] == subject.table.full(4)


def test_the_large_shapes_are_those_of_the_papers():
    """DiT-XL/2 at 256 px: 118.66 GMACs a call of one image (arXiv 2212.09748, table 4: 118.64)."""
    subject = of_shape("dit-xl-2", 256, steps=1, images=1, device="meta", dtype=torch.bfloat16)
    assert subject.table.full(1) / 2e9 == pytest.approx(118.66, abs=0.01)
    with pytest.raises(ConfigError, match="dit-xl-2"):
        of_shape("dit-xxl", 256, steps=1, images=1, device="meta", dtype=torch.bfloat16)


def test_peers_at_the_same_macs(tiny_pixart: str, subject):
    loaded = load(tiny_pixart)
    before = traces(loaded.transformer)
    rows = peers.measure(loaded, CONFIG, subject, 0.5, 1, engine.whole_steps)
    assert traces(loaded.transformer) == before
    assert len(rows) == 2 * len(peers.peers(loaded, 6)) >= 4
    cell = float(subject.table.site_macs[0]) / subject.table.full(6)
    for peer, policy in zip(rows[::2], rows[1::2], strict=True):
        assert policy.name == f"policy at the MACs of {peer.name}"
        assert policy.budget == pytest.approx(peer.budget, abs=cell)
        assert 0 < peer.budget <= 1
        assert peer.latent_error > 0
    assert rows[0].budget < 1
    assert len(list(peers.markdown(rows, subject))) == 4 + len(rows)


def test_a_threshold_is_found_by_halving(tiny_pixart: str, subject):
    """The share falls from all to (1 block + rest) as the threshold rises; half of it lies between."""
    full = subject.table.full(6)
    first = peers.peers(load(tiny_pixart), 6)[0]
    value = peers._setting(subject, first, 0.5 * full)
    shares = [macs_of(subject, first.knob(threshold))[0] / full for threshold in (0.0, value, 1.0)]
    assert shares[0] == 1
    assert shares[0] > shares[1] >= shares[2]


def test_the_table_from_the_command_line(tiny_pixart: str, capsys: pytest.CaptureFixture):
    assert engine.main(["--model", tiny_pixart, "--images", "1", "--steps", "4", "--rounds", "1", "--peers", "0"]) == 0
    printed = capsys.readouterr().out
    assert "tiny-pixart, float32 on cpu, 1 image, 4 steps" in printed
    assert "all computed costs" in printed
    assert "FirstBlockCache" not in printed
    assert engine.main(["--shapes", "tiny-dit", "--steps", "4", "--rounds", "1", "--images", "1"]) == 0
    assert "tiny-dit at 64 px, random weights" in capsys.readouterr().out


def test_full_depth_is_the_policy_of_budget_one():
    table = MacTable(("a", "b"), np.ones(2), 0.5)
    assert engine.whole_steps(table, 3, 1.0) == Policy.full(3, ("a", "b"))
