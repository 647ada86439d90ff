"""The worker of a search on the toy model, as slow as the model's name says: "toy-0.1" takes 0.1 s a policy."""

import sys
import time
from contextlib import contextmanager

from mddit_ui.core.policy import Policy
from mddit_ui.search.space import Space, locked_from_rows
from mddit_ui.service.worker import Model, Prepared, run
from tests.search.toy import ToyEvaluator, ToyModel

COMMAND = (sys.executable, "-m", "tests.service.toy_worker")
FULL = Policy.full(20, 8)


class SlowEvaluator(ToyEvaluator):
    """Takes ``seconds`` for each policy, as a real model would."""

    seconds = 0.0

    def score(self, policy):
        time.sleep(self.seconds)
        return super().score(policy)


@contextmanager
def prepare(config, locked):
    if config.model == "broken":
        raise RuntimeError("the toy is broken")
    toy = ToyModel()
    evaluate = SlowEvaluator(toy)
    evaluate.seconds = float(config.model.removeprefix("toy-"))
    cells = None if locked is None else locked_from_rows(locked)
    space = Space(toy.table, toy.steps, config.budget, locked=cells, carry=config.carry)

    def fresh():
        other = ToyEvaluator(toy, seed=9)  # prefers another start
        return other, other.score(FULL)

    yield Prepared(space, evaluate, ToyEvaluator(toy).score(FULL), fresh)


TOY = Model(prepare, lambda config: ToyModel().calibration())

if __name__ == "__main__":
    sys.exit(run(sys.argv[1], TOY))
