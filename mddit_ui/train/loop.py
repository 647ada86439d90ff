"""The training loop that all models share: clock-driven schedule, averaged weights, checkpoints, log lines.

A checkpoint is `state.safetensors` (weights, averages, optimizer moments) beside `state.json` (step, seconds). All
randomness of step n comes from (seed, n), so a resumed run and an uninterrupted one see the same data.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from diffusers.models.attention import BasicTransformerBlock
from safetensors.torch import load_file, save_file
from torch import nn

from mddit_ui.train.optim import set_rate


@dataclass(frozen=True)
class Schedule:
    """When a run ends and how its learning rate moves: up, flat, then down to zero in a straight line."""

    steps: int | None = None  # ends after so many steps
    minutes: float | None = None  # or after so much training time, whichever comes first
    warmup: int = 100  # steps
    flat: float = 0.4  # share of the run before the rate falls
    save_every: float = 120.0  # seconds
    log_every: int = 50  # steps
    average: float = 0.999  # of the weights' moving average
    compiled: bool = False  # the transformer's blocks

    @classmethod
    def of(cls, args: argparse.Namespace, **more: Any) -> Schedule:
        """What `add_schedule_arguments` asked for, and what the script itself decides."""
        return cls(steps=args.steps, minutes=args.minutes, compiled=args.compile, **more)

    def progress(self, step: int, seconds: float) -> float:
        by_steps = step / self.steps if self.steps else 0.0
        by_clock = seconds / (60 * self.minutes) if self.minutes else 0.0
        return max(by_steps, by_clock)

    def factor(self, step: int, seconds: float) -> float:
        fall = (1 - self.progress(step, seconds)) / (1 - self.flat)
        return max(0.0, min(1.0, (step + 1) / self.warmup, fall))


def add_schedule_arguments(parser: argparse.ArgumentParser, minutes: float) -> None:
    parser.add_argument("--minutes", type=float, default=minutes, help="training time; the learning rate ends with it")
    parser.add_argument("--steps", type=int, default=None, help="end after so many steps at the latest")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads; 1 is best beside other processes")
    parser.add_argument("--compile", action="store_true", help="a fifth less time on a CPU; needs a C++ compiler")
    parser.add_argument("--seed", type=int, default=0)


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast() -> torch.autocast:
    return torch.autocast(device().type, torch.bfloat16)


def rank() -> int:
    """Number of this process under torchrun, 0 alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def join_group() -> None:
    """Under torchrun, train as one with the other processes: each has its own data, gradients are averaged."""
    if "WORLD_SIZE" in os.environ:
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


def step_rng(seed: int, step: int) -> np.random.Generator:
    """The randomness of one step in this process; torch is seeded from it as well."""
    rng = np.random.default_rng((seed, step, rank()))
    torch.manual_seed(int(rng.integers(2**31)))
    return rng


class Trainer:
    """A model with its averaged copy, its optimizers, and a folder to resume from.

    `model` holds everything that is trained, heads for training only included; `average` is what to evaluate.
    """

    def __init__(self, model: nn.Module, made: list[torch.optim.Optimizer], folder: Path, schedule: Schedule):
        self.model, self.made, self.folder, self.schedule = model, made, folder, schedule
        self.average = copy.deepcopy(model).eval().requires_grad_(False)
        if schedule.compiled:
            for block in model.modules():
                if isinstance(block, BasicTransformerBlock):
                    block.compile(dynamic=True)
        self.step, self.seconds = 0, 0.0

    def run(self, loss_of: Callable[[int], dict[str, torch.Tensor]], report: Callable[[], str] | None = None) -> None:
        """Train until the schedule ends. `loss_of(step)` gives named losses, "loss" is the one descended."""
        self.load()
        self.model.train()
        asked: list[int] = []  # to end early: the step is finished and saved
        before = signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
        stopped = False
        started, saved, lines = time.monotonic() - self.seconds, time.monotonic(), 0
        sums: dict[str, float] = {}
        while self.schedule.progress(self.step, self.seconds) < 1 and not stopped:
            losses = loss_of(self.step)
            losses["loss"].backward()
            if dist.is_initialized():
                self._share_gradients()
            set_rate(self.made, self.schedule.factor(self.step, self.seconds))
            for optimizer in self.made:
                optimizer.step()
                optimizer.zero_grad()
            self._update_average()
            self.step += 1
            self.seconds, stopped = self._agree(time.monotonic() - started, bool(asked))
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            lines += 1
            if self.step % self.schedule.log_every == 0 and rank() == 0:
                self._log({name: value / lines for name, value in sums.items()})
                sums, lines = {}, 0
            if rank() == 0 and time.monotonic() - saved > self.schedule.save_every:
                self.save()
                if report:
                    print(report(), flush=True)
                saved = time.monotonic()
        signal.signal(signal.SIGTERM, before)
        if rank() == 0:
            self.save()

    def _share_gradients(self) -> None:
        """Replace every gradient by its mean over the processes."""
        gradients = [param.grad for param in self.model.parameters() if param.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def _agree(self, seconds: float, stopped: bool) -> tuple[float, bool]:
        """The first process's clock and wish to end: all must end at the same step."""
        if dist.is_initialized():
            shared = torch.tensor([seconds, stopped], dtype=torch.float64, device=device())
            dist.broadcast(shared, 0)
            return float(shared[0]), bool(shared[1])
        return seconds, stopped

    def _update_average(self) -> None:
        # A short memory at first: the start of a run is not worth remembering.
        weight = 1 - min(self.schedule.average, (self.step + 1) / (self.step + 10))
        ours, theirs = _floats(self.average), _floats(self.model)
        torch._foreach_lerp_(ours, theirs, weight)
        for mine, its in zip(self.average.buffers(), self.model.buffers(), strict=True):
            if not mine.is_floating_point():
                mine.copy_(its)

    def _log(self, means: dict[str, float]) -> None:
        done = self.schedule.progress(self.step, self.seconds)
        left = self.seconds * (1 - done) / max(done, 1e-9) / 60
        values = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
        print(f"step {self.step}  {self.seconds / 60:.1f} min, {left:.1f} left  {values}", flush=True)

    def save(self) -> None:
        tensors = {f"model/{key}": value for key, value in self.model.state_dict().items()}
        tensors |= {f"average/{key}": value for key, value in self.average.state_dict().items()}
        for number, optimizer in enumerate(self.made):
            for index, state in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer/{number}/{index}/{key}": torch.as_tensor(value) for key, value in state.items()}
        with replaced_folder(self.folder) as fresh:
            save_file({key: value.detach().contiguous().clone() for key, value in tensors.items()},
                      fresh / "state.safetensors")  # fmt: skip
            (fresh / "state.json").write_text(json.dumps({"step": self.step, "seconds": self.seconds}))

    def load(self) -> None:
        """Go on from the folder's checkpoint, if there is one."""
        path = self.folder / "state.safetensors"
        if not path.exists():
            return
        tensors = load_file(path)
        self.model.load_state_dict(_under(tensors, "model/"))
        self.average.load_state_dict(_under(tensors, "average/"))
        for number, optimizer in enumerate(self.made):
            state: dict[int, dict[str, torch.Tensor]] = {}
            for key, value in _under(tensors, f"optimizer/{number}/").items():
                index, name = key.split("/")
                state.setdefault(int(index), {})[name] = value
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        at = json.loads((self.folder / "state.json").read_text())
        self.step, self.seconds = at["step"], at["seconds"]
        print(f"resumed {self.folder} at step {self.step}, {self.seconds / 60:.1f} min", flush=True)


def _floats(model: nn.Module) -> list[torch.Tensor]:
    return [value for value in model.state_dict().values() if value.is_floating_point()]


def _under(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


class replaced_folder:
    """Write a folder beside its place, then put it there in one rename: a reader never sees half of it."""

    def __init__(self, target: Path):
        self.target = target
        self.fresh = target.with_name(f".{target.name}.{os.getpid()}.new")

    def __enter__(self) -> Path:
        shutil.rmtree(self.fresh, ignore_errors=True)
        self.fresh.mkdir(parents=True)
        return self.fresh

    def __exit__(self, kind, error, trace) -> None:
        if error:
            shutil.rmtree(self.fresh, ignore_errors=True)
            return
        for path in self.fresh.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)  # safetensors writes files only their owner can read
        old = self.target.with_name(f".{self.target.name}.{os.getpid()}.old")
        if self.target.exists():
            self.target.rename(old)
        self.fresh.rename(self.target)
        shutil.rmtree(old, ignore_errors=True)
