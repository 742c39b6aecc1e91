"""What libraries do that reading config.yaml works around. Where one of these fails, its workaround
in config/upstream.py can go."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml
from conftest import ROOT
from deltatune.config import upstream
from deltatune.config.model import AnyModel, Lora, Training
from deltatune.core.errors import UserError
from deltatune.train import job
from pydantic import TypeAdapter, ValidationError


def locs(type_: object, value: object) -> list[tuple]:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(type_).validate_python(value)
    return [error["loc"] for error in caught.value.errors()]


def test_pydantic_names_the_members_of_unions_in_the_place_of_an_error():
    assert ("targets", "list[str]", 0) in locs(Lora, {"targets": [1]})
    tagged = locs(dict[str, AnyModel], {"m": {"source": "local", "path": ""}})
    assert tagged == [("m", "local", "path")]
    assert upstream.file_path(("models", *tagged[0])) == ["models", "m", "path"]
    assert upstream.file_path(("lora", "targets", "list[str]", 0)) == ["lora", "targets", "0"]


@pytest.mark.skipif(not hasattr(yaml, "CSafeLoader"), reason="PyYAML was built without libyaml")
@pytest.mark.parametrize("text", ["a:\t1", "{\n\ta: 1}", "[a?]"])
def test_pyyaml_takes_less_than_libyaml(text):
    yaml.load(text, Loader=upstream.FAST_LOADER)
    with pytest.raises(yaml.YAMLError):
        yaml.load(text, Loader=upstream.strict_loader(text))


def test_snakemake_runs_the_code_in_a_file(tmp_path):
    from snakemake.common.configfile import load_configfile

    path = tmp_path / "c.yaml"
    path.write_text("__use_yte__: true\nrun: ?1 + 1\n")
    assert load_configfile(str(path))["run"] == 2


def test_snakemake_moves_results_where_the_settings_say_so():
    from snakemake.pathvars import Pathvars

    moved = Pathvars.from_config({"pathvars": {"results": "other"}})
    assert moved.apply("<results>/a") == "other/a"


@pytest.fixture
def fresh():
    """The names are read anew, before and after."""
    upstream.optimizer_names.cache_clear()
    yield
    upstream.optimizer_names.cache_clear()


def test_the_optimizers_are_those_of_transformers():
    from transformers.training_args import OptimizerNames

    assert upstream.optimizer_names() == tuple(sorted(name.value for name in OptimizerNames))


def test_reading_them_imports_no_library():
    program = (
        "import sys; from deltatune.config import upstream; assert upstream.optimizer_names(); "
        "assert not {'transformers', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT / "scripts", check=True)


def test_an_unknown_optimizer_is_refused_with_a_near_match():
    with pytest.raises(
        ValidationError,
        match=r"'adamw_torhc' is not an optimizer of .*did you mean 'adamw_torch'.* are adafactor",
    ):
        Training(optimizer="adamw_torhc")


@pytest.mark.parametrize("missing", ["package", "module"])
def test_without_transformers_the_setting_waits_for_training(monkeypatch, fresh, tmp_path, missing):
    class Package:
        submodule_search_locations = (str(tmp_path),)

    spec = {"package": None, "module": Package()}[missing]
    monkeypatch.setattr(upstream, "find_spec", lambda name: spec)
    assert upstream.optimizer_names() == ()
    assert Training(optimizer="adamw_torhc").optimizer == "adamw_torhc"


def test_training_refuses_an_unknown_optimizer_before_it_loads_the_base(monkeypatch):
    monkeypatch.setattr(job, "load_base", pytest.fail)
    training = Training().model_dump() | {"optimizer": "adamw_torhc"}
    with pytest.raises(
        UserError,
        match=r"training\.optimizer: 'adamw_torhc' is not .*did you mean 'adamw_torch'.*adafactor",
    ):
        job.run({"training": training})
    job.require_optimizer("adamw_torch")
