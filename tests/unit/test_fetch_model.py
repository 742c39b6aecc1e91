import json
from pathlib import Path

import pytest
from deltatune.core.errors import UserError
from deltatune.fetch.model import fetch, link
from deltatune.fetch.model_settings import ModelSettings

WHERE = "models.mistral.path"


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "from"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": ["MistralForCausalLM"]}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model-00001-of-00002.safetensors").write_bytes(b"12345")
    (folder / "model-00002-of-00002.safetensors").write_bytes(b"123")
    return folder


def test_weights_tokenizer_and_config_are_linked_and_nothing_that_can_run(source, tmp_path):
    for name in ("pytorch_model.bin", "modeling_own.py", "notes.md", "old.pt"):
        (source / name).write_text("x")
    (source / "chat_template.jinja").write_text("x")
    target = tmp_path / "results" / "models" / "mistral" / "model"
    facts = link(source, target, WHERE)
    assert facts == {"architecture": "MistralForCausalLM", "weight_bytes": 8}
    assert sorted(file.name for file in target.iterdir()) == [
        "chat_template.jinja",
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "tokenizer.json",
    ]
    assert all(file.is_symlink() and file.is_file() for file in target.iterdir())


def test_links_of_a_relative_folder_of_links_lead_to_the_files(source, tmp_path, monkeypatch):
    """The cache of the hub holds links; the results may be read from another folder."""
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for file in source.iterdir():
        (snapshot / file.name).symlink_to(file)
    monkeypatch.chdir(tmp_path)
    link(Path("snapshot"), Path("made/model"), WHERE)
    monkeypatch.chdir("/")
    made = tmp_path / "made" / "model"
    assert (made / "tokenizer.json").readlink() == source.resolve() / "tokenizer.json"
    assert (made / "model-00001-of-00002.safetensors").read_bytes() == b"12345"


def test_a_chat_template_of_one_s_own_is_in_place_of_the_model_s(source, tmp_path):
    (source / "chat_template.jinja").write_text("the model's")
    settings = {"source": "local", "path": str(source), "chat_template": "{{ messages }}"}
    fetch(ModelSettings(model="mistral", source=settings), tmp_path / "model", print)
    assert (tmp_path / "model/chat_template.jinja").read_text() == "{{ messages }}"
    assert (source / "chat_template.jinja").read_text() == "the model's"
    settings["chat_template"] = "{% for m in messages %}{% generation %}{{ m }}{% endgeneration %}"
    with pytest.raises(ValueError, match=r"chat_template\n.*line 1 is no Jinja.*endfor"):
        ModelSettings(model="mistral", source=settings)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "consolidated.pth", "model.pt"])
def test_weights_that_can_run_code_are_refused(source, tmp_path, name):
    for file in source.glob("*.safetensors"):
        file.unlink()
    (source / name).write_bytes(b"x")
    with pytest.raises(UserError, match=rf"{WHERE}.*{name}.*run code.*safe_serialization"):
        link(source, tmp_path / "model", WHERE)
    assert not (tmp_path / "model").exists()


def test_no_weights_at_all(source, tmp_path):
    for file in source.glob("*.safetensors"):
        file.unlink()
    with pytest.raises(UserError, match="there is none"):
        link(source, tmp_path / "model", WHERE)


def test_a_missing_tokenizer_is_refused(source, tmp_path):
    (source / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=rf"{WHERE}.*tokenizer\.json or tokenizer\.model"):
        link(source, tmp_path / "model", WHERE)
    assert not (tmp_path / "model").exists()
    (source / "tokenizer.model").write_bytes(b"x")
    link(source, tmp_path / "model", WHERE)


@pytest.mark.parametrize("text", [None, "{not json", "[]"])
def test_a_config_that_is_missing_or_broken_is_refused(source, tmp_path, text):
    (source / "config.json").unlink()
    if text is not None:
        (source / "config.json").write_text(text)
    with pytest.raises(UserError, match=rf"{WHERE}.*config\.json"):
        link(source, tmp_path / "model", WHERE)
    assert not (tmp_path / "model").exists()


def test_an_adapter_is_no_base(source, tmp_path):
    """transformers would load base and adapter as one and call it the base."""
    (source / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match=rf"{WHERE}.*adapter"):
        link(source, tmp_path / "model", WHERE)


# ---------------------------------------------------------------- what could run or lead elsewhere


def refusal(source, tmp_path) -> str:
    with pytest.raises(UserError) as error:
        link(source, tmp_path / "target", WHERE)
    assert not (tmp_path / "target").exists()
    assert str(error.value).startswith(WHERE)
    return str(error.value)


def index(source, *shards):
    content = {"metadata": {}, "weight_map": {f"layer{i}": s for i, s in enumerate(shards)}}
    (source / "model.safetensors.index.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    "shard",
    ["../other.safetensors", "/etc/passwd", "sub/model.safetensors", "model-00003-of-00003.bin", 5],
)
def test_an_index_that_leads_out_of_the_folder_is_refused(source, tmp_path, shard):
    (source.parent / "other.safetensors").write_bytes(b"x")
    index(source, "model-00001-of-00002.safetensors", shard)
    assert f"lists '{shard}', which is not in the folder" in refusal(source, tmp_path)


@pytest.mark.parametrize("content", ["[]", "{", '{"weight_map": []}', "{}"])
def test_an_index_that_is_none_is_refused(source, tmp_path, content):
    (source / "model.safetensors.index.json").write_text(content)
    assert "cannot be read" in refusal(source, tmp_path)


def test_an_index_of_the_files_that_are_there_is_taken(source, tmp_path):
    index(source, "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    assert link(source, tmp_path / "target", WHERE)["weight_bytes"] == 8


def test_a_model_with_code_of_its_own_is_refused(source, tmp_path):
    config = {"model_type": "own", "auto_map": {"AutoModelForCausalLM": "modeling_own.OwnModel"}}
    (source / "config.json").write_text(json.dumps(config))
    (source / "modeling_own.py").write_text("raise SystemExit('ran')")
    assert "needs custom code" in refusal(source, tmp_path)


def test_code_beside_a_model_that_transformers_knows_is_left_behind(source, tmp_path):
    config = {"model_type": "mistral", "auto_map": {"AutoModelForCausalLM": "modeling_own.Own"}}
    (source / "config.json").write_text(json.dumps(config))
    (source / "modeling_own.py").write_text("raise SystemExit('ran')")
    link(source, tmp_path / "target", WHERE)
    assert not (tmp_path / "target" / "modeling_own.py").exists()


def test_links_that_lead_nowhere_are_told(source, tmp_path):
    weights = source / "model-00002-of-00002.safetensors"
    weights.unlink()
    weights.symlink_to(tmp_path / "gone")
    assert "a broken link" in refusal(source, tmp_path)
    weights.unlink()
    weights.symlink_to(weights)
    assert "a broken link" in refusal(source, tmp_path)
    weights.unlink()
    weights.mkdir()
    assert "is not a file" in refusal(source, tmp_path)


def test_a_tokenizer_with_code_of_its_own_is_refused(tmp_path):
    from deltatune.tokens.tokenizer import load_tokenizer

    code = {"AutoTokenizer": ["tokenization_own.Own", None]}
    about = {"tokenizer_class": "Own", "auto_map": code}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(about))
    (tmp_path / "tokenization_own.py").write_text("raise SystemExit('ran')")
    (tmp_path / "config.json").write_text('{"model_type": "own"}')
    with pytest.raises(UserError, match="needs custom code"):
        load_tokenizer(tmp_path)


def test_weights_that_are_something_else_are_told(tmp_path):
    import tiny
    from deltatune.models.device import choose
    from deltatune.models.load import load_base

    folder = tiny.saved(tmp_path / "model")
    weights = folder / "model.safetensors"
    for content in (b"\x80\x04\x95pickle", weights.read_bytes()[:-100]):
        weights.write_bytes(content)
        with pytest.raises(UserError, match="cannot be read as safetensors"):
            load_base(folder, "none", choose("fp32"))
