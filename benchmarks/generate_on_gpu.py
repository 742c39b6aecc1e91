"""Answers on a GPU: as `generate_answers` makes them, beside transformers on the same prompts.

    python benchmarks/generate_on_gpu.py LINE ... --model FOLDER [--shape SHAPE] [--alpaca FILE]

asks 200 instructions of a model, up to 256 tokens each, and prints for each LINE the median of
three runs behind a first one, tokens per second, the peak of GPU memory, and in how many rows the
answers differ from those of the first line.

| LINE | what |
|---|---|
| here | `deltatune.evaluate.generate.evaluate`, `batch_size: auto` |
| launched | the same batches by transformers' `generate`; asserts that the answers are the same |
| adapter | as `here`, with a LoRA adapter of random numbers on all linear layers, not merged |
| adapter-launched | the same batches by `generate`; asserts that the answers are the same |
| sampled | as `here`, drawn with temperature 1 and top_p 0.9 |
| sampled-launched | the same batches by `generate`; asserts that the answers are the same |
| sixteen | as `here`, `batch_size: 16` |
| sixteen-launched | batches of 16 by `generate`; once |
| one-by-one | `generate` for the first four prompts, each alone; once |
| continuous | transformers' `generate_batch`, continuous batching |

Without a LINE it prints all of them; what a line is compared with has to be among them. In 4 or 16
bits sums depend on the shape of a batch, so other batches differ in some rows, where two tokens are
as likely as each other; with `--exact` that is an error. `--shape mistral-7b` writes random weights
to FOLDER where it has none, whose answers hardly end: of all ways about the same number of tokens.
Needs a GPU and no network; `--shape tiny` runs the same on a CPU, where each step is launched, and
says nothing of speed.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import pandas as pd
import plan_on_gpu
import torch
from deltatune.core import manifest
from deltatune.evaluate import decode, generate
from deltatune.evaluate.generate_settings import GenerateSettings
from deltatune.models import device, random_weights
from deltatune.models.load import load_base
from deltatune.models.quantization import dequantize_small
from deltatune.tasks.base import Sampling
from deltatune.tasks.registry import load_kind
from deltatune.tokens.answer_ids import prompt_ids
from deltatune.tokens.ids import eos_id, pad_id
from deltatune.tokens.tokenizer import load_tokenizer
from peft import LoraConfig, get_peft_model
from transformers import GenerationConfig

SAMPLE = plan_on_gpu.PROJECT / "data" / "sample" / "instructions.json"
SHAPES = plan_on_gpu.SHAPES | plan_on_gpu.TINY
ALONE = 4
DRAWN = Sampling(temperature=1.0, top_p=0.9)


class Line(NamedTuple):
    """batch_size, sampling: of the task. captured: whether steps may be. repeats: 0: once, without
    a first run. peer: a way of transformers' own."""

    batch_size: Any = "auto"
    sampling: Sampling | None = None
    captured: bool = True
    adapter: bool = False
    repeats: int = 3
    peer: str | None = None


LINES = {
    "here": Line(),
    "launched": Line(captured=False, repeats=0),
    "sampled": Line(sampling=DRAWN, repeats=1),
    "sampled-launched": Line(sampling=DRAWN, captured=False, repeats=0),
    "sixteen": Line(batch_size=16, repeats=1),
    "sixteen-launched": Line(batch_size=16, captured=False, repeats=0),
    "one-by-one": Line(repeats=0, peer="alone"),
    "continuous": Line(repeats=1, peer="generate_batch"),
    # Last: the adapter stays on the model.
    "adapter": Line(adapter=True),
    "adapter-launched": Line(adapter=True, captured=False, repeats=0),
}


class Bench:
    """A model and what is asked of it. new: tokens of an answer, at most."""

    def __init__(self, asked: argparse.Namespace) -> None:
        machine = device.prepare(seed=0, threads=1)
        self.on_gpu = machine.device != "cpu"
        self.model = load_base(asked.model, asked.quantization, machine)
        dequantize_small(self.model, machine)
        self.tokenizer = load_tokenizer(asked.model)
        self.new, self.quantization = asked.new, asked.quantization
        records = json.loads(asked.alpaca.read_text(encoding="utf-8"))
        texts = [f"{one['instruction']}\n{one.get('input') or ''}".strip() for one in records]
        prompts = [f"### Instruction:\n{text}\n\n### Response:\n" for text in texts]
        prompts = (prompts * asked.prompts)[: asked.prompts]
        self.questions = pd.DataFrame({"id": range(len(prompts)), "prompt": prompts})

    def add_adapter(self) -> None:
        """One whose product is not zero."""
        torch.manual_seed(0)
        chosen = {"target_modules": "all-linear", "init_lora_weights": False}
        self.model = get_peft_model(self.model, LoraConfig(r=16, lora_alpha=32, **chosen)).eval()

    def here(self, line: Line) -> tuple[list[str], int, dict[str, Any]]:
        """(answers, their tokens, figures of the manifest)."""
        kind = load_kind("instruct")
        settings = GenerateSettings[kind.Prompts, kind.Questions](
            task="alpaca",
            kind="instruct",
            quantization=self.quantization,
            weights="quantized",
            batch_size=line.batch_size,
            refuses_long_prompts=False,
            prompts=kind.Prompts(),
            questions=kind.Questions(),
            max_new_tokens=self.new,
            sampling=line.sampling,
            backend="transformers",
        )
        terminal = SimpleNamespace(say=print, progress=lambda text: None)
        with nullcontext() if line.captured else launched():
            made = generate.evaluate(self.model, self.tokenizer, self.questions, settings, terminal)
        assert made.figures["captured_batches"] or not line.captured or not self.on_gpu
        table = made.table
        return table["answer"].tolist(), int(table["answer_tokens"].sum()), made.figures

    def peer(self, line: Line) -> tuple[list[str], int, dict[str, Any]]:
        """The same by transformers alone."""
        ids = prompt_ids(self.questions["prompt"].tolist(), self.tokenizer)
        stop = eos_id(self.tokenizer)
        config = GenerationConfig(
            max_new_tokens=self.new,
            do_sample=False,
            eos_token_id=stop,
            pad_token_id=pad_id(self.tokenizer),
        )
        if line.peer == "generate_batch":
            made = self.model.generate_batch(inputs=ids, generation_config=config)
            # In the order of requests, whose names are numbered.
            rows = [one.generated_tokens for one in made.values()]
            if len(rows) < len(ids) or not all(rows):
                # It logs an error and goes on.
                raise SystemExit("generate_batch: prompts without an answer; see its errors above")
        else:
            rows = [self._alone(row, config) for row in ids[:ALONE]]
        rows = [row[: row.index(stop)] if stop in row else row for row in rows]
        texts = [self.tokenizer.decode(row, skip_special_tokens=True) for row in rows]
        return texts, sum(map(len, rows)), {}

    @torch.inference_mode()
    def _alone(self, row: list[int], config: GenerationConfig) -> list[int]:
        inputs = torch.tensor([row], device=self.model.device)
        made = self.model.generate(
            input_ids=inputs,
            attention_mask=torch.ones_like(inputs),
            generation_config=config,
            use_cache=True,
        )
        return made[0, len(row) :].tolist()


@contextmanager
def launched() -> Iterator[None]:
    """Transformers' loop, in which each kernel of a step is launched."""
    with mock.patch.object(decode.Decoder, "captures", False):
        yield


def timed(run: Callable[[], Any], on_gpu: bool) -> tuple[Any, float, float]:
    """(result, seconds, peak of GPU memory in GB)."""
    if not on_gpu:
        began = time.perf_counter()
        return run(), time.perf_counter() - began, 0.0
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    result = run()
    torch.cuda.synchronize()
    return result, time.perf_counter() - began, torch.cuda.max_memory_allocated() / 1e9


def measure(bench: Bench, name: str, seen: dict[str, list[str]], exact: bool) -> None:
    """Print a line. seen: the answers of earlier ones."""
    line = LINES[name]
    if line.adapter and not hasattr(bench.model, "peft_config"):
        bench.add_adapter()
    run = bench.peer if line.peer else bench.here
    if line.repeats:
        run(line)
    runs = [timed(lambda: run(line), bench.on_gpu) for _ in range(max(1, line.repeats))]
    answers, tokens, figures = runs[-1][0]
    seconds = statistics.median(seconds for _, seconds, _ in runs)
    peak = max(peak for _, _, peak in runs)
    # With an adapter, or drawn, the answers are others.
    reference = name.removesuffix("-launched")
    reference = reference if reference in ("adapter", "sampled") else "here"
    differ = sum(a != b for a, b in zip(seen.get(reference, answers), answers, strict=False))
    print(
        f"{name:18}{seconds:8.2f} s{tokens:8} tokens{tokens / seconds:9.0f} tokens/s{peak:8.2f} GB"
        f"   {differ} of {len(answers)} rows differ from {reference}"
        f"   {figures.get('batch_shapes', '')}",
        flush=True,
    )
    same_batches = not line.captured and line.batch_size == "auto" and reference in seen
    if differ and (same_batches or exact):
        raise SystemExit(f"{name}: the answers are not those of {reference}")
    seen.setdefault(name, answers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lines", nargs="*", metavar="LINE", help=", ".join(LINES))
    parser.add_argument("--model", type=Path, required=True, help="its folder")
    parser.add_argument("--shape", choices=list(SHAPES), help="of a model that is not there yet")
    parser.add_argument("--alpaca", type=Path, default=SAMPLE)
    parser.add_argument("--quantization", default="nf4", choices=["none", "nf4"])
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--new", type=int, default=256)
    parser.add_argument("--exact", action="store_true")
    asked = parser.parse_args()
    if unknown := set(asked.lines) - set(LINES):
        parser.error(f"no such line: {', '.join(sorted(unknown))}; there are {', '.join(LINES)}")
    on_gpu = torch.cuda.is_available()
    if not on_gpu and asked.shape != "tiny":
        raise SystemExit("this measures a GPU, and there is none; --shape tiny runs on a CPU")
    if asked.shape and not (asked.model / "config.json").is_file():
        special = {"bos_token_id": 1, "eos_token_id": 2}
        shape = SHAPES[asked.shape] | special
        random_weights.write(asked.model, shape, "cuda:0" if on_gpu else "cpu")
        plan_on_gpu.save_tokenizer(asked.model)
    versions = manifest.versions(["torch", "transformers", "peft", "bitsandbytes"])
    card = torch.cuda.get_device_name(0) if on_gpu else "CPU"
    print(card, f"Python {platform.python_version()}", json.dumps(versions))
    print(asked.shape or asked.model.name, asked.quantization, f"{asked.prompts} prompts")
    bench, seen = Bench(asked), {}
    # What others are compared with is measured first, whatever the order on the command line.
    for name in (name for name in LINES if not asked.lines or name in asked.lines):
        measure(bench, name, seen, asked.exact)


if __name__ == "__main__":
    main()
