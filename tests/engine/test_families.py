"""Every family through our own door: saved to a folder, loaded by its path, pictures made by ``generate``."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mddit_ui.core.errors import ConfigError, PolicyError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine.runner import decode, generate, measure
from mddit_ui.models.loading import LoadedModel, load
from mddit_ui.models.sites import find_sites
from tests.engine.tiny_pipelines import FAMILIES, make
from tests.engine.toy import random_policy, traces
from tests.tiny import PROMPTS

pytestmark = pytest.mark.filterwarnings("default")

FILMS = {"LattePipeline", "CogVideoXPipeline", "WanPipeline"}
NAMES = [name for name in FAMILIES if name not in FILMS and "," not in name]
FAST = {"Lumina2Pipeline", "QwenImagePipeline"}
EVERY = [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("families")


def loaded_family(name: str, folders: Path) -> LoadedModel:
    folder = folders / name
    if not folder.exists():
        make(name).save_pretrained(folder)
    return load(str(folder))


def request(name: str, **more) -> GenerationConfig:
    subject = {"classes": (1, 7)} if name == "DiTPipeline" else {"prompts": PROMPTS}
    return GenerationConfig(**{**subject, "seeds": (3, 4), "steps": 4, "height": 64, "width": 64, **more})


@pytest.mark.parametrize("name", EVERY)
def test_a_folder_of_every_family_makes_pictures(name: str, folders: Path) -> None:
    loaded = loaded_family(name, folders)
    config = request(name)
    sites = len(find_sites(loaded.transformer))
    plain = generate(loaded, None, config)
    before = traces(loaded.transformer)
    assert plain.images.shape == (2, 64, 64, 3)
    assert plain.latents.shape == (2, 4, 8, 8)
    assert not np.array_equal(plain.images[0], plain.images[1])
    assert plain.timesteps == measure(loaded, config).timesteps
    again = decode(loaded, torch.tensor(plain.latents))
    assert np.abs(again.astype(int) - plain.images).max() <= 1

    full = generate(loaded, Policy.full(4, sites), config)
    assert np.array_equal(full.images, plain.images)
    assert np.array_equal(full.latents, plain.latents)
    assert full.macs == full.full_macs == plain.full_macs

    policy = random_policy(4, sites, 1)
    half = generate(loaded, policy, config)
    table = measure(loaded, config).table
    assert half.macs / half.full_macs == pytest.approx(policy.budget(table))
    assert not np.allclose(half.latents, full.latents, atol=1e-3)
    alone = generate(loaded, policy, request(name, **_first(config)))
    assert np.allclose(alone.latents[0], half.latents[0], atol=1e-4)

    guided = generate(loaded, None, config.replace(guidance_scale=8.0))
    assert not np.allclose(guided.latents, full.latents, atol=1e-3)
    assert traces(loaded.transformer) == before


def _first(config: GenerationConfig) -> dict:
    return {"classes": config.classes[:1], "prompts": config.prompts[:1], "seeds": (3,)}


NO_LEVELS = {"ddim", "dpm++", "heun"}  # samplers that take no noise levels from a pipeline
REFUSED = {
    **{name: {"ddim"} for name in ("StableDiffusion3Pipeline", "SanaPipeline", "AuraFlowPipeline")},
    **{name: NO_LEVELS for name in ("Lumina2Pipeline", "CogView4Pipeline", "QwenImagePipeline", "ZImagePipeline")},
    "FluxPipeline": {"ddim", "heun"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scheduler", ["dpm++", "ddim", "euler", "heun", "lcm"])
def test_a_sampler_works_or_is_refused_in_words(name: str, scheduler: str, folders: Path) -> None:
    loaded = loaded_family(name, folders)
    config = request(name, scheduler=scheduler)
    if scheduler in REFUSED.get(name, ()):
        with pytest.raises(ConfigError, match="does not fit"):
            generate(loaded, None, config)
        return
    evaluations = len(measure(loaded, config).timesteps)
    plain = generate(loaded, None, config)
    assert len(plain.timesteps) == evaluations == (7 if scheduler == "heun" else 4)
    full = generate(loaded, Policy.full(evaluations, len(find_sites(loaded.transformer))), config)
    assert np.array_equal(full.latents, plain.latents)


@pytest.mark.parametrize("name", [pytest.param("HunyuanDiTPipeline", marks=pytest.mark.slow), "QwenImagePipeline"])
def test_a_run_of_another_length_is_told_what_to_do(name: str, folders: Path) -> None:
    loaded = loaded_family(name, folders)
    sites = len(find_sites(loaded.transformer))
    with pytest.raises(
        PolicyError, match=r"has 4 steps, this run makes 6 model evaluations; use policy\.resample\(6\)"
    ):
        generate(loaded, Policy.full(4, sites), request(name, steps=6))
    policy = random_policy(4, sites, 1).resample(timesteps=measure(loaded, request(name, steps=6)).timesteps)
    assert generate(loaded, policy, request(name, steps=6)).latents.shape == (2, 4, 8, 8)
