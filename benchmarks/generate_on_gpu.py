"""Answers of a small model on a GPU: as `generate_answers` makes them, beside transformers.

    python benchmarks/generate_on_gpu.py MODEL ALPACA.json

asks 200 instructions of the file (a list of objects with `instruction` and `input`) of a model in a
local folder, up to 256 tokens each, and prints a line for each way:

- here: `deltatune.evaluate.generate.answer`, in batches of 200, base and with a LoRA adapter of
  random numbers on all linear layers;
- `generate`: the same function with transformers' loop, in batches of 200 and of 16;
- `generate_batch`: transformers' continuous batching.

It asserts that `here` gives the answers of `generate` in the same batches. Needs a GPU, and no
network. `here` runs twice, and the second is printed: the first chooses kernels, for the others
too. Those in batches of 16 and `generate_batch` run for the first quantization alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import torch
from deltatune.core import manifest
from deltatune.evaluate.decode import Decoder
from deltatune.evaluate.generate import answer
from deltatune.models import device
from deltatune.models.load import load_base
from deltatune.tokens.answer_ids import prompt_ids
from deltatune.tokens.ids import eos_id, pad_id
from deltatune.tokens.tokenizer import load_tokenizer
from peft import LoraConfig, get_peft_model
from transformers import GenerationConfig

PROMPTS, NEW = 200, 256


def timed(run: Callable[[], list]) -> tuple[list, float, float]:
    """(result, seconds, peak of GPU memory in GB)."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    result = run()
    torch.cuda.synchronize()
    return result, time.perf_counter() - began, torch.cuda.max_memory_allocated() / 1e9


def show(name: str, tokens: int, seconds: float, peak: float) -> None:
    print(f"{name:45}{seconds:8.2f} s{tokens / seconds:10.0f} tokens/s{peak:8.2f} GB", flush=True)


def with_lora(model):
    """A LoRA adapter whose product is not zero."""
    torch.manual_seed(0)
    config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", init_lora_weights=False)
    return get_peft_model(model, config).eval()


def prompts(path: Path) -> list[str]:
    """So many instructions, those with an input too."""
    records = json.loads(path.read_text(encoding="utf-8"))[:PROMPTS]
    texts = [(one["instruction"] + "\n" + one.get("input", "")).strip() for one in records]
    return [f"### Instruction:\n{text}\n\n### Response:\n" for text in texts]


def launched(model) -> Decoder:
    """Transformers' loop, in which each kernel of a step is launched."""
    decoder = Decoder(model)
    decoder.captures = False
    return decoder


def measure(model, tokenizer, texts: list[str], name: str, peers: bool) -> None:
    quiet = {"max_new_tokens": NEW, "progress": lambda text: None}

    def ours(batch_size: int, decoder: Decoder) -> list:
        return answer(model, tokenizer, texts, batch_size=batch_size, decoder=decoder, **quiet)

    decoder = Decoder(model)
    ours(PROMPTS, decoder)
    here, seconds, peak = timed(lambda: ours(PROMPTS, decoder))
    assert decoder.captured, "no batch was captured"
    show(f"{name}: here", sum(one.tokens for one in here), seconds, peak)
    there, seconds, peak = timed(lambda: ours(PROMPTS, launched(model)))
    show(f"{name}: generate, batches of {PROMPTS}", sum(a.tokens for a in there), seconds, peak)
    assert here == there, "the answers are not the same"
    if not peers:
        return
    few, seconds, peak = timed(lambda: ours(16, launched(model)))
    show(f"{name}: generate, batches of 16", sum(one.tokens for one in few), seconds, peak)
    ids = prompt_ids(texts, tokenizer)
    config = GenerationConfig(
        max_new_tokens=NEW,
        do_sample=False,
        eos_token_id=eos_id(tokenizer),
        pad_token_id=pad_id(tokenizer),
    )
    made, seconds, peak = timed(
        lambda: list(model.generate_batch(inputs=ids, generation_config=config).values())
    )
    show(f"{name}: generate_batch", sum(len(a.generated_tokens) for a in made), seconds, peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("alpaca", type=Path)
    parser.add_argument("--quantization", nargs="+", default=["none", "nf4"])
    asked = parser.parse_args()
    machine = device.prepare(seed=0, threads=1)
    if machine.device == "cpu":
        raise SystemExit("this measures a GPU, and there is none")
    versions = manifest.versions(["torch", "transformers", "peft", "bitsandbytes"])
    print(torch.cuda.get_device_name(0), json.dumps(versions))
    tokenizer, texts = load_tokenizer(asked.model), prompts(asked.alpaca)
    for quantization in asked.quantization:
        model = load_base(asked.model, quantization, machine)
        peers = quantization == asked.quantization[0]
        measure(model, tokenizer, texts, f"base, {quantization}", peers)
        measure(with_lora(model), tokenizer, texts, f"adapter, {quantization}", False)


if __name__ == "__main__":
    main()
