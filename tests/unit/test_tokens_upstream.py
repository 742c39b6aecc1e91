"""What transformers does that reading tokenizers works around. Where one of these fails, its
workaround in tokens/upstream.py can go."""

import json
import shutil

import pytest
from deltatune.tokens import upstream
from test_tokens_mistral import FILES, FOLDER
from transformers import AutoTokenizer, LlamaTokenizer


def test_a_tokenizer_model_of_mistral_is_read_without_the_space_before_a_text(tmp_path):
    file = FOLDER / "mistral_common" / "data" / FILES["v1"]
    if not file.is_file():
        pytest.skip("mistral-common is not there: see requirements-mistral-common.txt")
    shutil.copy(file, tmp_path / "tokenizer.model")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mistral"}))
    config = {"tokenizer_class": "LlamaTokenizer"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert upstream.is_llama_sentencepiece(tmp_path)
    assert LlamaTokenizer.from_pretrained(tmp_path).tokenize("river")[0].startswith("▁")
    assert not AutoTokenizer.from_pretrained(tmp_path).tokenize("river")[0].startswith("▁")


def test_code_of_a_tokenizer_is_refused_by_a_plain_value_error(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "own"}))
    config = {"auto_map": {"AutoTokenizer": ["own.Own", None]}, "tokenizer_class": "Own"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text("raise SystemExit('run')")
    with pytest.raises(ValueError) as caught:
        AutoTokenizer.from_pretrained(tmp_path, trust_remote_code=False)
    assert type(caught.value) is ValueError
    assert upstream.needs_remote_code(caught.value)


def test_no_public_function_says_where_a_message_stands_in_the_text():
    from transformers.utils import chat_template_utils

    public = {name for name in vars(chat_template_utils) if not name.startswith("_")}
    assert not {name for name in public if "compile" in name or "environment" in name}
    plain = "{% for m in messages %}{{ m.content }}{% endfor %}"
    environment = upstream.template_environment(plain)
    assert environment.from_string(plain).render(messages=[{"content": "a"}]) == "a"
