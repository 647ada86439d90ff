"""``compile_repeated_blocks`` of real models: the graphs are those of the blocks, whatever the policy's rows."""

import pytest
import torch

from mddit_ui.core.policy import Policy
from mddit_ui.engine.hooks import apply_policy
from mddit_ui.models.sites import find_sites
from tests.engine.tiny_pipelines import make, run
from tests.engine.toy import random_policy, traces

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.mark.parametrize("name", ["FluxPipeline", "QwenImagePipeline", "ZImagePipeline", "WanPipeline"])
def test_the_number_of_graphs_is_constant_over_steps_and_policies(name: str) -> None:
    torch._dynamo.reset()
    pipe = make(name)
    sites = len(find_sites(pipe.transformer))
    expected = [run(name, pipe)]
    policies = [Policy.full(4, sites), random_policy(4, sites, 0), random_policy(4, sites, 1)]
    for policy in policies[1:]:
        with apply_policy(pipe, policy):
            expected.append(run(name, pipe))

    graphs = []

    def backend(graph, example_inputs):
        graphs.append(graph)
        return graph.forward

    pipe.transformer.compile_repeated_blocks(backend=backend)
    before = traces(pipe.transformer)
    counts = []
    for policy, plain in zip(policies, expected, strict=True):
        with apply_policy(pipe, policy):
            assert torch.equal(run(name, pipe), plain)
        counts.append(len(graphs))
    assert counts[0] == counts[-1] <= 4
    assert traces(pipe.transformer) == before
    assert torch.equal(run(name, pipe), expected[0])
    assert len(graphs) == counts[0]
