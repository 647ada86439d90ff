"""Policy files: what is written is read back, and whatever else comes is a PolicyError, quickly."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from mddit_ui.core.errors import PolicyError
from mddit_ui.core.paths import SAVED_POLICIES
from mddit_ui.core.policy import Policy
from mddit_ui.core.policy_json import FORMAT, MAX_BYTES, dumps, loads
from tests.core.strategies import policies

GOOD = {"format": FORMAT, "rows": ["##", "=."]}
DEEP = 50_000


def file(**changes: object) -> str:
    return json.dumps({**GOOD, **changes})


def raw(key: str, value: str) -> str:
    """A good file with one more key whose value is written as it stands."""
    return json.dumps(GOOD)[:-1] + f', "{key}": {value}}}'


BAD = {
    "empty": "",
    "space": " \n",
    "not JSON": "##\n=.",
    "cut off": file()[:-3],
    "trailing": file() + "{}",
    "bytes": b"\x00\xff\xfe",
    "a list": "[]",
    "a number": "1",
    "null": "null",
    "a string": '"##"',
    "no format": '{"rows": ["#"]}',
    "no rows": json.dumps({"format": FORMAT}),
    "another format": file(format="mddit-policy/2"),
    "format is a list": file(format=[FORMAT]),
    "format is huge": file(format="f" * 10_000),
    "unknown key": file(colour="red"),
    "a key twice": raw("rows", '["##"]'),
    "a key twice in notes": raw("notes", '{"a": 1, "a": 2}'),
    "rows is a string": file(rows="##"),
    "rows is a number": file(rows=5),
    "rows is empty": file(rows=[]),
    "rows has an empty row": file(rows=[""]),
    "rows has a list": file(rows=[["#"]]),
    "rows of two lengths": file(rows=["##", "#"]),
    "another letter": file(rows=["#x"]),
    "a letter beyond ASCII": file(rows=["#＃"]),  # full-width number sign
    "a cache with no source": file(rows=["#=", "=="]),
    "too many steps": file(rows=["#"] * 1001),
    "too many sites": file(rows=["#" * 1001]),
    "too many cells": file(rows=["#" * 300] * 700),
    "too many bytes": file(notes={"a": "x" * MAX_BYTES}),
    "name is a number": file(name=1),
    "name is null": file(name=None),
    "name is long": file(name="n" * 121),
    "name is half a character": file(name="\ud800"),
    "model is long": file(model="m" * 201),
    "sites is a string": file(sites="ab"),
    "sites has a number": file(sites=["a", 1]),
    "sites are too few": file(sites=["a"]),
    "sites twice the same": file(sites=["a", "a"]),
    "timesteps has text": file(timesteps=["900", "1"]),
    "timesteps has a truth value": file(timesteps=[True, False]),
    "timesteps too many": file(timesteps=[3, 2, 1]),
    "timesteps NaN": raw("timesteps", "[NaN, 1]"),
    "timesteps infinite": raw("timesteps", "[Infinity, 1]"),
    "timesteps overflow": raw("timesteps", "[1e999, 1]"),
    "timesteps of 400 digits": raw("timesteps", f"[1{'0' * 400}, 1]"),
    "timesteps of 5,000 digits": raw("timesteps", f"[1{'0' * 5000}, 1]"),
    "keep is a number": file(keep=1),
    "keep of two lengths": file(keep=[[1, 1], [1]]),
    "keep of another shape": file(keep=[[1, 1]]),
    "keep is empty": file(keep=[]),
    "keep of zero": file(keep=[[0, 1], [1, 1]]),
    "keep above one": file(keep=[[1.5, 1], [1, 1]]),
    "keep NaN": raw("keep", "[[NaN, 1], [1, 1]]"),
    "carry is unknown": file(carry="input"),
    "carry is null": file(carry=None),
    "notes is a list": file(notes=[]),
    "notes with NaN": raw("notes", '{"a": NaN}'),
    "notes overflow": raw("notes", '{"a": -1e999}'),
    "notes with half a character": file(notes={"a": "\udc00"}),
    "notes with half a key": file(notes={"\udc00": 1}),
    "deep lists": "[" * DEEP,
    "deep objects": '{"a":' * DEEP,
    "deep notes": raw("notes", '{"a":' * 400 + "1" + "}" * 400),
    "deeper notes": raw("notes", '{"a":' * 20_000 + "1" + "}" * 20_000),
    "many keys": json.dumps({**GOOD, **{f"k{number}": 0 for number in range(15_000)}}),
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_bad_files_are_one_clear_line_and_quick(text: str | bytes):
    start = time.process_time()
    with pytest.raises(PolicyError) as caught:
        loads(text)
    assert time.process_time() - start < 1
    message = str(caught.value)
    assert 10 < len(message) < 300
    assert "\n" not in message
    message.encode()  # may be shown anywhere


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (file(rows=["##", "#"]), "Row 1 has 1 letters, row 0 has 2"),
        (file(rows=["#x"]), "Row 0 holds 'x'"),
        (file(rows=["#="]), "step 0, site 1"),
        (file(timesteps=[1, "2"]), "timesteps.1"),
        (raw("rows", "[]"), "'rows' is there twice"),
        (file(format="ecad"), "Expected format 'mddit-policy/1', got 'ecad'"),
        (file(colour=1), "colour"),
        (raw("timesteps", "[NaN, 1]"), "NaN is not a JSON number"),
    ],
)
def test_the_message_says_where(text: str, says: str):
    with pytest.raises(PolicyError) as caught:
        loads(text)
    assert says in str(caught.value)


@given(policies())
def test_what_is_written_is_read_back(policy: Policy):
    again = loads(dumps(policy))
    assert again == policy
    for name in ("sites", "timesteps", "model", "name"):
        assert getattr(again, name) == getattr(policy, name)
    assert dict(again.notes) == dict(policy.notes)
    assert np.array_equal(again.keep, policy.keep) or (again.keep is None and policy.keep is None)
    assert dumps(again) == dumps(policy)


def test_the_file_is_a_picture_of_the_policy():
    policy = Policy.from_rows(
        ["##", "=."], name="half", model="m", sites=("a", "b"), timesteps=(900, 100), notes={"made_by": "me"}
    )
    assert dumps(policy) == (
        '{\n "format": "mddit-policy/1",\n "name": "half",\n "model": "m",\n "sites": ["a", "b"],\n'
        ' "timesteps": [900.0, 100.0],\n "rows": [\n  "##",\n  "=."],\n "notes": {"made_by": "me"}}\n'
    )


def test_the_largest_policy_fits_into_its_file(tmp_path: Path):
    policy = Policy.full(1000, 200)
    policy.save(tmp_path / "large.json")
    assert Policy.load(tmp_path / "large.json") == policy


def test_save_replaces_the_file_whole(tmp_path: Path):
    path = tmp_path / "new" / "policy.json"
    for policy in (Policy.full(30, 30), Policy.full(1, 1)):
        policy.save(path)
        assert Policy.load(path) == policy
    assert [each.name for each in path.parent.iterdir()] == ["policy.json"]


@pytest.mark.parametrize("name", ["missing.json", ".", "a\0b", "x" * 5000])
def test_a_path_that_cannot_be_read_is_said(tmp_path: Path, name: str):
    with pytest.raises(PolicyError, match="Can't read"):
        Policy.load(tmp_path / name)


def test_an_endless_file_is_not_read_to_its_end():
    with pytest.raises(PolicyError, match="at most"):
        Policy.load("/dev/zero")


@pytest.mark.parametrize("path", sorted(SAVED_POLICIES.glob("*.json")), ids=lambda path: path.stem)
def test_the_saved_policies_are_written_as_we_write_them(path: Path):
    policy = Policy.load(path)
    assert dumps(policy) == path.read_text()
    assert policy.sites
    assert policy.timesteps
