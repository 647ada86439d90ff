"""Which step is it: rows of the policy from what a pipeline tells, or from what can be seen."""

from collections.abc import Callable
from typing import Any

import torch

from mddit_ui.core.errors import PolicyError


class StepClock:
    """Says for every call of the transformer which model evaluation (row) it belongs to, and which call of that row.

    Sources, best first: the step index of diffusers' cache context; the scheduler of the pipeline (its order of
    timesteps, and a new table of timesteps at each run); changes of the timestep argument; counting calls.

    One evaluation may take several calls (guidance in two calls). Their number is that of the first row, whose timestep
    no sampler repeats; later equal timesteps beyond that number are new rows (Heun, KDPM2, PNDM).

    Args:
        rows: steps of the policy; ``None`` for any number.
        scheduler: gives the pipeline's scheduler at the time of asking; ``None`` when only a transformer is known.
    """

    def __init__(self, rows: int | None, scheduler: Callable[[], Any] | None = None) -> None:
        self.rows = rows
        self.scheduler = scheduler
        self.timesteps: torch.Tensor | None = None  # the scheduler's table of this run
        self.values: list[float] = []  # the same
        self.reset()

    def reset(self) -> None:
        """The next call begins a run."""
        self.step = -1
        self.value: float | None = None
        self.calls: list[str] = []  # slots of this row so far
        self.calls_a_row = 0  # 0: the first row is not over
        self.direction = 0.0

    def tick(self, timestep: Any, context: Any = None) -> tuple[int, str, bool]:
        """(row, slot, whether a run begins) of this call.

        Args:
            timestep: what the transformer got, tensor or number; ``None`` if it takes none.
            context: diffusers' ``CacheContext`` of the call, if the pipeline sets one.

        Raises:
            PolicyError: the run has more (or, where the scheduler tells, other) steps than the policy.
        """
        begins = self._new_schedule() or self.step < 0
        value = self._told(timestep)
        name = None if context is None else context.name
        if begins:
            self.reset()
        if context is not None and context.step_index is not None:
            begins = self._to(int(context.step_index)) or begins
        elif begins:
            self._advance(self._first_row(value))
        elif self._is_next_row(value, name):
            if self._turns_back(value):
                self.reset()
                begins = True
                self._advance(self._first_row(value))
            else:
                self._advance(self.step + 1)
                if self.value is not None and value is not None and value != self.value:
                    self.direction = value - self.value
        self.value = value
        slot = self._slot(name)
        self.calls.append(slot)
        return self.step, slot, begins

    def _new_schedule(self) -> bool:
        """Whether the scheduler has made a new table of timesteps; checks its length against the policy."""
        scheduler = self.scheduler() if self.scheduler else None
        if (
            scheduler is None or getattr(scheduler, "num_inference_steps", None) is None
        ):  # its table is not that of a run
            return False
        table = scheduler.timesteps
        if table is self.timesteps:
            return False
        self.timesteps = table
        self.values = table.tolist()
        if self.rows is not None and len(table) != self.rows:
            raise PolicyError(
                f"The policy has {self.rows} steps, this run makes {len(table)} model evaluations; "
                f"use policy.resample({len(table)}), or run with the number of steps that it was made for."
            )
        return True

    def _told(self, timestep: Any) -> float | None:
        """The timestep as a number. One that lies in the scheduler's table is looked up: no GPU is waited for."""
        if self.timesteps is None or not isinstance(timestep, torch.Tensor):
            return _value(timestep)
        table = self.timesteps
        is_inside = (
            timestep.dtype == table.dtype
            and timestep.untyped_storage().data_ptr() == table.untyped_storage().data_ptr()
            and (timestep.numel() == 1 or not any(timestep.stride()))
            and table.is_contiguous()
        )
        row = timestep.storage_offset() - table.storage_offset()
        return self.values[row] if is_inside and 0 <= row < len(self.values) else _value(timestep)

    def _first_row(self, value: float | None) -> int:
        """0, or where an image-to-image run enters the schedule."""
        scheduler = self.scheduler() if self.scheduler else None
        begin = getattr(scheduler, "begin_index", None)
        if begin is not None or self.timesteps is None or value is None:
            return int(begin or 0)
        # Some pipelines don't tell their scheduler; their transformers get the scheduler's timestep as it is.
        rows = (self.timesteps == value).nonzero()
        return int(rows[0]) if len(rows) and value > 1 else 0

    def _is_next_row(self, value: float | None, name: str | None) -> bool:
        if value is not None and value != self.value:
            return True
        if self.calls_a_row == 0 and value is not None:  # the first row: an equal timestep is another call of it
            return False
        complete = name in self.calls if name is not None else self.calls_a_row <= len(self.calls)
        return complete and self._repeats()

    def _repeats(self) -> bool:
        """Whether the next row has the same timestep as this one."""
        if self.timesteps is None:
            return True
        following = self.step + 1
        return following < len(self.timesteps) and bool(self.timesteps[following] == self.timesteps[self.step])

    def _turns_back(self, value: float | None) -> bool:
        """Whether the timestep runs against its direction: that is a new run."""
        if value is None or self.value is None or value == self.value:
            return False
        return (value - self.value) * self.direction < 0 or self.rows == 1

    def _to(self, step: int) -> bool:
        begins = step < self.step
        if begins:
            self.reset()
        if step != self.step:
            self._advance(step)
        return begins

    def _advance(self, step: int) -> None:
        if self.step >= 0 and self.calls_a_row == 0:
            self.calls_a_row = len(self.calls)
        elif self.step >= 0 and self.timesteps is None and len(self.calls) < self.calls_a_row:
            self.reset()
            raise PolicyError(
                f"Step {step - 1} had fewer calls of the transformer than step 0: a run before this one was cut off in "
                "its first step. Run again, or apply the policy to the pipeline, whose scheduler tells runs apart."
            )
        if self.rows is not None and step >= self.rows:
            self.reset()
            raise PolicyError(
                f"The policy has {self.rows} steps, but the run goes on with step {step + 1}; "
                "use policy.resample(number of model evaluations) for longer runs."
            )
        self.step = step
        self.calls = []

    def _slot(self, name: str | None) -> str:
        slot = name if name is not None else f"call {len(self.calls)}"
        again = sum(other.split("#")[0] == slot for other in self.calls)
        return f"{slot}#{again + 1}" if again else slot


def _value(timestep: Any) -> float | None:
    """One number that changes whenever any timestep of the batch (or of the tokens) changes."""
    if timestep is None:
        return None
    if isinstance(timestep, torch.Tensor):
        wide = torch.float32 if timestep.device.type == "mps" else torch.float64
        return float(timestep.detach().to(wide).mean())
    return float(timestep)
