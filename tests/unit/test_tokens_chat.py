"""Conversations in a model's own template: the ids that the tokenizer itself gives, and special
tokens in a record stay text."""

import copy

import pytest
import tiny
from deltatune.core.errors import UserError
from deltatune.evaluate.generate import answer
from deltatune.tasks import instruct
from deltatune.tokens import chat as chat_template
from deltatune.tokens import conversation as conversations
from deltatune.tokens.answer_ids import answer_ids, prompt_ids, readable, stop_id
from deltatune.tokens.encode import encode
from deltatune.tokens.ids import text_ids
from deltatune.tokens.prompts import Conversation, Document, Turn, conversation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, normalizers

SPECIALS = ["<|start|>", "<|stop|>", "<|user|>"]
ALTERNATE = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('turns alternate') }}{% endif %}{% endfor %}"
)
TEMPLATES = {
    # Turns in plain text, bos written out, no system role.
    "brackets": ALTERNATE + "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}"
    "{{ '[Q] ' ~ m.content ~ ' [/Q]' }}{% else %}{{ ' ' ~ m.content ~ ' ' ~ eos_token }}"
    "{% endif %}{% endfor %}",
    # Turns in special tokens, turns that end otherwise than documents, texts trimmed.
    "headers": "{{ bos_token }}{% for m in messages %}{{ '<|start|>' ~ m.role ~ '\n' ~ "
    "m.content | trim ~ '<|stop|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant\n' }}{% endif %}",
    # No bos, eos after every turn.
    "lines": "{% for m in messages %}{{ '<|' ~ m.role ~ '|>\n' ~ m.content ~ eos_token ~ '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}",
    # An answer right behind a special token, which strips the line break after it.
    "tight": "{{ bos_token }}{% for m in messages %}{{ '<|user|>\n' ~ m.content ~ '<|stop|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|user|>\n' }}{% endif %}",
    # Drops the system prompt in silence and does not know of add_generation_prompt.
    "forgetful": "{% for m in messages if m.role != 'system' %}"
    "{{ ('Q: ' if m.role == 'user' else 'A: ') ~ m.content ~ eos_token }}{% endfor %}",
}
ASK = (("user", "Name a river."),)
TALK = (*ASK, ("assistant", "The Danube."), ("user", "And its spring?"))


def with_template(name, plain=tiny.tokenizer, **names):
    """The tiny tokenizer with special tokens for chats; `<|user|>` strips the spaces beside it."""
    tokenizer = copy.deepcopy(plain())
    strips = {"lstrip": True, "rstrip": True}
    tokens = [
        AddedToken(s, special=True, normalized=False, **(strips if s == "<|user|>" else {}))
        for s in SPECIALS
    ]
    tokenizer.add_tokens(tokens, special_tokens=True)
    for key, value in names.items():
        setattr(tokenizer, key, value)
    tokenizer.chat_template = TEMPLATES.get(name)
    return tokenizer


@pytest.fixture(scope="module", params=list(TEMPLATES))
def tokenizer(request):
    return with_template(request.param)


def prefixing(tokenizer):
    """The same pieces behind a space that is put before every stretch of text, also one that
    follows a special token, as in the older tokenizers of Llama and Mistral."""
    tokenizer.backend_tokenizer.normalizer = normalizers.Prepend(" ")
    return tokenizer


def own_ids(tokenizer, messages, answered=False):
    """What the tokenizer makes of a conversation by itself; bos once."""
    ids = tokenizer.apply_chat_template(
        [{"role": role, "content": text} for role, text in messages],
        add_generation_prompt=not answered,
        return_dict=False,
    )
    bos = [tokenizer.bos_token_id]
    return ids if ids[:1] == bos else bos + ids


@pytest.mark.parametrize("change", [lambda tokenizer: tokenizer, prefixing])
@pytest.mark.parametrize("name", ["brackets", "headers", "lines", "tight"])
@pytest.mark.parametrize("messages", [ASK, TALK])
def test_ordinary_text_gives_the_ids_of_the_tokenizer_itself(name, messages, change):
    tokenizer = change(with_template(name))
    assert prompt_ids([messages], tokenizer) == [own_ids(tokenizer, messages)]


@pytest.mark.parametrize("change", [lambda tokenizer: tokenizer, prefixing])
def test_prompt_and_answer_make_the_conversation_that_the_template_writes(tokenizer, change):
    tokenizer = change(copy.deepcopy(tokenizer))
    (prompt,), (answer_,) = prompt_ids([ASK], tokenizer), answer_ids([ASK], ["Oder."], tokenizer)
    whole = own_ids(tokenizer, (*ASK, ("assistant", "Oder.")), answered=True)
    assert whole[: len(prompt + answer_)] == prompt + answer_
    # Only what separates the turns may follow.
    assert tokenizer.decode(whole[len(prompt + answer_) :]).strip() == ""


def test_only_the_answer_and_its_end_are_supervised(tokenizer):
    encoded = encode([Document(ASK, "The Danube.")], tokenizer, 200, "truncate")
    ids, labels = encoded.ids[0].tolist(), encoded.labels[0].tolist()
    (answer_,) = answer_ids([ASK], ["The Danube."], tokenizer)
    assert ids == prompt_ids([ASK], tokenizer)[0] + answer_
    assert labels == [-100] * (len(ids) - len(answer_)) + answer_
    assert tokenizer.decode(answer_[:-1]).strip() == "The Danube."
    assert answer_[-1] == stop_id(ASK, tokenizer)
    assert answer_.count(answer_[-1]) == 1


def test_bos_stands_once_or_not_at_all(tokenizer):
    (ids,) = prompt_ids([ASK], tokenizer)
    assert (ids[0], ids.count(tokenizer.bos_token_id)) == (tokenizer.bos_token_id, 1)
    (ids,) = prompt_ids([ASK], with_template("lines"))
    for plain in (tiny.without_bos, tiny.naming_bos):
        assert prompt_ids([ASK], with_template("lines", plain)) == [ids[1:]]


NASTY = ["</s>", "<s>", "<unk>", "[Q]", *SPECIALS, "\ue000", "\ue0003\ue000", "{{ 7 * 7 }}", " "]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.sampled_from([*NASTY, "river", "\n", "3", "é"]), min_size=1).map("".join))
def test_special_tokens_in_a_record_are_only_text(tokenizer, nasty):
    nasty = f"a{nasty}b"  # some templates trim
    plain, hostile = ((("user", text),) for text in ("ab", nasty))
    (ids,) = prompt_ids([hostile], tokenizer)
    (expected,) = prompt_ids([plain], tokenizer)
    specials = set(tokenizer.added_tokens_decoder)
    assert [i for i in ids if i in specials] == [i for i in expected if i in specials]
    assert nasty in readable(hostile, tokenizer)
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False).endswith(
        readable(hostile, tokenizer)
    )
    (answer_,) = answer_ids([ASK], [nasty], tokenizer)
    assert [i for i in answer_ if i in specials] == [stop_id(ASK, tokenizer)]


def test_text_keeps_its_ids_whatever_else_is_in_the_batch(tokenizer):
    prompts = [ASK, "### Instruction:\nName a river.\n", "", TALK]
    answers = ["The Danube.", "Oder.", "Running text.", ""]
    assert prompt_ids(prompts, tokenizer) == [prompt_ids([p], tokenizer)[0] for p in prompts]
    assert answer_ids(prompts, answers, tokenizer) == [
        answer_ids([p], [a], tokenizer)[0] for p, a in zip(prompts, answers, strict=True)
    ]


@pytest.mark.parametrize("name", ["brackets", "forgetful"])
def test_without_a_system_role_its_prompt_stands_before_the_question(name):
    tokenizer = with_template(name)
    folded = conversation("Be kind.\n\nName a river.", None)
    assert prompt_ids([conversation("Name a river.", "Be kind.")], tokenizer) == prompt_ids(
        [folded], tokenizer
    )


@pytest.mark.parametrize("name", ["headers", "lines"])
def test_a_system_role_is_used_where_there_is_one(name):
    tokenizer = with_template(name)
    messages = conversation("Name a river.", "Be kind.")
    assert prompt_ids([messages], tokenizer) == [own_ids(tokenizer, messages)]
    assert "system\nBe kind." in readable(messages, tokenizer).replace("|>", "")


def test_an_opening_that_only_answers_have_belongs_to_the_prompt():
    tokenizer = with_template("forgetful")
    assert readable(ASK, tokenizer) == "Q: Name a river.</s>A:"
    (answer_,) = answer_ids([ASK], ["Oder."], tokenizer)
    assert tokenizer.decode(answer_) == " Oder.</s>"


def test_a_turn_may_end_otherwise_than_a_document():
    tokenizer = with_template("headers")
    turn = tokenizer.convert_tokens_to_ids("<|stop|>")
    assert stop_id(ASK, tokenizer) == turn != tokenizer.eos_token_id
    assert stop_id("Name a river.", tokenizer) == tokenizer.eos_token_id


def test_a_template_without_special_tokens_ends_with_eos():
    tokenizer = with_template("brackets")
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    assert chat_template.ending(tokenizer) == chat_template.Ending("", "", "", None)
    (answer_,) = answer_ids([ASK], ["Oder."], tokenizer)
    assert tokenizer.decode(answer_) == "Oder.</s>"


def test_generation_is_given_what_was_trained_on_and_ends_where_a_turn_ends():
    tokenizer = with_template("headers")
    model = tiny.model(vocab_size=len(tokenizer), max_position_embeddings=128)
    seen = []
    real = model.generate
    turn = tokenizer.convert_tokens_to_ids("<|stop|>")

    def generate(**arguments):
        seen.append((arguments["input_ids"].tolist(), arguments["eos_token_id"]))
        made = real(**arguments)
        made[:, arguments["input_ids"].shape[1] + 1] = turn
        return made

    model.generate = generate
    (result,) = answer(
        model, tokenizer, [ASK], max_new_tokens=6, batch_size=4, progress=lambda text: None
    )
    encoded = encode([Document(ASK, "Oder.")], tokenizer, 200, "truncate")
    trained = encoded.ids[0][encoded.labels[0] == -100].tolist()
    assert seen == [([trained], sorted({tokenizer.eos_token_id, turn}))]
    assert (result.finished, result.tokens) == (True, 1)


def test_a_template_that_insists_on_a_system_prompt_gets_the_one_that_is_given():
    tokenizer = with_template("headers")
    plain = tokenizer.chat_template
    asked = (("system", "Be kind."), *ASK)
    expected = encode([Document(asked, "Oder.")], tokenizer, 200, "truncate").ids[0].tolist()
    tokenizer.chat_template = (
        "{% if messages[0].role != 'system' %}{{ raise_exception('no system prompt') }}{% endif %}"
        + plain
    )
    encoded = encode([Document(asked, "Oder.")], tokenizer, 200, "truncate")
    assert encoded.ids[0].tolist() == expected
    with pytest.raises(UserError, match=r"refuses a conversation of user: no system prompt"):
        prompt_ids([ASK], tokenizer)
    turns = [Turn(role, text) for role, text in asked]
    whole = Conversation((*turns, Turn("assistant", "Oder.", learned=True)))
    (tokens,) = conversations.encode([whole], tokenizer)
    assert tokens.ids == expected


def test_a_tokenizer_without_a_template_is_refused():
    with pytest.raises(UserError, match=r"no chat template.*Remove `chat`"):
        prompt_ids([ASK], with_template("none of them"))


def test_a_template_that_refuses_a_conversation_is_named():
    tokenizer = with_template("brackets")
    with pytest.raises(UserError, match=r"refuses a conversation of user, user: turns alternate"):
        prompt_ids([(*ASK, *ASK)], tokenizer)
    tokenizer.chat_template = "{{ bos_token }}"
    with pytest.raises(UserError, match="leaves out the content of a message"):
        prompt_ids([ASK], tokenizer)


RECORD = {"id": 1, "instruction": "Add.", "input": "1 2", "output": "3"}


def test_the_default_prompt_of_a_chat_is_plain():
    def document(**keys):
        return instruct.document(RECORD, instruct.Prompts(**keys))

    assert document(chat={}).prompt == (("user", "Add.\n\n1 2"),)
    chosen = document(chat={"system": "Be kind."}, prompt="alpaca_short")
    assert chosen.prompt[0] == ("system", "Be kind.")
    assert chosen.prompt[1][1].startswith("### Instruction:\nAdd.")
    assert document().prompt.startswith("Below is an instruction")


def test_questions_are_the_prompts_of_the_documents():
    import pandas as pd

    records = [RECORD, RECORD | {"id": 2, "input": ""}]
    chat = instruct.Prompts(chat={"system": "Be kind."})
    prompts = instruct.questions(pd.DataFrame(records), chat, instruct.Questions())["prompt"]
    assert prompts.tolist() == [instruct.document(record, chat).prompt for record in records]


def test_text_in_a_chat_is_tokenized_in_one_stretch():
    # Split at the edges of the record, "[Q] " and the first word would never join.
    tokenizer = with_template("brackets")
    (ids,) = prompt_ids([ASK], tokenizer)
    assert ids[1:] == text_ids(["[Q] Name a river. [/Q]"], tokenizer)[0]


@pytest.mark.parametrize(
    "evil",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ self.__init__.__globals__['os'].system('touch ran') }}",
        "{{ messages.append(1) }}",
        "{% for i in range(999999999) %}{{ i }}{% endfor %}",
        "{% include '/etc/passwd' %}",
        "{{ raise_exception('no') }}",
        "{% if",
    ],
)
def test_a_template_of_others_can_reach_nothing(evil, tmp_path, monkeypatch):
    """It is a program that comes with a model: transformers renders it in a sandbox."""
    monkeypatch.chdir(tmp_path)
    tokenizer = copy.copy(tiny.tokenizer())
    tokenizer.chat_template = evil + "{{ messages[0]['content'] }}"
    with pytest.raises(UserError):
        chat_template.pieces((("user", "a"),), tokenizer)
    assert not (tmp_path / "ran").exists()
