import copy

import pytest
import tiny
from deltatune.core.errors import UserError
from deltatune.tokens import context, vocabulary
from deltatune.tokens.context import context_length


@pytest.mark.parametrize(
    ("config", "length"),
    [
        ({"model_type": "llama", "max_position_embeddings": 512}, 512),
        ({"model_type": "gpt2", "n_positions": 1024, "n_ctx": 1024}, 1024),
        ({"model_type": "gemma3", "text_config": {"max_position_embeddings": 32768}}, 32768),
        ({"model_type": "falcon", "alibi": True, "max_position_embeddings": 2048}, None),
        ({"model_type": "bloom", "seq_length": 2048}, None),
        ({"model_type": "mamba"}, None),
        # Qwen 2.5 as its card says to stretch it, and Llama 3.1 as it is published.
        (
            {
                "max_position_embeddings": 32768,
                "rope_scaling": {"factor": 4.0, "original_max_position_embeddings": 32768},
            },
            131072,
        ),
        (
            {
                "max_position_embeddings": 131072,
                "rope_scaling": {"factor": 8.0, "original_max_position_embeddings": 8192},
            },
            131072,
        ),
    ],
)
def test_the_context_of_a_config(config, length):
    assert context_length(config) == length


def test_what_asks_for_more_than_the_context_is_named_by_its_key():
    config = {"max_position_embeddings": 512}
    context.check(config, "stories", "news", max_length=512, window=512, max_new_tokens=510)
    with pytest.raises(UserError) as error:
        context.check(config, "stories", "news", max_length=695, window=513, max_new_tokens=511)
    assert str(error.value).splitlines() == [
        "tasks.news.max_length: 695 is more than the context of models.stories (512)",
        "tasks.news.evaluation.context: 513 is more than the context of models.stories (512)",
        "tasks.news.evaluation.max_new_tokens: 511 leaves no room for a prompt in the context of "
        "models.stories (512)",
    ]
    context.check({}, "mamba", "news", max_length=10**6)


def test_a_tokenizer_with_more_ids_than_the_model_has_embeddings_is_refused():
    """`add_special_tokens` without `resize_token_embeddings`: padding would end in an IndexError.
    What nothing writes, as the image token of Gemma 3's tokenizer, does no harm."""
    tokenizer = tiny.without_bos()
    config = {"vocab_size": len(tokenizer)}
    vocabulary.check(tokenizer, config, "mine")
    vocabulary.check(tokenizer, {}, "mine")
    grown = copy.deepcopy(tokenizer)
    grown.add_special_tokens({"additional_special_tokens": ["<image>"]})
    vocabulary.check(grown, config, "mine")
    grown.chat_template = "{% for m in messages %}<image>{{ m.content }}{% endfor %}"
    with pytest.raises(UserError, match=r"models.mine.*'<image>', 400\).*embeddings for 400"):
        vocabulary.check(grown, config, "mine")
    grown = copy.deepcopy(tokenizer)
    grown.add_special_tokens({"pad_token": "[PAD]"})
    with pytest.raises(UserError, match=r"'\[PAD\]'.*resize_token_embeddings"):
        vocabulary.check(grown, config, "mine")
    grown = copy.deepcopy(tokenizer)
    grown.add_tokens(["Danube"])
    with pytest.raises(UserError, match=r"'Danube'"):
        vocabulary.check(grown, {"text_config": config}, "mine")
