"""Ten sources as people have them, each with rows that cannot be used, and a config that tunes a
tiny model on them for two steps each."""

from __future__ import annotations

import copy
import gzip
import json
import random
import sys
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import pandas as pd
from conftest import ROOT
from standin_hub import Hub

ROWS = 24
"""Usable records of each source."""
STEPS = 2
TOO_LONG = 4
"""The row of a question that leaves no room for its answer."""
MIXTURES = {
    "talks": (("sharegpt", "tools", "thinking"), 75),
    "answers": (("preferences", "sheet"), 40),
}
"""Name -> what it is of, in equal parts, and how many rows of them all."""
WORDS = [
    *("river", "bridge", "letter", "sister", "price", "winter", "lantern", "ladder", "door"),
    *("spring", "month", "night", "village", "harbor", "engine", "window", "garden", "paper"),
]
CALL = {"name": "distance", "arguments": {"from": "here"}}
TOOL = {"name": "distance", "description": "Kilometers to a place.", "parameters": {}}


def sentences(name: str, count: int = ROWS) -> list[str]:
    """Of ten words each, others for each name."""
    choose = random.Random(name)
    return [" ".join(choose.choices(WORDS, k=10)).capitalize() + "." for _ in range(count)]


def pairs(name: str) -> list[tuple[str, str]]:
    """Questions with their answers."""
    return [*zip(sentences(name), sentences(f"{name}, answers"), strict=True)]


def write(folder: Path, hub: Hub) -> dict[str, int]:
    """Write the sources, below `data/` of a folder or to the hub; name -> its number of rows."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    write_conversations(data)
    rows = [{"prompt": q, "chosen": a, "rejected": "No."} for q, a in pairs("preferences")]
    write_lines(data / "preferences.jsonl", [*rows, {"prompt": "Why?", "chosen": ""}])
    sheet = [("question", "answer"), *pairs("sheet"), ("An answer is missing.", "")]
    write_xlsx(data / "sheet.xlsx", sheet)
    rows = [{"text": text, "label": n % 2 == 0} for n, text in enumerate(sentences("spam"))]
    write_lines(data / "spam.jsonl", [*rows, {"text": "Who knows.", "label": "maybe"}])
    (data / "letters").mkdir()
    for number in (1, 2):
        texts = sentences(f"letter {number}", 80)
        paragraphs = [" ".join(texts[start : start + 4]) for start in range(0, 80, 4)]
        (data / f"letters/letter-{number}.txt").write_text("\n\n".join(paragraphs))
    grades = [{"text": text, "label": n % 3} for n, text in enumerate(sentences("grades"))]
    splits = folder / "hub"
    splits.mkdir()
    for split, part in (("train", grades[:18]), ("test", grades[18:])):
        frame = pd.DataFrame([*part, {"text": f"Who knows of {split}?", "label": 7}])
        frame.to_parquet(splits / f"{split}-00000-of-00001.parquet")
    hub.add("dataset", "maker/grades", splits, tags=("v1",))
    counts = dict.fromkeys(("sharegpt", "tools", "thinking", "preferences", "sheet"), ROWS + 1)
    return counts | {"spam": ROWS + 1, "grades": ROWS + 2, "letters": 40}


def write_lines(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_conversations(data: Path) -> None:
    """ShareGPT; messages with calls, gzipped; messages with thoughts. The last of each is none, and
    a question of the thoughtful ones is longer than a row."""
    talks = [
        [{"from": "human", "value": q}, {"from": "gpt", "value": a}] * 2
        for q, a in pairs("sharegpt")
    ]
    talks.append([{"from": "human", "value": "Nobody answers."}])
    (data / "sharegpt.json").write_text(json.dumps([{"conversations": talk} for talk in talks]))
    with gzip.open(data / "tools.jsonl.gz", "wt") as file:
        for question, answer in pairs("tools"):
            messages = [
                {"role": "system", "content": "Be short."},
                {"role": "user", "content": question},
                {"role": "assistant", "tool_calls": [{"type": "function", "function": CALL}]},
                {"role": "tool", "content": "5"},
                {"role": "assistant", "content": answer},
            ]
            file.write(json.dumps({"messages": messages, "tools": [TOOL]}) + "\n")
        file.write('{"messages": [\n')
    rows = []
    for number, (question, answer) in enumerate(pairs("thinking"), start=1):
        asked = question * 20 if number == TOO_LONG else question
        thought = f"<think>{question} So what?</think>{answer}"
        rows.append([{"role": "user", "content": asked}, {"role": "assistant", "content": thought}])
    rows.append([{"role": "narrator", "content": "Once"}])
    write_lines(data / "thinking.jsonl", [{"messages": row} for row in rows])


def write_xlsx(path: Path, rows: list[tuple[str, str]]) -> None:
    """A spreadsheet of one sheet, its texts in the cells."""
    cells = "".join(
        f'<row r="{number}">'
        + "".join(
            f'<c r="{"AB"[place]}{number}" t="inlineStr"><is><t>{escape(text)}</t></is></c>'
            for place, text in enumerate(row)
        )
        + "</row>"
        for number, row in enumerate(rows, start=1)
    )
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="a" sheetId="1" '
            'r:id="rId1"/></sheets></workbook>',
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            '<Relationships><Relationship Id="rId1" Target="worksheets/sheet1.xml"/>'
            "</Relationships>",
        )
        archive.writestr(
            "xl/worksheets/sheet1.xml",
            f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>',
        )


def save_model(folder: Path) -> None:
    """A random model whose chat template knows tools and thoughts."""
    sys.path.insert(0, str(ROOT / "tests/unit"))
    import tiny
    from chat_templates import QWEN3

    tokenizer = copy.deepcopy(tiny.tokenizer())
    tokenizer.chat_template = QWEN3.replace("<|im_end|>", "</s>")
    tiny.model(max_position_embeddings=512).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def config() -> dict:
    """A task and an experiment for each source, or for the mixture that it is in."""
    answers = {"instruction": "question", "output": "answer"}
    files = {
        "sharegpt": {"path": "data/sharegpt.json"},
        "tools": {"path": "data/tools.jsonl.gz"},
        "thinking": {"path": "data/thinking.jsonl"},
        "preferences": {"path": "data/preferences.jsonl"},
        "sheet": {"path": "data/sheet.xlsx", "columns": answers},
        "spam": {"path": "data/spam.jsonl"},
        "letters": {"path": "data/letters", "chunks": {"max_words": 40}},
    }
    splits = {"train": "train", "test": "test"}
    tasks = {
        "talks": {"kind": "chat", "thinking": "mask", "metrics": ["rouge_l"]},
        "answers": {"kind": "instruct", "metrics": ["rouge_l"]},
        "grades": {"kind": "classify", "labels": {0: "bad", 1: "fair", 2: "good"}},
        "spam": {"kind": "classify", "labels": {False: "ham", True: "spam"}},
        "letters": {"kind": "prose"},
    }
    for name, task in tasks.items():
        # A few of each; the hub gives a test split.
        split = {"test": 0.1} if name in MIXTURES else {"test": 0.2, "validation": 0.2}
        if name == "grades":
            del split["test"]
        task["split"] = {**split, "max_rejected": 0.2, "near_duplicates": None}
        task |= {"dataset": name, "max_length": 512}
        if task["kind"] != "classify":
            task["evaluation"] = {"max_new_tokens": 4}
    tasks["letters"]["evaluation"]["context"] = 128
    tuned = {
        "model": "tiny",
        "quantization": "none",
        "lora": {"rank": 2, "targets": ["q_proj"]},
        "training": {"max_steps": STEPS, "epochs": None, "evaluations": 1, "batch_size": 2},
    }
    return {
        "seeds": [1],
        "cross_task": "none",
        "datasets": {
            **{name: {"source": "file", **its} for name, its in files.items()},
            "grades": {"source": "hub", "id": "maker/grades", "revision": "v1", "split": splits},
            **{
                name: {"source": "mixture", "of": dict.fromkeys(parts, 1), "records": records}
                for name, (parts, records) in MIXTURES.items()
            },
        },
        "models": {"tiny": {"source": "local", "path": "models/tiny"}},
        "tasks": tasks,
        "experiments": {name: {**tuned, "task": name} for name in tasks},
        "statistics": {"resamples": 999},
    }
