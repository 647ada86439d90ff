"""How a search is put together when nothing else is said; docs/results.md has the measurements behind the numbers."""

from collections.abc import Callable
from functools import partial

from mddit_ui.core.records import SearchConfig
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.search.catcma import CatCma
from mddit_ui.search.encoding import ENCODINGS, Encoding, mostly_rows
from mddit_ui.search.genetic import Genetic, Nsga2
from mddit_ui.search.loop import Evaluator, Task
from mddit_ui.search.methods import Method, Setting, Vectors
from mddit_ui.search.objective import Objective
from mddit_ui.search.optimizers import OPTIMIZERS
from mddit_ui.search.portfolio import importance_of, portfolio
from mddit_ui.search.space import Space

STARTS_SHARE = 5  # at most one in so many evaluations goes to the starting policies
GENERATIONS = 10  # at least, when the evaluations allow it
FINALISTS = 4  # best policies that are judged again on fresh seeds


def vectors(setting: Setting, *, optimizer: str, encoding: str = "mixed") -> Method:
    """An optimiser of vectors on an encoding round the best start."""
    importance = None if setting.sensitivity is None else importance_of(setting.sensitivity)
    encode = ENCODINGS[encoding](setting.space, setting.starts[0], importance)
    strategy = OPTIMIZERS[optimizer](
        encode.dimension, seed=setting.seed, sigma=setting.sigma, population=setting.population
    )
    return Vectors(encode, strategy, setting.chooser())


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
    optimizer: str = "cma-es",
) -> Task:
    """CMA-ES over rows, columns and low cosines, round the best of the portfolio."""
    importance = None if sensitivity is None else importance_of(sensitivity)
    basis = mostly_rows(*space.shape)
    population = config.population or min(max(config.evaluations // GENERATIONS, 8), 16)
    return Task(
        starts=portfolio(space, sensitivity)[: max(config.evaluations // STARTS_SHARE, 1)],
        encode=lambda start: Encoding(space, start, basis, importance),
        optimizer=lambda dimension, restarts: OPTIMIZERS[optimizer](
            dimension, seed=config.seed + restarts, sigma=config.sigma * 2**restarts, population=population
        ),
        evaluate=evaluate,
        objective=Objective.for_images(len(config.prompts)),
        evaluations=config.evaluations,
    )
