"""How many tokens and steps an experiment is trained on.

Exactly, where the rows have been packed; otherwise from the records, with four characters to a
token; otherwise from what is known of a public data set.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from deltatune.core.schema import Section
from deltatune.models.batch import total_steps
from deltatune.tasks.base import TaskKind, spread
from deltatune.tasks.registry import load_kind

CHARACTERS = 4
"""Characters per token: English text under a vocabulary of 32,000 pieces has about so many."""
PADDING = 0.02
"""Share of packed rows that is padding."""
SAMPLED = 2000
"""Records whose length is taken, evenly spread."""


@dataclass(frozen=True)
class Work:
    """What an experiment is trained on at each seed. None: nothing is known yet."""

    tokens: int | None
    """Of the training rows, without padding."""
    rows: int | None
    row_length: int
    how: str
    """exact, estimated, at most, or unknown."""
    source: str
    """What it was taken from."""
    test_records: int | None = None
    """Records of the test split."""

    def steps(self, training: Mapping[str, Any]) -> int | None:
        """Optimizer steps of a training run; training: its settings."""
        if self.rows is None:
            return None
        rows_per_step = training["batch_size"] * training["gradient_accumulation"]
        return total_steps(self.rows, rows_per_step, training["epochs"])


def work(experiment: Mapping[str, Any], known: Mapping[str, Any]) -> Work:
    """Tokens and packed rows of an experiment.

    experiment: see `plan.row`. known: sizes of public data sets, by hub id or address.
    """
    task = experiment["task"]
    length = task["max_length"]
    packed = _manifest(experiment["files"]["tokens"])
    if packed and packed["settings"] == experiment["settings"]["tokens"]:
        rows, row_length = packed["rows"], packed["row_length"]
        test = _test_records(experiment, None)
        return Work(packed["tokens"], rows, row_length, "exact", "the packed rows", test)
    lengths = _lengths(experiment, known)
    if lengths is None:
        most = task["split"]["max_records"]
        if most is None:
            test = _test_records(experiment, None)
            return Work(None, None, length, "unknown", "the data set is not here yet", test)
        count = _training_records(most, task["split"])
        test = _test_records(experiment, count)
        source = "split.max_records × max_length"
        return Work(count * length, count, length, "at most", source, test)
    documents, characters, source = lengths
    tokens = documents * (characters / CHARACTERS + 2)  # with what begins and ends a document
    if load_kind(task["kind"]).OVERFLOW != "split":
        tokens = min(tokens, documents * length)
    rows = max(1, math.ceil(tokens / (1 - PADDING) / length))
    # One row is no longer than what it holds.
    row_length = min(length, math.ceil(tokens / rows)) if rows == 1 else length
    test = _test_records(experiment, documents)
    return Work(round(tokens), rows, row_length, "estimated", source, test)


def _manifest(path: str) -> dict[str, Any] | None:
    file = Path(path)
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def _split(experiment: Mapping[str, Any]) -> dict[str, Any] | None:
    """The manifest of the split, where it was made with the settings that config.yaml has now."""
    split = _manifest(experiment["files"]["split"])
    return split if split and split["settings"] == experiment["settings"]["split"] else None


def _lengths(
    experiment: Mapping[str, Any], known: Mapping[str, Any]
) -> tuple[int, float, str] | None:
    """(training documents, mean characters of one, source), from the best that is there."""
    train = Path(experiment["files"]["train"])
    if train.is_file() and _split(experiment):
        records = pd.read_parquet(train)
        lengths = _characters(records, experiment, clean=False)
        return len(records), lengths, "the training records"
    records = Path(experiment["files"]["records"])
    if records.is_file():
        # As split_dataset reads it: a text may be "NA".
        text = {"dtype": {"chapter": str, "text": str}, "keep_default_na": False}
        is_csv = records.suffix == ".csv"
        frame = pd.read_csv(records, **text) if is_csv else pd.read_parquet(records)
        return _of_records(frame, experiment, "the records")
    if experiment["path"] and Path(experiment["path"]).is_file():
        return _of_records(_source(experiment), experiment, experiment["path"])
    return _of_known(experiment, known)


def _of_records(
    records: pd.DataFrame, experiment: Mapping[str, Any], source: str
) -> tuple[int, float, str]:
    split = experiment["task"]["split"]
    used = min(len(records), split["max_records"] or len(records))
    characters = _characters(records.head(used), experiment, clean=True)
    return _training_records(used, split), characters, source


def _of_known(
    experiment: Mapping[str, Any], known: Mapping[str, Any]
) -> tuple[int, float, str] | None:
    """From what is known about a public data set."""
    dataset, task = experiment["dataset"], experiment["task"]
    kind, settings, prompts = _kind(experiment)
    name = dataset.get("id") or _book(dataset.get("url") or "")
    facts = known.get(name)
    if not facts:
        return None
    sizes, count = facts["characters"], facts["records"]
    if experiment["text"]:
        # Chunks end with a sentence, so they are a little shorter than they may be.
        chunk = 0.9 * dataset["chunks"]["max_words"] * 6
        count, sizes = math.ceil(sizes["text"] / chunk), {"text": round(chunk)}
    record = {field: "x" * length for field, length in sizes.items()}
    if kind.LABEL_FIELD and kind.LABEL_FIELD not in record:
        record[kind.LABEL_FIELD] = kind.label_names(settings)[0]
    if not set(kind.TEXT_FIELDS) <= {*record, *kind.OPTIONAL_FIELDS}:
        return None
    used = min(count, task["split"]["max_records"] or count)
    characters = _length(kind.document(record, prompts))
    return _training_records(used, task["split"]), characters, f"what is known of {name}"


def _book(url: str) -> str:
    """gutenberg.org/NUMBER for an address of a book at Project Gutenberg, otherwise as it is."""
    book = re.search(r"gutenberg\.org/(?:cache/epub|ebooks|files)/(\d+)", url)
    return f"gutenberg.org/{book[1]}" if book else url


def _source(experiment: Mapping[str, Any]) -> pd.DataFrame:
    """The records of a file, read as fetch_dataset reads them."""
    from deltatune.data import chunking
    from deltatune.data.readers import read

    dataset, path = experiment["dataset"], Path(experiment["path"])
    with tempfile.TemporaryDirectory() as folder:
        files = {
            "write": Path(folder) / "records.parquet",
            "rejects": Path(folder) / "rejects.csv",
            "where": f"datasets.{experiment['task']['dataset']}",
        }
        if experiment["text"]:
            read.read_text(path, **files)
            paragraphs = pd.read_parquet(files["write"])["text"]
            return chunking.chunk_text(paragraphs, **dataset["chunks"])
        read.read_records(path, dataset.get("format"), dataset["columns"], **files)
        return pd.read_parquet(files["write"])


def _characters(records: pd.DataFrame, experiment: Mapping[str, Any], clean: bool) -> float:
    """Mean characters of the documents; clean: whether the kind has still to clean the records."""
    kind, settings, prompts = _kind(experiment)
    lengths = []
    for record in spread(records, SAMPLED).to_dict("records"):
        record = {k: None if v is None or v != v else v for k, v in record.items()}
        if clean:
            if kind.check(record, settings):
                continue
            record = kind.clean(record, settings)
        lengths.append(_length(kind.document(record, prompts)))
    return sum(lengths) / max(1, len(lengths))


def _kind(experiment: Mapping[str, Any]) -> tuple[TaskKind, Section, Section]:
    """(the kind of the task, what it reads for the records, and for the prompts)."""
    kind, settings = load_kind(experiment["task"]["kind"]), experiment["settings"]
    records = kind.Records.from_params(settings["split"]["records"])
    return kind, records, kind.Prompts.from_params(settings["tokens"]["prompts"])


def _length(document: Any) -> int:
    """Characters of a document, whose prompt is text or a conversation."""
    prompt = document.prompt
    if not isinstance(prompt, str):
        prompt = "".join(text for _, text in prompt)
    return len(prompt) + len(document.completion)


def _test_records(experiment: Mapping[str, Any], training: int | None) -> int | None:
    """From the split, if there is one; otherwise from the number of training records."""
    task = experiment["task"]
    if split := _split(experiment):
        return split["test"]
    sizes = task["split"]
    if sizes["test"] >= 1:
        return int(sizes["test"])
    if training is None:
        return None
    number = sizes["validation"] if sizes["validation"] >= 1 else 0
    share = sizes["test"] + (0 if number else sizes["validation"])
    return round((training + number) / (1 - share) * sizes["test"]) if share < 1 else None


def _training_records(used: int, split: Mapping[str, Any]) -> int:
    held_out = (math.ceil(s * used) if s < 1 else s for s in (split["validation"], split["test"]))
    return max(1, used - sum(held_out))
