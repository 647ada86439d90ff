"""The residuals that a run holds: stored, joined with their neighbours, freed after their last use."""

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

from mddit_ui.core.policy import Carry
from mddit_ui.engine.streams import Tensors


class Tally:
    """Bytes of residuals held now and at the most, over all contexts of a run."""

    def __init__(self) -> None:
        self.held_bytes = 0
        self.peak_bytes = 0

    def add(self, size: int) -> None:
        self.held_bytes += size
        self.peak_bytes = max(self.peak_bytes, self.held_bytes)


@dataclass
class Residual:
    """Output of the last of its sites minus input of the first; the first one adds it, the others add nothing.

    Where outputs are carried: the output of the last. The first one hands it out, the others hand it on.
    """

    first: int
    values: Tensors
    dtypes: tuple[torch.dtype | None, ...]

    @property
    def size_bytes(self) -> int:
        return sum(value.numel() * value.element_size() for value in self.values if value is not None)


@dataclass
class _Chain:
    """Neighbouring sites of this step that may keep one residual: from ``residual.first`` to ``last``."""

    last: int
    inputs: Tensors  # of the first site
    residual: Residual  # up to the last site
    shorter: Residual | None  # up to the site before the last
    outputs: "list[_Seen]"  # what the last site returned
    inner: "list[_Seen]"  # what the site before the last returned


class _Seen:
    """A tensor that was handed on, watched without being held."""

    def __init__(self, tensor: torch.Tensor | None) -> None:
        self.tensor = None if tensor is None else weakref.ref(tensor)
        self.version = None if tensor is None else _version(tensor)

    def unchanged(self) -> torch.Tensor | None:
        """The tensor, if it is still there and was not written to."""
        tensor = None if self.tensor is None else self.tensor()
        return tensor if tensor is not None and self.version == _version(tensor) is not None else None

    @property
    def is_gone(self) -> bool:
        return self.tensor is None or self.tensor() is None


@dataclass
class Residuals:
    """What one cache context (one set of calls, such as "cond") holds between its steps.

    Args:
        tally: counts the bytes, over all contexts.
        broken: sites that could not be joined with the one before them, over all contexts.
        carrying: how a residual is taken and given back.
        read: sites whose output a long skip branch reads later; the plan joins them only where nobody misses it.
    """

    tally: Tally
    broken: set[int]
    carrying: "Carrying"
    read: frozenset[int]
    held: dict[int, Residual] = field(default_factory=dict)
    chain: _Chain | None = None
    norms: dict[int, torch.Tensor] = field(default_factory=dict)  # of engine.tokens' experiment

    def reset(self) -> None:
        """Let go of everything."""
        for site, residual in self.held.items():
            if site == residual.first:
                self.tally.add(-residual.size_bytes)
        self.held.clear()
        self.norms.clear()
        self.chain = None

    def use(self, site: int, inputs: Tensors, last: bool) -> Tensors | None:
        """The output of a CACHE cell; ``None`` if this context never stored a residual for it."""
        residual = self.take(site, last)
        if residual is None:
            return None
        return inputs if site != residual.first else self.carrying.give(inputs, residual, last)

    def take(self, site: int, last: bool) -> Residual | None:
        """The residual of a site; let go of it if this is its last use."""
        residual = self.held.get(site)
        if residual is not None and last:
            del self.held[site]
            if site == residual.first:
                self.tally.add(-residual.size_bytes)
        return residual

    def keep(self, residual: Residual, last: int) -> None:
        """Hold the residual of the sites from its first to ``last``."""
        for site in range(residual.first, last + 1):
            self.held[site] = residual
        self.tally.add(residual.size_bytes)

    def handed_on(self, site: int) -> Tensors:
        """What the site before this one returned, if nothing has written to it since; asked before the site runs."""
        if self.chain is None or self.chain.last != site - 1:
            return ()
        return tuple(seen.unchanged() for seen in self.chain.outputs)

    def joins(self, site: int, inputs: Tensors, handed_on: Tensors) -> bool:
        """Whether the site continues the chain of its neighbours; the chain is closed if not."""
        same = len(handed_on) == len(inputs) and all(one is two for one, two in zip(handed_on, inputs, strict=True))
        if same and self._check():
            return True
        self.broken.add(site)
        return self.close()

    def after(self, site: int, inputs: Tensors, outputs: Tensors, joined: bool) -> None:
        """Take the residual of a site that was just computed."""
        chain = self.chain if joined else None
        start = chain.inputs if chain else inputs
        dtypes = tuple(None if tensor is None else tensor.dtype for tensor in outputs)
        residual = Residual(chain.residual.first if chain else site, self.carrying.take(outputs, start), dtypes)
        self.chain = _Chain(
            last=site,
            inputs=start,
            residual=residual,
            shorter=chain.residual if chain else None,
            outputs=[_Seen(tensor) for tensor in outputs],
            inner=chain.outputs if chain else [],
        )

    def close(self) -> bool:
        """The chain is over: keep its residual. False: nothing to join with any more."""
        if self._check() and self.chain is not None:
            self.keep(self.chain.residual, self.chain.last)
        self.chain = None
        return False

    def _check(self) -> bool:
        """Parts the chain before its last site if something else still reads what lies between; whether it goes on.

        A long skip connection, for example, reads the output of a block much later; were it one with the next block,
        that output would be another one.
        """
        chain = self.chain
        if chain is None or chain.shorter is None or chain.last - 1 in self.read:
            return chain is not None
        if all(seen.is_gone for seen in chain.inner):
            return True
        self.broken.add(chain.last)
        self.keep(chain.shorter, chain.last - 1)
        values = self.carrying.rest(chain.residual.values, chain.shorter.values)
        rest = Residual(chain.last, values, chain.residual.dtypes)
        between = tuple(seen.unchanged() for seen in chain.inner)
        if any(tensor is None for tensor in between):
            self.keep(rest, chain.last)
            self.chain = None
            return False
        self.chain = _Chain(chain.last, between, rest, None, chain.outputs, [])
        return True


@dataclass(frozen=True)
class Carrying:
    """What is kept of a run of sites, and what it gives.

    Args:
        take: (outputs of the last, inputs of the first) -> what is kept.
        give: (inputs of the first, what is kept, whether for the last time) -> outputs of the last.
        rest: (what would be kept of the run, what is kept of all but its last site) -> what is kept of that last one.
    """

    take: Callable[[Tensors, Tensors], Tensors]
    give: Callable[[Tensors, Residual, bool], Tensors]
    rest: Callable[[Tensors, Tensors], Tensors]


def _add(inputs: Tensors, residual: Residual, last: bool) -> Tensors:
    return tuple(
        None if tensor is None or value is None or dtype is None else (tensor + value).to(dtype)
        for tensor, value, dtype in zip(inputs, residual.values, residual.dtypes, strict=True)
    )


def _subtract(left: Tensors, right: Tensors) -> Tensors:
    return tuple(None if one is None or two is None else one - two for one, two in zip(left, right, strict=True))


def _copy(outputs: Tensors, inputs: Tensors) -> Tensors:
    """A copy, since what comes after the block may write into its output."""
    return tuple(None if tensor is None else tensor.clone() for tensor in outputs)


def _hand_out(inputs: Tensors, residual: Residual, last: bool) -> Tensors:
    return residual.values if last else _copy(residual.values, inputs)


CARRYING: Mapping[Carry, Carrying] = {
    "residual": Carrying(_subtract, _add, rest=_subtract),
    "output": Carrying(_copy, _hand_out, rest=lambda outputs, shorter: outputs),
}


def _version(tensor: torch.Tensor) -> int | None:
    """How often it was written to; ``None`` where torch does not say (inference mode)."""
    return None if tensor.is_inference() else tensor._version
