"""The hooks through which a policy acts: one on the root of a transformer, one on each site."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from diffusers.hooks.hooks import CacheContext, ModelHook, StateManager
from diffusers.utils.torch_utils import unwrap_module
from torch import nn

from mddit_ui.core.errors import ModelError
from mddit_ui.core.policy import Action
from mddit_ui.engine.residuals import CARRYING, Residuals
from mddit_ui.engine.run import Call, Run
from mddit_ui.engine.streams import Streams, Watched, copies, guess, learn, watched
from mddit_ui.engine.tokens import by_residual_norm, known_ratio
from mddit_ui.models.routed_dit import RoutedBlock

TIMESTEP_NAMES = ("timestep", "timesteps", "t", "time", "sigma")


class Hook(ModelHook):
    """diffusers' hook, whose ``fn_ref`` is set when it is registered.

    ``compiled``: what ``module.compile()`` has put on the module. It is called from inside of the hook; were the hook
    inside of it, every row of the policy would be a graph of its own.
    """

    fn_ref: Any
    compiled: Callable[..., Any] | None = None

    def original(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        """The module as it is without the hook."""
        if self.compiled is None:
            return self.fn_ref.original_forward(*args, **kwargs)
        hooked = vars(module).pop("forward")
        try:
            return self.compiled(*args, **kwargs)
        finally:
            module.forward = hooked


class RootHook(Hook):
    """Knows the step of each call and the cache context it belongs to.

    Args:
        observe: called after every call.
        name: of the transformer among others in its pipeline; "" for the first.
    """

    _is_stateful = True

    def __init__(self, run: Run, observe: Callable[[Call], None] | None, name: str = "") -> None:
        super().__init__()
        self.run = run
        self.observe = observe
        self.name = name
        self.expert = len(run.experts)
        run.experts.append(self)
        carrying = CARRYING[run.policy.carry if run.policy else "residual"]
        self.states = StateManager(
            cast(Any, Residuals), init_args=(run.tally, run.broken, carrying, frozenset(run.readers))
        )
        self.parameters: tuple[str, ...] = ()

    def initialize_hook(self, module: nn.Module) -> nn.Module:
        self.parameters = tuple(inspect.signature(inspect.unwrap(type(unwrap_module(module)).forward)).parameters)[1:]
        return module

    def new_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        run = self.run
        context = self.states._context
        step, slot, begins = run.clock.tick(self._timestep(args, kwargs), context)
        if begins:
            run.begin()
        is_first = begins or step + 1 != run.steps
        run.enter(self.expert, step, f"{slot} of {self.name}" if self.name else slot, args, kwargs)
        run.current = self._residuals(slot, context)
        run.watch.start()
        try:
            output = self.fn_ref.original_forward(*args, **kwargs)
            if run.current.chain is not None:
                run.current.close()
        except BaseException:
            self.reset_state(module)
            raise
        finally:
            run.leave()
        run.watch.stop()
        if self.observe is not None:
            try:
                self.observe(Call(step, is_first, args, kwargs, output))
            except BaseException:
                self.reset_state(module)
                raise
        return output

    def _timestep(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        for name in TIMESTEP_NAMES:
            if name in kwargs:
                return kwargs[name]
            if name in self.parameters and self.parameters.index(name) < len(args):
                return args[self.parameters.index(name)]
        return None

    def _residuals(self, slot: str, context: CacheContext | None) -> Residuals:
        """The residuals of this call's context; calls without one are told apart by their place in the row."""
        self.states.set_context(CacheContext(slot))
        try:
            return self.states.get_state()
        finally:
            self.states.set_context(context)

    def forget(self) -> None:
        """Let go of the residuals of all contexts."""
        context = self.states._context
        self.states.reset()
        self.states.set_context(context)

    def reset_state(self, module: nn.Module) -> nn.Module:
        self.forget()
        self.run.clock.reset()
        return module


class BlockHook(Hook):
    """Computes, reuses or skips one block: one column of the policy."""

    def __init__(self, run: Run, index: int) -> None:
        super().__init__()
        self.run = run
        self.index = index
        self.guessed: Streams | None = None  # until the first computed call proves them

    def initialize_hook(self, module: nn.Module) -> nn.Module:
        self.run.routed |= isinstance(module, RoutedBlock)
        return module

    def new_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        run, index = self.run, self.index
        if run.plain:
            run.cells[index][Action.COMPUTE + 1] += 1
            return self.original(module, *args, **kwargs)
        residuals = run.current
        if residuals is None or not run.row:
            return self.original(module, *args, **kwargs)
        action, store, joined, last = run.row[index]
        if store:
            return self._store(module, args, kwargs, joined)
        if residuals.chain is not None:
            residuals.close()
        if action == Action.COMPUTE:
            return self._compute(module, args, kwargs)
        streams = run.streams.get(index) or self._guess(module, args, kwargs)
        inputs = streams.inputs(args, kwargs)
        if action == Action.CACHE:
            outputs = residuals.use(index, inputs, last)
            if outputs is None:
                run.filled += 1
                return self._compute(module, args, kwargs) if last else self._store(module, args, kwargs, False)
        else:
            outputs = inputs
        run.count(index, action)
        return streams.pack(outputs)

    def _compute(
        self, module: nn.Module, args: tuple, kwargs: dict[str, Any], before: dict[str, Any] | None = None
    ) -> Any:
        if self.index in self.run.streams:
            return self._on_tokens(module, args, kwargs)
        before = before or self._before(module, args, kwargs)
        output = self._on_tokens(module, args, kwargs)
        self.run.streams[self.index] = self._prove(module, args, kwargs, output, before)
        return output

    def _on_tokens(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Run the block on the share of its tokens that the policy gives it; without one, as the model has it."""
        run, index = self.run, self.index
        residuals = cast(Residuals, run.current)
        if run.chosen == "residual-norm" and run.ratios is not None:
            ratio = known_ratio(run.ratios[index], residuals.norms, index, args, kwargs)
            run.count(index, Action.COMPUTE, ratio)
            return by_residual_norm(partial(self.original, module), args, kwargs, ratio, residuals.norms, index)
        if not isinstance(module, RoutedBlock):
            run.count(index, Action.COMPUTE)
            return self.original(module, *args, **kwargs)
        ratio = float(module.ratio) if run.ratios is None else run.ratios[index]
        run.count(index, Action.COMPUTE, ratio)
        return self.original(module, *args, **{**kwargs, "keep": ratio})

    def _prove(self, module: nn.Module, args: tuple, kwargs: dict[str, Any], output: Any, before: dict) -> Streams:
        """The streams, from a real call; what cells before it went by must have been the same.

        Raises:
            ModelError: they can't be told, or were others.
        """
        name = self.run.sites[self.index].name
        try:
            proven = learn(module, args, kwargs, output, before)
        except ModelError as error:
            raise ModelError(f"{name}: {error}") from None
        guessed = self.guessed
        if guessed is not None and not guessed.agrees(proven):
            raise ModelError(
                f"{name} looked as if it returned {guessed}, but it returns {proven}; compute its first cell."
            )
        if not proven.mutates:
            self.run.harmless.add(type(module))
        return proven

    def _store(self, module: nn.Module, args: tuple, kwargs: dict[str, Any], joins: bool) -> Any:
        """Run the block and take its residual."""
        run, index = self.run, self.index
        residuals = cast(Residuals, run.current)
        streams = run.streams.get(index)
        handed_on = residuals.handed_on(index) if joins else ()
        before = self._before(module, args, kwargs) if streams is None or streams.mutates else None
        output = self._compute(module, args, kwargs, before)
        streams = run.streams[index]
        if streams.mutates and isinstance(before, Watched):
            raise ModelError(f"{run.sites[index].name} writes into its input, as others of its class don't.")
        inputs = streams.inputs(args, kwargs)
        joined = residuals.joins(index, inputs, handed_on) if joins else residuals.close()
        if before is not None:
            inputs = streams.inputs((), before)
        outputs = streams.outputs(output)
        residuals.after(index, inputs, outputs, joined)
        run.slots[run.slot].site_bytes[index] = sum(t.numel() * t.element_size() for t in outputs if t is not None)
        return output

    def _before(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments by name; copied, unless a block of this class was seen to leave them as they are."""
        seen = watched(module, args, kwargs) if type(module) in self.run.harmless else None
        return copies(module, args, kwargs) if seen is None else seen

    def _guess(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> Streams:
        """The streams of a block that has not been computed yet: from its source, else by a call on copies."""
        if self.guessed is None:
            self.guessed = guess(module)
        if self.guessed is None:
            before = copies(module, args, kwargs)
            output = self.original(module, **before)
            self.guessed = self._prove(module, (), before, output, before)
        return self.guessed
