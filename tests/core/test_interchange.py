"""Policies from and to the files of ECAD, SmoothCache, Learning-to-Cache and cache-dit.

The golden files are ours, after the formats that the files of mddit_ui/core/interchange_*.py describe.
"""

import io
import json
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mddit_ui.core.errors import PolicyError
from mddit_ui.core.interchange import FORMATS, MAX_BYTES, dumps, load, loads
from mddit_ui.core.policy import Policy, repair
from tests.core.strategies import policies

GOLDEN = Path(__file__).parent / "golden"
BLOCKS = [f"transformer_blocks.{index}" for index in range(4)]
PARTS = {"ecad": ("attn1", "attn2", "ff"), "smoothcache": ("attn1", "ff"), "l2c": ("attn1", "ff")}


def branches(parts: tuple[str, ...], blocks: int = 4) -> tuple[str, ...]:
    return tuple(f"transformer_blocks.{block}.{part}" for block in range(blocks) for part in parts)


def columns(policy: Policy) -> dict[str, str]:
    """Site -> its actions, step after step."""
    return dict(zip(policy.sites, ("".join(column) for column in zip(*policy.rows, strict=True)), strict=True))


def test_ecad_for_pixart():
    policy = load(GOLDEN / "ecad-pixart.json")
    assert policy.sites == branches(PARTS["ecad"], 2)
    assert policy.rows == ("######", "#=#===", "=#=###")
    assert policy.name == "two blocks"
    assert policy.notes["format"] == "ecad"


def test_ecad_for_flux_is_of_whole_blocks():
    policy = load(GOLDEN / "ecad-flux.json")
    assert policy.sites == ("transformer_blocks.0", "single_transformer_blocks.0", "single_transformer_blocks.1")
    assert policy.rows == ("###", "#==")


def test_ecad_for_flux_with_a_part_of_a_single_block_is_refused():
    content = json.loads((GOLDEN / "ecad-flux.json").read_text())
    content["cache_schedule"]["schedule"]["001"]["single_1"]["single_proj_mlp"] = True
    with pytest.raises(PolicyError, match=r"Step 1, block single_1.*as a whole"):
        loads(json.dumps(content).encode())


def test_smoothcache_by_block():
    policy = load(GOLDEN / "smoothcache-dit.json")
    assert policy.sites == branches(("attn1", "ff"), 2)
    assert policy.rows == ("####", "==##", "#==#", "####")


def test_smoothcache_for_all_blocks_needs_the_model():
    with pytest.raises(PolicyError, match="name the model"):
        load(GOLDEN / "smoothcache-diffusers.json")
    policy = load(GOLDEN / "smoothcache-diffusers.json", branches=branches(("attn1", "attn2", "ff")))
    assert set(columns(policy)) == {f"transformer_blocks.{block}.attn1" for block in range(4)}
    assert set(columns(policy).values()) == {"#=#==#"}


def test_smoothcache_computes_where_nothing_is_cached_yet():
    assert loads(b'{"attn-0": [0, 0, 1]}').rows == ("#", "=", "#")


@pytest.mark.parametrize("file", ["l2c-router.json", "l2c-router.npz"])
def test_learning_to_cache(file: str):
    """Logit of the threshold 0.1: -2.197. Router 3 is the first step; odd routers run in full."""
    policy = load(GOLDEN / file)
    assert policy.sites == branches(("attn1", "ff"), 2)
    assert policy.rows == ("####", "==##", "####", "#=#=")


def test_learning_to_cache_takes_its_threshold_from_the_file():
    content = json.loads((GOLDEN / "l2c-router.json").read_text()) | {"thres": 0.5}
    assert loads(json.dumps(content).encode()).rows == ("####", "==#=", "####", "#===")


def test_a_mask_is_read_from_the_first_step_on():
    assert loads(b'{"mask": [[1, 1], [0, 1], [1, 0]]}').rows == ("##", "=#", "#=")


def test_cache_dit():
    policy = load(GOLDEN / "cache-dit.yaml", blocks=BLOCKS)
    assert policy.sites == tuple(BLOCKS)
    assert policy.rows == ("####", "####", "#==#", "####", "#==#", "#==#")


@pytest.mark.parametrize(
    "mask", [b"101", b"[1, 0, 1]", b'{"steps_computation_mask": [1, 0, 1], "Fn_compute_blocks": 1}']
)
def test_a_bare_mask_of_cache_dit(mask: bytes):
    assert loads(mask, blocks=BLOCKS).rows == ("####", "#===", "####")
    with pytest.raises(PolicyError, match="name the model"):
        loads(mask)


@pytest.mark.parametrize("format", ["ecad", "smoothcache"])
@given(data=st.data())
def test_branch_policies_come_back(format: str, data: st.DataObject):
    sites = branches(PARTS[format], data.draw(st.integers(1, 4)))
    shape = (data.draw(st.integers(1, 7)), len(sites))
    policy = Policy(repair(data.draw(arrays(np.int8, shape, elements=st.integers(0, 1)))), sites=sites)
    back = loads(dumps(policy, format), branches=sites)
    assert back == policy
    assert back.sites == policy.sites


@pytest.mark.parametrize("npz", [True, False])
@given(data=st.data())
def test_learning_to_cache_comes_back(npz: bool, data: st.DataObject):
    """Every second step in full, counted from the end: what its sampler can do."""
    sites = branches(PARTS["l2c"], data.draw(st.integers(1, 3)))
    steps = data.draw(st.integers(1, 7))
    actions = data.draw(arrays(np.int8, (steps, len(sites)), elements=st.integers(0, 1)))
    actions[::-1][1::2] = 1
    policy = Policy(repair(actions), sites=sites)
    back = loads(dumps(policy, "l2c", npz=npz))
    assert back == policy
    assert back.sites == policy.sites


@given(data=st.data())
def test_cache_dit_comes_back(data: st.DataObject):
    full = data.draw(st.lists(st.booleans(), min_size=1, max_size=9))
    first, last = data.draw(st.integers(1, 3)), data.draw(st.integers(0, 1))
    reusing = "#" * first + "=" * (4 - first - last) + "#" * last
    policy = Policy.from_rows(["####", *("####" if runs else reusing for runs in full)], sites=tuple(BLOCKS))
    assert loads(dumps(policy, "cache-dit"), blocks=BLOCKS) == policy


@given(policies())
def test_our_own_format_comes_back(policy: Policy):
    back = loads(dumps(policy, "json"))
    assert back == policy
    assert back.notes == policy.notes


@given(policies())
def test_every_policy_is_written_or_refused_in_one_line(policy: Policy):
    for format in FORMATS:
        written, refused = b"{}", "no"
        try:
            written = dumps(policy, format)
        except PolicyError as error:
            refused = str(error)
        assert isinstance(json.loads(written), dict)
        assert len(refused.splitlines()) == 1


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode), st.sampled_from([None, *FORMATS]))
def test_rubbish_is_refused_in_one_line(raw: bytes, format: str | None):
    refused = "no"
    try:
        loads(raw, format, blocks=BLOCKS, branches=branches(PARTS["ecad"]))
    except PolicyError as error:
        refused = str(error)
    assert len(refused.splitlines()) == 1


def test_whole_blocks_are_written_as_all_of_their_parts():
    policy = Policy.from_rows(["##", "=#"], sites=tuple(BLOCKS[:2]))
    assert columns(loads(dumps(policy, "ecad"))) == {
        "transformer_blocks.0.attn1": "#=",
        "transformer_blocks.0.attn2": "#=",
        "transformer_blocks.0.ff": "#=",
        "transformer_blocks.1.attn1": "##",
        "transformer_blocks.1.attn2": "##",
        "transformer_blocks.1.ff": "##",
    }


def test_flux_is_written_as_two_lists():
    policy = load(GOLDEN / "ecad-flux.json")
    assert loads(dumps(policy, "ecad")) == policy


def test_smoothcache_writes_one_list_where_all_blocks_agree():
    policy = Policy.from_rows(["####", "=#=#"], sites=branches(("attn1", "ff"), 2))
    assert json.loads(dumps(policy, "smoothcache")) == {"attn1": [1, 0], "ff": [1, 1]}
    policy = Policy.from_rows(["####", "=###"], sites=branches(("attn1", "ff"), 2))
    assert json.loads(dumps(policy, "smoothcache"))["attn-0"] == [1, 0]


def test_cache_dit_is_written_as_its_config():
    policy = Policy.from_rows(["####", "##=#", "####"], sites=tuple(BLOCKS))
    assert json.loads(dumps(policy, "cache-dit")) == {
        "cache_config": {
            "Fn_compute_blocks": 2,
            "Bn_compute_blocks": 1,
            "num_inference_steps": 3,
            "steps_computation_mask": [1, 0, 1],
            "steps_computation_policy": "static",
        }
    }


@pytest.mark.parametrize("format", [format for format in FORMATS if format != "json"])
def test_a_skipped_cell_is_refused_with_its_place(format: str):
    with pytest.raises(PolicyError, match=r"skipped cell \(step 1, site 1\)"):
        dumps(Policy.from_rows(["##", "#."]), format)


@pytest.mark.parametrize("format", [format for format in FORMATS if format != "json"])
def test_a_share_of_the_tokens_is_refused(format: str):
    policy = replace(Policy.from_rows(["##", "##"]), keep=np.full((2, 2), 0.5, np.float32))
    with pytest.raises(PolicyError, match="share of the tokens"):
        dumps(policy, format)


@pytest.mark.parametrize(
    ("format", "policy", "says"),
    [
        ("cache-dit", Policy.from_rows(["##", "=="]), "first block"),
        ("cache-dit", Policy.from_rows(["####", "#==#", "#=##"]), "step 2 differs"),
        ("cache-dit", Policy.from_rows(["####", "#=#="]), "step 1 differs"),
        ("cache-dit", Policy.from_rows(["#", "="], sites=("blocks.0.ff",)), "whole blocks"),
        ("l2c", Policy.from_rows(["##", "#=", "##"]), "step 1 in full"),
        ("smoothcache", Policy.from_rows(["#", "="], sites=("blocks.0.attn2",)), "blocks.0.attn2"),
        ("ecad", Policy.from_rows(["##", "#="], sites=("a.0", "b.0")), "one list of blocks"),
        ("ecad", Policy.from_rows(["#", "="], sites=("middle",)), "numbers blocks"),
        ("onnx", Policy.from_rows(["#"]), "known are"),
    ],
)
def test_what_cannot_be_expressed_is_said(format: str, policy: Policy, says: str):
    with pytest.raises(PolicyError, match=says):
        dumps(policy, format)


def test_only_learning_to_cache_has_npz():
    with pytest.raises(PolicyError, match="npz"):
        dumps(Policy.from_rows(["#"]), "ecad", npz=True)


ECAD = json.loads((GOLDEN / "ecad-pixart.json").read_text())["cache_schedule"]


def ecad(**changes: object) -> bytes:
    return json.dumps({"cache_schedule": {**ECAD, **changes}}).encode()


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "not a policy file"),
        (b'{"cells": 1}', "name it"),
        (b'{"attn-0": [1, 2]}', "0 .reuse. and 1"),
        (b'{"attn-0": [1, 0], "mlp-0": [1]}', "different lengths"),
        (b'{"attn-0": [1], "attn-0": [1]}', "twice"),
        (b'{"attn-0": [1], "attn1-0": [1]}', "once more"),
        (b'{"0.prob": [1, 2], "2.prob": [1, 2]}', "0.prob, 1.prob"),
        (b'{"0.prob": [1, NaN]}', "NaN"),
        (b'{"0.prob": [1, 2, 3]}', "2 numbers for each block"),
        (b'{"0.prob": [1, 2], "thres": 2}', "between 0 and 1"),
        (b'{"0.prob": [1, 1e999]}', "numbers"),
        (b'{"mask": [[1, 7]]}', "0 and 1"),
        (b"cache_config:\n  num_inference_steps: 28\n  steps_computation_mask: fast\n", "steps_mask"),
        (b"cache_config:\n  steps_computation_mask:\n  - 1\n", "in one line"),
        (b'{"steps_computation_mask": [1, 0], "num_inference_steps": 3}', "one a step"),
        (b'{"steps_computation_mask": [1, 0], "Fn_compute_blocks": 5}', "more than the 4"),
        (b'{"steps_computation_mask": [1, 0], "cache_type": "DBPrune"}', "cache_type"),
        (ecad(num_inference_steps=4), "each of the steps 0 to 3"),
        (ecad(num_blocks=3), "Step 0, block 2"),
        (ecad(num_blocks=100_000), "num_blocks"),
        (ecad(num_blocks=1000, num_inference_steps=1000), "at most"),
        (ecad(schedule={"one": {}}), "number of a step"),
        (
            ecad(
                num_inference_steps=1,
                num_blocks=1,
                schedule={"0": {"0": {"custom_compute_attn": {"name": "compute_attn_tgate", "kwargs": {}}}}},
            ),
            "a way that a policy has not",
        ),
        (b'{"attn-9": [1]}', "no branch of this model"),
        (b"1" * 2000, "at most 1000 items"),
        (b'{"mask": [' + b",".join([b"[" + b",".join([b"1"] * 1200) + b"]"] * 2) + b"]}", "1 to 1000 sites"),
        (b" " * (MAX_BYTES + 1), "no policy needs so many"),
    ],
)
def test_bad_files_are_refused(raw: bytes, says: str):
    with pytest.raises(PolicyError, match=says) as refused:
        loads(raw, blocks=BLOCKS, branches=branches(PARTS["ecad"]))
    assert "\n" not in str(refused.value)


def test_a_file_for_another_model_is_refused():
    with pytest.raises(PolicyError, match=r"transformer_blocks\.1\.attn1, which this model has not"):
        load(GOLDEN / "ecad-pixart.json", branches=branches(("attn1", "attn2", "ff"), 1))


def test_a_pickle_is_never_opened():
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was opened",))

    packed = io.BytesIO()
    np.savez(packed, **{"0.prob": np.array([Trap()], object)}, allow_pickle=True)
    with pytest.raises(PolicyError, match="npz"):
        loads(packed.getvalue())
    with pytest.raises(PolicyError):
        loads(pickle.dumps(Trap()), "l2c")


def test_an_archive_that_unpacks_to_too_much_is_refused():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.prob.npy", bytes(20_000_000))
    assert len(packed.getvalue()) < 100_000
    with pytest.raises(PolicyError, match="larger than"):
        loads(packed.getvalue())


def test_a_file_that_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(PolicyError, match="No such file"):
        load(tmp_path / "missing.json")
