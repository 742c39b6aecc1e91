"""Behavior of libraries that the metrics work around, each with the version that it was seen in.
A test of tests/unit/test_metrics_upstream.py fails when one can go."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from deltatune.core.upstream import hidden

# ---------------------------------------------------------------- evaluate

# evaluate 0.4.6 imports transformers' pipelines, and with them torch, wherever they are installed:
# 5.8 s of CPU time instead of 1.5 s in every job that computes or compares a metric. It imports
# scipy's statistics too, 0.5 s. It runs without both by its own account, so they are hidden while
# it is imported. https://github.com/huggingface/evaluate/issues/674
with hidden("transformers", "scipy.stats"):
    import evaluate


class InMemoryMetric(evaluate.Metric):
    """A metric that makes no folder where all stays in memory.

    evaluate 0.4.6 makes one in the user's home in any case, which stops a run on a cluster whose
    home is read-only. No issue of it is known.
    """

    def _build_data_dir(self) -> str:
        return "" if self.keep_in_memory else super()._build_data_dir()


# ---------------------------------------------------------------- bert_score


def bert_scorer(folder: Path, layers: int) -> Any:
    """A BERTScorer on the encoder in a folder, on the CPU.

    bert_score 0.3.13 takes any path with "t5" in it ("/home/student5/...") for a T5 model, so it
    gets a path that is only the folder's name. No issue of it is known.
    """
    from bert_score import BERTScorer

    with contextlib.chdir(folder.parent):
        return BERTScorer(model_type=folder.name, num_layers=layers, device="cpu")


def has_text(text: str) -> bool:
    """Whether bert_score can score a text.

    bert_score 0.3.13 fails on an empty one: it calls `build_inputs_with_special_tokens`, which
    the tokenizers of transformers 5 do not have.
    """
    return bool(text.strip())


# ---------------------------------------------------------------- sacrebleu


def chrf_statistics(scorer: Any, answers: list[str], references: list[str]) -> list[list[int]]:
    """Counts of n-grams of each pair, which resampling needs: [answer, reference, both] * orders.

    sacrebleu 2.6.0 has them in BLEU's scores but not in chrF's; only a method of its own gives
    them. No issue of it is known.
    """
    return scorer._extract_corpus_statistics(answers, [references])
