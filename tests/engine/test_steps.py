"""Which row a call belongs to, for every way in which pipelines call a transformer."""

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler
from diffusers.hooks.hooks import CacheContext

from mddit_ui.core.errors import PolicyError
from mddit_ui.engine.steps import StepClock


class Scheduler:
    """What a clock asks of a diffusers scheduler."""

    def __init__(self, *timesteps: float, begin_index: int | None = None) -> None:
        self.timesteps = torch.tensor(timesteps)
        self.num_inference_steps = len(timesteps)
        self.begin_index = begin_index


def rows(clock: StepClock, timesteps: list, names: list[str | None] | None = None) -> list[int]:
    contexts = [None if name is None else CacheContext(name) for name in names or [None] * len(timesteps)]
    return [clock.tick(t, context)[0] for t, context in zip(timesteps, contexts, strict=True)]


def test_one_call_a_step():
    clock = StepClock(4)
    assert rows(clock, [9.0, 6.0, 3.0, 0.0]) == [0, 1, 2, 3]
    assert clock.tick(9.0) == (0, "call 0", True)


def test_timesteps_that_rise_as_those_of_flow_models_do():
    clock = StepClock(3)
    assert rows(clock, [0.0, 0.4, 0.8, 0.0, 0.4]) == [0, 1, 2, 0, 1]


def test_a_timestep_for_each_image_or_token():
    clock = StepClock(3)
    first_frame_clean = [torch.tensor([0.0, t, t]) for t in (900.0, 600.0, 300.0)]
    assert rows(clock, first_frame_clean) == [0, 1, 2]


def test_guidance_in_two_calls_with_contexts():
    clock = StepClock(2)
    ticks = [clock.tick(t, CacheContext(name)) for t in (9.0, 5.0) for name in ("cond", "uncond")]
    assert ticks == [(0, "cond", True), (0, "uncond", False), (1, "cond", False), (1, "uncond", False)]


def test_guidance_in_two_calls_without_contexts():
    clock = StepClock(2)
    ticks = [clock.tick(t) for t in (9.0, 9.0, 5.0, 5.0)]
    assert ticks == [(0, "call 0", True), (0, "call 1", False), (1, "call 0", False), (1, "call 1", False)]


@pytest.mark.parametrize("scheduler", [None, Scheduler(9.0, 6.0, 6.0, 3.0, 3.0)])
def test_heun_repeats_timesteps_and_each_is_a_row(scheduler: Scheduler | None):
    clock = StepClock(5, (lambda: scheduler) if scheduler else None)
    assert rows(clock, [9.0, 6.0, 6.0, 3.0, 3.0]) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("scheduler", [None, Scheduler(9.0, 6.0, 6.0)])
def test_heun_with_guidance_in_two_calls(scheduler: Scheduler | None):
    clock = StepClock(3, (lambda: scheduler) if scheduler else None)
    assert rows(clock, [9.0, 9.0, 6.0, 6.0, 6.0, 6.0]) == [0, 0, 1, 1, 2, 2]
    clock = StepClock(3, (lambda: scheduler) if scheduler else None)
    assert rows(clock, [9.0, 9.0, 6.0, 6.0, 6.0, 6.0], ["cond", "uncond"] * 3) == [0, 0, 1, 1, 2, 2]


def test_an_extra_call_in_some_steps_only_as_skip_layer_guidance_makes():
    scheduler = Scheduler(9.0, 6.0, 3.0)
    clock = StepClock(3, lambda: scheduler)
    ticks = [clock.tick(t) for t in (9.0, 6.0, 6.0, 3.0)]
    assert ticks == [(0, "call 0", True), (1, "call 0", False), (1, "call 1", False), (2, "call 0", False)]


def test_the_same_context_twice_in_one_step():
    scheduler = Scheduler(9.0, 6.0)
    clock = StepClock(2, lambda: scheduler)
    slots = [clock.tick(t, CacheContext("cond"))[:2] for t in (9.0, 6.0, 6.0)]
    assert slots == [(0, "cond"), (1, "cond"), (1, "cond#2")]


def test_step_index_of_the_context_comes_first():
    clock = StepClock(10)
    ticks = [clock.tick(1.0, CacheContext("cond", step_index=i)) for i in (3, 4, 7)]
    assert [tick[0] for tick in ticks] == [3, 4, 7]
    assert clock.tick(1.0, CacheContext("cond", step_index=0)) == (0, "cond", True)


def test_no_timestep_at_all_counts_calls():
    clock = StepClock(4)
    assert rows(clock, [None] * 3) == [0, 1, 2]
    clock = StepClock(4)
    assert rows(clock, [None] * 4, ["cond", "uncond"] * 2) == [0, 0, 1, 1]


def test_a_new_table_of_timesteps_is_a_new_run():
    schedulers = [Scheduler(9.0, 6.0, 3.0)]
    clock = StepClock(3, lambda: schedulers[-1])
    assert clock.tick(9.0)[2]
    schedulers.append(Scheduler(9.0, 6.0, 3.0))  # the run died after its first step
    assert [clock.tick(t) for t in (9.0, 6.0)] == [(0, "call 0", True), (1, "call 0", False)]


def test_image_to_image_enters_the_schedule_late():
    clock = StepClock(4, lambda: Scheduler.__new__(Scheduler))
    scheduler = Scheduler(9.0, 6.0, 3.0, 1.0, begin_index=2)
    clock.scheduler = lambda: scheduler
    assert rows(clock, [3.0, 1.0]) == [2, 3]


def test_a_scheduler_that_was_not_set_is_not_asked():
    scheduler = Scheduler(*range(1000))
    scheduler.num_inference_steps = None
    assert rows(StepClock(2, lambda: scheduler), [9.0, 6.0]) == [0, 1]


def test_a_bare_transformer_after_a_run_that_died_in_its_first_step():
    clock = StepClock(3)
    clock.tick(9.0)
    clock.tick(9.0)  # a new run, which can't be told from a second call of the step ...
    clock.tick(6.0)
    with pytest.raises(PolicyError, match="cut off in its first step"):
        clock.tick(3.0)  # ... until here; never a wrong result
    assert rows(clock, [9.0, 6.0, 3.0]) == [0, 1, 2]


def test_errors_say_expected_got_and_what_to_do():
    clock = StepClock(2)
    with pytest.raises(PolicyError, match=r"has 2 steps, but the run goes on with step 3; use policy.resample"):
        rows(clock, [9.0, 6.0, 3.0])
    clock = StepClock(2, lambda: Scheduler(9.0, 6.0, 3.0))
    with pytest.raises(PolicyError, match=r"has 2 steps, this run makes 3 model evaluations; use policy.resample\(3\)"):
        clock.tick(9.0)


def test_any_number_of_steps_without_a_policy():
    assert rows(StepClock(None), [float(t) for t in range(50, 0, -1)]) == list(range(50))


def test_a_timestep_of_the_schedulers_table_is_looked_up_there():
    """A GPU would have to be waited for, were the number read from the tensor that the transformer gets."""
    scheduler = DPMSolverMultistepScheduler()
    scheduler.set_timesteps(4)
    clock = StepClock(4, lambda: scheduler)
    for row, timestep in enumerate(scheduler.timesteps):
        clock.tick(timestep[None].expand(6))
        assert (clock.step, clock.value) == (row, float(timestep))
    table = scheduler.timesteps
    clock.values = [-1.0, -2.0, -3.0, -4.0]
    assert clock._told(table[2]) == -3
    assert clock._told(table[1][None].expand(2)) == -2
    assert clock._told(table[1:3]) == float(table[1:3].double().mean())  # a timestep for each row of the batch
    assert clock._told(table[2].clone()) == float(table[2])
    assert clock._told(table[2] / 1000) == float(table[2] / 1000)
