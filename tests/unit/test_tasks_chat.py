"""Records of conversations, as people have them: each is read in one form, or refused by name."""

import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltatune.data.prepare import prepare
from deltatune.data.readers.read import read_records
from deltatune.data.reasons import Code, Reason
from deltatune.tasks import chat
from deltatune.tasks.registry import fields_of
from deltatune.tokens.prompts import split_reasoning
from hypothesis import given
from hypothesis import strategies as st
from stage_settings import split_settings

Q, A = {"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}
CALLS = [{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}]


def cleaned(messages, records=None, **fields):
    text = messages if isinstance(messages, str) else json.dumps(messages)
    record = {"messages": text, **fields}
    options = chat.Records(**(records or {}))
    reason = chat.check(record, options)
    return reason or chat.clean(record, options)


def stored(messages, **options):
    return json.loads(cleaned(messages, **options)["messages"])


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({"from": "gpt", "value": " A "}, {"content": "A", "learned": True}),
        ({"role": "model", "content": [{"type": "text", "text": "A"}]}, {"content": "A"}),
        ({"role": "assistant", "content": ["A", "B"], "train": True}, {"content": "A\nB"}),
        ({"role": "assistant", "content": 5}, {"content": "5"}),
        ({"role": "assistant", "content": "<think>t</think>\nA"}, {"reasoning": "t"}),
        ({"role": "assistant", "content": "A", "reasoning_content": "t"}, {"reasoning": "t"}),
        ({"role": "assistant", "content": "The tag is </think>."}, {"learned": True}),
        (
            {"from": "function_call", "value": '{"name": "f", "arguments": {"x": 1}}'},
            {"content": "", "learned": True, "tool_calls": CALLS},
        ),
        (
            {"role": "assistant", "function_call": {"name": "f", "arguments": '{"x": 1}'}},
            {"content": "", "learned": True, "tool_calls": CALLS},
        ),
        (
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "i", "function": {"name": "f", "arguments": '{"x": 1}'}}],
            },
            {"tool_calls": [{"id": "i", **CALLS[0]}]},
        ),
    ],
)
def test_each_way_to_write_a_turn_is_read(given_, expected):
    message = stored([Q, given_])[-1]
    assert message["role"] == "assistant"
    assert {key: message.get(key) for key in expected} == expected


def test_texts_are_the_turns_of_user_and_assistant_by_turns():
    assert stored(["Q", "A", "R", "B"]) == stored(
        [Q, A, Q | {"content": "R"}, A | {"content": "B"}]
    )


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ("", Reason(Code.MISSING, "messages")),
        ("Hello.", Reason(Code.NOT_JSON, "messages")),
        ("[" * 100_000, Reason(Code.NOT_JSON, "messages")),
        ('{"role": "user"}', Reason(Code.NOT_A_CONVERSATION, "messages", "no list")),
        (["Q", {"role": "assistant"}], "message 1: no object"),
        (["Q"], Reason(Code.NOTHING_LEARNED, "messages", "no turn of the assistant")),
        ([{"role": "alien", "content": "Q"}], "message 1: unknown role 'alien'"),
        ([{"speaker": "user", "text": "Q"}, A], "message 1: no `role`; it has speaker, text"),
        ([{"role": "user", "text": "Q"}, A], "message 1: no `content`; it has role, text"),
        ([Q, A | {"weight": 0.5}], "message 2: a weight of 0.5; it is 0 or 1"),
        ([Q, A | {"weight": [1]}], "message 2: a weight of [1]; it is 0 or 1"),
        ([Q, A | {"tool_calls": "f"}], "message 2: tool_calls is no list"),
        ([Q, A | {"tool_calls": [{}]}], "message 2: a call without the name of its function"),
        (
            [Q, A | {"tool_calls": [{"name": "f", "arguments": "x"}]}],
            "message 2: arguments of a call: not JSON",
        ),
        ([{"role": "user", "content": [{"type": "image"}]}, A], "message 1: its content is not"),
        ([Q, A | {"content": "a\0"}], "message 2: a NUL byte"),
        ('[{"role": "user", "content": "\\ud800"}]', "message 1: half a surrogate pair"),
        ([], Reason(Code.NOTHING_LEARNED, "messages", "no turn of the assistant")),
        ([A, Q][1:], Reason(Code.NOTHING_LEARNED, "messages", "no turn of the assistant")),
        ([Q, A | {"weight": 0}], "each turn of the assistant is left out"),
        ([Q, A | {"content": " "}], "each turn of the assistant is left out"),
    ],
)
def test_what_is_no_conversation_is_refused_by_name(messages, reason):
    result = cleaned(messages)
    if isinstance(reason, str):
        assert reason in str(result) and result.field == "messages"
    else:
        assert result == reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "from", "value", "tool_calls", "weight", "name"]),
            inner | st.sampled_from(["user", "assistant", "tool", "gpt"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON, JSON)
def test_whatever_stands_in_a_record_is_read_or_refused(messages, tools):
    result = cleaned(json.dumps(messages), tools=json.dumps(tools), system="S")
    if not isinstance(result, Reason):
        document = chat.document(result, chat.Prompts())
        assert any(turn.learned for turn in document.turns)
        assert document.turns[-1].role == "assistant"


def test_the_system_prompt_is_the_record_s_its_column_s_or_the_task_s():
    own = {"role": "system", "content": "own"}

    def system_of(messages, **fields):
        document = chat.document(cleaned(messages, **fields), chat.Prompts(system="task"))
        return document.turns[0].content

    assert system_of([own, Q, A], system="column") == "own"
    assert system_of([Q, A], system="column") == "column"
    assert system_of([Q, A], system=" ") == "task"
    assert system_of([Q, A]) == "task"


def test_what_follows_the_last_answer_is_left_out_and_last_is_one_turn():
    assert [m["content"] for m in stored([Q, A, Q, A, Q])] == ["Q", "A", "Q", "A"]
    flagged = stored([Q, A | {"weight": 0}, Q, A | {"train": "true"}, Q, A | {"train": False}])
    assert [m["learned"] for m in flagged[1::2]] == [False, True]
    last = stored([Q, A, Q, A], records={"learn": "last"})
    assert [m.get("learned") for m in last] == [None, False, None, True]


def test_a_long_system_prompt_makes_no_conversations_similar():
    rules = {"role": "system", "content": " ".join(f"rule {n} holds" for n in range(200))}
    asked = [f"Ask {n} whether {n * n} is the square of {n}" for n in range(40)]
    talks = [[rules, {"role": "user", "content": text}, A] for text in asked]
    # The same turns with another system prompt, or with tools, are another conversation.
    tools = [""] * len(talks) + [json.dumps([{"name": "f"}])]
    talks += [[{"role": "system", "content": "Be kind."}, *talks[0][1:]]]
    records = pd.DataFrame({"row": range(1, 43), "tools": [*tools, ""]})
    records["messages"] = [json.dumps(talk) for talk in (*talks[:40], talks[0], talks[40])]
    split, counts = prepare(records, chat, split_settings("chat", split={"near_duplicates": 0.85}))
    near = {*split.excluded["row"]}
    assert near <= {1, 41, 42} and set(split.excluded["code"]) <= {Code.NEAR_DUPLICATE}
    assert counts["excluded"].get(Code.DUPLICATE, 0) == 0
    records = pd.concat([records, records.iloc[:1].assign(row=43)])
    assert prepare(records, chat, split_settings("chat"))[1]["excluded"][Code.DUPLICATE] == 1


@pytest.mark.parametrize("learn", ["all", "last"])
@pytest.mark.parametrize("ending", [{"content": ""}, {"content": "Bad.", "weight": 0}])
def test_the_reference_is_an_answer_that_is_learned(learn, ending):
    record = cleaned([Q, A, Q, {"role": "assistant", **ending}], records={"learn": learn})
    assert (record["prompt"], record["answer"]) == ("Q", "A")


def test_questions_ask_for_the_last_turn():
    records = [{"id": n, **cleaned([Q, A, Q, A | {"content": f"B{n}"}])} for n in (1, 2)]
    asked = chat.questions(pd.DataFrame(records), chat.Prompts(), chat.Questions())
    assert asked["reference"].tolist() == ["B1", "B2"]
    assert [[turn.content for turn in prompt.turns] for prompt in asked["prompt"]] == [
        ["Q", "A", "Q"]
    ] * 2
    assert all(prompt.is_prompt for prompt in asked["prompt"])


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("A", ("", "A")),
        ("<think>\nt\n</think>\n\nA", ("t", "A")),
        ("<think>\nt", ("t", "")),
        ("A <think>t</think>", ("", "A <think>t</think>")),
    ],
)
def test_reasoning_is_split_from_an_answer(text, parts):
    assert split_reasoning(text) == parts


CONVERSATION = [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A", "weight": None}]


def read_written(rows, suffix, folder):
    """(facts, records) of rows that were written to a file of that format."""
    file, out = folder / f"talks.{suffix}", folder / "records.parquet"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    elif suffix == "csv":
        texts = [{key: json.dumps(value) for key, value in row.items()} for row in rows]
        pd.DataFrame(texts).to_csv(file, index=False)
    else:
        lines = [json.dumps(row) for row in rows]
        file.write_text("\n".join(lines) if suffix == "jsonl" else f"[{','.join(lines)}]")
    facts = read_records(file, None, {}, out, folder / "rejects.csv", used=fields_of(["chat"]))
    return facts, pd.read_parquet(out).to_dict("records")


@pytest.mark.parametrize("suffix", ["json", "jsonl", "parquet", "csv"])
def test_a_list_of_messages_comes_through_every_format_as_one_field(suffix, tmp_path):
    rows = [{"conversations": CONVERSATION, "score": 1.5, "tags": ["a"]}] * 3
    facts, records = read_written(rows, suffix, tmp_path)
    assert facts["kept"] == 3
    assert "the column 'conversations' is taken for `messages`" in facts["notes"]
    record = records[0]
    assert chat.check(record, chat.Records()) is None
    assert chat.clean(record, chat.Records())["answer"] == "A"


@pytest.mark.parametrize("suffix", ["json", "jsonl", "parquet", "csv"])
def test_a_null_that_the_data_state_stays_and_one_that_a_table_fills_in_goes(suffix, tmp_path):
    answers = [
        {"from": "gpt", "value": None, "tool_calls": [{"name": "f", "arguments": arguments}]}
        for arguments in ({"city": "Rome", "unit": None}, {"city": None, "unit": "C"})
    ]
    rows = [
        {"conversations": [CONVERSATION[0], answer], "functions": [{"name": "f", "strict": None}]}
        for answer in answers
    ]
    facts, records = read_written(rows, suffix, tmp_path)
    assert "the column 'functions' is taken for `tools`" in facts["notes"]
    read = [chat.clean(row, chat.Records()) for row in records]
    calls = [json.loads(one["messages"])[1]["tool_calls"][0]["function"] for one in read]
    is_table = suffix == "parquet"
    assert [call["arguments"] for call in calls] == (
        [{"city": "Rome"}, {"unit": "C"}]
        if is_table
        else [{"city": "Rome", "unit": None}, {"city": None, "unit": "C"}]
    )
    tool = {"name": "f"} if is_table else {"name": "f", "strict": None}
    assert json.loads(read[0]["tools"]) == [{"type": "function", "function": tool}]
