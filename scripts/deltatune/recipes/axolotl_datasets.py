"""The data sets of an Axolotl recipe: where the records are, and the task that they are for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deltatune.data.formats import SUFFIXES, TEXT_SUFFIXES, suffix
from deltatune.data.records import ALSO_CALLED
from deltatune.recipes.common import Pin, exists, is_local, pinned
from deltatune.recipes.translation import Translation, name_of, shown

#: Type of records with an instruction -> the columns of its fields; {} for those of Alpaca.
_INSTRUCT: dict[str, dict[str, str]] = {
    "alpaca": {},
    "alpaca_chat": {},
    "alpaca_instruct": {},
    "alpaca_chat.load_concise": {},
    "alpaca_chat.load_qa": {"instruction": "question", "output": "answer"},
    "alpaca_chat.load_camel_ai": {"instruction": "message_1", "output": "message_2"},
    "alpaca_w_system.load_open_orca": {"instruction": "question", "output": "response"},
    "gpteacher": {"instruction": "instruction", "input": "input", "output": "response"},
    "oasst": {"instruction": "INSTRUCTION", "output": "RESPONSE"},
    "jeopardy": {"instruction": "question", "input": "category", "output": "answer"},
    "summarizetldr": {"instruction": "article", "output": "summary"},
    "context_qa": {"instruction": "question", "input": "article", "output": "answer"},
    "context_qa.load_v2": {"instruction": "question", "input": "context", "output": "answer"},
    "creative_acr.load_answer": {"instruction": "instruction", "output": "revision"},
    "metharme": {"instruction": "prompt", "output": "generation"},
}
_SAME_PROMPT = ("alpaca", "alpaca_instruct")
_CHATS = ("chat_template", "chat_template.default", "sharegpt", "messages.chat", "messages")
_PROSE = ("completion", "pretrain")
_FORMATS = {"json": None, "csv": "csv", "parquet": "parquet", "text": "txt"}
_ELSEWHERE = ("s3://", "gs://", "gcs://", "adl://", "abfs://", "az://", "oci://")
_ROLE_KEYS, _CONTENT_KEYS = ("role", "from"), ("content", "value")
_TRAIN_KEYS = ("weight", "train", "train_on_turn")
_REASONING_KEYS = ("reasoning_content", "thinking")


@dataclass
class Part:
    """One data set of the recipe.

    section: of `datasets`; task: what the task has beside its data set and its length; parts: of a
    mixture, the sections of what it is of.
    """

    place: str
    name: str
    section: dict[str, Any]
    task: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)


def part(t: Translation, place: str, folder: Path, pin: Pin) -> Part:
    """The data set at `place` (`datasets.0`), its task included."""
    made = _source(t, place, folder, pin)
    given = t.get(f"{place}.type")
    is_pretraining = place.startswith("pretraining_dataset")
    if isinstance(given, dict):
        _own_prompt(t, place, given, made)
    else:
        kind = t.text(f"{place}.type") or ("pretrain" if is_pretraining else "")
        _by_type(t, place, kind, made)
    return made


# ---------------------------------------------------------------- where the records are


def _source(t: Translation, place: str, folder: Path, pin: Pin) -> Part:
    path, files = t.text(f"{place}.path"), t.get(f"{place}.data_files")
    if not path or path.startswith(_ELSEWHERE):
        t.refuse(f"{place}.path", "give a file, a folder, an address (https) or an id of the hub")
        return Part(place, "data", {})
    if path.startswith(("https://", "http://")):
        t.keep(f"{place}.path", "datasets.NAME.url", path)
        return Part(place, name_of(path, "data"), {"source": "url", "url": path})
    # `path: json` with data_files is how `datasets` names files.
    if files and (path in _FORMATS or is_local(path, folder)):
        listed = files if isinstance(files, list) else [files]
        if not all(isinstance(file, str) and file for file in listed):
            t.refuse(f"{place}.data_files", "give a file or a list of files")
            return Part(place, "data", {})
        made = _of_files(t, place, [_within(path, file, folder) for file in listed])
        t.keep(f"{place}.data_files", "datasets.NAME.path", made.section["path"])
        t.answer(f"{place}.path", "the files are named in `path` of the data set")
        return made
    # A file that is not there (yet) is no repository.
    if is_local(path, folder) or suffix(path) in (*SUFFIXES, *TEXT_SUFFIXES):
        made = _of_files(t, place, [path])
        t.keep(f"{place}.path", "datasets.NAME.path", path)
        return made
    if files:
        t.refuse(
            f"{place}.data_files",
            "files of a repository of the hub cannot be named one by one; download them, and give "
            "them as `path`",
        )
    return _of_hub(t, place, path, pin)


def _within(path: str, file: str, folder: Path) -> str:
    inside = path not in _FORMATS and exists(f"{path}/{file}", folder)
    return f"{path.rstrip('/')}/{file}" if inside else file


def _of_files(t: Translation, place: str, paths: list[str]) -> Part:
    section: dict[str, Any] = {"source": "file", "path": paths[0] if len(paths) == 1 else paths}
    kind = t.text(f"{place}.ds_type")
    if kind and kind not in _FORMATS:
        t.refuse(f"{place}.ds_type", f"{shown(kind)} is not read; save it as parquet or jsonl")
    known = (*SUFFIXES, *TEXT_SUFFIXES)
    if kind and _FORMATS.get(kind) and suffix(paths[0]) not in known:
        section["format"] = t.keep(f"{place}.ds_type", "datasets.NAME.format", _FORMATS[kind])
    else:
        t.answer(f"{place}.ds_type", "the format is that of the suffix")
    return Part(place, name_of(re.sub(r"(\.\w+)+$", "", paths[0]), "data"), section)


def _of_hub(t: Translation, place: str, id: str, pin: Pin) -> Part:
    name = name_of(id, "data")
    where = f"datasets.{name}"
    section = {"source": "hub", "id": t.keep(f"{place}.path", f"{where}.id", id)}
    if config := t.text(f"{place}.name"):
        section["config"] = t.keep(f"{place}.name", f"{where}.config", config)
    section |= pinned(t, "dataset", id, f"{place}.revision", where, pin)
    made = Part(place, name, section)
    _split(t, place, made, where)
    return made


def _split(t: Translation, place: str, made: Part, where: str) -> None:
    """`split`, which may be cut: train[:1000]."""
    given = t.text(f"{place}.split")
    if given is None:
        return
    whole, _, cut = given.partition("[")
    made.section["split"] = whole
    if not cut:
        t.keep(f"{place}.split", f"{where}.split", whole)
    elif count := re.fullmatch(r":(\d+)\]", cut):
        made.task["split"] = {"max_records": int(count[1])}
        t.keep(f"{place}.split", f"{where}.split", whole, "and split.max_records, drawn at random")
    else:
        t.lose(f"{place}.split", f"{where}.split: {whole}, all of it; see `split.max_records`")


# ---------------------------------------------------------------- what they are


def _by_type(t: Translation, place: str, given: str, made: Part) -> None:
    kind, _, style = given.partition(":")
    at = f"{place}.type"
    if kind in _INSTRUCT:
        made.task |= {"kind": "instruct", "prompt": "alpaca"}
        if _INSTRUCT[kind]:
            made.section["columns"] = dict(_INSTRUCT[kind])
        if kind in _SAME_PROMPT and not style:
            t.keep(at, "tasks.NAME.kind", "instruct", "prompt: alpaca")
        else:
            t.lose(
                at,
                "tasks.NAME.kind: instruct, with `prompt: alpaca`; the words around the fields "
                "were others, see `prompt`",
            )
    elif kind in _CHATS:
        t.keep(at, "tasks.NAME.kind", "chat", "rendered by the model's own template")
        _chat(t, place, made)
    elif kind in _PROSE:
        made.task["kind"] = t.keep(at, "tasks.NAME.kind", "prose")
        column = t.text(f"{place}.field") or t.text(f"{place}.text_column") or "text"
        made.section["columns"] = {"text": column}
        for name in filter(lambda name: t.get(f"{place}.{name}"), ("field", "text_column")):
            t.keep(f"{place}.{name}", "datasets.NAME.columns.text", column)
    elif not given:
        t.refuse(at, "without a type the records are tokens, which are not read; give the texts")
    else:
        t.refuse(
            at,
            f"{shown(given)} is not translated; write a task of kind instruct, chat or prose "
            "with `columns` of the data set, see docs/data.md",
        )


def _chat(t: Translation, place: str, made: Part) -> None:
    made.task["kind"] = "chat"
    column = t.text(f"{place}.field_messages")
    tools = t.text(f"{place}.field_tools")
    # Known by its name; with `columns` its `system` and `tools`, which they read, would not be.
    is_known = column in ("messages", ALSO_CALLED["messages"]) and not tools
    if (column or tools) and not is_known:
        made.section["columns"] = {"messages": column or "messages"}
    if is_known:
        t.answer(f"{place}.field_messages", "the column is known by its usual name")
    elif column:
        t.keep(f"{place}.field_messages", "datasets.NAME.columns.messages", column)
    if tools:
        made.section["columns"]["tools"] = tools
        t.keep(f"{place}.field_tools", "datasets.NAME.columns.tools", tools)
    _keys(t, place)
    for name in ("train_on_eos", "train_on_eot"):
        if t.get(f"{place}.{name}") not in (None, "turn"):
            t.lose(f"{place}.{name}", "the end of each learned turn is learned, and no other")
    roles = t.get(f"{place}.roles_to_train")
    if roles is not None and roles not in (["assistant"], ["gpt"], ["gpt", "assistant"]):
        t.lose(f"{place}.roles_to_train", "turns of the assistant alone are learned")
    template = t.text(f"{place}.chat_template") or t.text("chat_template")
    if template and not template.startswith("tokenizer_default"):
        t.to_do.append(
            f"the chat template was {shown(template)}; here it is the model's own: a base "
            "without one is refused, and its chat model has one"
        )


def _keys(t: Translation, place: str) -> None:
    """Keys inside of messages, which cannot be mapped, only known."""
    mappings = t.get(f"{place}.message_property_mappings")
    mappings = mappings if isinstance(mappings, dict) else {}
    for at, given, known in (
        ("message_property_mappings", mappings.get("role"), _ROLE_KEYS),
        ("message_property_mappings", mappings.get("content"), _CONTENT_KEYS),
        ("message_field_role", t.get(f"{place}.message_field_role"), _ROLE_KEYS),
        ("message_field_content", t.get(f"{place}.message_field_content"), _CONTENT_KEYS),
    ):
        if given is not None and given not in known:
            t.refuse(f"{place}.{at}", f"the key {shown(given)} is not known; {_any(known)} is")
    for at, known in (
        ("message_field_training", _TRAIN_KEYS),
        ("field_thinking", _REASONING_KEYS),
    ):
        given = t.get(f"{place}.{at}")
        if given is not None and given not in known:
            t.lose(f"{place}.{at}", f"the key {shown(given)} is not known; {_any(known)} is")


def _any(names: tuple[str, ...]) -> str:
    return " or ".join(names)


def _own_prompt(t: Translation, place: str, given: dict[str, Any], made: Part) -> None:
    """A type with fields and formats of its own."""
    texts = {key: value for key, value in given.items() if isinstance(value, str)}
    at = f"{place}.type"
    if given.keys() - texts.keys() - {k for k, v in given.items() if v is None}:
        t.refuse(at, "its fields and formats are texts")
        return
    instruction = texts.get("field_instruction")
    columns = {"instruction": instruction, "input": texts.get("field_input")}
    columns |= {"output": texts.get("field_output")}
    if not columns["instruction"] or not columns["output"]:
        t.refuse(at, "name field_instruction and field_output")
        return
    made.section["columns"] = {field: column for field, column in columns.items() if column}
    prefix = texts.get("system_format", "{system}").replace("{system}", "\0")
    system = re.sub(r"([{}])", r"\1\1", texts.get("system_prompt", ""))
    prefix = prefix.replace("\0", system) if system else ""
    without = texts.get("no_input_format", "{instruction} ").rstrip(" ")
    with_input = texts.get("format", "{instruction} {input} ").rstrip(" ")
    if "{input}" not in with_input:  # never rendered: no column is the input
        with_input = f"{without}\n{{input}}"
    made.task |= {
        "kind": "instruct",
        "prompt": {"with_input": prefix + with_input, "without_input": prefix + without},
    }
    if texts.get("field_system"):
        t.lose(at, "tasks.NAME.prompt; a system prompt of each record takes `kind: chat`")
    else:
        t.keep(at, "tasks.NAME.kind", "instruct", "with columns and a prompt of its own")
