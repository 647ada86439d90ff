"""How a search is put together when nothing else is said; docs/results.md has the measurements behind the numbers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice, zip_longest

import numpy as np

from mddit_ui.core.errors import SearchError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import SearchConfig
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.search.catcma import CatCma
from mddit_ui.search.genetic import Genetic, Nsga2
from mddit_ui.search.loop import Evaluator, Judge, Task
from mddit_ui.search.methods import Method, Setting, TakingTurns, vectors
from mddit_ui.search.objective import Objective
from mddit_ui.search.optimizers import OPTIMIZERS
from mddit_ui.search.planning import planned
from mddit_ui.search.portfolio import portfolio
from mddit_ui.search.racing import Racing
from mddit_ui.search.space import Space

STARTS_SHARE = 5  # at most one in so many evaluations goes to the starting policies
GIVEN_SHARE, MOST_GIVEN = 0.75, 15  # of those, what comes first where the others are planned; at most so many
GENERATIONS = 6  # at least, when the evaluations allow it
MOST_LEVELS = 5  # budgets of a search over a range, ...
LEVEL_EVALUATIONS = 40  # ... each of them for so many evaluations


METHODS: dict[str, Callable[..., Method]] = {
    **{name: partial(vectors, optimizer=name) for name in OPTIMIZERS},
    "genetic": Genetic,
    "nsga-2": Nsga2,
    "catcma": CatCma,
}


def make_task(
    space: Space,
    config: SearchConfig,
    evaluate: Evaluator,
    sensitivity: Sensitivity | None = None,
    *,
    judge: Judge = lambda starts, planned: (),
    method: Callable[[Setting], Method] | None = None,
) -> Task:
    """The method of the config, round the best of the portfolio; for a range of budgets one at each of some of them.

    ``judge`` says which starts are the best, see ``Task``; of a range, those at the highest budget.
    """
    levels = [replace(space, budget=budget) for budget in budgets(config)]
    starts = [portfolio(level, sensitivity, config.start) for level in levels]
    count = max(config.evaluations // STARTS_SHARE, len(levels))
    make = method or _method(space, config)
    images = len(config.prompts)

    def methods(ranked: Sequence[tuple[Policy, float]], restarts: int) -> Method:
        return TakingTurns([make(_setting(level, config, sensitivity, ranked, restarts)) for level in levels])

    given = max(min(int(GIVEN_SHARE * count), MOST_GIVEN), len(levels))
    plans = 0 if sensitivity is None else min(config.plans, count - given)

    def plan(known: Sequence[tuple[Policy, float]]) -> list[Policy]:
        if sensitivity is None or plans <= 0:
            return []
        unit = Objective.of(config).unit
        found = [planned(level, sensitivity, known=known, count=plans, unit=unit, seed=config.seed) for level in levels]
        return list(dict.fromkeys(islice(_in_turn(found), plans)))

    return Task(
        starts=list(dict.fromkeys(islice(_in_turn(starts), given if plans > 0 else count))),
        method=methods,
        evaluate=evaluate,
        objective=Objective.of(config),
        evaluations=config.evaluations,
        racing=Racing.halving(images) if config.racing and len(levels) == 1 else Racing(images),
        plan=plan,
        judge=judge,
    )


def _method(space: Space, config: SearchConfig) -> Callable[[Setting], Method]:
    if not config.ratios:
        return METHODS[config.method]
    if space.table.routed is None:
        raise SearchError(f"{config.model} has no token routers, so there are no ratios to search for.")
    if config.method not in OPTIMIZERS:
        raise SearchError(f"Ratios are searched for by {', '.join(OPTIMIZERS)}, not by {config.method}.")
    return partial(vectors, optimizer=config.method, encoding="ratios")


def budgets(config: SearchConfig) -> list[float]:
    """The budgets that a search works at, the highest first."""
    if config.least_budget is None:
        return [config.budget]
    count = min(max(config.evaluations // LEVEL_EVALUATIONS, 2), MOST_LEVELS)
    return np.linspace(config.budget, config.least_budget, count).tolist()


def population(config: SearchConfig) -> int:
    """Policies of a generation."""
    return config.population or min(max(config.evaluations // GENERATIONS, 8), 16)


def _setting(
    space: Space,
    config: SearchConfig,
    sensitivity: Sensitivity | None,
    ranked: Sequence[tuple[Policy, float]],
    restarts: int,
) -> Setting:
    """What a method starts from: all that fits into the budget."""
    fitting = [pair for pair in ranked if space.holds(pair[0])]
    return Setting(
        space=space,
        starts=[policy for policy, _ in fitting],
        losses=[loss for _, loss in fitting],
        seed=config.seed + restarts,
        population=population(config),
        sigma=config.sigma * 2**restarts,
        sensitivity=sensitivity,
    )


def _in_turn(lists: Sequence[Sequence[Policy]]) -> Iterator[Policy]:
    """The first of each, the second of each, ..."""
    return (each for row in zip_longest(*lists) for each in row if each is not None)
