"""The process of one search: ``python -m mddit_ui.service.worker <id>``. SIGTERM pauses it."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import takewhile

from mddit_ui.core.calibration import Calibration, nested
from mddit_ui.core.errors import Cancelled, MdditError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig, ModelSpec, Score, SearchConfig
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.search.finals import Jury, fresh
from mddit_ui.search.loop import Evaluation, Evaluator, search
from mddit_ui.search.objective import Objective
from mddit_ui.search.portfolio import baselines
from mddit_ui.search.ray_pool import RayPool
from mddit_ui.search.recipe import make_task
from mddit_ui.search.space import Space, locked_from_rows
from mddit_ui.service.pool import Pool, cores, processes_for
from mddit_ui.service.processes import alive, started
from mddit_ui.service.shift import Ended, Shift
from mddit_ui.store import searches as store
from mddit_ui.store.db import open_db
from mddit_ui.store.search_rows import EvaluationRow, SearchRow, State

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a search needs from the model.

    Args:
        space: what may be asked for; evaluate: scores it; reference: full depth, likewise.
        fresh: makes an evaluator, and the score of full depth, for the pictures that choose.
    """

    space: Space
    evaluate: Evaluator
    reference: Score
    fresh: Callable[[], tuple[Evaluator, Score]]


@dataclass(frozen=True)
class Model:
    """The two doors to the model, so that the same worker runs a toy: space and evaluators, and the calibration."""

    prepare: Callable[[SearchConfig, tuple[str, ...] | None], AbstractContextManager[Prepared]]
    calibrate: Callable[[SearchConfig], Calibration | None]


def run(search_id: str, model: Model) -> int:
    """Work on a search until it is finished, paused, stopped or fails; returns the exit status."""
    db = open_db()
    shift = Shift(db, search_id)
    if not store.claim(db, search_id, shift.pid, started(shift.pid), alive=alive):
        _log.warning("Another process runs this search.")
        return 3
    before = signal.signal(signal.SIGTERM, shift.terminate)
    try:
        state, error = _work(shift, model)
    except Ended as ended:
        state, error = ended.state, ended.error
    except Cancelled:
        state, error = "paused", ""
    except MdditError as failure:
        state, error = "failed", str(failure)
    except Exception as failure:
        _log.exception("The search failed.")
        state, error = "failed", f"{type(failure).__name__}: {str(failure)[:300] or 'see the log'}"
    finally:
        signal.signal(signal.SIGTERM, before)
    store.release(db, search_id, shift.pid, state, error)
    db.backup()
    return 1 if state == "failed" else 0


def _work(shift: Shift, model: Model) -> tuple[State, str]:
    db, row = shift.db, store.get(shift.db, shift.id)
    shift.check()
    if not store.set_state(db, row.id, "running", only_if=("queued", "running")):
        raise Ended(row.state, row.error)
    with model.prepare(row.config, row.locked) as prepared:
        return _searched(shift, model, row, prepared)


def _searched(shift: Shift, model: Model, row: SearchRow, prepared: Prepared) -> tuple[State, str]:
    db = shift.db
    shift.check()
    _measure_baselines(shift, prepared, row)

    calibration = store.keep_calibration(db, row.id, None if row.done else model.calibrate(row.config))
    shift.check()
    sensitivity = None if calibration is None else Sensitivity.from_calibration(calibration)
    known = [_evaluation(each, prepared.space) for each in store.evaluations(db, row.id)]
    again = _FreshPictures(shift, prepared, row)
    jury = again.jury(known)
    task = make_task(prepared.space, row.config, prepared.evaluate, sensitivity, judge=jury.starts)

    def keep(evaluation: Evaluation) -> None:
        known.append(evaluation)
        shift.keep(lambda: store.add_evaluation(db, row.id, _evaluation_row(evaluation, prepared.space)))

    searching = partial(
        search,
        task,
        on_evaluation=keep,
        on_generation=lambda generation, population: store.end_generation(db, row.id, generation, population),
        go_on=shift.goes_on,
    )
    while not (reason := searching(known=tuple(known))):
        shift.check()  # else people have changed their mind meanwhile
    if all(each.objective != each.objective for each in known):
        return "failed", reason
    again.keep_ranking(jury(known))
    return "done", "" if len(known) >= row.config.evaluations else reason


def _measure_baselines(shift: Shift, prepared: Prepared, row: SearchRow) -> None:
    """Full depth and the well-known schedules, each kept as soon as it is known."""
    measured = {name: (row.baseline_budgets[name], score) for name, score in row.baselines.items()}
    store.set_reference(shift.db, row.id, prepared.reference, measured)
    missing = [policy for policy in baselines(prepared.space) if policy.name not in measured]
    for policy, score in _evaluated(shift, prepared.evaluate, missing):
        measured[policy.name] = (prepared.space.table.budget(policy.actions), score)
        store.set_reference(shift.db, row.id, prepared.reference, measured)


def _evaluated(shift: Shift, evaluate: Evaluator, policies: Iterable[Policy]) -> Iterator[tuple[Policy, Score]]:
    """Each policy with its score, unless this process should go: then those that have begun."""
    left = list(policies)
    while left:
        for policy, score in evaluate(takewhile(lambda _: shift.goes_on(), tuple(left))):
            left.remove(policy)
            yield policy, score
        shift.check()


class _FreshPictures:
    """Scores on fresh pictures, made when they are asked for and kept as soon as they are known."""

    def __init__(self, shift: Shift, prepared: Prepared, row: SearchRow) -> None:
        self._shift, self._prepared, self._row = shift, prepared, row
        self._scores = dict(row.finalists)
        self._evaluate: Evaluator | None = None

    def jury(self, known: Iterable[Evaluation]) -> Jury:
        """Ranks finalists; what was scored before is not scored again."""
        scores = {each.policy.digest: self._scores.get(str(each.number)) for each in known}
        return Jury(
            self._made,
            Objective.of(self._row.config),
            {digest: score for digest, score in scores.items() if score is not None},
            lambda evaluation, score: self._keep({**self._scores, str(evaluation.number): score}),
        )

    def keep_ranking(self, ranking: Iterable[Evaluation]) -> None:
        """Finalists in their order, beside them one well-known schedule and full depth."""
        ((schedule, score),) = self._made(baselines(self._prepared.space)[:1])
        names = [*(str(each.number) for each in ranking), schedule.name, "full"]
        scores = {**self._scores, schedule.name: score}
        self._keep({name: scores[name] for name in names})

    def _made(self, policies: Iterable[Policy]) -> Iterator[tuple[Policy, Score]]:
        if self._evaluate is None:
            self._evaluate, full = self._prepared.fresh()
            self._keep({**self._scores, "full": full})
        yield from _evaluated(self._shift, self._evaluate, policies)

    def _keep(self, scores: dict[str, Score]) -> None:
        self._scores = scores
        self._shift.keep(lambda: store.set_finalists(self._shift.db, self._row.id, scores))


def _evaluation_row(evaluation: Evaluation, space: Space) -> EvaluationRow:
    return EvaluationRow(
        number=evaluation.number,
        generation=evaluation.generation,
        policy_rows=evaluation.policy.rows,
        digest=evaluation.policy.digest,
        budget=evaluation.policy.budget(space.table),
        score=evaluation.score,
        objective=evaluation.objective,
        seconds=evaluation.seconds,
        keep=None if (keep := evaluation.policy.keep) is None else nested(keep.astype(float), 4),
    )


def _evaluation(row: EvaluationRow, space: Space) -> Evaluation:
    policy = Policy.from_rows(
        row.policy_rows,
        sites=space.table.sites,
        timesteps=space.timesteps,
        keep=row.keep,
        carry=space.carry,
        model=space.model,
    )
    return Evaluation(row.number, row.generation, policy, row.score, row.objective, row.seconds)


def _generation_config(config: SearchConfig) -> GenerationConfig:
    from mddit_ui.service import catalog

    spec = catalog.get_model(config.model)
    request = GenerationConfig(
        prompts=config.prompts,
        seeds=config.image_seeds,
        steps=config.steps,
        guidance_scale=config.guidance_scale,
        scheduler=config.scheduler,
        height=spec.height,
        width=spec.width,
    )
    spec.captions(request)  # a class that there is not is told now, not by a process of the pool
    return request


def _pool(spec: ModelSpec) -> Pool | RayPool:
    """Who evaluates: the Ray cluster of ``$MDDIT_RAY``, else processes of this machine."""
    processes = processes_for(spec)
    threads = max(cores() // processes, 1)
    address = os.environ.get("MDDIT_RAY")
    return RayPool(address, threads) if address else Pool(processes, threads=threads)


@contextmanager
def _prepare(config: SearchConfig, locked: tuple[str, ...] | None) -> Iterator[Prepared]:
    from mddit_ui.service import catalog
    from mddit_ui.service.evaluate import PooledEvaluator

    request = _generation_config(config)
    view = catalog.describe(config.model, config.steps, config.scheduler)
    space = Space(
        view.mac_table,
        len(view.timesteps),
        config.budget,
        timesteps=view.timesteps,
        model=config.model,
        locked=None if locked is None else locked_from_rows(locked),
        carry=config.carry,
    )
    with _pool(catalog.get_model(config.model)) as pool:

        def evaluator(request: GenerationConfig, *, quick: bool = False) -> tuple[Evaluator, Score]:
            evaluate = PooledEvaluator(pool, config.model, request, quick=quick)
            return evaluate, evaluate.reference_score

        evaluate, reference = evaluator(request, quick=True)
        yield Prepared(space, evaluate, reference, lambda: evaluator(fresh(request)))


def _calibrate(config: SearchConfig) -> Calibration:
    from mddit_ui.service.calibrate import calibrate

    return calibrate(config.model, _generation_config(config))


MODEL = Model(_prepare, _calibrate)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("Usage: python -m mddit_ui.service.worker <id of a search>", file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    os.nice(5)  # the screen comes first
    return run(arguments[0], MODEL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
