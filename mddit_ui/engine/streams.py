"""What goes in and out of a transformer block: which argument each returned tensor continues."""

import ast
import inspect
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from mddit_ui.core.errors import ModelError

Tensors = tuple[torch.Tensor | None, ...]


@dataclass(frozen=True)
class Streams:
    """The contract of a block: element k of its output continues the argument ``names[k]``.

    Args:
        names: one parameter name for each returned element; ``None`` where the block returns ``None``.
        single: the block returns a tensor, not a sequence of them.
        parameters: names of the block's parameters, in order, to find positional arguments.
        mutates: the block writes into its input, so that a copy is needed to take a residual.
    """

    names: tuple[str | None, ...]
    single: bool
    parameters: tuple[str, ...]
    mutates: bool = False

    def inputs(self, args: tuple, kwargs: dict[str, Any]) -> Tensors:
        """The tensors that enter, in the order of the output."""
        return tuple(None if name is None else _argument(name, self.parameters, args, kwargs) for name in self.names)

    def outputs(self, output: Any) -> Tensors:
        return (output,) if self.single else tuple(output)

    def pack(self, tensors: Tensors) -> Any:
        """An output as the block would return it."""
        return tensors[0] if self.single else tensors

    def agrees(self, proven: "Streams") -> bool:
        """Whether cells that went by this mapping did right: a stream may end (``None``) in the proven one."""
        pairs = zip(self.names, proven.names, strict=False)
        return (
            self.single == proven.single
            and len(self.names) == len(proven.names)
            and all(name is None or name == guess for guess, name in pairs)
        )

    def __str__(self) -> str:
        names = [name or "None" for name in self.names]
        return names[0] if self.single else f"({', '.join(names)})"


class Watched(dict[str, Any]):
    """The arguments of a call by name, not copied: a tensor's version tells whether it was written to."""

    def __init__(self, named: dict[str, Any]) -> None:
        super().__init__(named)
        self.versions = {name: value._version for name, value in named.items() if isinstance(value, torch.Tensor)}


def copies(block: nn.Module, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name, their tensors cloned."""
    named = _named(block, args, kwargs)
    return {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in named.items()}


def watched(block: nn.Module, args: tuple, kwargs: dict[str, Any]) -> Watched | None:
    """The arguments of a call by name, watched; ``None`` where tensors have no versions (``torch.inference_mode``)."""
    named = _named(block, args, kwargs)
    if any(isinstance(value, torch.Tensor) and value.is_inference() for value in named.values()):
        return None
    return Watched(named)


def _named(block: nn.Module, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
    parameters, _ = contract(type(block))
    return {**dict(zip(parameters, args, strict=False)), **kwargs}


def learn(block: nn.Module, args: tuple, kwargs: dict[str, Any], output: Any, before: dict[str, Any]) -> Streams:
    """The streams of a block, inferred from its source and proven on one real call.

    A returned variable continues the parameter of its name; else the first parameter, if one thing is returned; else
    the parameter of the same shape that nothing else continues. Where several fit and no name tells, the numbers must:
    a residual block's output is nearer to the input that it continues than to the others.

    Args:
        before: the arguments from before the call, copied or watched, to see whether the block writes into them.

    Raises:
        ModelError: the output is not tensors, or it can't be told which inputs it continues; shows what was found.
    """
    kind = type(block)
    parameters, returns = contract(kind)
    single = isinstance(output, torch.Tensor)
    elements = (output,) if single else tuple(output) if isinstance(output, tuple | list) else None
    if elements is None or not all(e is None or isinstance(e, torch.Tensor) for e in elements):
        raise ModelError(f"{kind.__name__} returns {type(output).__name__}; a policy needs blocks that return tensors.")
    given = {
        name: value
        for name in parameters
        if isinstance(value := _argument(name, parameters, args, kwargs), torch.Tensor)
    }
    originals = {name: before[name] for name in given}
    for names in (*(r for r in reversed(returns) if len(r) == len(elements)), (None,) * len(elements)):
        chosen = _match(elements, names, originals)
        if chosen is not None:
            mutates = any(name and _written(name, given[name], before) for name in chosen)
            return Streams(chosen, single, parameters, mutates)
    shapes = ", ".join("None" if e is None else str(tuple(e.shape)) for e in elements)
    found = ", ".join(f"{name} {tuple(value.shape)}" for name, value in given.items())
    raise ModelError(
        f"Can't tell what {kind.__name__} continues: it returns {shapes}, its arguments are {found or 'no tensors'}. "
        "A policy needs blocks whose every output has one input of its shape that it continues."
    )


def guess(block: nn.Module) -> Streams | None:
    """The streams from the source alone, where it leaves no doubt; ``None`` where a call is needed to tell."""
    parameters, returns = contract(type(block))
    sure = {names for names in returns if all(name in parameters for name in names)}
    if len(returns) == 0 or len(set(returns)) != 1 or len(sure) != 1:
        return None
    names = next(iter(sure))
    return Streams(names, _returns_one(type(block)), parameters)


def contract(kind: Any) -> tuple[tuple[str, ...], tuple[tuple[str | None, ...], ...]]:
    """(parameter names, names of what each return statement returns) of a block class's forward."""
    returns = tuple(tuple(_name(e) for e in elements) for elements, _ in _returns(kind))
    return _parameters(kind), returns


@lru_cache(maxsize=256)
def _parameters(kind: Any) -> tuple[str, ...]:
    return tuple(inspect.signature(inspect.unwrap(kind.forward)).parameters)[1:]


def _match(
    elements: Sequence[torch.Tensor | None], names: Sequence[str | None], given: dict[str, torch.Tensor]
) -> tuple[str | None, ...] | None:
    """The parameter that each element continues; ``None`` if one of them can't be told."""
    chosen: dict[int, str] = {}
    for place, (element, name) in enumerate(zip(elements, names, strict=True)):
        if element is not None and name in given:
            if given[name].shape == element.shape and name not in chosen.values():
                chosen[place] = name
            elif len(elements) > 1:
                return None
    for place, element in enumerate(elements):
        if element is None or place in chosen:
            continue
        fitting = [p for p, value in given.items() if value.shape == element.shape and p not in chosen.values()]
        is_first = len(elements) == 1 and fitting[:1] == list(given)[:1]
        if not fitting or not (is_first or len(fitting) == 1 or _nearest(element, fitting, given) == fitting[0]):
            return None
        chosen[place] = fitting[0]
    return tuple(chosen.get(place) for place in range(len(elements)))


def _written(name: str, now: torch.Tensor, before: dict[str, Any]) -> bool:
    if isinstance(before, Watched):
        return before.versions[name] != now._version
    return not torch.equal(before[name], now)


def _nearest(element: torch.Tensor, fitting: Sequence[str], given: dict[str, torch.Tensor]) -> str:
    return min(fitting, key=lambda name: float((element.float() - given[name].float()).norm()))


def _argument(name: str, parameters: tuple[str, ...], args: tuple, kwargs: dict[str, Any]) -> Any:
    if name in kwargs:
        return kwargs[name]
    place = parameters.index(name)
    return args[place] if place < len(args) else None


def _name(node: ast.expr) -> str | None:
    return node.id if isinstance(node, ast.Name) else None


def _returns_one(kind: Any) -> bool:
    return all(single for _, single in _returns(kind))


@lru_cache(maxsize=256)
def _returns(kind: Any) -> tuple[tuple[tuple[ast.expr, ...], bool], ...]:
    """(elements, whether it is one thing) of each return statement of forward itself."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(kind.forward))))
    except (OSError, TypeError, SyntaxError):
        return ()
    found: list[tuple[tuple[ast.expr, ...], bool]] = []
    pending: list[ast.AST] = list(tree.body[0].body) if isinstance(tree.body[0], ast.FunctionDef) else []
    while pending:
        node = pending.pop(0)
        if isinstance(node, ast.Return) and node.value is not None:
            value = node.value
            found.append((tuple(value.elts), False) if isinstance(value, ast.Tuple) else ((value,), True))
        elif not isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            pending[:0] = ast.iter_child_nodes(node)
    return tuple(found)
