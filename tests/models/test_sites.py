"""Columns: what counts as a block, and in which order they run."""

import pytest
from torch import nn

from mddit_ui.core.errors import ModelError
from mddit_ui.models.sites import find_sites
from tests.engine.tiny_transformers import build
from tests.engine.toy import ToyTransformer


def names(model: nn.Module, granularity="block") -> list[str]:
    return [site.name for site in find_sites(model, granularity)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Lumina2Transformer2DModel", ["context_refiner.0", "noise_refiner.0", "layers.0", "layers.1", "layers.2"]),
        ("WanVACETransformer3DModel", ["vace_blocks.0", "vace_blocks.1", "blocks.0", "blocks.1", "blocks.2"]),
        (
            "LatteTransformer3DModel",
            [f"{kind}.{i}" for i in range(2) for kind in ("transformer_blocks", "temporal_transformer_blocks")],
        ),
    ],
)
def test_in_the_order_in_which_they_run(name: str, expected: list[str]):
    model = build(name)
    assert names(model) == expected


def test_the_order_is_that_of_a_real_call():
    from tests.engine.tiny_transformers import inputs

    for name in ("ZImageTransformer2DModel", "AuraFlowTransformer2DModel", "LatteTransformer3DModel"):
        model, ran = build(name), []
        by_module = {model.get_submodule(path): path for path in names(model)}
        for module in by_module:
            module.register_forward_hook(lambda module, *_, by_module=by_module, ran=ran: ran.append(by_module[module]))
        model(**inputs(name, 500.0), return_dict=False)
        if name == "ZImageTransformer2DModel":  # its refiners work on different streams; either order is right
            ran[:2] = sorted(ran[:2], reverse=True)
        assert ran == names(model)


def test_lists_of_other_things_are_not_blocks():
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norms = nn.ModuleList([nn.LayerNorm(4)])
            self.projections = nn.ModuleList([nn.Linear(4, 4)])
            self.empty = nn.ModuleList()

    with pytest.raises(ModelError, match="Odd has no list of transformer blocks"):
        find_sites(Odd())


def test_branches():
    assert names(build("PixArtTransformer2DModel"), "branch")[:4] == [
        "transformer_blocks.0.attn1",
        "transformer_blocks.0.attn2",
        "transformer_blocks.0.ff",
        "transformer_blocks.1.attn1",
    ]
    with pytest.raises(ModelError, match="have no branches named attn, attn1"):
        find_sites(ToyTransformer(), "branch")
