"""The panel of smoothness: two models on the same request, on one scale, cancelled when somebody says so."""

import pytest

from mddit_ui.core.errors import Cancelled
from mddit_ui.service import catalog
from mddit_ui.ui.chart import ChartView
from mddit_ui.ui.tabs import smoothness


def test_two_models_are_measured_on_the_same_request(tiny_pixart: str, tiny_flux: str) -> None:
    specs = [catalog.get_model(tiny_pixart), catalog.get_model(tiny_flux)]
    requests = [smoothness._request(spec, specs[0], 4, 2.0, "default") for spec in specs]
    assert requests[0].prompts == requests[1].prompts
    told: list[tuple[str, int, int]] = []
    found = smoothness._measured(
        specs, requests, lambda what, done, total, event=None: told.append((what, done, total))
    )
    assert all(each.step_similarity.shape[0] == 4 for each in found.calibrations.values())
    assert [each.similarity.shape for each in found.surfaces.values()] == 2 * [(9, 9)]
    assert all(each.similarity[4, 4] == pytest.approx(1, abs=1e-5) for each in found.surfaces.values())  # not pushed
    assert {what.rpartition(":")[2] for what, _, _ in told} == {" loading", " steps", " surface"}
    assert told[-1][1] == told[-1][2]

    steps, own, other, column = smoothness._charts(found)
    assert all(isinstance(each, ChartView) and each.read.count(".") == 1 for each in (steps, own, other))
    assert len({each.make(False).data[0].zmin for each in (own, other)}) == 1
    assert len(steps.make(True).data) == 2
    assert column.visible


def test_it_can_be_cancelled(tiny_pixart: str) -> None:
    spec = catalog.get_model(tiny_pixart)

    def report(what: str, done: int, total: int, event: object = None) -> None:
        if what.endswith("surface") and done > 3:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        smoothness._measured([spec], [smoothness._request(spec, spec, 3, 2.0, "default")], report)


def test_models_to_choose_from(tiny_pixart: str, tiny_flux: str, tiny_dit: str) -> None:
    keys = [key for _, key in smoothness.choices(tiny_pixart)]
    assert keys[0] == smoothness.ALONE
    assert tiny_flux in keys
    assert not {tiny_pixart, tiny_dit} & set(keys)
    assert [key for _, key in smoothness.choices(tiny_dit) if key == tiny_flux] == []
