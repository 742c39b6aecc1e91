"""profiles/slurm as a dry run shows it: what each job asks of a cluster, with no SLURM at hand."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from deltatune.config.load import load_settings
from deltatune.core.errors import UserError
from deltatune.workflow.flow import Flow
from dry_runs import dry_run
from slurm_profile import fill_in

PRESETS = sorted(path.stem for path in (ROOT / "presets").glob("*.yaml"))
# A message hides what a job asks for.
MESSAGE = re.compile(r"^    message:\n(?:        .*\n)+", re.MULTILINE)
# Those of a group are indented.
JOB = re.compile(r"^ *rule (\w+):$.*?^ +resources: (.*?)$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def cluster(project: Path) -> Path:
    for path in (project / "rules").glob("*.smk"):
        path.write_text(MESSAGE.sub("", path.read_text()))
    shutil.copytree(ROOT / "presets", project / "presets")
    return project


def asked(project: Path, *arguments: str) -> dict[str, dict[str, str]]:
    """{rule: {resource: value}} of a dry run."""
    plan = dry_run(project, "--workflow-profile", "profiles/slurm", *arguments)
    assert plan.status == 0, plan.text[-3000:]
    jobs = {}
    for rule, resources in JOB.findall(plan.text):
        jobs[rule] = dict(part.split("=", 1) for part in resources.split(", "))
    return jobs


def needs(job: dict[str, str], *names: str) -> tuple[str | None, ...]:
    return tuple(job.get(name) for name in names)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_asks_for_what_seven_billion_parameters_take(name, cluster):
    jobs = asked(cluster, "--configfile", f"presets/{name}.yaml")
    train = jobs["train_adapter"]
    assert needs(train, "gpu", "mem_mb", "runtime", "nodes") == ("1", "16000", "720", "1")
    assert train["slurm_extra"] == "--signal=TERM@300"
    for rule in {"generate_answers", "score_text", "score_labels"} & jobs.keys():
        assert needs(jobs[rule], "gpu", "mem_mb", "runtime") == ("1", "16000", "240")
    if "quantize_model" in jobs:
        assert needs(jobs["quantize_model"], "gpu", "mem_mb") == ("1", "39900")
    assert "gpu" not in jobs["split_dataset"] and "gpu" not in jobs["compute_metrics"]
    # What is not set is left to the cluster.
    resources = {key for job in jobs.values() for key in job}
    assert not resources & {"slurm_account", "slurm_partition", "gpu_model"}


def test_the_default_asks_for_no_gpu(cluster):
    jobs = asked(cluster)
    assert {job.get("gpu", "0") for job in jobs.values()} == {"0"}
    assert all(int(job["mem_mb"]) <= 4000 for job in jobs.values())
    assert needs(jobs["train_adapter"], "mem_mb", "runtime") == ("3000", "60")
    assert needs(jobs["score_labels"], "mem_mb", "runtime") == ("3000", "20")


def test_the_top_of_the_profile(cluster):
    """Every job has the account; those with a GPU have its partition and its type."""
    fill_in(
        cluster,
        account='"0123"',
        partition='"short,long"',
        gpu_partition="gpu-long",
        gpu_type="a100",
        max_minutes=600,
    )
    jobs = asked(cluster, "--configfile", "presets/alpaca-mistral-7b.yaml")
    # An account in digits is a name, not a number.
    assert {job["slurm_account"] for job in jobs.values()} == {"0123"}
    for rule, job in jobs.items():
        gpu = ("gpu-long", "a100") if job.get("gpu") == "1" else ("short,long", None)
        assert needs(job, "slurm_partition", "gpu_model") == gpu, rule
    assert jobs["train_adapter"]["runtime"] == "600"
    tiny = asked(cluster)
    assert {(j["slurm_partition"], j.get("gpu_model")) for j in tiny.values()} == {
        ("short,long", None)
    }


@pytest.mark.parametrize("name", ["a;b", "a b$", "-p x'"])
def test_a_partition_that_cannot_be_one(name, default_config):
    with pytest.raises(UserError, match=r"cluster.*is not a valid name in SLURM"):
        Flow(default_config | {"cluster": {"gpu_partition": name}})


def test_training_on_two_gpus_asks_for_both_on_one_machine(cluster):
    path = cluster / "presets/alpaca-zephyr-7b.yaml"
    config = yaml.safe_load(path.read_text())
    for experiment in config["experiments"].values():
        experiment["training"]["gpus"] = 2
    path.write_text(yaml.safe_dump(config))
    jobs = asked(cluster, "--configfile", "presets/alpaca-zephyr-7b.yaml")
    train = needs(jobs["train_adapter"], "gpu", "nodes", "mem_mb", "cpus_per_gpu")
    assert train == ("2", "1", "32000", "4")
    assert needs(jobs["generate_answers"], "gpu", "mem_mb") == ("1", "16000")


def test_a_repeated_job_asks_for_more(default_config):
    flow = Flow(default_config | {"cluster": {"max_minutes": 2000}})
    flow.settings.models["real"] = load_settings(
        yaml.safe_load((ROOT / "presets/alpaca-zephyr-7b.yaml").read_text()), ROOT
    ).models["zephyr-7b-beta"]
    assert [flow.resources.memory("tiny-mistral", n) for n in (1, 2, 3)] == [3000, 6000, 9000]
    assert [flow.resources.memory("real", n) for n in (1, 2, 3)] == [16_000, 32_000, 48_000]
    assert [flow.resources.minutes(720, n, "real") for n in (1, 2, 3)] == [720, 1440, 2000]
    assert [flow.resources.minutes(720, n, "tiny-mistral") for n in (1, 2)] == [60, 120]
    assert flow.resources.minutes(60, 2) == 120


def test_a_larger_model_asks_for_more(default_config, tmp_path, monkeypatch):
    """Its size is known once it is fetched."""
    monkeypatch.chdir(tmp_path)
    flow = Flow(default_config)
    real = {"source": "local", "path": "models/large"}
    flow = Flow(default_config | {"models": default_config["models"] | {"large": real}})
    before = (
        flow.resources.memory("large"),
        flow.resources.memory("large", whole=True),
        flow.resources.minutes(720, 1, "large"),
    )
    assert before == (16_000, 39_900, 720)
    folder = tmp_path / "results/models/large/model"
    folder.mkdir(parents=True)
    for n in range(2):
        with (folder / f"model-{n}.safetensors").open("wb") as file:
            file.truncate(13_000_000_000)
    assert flow.resources.memory("large") == 16_000, "it is loaded file by file"
    assert flow.resources.memory("large", whole=True) == 8000 + 57_200
    assert flow.resources.minutes(720, 1, "large") == 1292
    for path in folder.iterdir():
        with path.open("wb") as file:
            file.truncate(500_000_000)
    assert (flow.resources.memory("large"), flow.resources.minutes(720, 1, "large")) == (9000, 720)


def test_it_sets_all_that_the_default_profile_sets():
    """It takes the place of that profile, which nothing else would then repeat."""
    default, slurm = (
        yaml.safe_load((ROOT / f"profiles/{name}/config.yaml").read_text())
        for name in ("default", "slurm")
    )
    # How many jobs run at once, and on how many GPUs, is the cluster's affair.
    for key in default.keys() - {"cores", "resources"}:
        assert slurm[key] == default[key], key
