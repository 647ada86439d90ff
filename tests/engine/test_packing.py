"""Prepared layers: near the plain ones, gone afterwards, never older than the weights."""

import pytest
import torch
from diffusers.models.activations import GELU

from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine import packed_block, packed_layers, packing
from mddit_ui.engine.memo import Memo
from mddit_ui.engine.packed_block import is_plain
from mddit_ui.engine.packing import packed
from mddit_ui.engine.runner import generate
from mddit_ui.metrics.fidelity import latent_error
from mddit_ui.models.loading import load
from mddit_ui.models.sites import find_sites
from tests.tiny import PROMPTS

CONFIG = GenerationConfig(prompts=PROMPTS, seeds=(3, 4), steps=4, height=64, width=64)
POLICY = Policy.from_rows(["####", "=#=#", "####", "===="])


@pytest.fixture
def loaded(tiny_pixart: str):
    found = load(tiny_pixart)
    forget(found)
    yield found
    forget(found)


def forget(loaded):
    for key in [key for key in loaded.memo if key[0] == "packed"]:
        del loaded.memo[key]


NARROW = pytest.param(
    torch.bfloat16,
    1e-3,
    marks=pytest.mark.skipif(
        not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this CPU multiplies no bfloat16"
    ),
)


@pytest.mark.parametrize("instructions", ["AVX2", "AVX512"])  # without the latter a GELU is a call of its own
@pytest.mark.parametrize(("products", "most"), [(torch.float32, 1e-9), NARROW])
@pytest.mark.parametrize("policy", [None, POLICY], ids=["full depth", "a policy"])
@pytest.mark.parametrize("known", [True, False], ids=["as one function", "layer by layer"])
def test_it_is_near_the_plain_run_and_leaves_nothing(loaded, policy, products, most, instructions, known, monkeypatch):
    monkeypatch.setattr(packing, "product_type", lambda: products)
    monkeypatch.setattr(packing, "is_plain", lambda block: known and is_plain(block))
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: instructions)
    before = generate(loaded, policy, CONFIG)
    quick = generate(loaded, policy, CONFIG, packing="quick")
    after = generate(loaded, policy, CONFIG)
    assert (before.latents == after.latents).all()
    assert 0 < latent_error(quick.latents, before.latents).max() < most
    assert (quick.macs, quick.full_macs) == (before.macs, before.full_macs)


@pytest.mark.parametrize("instructions", ["AVX2", "AVX512"])
@pytest.mark.parametrize("approximate", ["tanh", "none"])
def test_a_prepared_gelu_is_the_gelu(instructions, approximate, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: instructions)
    gelu = GELU(1, 4, approximate=approximate)
    torch.nn.init.ones_(gelu.proj.weight)
    x = torch.linspace(-12, 12, 4001)[:, None]
    with torch.no_grad():
        torch.testing.assert_close(packed_layers.linear_gelu(gelu, torch.float32)(x), gelu(x))


def test_a_memo_changes_no_bit_of_it(loaded):
    memo = Memo()
    alone = generate(loaded, POLICY, CONFIG, packing="quick")
    for _ in range(3):
        assert (generate(loaded, POLICY, CONFIG, memo=memo, packing="quick").latents == alone.latents).all()
    assert memo.recalled > 0


@pytest.mark.parametrize("known", [True, False], ids=["as one function", "layer by layer"])
def test_what_captions_become_is_made_once_a_run(loaded, known, monkeypatch):
    calls = []
    linear = packed_layers.linear

    def counted(layers, *args, **kwargs):
        forward = linear(layers, *args, **kwargs)
        return lambda hidden: calls.extend(layers) or forward(hidden)

    monkeypatch.setattr(packing, "is_plain", lambda block: known)
    for module in (packing, packed_block):
        monkeypatch.setattr(module, "linear", counted)
    generate(loaded, None, CONFIG, packing="quick")
    attention = loaded.transformer.transformer_blocks[1].attn2
    assert [calls.count(layer) for layer in (attention.to_q, attention.to_k, attention.to_v)] == [4, 1, 1]


def test_the_same_tensor_is_remembered_until_it_is_written_to():
    double = packed_layers.remembered(lambda hidden: hidden * 2)
    hidden = torch.ones(2, 3)
    first = double(hidden)
    assert double(hidden) is first
    assert double(hidden.view(2, 3)) is first
    assert double(hidden.t()).shape == (3, 2)
    assert double(hidden) is not first
    hidden += 1
    assert (double(hidden) == 4).all()
    with torch.inference_mode():
        assert (double(torch.ones(1)) == 2).all()
    assert (double(torch.ones(2, 3)) == 2).all()


def test_other_weights_are_prepared_anew(loaded):
    plain = generate(loaded, None, CONFIG, packing="quick").latents
    bias = loaded.transformer.transformer_blocks[3].ff.net[2].bias
    with torch.no_grad():
        bias += 1
        other = generate(loaded, None, CONFIG, packing="quick").latents
        exact = generate(loaded, None, CONFIG).latents
        bias -= 1
    assert latent_error(other, exact).max() < 1e-3 < latent_error(other, plain).max()


def test_a_forward_that_somebody_has_put_there_stays(loaded):
    layer = loaded.transformer.transformer_blocks[0].attn1.to_q
    layer.forward = own = lambda hidden: torch.nn.functional.linear(hidden, layer.weight, layer.bias)
    try:
        with packed(loaded, "quick"):
            assert layer.forward is own
        assert layer.forward is own
    finally:
        del layer.forward


def test_a_policy_on_branches_is_followed_inside_of_a_prepared_block(loaded):
    sites = [site.name for site in find_sites(loaded.transformer, "branch")]
    rows = ["#" * len(sites), "=#." * (len(sites) // 3), "#" * len(sites), "=" * len(sites)]
    policy = Policy.from_rows(rows, sites=sites)
    exact = generate(loaded, policy, CONFIG)
    packed = generate(loaded, policy, CONFIG, packing="exact")
    assert packed.macs == exact.macs < exact.full_macs
    assert latent_error(packed.latents, exact.latents).max() < 1e-9
    assert latent_error(generate(loaded, None, CONFIG).latents, exact.latents).max() > 1e-6


def test_exact_is_float32_whatever_the_cpu_multiplies(loaded):
    plain = generate(loaded, POLICY, CONFIG)
    assert 0 < latent_error(generate(loaded, POLICY, CONFIG, packing="exact").latents, plain.latents).max() < 1e-9
