"""`snakemake archive`: one file that tells what was run, and from which it is run again.

That is in other environments, each stage in that of its own file. conda is played by
tests/conda/standin, which builds them for real; the first time takes some minutes, later runs find
them beside the tests' own packages.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from conftest import ROOT, copy_project, run_snakemake
from deltatune.archive import crate
from identity import differences, identity
from rocrate.rocrate import ROCrate
from test_small_run import jobs

sys.path.insert(0, str(ROOT / "tests/conda"))
import environments
from deltatune.workflow import environments as files

SECRET = "hf_thisisnotarealtokenbutacanary"
#: A setting of the command line is a setting of the run. That the same records come from another
#: file would run everything again, which is not the point here.
ARCHIVE = (
    *("archive", "--rerun-triggers", "mtime", "--config", "report={title: Handed-on}"),
    *("--cores", "1"),
)


@pytest.fixture(scope="module")
def finished(small_run: Path, tmp_path_factory) -> Path:
    """The small run, with one data set from a file outside the project."""
    project = tmp_path_factory.mktemp("archive") / "project"
    shutil.copytree(small_run, project, symlinks=True)
    for name in ("constraints.txt", "requirements.txt", "Makefile", "README.md"):
        shutil.copy2(ROOT / name, project / name)
    outside = project.parent / "my news & more.csv"
    shutil.copy2(ROOT / "data/sample/news.csv", outside)
    config = yaml.safe_load((project / "config.yaml").read_text())
    config["datasets"]["news"] |= {"source": "file", "path": str(outside)}
    del config["datasets"]["news"]["name"]
    (project / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return project


@pytest.fixture(scope="module")
def archive(finished: Path) -> Path:
    done = run_snakemake(finished, *ARCHIVE, warm=True, HF_TOKEN=SECRET)
    assert done.returncode == 0, done.stdout[-3000:]
    assert jobs(done.stdout) == {"archive": 1, "archive_run": 1}
    return finished / "results/archive.zip"


@pytest.fixture(scope="module")
def unpacked(archive: Path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked") / "crate"
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def graph(unpacked: Path) -> dict[str, dict]:
    entities = json.loads((unpacked / "ro-crate-metadata.json").read_text())["@graph"]
    assert len({entity["@id"] for entity in entities}) == len(entities)
    return {entity["@id"]: entity for entity in entities}


def test_every_file_is_described_with_its_size_and_hash(unpacked, graph):
    files = {str(p.relative_to(unpacked)) for p in unpacked.rglob("*") if p.is_file()}
    described = {unquote(name): e for name, e in graph.items() if "contentSize" in e}
    assert files - set(described) == {crate.METADATA, crate.PREVIEW}
    assert set(described) <= files
    for name, entity in described.items():
        content = (unpacked / name).read_bytes()
        assert entity["contentSize"] == str(len(content))
        assert entity["sha256"] == hashlib.sha256(content).hexdigest(), name


def test_all_that_a_run_makes_for_a_person_is_there(finished, unpacked):
    made = [
        path.relative_to(finished / "results")
        for pattern in ("*.csv", "*.html", "*.txt", "figures/**/*.svg", "experiments/**/*",
                        "evaluations/**/*", "comparisons/**/*", "**/manifest.json", "**/*.sha256")
        for path in (finished / "results").glob(pattern)
        if path.is_file() and path.name != ".snakemake_timestamp"
    ]  # fmt: skip
    assert len(made) > 60
    missing = {str(path) for path in made if not (unpacked / "run" / path).is_file()}
    # What each file was when it was made; the hashes in the metadata say the same.
    assert {name for name in missing if not name.startswith("checksums/")} == set()
    assert not list(unpacked.glob("run/models/*/model/*")), "weights of an untuned model"


def test_what_is_named_by_an_entity_is_there(graph):
    def named(node):
        if isinstance(node, dict):
            if set(node) == {"@id"}:
                yield node["@id"]
            for value in node.values():
                yield from named(value)
        elif isinstance(node, list):
            for value in node:
                yield from named(value)

    missing = {one for entity in graph.values() for one in named(entity) if one not in graph}
    assert {one for one in missing if not one.startswith(("http://", "https://"))} == set()


def test_it_is_a_workflow_run_crate(unpacked, graph):
    """What the profiles ask for, as another library reads it."""
    read = ROCrate(unpacked)
    root, main = read.root_dataset, read.mainEntity
    assert {one.id for one in root["conformsTo"]} == set(crate.PROFILES)
    assert main.id == "Snakefile" and "ComputationalWorkflow" in main.type
    assert main["programmingLanguage"]["name"] == "Snakemake"
    run = root["mentions"]
    assert run.type == "CreateAction" and run["instrument"].id == "Snakefile"
    assert run["startTime"] < run["endTime"]
    assert {"run/report.html", "run/comparison.csv"} <= {one.id for one in run["result"]}
    adapters = [one for one in run["result"] if one.type == "Dataset"]
    assert len(adapters) == 3 and all(len(one["hasPart"]) >= 2 for one in adapters)
    objects = {one.id for one in run["object"]}
    assert {"config.yaml", "data/sample/prose.txt"} <= objects
    for slot in (entity for entity in graph.values() if entity["@type"] == "FormalParameter"):
        example = graph[slot["workExample"]["@id"]]
        assert example["exampleOfWork"]["@id"] == slot["@id"] and slot["additionalType"]
    assert graph["#setting/report.title"]["value"] == "Handed-on"
    assert {"python", "torch", "peft"} <= {one["name"] for one in main["softwareRequirements"]}


def test_nothing_of_this_machine_is_in_it(archive, unpacked, finished):
    hidden = [str(finished), str(finished.parent), str(ROOT), SECRET, str(Path.home()) + "/."]
    for path in (p for p in unpacked.rglob("*") if p.is_file()):
        content = path.read_bytes()
        assert [text for text in hidden if text.encode() in content] == [], path
    with zipfile.ZipFile(archive) as file:
        assert all(not name.startswith("/") and ".." not in name for name in file.namelist())


def test_the_configuration_is_that_of_the_run_with_the_file_that_came_along(unpacked, finished):
    config = yaml.safe_load((unpacked / "config.yaml").read_text())
    assert config["report"] == {"title": "Handed-on"}
    path = config["datasets"]["news"].pop("path")
    assert path == "data/local/news/my news & more.csv"
    assert (unpacked / path).read_bytes() == (ROOT / "data/sample/news.csv").read_bytes()
    before = yaml.safe_load((finished / "config.yaml").read_text())
    del before["datasets"]["news"]["path"]
    assert config == {**before, "report": {"title": "Handed-on"}}


def test_the_preview_leads_to_the_files(unpacked):
    text = (unpacked / crate.PREVIEW).read_text()
    for name in ("run/report.html", "run/comparison.csv", "config.yaml"):
        assert f'href="{name}"' in text
    assert "my%20news%20%26%20more.csv" in text and "<script" not in text


def test_the_same_run_gives_the_same_bytes(archive, finished):
    before = archive.read_bytes()
    assert "Nothing to be done" in run_snakemake(finished, *ARCHIVE, warm=True).stdout
    done = run_snakemake(finished, *ARCHIVE, "--forcerun", "archive_run", warm=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert archive.read_bytes() == before


def test_a_secret_in_a_file_is_refused(finished, archive, tmp_path):
    project = tmp_path / "project"
    shutil.copytree(finished, project, symlinks=True)
    readme = project / "README.md"
    readme.write_text(readme.read_text() + SECRET)
    done = run_snakemake(project, *ARCHIVE, warm=True, HF_TOKEN=SECRET)
    assert done.returncode == 1 and "README.md holds the value of HF_TOKEN" in done.stdout
    assert SECRET not in done.stdout.replace(str(readme), "")
    assert not (project / "results/archive.zip").exists()


def test_the_unpacked_archive_plans_what_the_project_plans(unpacked, finished, tmp_path):
    project = copy_project(tmp_path / "project")
    shutil.copy2(finished / "config.yaml", project / "config.yaml")
    planned = [run_snakemake(folder, "-n", warm=True).stdout for folder in (unpacked, project)]
    assert jobs(planned[0]) == jobs(planned[1])


# ------------------------------------------------------------ in other environments

USED = {"data", "train", "evaluate", "report"}
EVALUATIONS = "results/evaluations/test"
#: One task all the way, which makes the splits of the others too, and what else a base is asked.
AGAIN = (
    "results/comparisons/instructions-qlora/instructions.csv",
    f"{EVALUATIONS}/prose/base/tiny-mistral/nf4/text.parquet",
    f"{EVALUATIONS}/news/base/tiny-mistral/nf4/labels.parquet",
)
#: In a finished run: a job of each rule that is left, and those that follow.
FORCED = (
    *("fit_answer_baselines", "fit_label_baselines", "join_comparisons"),
    "results/figures/losses/instructions-qlora.svg",
    "results/figures/differences/instructions-qlora.svg",
    "results/figures/confusion/news-qlora.svg",
)
needed = pytest.mark.skipif(
    not environments.available(), reason="there is no Python 3.11 to build environments with"
)


@dataclass
class Remade:
    """again: the unpacked archive, with AGAIN made. last: a finished run, with FORCED made anew.
    ran: jobs of each rule. records: what each job wrote down at its end."""

    again: Path
    last: Path
    ran: Counter[str]
    records: list[dict]


@pytest.fixture(scope="module")
def remade(unpacked: Path, small_run: Path, tmp_path_factory) -> Remade:
    folder = tmp_path_factory.mktemp("remade")
    again, last, ran = folder / "again", folder / "last", Counter()
    shutil.copytree(unpacked, again)
    shutil.copytree(small_run, last, symlinks=True)
    forced = ("--rerun-triggers", "mtime", "--forcerun", *FORCED)
    for project, arguments in ((again, AGAIN), (last, forced)):
        watch = folder / "watch"
        done = environments.run(project, "--cores", "1", *arguments, watch=watch)
        assert done.returncode == 0, done.stdout[-3000:]
        ran.update(jobs(done.stdout))
    return Remade(again, last, ran, list(environments.jobs(watch)))


def test_run_again_from_the_archive_in_other_environments_it_gives_the_same(remade, small_run):
    project = remade.again
    # Where the records of the news come from is another place; they are the same records.
    other = ("README.md", "datasets/news/manifest.json")
    again, before = identity(project, *other), identity(small_run, *other)
    assert {Path(name).name for name in again} >= {
        "model.safetensors",
        "adapter_model.safetensors",
        "scores.parquet",
        "instructions.csv",
    }
    assert not differences({name: before[name] for name in again}, again)
    # What came along is compared with by who unpacks it.
    hashes = [name for name in again if name.endswith(".sha256")]
    assert len(hashes) == 5
    for name in hashes:
        assert (project / "run" / name).read_text() == (project / "results" / name).read_text()
    assert not differences(before, identity(remade.last, *other))


@needed
@pytest.mark.parametrize("name", sorted(USED))
def test_an_environment_holds_what_its_file_lists_and_nothing_else(remade, name):
    """pip was free to add what a listed package needs: there was nothing to add."""
    python = environments.built()[name] / "bin" / "python"
    listing = subprocess.run(
        [python, "-I", "-c", PRINT_INSTALLED], stdout=subprocess.PIPE, check=True, text=True
    )
    installed = [line.split("==") for line in listing.stdout.splitlines()]
    _, pins = files.listed((ROOT / f"envs/{name}.yaml").read_text())
    assert {(files.canonicalize_name(n), v.split("+")[0]) for n, v in installed} == set(
        pins.items()
    )


PRINT_INSTALLED = """
from importlib.metadata import distributions
for one in distributions():
    print(f"{one.metadata['Name']}=={one.version}")
"""


@needed
def test_every_job_ran_in_the_environment_of_its_rule(remade):
    prefixes, records = environments.built(), remade.records
    wanted = {script: str(prefixes[name]) for _, name, script in of_rules() if name in USED}
    assert {job["prefix"] for job in records} == {str(prefixes[name]) for name in USED}
    assert [job for job in records if job["prefix"] != wanted[job["rule"]]] == []
    assert all(job["version"].startswith("3.11.") for job in records)


@needed
def test_every_job_was_seen_and_every_rule_had_one(remade, small_run):
    assert Counter(job["rule"] for job in remade.records) == remade.ran
    folder = small_run / "results/benchmarks"
    rules = {Path(path.relative_to(folder).parts[0]).stem for path in folder.rglob("*.tsv")}
    assert set(remade.ran) == rules and len(rules) >= 20


@needed
def test_no_job_loaded_a_package_from_outside_its_environment(remade):
    """Snakemake puts its own folder behind the environment's on the path, for its helper."""
    leaked = {
        (job["rule"], name)
        for job in remade.records
        for name in environments.from_outside(job, remade.again.parent)
        if not name.startswith("snakemake")
    }
    assert leaked == set()


def of_rules():
    from test_workflow_environments import of_rules

    return of_rules()
