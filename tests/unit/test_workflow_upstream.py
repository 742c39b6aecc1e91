"""Behavior of packages that the workflow works around. Where one of these fails, its entry in
workflow/upstream.py can go."""

from __future__ import annotations

import sys
from importlib.metadata import requires
from types import SimpleNamespace

import pytest
from conftest import ROOT, run_snakemake
from deltatune.workflow import environments, upstream
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from snakemake.exceptions import WorkflowError, format_exception_to_string
from snakemake.persistence import PersistenceBase
from snakemake.settings.enums import PersistenceBackend
from snakemake.settings.types import WorkflowSettings
from snakemake.utils import format as snakemake_format


@pytest.fixture
def gptqmodel():
    packages = environments.installed()
    if "gptqmodel" not in packages:
        pytest.skip("the packages for GPTQ are not installed")
    return dict(environments.requirements(packages["gptqmodel"]))


@pytest.mark.parametrize(
    ("error", "shows_lines"), [(WorkflowError, True), (upstream.Refused, False)]
)
def test_snakemake_shows_where_an_error_was_raised_but_not_a_refusal(error, shows_lines):
    with pytest.raises(WorkflowError) as raised:
        raise error("No.\x1b[2J")
    text = format_exception_to_string(raised.value, {})
    assert "No." in text
    assert ('  File "' in text) is shows_lines
    assert ("\x1b" in text) is shows_lines


def test_snakemake_quotes_no_interpreter_and_has_records_by_the_names_of_results(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Snakefile").write_text(
        "rule made:\n    output:\n        '{name}.txt'\n    shell:\n        'touch {output}'\n"
    )
    long = "/".join(map(str, range(10**9, 10**9 + 30)))
    names = ["a.txt", f"{long}.txt"]
    done = run_snakemake(tmp_path, "--cores", "1", *names)
    assert done.returncode == 0, done.stdout
    assert [upstream.is_recorded(name) for name in [*names, "d"]] == [True, True, False]
    for backend in PersistenceBackend:
        settings = WorkflowSettings(persistence_backend=backend)
        workflow = SimpleNamespace(workflow_settings=settings)
        assert upstream.records_are_files(workflow) == (settings == WorkflowSettings())

    monkeypatch.setattr(sys, "executable", "/a b/python")
    assert snakemake_format("{py}", py=sys.executable) == "/a b/python"
    upstream.quote_interpreter()
    assert snakemake_format("{py}", py=sys.executable) == "'/a b/python'"
    assert sys.executable == "/a b/python"


def test_snakemake_compares_no_job_with_an_output_that_has_no_record(monkeypatch):
    has_metadata = PersistenceBase.has_metadata
    monkeypatch.setattr(PersistenceBase, "has_metadata", has_metadata)
    persistence = SimpleNamespace(metadata={"known": "a record"}.get)
    outputs = (["known", "new"], ["known"], ["new"], [])
    jobs = [SimpleNamespace(output=files) for files in outputs]
    assert [has_metadata(persistence, job) for job in jobs] == [False, True, False, True]
    upstream.compare_by_any_record()
    compared = [PersistenceBase.has_metadata(persistence, job) for job in jobs]
    assert compared == [True, True, False, True]


def test_the_cpu_build_of_torch_asks_for_nothing_of_cuda_s():
    if "+cpu" not in environments.installed()["torch"].version:
        pytest.skip("torch is PyPI's build")
    names = [canonicalize_name(Requirement(text).name) for text in requires("torch")]
    assert not list(filter(upstream.CUDA_PACKAGES.match, names))


def test_gptqmodel_lists_tools_for_building(gptqmodel):
    assert set(gptqmodel) >= upstream.BUILD_TOOLS


def test_gptqmodel_takes_one_version_of_numpy_alone(gptqmodel):
    assert gptqmodel["numpy"].specifier == f"=={upstream.OTHER_VERSIONS['gptq']['numpy']}"
    assert not gptqmodel["numpy"].specifier.contains(environments.constraints(ROOT)["numpy"])
