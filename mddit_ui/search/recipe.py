"""How a search is put together when nothing else is said; docs/results.md has the measurements behind the numbers."""

import numpy as np

from mddit_ui.core.records import SearchConfig
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.search.encoding import Encoding, rows_columns_and_cosines
from mddit_ui.search.loop import Evaluator, Task
from mddit_ui.search.objective import Objective
from mddit_ui.search.optimizers import OPTIMIZERS
from mddit_ui.search.portfolio import portfolio
from mddit_ui.search.space import Space

STARTS_SHARE = 5  # at most one in so many evaluations goes to the starting policies
FINALISTS = 4  # best policies that are judged again on fresh seeds


def make_task(
    space: Space,
    config: SearchConfig,
    evaluate: Evaluator,
    sensitivity: Sensitivity | None = None,
    *,
    optimizer: str = "cma-es",
) -> Task:
    """CMA-ES over rows, columns and low cosines, round the best of the portfolio."""
    importance = None if sensitivity is None else np.log(sensitivity.cached[0] + 1e-12)
    basis = rows_columns_and_cosines(*space.shape)
    return Task(
        starts=portfolio(space, sensitivity)[: max(config.evaluations // STARTS_SHARE, 1)],
        encode=lambda start: Encoding(space, start, basis, importance),
        optimizer=lambda dimension: OPTIMIZERS[optimizer](
            dimension, seed=config.seed, sigma=config.sigma, population=config.population
        ),
        evaluate=evaluate,
        objective=Objective(),
        evaluations=config.evaluations,
    )
