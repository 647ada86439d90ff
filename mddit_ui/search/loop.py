"""The loop: ask, evaluate, tell. Everything it needs is given to it; what it was told before it remembers."""

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Protocol

from mddit_ui.core.policy import Policy
from mddit_ui.core.records import Score
from mddit_ui.search.methods import Method
from mddit_ui.search.racing import Race, Racing

STALE_GENERATIONS = 5  # generations without a policy that is new, after which the optimizer is made anew
RESTARTS = 6  # times that this helps
BLIND_GENERATIONS = 3  # generations without a finite value
NO_RACING = Racing(images=0)


class Evaluator(Protocol):
    """Scores policies, all on the same prompts and seeds.

    Takes the next policy when it has room for it, and gives each one back with its score as soon as that is known, in
    any order. The score of pictures that are not finite is ``Score()``, that of a policy that leaves the race the one
    of its first images.
    """

    def __call__(self, policies: Iterable[Policy], race: Race | None = None) -> Iterator[tuple[Policy, Score]]: ...


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One evaluated policy; ``objective`` is NaN when its pictures were not finite.

    ``number`` counts in the order of asking; ``seconds`` passed since the evaluation before it was known.
    """

    number: int
    generation: int
    policy: Policy
    score: Score
    objective: float
    seconds: float


Judge = Callable[[Sequence[Evaluation], Sequence[Evaluation]], Sequence[Evaluation]]


@dataclass(frozen=True, eq=False)
class Task:
    """A search, complete. The policies that it asks for are a function of this and of the scores alone.

    Args:
        starts: evaluated first, as generation 0; the search goes on round the best of them.
        method: from all policies so far with their losses, the best first, and how often the search was stuck before,
            to who proposes the next ones; it should then look farther away.
        evaluations: how many policies are evaluated in all, the starts included.
        plan: more starts, from the first ones with their losses.
        racing: who is not evaluated on all images.
        judge: the best of the first starts and of those of the plan, best first, as a better judge than ``evaluate``
            sees them.
    """

    starts: Sequence[Policy]
    method: Callable[[Sequence[tuple[Policy, float]], int], Method]
    evaluate: Evaluator
    objective: Callable[[Score], float]
    evaluations: int
    racing: Racing = NO_RACING
    plan: Callable[[Sequence[tuple[Policy, float]]], Sequence[Policy]] = lambda ranked: ()
    judge: Judge = lambda starts, planned: ()


def search(
    task: Task,
    *,
    known: Iterable[Evaluation] = (),
    on_evaluation: Callable[[Evaluation], None] = lambda evaluation: None,
    on_generation: Callable[[int, str], None] = lambda generation, population: None,
    go_on: Callable[[], bool] = lambda: True,
) -> str:
    """Run a task, or take it up again, until it is finished or told to stop; returns why it ended, for people.

    Args:
        known: what was evaluated before. No policy is evaluated twice, so a task that is run again with its own
            evaluations asks, is told what it was told then, and goes on exactly where it was.
        on_evaluation: called for each new evaluation, as soon as it is known.
        on_generation: called with the number of a generation and a hash of what was asked for, before it is told.
        go_on: asked before each evaluation; False ends the search there, when those that have begun are known, and
            returns an empty reason.
    """
    memory = {evaluation.policy.digest: evaluation for evaluation in known}

    def evaluated(policies: Sequence[Policy], generation: int) -> list[Evaluation]:
        new = {policy.digest: policy for policy in policies if policy.digest not in memory}
        used = {evaluation.number for evaluation in memory.values()}
        free = (number for number in range(1, task.evaluations + 1) if number not in used)
        numbers = dict(zip(new, free, strict=False))
        wanted = takewhile(lambda _: go_on(), (new[digest] for digest in numbers))
        earlier = sorted((each for each in memory.values() if each.generation < generation), key=lambda e: e.number)
        before = [each.score for each in earlier]
        race = task.racing.race(task.objective, before)
        began = time.perf_counter()
        for policy, score in task.evaluate(wanted, race) if race.rungs else task.evaluate(wanted):
            began, seconds = time.perf_counter(), time.perf_counter() - began
            digest = policy.digest
            value = task.racing.value(task.objective, score, before)
            memory[digest] = Evaluation(numbers[digest], generation, policy, score, value, seconds)
            on_evaluation(memory[digest])
        if not memory.keys() >= new.keys():
            raise _Stopped("All evaluations are done." if len(memory) >= task.evaluations else "")
        return [memory[policy.digest] for policy in policies]

    try:
        starts = evaluated(task.starts, 0)
        more = evaluated(task.plan(_ranked({each.policy: -each.objective for each in starts})), 0)
        best = [each.policy for each in task.judge(starts, more)]
        return _generations(task, evaluated, on_generation, [*starts, *more], best)
    except _Stopped as stopped:
        return stopped.reason


class _Stopped(Exception):
    def __init__(self, reason: str) -> None:
        self.reason = reason


def _generations(
    task: Task,
    evaluated: Callable[[Sequence[Policy], int], list[Evaluation]],
    on_generation: Callable[[int, str], None],
    starts: Sequence[Evaluation],
    best: Sequence[Policy],
) -> str:
    losses = {start.policy: -start.objective for start in starts}  # lower is better
    method = task.method(_ranked(losses, best), 0)
    generation = stale = blind = restarts = 0
    while True:
        generation += 1
        policies = method.ask()
        population = evaluated(policies, generation)
        on_generation(generation, fingerprint(policies))
        losses |= {each.policy: -each.objective for each in population}
        told = dict(_ranked(losses))
        method.tell([told[policy] for policy in policies])

        # "New" means: evaluated for this generation, be it now or before the search was taken up again.
        stale = 0 if any(each.generation == generation for each in population) else stale + 1
        blind = blind + 1 if all(math.isnan(each.objective) for each in population) else 0
        if blind >= BLIND_GENERATIONS:
            return f"No policy of the last {blind} generations gave finite pictures."
        if stale >= STALE_GENERATIONS or method.done:
            if restarts == RESTARTS:
                return "The search finds no policies that are new."
            restarts, stale = restarts + 1, 0
            method = task.method(_ranked(losses), restarts)


def _ranked(losses: dict[Policy, float], first: Sequence[Policy] = ()) -> list[tuple[Policy, float]]:
    """The lowest first, of equal ones the first that was asked for; what is not a number is as bad as the worst.

    Those that are to be ``first`` have the lowest losses, in their order.
    """
    worst = max(filter(math.isfinite, losses.values()), default=0.0)
    finite = [(policy, worst if math.isnan(loss) else loss) for policy, loss in losses.items()]
    found = sorted(finite, key=lambda pair: (pair[1], math.isnan(losses[pair[0]])))
    policies = dict.fromkeys([*first, *(policy for policy, _ in found)])
    return list(zip(policies, (loss for _, loss in found), strict=True))


def fingerprint(policies: Sequence[Policy]) -> str:
    """SHA-256 of what was asked for in a generation."""
    return hashlib.sha256("".join(policy.digest for policy in policies).encode()).hexdigest()
