"""The data sets of a LLaMA-Factory recipe: names that a dataset_info.json explains."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deltatune.core.errors import UserError
from deltatune.core.text import did_you_mean
from deltatune.recipes.common import Pin, exists, pinned
from deltatune.recipes.translation import Translation, name_of, shown

INFO = "dataset_info.json"
_LARGEST = 16 * 2**20
_ONLINE = "ONLINE"
_SOURCES = ("ms_hub_url", "om_hub_url", "script_url", "cloud_file_name")
_PICTURES = ("images", "videos", "audios")
_PREFERENCES = ("chosen", "rejected", "kto_tag")
#: Tag -> the values that are known here without being named.
_TAGS = {
    "role_tag": ("role", "from"),
    "content_tag": ("content", "value"),
    "user_tag": ("user", "human"),
    "assistant_tag": ("assistant", "gpt", "chatgpt", "model", "bot"),
    "observation_tag": ("observation", "tool", "function", "tool_response", "ipython"),
    "function_tag": ("function_call",),
    "system_tag": ("system", "developer"),
}


@dataclass
class Part:
    """name: as the recipe has it. is_chat: whether the records are conversations. parts: of a
    mixture, the sections of what it is of."""

    name: str
    section: dict[str, Any]
    is_chat: bool = False
    max_records: int | None = None
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass
class Catalog:
    """The data sets that names stand for.

    start: where relative paths start; folder: of the files; None: names are ids of the hub.
    """

    start: Path
    folder: Path | None
    entries: dict[str, Any] = field(default_factory=dict)


def catalog(t: Translation, recipe: Path, folder: Path) -> Catalog:
    """Read the dataset_info.json that `dataset_dir` names.

    Relative folders start where LLaMA-Factory is run, which is not known: `folder`, where this
    program is run, and then each folder above the recipe are tried.
    """
    given = t.text("dataset_dir", "data") or "data"
    if given == _ONLINE:
        return Catalog(folder, None)
    if given.startswith("REMOTE:"):
        t.refuse("dataset_dir", f"download {INFO} and its files, and name their folder")
        return Catalog(folder, None)
    tried = [folder / given, *(above / given for above in recipe.resolve().parents)]
    for place in tried:
        if exists(INFO, place):
            return Catalog(folder, place, _read(place / INFO))
    t.refuse(
        "dataset_dir",
        f"there is no {INFO} in {shown(given)}, neither here nor beside or above the recipe; "
        "it says what the names of data sets stand for: run this in the folder of LLaMA-Factory, "
        "or give the whole path in dataset_dir",
    )
    return Catalog(folder, folder)


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST:
            raise UserError(f"{path} is larger than {_LARGEST // 2**20} MiB")
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(entries, dict):
        raise UserError(f"{path}: no object of data sets by their names")
    return entries


def part(t: Translation, place: str, name: str, known: Catalog, pin: Pin, prose: bool) -> Part:
    """The data set of a name; `place` is the field that has it."""
    if known.folder is None:
        where = f"datasets.{name_of(name, 'data')}"
        section = {"source": "hub", "id": name}
        return Part(name, section | pinned(t, "dataset", name, "", where, pin))
    entry = known.entries.get(name)
    if not isinstance(entry, dict):
        near = did_you_mean(name, known.entries)
        t.refuse(place, f"{INFO} has no {shown(name)}{near}")
        return Part(name, {})
    made = Part(name, _source(t, place, name, entry, known, pin))
    made.is_chat = entry.get("formatting", "alpaca") in ("sharegpt", "openai")
    columns = entry.get("columns")
    columns = columns if isinstance(columns, dict) else {}
    _no_others(t, place, name, entry, columns)
    if made.is_chat:
        _messages(t, place, name, entry, columns, made)
    elif prose:
        column = columns.get("prompt") or "instruction"
        made.section["columns"] = {"text": column}
    elif columns:
        _instruction(t, name, columns, made)
    count = entry.get("num_samples")
    made.max_records = count if isinstance(count, int) else None
    return made


def _source(
    t: Translation, place: str, name: str, entry: dict[str, Any], known: Catalog, pin: Pin
) -> dict[str, Any]:
    if isinstance(entry.get("hf_hub_url"), str):
        where = f"datasets.{name_of(name, 'data')}"
        section = {"source": "hub", "id": entry["hf_hub_url"]}
        section |= {
            key: entry[other]
            for key, other in (("config", "subset"), ("split", "split"))
            if isinstance(entry.get(other), str)
        }
        if entry.get("folder"):
            t.refuse(place, f"{shown(name)}: a folder of a repository cannot be named")
        return section | pinned(t, "dataset", entry["hf_hub_url"], "", where, pin)
    if isinstance(entry.get("file_name"), str) and not any(map(entry.get, _SOURCES)):
        path = os.path.abspath(known.folder / entry["file_name"])
        start = os.path.abspath(known.start)
        shorter = os.path.relpath(path, start) if Path(path).is_relative_to(start) else path
        return {"source": "file", "path": shorter}
    t.refuse(place, f"{shown(name)}: only hf_hub_url and file_name are read; download it")
    return {"source": "file", "path": name}


def _no_others(
    t: Translation, place: str, name: str, entry: dict[str, Any], columns: dict[str, Any]
) -> None:
    if entry.get("ranking") or any(map(columns.get, _PREFERENCES)):
        t.refuse(place, f"{shown(name)} has preference pairs, for another stage; see docs/data.md")
    if any(map(columns.get, _PICTURES)):
        t.refuse(place, f"{shown(name)} has images or sound; the models here read text")


def _messages(
    t: Translation,
    place: str,
    name: str,
    entry: dict[str, Any],
    columns: dict[str, Any],
    made: Part,
) -> None:
    named = {"messages": columns.get("messages") or "conversations"}
    named |= {key: columns[key] for key in ("system", "tools") if columns.get(key)}
    made.section["columns"] = named
    tags = entry.get("tags")
    for tag, value in (tags if isinstance(tags, dict) else {}).items():
        if tag in _TAGS and value not in _TAGS[tag]:
            t.refuse(
                place,
                f"{shown(name)}: {tag} {shown(value)} is not known; {' or '.join(_TAGS[tag])} is",
            )


def _instruction(t: Translation, name: str, columns: dict[str, Any], made: Part) -> None:
    named = {
        ours: columns[theirs]
        for ours, theirs in (("instruction", "prompt"), ("input", "query"), ("output", "response"))
        if columns.get(theirs)
    }
    # What the entry does not name is not there; a field under its own name needs no mapping.
    if any(ours != column for ours, column in named.items()) or "input" not in named:
        made.section["columns"] = named
    for key in ("history", "system"):
        if columns.get(key):
            t.to_do.append(
                f"{shown(name)}: the column {shown(columns[key])} ({key}) is not read by "
                "`kind: instruct`; save such records as `messages` for `kind: chat`"
            )


def names(t: Translation, place: str) -> list[str]:
    """The data sets of a field: a text with commas, or a list."""
    given = t.get(place)
    given = given.split(",") if isinstance(given, str) else given
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        t.refuse(place, "give the names of data sets, with commas between them")
        return []
    return [name.strip() for name in given if name.strip()]
