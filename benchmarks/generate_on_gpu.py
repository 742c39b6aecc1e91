"""Answers on a GPU: as `generate_answers` makes them, beside transformers on the same prompts.

    python benchmarks/generate_on_gpu.py LINE ... --model FOLDER [--shape SHAPE] [--alpaca FILE]

asks 200 instructions of a model, up to 256 tokens each, and prints for each LINE the median of
three runs behind a first one, tokens per second, the peak of GPU memory, and in how many rows the
answers differ from those of the line that it is compared with; of a tuned system also the time of a
token beside its base's.

| LINE | what |
|---|---|
| here | `deltatune.evaluate.generate.evaluate`, `batch_size: auto` |
| launched | the same batches by transformers' `generate`; asserts that the answers are the same |
| adapter | as `here`, with a LoRA adapter of random numbers on all linear layers, not merged |
| adapter-launched | the same batches by `generate`; asserts that the answers are the same |
| sampled | as `here`, drawn with temperature 1 and top_p 0.9 |
| sampled-launched | the same batches by `generate`; asserts that the answers are the same |
| dequantized | as `here`, `evaluation.weights: dequantized` |
| merged | as `adapter`, `evaluation.weights: dequantized`, which merges it |
| sixteen | as `here`, `batch_size: 16` |
| sixteen-launched | batches of 16 by `generate`; once |
| one-by-one | `generate` for the first four prompts, each alone; once |
| continuous | transformers' `generate_batch`, continuous batching |

Without a LINE it prints all of them; what a line is compared with has to be among them. In 4 or 16
bits sums depend on the shape of a batch, so other batches differ in some rows, where two tokens are
as likely as each other; with `--exact` that is an error. Dequantized and merged weights may give
other answers too; their divergence from the weights as trained is printed. `--shape mistral-7b`
writes random weights to FOLDER where it has none, whose answers hardly end: of all ways about the
same number of tokens. Needs a GPU and no network; `--shape tiny` runs the same on a CPU, where each
step is launched, and says nothing of speed.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
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
from deltatune.evaluate import decode, generate, systems
from deltatune.evaluate.generate_settings import GenerateSettings
from deltatune.evaluate.settings import Weights
from deltatune.models import oom, random_weights
from deltatune.tasks.base import Sampling
from deltatune.tasks.registry import load_kind
from deltatune.tokens.answer_ids import prompt_ids
from deltatune.tokens.ids import eos_id, pad_id
from peft import LoraConfig, get_peft_model
from transformers import GenerationConfig

SAMPLE = plan_on_gpu.PROJECT / "data" / "sample" / "instructions.json"
SHAPES = plan_on_gpu.SHAPES | plan_on_gpu.TINY
ALONE = 4
DRAWN = Sampling(temperature=1.0, top_p=0.9)


class Line(NamedTuple):
    """batch_size, sampling: of the task. weights: of the evaluation. captured: whether steps may
    be. repeats: 0: once, without a first run. peer: a way of transformers' own. reference: the line
    whose answers are to be the same. base: of a tuned system."""

    batch_size: Any = "auto"
    sampling: Sampling | None = None
    captured: bool = True
    weights: Weights = "quantized"
    adapter: bool = False
    repeats: int = 3
    peer: str | None = None
    reference: str | None = "here"
    base: str | None = None


LINES = {
    "here": Line(reference=None),
    "launched": Line(captured=False, repeats=0),
    "sampled": Line(sampling=DRAWN, repeats=1, reference=None),
    "sampled-launched": Line(sampling=DRAWN, captured=False, repeats=0, reference="sampled"),
    "sixteen": Line(batch_size=16, repeats=1),
    "sixteen-launched": Line(batch_size=16, captured=False, repeats=0),
    "one-by-one": Line(repeats=0, peer="alone"),
    "continuous": Line(repeats=1, peer="generate_batch"),
    # Behind those of the base, so that each system is loaded once.
    "adapter": Line(adapter=True, reference=None, base="here"),
    "adapter-launched": Line(adapter=True, captured=False, repeats=0, reference="adapter"),
    "dequantized": Line(weights="dequantized"),
    "merged": Line(weights="dequantized", adapter=True, reference="adapter", base="dequantized"),
}


class Measured(NamedTuple):
    answers: list[str]
    seconds_per_token: float


class Bench:
    """A system, the one that a line needs, and what is asked of it. scratch: a folder for the
    adapter. new: tokens of an answer, at most."""

    def __init__(self, asked: argparse.Namespace, scratch: Path) -> None:
        self.on_gpu = torch.cuda.is_available()
        self.base, self.new, self.quantization = asked.model, asked.new, asked.quantization
        self.model: Any = None
        self.tokenizer: Any = None
        self._adapter = scratch / "adapter.sha256"
        self._loaded: tuple[Weights, bool] | None = None
        records = json.loads(asked.alpaca.read_text(encoding="utf-8"))
        texts = [f"{one['instruction']}\n{one.get('input') or ''}".strip() for one in records]
        prompts = [f"### Instruction:\n{text}\n\n### Response:\n" for text in texts]
        prompts = (prompts * asked.prompts)[: asked.prompts]
        self.questions = pd.DataFrame({"id": range(len(prompts)), "prompt": prompts})

    def load(self, line: Line) -> None:
        """The system of a line, as an evaluation loads it; the last one is kept if it is that."""
        if self._loaded == (line.weights, line.adapter):
            return
        inputs = SimpleNamespace(model=self.base)
        if line.adapter:
            self._write_adapter()
            inputs.adapter = self._adapter
        self._release()
        prompts = self.questions["prompt"].tolist()
        system = systems.load(inputs, self.settings(line), prompts, generate.taken_ids)
        self.model, self.tokenizer = system.model, system.tokenizer
        self._loaded = line.weights, line.adapter

    def _write_adapter(self) -> None:
        """One whose product is not zero."""
        folder = self._adapter.with_suffix("")
        if folder.is_dir():
            return
        self.load(Line())
        torch.manual_seed(0)
        chosen = {"target_modules": "all-linear", "init_lora_weights": False}
        get_peft_model(self.model, LoraConfig(r=16, lora_alpha=32, **chosen)).save_pretrained(
            folder
        )
        # It lies on the base now.
        self._release()

    def _release(self) -> None:
        """There may be no room for two models."""
        self.model = self._loaded = None
        oom.release()

    def settings(self, line: Line) -> GenerateSettings:
        kind = load_kind("instruct")
        return GenerateSettings[kind.Prompts, kind.Questions](
            task="alpaca",
            kind="instruct",
            quantization=self.quantization,
            weights=line.weights,
            batch_size=line.batch_size,
            refuses_long_prompts=False,
            prompts=kind.Prompts(),
            questions=kind.Questions(),
            max_new_tokens=self.new,
            sampling=line.sampling,
            backend="transformers",
        )

    def here(self, line: Line) -> tuple[list[str], int, dict[str, Any]]:
        """(answers, their tokens, figures of the manifest)."""
        settings = self.settings(line)
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


def measure(bench: Bench, name: str, seen: dict[str, Measured], exact: bool) -> None:
    """Print a line. seen: earlier ones."""
    line = LINES[name]
    bench.load(line)
    run = bench.peer if line.peer else bench.here
    if line.repeats:
        run(line)
    runs = [timed(lambda: run(line), bench.on_gpu) for _ in range(max(1, line.repeats))]
    answers, tokens, figures = runs[-1][0]
    seconds = statistics.median(seconds for _, seconds, _ in runs)
    peak = max(peak for _, _, peak in runs)
    parts = [f"{name:18}{seconds:8.2f} s{tokens:8} tokens{tokens / seconds:9.0f} tokens/s"]
    parts[0] += f"{peak:8.2f} GB"
    seen[name] = Measured(answers, seconds / max(tokens, 1))
    differ = 0
    if line.reference in seen:
        pairs = zip(seen[line.reference].answers, answers, strict=False)
        differ = sum(a != b for a, b in pairs)
        parts.append(f"{differ} of {len(answers)} rows differ from {line.reference}")
    if line.base in seen:
        ratio = seen[name].seconds_per_token / seen[line.base].seconds_per_token
        parts.append(f"{ratio:.2f} times the time of {line.base}")
    print(*parts, figures.get("batch_shapes", ""), sep="   ", flush=True)
    same_batches = not line.captured and line.batch_size == "auto"
    if differ and (same_batches or (exact and line.weights == "quantized")):
        raise SystemExit(f"{name}: the answers are not those of {line.reference}")


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
    # A base that is not quantized has one kind of weights, and its adapter stays beside them.
    quantized = asked.quantization != "none"
    lines = [name for name, line in LINES.items() if quantized or line.weights == "quantized"]
    if unknown := set(asked.lines) - set(lines):
        parser.error(f"no such line: {', '.join(sorted(unknown))}; there are {', '.join(lines)}")
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
    with tempfile.TemporaryDirectory(prefix="generate-") as scratch:
        bench, seen = Bench(asked, Path(scratch)), {}
        # What others are compared with is measured first, whatever the order on the command line.
        for name in (name for name in lines if not asked.lines or name in asked.lines):
            measure(bench, name, seen, asked.exact)


if __name__ == "__main__":
    main()
