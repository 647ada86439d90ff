"""A cell on a part of its tokens: chosen by the model's routers, or, as an experiment, without any training.

The experiment is ours and named "residual-norm": a block of a PixArt or DiT that has no router runs on the tokens that
it changed most when it last ran on them; the others bypass it. The first time it runs on all. Nothing was trained for
it, so that pictures soon suffer; it is there to be compared with, and to try ratios on models that have no routers.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock
from torch import nn

from mddit_ui.core.errors import PolicyError
from mddit_ui.core.policy import Action, Policy
from mddit_ui.core.tokens import TokenChoice, kept
from mddit_ui.models.routed_dit import RoutedBlock
from mddit_ui.models.sites import Site

Norms = dict[int, torch.Tensor]  # site -> (b, n) how much its block changed each token when it last ran on it


def check_keep(experts: Sequence[nn.Module], sites: Sequence[Site], policy: Policy, choice: TokenChoice) -> None:
    """PolicyError where a computed cell of a policy keeps some of the tokens, and its block can't."""
    if policy.keep is None or not (policy.keep[policy.actions == Action.COMPUTE] < 1).any():
        return
    able, has = (RoutedBlock, "token routers") if choice == "routers" else (BasicTransformerBlock, "PixArt's blocks")
    for expert in experts:
        for site in sites:
            if not isinstance(expert.get_submodule(site.name), able):
                hint = "; the experiment tokens='residual-norm' does without" if choice == "routers" else ""
                raise PolicyError(
                    f"The policy keeps a share of the tokens, but {site.name} of {type(expert).__name__} is not made "
                    f"for that: it has no {has}. Keep all tokens (keep = 1){hint}."
                )


def known_ratio(ratio: float, norms: Norms, site: int, args: tuple, kwargs: dict[str, Any]) -> float:
    """What the experiment really keeps: all tokens where nothing is known of them."""
    states = args[0] if args else kwargs["hidden_states"]
    known = norms.get(site)
    return ratio if known is not None and known.shape == states.shape[:2] else 1.0


def by_residual_norm(
    call: Callable[..., Any], args: tuple, kwargs: dict[str, Any], ratio: float, norms: Norms, site: int
) -> Any:
    """A block of diffusers' on the tokens that it changed most; what it changes is noted."""
    args, kwargs = ((), {"hidden_states": args[0], **kwargs}) if args else (args, kwargs)
    states = kwargs["hidden_states"]  # (b, n, d)
    count = kept(ratio, states.shape[1])
    if count == states.shape[1]:
        output = call(**kwargs)
        norms[site] = (output - states).float().norm(dim=-1)
        return output
    chosen = norms[site].topk(count, 1).indices.sort(1).values  # (b, k)
    rows = chosen[..., None].expand(-1, -1, states.shape[-1])
    given = states.gather(1, rows)
    output = call(**{**kwargs, "hidden_states": given})
    norms[site] = norms[site].scatter(1, chosen, (output - given).float().norm(dim=-1))
    return states.to(output.dtype).scatter(1, rows, output)
