"""Hostile records: texts, values, and files of every format that hold them."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

PIECES = [
    "", " ", "\t", "\n", "\r", "\r\n", "\u2028", "\x85", "\u00a0", "\u200b", "\ufeff", "\u202e",
    "\u0301", "e\u0301", "é", "ﬁ", "漢字", "🎉", "👩‍👩‍👧", "العربية", "\x1b[31m", "\x07", "\x1c",
    "word", "Word", "a", "NA", "nan", "null", "None", "-1", "0", "1", "007", "1e5", "١", '"', "'",
    ",", ";", "\\", "{", "}", "{{text}}", "{text}", "{0}", "%s", "$(id)", "`id`", "</s>", "<s>",
    "<unk>", "<pad>", "[INST]", "[/INST]", "<<SYS>>", "### Response:", "</script>", "<!--",
    "<img src=x onerror=alert(1)>", "{% raw %}", "=cmd|' /C calc'!A0", "x" * 50, "word " * 30,
    "<|im_start|>", "<|endoftext|>", "\ue000", "\ue0001\ue000", "\ufffd", "CHAPTER 1", "\n\n",
]  # fmt: skip
"""What becomes something else where text is taken for markup, a template, a number or a token."""

TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=5).map("".join)
"""Any text, also one that cannot be kept: with NUL, or half a surrogate pair."""
GOOD = TEXTS.map(lambda text: text.replace("\0", "").encode("utf-8", "ignore").decode())
"""Any text that a record may hold."""

LABELS = ["World", "0"]
_LABEL = st.sampled_from([*LABELS, "1", "2", "99", "world", "", " Sports ", "9" * 5000, "١", "NA"])
_ODD = st.none() | st.booleans() | st.integers() | st.floats() | st.just([1]) | st.just({"a": 1})

FIELDS = {
    "classify": {"text": TEXTS, "label": _LABEL},
    "instruct": {"instruction": TEXTS, "input": TEXTS, "output": TEXTS},
    "prose": {"text": TEXTS, "chapter": TEXTS},
}


@st.composite
def rows(draw: Any, kind: str, least: int = 0, most: int = 20) -> list[dict[str, Any]]:
    """Records of a kind: some as they should be, some with fields gone, odd or too many."""
    fields = FIELDS[kind]
    records = draw(st.lists(st.fixed_dictionaries(fields), min_size=least, max_size=most))
    tame = draw(st.booleans())
    for number, row in enumerate(records):
        if tame and number % 4:
            # Most of them usable, so that the rest of the way is gone too.
            for name in fields:
                row[name] = (
                    f"{number} {row[name]}".replace("\0", "").encode("utf-8", "ignore").decode()
                )
            if kind == "classify":
                row["label"] = LABELS[number % 2]
            continue
        change = draw(st.sampled_from(["", "", "", "", "", "odd", "gone", "more", "copy", "id"]))
        name = draw(st.sampled_from(list(fields)))
        if change == "odd":
            row[name] = draw(_ODD)
        elif change == "gone":
            del row[name]
        elif change == "more":
            row[draw(TEXTS)] = draw(TEXTS)
        elif change == "copy":
            row.update(records[0])
        elif change == "id":
            row["id"] = draw(TEXTS)
    return records


def as_file(records: list[dict[str, Any]], format: str) -> bytes:
    """The records in a format, as far as it can hold them."""
    if format in ("json", "jsonl"):
        lines = [json.dumps(row, default=str) for row in records]
        return ("\n".join(lines) if format == "jsonl" else f"[{','.join(lines)}]").encode()
    names = list(dict.fromkeys(name for row in records for name in row)) or ["text"]
    cells = [[None if row.get(n) is None else str(row[n]) for n in names] for row in records]
    if format == "parquet":
        plain = [_writable(name) for name in names]
        columns = [pa.array([_writable(row[i]) for row in cells]) for i in range(len(names))]
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_arrays(columns, names=plain), sink)
        return sink.getvalue()
    text = io.StringIO(newline="")
    delimiter = "," if format == "csv" else "\t"
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([names, *([cell or "" for cell in row] for row in cells)])
    return text.getvalue().encode("utf-8", "surrogatepass")


def _writable(text: str | None) -> str | None:
    return None if text is None else text.encode("utf-8", "replace").decode()


@st.composite
def corrupted(draw: Any, content: bytes) -> bytes:
    """The same file, damaged: cut off, with bytes changed, put in, taken out."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        how = draw(st.sampled_from(["change", "change", "cut", "put", "take", "zero"]))
        if how == "change" and data:
            data[at] = draw(st.integers(0, 255))
        elif how == "cut":
            del data[at:]
        elif how == "put":
            data[at:at] = draw(st.sampled_from([b"\0", b"\xff", b'"', b"\n", b"\r", b"{", b"PAR1"]))
        elif how == "take":
            del data[at : at + draw(st.integers(1, 8))]
        elif how == "zero":
            data[at : at + 8] = bytes(8)
    return bytes(data)
