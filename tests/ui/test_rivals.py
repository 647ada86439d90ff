"""What stands on the left of a pair: full depth, another policy, or the painted policy on another model."""

import pytest

from mddit_ui.core.errors import ConfigError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig
from mddit_ui.ui import studio, visit
from mddit_ui.ui.state import Session

ROWS = ["####", "#==#"]


def session(model: str) -> Session:
    return Session(
        model,
        Policy.from_rows(ROWS, carry="output", name="p"),
        GenerationConfig(prompts=("a large red ball",), steps=2, height=64, width=64),
    )


def test_the_same_policy_on_another_model(tiny_pixart: str, tiny_flux: str) -> None:
    asked = session(tiny_pixart)
    rival = studio.rival_of(f"model:{tiny_flux}", asked)
    assert rival.model == tiny_flux
    assert rival.policy is not None
    assert (rival.policy.rows, rival.policy.carry) == (asked.policy.rows, "output")
    assert rival.policy.sites != asked.policy.sites

    made = studio.generate_both(asked, rival, None, lambda *_: None)
    assert (made.rival.model, made.own.model) == (tiny_flux, tiny_pixart)
    assert made.rival.answers(asked, rival)
    assert not made.rival.answers(asked, studio.rival_of("full", asked))
    left, right = studio.record_of(made.rival), studio.record_of(made.own, made.rival.run)
    view = visit.pair_of(left, made.rival.result.images, right, made.own.result.images)
    assert view.names == (tiny_flux, tiny_pixart)


def test_models_to_choose_from_take_the_same_requests(tiny_pixart: str, tiny_flux: str, tiny_dit: str) -> None:
    offered = {key for _, key in studio.rival_choices([], tiny_pixart)}
    assert f"model:{tiny_flux}" in offered
    assert not offered & {f"model:{tiny_pixart}", f"model:{tiny_dit}"}
    with pytest.raises(ConfigError, match="captions"):
        studio.rival_of(f"model:{tiny_dit}", session(tiny_pixart))


def test_what_is_no_choice_is_refused(tiny_pixart: str) -> None:
    with pytest.raises(ConfigError, match="from the list"):
        studio.rival_of("picture:1", session(tiny_pixart))
    assert studio.rival_of(None, session(tiny_pixart)) == (tiny_pixart, None, "Full depth")
