"""What a policy can be put on: the transformers of a pipeline, and their columns."""

from collections.abc import Callable, Sequence
from typing import Any

from diffusers.utils.torch_utils import unwrap_module
from torch import nn

from mddit_ui.core.errors import ModelError, PolicyError
from mddit_ui.core.policy import Policy
from mddit_ui.models.sites import Granularity, Site, find_sites
from mddit_ui.models.skip_dit import long_skips

ROOT_HOOK = "mddit_root"
PARTS = ("transformer", "transformer_2")  # of a pipeline


def transformers(target: Any) -> tuple[list[nn.Module], Callable[[], Any] | None]:
    """The transformers of a pipeline, and where its scheduler is."""
    if isinstance(target, nn.Module):
        return [_not_compiled(_without_peft(target))], None
    found = [part for name in PARTS if isinstance(part := getattr(target, name, None), nn.Module)]
    if not found:
        raise ModelError(
            f"Expected a diffusers pipeline with a transformer, or a transformer; got {type(target).__name__}."
        )
    return [_not_compiled(_without_peft(part)) for part in found], lambda: getattr(target, "scheduler", None)


def _without_peft(transformer: nn.Module) -> nn.Module:
    """The transformer inside of peft's wrapper, which calls it with its LoRA in place."""
    inner = getattr(transformer, "get_base_model", None)
    return inner() if callable(inner) else transformer


def _not_compiled(transformer: nn.Module) -> nn.Module:
    if unwrap_module(transformer) is not transformer or transformer._compiled_call_impl is not None:
        raise ModelError(
            "The transformer is compiled as a whole, so that what runs can't change from step to step; "
            "compile its blocks instead (compile_repeated_blocks, or block.compile())."
        )
    return transformer


def same_columns(
    experts: Sequence[nn.Module], policy: Policy | None, granularity: Granularity = "block"
) -> tuple[Site, ...]:
    """The sites that the policy's columns mean in each of the transformers; all sites without a policy.

    Raises:
        PolicyError: a transformer has no such columns.
        ModelError: the transformers have other blocks than each other.
    """
    found = [_columns(expert, policy) if policy is not None else find_sites(expert, granularity) for expert in experts]
    if any(sites != found[0] for sites in found):
        raise ModelError("The transformers of this pipeline have different blocks; apply the policy to one of them.")
    return found[0]


def _columns(transformer: nn.Module, policy: Policy) -> tuple[Site, ...]:
    blocks = find_sites(transformer)
    name = type(transformer).__name__
    if not policy.sites:
        if policy.actions.shape[1] != len(blocks):
            raise PolicyError(
                f"The policy has {policy.actions.shape[1]} columns, {name} has {len(blocks)} blocks; "
                "make a policy for this model, or name its sites."
            )
        return blocks
    known = {site.name: site for site in blocks}
    if policy.sites[0] not in known:
        known |= {site.name: site for site in _branches(transformer)}
    missing = [site for site in policy.sites if site not in known]
    if missing:
        raise PolicyError(
            f"{name} has no block {missing[0]!r}; its {len(blocks)} blocks are {blocks[0].name} to {blocks[-1].name}."
        )
    columns = tuple(known[site] for site in policy.sites)
    if len({site.kind for site in columns}) > 1:
        raise PolicyError("The policy names blocks and branches of blocks; use one kind for all columns.")
    return columns


def readers(transformer: nn.Module, columns: tuple[Site, ...]) -> dict[int, int | None]:
    """The long skips of the model between columns: what reads each; ``None``: a block that is no column."""
    place = {site.name: index for index, site in enumerate(columns)}
    skips = long_skips(transformer, [site.name for site in find_sites(transformer)])
    return {place[read]: place.get(reader) for read, reader in skips.items() if read in place}


def _branches(transformer: nn.Module) -> tuple[Site, ...]:
    try:
        return find_sites(transformer, "branch")
    except ModelError:
        return ()


def check_free(transformer: nn.Module) -> None:
    if getattr(transformer, "is_cache_enabled", False):
        raise PolicyError("One of diffusers' caches is enabled on this transformer; call its disable_cache() first.")
    registry = vars(transformer).get("_diffusers_hook")
    if registry is not None and ROOT_HOOK in registry.hooks:
        raise PolicyError("This transformer already follows a policy; remove() that one first.")
