"""Guidance in two calls, samplers that repeat timesteps, runs that begin late: on diffusers' own classes."""

import pytest
import torch
from diffusers import HeunDiscreteScheduler

from mddit_ui.core.errors import ModelError
from mddit_ui.core.policy import Policy
from mddit_ui.engine.hooks import apply_policy
from mddit_ui.models.loading import load
from tests.engine.tiny_transformers import build, inputs
from tests.engine.toy import ToyTransformer, random_policy, run, traces
from tests.tiny import PROMPTS

TIMESTEPS = (900.0, 600.0, 300.0)
POLICY = Policy.from_rows(["####", "=#==", "===#"])


@torch.no_grad()
def call(flux, timestep: float, text: float, name: str | None) -> torch.Tensor:
    arguments = inputs("FluxTransformer2DModel", timestep)
    arguments["encoder_hidden_states"] = arguments["encoder_hidden_states"] * text
    if name is None:
        return flux(**arguments, return_dict=False)[0]
    with flux.cache_context(name):
        return flux(**arguments, return_dict=False)[0]


@pytest.mark.parametrize("names", [("cond", "uncond"), (None, None)])
def test_each_call_of_a_step_keeps_its_own_residuals(names):
    """Two calls a step, interleaved, give what each of them gives alone."""
    flux = build("FluxTransformer2DModel")
    alone = []
    for text in (1.0, -2.0):
        with apply_policy(flux, POLICY):
            alone.append([call(flux, t, text, None) for t in TIMESTEPS])
    with apply_policy(flux, POLICY) as applied:
        both = [[call(flux, t, text, name) for text, name in zip((1.0, -2.0), names, strict=True)] for t in TIMESTEPS]
        report = applied.report()
    for step, (cond, uncond) in enumerate(both):
        assert torch.equal(cond, alone[0][step])
        assert torch.equal(uncond, alone[1][step])
    assert not torch.equal(both[1][0], both[1][1])
    assert (report.steps, report.calls, len(report.slots)) == (3, 6, 2)
    assert report.peak_cache_bytes == report.predicted_cache_bytes
    assert [site.computed for site in report.sites] == [2, 4, 2, 4]


def test_a_model_with_cache_mixin_is_reset_by_its_own_method():
    flux = build("FluxTransformer2DModel")
    with apply_policy(flux, POLICY) as applied:
        call(flux, 900.0, 1.0, "cond")
        assert applied.run.tally.held_bytes > 0
        flux._reset_stateful_cache()
        assert applied.run.tally.held_bytes == 0
        assert applied.run.clock.step == -1
    assert "_reset_stateful_cache" not in vars(flux)


def test_attached_inside_of_a_context():
    flux = build("FluxTransformer2DModel")
    call(flux, 900.0, 1.0, "cond")  # diffusers has cached its list of registries by now
    with apply_policy(flux, POLICY) as applied:
        call(flux, 900.0, 1.0, "cond")
        assert applied.report().slots == ("cond",)


@pytest.fixture
def heun(tiny_pixart: str):
    pipe = load(tiny_pixart).pipe
    kept = pipe.scheduler
    pipe.scheduler = HeunDiscreteScheduler.from_config(kept.config)
    yield pipe
    pipe.scheduler = kept


def sample(pipe, steps: int = 4) -> torch.Tensor:
    return pipe(
        PROMPTS[0], num_inference_steps=steps, generator=torch.Generator().manual_seed(0), output_type="latent",
        height=64, width=64, use_resolution_binning=False, clean_caption=False,
    ).images  # fmt: skip


def test_heun_through_the_pipeline_and_through_the_bare_transformer(heun):
    policy = random_policy(7, 4, 0)
    plain = sample(heun)
    with apply_policy(heun, policy) as applied:
        through_pipeline = sample(heun)
        assert applied.report().calls == applied.report().steps == 7
    with apply_policy(heun.transformer, policy):
        assert torch.equal(sample(heun), through_pipeline)
    with apply_policy(heun, Policy.full(7, 4)):
        assert torch.equal(sample(heun), plain)


def test_a_run_that_begins_late_computes_what_it_can_not_reuse():
    class Scheduler:
        timesteps = torch.tensor([4.0, 3.0, 2.0, 1.0])
        num_inference_steps = 4
        begin_index = 2  # as an image-to-image pipeline sets it

    class Pipeline:
        transformer = ToyTransformer()
        scheduler = Scheduler()

    with apply_policy(Pipeline(), Policy.from_rows(["###", "===", "=#=", "=.="])) as applied:
        assert run(Pipeline.transformer, [2.0, 1.0]) == [222, 202]
        report = applied.report()
    assert report.filled == 2
    assert [(site.computed, site.cached, site.skipped) for site in report.sites] == [(1, 1, 0), (1, 0, 1), (1, 1, 0)]


@pytest.mark.parametrize("by_module", [False, True])
def test_compiled_blocks_live_with_a_policy(by_module: bool):
    """Blocks are compiled first, the policy goes around them: one graph a block, none for each step."""
    torch._dynamo.reset()
    toy = ToyTransformer()
    graphs = []

    def backend(graph, example_inputs):
        graphs.append(graph)
        return graph.forward

    for block in toy.blocks:
        if by_module:
            block.compile(backend=backend)
        else:
            block.forward = torch.compile(block.forward, backend=backend)
    before = traces(toy)
    with apply_policy(toy, Policy.from_rows(["###", "#==", "=#=", "=.#"])):
        assert run(toy, [4.0, 3.0, 2.0, 1.0]) == [444, 443, 423, 103]
    assert 0 < len(graphs) <= 3
    assert traces(toy) == before
    assert run(toy, [4.0]) == [444]


def test_a_transformer_compiled_as_a_whole_is_refused():
    toy = ToyTransformer()
    with pytest.raises(ModelError, match="compile its blocks instead"):
        apply_policy(torch.compile(toy, backend="eager"), Policy.full(4, 3))
    toy.compile(backend="eager")
    with pytest.raises(ModelError, match="compile its blocks instead"):
        apply_policy(toy, Policy.full(4, 3))
