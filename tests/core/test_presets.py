"""The schedules of the literature, drawn by hand."""

import pytest

from mddit_ui.core.errors import PolicyError
from mddit_ui.core.policy import Policy
from mddit_ui.core.presets import PRESETS, bands, every, skip_cache


def test_every():
    assert every(5, 2, 2).rows == ("##", "==", "##", "==", "##")
    assert every(4, 1, 3).rows == ("#", "=", "=", "#")
    assert every(2, 2, 1) == Policy.full(2, 2)
    assert every(3, 1, 100).rows == ("#", "=", "=")


def test_bands_caches_rear_blocks_early_and_front_blocks_late():
    assert bands(8, 4, 2).rows == ("####", "##==", "####", "##==", "####", "==##", "####", "==##")
    assert bands(4, 4, 4, switch=0.5, share=0.25).rows == ("####", "###=", "=###", "=###")
    assert bands(4, 4, 1) == Policy.full(4, 4)


def test_skip_cache_runs_the_outer_blocks():
    always = {"full_until": 1000, "reset_at": 0}
    assert skip_cache(4, 6, 2, b=2, **always).rows == ("######", "##==##", "######", "##==##")
    assert skip_cache(4, 4, 3, b=1, **always).rows == ("####", "#==#", "#==#", "####")
    assert skip_cache(2, 4, 2, b=0, **always).rows == ("####", "====")
    assert skip_cache(4, 4).carry == "output"


def test_skip_cache_counts_from_the_first_step_but_caches_between_its_timesteps():
    """As in the authors' code: the count goes on while steps run in full; after reset_at every step is full."""
    timesteps = (900, 800, 700, 600, 500, 400, 50, 40, 30)
    policy = skip_cache(9, 4, 2, b=1, full_until=700, reset_at=50, timesteps=timesteps)
    assert policy.rows == ("####", "####", "####", "#==#", "####", "#==#", "####", "####", "####")
    policy = skip_cache(9, 4, 4, b=1, full_until=700, reset_at=50, timesteps=timesteps)
    assert policy.rows == ("####", "####", "####", "#==#", "####", "#==#", "#==#", "####", "####")


def test_skip_cache_without_timesteps_takes_them_evenly():
    assert skip_cache(4, 4, 2, full_until=700).rows == ("####", "####", "####", "#==#")  # 999, 749, 499, 249
    assert skip_cache(20, 4, 2) == skip_cache(20, 4, 2, timesteps=tuple(range(999, 0, -50)))


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_takes_a_number_or_names_and_details(name: str):
    names = tuple(f"blocks.{index}" for index in range(6))
    policy = PRESETS[name](4, names, name="mine", model="m", timesteps=(999, 749, 499, 249))
    assert (policy.sites, policy.name, policy.model) == (names, "mine", "m")
    assert policy == PRESETS[name](4, 6)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("every", {"n": 0}),
        ("bands", {"n": 0}),
        ("bands", {"switch": 1.5}),
        ("bands", {"share": -0.1}),
        ("skip_cache", {"b": 4}),
        ("skip_cache", {"b": -1}),
        ("skip_cache", {"full_until": -1}),
        ("skip_cache", {"reset_at": -1}),
        ("skip_cache", {"full_until": float("nan")}),
        ("skip_cache", {"n": 0}),
    ],
)
def test_wrong_options_are_refused(name: str, options: dict):
    with pytest.raises(PolicyError, match=name):
        PRESETS[name](4, 6, **options)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize(("steps", "sites"), [(10**12, 6), (4, 10**12), (0, 6)])
def test_tables_out_of_bounds_are_refused_before_they_are_made(name: str, steps: int, sites: int):
    with pytest.raises(PolicyError, match="a policy has"):
        PRESETS[name](steps, sites)
