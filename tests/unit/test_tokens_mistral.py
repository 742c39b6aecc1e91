"""Training tokens made with the real tokenizers of Mistral-7B, beside Mistral's own encoder.

mistral-common carries both. It lies apart from the environment (requirements-mistral-common.txt)
and its encoder runs in a process of its own, so that nothing else here can see it.
"""

import copy
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from deltatune.tokens.answer_ids import answer_ids, prompt_ids
from deltatune.tokens.chat import readable
from deltatune.tokens.encode import encode, pack
from deltatune.tokens.prompts import Conversation, Document, Turn, conversation, render
from deltatune.tokens.tokenizer import load_tokenizer

FOLDER = Path(sys.prefix) / "mistral-common"
FILES = {"v1": "tokenizer.model.v1", "v3": "mistral_instruct_tokenizer_240323.model.v3"}
# The format of Mistral-7B-Instruct, [INST] as text (v1) and as a token (v3); no system role.
TURNS = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role not in ('user', 'assistant') %}{{ raise_exception('unknown role') }}{% endif %}"
    "{% if m.role == 'user' %}{{ 'OPEN' ~ m.content ~ 'CLOSE' }}"
    "{% else %}{{ ' ' ~ m.content ~ eos_token }}{% endif %}{% endfor %}"
)
TEMPLATES = {
    "v1": TURNS.replace("OPEN", " [INST] ").replace("CLOSE", " [/INST]"),
    "v3": TURNS.replace("OPEN", "[INST] ").replace("CLOSE", "[/INST]"),
}
ALPACA = render(
    "alpaca", {"instruction": "Translate to French.", "input": "Good morning,\n\n“Bob”"}
)
TALKS = [
    (("user", "Name a river."),),
    (("user", ALPACA),),
    # Two spaces in a row would differ: where there is only a tokenizer.model, as here,
    # transformers 5.23 orders merges by id and not by score. Published models bring their merges.
    (("user", "日本語 naïve 🚀\ttab"),),
    (("user", "What is </s> for? And [INST], <s>, <unk> or [/INST]?"),),
    (("user", "Name a river."), ("assistant", "The Danube."), ("user", "And its </s> spring?")),
    (("user", "1 + 1?"), ("assistant", "2"), ("user", "2 + 2?"), ("assistant", "[4]"),
     ("user", "And\nso on?")),
]  # fmt: skip
#: What comes before each answer in a conversation of several turns.
ASKED = [TALKS[5][:1], TALKS[5][:3], TALKS[5]]
ANSWERS = ["The Danube.", "42", "« Bonjour »\n\n- un\n- deux", "It ends with </s> or [/INST]."]
# The published one of v3 with tools, shortened.
WITH_TOOLS = (
    "{{ bos_token }}{% set users = messages | selectattr('role', 'equalto', 'user') | list %}"
    "{% for m in messages %}{% if m.role == 'user' %}{% if tools and m == users[-1] %}"
    "{{ '[AVAILABLE_TOOLS] ' ~ (tools | tojson) ~ '[/AVAILABLE_TOOLS]' }}{% endif %}"
    "{{ '[INST] ' ~ m.content ~ '[/INST]' }}{% elif m.tool_calls %}{{ '[TOOL_CALLS] [' }}"
    '{% for call in m.tool_calls %}{{ (call.function | tojson)[:-1] ~ \', "id": "\' ~ call.id '
    "~ '\"}' }}{% if not loop.last %}{{ ', ' }}{% endif %}{% endfor %}{{ ']' ~ eos_token }}"
    "{% elif m.role == 'tool' %}{{ '[TOOL_RESULTS] {\"content\": ' ~ m.content ~ ', \"call_id\": "
    "\"' ~ m.tool_call_id ~ '\"}[/TOOL_RESULTS]' }}{% else %}{{ ' ' ~ m.content ~ eos_token }}"
    "{% endif %}{% endfor %}"
)
TOOL = {"name": "at", "description": "d", "parameters": {"type": "object"}}
CALL = {"id": "abcdefghi", "type": "function", "function": {"name": "at", "arguments": {"x": 1}}}
CALLED = (
    Turn("user", "Q"),
    Turn("assistant", "", calls=json.dumps([CALL]), learned=True),
    Turn("tool", "5", name="at", call_id="abcdefghi"),
    Turn("assistant", "Five.", learned=True),
    Turn("user", "R"),
)
ENCODER = """
import json, sys
from mistral_common.protocol.instruct.messages import ToolMessage
from mistral_common.protocol.instruct.tool_calls import Function, FunctionCall, Tool, ToolCall
from mistral_common.protocol.instruct.messages import AssistantMessage, SystemMessage, UserMessage
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

KINDS = {"user": UserMessage, "assistant": AssistantMessage, "system": SystemMessage}
request = json.load(sys.stdin)
ids = {}
for version in request["versions"]:
    tokenizer = getattr(MistralTokenizer, version)()
    ids[version] = [
        tokenizer.encode_chat_completion(
            ChatCompletionRequest(messages=[KINDS[role](content=text) for role, text in talk])
        ).tokens
        for talk in request["talks"]
    ]
    ids[version + " answers"] = [
        tokenizer.instruct_tokenizer.encode_assistant_message(AssistantMessage(content=text), False)
        for text in request["answers"]
    ]
call = FunctionCall(name="at", arguments='{"x": 1}')
messages = [
    UserMessage(content="Q"),
    AssistantMessage(content=None, tool_calls=[ToolCall(id="abcdefghi", function=call)]),
    ToolMessage(content="5", name="at", tool_call_id="abcdefghi"),
    AssistantMessage(content="Five."),
    UserMessage(content="R"),
]
tool = Tool(function=Function(name="at", description="d", parameters={"type": "object"}))
ids["tools"] = MistralTokenizer.v3().encode_chat_completion(
    ChatCompletionRequest(tools=[tool], messages=messages)
).tokens
print(json.dumps(ids))
"""


@pytest.fixture(scope="module")
def encoder():
    """Ids by Mistral's own encoder: {version: of each of TALKS, "version answers": of ANSWERS}."""
    if not (FOLDER / "mistral_common").is_dir():
        pytest.skip("mistral-common is not there: see requirements-mistral-common.txt")
    talks = [*TALKS, *ASKED, conversation("Name a river.", "Be kind.")]
    done = subprocess.run(
        [sys.executable, "-c", ENCODER],
        input=json.dumps({"versions": list(FILES), "talks": talks, "answers": ANSWERS}),
        env={**os.environ, "PYTHONPATH": str(FOLDER)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module", params=list(FILES))
def version(request, encoder):
    return request.param


@pytest.fixture(scope="module")
def tokenizer(version, tmp_path_factory):
    """Loaded as the pipeline loads it from a model with the file that Mistral published."""
    folder = tmp_path_factory.mktemp(version)
    (folder / "config.json").write_text(json.dumps({"model_type": "mistral"}))
    shutil.copy(FOLDER / "mistral_common" / "data" / FILES[version], folder / "tokenizer.model")
    config = {
        "tokenizer_class": "LlamaTokenizer",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "add_bos_token": True,
        "chat_template": TEMPLATES[version],
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return load_tokenizer(folder)


def test_the_tokenizer_is_the_real_one(tokenizer, version):
    assert len(tokenizer) == {"v1": 32_000, "v3": 32_768}[version]
    if version == "v1":
        ids = [1, 315, 28742, 28719, 8526, 315, 28742, 333, 3859, 264, 28705]
        assert prompt_ids(["I'm afraid I've created a "], tokenizer) == [ids]


@pytest.mark.parametrize("number", range(len(TALKS)))
def test_instructions_have_the_ids_of_mistral_s_own_encoder(tokenizer, version, encoder, number):
    assert prompt_ids([TALKS[number]], tokenizer) == [encoder[version][number]]


def test_a_system_prompt_is_folded_in_as_mistral_folds_it(tokenizer, version, encoder):
    talk = conversation("Name a river.", "Be kind.")
    assert prompt_ids([talk], tokenizer) == [encoder[version][-1]]


def test_answers_have_the_ids_of_mistral_s_own_encoder(tokenizer, version, encoder):
    ids = answer_ids([TALKS[0]] * len(ANSWERS), ANSWERS, tokenizer)
    assert ids == encoder[f"{version} answers"]


@pytest.mark.parametrize("answer", ANSWERS)
def test_several_turns_have_the_ids_and_the_mask_of_mistral_s_own_encoder(
    tokenizer, version, encoder, answer
):
    talk = (*TALKS[5], ("assistant", answer))
    turns = [Turn(role, text, learned=role == "assistant") for role, text in talk]
    encoded = encode([Conversation(tuple(turns))], tokenizer, 512, "leave_out_turns")
    asked = encoder[version][len(TALKS) : len(TALKS) + len(ASKED)]
    answers = answer_ids([TALKS[0]] * 3, ["2", "[4]", answer], tokenizer)
    assert answers[2] in encoder[f"{version} answers"]
    assert encoded.ids[0].tolist() == [*asked[2], *answers[2]]
    mask = np.zeros(len(encoded.ids[0]), dtype=bool)
    for before, ids in zip(asked, answers, strict=True):
        mask[len(before) : len(before) + len(ids)] = True
    assert (encoded.labels[0] != -100).tolist() == mask.tolist()
    (prompt,) = prompt_ids([Conversation(tuple(turns)).prompt], tokenizer)
    assert prompt == asked[2]


@pytest.mark.parametrize("version", ["v3"], indirect=True)
def test_tools_calls_and_results_are_those_of_mistral_s_own_encoder(tokenizer, encoder):
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = WITH_TOOLS
    tools = json.dumps([{"type": "function", "function": TOOL}])
    talk = Conversation((*CALLED, Turn("assistant", "The Danube.", learned=True)), tools=tools)
    encoded = encode([talk], tokenizer, 512, "leave_out_turns")
    assert encoded.ids[0].tolist() == [*encoder["tools"], *encoder["v3 answers"][0]]
    assert prompt_ids([talk.prompt], tokenizer) == [encoder["tools"]]
    labels = encoded.labels[0]
    runs = np.split(encoded.ids[0], np.flatnonzero(np.diff(labels != -100)) + 1)
    assert [tokenizer.decode(run) for run in runs[1::2]] == [
        '[TOOL_CALLS] [{"name": "at", "arguments": {"x": 1}, "id": "abcdefghi"}]</s>',
        "Five.</s>",
        "The Danube.</s>",
    ]


@pytest.mark.parametrize("prompt", [TALKS[0], ALPACA, "Prices fell.\n\nCategory:", ""])
@pytest.mark.parametrize("answer", ANSWERS)
def test_bos_once_eos_supervised_and_the_loss_mask_exact(tokenizer, prompt, answer):
    if isinstance(prompt, str) and prompt.endswith(":"):
        answer = f" {answer}"
    columns = pack(encode([Document(prompt, answer)], tokenizer, 512, "truncate"), 512)
    ids, labels = columns["input_ids"][0].tolist(), columns["labels"][0].tolist()
    (prompt_,) = prompt_ids([prompt], tokenizer)
    assert ids[: len(prompt_)] == prompt_
    assert set(labels[: len(prompt_)]) == {-100}
    assert labels[len(prompt_) :] == ids[len(prompt_) :]
    assert (ids.count(tokenizer.bos_token_id), ids.count(tokenizer.eos_token_id)) == (1, 1)
    assert labels[-1] == tokenizer.eos_token_id
    whole = tokenizer.decode(ids[1:-1], clean_up_tokenization_spaces=False)
    before = prompt if isinstance(prompt, str) else f"{readable(prompt, tokenizer)[3:]} "
    assert whole.strip() == f"{before}{answer}".strip()
