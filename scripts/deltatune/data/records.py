"""Records of a frame, one after the other, without all of them in memory as Python objects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

BATCH = 10_000
"""Records that are Python objects at once."""
GROUP = "group:"
"""Before the name of a column that is kept for `split.group` or `split.column` alone, so that no
task takes it for one of its fields."""
GIVEN = "split:"
"""The field with the split that the source gives a record, one of SPLITS; it is there where a
dataset names its splits, and not among the fields of a split record."""
SPLITS = ("train", "validation", "test")
SPLIT_NAMES = {
    **{name: "train" for name in ("train", "training")},
    **{name: "validation" for name in ("validation", "valid", "val", "dev", "development", "eval")},
    **{name: "test" for name in ("test", "testing")},
}
"""What data call a split -> the split."""
GROUP_ID = "group"
"""The field of a split record with the name of its group, "" for a record by itself; it is there
where `split.group` is set."""
CHAPTER = "chapter"
"""The field with the chapter of a text, "" for none; a record need not have it."""
STRUCTURED = ("messages", "system", "tools")
"""Fields of conversations, which are lists of objects in most sources: kept as text in JSON."""
ALSO_CALLED = {"messages": "conversations", "tools": "functions"}
"""Field -> the name that some sources have for it."""
ROLES = {
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "model", "bot", "function_call"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("tool", "function", "observation", "tool_response", "ipython"), "tool"),
}
"""The name of a role in a conversation -> that in chat templates."""
ORIGINS = ["dataset", "dataset_row"]
"""Of which dataset a record of a mixture is, and its row there: columns of split records and of
tables of what was left out."""
ORIGIN_FIELDS = ["origin:dataset", "origin:row"]
"""The same in records.parquet, where no task takes them for its fields."""
OFFSETS = ("source_start", "source_end")
"""The fields of a chunk: where in the source text it begins and ends, in characters."""
PARAGRAPH_GAP = "\n\n"
"""Between two paragraphs of a source text."""


def group_columns(group: str | list[str] | None) -> list[str]:
    """The columns of `split.group`, each once."""
    names = [group] if isinstance(group, str) else group or []
    return list(dict.fromkeys(names))


def as_dicts(records: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Records as dicts, null as None (pandas would give NaN), a batch in memory at a time."""
    names = list(records.columns)
    for start in range(0, len(records), BATCH):
        part = records.iloc[start : start + BATCH]
        columns = [_objects(part[name]) for name in names]
        for values in zip(*columns, strict=True):
            yield dict(zip(names, values, strict=True))


def streamed(path: str | Path) -> Iterator[dict[str, Any]]:
    """The same of a Parquet file, which is read a batch at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH):
            yield from as_dicts(batch.to_pandas())


def column(path: str | Path, name: str) -> list[Any]:
    """One field of all records of a Parquet file."""
    import pyarrow.parquet as pq

    return pq.read_table(path, columns=[name])[name].to_pylist()


def _objects(column: pd.Series) -> list[Any]:
    values = column.astype(object)
    return values.where(values.notna(), None).tolist()
