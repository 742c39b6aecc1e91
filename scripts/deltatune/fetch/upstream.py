"""Workarounds for huggingface_hub and datasets, and what is known of their insides.

tests/hub/test_upstream.py fails when one of them can go.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import constants
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import WeakFileLock

if TYPE_CHECKING:
    from datasets import DatasetBuilder, IterableDataset


@contextmanager
def locked_blob(kind: str, id: str, sha256: str) -> Iterator[Path]:
    """The file in which the cache keeps a large file, locked as huggingface_hub locks it.

    huggingface_hub gives an unfinished download another name each time and starts over
    (huggingface/huggingface_hub#4196, seen in 2.4.0), so `download.fetch` fills the file in its
    place, and `snapshot_download` finds it there.
    """
    cache = Path(constants.HF_HUB_CACHE)
    repo = repo_folder_name(repo_id=id, repo_type=kind)
    lock = cache / ".locks" / repo / f"{sha256}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        yield cache / repo / "blobs" / sha256


def dataset_builder(id: str, config: str | None, commit: str) -> DatasetBuilder:
    """`datasets.load_dataset_builder` of this commit and no other.

    Where it cannot reach the hub it takes any revision that it has once prepared
    (huggingface/datasets#7928, seen in 5.2.0), so it is given an empty cache.
    """
    import datasets  # more than a second

    with tempfile.TemporaryDirectory() as empty:
        return datasets.load_dataset_builder(id, config, revision=commit, cache_dir=empty)


def stream_from_disk(builder: DatasetBuilder, split: str, files: list[Path]) -> IterableDataset:
    """A split from files on disk, with the separators, columns and types that its repository
    declares. `load_dataset_builder` refuses such files as `data_files` (seen in datasets 5.2.0)."""
    from datasets.data_files import DataFilesDict, DataFilesList

    declared = builder.config.data_files
    local = DataFilesList([str(file) for file in files], declared[split].origin_metadata)
    builder.config.data_files = DataFilesDict({split: local})
    try:
        return builder.as_streaming_dataset(split=split)
    finally:
        builder.config.data_files = declared


def class_names(stream: IterableDataset) -> dict[str, list[str]]:
    """Column -> the names of its classes in the order of their indices, which the records have."""
    from datasets import ClassLabel

    features = stream.features or {}
    return {name: one.names for name, one in features.items() if isinstance(one, ClassLabel)}


def unreadable(error: Exception) -> tuple[str, str]:
    """(the setting at fault, the first sentence) of an error of datasets about a configuration that
    is unknown or was not named, or about a repository without data: it has no types for them."""
    reason = " ".join(str(error).partition("Example of usage")[0].split())[:400]
    return "config" if "onfig" in reason else "id", reason
