"""What became of the records of a task, from the manifests of the stages that they went through.

Each number follows from those before it: rows or paragraphs of the source, less what could not be
read; of a text the chunks cut from it; less what is unusable, repeated or beyond `max_records`,
what is kept; and that in splits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from deltatune.core import manifest
from deltatune.data import reasons

SPLITS = ("train", "validation", "test")


def of_task(task: Mapping[str, Any]) -> dict[str, Any]:
    """task: "files", manifests: dataset, split, tokens {split: path}, chunks of a text and parts
    (those of the datasets of a mixture); "tokenized_for", the model whose tokens they are. Keys:
    those of `ReportData.records`."""
    files = task["files"]
    split = manifest.read(files["split"])
    tokens = {name: manifest.read(path) for name, path in files["tokens"].items()}
    sizes = {name: split[name] for name in SPLITS}
    return {
        **_source(files),
        "records": split["records"],
        "unusable": _labels(split["rejected"]),
        "beyond_max_records": split["beyond_max_records"],
        **_repeated(split),
        "kept": sum(sizes.values()),
        "splits": sizes,
        **_kept_of_parts(split),
        **{key: split[key] for key in ("groups", "chapters", "divided_chapters") if key in split},
        **split["leakage"],
        "tokenized_for": task["tokenized_for"],
        "split_up": sum(one["split"] for one in tokens.values()),
        "truncated": sum(one["truncated"] for one in tokens.values()),
        "dropped": sum(one["dropped"] for one in tokens.values()),
        **_not_written(tokens.values()),
        **{key: tokens["train"][key] for key in ("class_weights",) if key in tokens["train"]},
        "supervised_tokens": tokens["train"]["supervised_tokens"],
        "padding_share": tokens["train"]["padding_share"],
        "notes": _notes(files),
    }


def _notes(files: Mapping[str, Any]) -> list[str]:
    """What was understood of the records beyond the settings, from the source to the split."""
    read = [*files.get("parts", []), files["dataset"], files["split"]]
    return [note for path in read for note in manifest.read(path).get("notes", [])]


def _not_written(tokens: Collection[Mapping[str, Any]]) -> dict[str, int]:
    """Conversations of which the chat template does not write all, where there are any."""
    counts = {
        key: sum(one.get(key, 0) for one in tokens)
        for key in ("without_reasoning", "without_tools")
    }
    return {key: count for key, count in counts.items() if count}


def near_duplicate_threshold(split: Mapping[str, Any]) -> float | None:
    """From a manifest of split_dataset; None where near duplicates were not looked for."""
    return split["settings"]["split"]["near_duplicates"]


def _source(files: Mapping[str, Any]) -> dict[str, Any]:
    source = manifest.read(files["dataset"])
    unread = {"unread": _labels(source["reasons"])}
    if "chunks" not in files:
        return {"rows": source["rows"], **unread}
    chunks = manifest.read(files["chunks"])
    return {
        "paragraphs": source["rows"],
        **unread,
        "headings": len(chunks["headings_left_out"]),
        "chunks": chunks["chunks"],
    }


def _labels(counts: Mapping[str, int]) -> dict[str, int]:
    """Reason in words -> number, from codes."""
    return {reasons.Code(code).label: count for code, count in counts.items()}


def _kept_of_parts(split: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """The records in splits of each dataset of a mixture; {} where it is none."""
    if "parts" not in split:
        return {}
    kept = {name: sum(part.get(key, 0) for key in SPLITS) for name, part in split["parts"].items()}
    return {"parts": kept}


def _repeated(split: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers of repeated records; of near ones and their threshold only where they were looked
    for."""
    excluded = split["excluded"]
    near = excluded.get(reasons.Code.NEAR_DUPLICATE, 0)
    threshold = near_duplicate_threshold(split)
    counts: dict[str, Any] = {"duplicates": sum(excluded.values()) - near}
    if threshold is not None:
        counts |= {"near_duplicates": near, "near_duplicate_threshold": threshold}
    return counts
