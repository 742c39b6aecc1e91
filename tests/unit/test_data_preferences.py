"""Preference pairs in the shapes that people have: the chosen side is read, the other one named."""

import json

import pandas as pd
import pyarrow.parquet as pq
import pytest
from deltatune.core.errors import UserError
from deltatune.data.readers.read import read_records
from deltatune.tasks import chat
from deltatune.tasks.registry import fields_of


@pytest.fixture
def taken(tmp_path):
    """taken(records, kinds, suffix) -> (facts, records, lines of rejects.csv)."""

    def read(records, *kinds, suffix="jsonl", columns=None):
        file, out, rejects = (tmp_path / n for n in (f"p.{suffix}", "r.parquet", "rejects.csv"))
        if suffix == "parquet":
            pd.DataFrame(records).to_parquet(file)
        elif suffix == "csv":
            pd.DataFrame(records).to_csv(file, index=False)
        else:
            file.write_text("\n".join(map(json.dumps, records)))
        facts = read_records(file, None, columns or {}, out, rejects, used=fields_of(kinds))
        return facts, pq.read_table(out).to_pylist(), pd.read_csv(rejects)

    return read


def turns(*contents, keys=("role", "content")):
    names = {"role": ("user", "assistant"), "from": ("human", "gpt")}[keys[0]]
    return [dict(zip(keys, (names[i % 2], c), strict=True)) for i, c in enumerate(contents)]


LIST = turns("Q", "A")
HUMAN = "\n\nHuman: Q\n\nAssistant: "
SHAPES = {
    "texts": ({"prompt": "Q"}, "A"),
    "instruction": ({"Instruction": "Q"}, "A"),
    "question": ({"question": "Q"}, "A"),
    "input": ({"input": "Q"}, "A"),
    "whole conversation": ({"prompt": "Q", "messages": LIST}, LIST),
    "whole conversation alone": ({}, LIST),
    "explicit prompt": ({"prompt": LIST[:1]}, LIST[1:]),
    "one message": (
        {"conversations": turns("Q", keys=("from", "value"))},
        {"from": "gpt", "value": "A"},
    ),
    "hh-rlhf": ({}, f"{HUMAN}A"),
    "hh-rlhf with its prompt": ({"prompt": HUMAN}, " A"),
    "hh-rlhf whole and with its prompt": ({"prompt": HUMAN}, f"{HUMAN}A"),
    "JSON in a column": ({"prompt": "Q"}, json.dumps(LIST)),
}


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_chosen_side(shape, suffix, taken):
    question, answer = SHAPES[shape]
    rows = [{**question, "chosen": answer, "rejected": answer, "score_chosen": 8.5}] * 2
    facts, records, _ = taken(rows, "instruct", "chat", suffix=suffix)
    assert facts["rejected"] == 0
    record = records[0]
    assert (record["instruction"].strip(), record["output"].strip()) == ("Q", "A")
    cleaned = chat.clean(record, chat.Records())
    assert chat.check(record, chat.Records()) is None
    assert (cleaned["prompt"], cleaned["answer"]) == ("Q", "A")
    assert "input" not in record
    notes = [note for note in facts["notes"] if note.startswith("preference pairs")]
    assert len(notes) == 1 and notes[0].endswith("'rejected' is not used")
    assert "`messages`, `instruction` and `output` are read from the answer in 'chosen'" in notes[0]


def test_a_system_prompt_stands_before_the_instruction_and_an_input_behind_the_question(taken):
    rows = [{"system": "S", "question": "Q", "chosen": "A", "rejected": "B"}]
    rows += [{"system": "", "question": "Q", "chosen": "A", "rejected": "B"}]
    facts, records, _ = taken(rows, "instruct")
    assert [record["instruction"] for record in records] == ["S\n\nQ", "Q"]
    assert "'question' behind the system prompt in 'system'; " in facts["notes"][0]
    with_system = [{"role": "system", "content": "S"}, *LIST]
    _, records, _ = taken([{"chosen": with_system, "rejected": with_system}], "instruct")
    assert records[0]["instruction"] == "S\n\nQ"

    rows = [{"instruction": "Q", "input": "I", "chosen": "A", "rejected": "B"}]
    _, records, _ = taken(rows, "instruct", "chat")
    assert (records[0]["instruction"], records[0]["input"]) == ("Q", "I")
    assert json.loads(records[0]["messages"]) == turns("Q\n\nI", "A")


@pytest.mark.parametrize(
    "chosen",
    [turns("Q", "A", "R", "B"), "\n\nHuman: Q\n\nAssistant: A\n\nHuman: R\n\nAssistant: B"],
)
def test_several_turns_are_for_chat(chosen, taken):
    rows = [{"chosen": chosen, "rejected": "x"}, {"chosen": f"{HUMAN}A", "rejected": "x"}]
    facts, records, rejects = taken(rows, "instruct")
    assert [record["output"] for record in records] == ["A"]
    assert rejects.to_dict("records")[0] | {"excerpt": ""} == {
        "row": 1,
        "field": "instruction",
        "code": "several_turns",
        "reason": "several turns (4 messages)",
        "excerpt": "",
    }
    with pytest.raises(
        UserError, match=r"several turns \(4 messages\): .*Q.*`kind: chat` takes conv"
    ):
        taken(rows[:1], "instruct")

    _, records, _ = taken(rows, "chat")
    cleaned = [chat.clean(record, chat.Records()) for record in records]
    assert [json.loads(one["messages"])[0]["content"] for one in cleaned] == ["Q", "Q"]
    assert cleaned[0]["prompt"] == "Q\n\nA\n\nR"

    facts, records, _ = taken(rows, "chat", "instruct")
    assert facts["rejected"] == 0
    assert [record["output"] for record in records] == [None, "A"]


def test_a_pair_without_an_answer_or_a_question_has_no_conversation(taken):
    rows = [{"prompt": "Q", "chosen": a, "rejected": "x"} for a in ("", None, [], "A")]
    rows += [{"prompt": q, "chosen": "A", "rejected": "x"} for q in ("", None)]
    _, records, _ = taken(rows, "instruct", "chat")
    assert [record["output"] for record in records] == [None, None, None, "A", None, None]
    assert all((r["output"] is None) == (r["messages"] is None) for r in records)
    rows = [{"prompt": "Q", "chosen": c, "rejected": "x"} for c in ([{"content": "A"}], "A", ["A"])]
    _, _, rejects = taken(rows, "instruct")
    assert list(rejects["reason"].str[:17]) == ["not a conversatio"] * 2


def test_of_a_pair_without_an_answer_the_output_is_missing(taken):
    records = [{"prompt": "Q", "chosen": c, "rejected": "B"} for c in ("A", "", None)]
    _, rows, _ = taken(records, "instruct")
    assert [row["instruction"] for row in rows] == ["Q", "Q", "Q"]
    assert [row["output"] for row in rows] == ["A", None, None]


def test_what_is_named_or_has_an_output_is_no_pair(taken, tmp_path):
    rows = [{"prompt": "Q", "output": "O", "chosen": "A", "rejected": "B"}]
    facts, records, _ = taken(rows, "instruct")
    assert records[0]["output"] == "O" and "notes" not in facts
    facts, records, _ = taken([{"text": "T", "chosen": "A", "rejected": "B"}], "prose")
    assert set(records[0]) == {"row", "text", "chosen", "rejected"} and "notes" not in facts
    columns = {"instruction": "prompt", "output": "rejected"}
    _, records, _ = taken(rows, "instruct", columns=columns)
    assert records[0]["output"] == "B"


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("prompt, completion", [("Q", "A"), (LIST[:1], LIST[1:])])
def test_a_completion_is_the_answer_to_its_prompt(prompt, completion, suffix, taken):
    rows = [{"prompt": prompt, "completion": completion}] * 2
    facts, records, _ = taken(rows, "instruct", "chat", suffix=suffix)
    assert (records[0]["instruction"], records[0]["output"]) == ("Q", "A")
    cleaned = chat.clean(records[0], chat.Records())
    assert (cleaned["prompt"], cleaned["answer"]) == ("Q", "A")
    assert facts["notes"] == [
        "completions: `messages`, `instruction` and `output` are read from the answer in "
        "'completion', the question in 'prompt'"
    ]


def test_of_a_completion_no_turn_of_its_prompt_is_learned(taken):
    rows = [{"prompt": turns("Q", "A", "R"), "completion": turns("", "B")[1:]}]
    _, records, _ = taken(rows, "chat")
    kept = json.loads(chat.clean(records[0], chat.Records())["messages"])
    assert [one.get("learned") for one in kept] == [None, False, None, True]
    rows = [row | {"messages": LIST} for row in rows]
    assert json.loads(taken(rows, "chat")[1][0]["messages"]) == LIST


@pytest.mark.parametrize("suffix", ["jsonl", "parquet", "csv"])
@pytest.mark.parametrize("columns", [None, {"instruction": "prompt", "output": "completion"}])
def test_an_answer_that_is_marked_as_undesirable_is_left_out(columns, suffix, taken):
    rows = [{"prompt": "Q", "completion": f"A{i}", "label": i != 1} for i in range(3)]
    facts, records, rejects = taken(rows, "instruct", suffix=suffix, columns=columns)
    assert [record["output"] for record in records] == ["A0", "A2"]
    assert facts["reasons"] == {"undesirable": 1}
    assert rejects[["row", "field", "reason"]].values.tolist() == [
        [2, "label", "marked as undesirable"]
    ]


def test_the_mark_of_a_conversation_counts_and_a_label_that_is_read_is_none(taken):
    rows = [{"conversations": LIST, "kto_tag": good} for good in (True, False, None)]
    assert [record["row"] for record in taken(rows, "chat")[1]] == [1, 3]
    rows = [{"text": "T", "completion": "A", "label": label} for label in (True, False)]
    for columns in (None, {"text": "completion", "label": "label"}):
        assert taken(rows, "classify", columns=columns)[0]["rejected"] == 0
