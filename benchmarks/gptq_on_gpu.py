"""A base quantized with GPTQ, and its training beside that of the same base in NF4.

    python benchmarks/gptq_on_gpu.py --json OUT

writes a model of random weights in the shape of SmolLM2-135M (`--size 1b`: of TinyLlama-1.1B),
quantizes it with GPTQ as `quantize_model` does, and trains the same ten steps of an adapter on it
and on the base in NF4 as `train_adapter` does. It prints the time and the peak of memory of
quantizing and of both trainings, and tokens per second. It needs a GPU, the packages of
requirements.txt and requirements-gptq.txt, and no network; two minutes for the small one.
Speed and memory do not depend on what the weights are; the losses mean nothing.

    python benchmarks/gptq_on_gpu.py --size tiny

runs the same code in a minute on a CPU. It shows that the code works, and says nothing of a GPU.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import plan_on_gpu
import torch
from deltatune.models import device, gptq, random_weights
from deltatune.models.gptq_settings import QuantizeSettings
from deltatune.models.load import load_base
from deltatune.models.settings import Lora
from deltatune.plan.trial import STEPS, Clock, rows
from deltatune.train.settings import Base, Training, TrainSettings
from deltatune.train.train import train

SHAPES = {
    "tiny": plan_on_gpu.TINY["tiny"],
    "135m": plan_on_gpu.SHAPES["smollm2-135m"],
    "1b": plan_on_gpu.SHAPES["tinyllama-1b"],
}
#: Rows of a step, and their length.
BATCHES = {"tiny": (2, 64), "135m": (8, 512), "1b": (4, 512)}
#: It divides the widths of all three.
GROUP = 64


def reset() -> float:
    """The time, from which memory is counted anew."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return time.perf_counter()


def spent(began: float) -> dict[str, float]:
    if not torch.cuda.is_available():
        return {"seconds": round(time.perf_counter() - began, 1)}
    torch.cuda.synchronize()
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "peak_gb": round(torch.cuda.max_memory_allocated() / 1e9, 3),
    }


def trained(
    folder: Path, quantization: str, size: str, machine: device.Compute, scratch: Path
) -> dict[str, Any]:
    """Figures of a training on a base. folder: its own."""
    batch, length = BATCHES[size]
    vocabulary = SHAPES[size]["vocab_size"]
    model = load_base(folder, quantization, machine)
    weights = torch.cuda.memory_allocated() if torch.cuda.is_available() else None
    clock, began = Clock(), reset()
    with clock.running():
        train(
            model,
            rows(STEPS * batch, length, vocabulary, seed=1),
            rows(batch, length, vocabulary, seed=2),
            TrainSettings(
                model="random weights",
                quantization=quantization,
                lora=Lora(rank=8),
                training=Training(
                    epochs=1, batch_size=batch, gradient_accumulation=1, evaluations=1
                ),
                seed=0,
                base=Base(name="random weights", revision=None),
            ),
            machine,
            output=scratch / quantization / "adapter",
            scratch=scratch / quantization / "trainer",
            progress=lambda text: None,
        )
    figures = spent(began)
    seconds = clock.seconds()
    return {
        "weights_gb": None if weights is None else round(weights / 1e9, 3),
        **figures,
        "seconds_per_step": round(seconds, 4),
        "tokens_per_second": round(batch * length / seconds),
    }


def measure(size: str, samples: int, folder: Path) -> dict[str, Any]:
    machine = device.prepare(0, threads=1)
    random_weights.write(folder / "model", SHAPES[size], machine.device)
    plan_on_gpu.save_tokenizer(folder / "model")
    drawn = rows(samples, BATCHES[size][1], SHAPES[size]["vocab_size"], seed=3)
    text = gptq.calibration(drawn, samples, 0, 0)
    settings = QuantizeSettings(model=size, group_size=GROUP, samples=samples)
    began = reset()
    facts = gptq.quantize(folder / "model", text, settings, machine, folder / "gptq")
    quantizing = spent(began) | {name: facts[name] for name in ("quantized_layers", "weight_bytes")}
    print(f"quantized: {quantizing}", flush=True)
    outcome = {"size": size, "device": machine.reason, "quantizing": quantizing}
    for quantization, place in (("nf4", "model"), ("gptq", "gptq")):
        outcome[quantization] = trained(folder / place, quantization, size, machine, folder)
        print(f"{quantization}: {outcome[quantization]}", flush=True)
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SHAPES, default="135m")
    parser.add_argument("--samples", type=int, default=32, help="rows of calibration")
    parser.add_argument("--json", type=Path, help="where the figures are written")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="deltatune-gptq-") as scratch:
        outcome = measure(asked.size, asked.samples, Path(scratch))
    print(json.dumps(outcome, indent=2))
    if asked.json:
        asked.json.write_text(json.dumps(outcome, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
