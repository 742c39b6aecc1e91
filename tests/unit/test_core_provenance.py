"""Each job records where, when and by which code it ran."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from deltatune.core import integrity, manifest, provenance

SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))


def git(folder: Path, *arguments: str) -> str:
    name = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", *name, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def repository(tmp_path) -> Path:
    for name in ("scripts/train.py", "rules/train.smk", "Snakefile", "README.md", "config.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("one\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_the_commit_and_whether_code_differs_from_it(repository):
    head = git(repository, "rev-parse", "HEAD").strip()
    assert provenance.code_version(repository) == {"commit": head, "modified": False}
    # Neither words for readers nor settings, which each manifest has for itself.
    for name in ("README.md", "config.yaml", "results.csv"):
        (repository / name).write_text("two\n")
    assert provenance.code_version(repository) == {"commit": head, "modified": False}
    (repository / "rules/train.smk").write_text("two\n")
    assert provenance.code_version(repository) == {"commit": head, "modified": True}
    git(repository, "checkout", "rules")
    (repository / "scripts/new.py").write_text("a metric of one's own\n")
    assert provenance.code_version(repository)["modified"] is True


def test_no_commit_outside_of_a_checkout(tmp_path, repository):
    unknown = {"commit": None, "modified": None}
    assert provenance.code_version(tmp_path.parent) == unknown
    # A copy of the project below somebody's repository, which does not track it.
    copy = repository / "results" / "copy"
    (copy / "scripts").mkdir(parents=True)
    (copy / "scripts/train.py").write_text("one\n")
    assert provenance.code_version(copy) == unknown


def test_the_processor_has_a_name(tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: A Processor 7B13\nflags\t\t: fpu\n")
    assert provenance.processor(info) == "A Processor 7B13"
    info.write_text("processor\t: 0\n")
    assert provenance.processor(info)
    assert provenance.processor(tmp_path / "missing")


JOB = """
import sys
sys.path.insert(0, {scripts!r})
from types import SimpleNamespace
snakemake = SimpleNamespace(
    rule="count_rows", wildcards=["news"], log=["results/logs/count_rows.log"], threads=3,
    resources=None,
    input=["results/datasets/news/records.parquet", "data/news.csv"],
    output=["results/counts.json"],
)
from deltatune.core import manifest, stage
with stage.stage(snakemake):
    manifest.write("results/counts.json", settings={{"a": 1}}, rows=2)
"""


def test_a_manifest_has_times_threads_and_the_hashes_of_what_stages_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    records = "results/datasets/news/records.parquet"
    for name in (records, "data/news.csv"):
        Path(name).parent.mkdir(parents=True)
        Path(name).write_text("rows\n")
    integrity.record([records])
    subprocess.run([sys.executable, "-c", JOB.format(scripts=str(ROOT / "scripts"))], check=True)
    record = manifest.read("results/counts.json")
    sha256 = subprocess.run(["sha256sum", records], capture_output=True, text=True, check=True)
    # A user's own file has no checksum of a stage; fetch_dataset takes its hash itself.
    assert record["inputs"] == {records: sha256.stdout.split()[0]}
    job = record["job"]
    moment = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    assert re.fullmatch(moment, job["started"]) and re.fullmatch(moment, job["ended"])
    assert job["started"] <= job["ended"]
    assert job["threads"] == 3
    assert job["processor"]
    assert set(job) >= {"commit", "modified"}


def test_every_manifest_has_the_settings_of_its_job():
    calls = [
        call
        for path in [*SCRIPTS, *(ROOT / "scripts/deltatune").rglob("*.py")]
        for call in re.findall(r"manifest\.write\((.*?)^ *\)$", path.read_text(), re.M | re.S)
    ]
    assert len(calls) >= 10
    assert [call for call in calls if "settings=" not in call] == []


def test_no_stage_that_computes_reads_a_manifest():
    """Times and commits differ from run to run: what depended on them would run again."""
    made = r'"results/[^"]*\.json"'
    for path in (ROOT / "rules").glob("*.smk"):
        for text in re.split(r"^rule ", path.read_text(), flags=re.M)[1:]:
            inputs = re.search(r"^    input:\n(.*?)^    \w+:", text, re.M | re.S)
            assert not re.search(made, inputs[1] if inputs else ""), text.split(":")[0]


def test_times_are_no_part_of_what_must_come_out_the_same(tmp_path):
    import identity

    results = tmp_path / "results"
    results.mkdir()
    manifest.write(results / "a.json", settings={}, rows=2)
    before = identity.identity(tmp_path)
    record = json.loads((results / "a.json").read_text())
    record["job"] |= {"commit": "another", "started": "2020-01-01T00:00:00Z"}
    (results / "a.json").write_text(json.dumps(record))
    assert identity.identity(tmp_path) == before
