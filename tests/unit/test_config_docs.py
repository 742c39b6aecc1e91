import copy
import json

import jsonschema
import pytest
import yaml
from conftest import ROOT, small
from deltatune.config import docs
from deltatune.config import load as settings
from deltatune.tasks.registry import available_kinds

SHIPPED = [ROOT / "config.yaml", *sorted((ROOT / "presets").glob("*.yaml"))]
OLD = "run `cd scripts && python -m deltatune.config.docs`"


@pytest.fixture(scope="module")
def validator():
    schema = docs.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def errors(validator, config) -> list[str]:
    # An editor sees JSON: keys are text there.
    plain = json.loads(json.dumps(config))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(plain)]


def test_the_page_and_the_schema_in_docs_are_those_of_the_model(tmp_path):
    docs.write(tmp_path)
    for name in ("settings.md", "config.schema.json"):
        written = (tmp_path / name).read_text(encoding="utf-8")
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == written, OLD


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_every_shipped_config_is_valid_by_schema_and_by_model(validator, file, monkeypatch):
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert errors(validator, config) == []
    # A preset's own data are fetched or brought; all else must hold.
    monkeypatch.setattr(settings, "files", lambda *arguments: [])
    settings.load_settings(config, ROOT)


def test_what_the_tests_run_is_valid(validator, default_config):
    assert errors(validator, small(default_config)) == []


def test_labels_by_number_are_valid(validator, default_config):
    config = copy.deepcopy(default_config)
    config["tasks"]["news"]["labels"] = {1: "World", 2: "Sports"}
    assert errors(validator, config) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("sedes", [1]),
        ("tasks.news.max_lenght", 9),
        ("tasks.news.kind", "clasify"),
        ("tasks.prose.labels", ["a", "b"]),
        ("datasets.news.source", "smple"),
        ("models.tiny-mistral.architecture.heads", "four"),
        ("experiments.news-qlora.quantization", "nf5"),
        ("experiments.news-qlora.training.warmup", 1.5),
    ],
)
def test_the_schema_refuses_what_the_model_refuses(validator, default_config, path, value):
    config = copy.deepcopy(default_config)
    *parents, last = path.split(".")
    part = config
    for name in parents:
        part = part.setdefault(name, {})
    part[last] = value
    assert errors(validator, config)


def test_every_key_has_a_line_that_says_what_it_is():
    """A key without a description is one that nobody can look up."""
    lines = [line for line in docs.page().splitlines() if line.startswith("| `")]
    assert len(lines) > 60
    empty = [line for line in lines if line.split(" | ")[-1].strip(" |") == ""]
    assert empty == []


def test_every_kind_of_task_is_on_the_page():
    page = docs.page()
    for kind in available_kinds():
        assert f"## tasks.NAME, kind: {kind}" in page
