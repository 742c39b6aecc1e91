"""Labels and windows scored by this project and by lm-evaluation-harness, on the same rows.

    python benchmarks/lm_eval_agreement.py MODEL [--adapter ADAPTER]

MODEL is a folder with a model and its tokenizer, ADAPTER one with a LoRA adapter. Needs
`pip install -r requirements-lm-eval.txt -c constraints.txt`. Rows: every tenth record of
data/sample/news.csv for labels, and data/sample/prose.txt, by parts of 20 paragraphs, for windows.

Compared are predictions by labels without their end with those of lm_eval's `acc`, and the windows
of `evaluation.windows: lm_eval` with its rolling log-likelihood. Exits 1 where predictions differ,
or a log-likelihood by more than 1e-4 nats. lm_eval adds up in float64 here, since a sum of a
thousand float32 numbers is not that exact. benchmarks/README.md has the output.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from datasets import Dataset  # noqa: E402
from deltatune.evaluate import label_likelihood, likelihood  # noqa: E402
from deltatune.metrics.registry import load_metric  # noqa: E402
from deltatune.models import device  # noqa: E402
from deltatune.models.load import load_system  # noqa: E402
from deltatune.tasks.registry import load_kind  # noqa: E402
from deltatune.tokens.tokenizer import load_tokenizer  # noqa: E402
from lm_eval import simple_evaluate  # noqa: E402
from lm_eval.api.task import ConfigurableTask  # noqa: E402
from lm_eval.models.huggingface import HFLM  # noqa: E402

LABELS = ["World", "Sports", "Business", "Sci/Tech"]
LIMIT = 1e-4  # nats
BATCH_SIZE = 8


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--name", help="of the model, as printed")
    parser.add_argument("--context", type=int, default=128, help="tokens of a window")
    args = parser.parse_args()
    compute = device.prepare(seed=0, threads=2, precision="fp32")
    model = load_system(args.model, "none", compute, args.adapter)
    tokenizer = load_tokenizer(args.model)
    positions = model.config.max_position_embeddings
    print(f"lm_eval {version('lm_eval')}, transformers {version('transformers')}, fp32")
    print(f"model: {args.name or args.model.name}{', with an adapter' if args.adapter else ''}")
    agreed = [
        agree_on_labels(model, tokenizer, positions),
        agree_on_windows(model, tokenizer, args.context),
    ]
    return 0 if all(agreed) else 1


def agree_on_labels(model: Any, tokenizer: Any, max_length: int) -> bool:
    rows = pd.read_csv(ROOT / "data" / "sample" / "news.csv")[::10].reset_index(names="id")
    rows["text"] = rows["title"] + " " + rows["description"]
    kind = load_kind("classify")
    asks = kind.with_labels(kind.Prompts(), LABELS)
    questions = kind.questions(rows, asks, kind.Questions())
    scores, empty = [
        label_likelihood.score_completions(
            model,
            tokenizer,
            prompts,
            kind.completions(asks),
            max_length=max_length,
            batch_size=BATCH_SIZE,
            progress=quiet,
        )
        for prompts in (questions["prompt"].tolist(), kind.empty_prompts(asks))
    ]
    outputs = label_likelihood.choose(questions, scores, empty, LABELS)
    documents = [
        {"prompt": prompt, "label": LABELS.index(label)}
        for prompt, label in zip(questions["prompt"], questions["label"], strict=True)
    ]
    result = harness(
        HFLM(model, tokenizer=tokenizer, max_length=max_length, batch_size=BATCH_SIZE,
             softmax_dtype="float64"),
        documents,
        output_type="multiple_choice",
        doc_to_text=lambda document: document["prompt"],
        doc_to_choice=LABELS,
        doc_to_target=lambda document: document["label"],
        metric_list=[{"metric": "acc"}],
    )  # fmt: skip
    theirs = np.array([[each[0] for each in sample["filtered_resps"]] for sample in result.samples])
    predicted = scores.label.argmax(axis=1)
    same = int((predicted == theirs.argmax(axis=1)).sum())
    ours = float((predicted == [document["label"] for document in documents]).mean())
    largest = float(np.abs(scores.label - theirs).max())
    print(f"\nlabels without their end, {len(rows)} texts, {len(np.unique(predicted))} predicted")
    print(f"  the same prediction        {same} of {len(rows)}")
    print(f"  accuracy                   {ours:.6f}   lm_eval acc {result.figures['acc']:.6f}")
    print(f"  largest difference         {largest:.1e} nats")
    accuracy = (outputs["predicted"] == outputs["label"]).mean()
    print(f"  (accuracy with the end     {accuracy:.6f})")
    return same == len(rows) and ours == result.figures["acc"] and largest < LIMIT


def agree_on_windows(model: Any, tokenizer: Any, context: int) -> bool:
    paragraphs = (ROOT / "data" / "sample" / "prose.txt").read_text(encoding="utf-8").split("\n\n")
    paragraphs = [paragraph.strip() for paragraph in paragraphs if paragraph.strip()]
    texts = ["\n\n".join(paragraphs[i : i + 20]) for i in range(0, len(paragraphs), 20)]
    parts = [likelihood.windows(text, tokenizer, context, "lm_eval") for text in texts]
    everything = [window for windows in parts for window in windows]
    nll = likelihood.score_windows(
        model, tokenizer, everything, batch_size=BATCH_SIZE, progress=quiet
    )
    text_of = np.repeat(np.arange(len(texts)), [len(windows) for windows in parts])
    ours = -np.bincount(text_of, nll)
    # It puts bos before the first window itself.
    result = harness(
        HFLM(model, tokenizer=tokenizer, max_length=context, batch_size=BATCH_SIZE,
             add_bos_token=False, softmax_dtype="float64"),
        [{"text": text} for text in texts],
        output_type="loglikelihood_rolling",
        doc_to_text="",
        doc_to_target=lambda document: document["text"],
        metric_list=[{"metric": "word_perplexity"}, {"metric": "bits_per_byte"}],
    )  # fmt: skip
    theirs = np.array([sample["filtered_resps"][0] for sample in result.samples])
    largest = float(np.abs(ours - theirs).max())
    print(f"\n{len(everything)} windows of {context} tokens, of {len(texts)} texts")
    print(f"  log-likelihood             {ours.sum():.4f}   lm_eval {theirs.sum():.4f}")
    print(f"  largest difference         {largest:.1e} nats of a text")
    outputs = pd.DataFrame(
        {
            "nll": nll,
            "words": [window.words for window in everything],
            "bytes": [window.bytes for window in everything],
        }
    )
    agreed = largest < LIMIT
    for name in ("word_perplexity", "bits_per_byte"):
        metric = load_metric("text", name)
        figure, other = metric.corpus(metric.statistics(outputs)), result.figures[name]
        print(f"  {name:<26} {figure:.6f}   lm_eval {other:.6f}")
        agreed &= abs(figure / other - 1) < 1e-6
    sliding = [w for text in texts for w in likelihood.windows(text, tokenizer, context)]
    overlapping = likelihood.score_windows(
        model, tokenizer, sliding, batch_size=BATCH_SIZE, progress=quiet
    )
    print(f"  (log-likelihood of windows that overlap by half {-overlapping.sum():.4f})")
    return agreed


class Result:
    """figures: metric -> value. samples: of each document, in the order of the documents."""

    def __init__(self, evaluated: dict[str, Any], task: str) -> None:
        figures = evaluated["results"][task]
        self.figures = {name.partition(",")[0]: value for name, value in figures.items()}
        self.samples = sorted(evaluated["samples"][task], key=lambda sample: sample["doc_id"])


def harness(lm: HFLM, documents: list[dict[str, Any]], **config: Any) -> Result:
    """lm_eval's own evaluation of a task."""

    def load(**_: Any) -> dict[str, Dataset]:
        return {"test": Dataset.from_list(documents)}

    task = {"task": "sample", "custom_dataset": load, "test_split": "test", **config}
    evaluated = simple_evaluate(lm, tasks=[ConfigurableTask(config=task)], bootstrap_iters=0)
    return Result(evaluated, "sample")


quiet: Callable[[str], None] = lambda text: None  # noqa: E731

if __name__ == "__main__":
    sys.exit(main())
