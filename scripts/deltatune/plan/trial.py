"""Ten steps of a training, on the machine that is there: what a step takes, and its memory.

The base has random weights of the right shapes, so nothing is downloaded; the training is
`deltatune.train`'s own, on rows of random tokens.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset

from deltatune.models import device, random_weights
from deltatune.models.load import load_base
from deltatune.models.quantization import dequantize_small
from deltatune.plan.settings import Planned
from deltatune.train.settings import Base, TrainSettings
from deltatune.train.train import train

STEPS = 10
#: Steps that are not timed: they choose kernels and grow the pools of the allocator.
WARM = 3


@dataclass(frozen=True)
class Trial:
    """What a step took."""

    seconds: float
    """Of one optimizer step, the mean of those after the first ones."""
    memory: int | None
    """Bytes, the peak that torch allocated on the GPU; None on a CPU."""
    device: str


class Clock:
    """When each forward pass of training began."""

    def __init__(self, model: Any) -> None:
        self.times: list[float] = []
        model.register_forward_pre_hook(self._tick)

    def _tick(self, module: Any, arguments: Any) -> None:
        if module.training:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.times.append(time.perf_counter())

    def seconds(self, passes: int, steps: int, warm: int = WARM) -> float:
        """Of an optimizer step. passes: forward passes of each of the last `steps`."""
        times = self.times[-passes * steps :][passes * warm :]
        return (times[-1] - times[0]) / (len(times) - 1) * passes


def rows(count: int, length: int, vocabulary: int, seed: int) -> Dataset:
    """Rows of random tokens, each one document, with a loss on every token."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, vocabulary, (count, length), generator=generator, dtype=torch.int32)
    positions = torch.arange(length, dtype=torch.int32).expand(count, -1)
    return Dataset.from_dict(
        {"input_ids": ids.numpy(), "labels": ids.numpy(), "position_ids": positions.numpy()}
    )


def run(
    experiment: Planned,
    config: Mapping[str, Any],
    row_length: int,
    *,
    steps: int = STEPS,
    say: Callable[[str], None] = print,
) -> Trial | None:
    """Train so many steps of an experiment. None for GPTQ, which random weights cannot stand for.

    config: of the base's config.json. Raises what training raises.
    """
    if experiment.quantization == "gptq":
        return None
    training = experiment.training
    training = training.model_copy(update={"epochs": None, "max_steps": steps, "evaluations": 1})
    training = training.model_copy(update={"gpus": 1, "sharded": False})
    machine = device.prepare(0, training.threads, training.precision)
    on_gpu = machine.device != "cpu"
    with tempfile.TemporaryDirectory(prefix="deltatune-trial-") as temporary:
        folder = Path(temporary)
        say(f"trial: {experiment.experiment}, {steps} steps on {machine.device}")
        random_weights.write(folder / "model", config, machine.device)
        model = load_base(folder / "model", experiment.quantization, machine)
        dequantize_small(model, machine)
        clock = Clock(model)
        if on_gpu:
            # Loading holds a file in 16 bits for a moment.
            torch.cuda.reset_peak_memory_stats()
        count = steps * training.batch_size * training.gradient_accumulation
        vocabulary = model.config.get_text_config().vocab_size
        figures = train(
            model,
            rows(count, row_length, vocabulary, seed=1),
            rows(training.batch_size, row_length, vocabulary, seed=2),
            TrainSettings(
                model="random weights",
                quantization=experiment.quantization,
                lora=experiment.lora,
                training=training,
                seed=0,
                base=Base(name="random weights", revision=None),
            ),
            machine,
            output=folder / "adapter",
            scratch=folder / "trainer",
            progress=lambda text: None,
            say=say,
        ).figures
        memory = torch.cuda.max_memory_allocated() if on_gpu else None
        name = torch.cuda.get_device_name(0) if on_gpu else "CPU"
        return Trial(clock.seconds(figures["gradient_accumulation_used"], steps), memory, name)
