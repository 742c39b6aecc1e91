"""What a chat template leaves out of a conversation, told by the text that it has written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from deltatune.tokens import chat, turns
from deltatune.tokens.prompts import Conversation

REASONING, TOOLS = "reasoning", "tools"


def check_turns(
    conversation: Conversation,
    text: str,
    regions: Sequence[turns.Region | None],
    specials: Mapping[str, int],
) -> None:
    """Raises `turns.Refused` where a message or a tool call is not in the text.

    An answer would otherwise be learned to a question that the model does not see, or an empty one
    in place of a call. text: with special tokens escaped. regions: of each turn, see `turns`.
    """
    for turn, region in zip(conversation.turns, regions, strict=True):
        content = chat.escape(turn.content.strip(), specials)
        if region is None and turn.role == "assistant":
            raise turns.Refused("it leaves out a turn of the assistant")
        # A template may write it elsewhere, or as JSON.
        if region is None and content not in text and json.dumps(content)[1:-1] not in text:
            raise turns.Refused(f"it leaves out a message of the role '{turn.role}'")
        calls = json.loads(turn.calls) if turn.calls else []
        for call in calls:
            name = chat.escape(call["function"]["name"], specials)
            if region is None or name not in text[slice(*region)]:
                raise turns.Refused("it leaves out a tool call of the assistant")


def beside_turns(
    conversation: Conversation,
    text: str,
    regions: Sequence[turns.Region | None],
    specials: Mapping[str, int],
) -> frozenset[str]:
    """REASONING where that of a turn is not in the text, as of earlier turns in the templates of
    most thinking models, and TOOLS where the tools are not. Arguments as in `check_turns`."""
    names = {
        REASONING: any(
            region and chat.escape(turn.reasoning.strip(), specials) not in text[slice(*region)]
            for turn, region in zip(conversation.turns, regions, strict=True)
        ),
        TOOLS: any(
            chat.escape(tool["function"]["name"], specials) not in text
            for tool in (json.loads(conversation.tools) if conversation.tools else ())
        ),
    }
    return frozenset(name for name, is_left_out in names.items() if is_left_out)


def sentence(figures: Mapping[str, Any]) -> str:
    """What the template does not write, in words; "" where there is nothing of it.

    figures: without_reasoning and without_tools, numbers of conversations.
    """
    pairs = (
        ("without_reasoning", "the reasoning of turns, as most do of earlier ones,"),
        ("without_tools", "the tools"),
    )
    parts = [f"{what} in {figures[key]:,}" for key, what in pairs if figures.get(key)]
    return f"The chat template leaves out {' and '.join(parts)} of the conversations." * bool(parts)
