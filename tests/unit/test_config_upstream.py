"""What libraries do that reading config.yaml works around. Where one of these fails, its workaround
in config/upstream.py can go."""

from __future__ import annotations

import pytest
import yaml
from deltatune.config import upstream
from deltatune.config.model import AnyModel
from deltatune.models.settings import Lora
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
