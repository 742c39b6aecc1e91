"""The table of records: each number follows from the others, or says what it counts."""

import pandas as pd
import pytest
from deltatune.core import manifest
from deltatune.data import chunking, prepare
from deltatune.report import record_counts
from deltatune.report.data import ReportData
from deltatune.report.sections import records as section
from deltatune.tasks.registry import load_kind
from stage_settings import split_settings
from test_core_table import texts

SPLIT = {
    **{"method": "random", "validation": 0.2, "test": 0.2, "group": None, "max_records": None},
    **{"near_duplicates": None, "max_rejected": 0.5, "seed": 0},
}


def view(records: dict) -> dict:
    return section.view(ReportData([], {}, records=records))


def rows_of(records: dict) -> dict[str, list[str]]:
    """What is counted -> the texts of the tasks."""
    return {name: cells for name, *cells in texts(view(records)["table"])}


def counts(folder, records: pd.DataFrame, task: dict, source: dict, chunks: dict | None = None):
    """What the page counts of a task that is split from these records."""
    kind = load_kind(task["kind"])
    settings = split_settings(**task)
    _, figures = prepare.prepare(records, kind, settings)
    contents = {
        "dataset": {"rows": len(records), "reasons": {}, **source},
        "split": {"settings": settings.model_dump(mode="json"), **figures},
        "tokens": {
            **{"truncated": 1, "split": 2, "dropped": 0, "supervised_tokens": 9},
            "padding_share": 0.1,
        },
        **({"chunks": chunks} if chunks else {}),
    }
    files = {}
    for name, content in contents.items():
        files[name] = str(folder / f"{name}.json")
        manifest.write(files[name], **content)
    files["tokens"] = dict.fromkeys(("train", "validation"), files["tokens"])
    return record_counts.of_task({"files": files, "tokenized_for": "tiny"})


def left_out(result: dict) -> int:
    unusable = sum(result["unusable"].values())
    repeated = result["duplicates"] + result.get("near_duplicates", 0)
    return unusable + repeated + result["beyond_max_records"]


def test_what_is_kept_is_what_was_read_without_what_was_left_out(tmp_path):
    texts = [f"a text about number {n} and its neighbor {n + 1}" for n in range(40)]
    texts += [texts[0], texts[1], "", "  "]
    frame = pd.DataFrame({"row": range(1, 45), "text": texts, "label": ["x", "y"] * 22})
    task = {
        "kind": "classify",
        "labels": ["x", "y"],
        "split": {**SPLIT, "max_records": 41},
    }
    result = counts(tmp_path, frame, task, {"rows": 47, "reasons": {"not_utf8": 1, "empty": 2}})
    assert result["rows"] - sum(result["unread"].values()) == result["records"] == 44
    assert result["unusable"] and result["beyond_max_records"] and result["duplicates"]
    assert result["records"] - left_out(result) == result["kept"] == sum(result["splits"].values())
    assert result["unread"] == {"not UTF-8": 1, "empty": 2}, "not joined with what the task refuses"


def test_of_a_mixture_each_part_is_counted(tmp_path):
    texts = [f"a text about number {n} and its neighbor {n + 1}" for n in range(30)]
    frame = pd.DataFrame({"row": range(1, 31), "text": texts, "label": ["x", "y"] * 15})
    frame["origin:dataset"], frame["origin:row"] = ["ours", "theirs", "ours"] * 10, range(30)
    task = {"kind": "classify", "labels": ["x", "y"], "split": {**SPLIT, "max_records": 24}}
    result = counts(tmp_path, frame, task, {"rows": 30, "notes": ["'a' is `b`", "<i>"]})
    assert result["notes"][:2] == ["'a' is `b`", "<i>"]
    assert view({"x": {"kept": 1}, "news": result})["notes"] == {"news": result["notes"]}
    assert sum(result["parts"].values()) == result["kept"] == 24
    rows = rows_of({"news": result})
    assert rows["Kept of the mixture: theirs"] == [str(result["parts"]["theirs"])]


def test_prose_counts_paragraphs_then_chunks(tmp_path):
    paragraphs = ["Chapter 1", *(f"Sentence {n} of the first. Another {n}." for n in range(9))]
    paragraphs += ["Chapter 2", *(f"Sentence {n} of the second. One {n} more." for n in range(9))]
    chunks = chunking.chunk_text(paragraphs, 8)
    figures = {"chunks": len(chunks), "headings_left_out": chunks.attrs["headings"]}
    task = {"kind": "prose", "split": {**SPLIT, "near_duplicates": 0.9}}
    result = counts(tmp_path, chunks, task, {"rows": len(paragraphs)}, figures)
    assert (result["paragraphs"], result["headings"]) == (20, 2)
    assert result["chunks"] == result["records"] == len(chunks) != 20
    assert result["kept"] == result["records"] - left_out(result)
    rows = rows_of({"book": result})
    assert "Rows in the source" not in rows
    assert rows["Paragraphs in the source, headings included"] == ["20"]
    assert (
        rows["Chunks cut from the text"]
        == rows["Records to divide (rows that were read, or chunks)"]
    )
    assert rows["The next rows are of the tokens of"] == ["tiny"]
    assert rows["Chapters: test"][0] in ("1", "2")


@pytest.mark.parametrize("threshold", [None, 0.8])
def test_near_duplicates_are_counted_where_they_were_looked_for(tmp_path, threshold):
    frame = pd.DataFrame({"row": range(1, 31), "text": [f"text {n} of many" for n in range(30)],
                          "label": ["x", "y"] * 15})  # fmt: skip
    task = {"kind": "classify", "labels": ["x", "y"],
            "split": {**SPLIT, "near_duplicates": threshold}}  # fmt: skip
    result = counts(tmp_path, frame, task, {})
    assert ("near_duplicates" in result) == (threshold is not None)
    rows = rows_of({"t": result, "u": {}})
    assert rows["Not usable for the task"] == ["0", "–"]
