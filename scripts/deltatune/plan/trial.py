"""Ten steps of a training, on the machine that is there: what a step takes, and its memory.

The base has random weights of the right shapes, so nothing is downloaded; the training is
`deltatune.train`'s own, on rows of random tokens.
"""

from __future__ import annotations

import tempfile
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.optim.optimizer import register_optimizer_step_post_hook

from deltatune.core.hashing import fingerprint
from deltatune.models import device, oom, random_weights
from deltatune.models.batch import Batch
from deltatune.models.load import load_base
from deltatune.models.quantization import dequantize_small
from deltatune.plan.settings import Planned
from deltatune.train.settings import Base, Training, TrainSettings
from deltatune.train.step import Computed
from deltatune.train.train import train

STEPS = 10
#: Steps that are not timed: they choose kernels, compile, capture, and grow the pools of the
#: allocator.
WARM = 3


@dataclass(frozen=True)
class Trial:
    """What a step took."""

    seconds: float
    """Of one optimizer step, the mean of those after the first ones."""
    memory: int | None
    """Bytes, the peak that torch allocated on the GPU; None on a CPU."""
    device: str
    micro_batch_size: int
    """Rows of a forward pass, as they were chosen."""
    checkpointing: bool
    kernels: str
    """compiled or eager, as they were used."""
    launches: str
    """captured or single, as they were used."""


class Clock:
    """When each optimizer step of a training was done."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._optimizer: Callable[[], Any] = lambda: None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Steps within it are timed. Where training begins again, it has another optimizer, and
        the steps of the one before are forgotten."""
        hook = register_optimizer_step_post_hook(self._stepped)
        try:
            yield
        finally:
            hook.remove()

    def _stepped(self, optimizer: Any, arguments: Any, keywords: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if self._optimizer() is not optimizer:
            # Its state is memory, which must be free for the next one.
            self.times, self._optimizer = [], weakref.ref(optimizer)
        self.times.append(time.perf_counter())

    def seconds(self) -> float:
        """Of an optimizer step, the mean of those behind the warm ones."""
        times = self.times[WARM - 1 :]
        return (times[-1] - times[0]) / (len(times) - 1)


def rows(count: int, length: int, vocabulary: int, seed: int, documents: int = 1) -> Dataset:
    """Rows of random tokens, each of so many documents, with a loss on every token."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, vocabulary, (count, length), generator=generator, dtype=torch.int32)
    positions = torch.arange(length, dtype=torch.int32) % -(-length // documents)
    positions = positions.expand(count, -1)
    return Dataset.from_dict(
        {"input_ids": ids.numpy(), "labels": ids.numpy(), "position_ids": positions.numpy()}
    )


_bases: dict[str, tempfile.TemporaryDirectory] = {}


def _base(config: Mapping[str, Any], device: str) -> Path:
    """The folder of a base of random weights, written once for experiments that follow one another
    on it. It is deleted with the next one, or when the process ends."""
    key = fingerprint(config)
    if key not in _bases:
        for _, folder in [_bases.popitem() for _ in list(_bases)]:
            folder.cleanup()
        _bases[key] = tempfile.TemporaryDirectory(prefix="deltatune-trial-")
        random_weights.write(Path(_bases[key].name, "model"), config, device)
    return Path(_bases[key].name, "model")


def _one_process(training: Training, steps: int) -> tuple[Training, Batch]:
    """What one of the processes does in so many steps, and its rows."""
    batch = Batch(training.batch_size, training.gradient_accumulation).per_process(training.gpus)
    changed = {"epochs": None, "max_steps": steps, "evaluations": 1, "gpus": 1, "sharded": False}
    changed |= {"batch_size": batch.micro_batch_size}
    changed |= {"gradient_accumulation": batch.gradient_accumulation_steps}
    return training.model_copy(update=changed), batch


def _settings(experiment: Planned, training: Training) -> TrainSettings:
    name = "random weights"
    return TrainSettings(
        model=name,
        quantization=experiment.quantization,
        lora=experiment.lora,
        training=training,
        seed=0,
        base=Base(name=name, revision=None),
    )


def run(
    experiment: Planned,
    config: Mapping[str, Any],
    row_length: int,
    *,
    steps: int = STEPS,
    computed: Computed | None = None,
    say: Callable[[str], None] = print,
) -> Trial | None:
    """Train so many steps of an experiment. None for GPTQ, which random weights cannot stand for.

    config: of the base's config.json. computed: how the whole run will be; where it is trained on
    a CPU here, it is chosen for these steps. Raises what training raises.
    """
    if experiment.quantization == "gptq":
        return None
    training, batch = _one_process(experiment.training, steps)
    machine = device.prepare(0, training.threads, training.precision)
    on_gpu = machine.device != "cpu"
    with tempfile.TemporaryDirectory(prefix="deltatune-trial-") as temporary:
        folder = Path(temporary)
        say(f"trial: {experiment.experiment}, {steps} steps on {machine.device}")
        # Of what the trial before this one has left, nothing is to be measured.
        oom.release()
        base = _base(config, machine.device)
        model = load_base(base, experiment.quantization, machine)
        dequantize_small(model, machine)
        clock = Clock()
        if on_gpu:
            # Loading holds a file in 16 bits for a moment.
            torch.cuda.reset_peak_memory_stats()
        vocabulary = model.config.get_text_config().vocab_size
        # Packed rows need a mask, which the memory of the plan has too.
        documents = 2 if experiment.task.packing else 1
        with clock.running():
            figures = train(
                model,
                rows(steps * batch.rows, row_length, vocabulary, 1, documents),
                rows(batch.rows, row_length, vocabulary, 2, documents),
                _settings(experiment, training),
                machine,
                output=folder / "adapter",
                scratch=folder / "trainer",
                computed=computed if on_gpu else None,
                progress=lambda text: None,
                say=say,
            ).figures
        return Trial(
            clock.seconds(),
            torch.cuda.max_memory_allocated() if on_gpu else None,
            torch.cuda.get_device_name(0) if on_gpu else "CPU",
            figures["batch_size_used"],
            figures["activation_checkpointing_used"],
            figures["kernels_used"],
            figures["launches_used"],
        )
