"""How a system answers, whatever the answers are worth: length, endings, repetition.

A metric can fall because answers are wrong, or because they have become one word, or a loop.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from deltatune.metrics.words import length, words

N = 4
"""Words in the n-grams whose repetition is counted."""


def per_example(outputs: pd.DataFrame) -> pd.DataFrame:
    """The behavior of each answer: answer_words, reference_words, repeated_4grams (0 to 1), empty
    and, where outputs say whether an answer ended by itself, truncated.

    outputs: a frame with answer and reference, and perhaps finished.
    """
    answers = [words(text) for text in outputs["answer"]]
    frame = pd.DataFrame(
        {
            "answer_words": [length(text) for text in outputs["answer"]],
            "reference_words": [length(text) for text in outputs["reference"]],
            "repeated_4grams": [repeated_ngrams(answer) for answer in answers],
            "empty": [not text.strip() for text in outputs["answer"]],
        },
        index=outputs.index,
    )
    if "finished" in outputs:
        frame["truncated"] = ~outputs["finished"].astype(bool)
    return frame


def summary(outputs: pd.DataFrame) -> dict[str, Any]:
    """The behavior of a system, from the frame of its answers.

    words_median, words_mean, reference_words_median: in words of any script, Han and Kana by the
    character, scripts without spaces by the letter. tokens_mean: tokens generated, or None of a
    system without a tokenizer. truncated_share: answers that did not end by themselves, or None.
    empty_share: without a visible character. repeated_4grams: the mean over answers, see
    `repeated_ngrams`. distinct_share: different answers among all, spaces at the ends apart.
    """
    rows = per_example(outputs)
    tokens = outputs["answer_tokens"].mean() if "answer_tokens" in outputs else None
    return {
        "answers": len(rows),
        "words_median": float(rows["answer_words"].median()),
        "words_mean": float(rows["answer_words"].mean()),
        "reference_words_median": float(rows["reference_words"].median()),
        "tokens_mean": None if tokens is None else float(tokens),
        "truncated_share": float(rows["truncated"].mean()) if "truncated" in rows else None,
        "empty_share": float(rows["empty"].mean()),
        "repeated_4grams": float(rows["repeated_4grams"].mean()),
        "distinct_share": outputs["answer"].str.strip().nunique() / len(rows),
    }


def repeated_ngrams(tokens: list[str], n: int = N) -> float:
    """The share of n-grams in a text that repeat an earlier one: 1 - unique / all.

    seq-rep-n of Welleck et al. 2020, "Neural text generation with unlikelihood training", there of
    a model's tokens and here of words, so that systems with other tokenizers compare. 0 for a text
    shorter than n.
    """
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
