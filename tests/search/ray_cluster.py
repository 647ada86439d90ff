"""A search on a local Ray cluster whose actors are killed, as a program of its own; prints what came out as JSON."""

import json
import os
import signal
import sys
import warnings
from functools import partial

from mddit_ui.core.errors import SearchError
from mddit_ui.search.loop import search
from mddit_ui.search.ray_pool import RayPool
from tests.search.test_loop import Log, make_task
from tests.search.toy import ToyEvaluator, ToyModel


def square(number):
    return number * number


def die(_):
    os.kill(os.getpid(), signal.SIGKILL)


def score(folder, policy):
    """As the toy does; the process that is at every fifth policy is killed the first time."""
    marker = f"{folder}/{policy.digest}"
    if int(policy.digest, 16) % 5 == 0 and not os.path.exists(marker):
        open(marker, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return ToyEvaluator(ToyModel(images=8)).score(policy)


def main(folder):
    calm, stormy = Log().run(make_task()), Log()
    with RayPool("local") as pool:
        squares = sorted(pool.map(square, range(20)))
        search(
            make_task(evaluate=lambda policies: pool.map(partial(score, folder), policies)),
            on_evaluation=stormy.evaluations.append,
            on_generation=lambda generation, population: stormy.populations.append((generation, population)),
        )
        try:
            list(pool.map(die, [1]))
            told = ""
        except SearchError as error:
            told = str(error)
    stormy.evaluations.sort(key=lambda each: each.number)
    return {
        "squares": squares == [(number, number**2) for number in range(20)],
        "killed": len(os.listdir(folder)),
        "same populations": stormy.populations == calm.populations,
        "same trajectory": stormy.trajectory == calm.trajectory,
        "evaluations": len(stormy.evaluations),
        "told": told,
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps(main(sys.argv[1])))
