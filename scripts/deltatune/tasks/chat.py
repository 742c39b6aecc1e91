"""Conversations of any number of turns, in the model's own chat template.

The loss is taken on the turns of the assistant; the last of them is the reference of an evaluation,
and all before it its prompt.
"""

from __future__ import annotations

import hashlib
import json
from itertools import cycle
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from deltatune.core.schema import Section
from deltatune.core.text import excerpt
from deltatune.data.reasons import Code, Reason
from deltatune.data.records import ROLES
from deltatune.tasks import answers as shared
from deltatune.tasks.base import Clusters, Record, group_clusters, spread
from deltatune.tokens.prompts import Conversation, Turn, split_reasoning

if TYPE_CHECKING:
    import pandas as pd

TITLE = "conversations"
OUTPUTS = "answers"
UNIT = "examples"
MAIN_METRIC = shared.MAIN_METRIC
FIELDS = ("messages", "system", "tools")
OPTIONAL_FIELDS = ("system", "tools")
TEXT_FIELDS = ("prompt", "answer", "system_digest")
PROMPT_FIELDS = ("prompt",)
ANSWER_FIELDS = ("answer",)
LABEL_FIELD = None
TRUNCATION = "leave_out_turns"
_TURNS = ("user", "assistant")  # of a conversation that is a list of texts
_CALL = "function_call"  # of ShareGPT: a turn that is a call; a call in older messages of OpenAI


class Records(Section):
    learn: Literal["all", "last"] = "all"
    """Turns of the assistant that the loss is taken on. A turn with `weight: 0`, `train: false` or
    without content is never among them."""


class Prompts(Section):
    system: str | None = Field(None, min_length=1)
    """System prompt of conversations that have none of their own; put before the first question
    where the model's template has no system role."""
    thinking: Literal["keep", "drop", "mask"] = "keep"
    """Reasoning (`reasoning_content`, or a `<think>` block): kept as the template writes it;
    dropped; or kept without a loss on it. It is never scored."""


Questions = shared.Questions


class Settings(Records, Prompts, shared.AnswerSettings):
    kind: Literal["chat"]


# ---------------------------------------------------------------- records


def check(record: Record, settings: Records) -> Reason | None:
    messages, tools = _messages(record, settings), _tools(record)
    if isinstance(messages, Reason):
        return messages
    if isinstance(tools, Reason):
        return tools
    return None


def clean(record: Record, settings: Records) -> Record:
    """messages and tools in JSON, each message with role, content and what it has beside them;
    prompt and answer as plain text, by which records are compared, and of system prompts and tools
    a digest: a long one that all records share makes no two of them similar."""
    messages = _messages(record, settings)
    tools = json.dumps(given, ensure_ascii=False) if (given := _tools(record)) else ""
    *before, last = messages
    around = [m["content"] for m in before if m["role"] == "system" and m["content"]]
    digest = hashlib.sha256("\n\n".join([*around, tools]).encode()).hexdigest()[:16]
    return {
        "messages": json.dumps(messages, ensure_ascii=False),
        "tools": tools,
        "prompt": "\n\n".join(_reference(m) for m in before if m["role"] != "system"),
        "answer": _reference(last),
        "system_digest": digest if around or tools else "",
    }


def _messages(record: Record, settings: Records) -> list[dict[str, Any]] | Reason:
    """The messages up to the last one that is learned, all in one form: it is the reference of an
    evaluation, which a turn without content, or one that the data exclude, cannot be."""
    given = _loaded(record, "messages")
    if isinstance(given, Reason):
        return given
    if given is None:
        return Reason(Code.MISSING, "messages")
    if all(isinstance(turn, str) for turn in given):  # as in LIMA and UltraChat
        given = [
            {"role": role, "content": turn}
            for role, turn in zip(cycle(_TURNS), given, strict=False)
        ]
    messages = []
    for number, message in enumerate(given, start=1):
        try:
            messages.append(_message(message))
        except (ValueError, RecursionError) as error:
            value = f"message {number}: {error}"
            return Reason(Code.NOT_A_CONVERSATION, "messages", value)
    system = (record.get("system") or "").strip()
    if system and not (messages and messages[0]["role"] == "system"):
        messages.insert(0, {"role": "system", "content": system})
    if not any(message["role"] == "assistant" for message in messages):
        return Reason(Code.NOTHING_LEARNED, "messages", "no turn of the assistant")
    while messages and not messages[-1].get("learned"):
        messages.pop()
    if not messages:
        return Reason(Code.NOTHING_LEARNED, "messages", "each turn of the assistant is left out")
    if settings.learn == "last":
        for message in messages[:-1]:
            if "learned" in message:
                message["learned"] = False
    return messages


def _tools(record: Record) -> list[dict[str, Any]] | Reason:
    """The tools as templates take them: each a function."""
    given = _loaded(record, "tools")
    if isinstance(given, Reason):
        return given
    tools = []
    for number, tool in enumerate(given or [], start=1):
        function = tool.get("function") or tool if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            value = f"tool {number}: no object with the name of a function"
            return Reason(Code.NOT_A_CONVERSATION, "tools", value)
        tools.append({"type": "function", "function": function})
    return tools


def _loaded(record: Record, field: str) -> list[Any] | Reason | None:
    """A list in JSON, None where it is missing."""
    text = record.get(field)
    if not text or not text.strip():
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return Reason(Code.NOT_JSON, field)
    if not isinstance(value, list):
        return Reason(Code.NOT_A_CONVERSATION, field, "no list")
    return value


def _message(given: Any) -> dict[str, Any]:
    """A message as it is stored. Raises ValueError where it is none."""
    if not isinstance(given, dict):
        raise ValueError("no object")
    given = {key: value for key, value in given.items() if value is not None}
    named = given.get("role", given.get("from"))
    if named is None:
        raise ValueError(f"no `role`; it has {_keys(given)}")
    if not {"content", "value", "tool_calls", _CALL} & set(given):
        raise ValueError(f"no `content`; it has {_keys(given)}")
    role = ROLES.get(str(named).strip().lower())
    if role is None:
        raise ValueError(f"unknown role '{named}'")
    content = _text(given.get("content", given.get("value")))
    message: dict[str, Any] = {"role": role, "content": content}
    if role == "tool":
        message |= {key: str(given[key]) for key in ("name", "tool_call_id") if given.get(key)}
    if role == "assistant":
        message |= _of_assistant(given, content, is_call=named == _CALL)
    if "\0" in content:
        raise ValueError("a NUL byte")
    try:
        json.dumps(message, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("half a surrogate pair, which is no text") from None
    return message


def _keys(given: dict[str, Any]) -> str:
    return excerpt(", ".join(given) or "nothing", 80)


def _of_assistant(given: dict[str, Any], content: str, is_call: bool) -> dict[str, Any]:
    """What a message of the assistant has beside its role."""
    reasoning = _text(given.get("reasoning_content", given.get("thinking")))
    calls = given.get("tool_calls") or ([given[_CALL]] if given.get(_CALL) else [])
    if not isinstance(calls, list):
        raise ValueError("tool_calls is no list")
    if is_call:
        calls, content = [_json(content, "a call")], ""
    if not reasoning:
        reasoning, content = split_reasoning(content)
    calls = [_call(call) for call in calls]
    flags = (given.get(name) for name in ("weight", "train", "train_on_turn"))
    weight = next((flag for flag in flags if flag is not None), 1)
    if weight not in (0, 1, "0", "1", "true", "false"):
        raise ValueError(f"a weight of {weight!r}; it is 0 or 1")
    learned = weight in (1, "1", "true") and bool(content.strip() or calls)
    message = {"content": content, "learned": learned}
    if reasoning:
        message["reasoning"] = reasoning
    if calls:
        message["tool_calls"] = calls
    return message


def _call(given: Any) -> dict[str, Any]:
    """A call as templates take it, its arguments an object."""
    function = given.get("function") or given if isinstance(given, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise ValueError("a call without the name of its function")
    given_arguments = (function.get(name) for name in ("arguments", "parameters"))
    arguments = next((one for one in given_arguments if one is not None), {})
    if isinstance(arguments, str):
        arguments = _json(arguments or "{}", "arguments of a call")
    if not isinstance(arguments, dict):
        raise ValueError("the arguments of a call are no object")
    named = {"id": str(given["id"])} if given.get("id") else {}
    return {
        "type": "function",
        **named,
        "function": {"name": function["name"], "arguments": arguments},
    }


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{what}: not JSON") from None


def _text(content: Any) -> str:
    """The text of a content: text itself, or parts of type text."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content.strip()
    if isinstance(content, list):
        parts = [part if isinstance(part, dict) else {"text": part} for part in content]
        if all(isinstance(part.get("text"), str) for part in parts):
            return "\n".join(part["text"] for part in parts).strip()
        raise ValueError("its content is not text alone")
    if isinstance(content, dict):
        return json.dumps(content, ensure_ascii=False)
    return json.dumps(content)


def _reference(message: dict[str, Any]) -> str:
    """What an answer is compared with: the content of a turn, or its calls."""
    if message["content"] or "tool_calls" not in message:
        return message["content"]
    return json.dumps([c["function"] for c in message["tool_calls"]], ensure_ascii=False)


# ---------------------------------------------------------------- prompts


def document(record: Record, settings: Prompts) -> Conversation:
    """All turns; a record without messages is a question that is asked: its `prompt`."""
    text = record.get("messages")
    stored = (
        json.loads(text)
        if text
        else [
            {"role": "user", "content": record["prompt"]},
            {"role": "assistant", "content": "", "learned": True},
        ]
    )
    if settings.system and stored[0]["role"] != "system":
        stored.insert(0, {"role": "system", "content": settings.system})
    return Conversation(
        turns=tuple(_turn(message, settings.thinking) for message in stored),
        tools=record.get("tools") or "",
        masks_reasoning=settings.thinking == "mask",
    )


def _turn(message: dict[str, Any], thinking: str) -> Turn:
    calls = message.get("tool_calls")
    return Turn(
        role=message["role"],
        content=message["content"],
        reasoning="" if thinking == "drop" else message.get("reasoning", ""),
        calls=json.dumps(calls, ensure_ascii=False) if calls else "",
        name=message.get("name", ""),
        call_id=message.get("tool_call_id", ""),
        learned=message.get("learned", False),
    )


def uses_chat_template(settings: Prompts) -> bool:
    return True


def clusters(test: pd.DataFrame) -> Clusters:
    return group_clusters(test)


def questions(test: pd.DataFrame, settings: Prompts, chosen: Questions) -> pd.DataFrame:
    """id, prompt (a conversation), reference, and the `clusters`."""
    records = spread(test, chosen.max_examples)
    prompts = [document(record, settings).prompt for record in records.to_dict("records")]
    questions = records[["id"]].assign(prompt=prompts, reference=records["answer"])
    return questions.assign(**clusters(records))


def plain_text(record: Record) -> str:
    return record["answer"]
