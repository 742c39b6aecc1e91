import json
from pathlib import Path

import pytest
from deltatune.errors import UserError
from deltatune.model_files import link

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
