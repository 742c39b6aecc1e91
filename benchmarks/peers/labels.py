"""Labels of AG News by this project and by lm-evaluation-harness, in one process.

Both score the same prompts with the same labels, on one model that has been loaded once.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
from datasets import Dataset
from deltatune.evaluate import label_likelihood
from deltatune.evaluate.label_likelihood_settings import LabelSettings
from deltatune.models import oom
from deltatune.tasks.registry import load_kind
from lm_eval.api.task import ConfigurableTask
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM

from peers import base
from peers.watch import timed, timed_warm

LABELS = ["World", "Sports", "Business", "Sci/Tech"]
LENGTH = 512
SIZES = [16, 32, 64, 128, 256]
#: Rows of the search for the best batch size.
SEARCHED = 256


def questions(path: str, count: int) -> pd.DataFrame:
    """id, prompt, text, label. path: a CSV with title, description and label: a name or its
    index."""
    rows = pd.read_csv(path)[:count].reset_index(names="id")
    rows["text"] = rows["title"] + " " + rows["description"]
    if rows["label"].dtype.kind == "i":
        rows["label"] = [LABELS[number] for number in rows["label"]]
    kind = load_kind("classify")
    return kind.questions(rows, kind.with_labels(kind.Prompts(), LABELS), kind.Questions())


def here(model: Any, tokenizer: Any, asked: pd.DataFrame, quantization: str) -> np.ndarray:
    """Log-likelihoods of labels without their ends: float64 [rows, labels]."""
    kind = load_kind("classify")
    settings = LabelSettings[kind.LabeledPrompts, kind.Questions](
        task="news",
        kind="classify",
        quantization=quantization,
        weights="quantized",
        batch_size="auto",
        refuses_long_prompts=False,
        prompts=kind.with_labels(kind.Prompts(), LABELS),
        questions=kind.Questions(),
        max_length=LENGTH,
    )
    outputs = label_likelihood.evaluate(model, tokenizer, kind, asked, settings, base.terminal())
    return np.stack(outputs.table["logprobs_label"])


def there(model: Any, tokenizer: Any, asked: pd.DataFrame, batch_size: int) -> np.ndarray:
    """The same by lm_eval's own evaluation of a task."""
    documents = [
        {"prompt": prompt, "label": LABELS.index(label)}
        for prompt, label in zip(asked["prompt"], asked["label"], strict=True)
    ]
    task = {
        "task": "news",
        "custom_dataset": lambda **_: {"test": Dataset.from_list(documents)},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": lambda document: document["prompt"],
        "doc_to_choice": LABELS,
        "doc_to_target": lambda document: document["label"],
        "metric_list": [{"metric": "acc"}],
    }
    # Log-likelihoods of bf16 would differ by more than the two ways do.
    harness = HFLM(
        model,
        tokenizer=tokenizer,
        max_length=LENGTH,
        batch_size=batch_size,
        softmax_dtype="float32",
    )
    # Not `simple_evaluate`, which also describes the machine, in seconds that are no scoring.
    evaluated = evaluate(
        harness, {"tasks": {"news": ConfigurableTask(config=task)}}, bootstrap_iters=0
    )
    samples = sorted(evaluated["samples"]["news"], key=lambda sample: sample["doc_id"])
    return np.array([[each[0] for each in sample["filtered_resps"]] for sample in samples])


def best_size(model: Any, tokenizer: Any, asked: pd.DataFrame) -> tuple[int, dict[int, float]]:
    """The batch size with the most rows per second, and that of each that fits."""
    speeds: dict[int, float] = {}
    for size in SIZES:
        if size > len(asked) * len(LABELS):
            break
        try:
            _, cost = timed(lambda size=size: there(model, tokenizer, asked, size))
        except Exception as error:
            if not oom.out_of_memory(error):
                raise
            break
        speeds[size] = round(len(asked) / cost["seconds"], 1)
    oom.release()
    return max(speeds, key=speeds.get), speeds


def agreement(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> dict[str, Any]:
    """How far log-likelihoods differ, and the share of the same predictions.

    A label counts as the same, too, where the two likeliest are closer than the tolerance.
    """
    rows = np.arange(len(ours))
    chosen, other = ours.argmax(axis=1), theirs.argmax(axis=1)
    close = np.abs(ours[rows, chosen] - ours[rows, other]) <= tolerance
    return {
        "mean_difference": float(np.abs(ours - theirs).mean()),
        "largest_difference": float(np.abs(ours - theirs).max()),
        "same_prediction": float((chosen == other).mean()),
        "same_or_tied": float(((chosen == other) | close).mean()),
    }


def main() -> None:
    asked = base.spec()
    logging.disable(logging.WARNING)
    model, tokenizer = base.load(asked)
    rows = questions(asked["news"], asked["count"])
    few = rows[:SEARCHED]
    results, versions = base.results(asked, ["lm_eval"])
    size, speeds = best_size(model, tokenizer, few)
    theirs, cost = timed_warm(lambda: there(model, tokenizer, rows, size))
    speed = {"rows_per_second": round(len(rows) / cost["seconds"], 2), "rows": len(rows)}
    by_size = {"batch_size": size, "rows_per_second_by_batch_size": speeds}
    peer = cost | speed | by_size | {"versions": versions}
    base.fuse_norms(model)
    ours, cost = timed_warm(lambda: here(model, tokenizer, rows, asked["quantization"]))
    speed = {"rows_per_second": round(len(rows) / cost["seconds"], 2), "rows": len(rows)}
    results.add("here", cost | speed | {"versions": versions})
    results.add("lm_eval", peer | agreement(ours, theirs, asked["tolerance"]))


if __name__ == "__main__":
    main()
