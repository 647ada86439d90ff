"""The session in a link: comes back as it was, and nothing else gets in."""

import base64
import json
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mddit_ui.core.errors import ConfigError, MdditError
from mddit_ui.core.policy import Policy, repair
from mddit_ui.core.records import GenerationConfig
from mddit_ui.ui.state import MAX_PACKED, Session, pack, unpack

tables = st.tuples(st.integers(1, 12), st.integers(1, 9)).flatmap(
    lambda shape: st.lists(st.sampled_from([-1, 0, 1]), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]).map(
        lambda cells: repair(np.array(cells, np.int8).reshape(shape))
    )
)
names = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)
prompts = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=80).filter(str.strip)


@given(tables, names, prompts, st.integers(0, 2**40))
@settings(max_examples=60)
def test_a_session_comes_back(cells: np.ndarray, name: str, prompt: str, seed: int) -> None:
    session = Session("scenes-pixart", Policy(cells, name=name), GenerationConfig(prompts=(prompt,), seeds=(seed,)))
    again = unpack(pack(session))
    assert again == session
    assert again.policy.name == name


def test_what_is_carried_and_shares_of_tokens_come_back() -> None:
    policy = Policy.from_rows(["###", "#=#"], carry="output", keep=np.array([[1, 0.6, 1], [0.3, 1, 1]]))
    session = Session("m", policy, GenerationConfig(prompts=("a",)))
    assert unpack(pack(session)) == session
    assert unpack(pack(session)).policy.carry == "output"


@given(
    st.one_of(st.text(max_size=300), st.binary(max_size=300).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
)
@settings(max_examples=150)
def test_anything_else_is_refused_in_words(text: str) -> None:
    with pytest.raises(MdditError):
        unpack(text)


def packed(content: object) -> str:
    return base64.urlsafe_b64encode(zlib.compress(json.dumps(content).encode())).decode().rstrip("=")


GOOD = {
    "v": 1,
    "model": "m",
    "policy": {"format": "mddit-policy/1", "rows": ["#"]},
    "config": {"prompts": ["a"], "steps": 1},
}


def test_a_link_made_by_hand_is_read() -> None:
    assert unpack(packed(GOOD)).policy.rows == ("#",)


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"more": 1},
        {"model": ""},
        {"model": 7},
        {"model": "m" * 201},
        {"policy": {"format": "mddit-policy/1", "rows": ["="]}},
        {"policy": {"format": "mddit-policy/1", "rows": ["<img src=x onerror=alert(1)>"]}},
        {"policy": None},
        {"config": {"prompts": ["a"], "steps": 1e9}},
        {"config": {"prompts": ["a"], "steps": True}},
        {"config": {"prompts": ["a"], "guidance_scale": "NaN"}},
        {"config": []},
    ],
)
def test_values_out_of_bounds_are_refused(change: dict) -> None:
    with pytest.raises(ConfigError):
        unpack(packed({**GOOD, **change}))


def test_a_bomb_is_refused_before_it_unpacks() -> None:
    bomb = base64.urlsafe_b64encode(zlib.compress(b"0" * 5_000_000, 9)).decode()
    assert len(bomb) < MAX_PACKED
    with pytest.raises(ConfigError, match="too much"):
        unpack(bomb)


def test_a_cut_link_is_refused() -> None:
    text = packed(GOOD)
    with pytest.raises(ConfigError, match="damaged"):
        unpack(text[:-8])


@pytest.mark.parametrize("text", [None, 7, "", "x" * (MAX_PACKED + 1), ["s"], {"s": 1}])
def test_what_is_no_text_is_refused(text: object) -> None:
    with pytest.raises(ConfigError):
        unpack(text)


def test_a_policy_that_fits_no_link_says_so() -> None:
    cells = np.random.default_rng(0).integers(-1, 2, (400, 400)).astype(np.int8)
    session = Session("m", Policy(repair(cells)), GenerationConfig(prompts=("a",)))
    with pytest.raises(ConfigError, match="download"):
        pack(session)
