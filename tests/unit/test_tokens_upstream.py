"""What transformers does that reading tokenizers works around. Where one of these fails, its
workaround in tokens/upstream.py can go."""

import json
import shutil
import subprocess
import sys

import pytest
import tiny
from deltatune.core.paths import SCRIPTS
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


TOKENIZER = f"""
import sys
sys.path.insert(0, {str(SCRIPTS)!r})
from deltatune.tokens import tokenizer, upstream
if sys.argv[2] == "without":
    upstream.leave_out_torch()
print(tokenizer.load_tokenizer(sys.argv[1])("1 river, ärger").input_ids, "torch" in sys.modules)
"""


def test_a_tokenizer_still_loads_torch_and_is_the_same_without_it(tmp_path):
    tiny.tokenizer().save_pretrained(tmp_path)
    expected = tiny.tokenizer()("1 river, ärger").input_ids
    for how, loaded in (("with", True), ("without", False)):
        done = subprocess.run(
            [sys.executable, "-c", TOKENIZER, tmp_path, how], capture_output=True, text=True
        )
        assert done.stdout == f"{expected} {loaded}\n" and "PyTorch" not in done.stderr


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
