"""DiffRatio-MoD: blocks that run on their most important tokens alone, with shares that are learned (You et al. 2024,
DiffCR, arXiv 2412.16822).

A router scores the tokens of each block; the best ceil(r n) are gathered, run through diffusers' own block, and put
back; the others bypass it. The ratio r is learned for each block, in each region of timesteps, for each target.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DiTTransformer2DModel, ModelMixin, PixArtTransformer2DModel
from diffusers.configuration_utils import register_to_config
from diffusers.models.attention import BasicTransformerBlock, FeedForward
from torch import nn

from mddit_ui.core.errors import ModelError
from mddit_ui.core.tokens import BINS, bins_around, kept, nearest_bin, region
from mddit_ui.models.growing import takes_more

TARGETS = (0.8, 0.6, 0.5)
REGIONS = 5
ROUTER_SCALE = 0.02  # standard deviation of a fresh router's weights: an order of the tokens, and weights near 1


class WeightedFeedForward(FeedForward):
    """diffusers' feed-forward, whose answer to each token may be weighted."""

    weights: torch.Tensor | None  # (b, n, 1), or none for a moment

    @classmethod
    def of(cls, feed_forward: FeedForward) -> "WeightedFeedForward":
        made = cls.__new__(cls)
        made.__dict__.update(vars(feed_forward))
        made.weights = None
        return made

    def forward(self, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        answer = super().forward(hidden_states, *args, **kwargs)
        return answer if self.weights is None else answer * self.weights.to(answer.dtype)


class RoutedBlock(BasicTransformerBlock):
    """diffusers' block on the tokens that its router chooses; the block itself where all are kept.

    ``ratio`` is what it keeps unless a call says otherwise: a number; in training a tensor, which gets a
    gradient (and not through a clamp, which has none at its ends: whoever trains it keeps it inside of the bins).
    """

    router: nn.Linear
    ff: WeightedFeedForward
    ratio: float | torch.Tensor

    @classmethod
    def of(cls, block: BasicTransformerBlock) -> "RoutedBlock":
        """A block with all that ``block`` has, and a router."""
        made = cls.__new__(cls)
        made.__dict__.update(vars(block))
        made.ff = WeightedFeedForward.of(block.ff)
        made.router = nn.Linear(block.dim, 1, bias=False)
        nn.init.normal_(made.router.weight, std=ROUTER_SCALE)
        made.ratio = 1.0
        return made

    def scores(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """(b, n) importance of the tokens (b, n, d), of their normed states: streams differ in scale."""
        normed = F.layer_norm(hidden_states.float(), hidden_states.shape[-1:])
        return (normed * self.router.weight[0].float()).sum(-1)  # in float32 under autocast too: fewer equal scores

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
        keep: float | None = None,
    ) -> torch.Tensor:
        """(b, n, d); ``keep`` comes before ``ratio``."""
        given = (encoder_hidden_states, encoder_attention_mask, timestep, cross_attention_kwargs, class_labels)
        ratio = self.ratio if keep is None else keep
        if not isinstance(ratio, torch.Tensor):
            return self._at(ratio, hidden_states, attention_mask, *given)
        lower, upper = bins_around(float(ratio.detach()))
        weight = (upper - ratio) / (upper - lower)
        low = self._at(lower, hidden_states, attention_mask, *given)
        high = self._at(upper, hidden_states, attention_mask, *given)
        return torch.lerp(high, low, weight.to(low.dtype))

    def _at(
        self, ratio: float, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None, *given: Any
    ) -> torch.Tensor:
        n, count = hidden_states.shape[1], kept(ratio, hidden_states.shape[1])
        if count == n:
            return super().forward(hidden_states, attention_mask, *given)
        scores = self.scores(hidden_states)  # (b, n)
        chosen = best(scores, ratio)  # (b, k)
        if attention_mask is not None:  # (b, 1, n)
            attention_mask = attention_mask.expand(len(chosen), -1, -1).take_along_dim(chosen[:, None], -1)
        # The paper's weight, sigmoid(score), made to be 1 where nothing is chosen: of the score, and of the ratio.
        fade = 1 - count / n
        self.ff.weights = (1 + fade * (2 * scores.gather(1, chosen).sigmoid() - 1))[..., None]  # (b, k, 1)
        rows = chosen[..., None].expand(-1, -1, hidden_states.shape[-1])  # (b, k, d)
        try:
            output = super().forward(hidden_states.gather(1, rows), attention_mask, *given)
        finally:
            self.ff.weights = None
        return hidden_states.to(output.dtype).scatter(1, rows, output)


def best(scores: torch.Tensor, ratio: float) -> torch.Tensor:
    """(b, k) places of the tokens that a ratio keeps by their scores (b, n), in the order in which they stand."""
    return scores.topk(kept(ratio, scores.shape[1]), 1).indices.sort(1).values


def add_routers(model: Any, targets: Sequence[float], regions: int, target: float | None) -> None:
    """Give each block a router, and the model its ratios: (targets, blocks, regions), all 1 at first.

    Raises:
        ModelError: no such targets or regions.
    """
    if not targets or not all(BINS[-1] <= each <= 1 for each in targets):
        raise ModelError(f"Expected targets in [{BINS[-1]}, 1], got {list(targets)[:8]}.")
    if not 1 <= regions <= 100:
        raise ModelError(f"Expected 1 to 100 regions of timesteps, got {regions}.")
    blocks = model.transformer_blocks
    for index, block in enumerate(blocks):
        blocks[index] = RoutedBlock.of(block)
    model.ratios = nn.Parameter(torch.ones(len(targets), len(blocks), regions))
    use_target(model, target)
    model.register_forward_pre_hook(_tell_ratios, with_kwargs=True)
    model.register_forward_hook(_forget_ratios, always_call=True)


def use_target(model: Any, target: float | None) -> None:
    """Let the model keep, on its own, what it has learned for a target; ``None``: all tokens.

    Raises:
        ModelError: it has learned others.
    """
    if target is not None:
        _place(model, target)
    model.register_to_config(target=target)


def learned_keep(model: Any, timesteps: Sequence[float], target: float) -> np.ndarray:
    """(steps, blocks) float32: what the model has learned to keep at each step, for ``Policy.keep``."""
    table = model.ratios[_place(model, target)].detach().float().cpu().numpy()  # (blocks, regions)
    regions = [region(timestep, table.shape[1]) for timestep in timesteps]
    return np.vectorize(nearest_bin, otypes=[np.float32])(table.T[regions])


def _place(model: Any, target: float) -> int:
    targets = list(model.config.targets)
    if target not in targets:
        raise ModelError(f"The model has learned the targets {', '.join(map(str, targets))}, not {str(target)[:20]}.")
    return targets.index(target)


def is_routed(model: Any) -> bool:
    """Whether its blocks can run on a part of their tokens."""
    return isinstance(model, RoutedPixArtTransformer2DModel | RoutedDiTTransformer2DModel)


def _tell_ratios(model: Any, args: tuple, kwargs: dict[str, Any]) -> None:
    """Before each call: what each block keeps at this timestep. Training gives tensors, to be mixed and learned."""
    if model.config.target is None:
        return
    blocks = model.transformer_blocks
    place = 1 if isinstance(model, DiTTransformer2DModel) else 2
    timestep = kwargs["timestep"] if "timestep" in kwargs else args[place]
    first = float(timestep.flatten()[0]) if isinstance(timestep, torch.Tensor) else float(timestep)
    at = region(first, model.ratios.shape[2])
    column = model.ratios[_place(model, model.config.target), :, at]  # (blocks,)
    learning = model.training and column.requires_grad and torch.is_grad_enabled()
    told = column if learning else [nearest_bin(ratio) for ratio in column.tolist()]
    for block, ratio in zip(blocks, told, strict=True):
        block.ratio = ratio


def _forget_ratios(model: Any, args: tuple, output: Any) -> None:
    for block in model.transformer_blocks:
        block.ratio = 1.0


class RoutedPixArtTransformer2DModel(PixArtTransformer2DModel):
    """A PixArt transformer with token routers; its config is diffusers' with ``targets``, ``regions``, ``target``."""

    _supports_gradient_checkpointing = False  # a block that is run again may have been told another ratio

    @register_to_config
    @takes_more(PixArtTransformer2DModel, targets=TARGETS, regions=REGIONS, target=None)
    def __init__(
        self,
        *args: Any,
        targets: Sequence[float] = TARGETS,
        regions: int = REGIONS,
        target: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        add_routers(self, targets, regions, target)


class RoutedDiTTransformer2DModel(DiTTransformer2DModel):
    """A DiT transformer with token routers; its config is diffusers' with ``targets``, ``regions``, ``target``."""

    _supports_gradient_checkpointing = False

    @register_to_config
    @takes_more(DiTTransformer2DModel, targets=TARGETS, regions=REGIONS, target=None)
    def __init__(
        self,
        *args: Any,
        targets: Sequence[float] = TARGETS,
        regions: int = REGIONS,
        target: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        add_routers(self, targets, regions, target)


ROUTED: dict[type, type[ModelMixin]] = {
    PixArtTransformer2DModel: RoutedPixArtTransformer2DModel,
    DiTTransformer2DModel: RoutedDiTTransformer2DModel,
}


def with_routers(transformer: nn.Module, targets: Sequence[float] = TARGETS, regions: int = REGIONS) -> Any:
    """A routed model with the weights of a transformer, which stays as it is.

    Raises:
        ModelError: no routed model is known for its class; no such targets or regions.
    """
    kind = ROUTED.get(type(transformer))
    if kind is None:
        known = ", ".join(base.__name__ for base in ROUTED)
        raise ModelError(f"No routers are known for {type(transformer).__name__}; known are {known}.")
    config = {**transformer.config, "targets": list(targets), "regions": regions}  # type: ignore[dict-item]
    made: Any = kind.from_config(config)  # type: ignore[attr-defined]
    first = next(transformer.parameters())
    nn.Module.to(made, first.device, first.dtype).load_state_dict(transformer.state_dict(), strict=False)
    return made.train(transformer.training)
