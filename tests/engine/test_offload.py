"""Weights that come and go: offloading by accelerate and by diffusers, casts, and a policy among them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import cpu_offload, disk_offload
from accelerate.hooks import AlignDevicesHook, remove_hook_from_module

from mddit_ui.core.policy import Policy
from mddit_ui.engine.hooks import apply_policy
from mddit_ui.models.sites import find_sites
from tests.engine.test_pipelines import close
from tests.engine.tiny_pipelines import make, run
from tests.engine.toy import random_policy, traces

pytestmark = pytest.mark.filterwarnings("default")

CPU = torch.device("cpu")


def model_offload(pipe: Any, folder: Path) -> None:
    """The pipeline's own, which takes its hooks off and puts them on again after every run."""
    pipe.enable_model_cpu_offload(device="cpu")


def sequential_offload(pipe: Any, folder: Path) -> None:
    cpu_offload(pipe.transformer, execution_device=CPU, offload_buffers=True)


def to_disk(pipe: Any, folder: Path) -> None:
    disk_offload(pipe.transformer, folder, execution_device=CPU, offload_buffers=True)


def by_blocks(pipe: Any, folder: Path) -> None:
    """Two blocks a group; the weights of a group that nobody has asked for are not there."""
    pipe.transformer.enable_group_offload(
        CPU, CPU, "block_level", num_blocks_per_group=2, offload_to_disk_path=str(folder)
    )


def by_leaves(pipe: Any, folder: Path) -> None:
    pipe.transformer.enable_group_offload(CPU, CPU, "leaf_level", offload_to_disk_path=str(folder))


def casts(pipe: Any, folder: Path) -> None:
    pipe.transformer.enable_layerwise_casting(torch.bfloat16, torch.float32)


WAYS: tuple[Callable[[Any, Path], None], ...] = (
    model_offload, sequential_offload, to_disk, by_blocks, by_leaves, casts
)  # fmt: skip


@pytest.mark.parametrize(
    "way", [way if way in (model_offload, by_blocks) else pytest.param(way, marks=pytest.mark.slow) for way in WAYS]
)
@pytest.mark.parametrize(
    "name",
    [
        "FluxPipeline",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("PixArtSigmaPipeline", "WanPipeline", "Lumina2Pipeline")),
    ],
)
def test_a_policy_lives_with(name: str, way: Callable[[Any, Path], None], tmp_path: Path) -> None:
    """Attached after and before, for two runs each, the very numbers of the weights that stay."""
    pipe = make(name)
    sites = len(find_sites(pipe.transformer))
    policies = (Policy.full(4, sites), Policy.from_rows([
        "#" * sites, "." + "#" * (sites - 1), "=" * sites, ".=" + "#" * (sites - 2)]))  # fmt: skip
    if way is casts:
        way(pipe, tmp_path)
    plain = [_run(name, pipe, policy) for policy in policies]
    if way is not casts:
        way(pipe, tmp_path)
    before = traces(pipe.transformer)
    for policy, expected in zip(policies, plain, strict=True):
        with apply_policy(pipe, policy) as applied:
            for _ in range(2):
                assert torch.equal(run(name, pipe), expected)
                report = applied.report()
                assert report.steps == 4
                assert 0 < report.macs <= report.full_macs  # Lumina2's are counted on its own weights
                assert applied.run.counts.sum() == 4 * sites * len(applied.run.slots)
    if way is not model_offload:  # which has made new hooks
        assert {k: set(v) - _moved(v) for k, v in traces(pipe.transformer).items()} == {
            k: set(v) - _moved(v) for k, v in before.items()
        }
    assert torch.equal(run(name, pipe), plain[0])


def _moved(attributes: list[str]) -> set[str]:
    """What offloading renews in every run, policy or not."""
    return {line for line in attributes if line.startswith(("_parameters", "_buffers"))}


def _run(name: str, pipe: Any, policy: Policy) -> torch.Tensor:
    with apply_policy(pipe, policy):
        return run(name, pipe)


@pytest.mark.slow
@pytest.mark.parametrize("way", [model_offload, sequential_offload, by_blocks])
def test_switched_on_while_a_policy_is_at_work(way: Callable[[Any, Path], None], tmp_path: Path) -> None:
    pipe = make("FluxPipeline")
    policy = random_policy(4, 4, 1)
    plain, expected = run("FluxPipeline", pipe), _run("FluxPipeline", pipe, policy)
    with apply_policy(pipe, policy):
        way(pipe, tmp_path)
        assert torch.equal(run("FluxPipeline", pipe), expected)
        assert torch.equal(run("FluxPipeline", pipe), expected)
    assert torch.equal(run("FluxPipeline", pipe), plain)


def test_switched_off_while_a_policy_is_at_work(tmp_path: Path) -> None:
    pipe = make("FluxPipeline")
    policy = random_policy(4, 4, 1)
    plain, expected = run("FluxPipeline", pipe), _run("FluxPipeline", pipe, policy)
    sequential_offload(pipe, tmp_path)
    with apply_policy(pipe, policy):
        remove_hook_from_module(pipe.transformer, recurse=True)
        assert torch.equal(run("FluxPipeline", pipe), expected)
    assert torch.equal(run("FluxPipeline", pipe), plain)
    assert not any(isinstance(getattr(m, "_hf_hook", None), AlignDevicesHook) for m in pipe.transformer.modules())
    assert close(run("FluxPipeline", pipe), plain)
