"""The hook of a residual branch inside a block: its output is itself the residual."""

from typing import Any

import torch
from torch import nn

from mddit_ui.core.errors import ModelError
from mddit_ui.core.policy import Action
from mddit_ui.engine.acting import Hook
from mddit_ui.engine.residuals import Residual
from mddit_ui.engine.run import Run
from mddit_ui.engine.streams import Streams, Tensors


class BranchHook(Hook):
    """Computes, reuses or skips an attention or feed-forward.

    A reused output is scaled by the gate of the step that reuses it, as in SmoothCache (arXiv 2411.10510); a skipped
    one is zero.
    """

    def __init__(self, run: Run, index: int) -> None:
        super().__init__()
        self.run = run
        self.index = index
        self.shapes: dict[str, Tensors] = {}  # for each call of a step: its last output, on the meta device
        self.device: torch.device | None = None

    def new_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        run, index = self.run, self.index
        residuals = run.current
        if residuals is None or not run.row:
            return self.original(module, *args, **kwargs)
        action, store, _, last = run.row[index]
        if action == Action.SKIP:
            run.count(index, Action.SKIP)
            if run.slot not in self.shapes:
                self._outputs(module, self.original(module, *args, **kwargs))
            return self._pack(tuple(self._zeros(shape) for shape in self.shapes[run.slot]))
        if action == Action.CACHE:
            kept = residuals.take(index, last)
            if kept is not None:
                run.count(index, Action.CACHE)
                return self._pack(kept.values)
            run.filled += 1
        run.count(index, Action.COMPUTE)
        output = self.original(module, *args, **kwargs)
        outputs = self._outputs(module, output)
        if store or (action == Action.CACHE and not last):
            dtypes = tuple(None if tensor is None else tensor.dtype for tensor in outputs)
            # A copy: the block may scale what it gets in place.
            copied = tuple(None if tensor is None else tensor.clone() for tensor in outputs)
            residual = Residual(index, copied, dtypes)
            residuals.keep(residual, index)
            run.slots[run.slot].site_bytes[index] = residual.size_bytes
        return output

    def _outputs(self, module: nn.Module, output: Any) -> Tensors:
        """The output as a tuple; its form is remembered."""
        single = isinstance(output, torch.Tensor)
        outputs = (output,) if single else tuple(output) if isinstance(output, tuple | list) else ()
        if not outputs or not all(tensor is None or isinstance(tensor, torch.Tensor) for tensor in outputs):
            name = self.run.sites[self.index].name
            raise ModelError(f"{name} returns {type(output).__name__}; a branch must return tensors. Use block sites.")
        self.run.streams[self.index] = Streams(("added",) * len(outputs), single, ())
        self.shapes[self.run.slot] = tuple(None if tensor is None else tensor.to("meta") for tensor in outputs)
        self.device = next(tensor.device for tensor in outputs if tensor is not None)
        return outputs

    def _zeros(self, shape: torch.Tensor | None) -> torch.Tensor | None:
        return None if shape is None else torch.zeros(shape.shape, dtype=shape.dtype, device=self.device)

    def _pack(self, outputs: Tensors) -> Any:
        """As the module would return it; copies, since the block may write into what it gets."""
        copied = tuple(None if tensor is None else tensor.clone() for tensor in outputs)
        return self.run.streams[self.index].pack(copied)
