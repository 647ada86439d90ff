"""Skip-DiT: long skip branches from the first half of a transformer's blocks to the second (Chen et al. 2024, arXiv
2411.17616).

The output of block i of L joins the input of block L-1-i through a norm of both and a linear layer. With fresh shallow
features arriving at the end, the deep middle may be old: that is what Skip-Cache lives on.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from diffusers import DiTTransformer2DModel, ModelMixin, PixArtTransformer2DModel
from diffusers.configuration_utils import register_to_config
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.normalization import FP32LayerNorm
from torch import nn

from mddit_ui.core.errors import ModelError
from mddit_ui.models.growing import takes_more

Fusion = Literal["residual", "replace"]


class SkipBlock(BasicTransformerBlock):
    """diffusers' block, whose input is first joined with what its skip branch brings.

    ``residual`` adds what the branch says to the input and starts at nothing, so that a trained model is, bit for bit,
    what it was; ``replace`` puts it in place of the input, as the paper does.
    """

    skip_norm: FP32LayerNorm
    skip_linear: nn.Linear
    fusion: Fusion

    @classmethod
    def of(cls, block: BasicTransformerBlock, fusion: Fusion) -> "SkipBlock":
        """A block with all that ``block`` has, and a join."""
        made = cls.__new__(cls)
        made.__dict__.update(vars(block))
        made.fusion = fusion
        made.skip_norm = FP32LayerNorm(2 * block.dim, 1e-6, elementwise_affine=True)
        made.skip_linear = nn.Linear(2 * block.dim, block.dim)
        if fusion == "residual":
            nn.init.zeros_(made.skip_linear.weight)
            nn.init.zeros_(made.skip_linear.bias)
        return made

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        encoder_hidden_states: torch.Tensor | None = None,
        encoder_attention_mask: torch.Tensor | None = None,
        timestep: torch.Tensor | None = None,
        cross_attention_kwargs: dict[str, Any] | None = None,
        class_labels: torch.Tensor | None = None,
        *,
        skip: torch.Tensor,
    ) -> torch.Tensor:
        """(b, n, d) from the block before and, as ``skip``, from the partner in the first half."""
        joined = self.skip_linear(self.skip_norm(torch.cat([hidden_states, skip], -1)))  # (b, n, d)
        hidden_states = hidden_states + joined if self.fusion == "residual" else joined
        hidden_states = super().forward(
            hidden_states,
            attention_mask,
            encoder_hidden_states,
            encoder_attention_mask,
            timestep,
            cross_attention_kwargs,
            class_labels,
        )
        return hidden_states


class Branch:
    """Carries the output of one block to another one, in every call of the transformer.

    It stands outside of both: a block that a policy skips or takes from its cache still has an output to be carried.
    """

    def __init__(self, shallow: nn.Module, deep: nn.Module) -> None:
        self.carried: torch.Tensor | None = None
        shallow.register_forward_hook(self.take)
        deep.register_forward_pre_hook(self.give, with_kwargs=True)

    def take(self, block: nn.Module, args: tuple, output: torch.Tensor) -> None:
        self.carried = output

    def give(self, block: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        if "skip" in kwargs:  # a compiled block is called from within itself
            return args, kwargs
        carried, self.carried = self.carried, None
        return args, {**kwargs, "skip": carried}


def add_branches(blocks: nn.ModuleList, fusion: Fusion) -> None:
    """Join block L-1-i with block i, for all i below L // 2.

    Raises:
        ModelError: an unknown fusion.
    """
    if fusion not in ("residual", "replace"):
        raise ModelError(f"Expected fusion 'residual' or 'replace', got {str(fusion)[:40]!r}.")
    for index in range(len(blocks) // 2):
        deep = len(blocks) - 1 - index
        blocks[deep] = SkipBlock.of(blocks[deep], fusion)  # type: ignore[arg-type]
        Branch(blocks[index], blocks[deep])


class SkipPixArtTransformer2DModel(PixArtTransformer2DModel):
    """A PixArt transformer with long skip branches; its config is diffusers' with ``fusion``."""

    _supports_gradient_checkpointing = False  # a block that is run again has lost what the branch brought

    @register_to_config
    @takes_more(PixArtTransformer2DModel, fusion="residual")
    def __init__(self, *args: Any, fusion: Fusion = "residual", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        add_branches(self.transformer_blocks, fusion)


class SkipDiTTransformer2DModel(DiTTransformer2DModel):
    """A DiT transformer with long skip branches; its config is diffusers' with ``fusion``."""

    _supports_gradient_checkpointing = False

    @register_to_config
    @takes_more(DiTTransformer2DModel, fusion="residual")
    def __init__(self, *args: Any, fusion: Fusion = "residual", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        add_branches(self.transformer_blocks, fusion)


WITH_SKIPS: dict[type, type[ModelMixin]] = {
    PixArtTransformer2DModel: SkipPixArtTransformer2DModel,
    DiTTransformer2DModel: SkipDiTTransformer2DModel,
}


def with_skips(transformer: nn.Module, fusion: Fusion = "residual") -> Any:
    """A Skip-DiT with the weights of a transformer, which stays as it is.

    Raises:
        ModelError: no Skip-DiT is known for its class, or an unknown fusion.
    """
    kind = WITH_SKIPS.get(type(transformer))
    if kind is None:
        known = ", ".join(base.__name__ for base in WITH_SKIPS)
        raise ModelError(f"No Skip-DiT is made of {type(transformer).__name__}; known are {known}.")
    made: Any = kind.from_config({**transformer.config, "fusion": fusion})  # type: ignore[attr-defined,dict-item]
    first = next(transformer.parameters())
    nn.Module.to(made, first.device, first.dtype).load_state_dict(transformer.state_dict(), strict=False)
    return made


def long_skips(transformer: nn.Module, blocks: Sequence[str]) -> dict[str, str]:
    """Which blocks' outputs are read once more, much later: name of the block -> name of the block that reads it.

    Both Skip-DiT and diffusers' HunyuanDiT join block L-1-i with block i where block L-1-i has a ``skip_linear``.

    Args:
        blocks: names of all blocks, in their order.
    """
    readers = (name for name in blocks if getattr(transformer.get_submodule(name), "skip_linear", None) is not None)
    return {blocks[len(blocks) - 1 - blocks.index(reader)]: reader for reader in readers}
