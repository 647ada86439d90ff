"""People press Pause, and Resume before the worker has gone."""

from contextlib import contextmanager
from dataclasses import replace

import pytest

from mddit_ui.core.records import SearchConfig
from mddit_ui.service import worker
from mddit_ui.store import searches as store
from mddit_ui.store.db import open_db
from tests.service.toy_worker import TOY


class ChangesItsMind:
    """An evaluator during which they do, after so many of the policies that are asked for at a time."""

    def __init__(self, evaluate, search, after):
        self.evaluate, self.search, self.after, self.pauses = evaluate, search, after, 0

    def __call__(self, policies, race=None):
        for count, found in enumerate(self.evaluate(policies, race)):
            yield found
            if count == self.after:
                store.set_wanted(open_db(), self.search, "pause")
                self.pauses += 1
        store.set_wanted(open_db(), self.search, "run")


def searched(prepare):
    """The row of a search in this process, and what it evaluated; ``prepare`` is given its id."""
    config = SearchConfig(model="toy-0.0", prompts=("a",), evaluations=40, population=8, sigma=0.6)
    search = store.create(open_db(), config)
    assert worker.run(search, worker.Model(prepare(search), TOY.calibrate)) == 0
    rows = store.evaluations(open_db(), search)
    return store.get(open_db(), search), [(each.number, each.generation, each.digest, each.objective) for each in rows]


@pytest.mark.parametrize("after", [0, 1, 3])
def test_it_changes_nothing(after):
    fickle = []

    def prepare(search):
        def changing(evaluate):
            fickle.append(ChangesItsMind(evaluate, search, after))
            return fickle[-1]

        @contextmanager
        def prepared(config, locked):
            with TOY.prepare(config, locked) as toy:

                def fresh():
                    evaluate, full = toy.fresh()
                    return changing(evaluate), full

                yield replace(toy, evaluate=changing(toy.evaluate), fresh=fresh)

        return prepared

    row, found = searched(prepare)
    undisturbed, wanted = searched(lambda search: TOY.prepare)
    assert all(each.pauses for each in fickle)
    assert (row.state, row.done) == (undisturbed.state, undisturbed.done) == ("done", 40)
    assert found == wanted
    assert list(row.finalists.items()) == list(undisturbed.finalists.items())
    assert row.baselines == undisturbed.baselines
