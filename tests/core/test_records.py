"""Every bound of an outside value holds, whichever way the value comes in."""

import json

import numpy as np
import pytest
from pydantic import ValidationError

from mddit_ui.core.calibration import Calibration
from mddit_ui.core.errors import ConfigError, PolicyError
from mddit_ui.core.records import GenerationConfig, ModelSpec, RunRecord, Score, SearchConfig

GENERATION = {"prompts": ["a red ball"], "seeds": [1], "steps": 4, "guidance_scale": 2.0, "height": 64, "width": 64}
SEARCH = {"model": "scenes-pixart", "prompts": ["a red ball"]}
SPEC = {"id": "scenes-pixart", "source": "assets/models/scenes-pixart"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"prompts": []}, "prompts or classes"),
        ({"classes": [1]}, "prompts or classes"),
        ({"prompts": [""]}, "prompts.0"),
        ({"prompts": ["p" * 2001]}, "prompts.0"),
        ({"prompts": ["p"] * 257}, "prompts"),
        ({"prompts": "a red ball"}, "prompts"),
        ({"prompts": ["\ud800"]}, "prompts.0"),
        ({"prompts": [1]}, "prompts.0"),
        ({"prompts": [], "classes": [-1]}, "classes.0"),
        ({"prompts": [], "classes": [100_000]}, "classes.0"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [-1]}, "seeds.0"),
        ({"seeds": [2**63]}, "seeds.0"),
        ({"seeds": [1.0]}, "seeds.0"),
        ({"seeds": [True]}, "seeds.0"),
        ({"seeds": [1, 2]}, "one seed"),
        ({"steps": 0}, "steps"),
        ({"steps": 1001}, "steps"),
        ({"steps": "4"}, "steps"),
        ({"steps": 4.0}, "steps"),
        ({"guidance_scale": -1}, "guidance_scale"),
        ({"guidance_scale": 51}, "guidance_scale"),
        ({"guidance_scale": float("nan")}, "guidance_scale"),
        ({"guidance_scale": float("inf")}, "guidance_scale"),
        ({"scheduler": "none"}, "scheduler"),
        ({"height": 65}, "height"),
        ({"height": 8}, "height"),
        ({"width": 4104}, "width"),
        ({"prompts": ["p"] * 256, "steps": 100, "height": 2048, "width": 2048}, "too much work"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_generation_config_bounds(changes: dict, says: str):
    good = GenerationConfig.from_dict(GENERATION)
    for attempt in (
        lambda: GenerationConfig.from_dict({**GENERATION, **changes}),
        lambda: GenerationConfig(**{**GENERATION, **changes}),
        lambda: good.replace(**changes),
    ):
        with pytest.raises(ConfigError, match=says) as caught:
            attempt()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model": ""}, "model"),
        ({"prompts": []}, "prompts"),
        ({"image_seeds": [1, 2]}, "one image seed"),
        ({"steps": 1}, "steps"),
        ({"budget": 0.0}, "budget"),
        ({"budget": 1.01}, "budget"),
        ({"evaluations": 0}, "evaluations"),
        ({"seed": 0}, "seed"),  # cma draws a seed of its own when it is given 0
        ({"population": 3}, "population"),
        ({"sigma": 0.0}, "sigma"),
        ({"unknown": 1}, "unknown"),
        ({"start": []}, "start"),
        ({"start": ["#" * 1001]}, "start"),
        ({"start": ["##"] * 1001}, "start"),
    ],
)
def test_search_config_bounds(changes: dict, says: str):
    SearchConfig.from_dict(SEARCH)
    with pytest.raises(ConfigError, match=says):
        SearchConfig.from_dict({**SEARCH, **changes})


@pytest.mark.parametrize("rows", [["=="], ["##", "#"], ["#x"], ["#" * 1000] * 201])
def test_a_start_is_a_legal_policy(rows: list[str]):
    with pytest.raises(PolicyError):
        SearchConfig.from_dict({**SEARCH, "start": rows})


@pytest.mark.parametrize("bad", ["", "../etc/passwd", "a b", "a\nb", "-x", "x" * 201])
def test_model_ids_are_no_paths_upwards(bad: str):
    ModelSpec.from_dict(SPEC)
    with pytest.raises(ConfigError, match="id"):
        ModelSpec.from_dict({**SPEC, "id": bad})


@pytest.mark.parametrize("bad", ["", "A" * 32, "0" * 31, "0" * 33, "../" + "0" * 29, "0" * 32 + "\n"])
def test_run_ids_are_made_by_us(bad: str):
    with pytest.raises(ConfigError, match="id"):
        RunRecord.from_dict({**run_record().to_dict(), "id": bad})


@pytest.mark.parametrize(
    "record",
    [
        GenerationConfig.from_dict(GENERATION),
        GenerationConfig(classes=(1, 2), seeds=(3, 4)),
        SearchConfig.from_dict(SEARCH),
        SearchConfig.from_dict({**SEARCH, "population": 8, "image_seeds": [5]}),
        SearchConfig.from_dict({**SEARCH, "start": ["##", "=."]}),
        ModelSpec.from_dict(SPEC),
        ModelSpec.from_dict({**SPEC, "grammar": {"colours": ["red"]}}),
        Score(clip_score=31.5, clip_scores=(31.0, 32.0), images=2),
    ],
)
def test_json_round_trip(record):
    again = type(record).from_dict(json.loads(json.dumps(record.to_dict())))
    assert again == record
    name = next(iter(again.to_dict()))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(record, name, getattr(record, name))


def test_run_record_round_trip():
    record = run_record()
    assert RunRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record


def test_one_seed_stands_for_all_images():
    assert GenerationConfig(prompts=("a", "b", "c"), seeds=(7,)).image_seeds == (7, 7, 7)
    assert GenerationConfig(prompts=("a", "b"), seeds=(7, 8)).image_seeds == (7, 8)


def test_replace_checks_again_and_leaves_the_old_one():
    old = GenerationConfig.from_dict(GENERATION)
    assert old.replace(steps=8).steps == 8
    assert old.steps == 4


def test_calibration_round_trip_keeps_what_is_unknown():
    one = np.array([[np.nan, np.nan], [0.5, 0.25]])
    before = Calibration(
        "m", ("a", "b"), (900.0, 100.0), one, one, np.stack([one, one]), one, ("p",), {"residual_size": 2 * one}
    )
    after = Calibration.from_dict(json.loads(json.dumps(before.to_dict())))
    assert (after.model, after.sites, after.timesteps, after.prompts) == ("m", ("a", "b"), (900.0, 100.0), ("p",))
    for name in ("step_similarity", "site_similarity", "residual_change", "residual_size"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    np.testing.assert_array_equal(after.spreads["residual_size"], 2 * one)
    assert set(after.spreads) == {"residual_size"}


def run_record() -> RunRecord:
    return RunRecord(
        id="0123456789abcdef" * 2,
        created=1.5,
        model="scenes-pixart",
        policy={"rows": ["#"]},
        config=GenerationConfig.from_dict(GENERATION),
        score=Score(clip_score=30.0, images=1),
        wall_seconds=1.0,
        macs=1.0,
        full_macs=2.0,
        peak_cache_bytes=0,
    )


def test_a_prompt_of_a_class_model_is_a_number_a_name_or_a_caption():
    labels = ({"name": "red heart", "caption": "a red heart on a gray background"}, {"name": "blue ring"})
    spec = ModelSpec.from_dict({"id": "m", "source": "m", "conditioning": "class", "classes": list(labels)})
    assert ModelSpec.from_dict(spec.to_dict()) == spec
    request = GenerationConfig(prompts=("1", " Red heart ", "a red heart on a gray background"))
    assert spec.numbers(request) == (1, 0, 0)
    assert spec.captions(request) == ()  # one of them has no caption
    assert spec.captions(GenerationConfig(classes=(0, 0))) == (labels[0]["caption"],) * 2
    assert spec.captions(GenerationConfig(classes=(2,))) == ()
    assert ModelSpec(id="m", source="m").captions(request) == request.prompts
    with pytest.raises(ConfigError, match=r"red heart, blue ring, \.\.\.\), got 'green star'"):
        spec.class_of("green star")
