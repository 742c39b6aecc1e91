"""How many tokens and steps an experiment is trained on.

Exactly, where the rows have been packed; otherwise from the records, with four characters to a
token; otherwise from what is known of a public data set.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from deltatune.config.model import FileDataset, HubDataset, UrlDataset, given_splits
from deltatune.config.stages import split_settings, token_settings
from deltatune.core.schema import Section
from deltatune.data.formats import source_files
from deltatune.data.given import split_of
from deltatune.data.records import GIVEN, GROUP
from deltatune.data.split_settings import Split
from deltatune.models.batch import total_steps
from deltatune.plan.settings import Planned
from deltatune.tasks.base import TaskKind, TaskSettings, labeled, spread
from deltatune.tasks.registry import fields_of, load_kind
from deltatune.tokens.prompts import document_length
from deltatune.train.settings import Training

CHARACTERS = 4
"""Characters per token: English text under a vocabulary of 32,000 pieces has about so many."""
PADDING = 0.02
"""Share of packed rows that is padding."""
_CLASS = "category"
"""Stands for the classes of records that are not here yet."""
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

    def steps(self, training: Training) -> int | None:
        """Optimizer steps of a training run."""
        if self.rows is None:
            return training.max_steps
        rows_per_step = training.batch_size * training.gradient_accumulation
        return total_steps(self.rows, rows_per_step, training.epochs, training.max_steps)


def work(experiment: Planned, known: Mapping[str, Any], results: Path) -> Work:
    """Tokens and packed rows of an experiment.

    known: sizes of public data sets, by hub id or address. results: see `plan.make`.
    """
    task, split = experiment.task, _split(experiment, results)
    length = task.max_length
    packed = _manifest(results / experiment.files.tokens)
    if packed and packed["settings"] == _plain(token_settings(experiment.task_name, task)):
        rows, row_length = packed["rows"], packed["row_length"]
        test = _test_records(experiment, split, None)
        return Work(packed["tokens"], rows, row_length, "exact", "the packed rows", test)
    lengths = _lengths(experiment, known, results, bool(split))
    if lengths is None:
        most = task.split.max_records
        if most is None:
            test = _test_records(experiment, split, None)
            return Work(None, None, length, "unknown", "the data set is not here yet", test)
        count = _training_records(most, task.split)
        test = _test_records(experiment, split, count)
        source = "split.max_records × max_length"
        return Work(count * length, count, length, "at most", source, test)
    documents, characters, source = lengths
    tokens = documents * (characters / CHARACTERS + 2)  # with what begins and ends a document
    if task.overflow != "split":
        tokens = min(tokens, documents * length)
    rows = max(1, math.ceil(tokens / (1 - PADDING) / length)) if task.packing else documents
    # One row is no longer than what it holds.
    row_length = min(length, math.ceil(tokens / rows)) if rows == 1 else length
    test = _test_records(experiment, split, documents)
    return Work(round(tokens), rows, row_length, "estimated", source, test)


def _manifest(file: Path) -> dict[str, Any] | None:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def _plain(settings: Section) -> dict[str, Any]:
    """As a manifest has them."""
    return settings.model_dump(mode="json")


def _split(experiment: Planned, results: Path) -> dict[str, Any] | None:
    """The manifest of the split, where it was made with the settings that config.yaml has now."""
    split = _manifest(results / experiment.files.split)
    settings = split_settings(experiment.task_name, experiment.task)
    return split if split and split["settings"] == _plain(settings) else None


def _lengths(
    experiment: Planned, known: Mapping[str, Any], results: Path, is_split: bool
) -> tuple[int, float, str] | None:
    """(training documents, mean characters of one, source), from the best that is there."""
    train = results / experiment.files.train
    if train.is_file() and is_split:
        records = pd.read_parquet(train)
        lengths = _characters(records, experiment.task, clean=False)
        return len(records), lengths, "the training records"
    records = results / experiment.files.records
    if records.is_file():
        # As split_dataset reads it: a text may be "NA".
        text = {"dtype": {"chapter": str, "text": str}, "keep_default_na": False}
        is_csv = records.suffix == ".csv"
        frame = pd.read_csv(records, **text) if is_csv else pd.read_parquet(records)
        return _of_records(frame, experiment.task, "the records")
    files = experiment.paths
    if files and all(Path(file).is_file() for file in files):
        named = files[0] if len(files) == 1 else f"{len(files)} files"
        return _of_records(_source(experiment), experiment.task, named)
    return _of_known(experiment, known)


def _of_records(records: pd.DataFrame, task: TaskSettings, source: str) -> tuple[int, float, str]:
    fields = [GIVEN, task.split.column, f"{GROUP}{task.split.column}"]
    named_in = [field for field in fields if field in records]
    given = records[named_in[0]].map(split_of) if named_in else pd.Series(dtype=object)
    named, total = {*given.dropna()}, len(records)
    records = records[given == "train"] if named else records
    most = math.ceil((task.split.max_records or total) * len(records) / max(1, total))
    used = min(len(records), most)
    characters = _characters(records.head(used), task, clean=True)
    return _training_records(used, task.split, named), characters, source


def _of_known(experiment: Planned, known: Mapping[str, Any]) -> tuple[int, float, str] | None:
    """From what is known about a public data set."""
    dataset, task = experiment.dataset, experiment.task
    kind = load_kind(task.kind)
    name = ""
    if isinstance(dataset, HubDataset):
        name = dataset.id
    elif isinstance(dataset, UrlDataset):
        name = _book(dataset.url)
    facts = known.get(name)
    if not facts:
        return None
    sizes, count = facts["characters"], facts["records"]
    if experiment.text:
        # Chunks end with a sentence, so they are a little shorter than they may be.
        chunk = 0.9 * dataset.chunks.max_words * 6
        count, sizes = math.ceil(sizes["text"] / chunk), {"text": round(chunk)}
    record = {field: "x" * length for field, length in sizes.items()}
    _, prompts = _as_read(pd.DataFrame(), kind, task)
    if kind.LABEL_FIELD and kind.LABEL_FIELD not in record:
        record[kind.LABEL_FIELD] = prompts.labels[0]
    if not set(kind.TEXT_FIELDS) <= {*record, *kind.OPTIONAL_FIELDS}:
        return None
    used = min(count, task.split.max_records or count)
    length = document_length(kind.document(record, prompts))
    count = _training_records(used, task.split, given_splits(dataset))
    return count, length, f"what is known of {name}"


def _book(url: str) -> str:
    """gutenberg.org/NUMBER for an address of a book at Project Gutenberg, otherwise as it is."""
    book = re.search(r"gutenberg\.org/(?:cache/epub|ebooks|files)/(\d+)", url)
    return f"gutenberg.org/{book[1]}" if book else url


def _source(experiment: Planned) -> pd.DataFrame:
    """The records of the files, read as fetch_dataset reads them."""
    from deltatune.data import chunking
    from deltatune.data.readers import read

    dataset, paths = experiment.dataset, [Path(file) for file in experiment.paths]
    with tempfile.TemporaryDirectory() as folder:
        files = {
            "write": Path(folder) / "records.parquet",
            "rejects": Path(folder) / "rejects.csv",
            "where": f"datasets.{experiment.task.dataset}",
        }
        if experiment.text:
            read.read_text(paths, **files)
            frame = pd.read_parquet(files["write"])
            most, documents = dataset.chunks.max_words, frame.get("document")
            return chunking.chunk_text(frame["text"], most, documents)
        format = dataset.format if isinstance(dataset, FileDataset) else None
        parts = dataset.parts if isinstance(dataset, FileDataset) else {}
        splits = [name for name, named in parts.items() if name for _ in source_files(named)]
        about = {"used": fields_of([experiment.task.kind]), "splits": splits or None}
        read.read_records(paths, format, dataset.columns, **files, **about)
        return pd.read_parquet(files["write"])


def _characters(records: pd.DataFrame, task: TaskSettings, clean: bool) -> float:
    """Mean characters of the documents; clean: whether the kind has still to clean the records."""
    kind = load_kind(task.kind)
    settings, prompts = _as_read(records, kind, task)
    lengths = []
    for record in spread(records, SAMPLED).to_dict("records"):
        record = {k: None if v is None or v != v else v for k, v in record.items()}
        if clean:
            if kind.check(record, settings):
                continue
            record = kind.clean(record, settings)
        lengths.append(document_length(kind.document(record, prompts)))
    return sum(lengths) / max(1, len(lengths))


def _as_read(records: pd.DataFrame, kind: TaskKind, task: TaskSettings) -> tuple[Section, Section]:
    """Settings of the records and of the prompts, with the classes that these records show where
    config.yaml names none."""
    settings, prompts = kind.Records.part_of(task), token_settings("", task)
    if not kind.LABEL_FIELD:
        return settings, prompts.prompts
    if kind.LABEL_FIELD in records:
        settings, _ = kind.read_labels(records[kind.LABEL_FIELD].dropna().unique(), settings)
    return settings, labeled(kind, prompts, kind.label_names(settings) or [_CLASS]).prompts


def _test_records(
    experiment: Planned, split: Mapping[str, Any] | None, training: int | None
) -> int | None:
    """From the manifest of the split, if there is one; otherwise from the number of training
    records, unless the test may be given."""
    sizes = experiment.task.split
    if split:
        return split["test"]
    if sizes.column is not None or "test" in given_splits(experiment.dataset):
        return None
    if sizes.test >= 1:
        return int(sizes.test)
    if training is None:
        return None
    number = sizes.validation if sizes.validation >= 1 else 0
    share = sizes.test + (0 if number else sizes.validation)
    return round((training + number) / (1 - share) * sizes.test) if share < 1 else None


def _training_records(used: int, split: Split, given: Collection[str] = ()) -> int:
    """given: the splits that are not cut from these records."""
    sizes = {"validation": split.validation, "test": split.test}
    cut = [size for name, size in sizes.items() if name not in given]
    held_out = (math.ceil(size * used) if size < 1 else size for size in cut)
    left = max(1, used - sum(held_out))
    return min(left, split.train or left)
