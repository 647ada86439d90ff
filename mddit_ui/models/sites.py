"""Find the grid columns of any diffusion transformer: its blocks, or the branches inside them."""

import inspect
import re
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any, Literal

from torch import nn

from mddit_ui.core.errors import ModelError

Granularity = Literal["block", "branch"]
BRANCHES = ("attn", "attn1", "attn2", "ff", "ffn", "ff_context")  # names of residual branches in diffusers' blocks
_BLOCK_NAME = re.compile(r"Block|Layer(?!Norm)")


@dataclass(frozen=True)
class Site:
    """One column of the grid.

    Args:
        name: diffusers' dotted module name, for example "transformer_blocks.3" or "transformer_blocks.3.attn1".
        kind: "block": its output replaces its input; "branch": its output is added to the block's stream.
        block_class: class name of the module, for people.
    """

    name: str
    kind: Granularity
    block_class: str


def find_sites(transformer: nn.Module, granularity: Granularity = "block") -> tuple[Site, ...]:
    """The columns of a transformer in the order in which its forward runs them.

    A block is a member of a ``ModuleList`` (of the root, or of a ``ModuleDict`` of the root) whose classes call
    themselves blocks or layers. The lists are ordered by where the source of the root's forward first names them.

    Raises:
        ModelError: no blocks, or no branches at this granularity.
    """
    names = tuple(chain.from_iterable(_in_order(transformer, _block_lists(transformer))))
    if not names:
        raise ModelError(f"{type(transformer).__name__} has no list of transformer blocks that a policy could act on.")
    blocks = tuple(_site(transformer, name, "block") for name in names)
    if granularity == "block":
        return blocks
    branches = tuple(
        _site(transformer, f"{block.name}.{branch}", "branch")
        for block in blocks
        for branch in _branches(transformer.get_submodule(block.name))
    )
    if not branches:
        raise ModelError(f"The blocks of {type(transformer).__name__} have no branches named {', '.join(BRANCHES)}.")
    return branches


def _site(transformer: nn.Module, name: str, kind: Granularity) -> Site:
    return Site(name, kind, type(transformer.get_submodule(name)).__name__)


def _block_lists(transformer: nn.Module) -> dict[str, list[str]]:
    """Name of each list of blocks -> dotted names of its blocks, in definition order."""
    lists = {}
    for name, child in transformer.named_children():
        found = {name: child} if isinstance(child, nn.ModuleList) else {}
        if isinstance(child, nn.ModuleDict):
            found = {f"{name}.{key}": value for key, value in child.items() if isinstance(value, nn.ModuleList)}
        for path, modules in found.items():
            if len(modules) and all(_is_block(module) for module in modules):
                lists[path] = [f"{path}.{index}" for index in range(len(modules))]
    return lists


def _is_block(module: nn.Module) -> bool:
    kind = type(module)
    return (
        _BLOCK_NAME.search(kind.__name__) is not None
        and not kind.__module__.startswith("torch.")
        and any(isinstance(part, nn.Linear) for part in module.modules())
    )


def _branches(block: nn.Module) -> list[str]:
    """Names of a block's branches, in the order in which its forward names them."""
    source = "".join(_source(kind) for kind in type(block).__mro__ if "forward" in vars(kind))
    there = [name for name in BRANCHES if isinstance(getattr(block, name, None), nn.Module)]
    return sorted((name for name in there if f"self.{name}(" in source), key=lambda name: source.find(f"self.{name}("))


def _in_order(transformer: nn.Module, lists: dict[str, list[str]]) -> list[list[str]]:
    """The lists in execution order; two lists that forward walks with ``zip`` are interleaved."""
    if len(lists) < 2:
        return list(lists.values())
    source = _forward_source(transformer)
    first_use = {path: source.find(f"self.{path.split('.')[0]}") for path in lists}
    ordered = sorted(lists, key=lambda path: (first_use[path] < 0, first_use[path]))
    zipped = re.search(r"zip\(\s*self\.(\w+),\s*self\.(\w+)", source)
    if zipped and all(name in lists for name in zipped.groups()):
        pair = [lists[name] for name in zipped.groups()]
        woven = [name for names in zip_longest(*pair) for name in names if name is not None]
        place = ordered.index(zipped[1])
        rest = [lists[path] for path in ordered if path not in zipped.groups()]
        return [*rest[:place], woven, *rest[place:]]
    return [lists[path] for path in ordered]


def _forward_source(transformer: nn.Module) -> str:
    return _source(type(transformer))


def _source(kind: Any) -> str:
    try:
        return inspect.getsource(kind.forward)
    except (OSError, TypeError):
        return ""
