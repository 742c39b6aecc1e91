"""What steps of training take, whatever trains: one instrument for both sides.

Imports nothing but torch, since it runs in the environment of each peer.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook


class Enough(Exception):
    """All steps have been measured."""


class Watch:
    """Times of optimizer steps, and what they trained on.

    warm: steps that are not measured: they choose kernels and compile. steps: those that are.
    before: called with the model before the first forward pass, when the trainer has prepared it.
    """

    def __init__(self, warm: int, steps: int, before: Callable[[Any], None] | None = None) -> None:
        self._warm, self._stop, self._before = warm, warm + steps, before
        self.caller: Any = None
        """Whatever called the training step last."""
        self._reset()

    def _reset(self) -> None:
        self._times: list[float] = []
        self._tokens: list[int] = []
        self._read: list[int] = []
        self._pending = self._pending_read = 0
        #: Of each forward pass of the first step, its loss and what it read.
        self.losses: list[torch.Tensor] = []
        self.batches: list[dict[str, torch.Tensor]] = []

    def watched(self, training_step: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        """A Trainer's `training_step`, with what it trains on written down."""

        def step(*arguments: Any, **keywords: Any) -> torch.Tensor:
            given = [*arguments, *keywords.values()]
            self.caller = given[0]
            inputs = next(one for one in given if isinstance(one, Mapping) and "labels" in one)
            # What stands at the beginning of a row is predicted from nothing.
            self._pending += int((inputs["labels"][..., 1:] != -100).sum())
            self._pending_read += inputs["input_ids"].numel()
            beginning = not self._times
            if beginning:
                tensors = {k: v for k, v in inputs.items() if isinstance(v, torch.Tensor)}
                self.batches.append({k: v.cpu().clone() for k, v in tensors.items()})
            if beginning and self._before:
                model = next(one for one in given if isinstance(one, torch.nn.Module))
                self._before(model)
                self._before = None
            try:
                loss = training_step(*arguments, **keywords)
            except BaseException:
                # Where memory runs out, training may begin again with a smaller batch.
                self._reset()
                raise
            if beginning:
                # A captured pass writes its loss to the same place each time.
                self.losses.append(loss.detach().clone())
            return loss

        return step

    @contextmanager
    def running(self) -> Iterator[None]:
        """Training within it ends when all steps have been measured."""
        hook = register_optimizer_step_post_hook(lambda *arguments: self._stepped())
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        try:
            with suppress(Enough):
                yield
        finally:
            hook.remove()

    def _stepped(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self._times.append(time.perf_counter())
        self._tokens.append(self._pending)
        self._read.append(self._pending_read)
        self._pending = self._pending_read = 0
        if len(self._times) == self._stop:
            raise Enough

    def figures(self) -> dict[str, Any]:
        """Medians of the measured steps, and each of them.

        tokens_per_second: supervised tokens of a step, their mean, by the median of its seconds.
        read_per_second: the same of all tokens that the model computed, padding included.
        loss: of the first step, before anything has changed.
        """
        if len(self._times) < self._stop:
            raise RuntimeError(f"{len(self._times)} of {self._stop} steps were seen")
        pairs = zip(self._times[self._warm - 1 :], self._times[self._warm :], strict=False)
        seconds = [later - earlier for earlier, later in pairs]
        tokens, read = self._tokens[self._warm :], self._read[self._warm :]
        median = statistics.median(seconds)
        return {
            "step_seconds": round(median, 5),
            "tokens_per_step": round(statistics.mean(tokens), 1),
            "tokens_per_second": round(statistics.mean(tokens) / median, 1),
            "read_per_second": round(statistics.mean(read) / median, 1),
            "steps_per_second": round(1 / median, 3),
            "loss": sum(float(loss) for loss in self.losses),
            "peak_gb": peak_gb(),
            "all_seconds": [round(one, 5) for one in seconds],
            "all_tokens": tokens,
        }


def matmul_flops(size: int = 8192, times: int = 20) -> float | None:
    """Floating-point operations per second of a product of two bf16 matrices on the GPU, the best
    of so many; None on a CPU."""
    if not torch.cuda.is_available():
        return None
    one = torch.randn(size, size, device="cuda", dtype=torch.bfloat16)
    seconds = []
    for _ in range(times):
        torch.cuda.synchronize()
        began = time.perf_counter()
        one @ one
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds)


def peak_gb() -> float | None:
    """What torch allocated on the GPU at most since `reset`; None on a CPU."""
    if not torch.cuda.is_available():
        return None
    return round(torch.cuda.max_memory_allocated() / 1e9, 3)


def timed(run: Callable[[], Any]) -> tuple[Any, dict[str, Any]]:
    """(what it returns, its seconds and its peak of GPU memory)."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    result = run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result, {"seconds": round(time.perf_counter() - began, 4), "peak_gb": peak_gb()}


def timed_warm(run: Callable[[], Any], times: int = 3) -> tuple[Any, dict[str, Any]]:
    """(what it returns, the median of its seconds, each of them, and the largest peak of GPU
    memory), after a run that is not measured: it chooses kernels for all shapes."""
    run()
    runs = [timed(run) for _ in range(times)]
    costs = [cost for _, cost in runs]
    seconds = [cost["seconds"] for cost in costs]
    peak = max((cost["peak_gb"] for cost in costs if cost["peak_gb"] is not None), default=None)
    figures = {"seconds": statistics.median(seconds), "all_seconds": seconds, "peak_gb": peak}
    return runs[-1][0], figures


class Results:
    """What a process measured, in a file that is complete after each of them."""

    def __init__(self, path: str) -> None:
        self._path, self._ways = Path(path), {}

    def add(self, name: str, figures: Mapping[str, Any]) -> None:
        print(f"{name}: {_short(figures)}", flush=True)
        self._ways[name] = dict(figures)
        self._path.write_text(json.dumps(self._ways), encoding="utf-8")


def _short(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in figures.items() if isinstance(v, int | float | str)}
