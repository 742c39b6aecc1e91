"""Answers to instructions by this project, by transformers' continuous batching, and one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from deltatune.evaluate import generate
from deltatune.evaluate.generate_settings import GenerateSettings
from deltatune.tasks.registry import load_kind
from deltatune.tokens.answer_ids import prompt_ids
from deltatune.tokens.ids import eos_id, pad_id
from transformers import GenerationConfig

from peers import base
from peers.watch import timed

#: Questions that are asked one by one: all of them would take half an hour of a 7B.
ALONE = 2


def questions(path: str, count: int) -> pd.DataFrame:
    """id and prompt, as the task's kind renders them, of an Alpaca file."""
    records = json.loads(Path(path).read_text(encoding="utf-8"))[:count]
    template = "### Instruction:\n{}\n\n### Response:\n"
    texts = [(one["instruction"] + "\n" + (one.get("input") or "")).strip() for one in records]
    return pd.DataFrame(
        {"id": range(len(texts)), "prompt": [template.format(text) for text in texts]}
    )


def here(model: Any, tokenizer: Any, asked: pd.DataFrame, spec: dict[str, Any]) -> pd.DataFrame:
    kind = load_kind("instruct")
    settings = GenerateSettings[kind.Prompts, kind.Questions](
        task="alpaca",
        kind="instruct",
        quantization=spec["quantization"],
        batch_size="auto",
        refuses_long_prompts=False,
        prompts=kind.Prompts(),
        questions=kind.Questions(),
        max_new_tokens=spec["new"],
        sampling=None,
    )
    return generate.evaluate(model, tokenizer, asked, settings, base.terminal()).table


def config(tokenizer: Any, new: int) -> GenerationConfig:
    return GenerationConfig(
        max_new_tokens=new,
        do_sample=False,
        use_cache=True,
        eos_token_id=eos_id(tokenizer),
        pad_token_id=pad_id(tokenizer),
    )


def batched(model: Any, tokenizer: Any, ids: list[list[int]], new: int) -> list[list[int]]:
    """transformers' continuous batching."""
    made = model.generate_batch(inputs=ids, generation_config=config(tokenizer, new))
    return [one.generated_tokens for one in made.values()]


@torch.inference_mode()
def one_by_one(model: Any, tokenizer: Any, ids: list[list[int]], new: int) -> list[list[int]]:
    rows = []
    for row in ids:
        inputs = torch.tensor([row], device=model.device)
        made = model.generate(
            input_ids=inputs,
            attention_mask=torch.ones_like(inputs),
            generation_config=config(tokenizer, new),
        )
        rows.append(made[0, len(row) :].tolist())
    return rows


def texts(rows: list[list[int]], tokenizer: Any) -> tuple[list[str], int]:
    """(answers without what follows their end, their tokens)."""
    stop = eos_id(tokenizer)
    kept = [row[: row.index(stop)] if stop in row else row for row in rows]
    answers = [tokenizer.decode(row, skip_special_tokens=True) for row in kept]
    return answers, sum(map(len, kept))


def beginning_alike(one: list[str], other: list[str], tokenizer: Any) -> float:
    """The share of answers that begin with the same words: later ones follow from the earlier, and
    rounding differs with the shape of a batch."""
    same = [a.split()[:2] == b.split()[:2] for a, b in zip(one, other, strict=True)]
    return sum(same) / len(same)


def main() -> None:
    spec = base.spec()
    model, tokenizer = base.load(spec)
    asked = questions(spec["alpaca"], spec["count"])
    ids = prompt_ids(asked["prompt"].tolist(), tokenizer)
    results, versions = base.results(spec, [])
    here(model, tokenizer, asked, spec | {"new": 8})
    table, cost = timed(lambda: here(model, tokenizer, asked, spec))
    ours, tokens = table["answer"].tolist(), int(table["answer_tokens"].sum())
    results.add("here", figures(tokens, cost) | {"versions": versions})
    ways = {"one by one": (one_by_one, ids[:ALONE])}
    if spec["continuous"]:
        batched(model, tokenizer, ids[:8], 8)
        ways = {"generate_batch": (batched, ids), **ways}
    for name, (run, given) in ways.items():
        made, cost = timed(lambda run=run, given=given: run(model, tokenizer, given, spec["new"]))
        answers, tokens = texts(made, tokenizer)
        alike = beginning_alike(ours[: len(given)], answers, tokenizer)
        results.add(name, figures(tokens, cost) | {"beginning_alike": alike, "versions": versions})


def figures(tokens: int, cost: dict[str, Any]) -> dict[str, Any]:
    return cost | {"tokens_per_second": round(tokens / cost["seconds"], 1), "tokens": tokens}


if __name__ == "__main__":
    main()
