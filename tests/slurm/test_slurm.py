"""The pipeline on a real SLURM: slurmctld and slurmd on loopback, as snakemake's user meets them.

What is run is the default made small, with the rules and the profile as they are shipped; the top
of the profile is filled in as a user does.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import warm_python
import yaml
from conftest import ROOT, copy_project, run_snakemake, small, write_config
from local_cluster import Cluster, Job, Unavailable
from slurm_profile import fill_in

# Looking for finished jobs more often than is polite to a real cluster.
COMMAND = (
    "--workflow-profile",
    "profiles/slurm",
    "--slurm-init-seconds-before-status-checks",
    "1",
    "--latency-wait",
    "10",
)
LOCAL = {
    "fetch_dataset",
    "compare_systems",
    "join_comparisons",
    "compare_baselines",
    "plot_forest",
    "plot_losses",
    "plot_differences",
    "plot_confusion",
    "render_tables",
    "render_report",
    "all",
}
# A text is cut and split in one job, one after the other; other data need no cutting.
TOGETHER, ALONE = "prepare_chunk_text_split_dataset", "prepare_split_dataset"
# The rule of the job that `faults` kills at its first attempt.
KILLED = "fit_label_baselines"
# MB and minutes of a first attempt.
ASKED = {
    TOGETHER: (4000, 90),
    ALONE: (4000, 60),
    "fit_answer_baselines": (4000, 120),
    "fit_label_baselines": (4000, 120),
    "pretrain_model": (3000, 60),
    "tokenize_split": (4000, 120),
    "train_adapter": (3000, 60),
    "generate_answers": (3000, 20),
    "score_text": (3000, 20),
    "score_labels": (3000, 20),
    "compute_metrics": (3000, 120),
}
#: Packages that take a tenth of a second or more to load.
HEAVY = {
    *("accelerate", "bitsandbytes", "datasets", "evaluate", "jinja2", "matplotlib"),
    *("pandas", "peft", "pyarrow", "pydantic", "sacrebleu", "scipy", "seaborn", "sklearn"),
    *("statsmodels", "torch", "transformers"),
}
FRAMES = {"pandas", "pyarrow", "pydantic"}
MODELS = {"accelerate", "jinja2", "scipy", "torch", "transformers"}
SYSTEMS = {*MODELS, "bitsandbytes", "peft"}
METRICS = {"datasets", "evaluate"}
FIGURES = {"matplotlib", "seaborn"}
#: Rule -> what its jobs load, tables apart. Another one costs each of them its time.
PACKAGES: dict[str, set[str]] = {
    "fetch_dataset": set(),
    "chunk_text": set(),
    "split_dataset": {"scipy", "sklearn"},
    "pretrain_model": MODELS,
    "tokenize_split": {"datasets", "jinja2", "transformers"},
    "train_adapter": {*SYSTEMS, "datasets"},
    "generate_answers": SYSTEMS,
    "score_text": SYSTEMS,
    "score_labels": SYSTEMS,
    "compute_metrics": METRICS,  # bertscore loads torch, and no task of the small run has it
    "fit_answer_baselines": {*METRICS, "scipy", "sklearn"},
    "fit_label_baselines": {*METRICS, "scipy", "sklearn"},
    "compare_systems": {*METRICS, "scipy"},
    "compare_baselines": {*METRICS, "scipy"},
    "join_comparisons": {"scipy"},
    "plot_forest": {"matplotlib"},
    "plot_losses": FIGURES,
    "plot_differences": FIGURES,
    "plot_confusion": FIGURES,
    "render_report": {*FIGURES, "jinja2"},
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.__enter__()
    except Unavailable as why:
        if os.environ.get("CI") == "true":
            pytest.fail(str(why))
        pytest.skip(str(why))
    try:
        yield cluster
    finally:
        cluster.__exit__()


@dataclass
class Place:
    """A project folder on the cluster."""

    folder: Path
    environment: dict[str, str]

    def path(self, path: str) -> Path:
        return self.folder / "results" / path

    def snakemake(self, *arguments: str, **environment: str) -> str:
        environment = self.environment | environment
        done = run_snakemake(self.folder, *COMMAND, *arguments, timeout=1500, **environment)
        assert done.returncode == 0, f"{done.stdout[-6000:]}\n{self.slurm_logs()}"
        return done.stdout

    def slurm_logs(self) -> str:
        paths = sorted(self.folder.glob(".snakemake/slurm_logs/**/*.log"))
        return "\n".join(f"== {path}\n{path.read_text()[-3000:]}" for path in paths)


@pytest.fixture(scope="module")
def place(cluster, tmp_path_factory, default_config) -> Place:
    folder = tmp_path_factory.mktemp("cluster")
    project = copy_project(folder / "project")
    write_config(project, small(default_config))
    fill_in(project, gpu_partition="gpu", gpu_type="a100")
    (folder / "faults").mkdir()
    own = [str(Path(__file__).with_name("python")), str(ROOT / "tests/hooks")]
    python = os.pathsep.join(filter(None, [*own, os.environ.get("PYTHONPATH")]))
    return Place(project, {"FAULTS": str(folder / "faults"), "PYTHONPATH": python})


@pytest.fixture(scope="module")
def whole(cluster: Cluster, place: Place) -> tuple[str, list[Job]]:
    """The default pipeline, run on the cluster: snakemake's output, and SLURM's records.

    The two snakemakes of a job are forked from one that is there. Scripts are processes of their
    own; what each has loaded stands in `loaded` beside the project.
    """
    loaded = place.folder.parent / "loaded"
    loaded.mkdir()
    warm = warm_python.variables(os.environ | place.environment)["WARM"]
    output = place.snakemake(WARM=warm, LOADED=str(loaded))
    return output, cluster.jobs()


@pytest.fixture(scope="module")
def timed(cluster: Cluster, place: Place, whole) -> list[Job]:
    """A model that needs a GPU, tuned twice alike; the first time, time runs out."""
    path = place.folder / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["seeds"] = [1, 2]
    config["cache_gb"] = 0  # the second would be found again
    built = place.path("models/tiny-mistral/model")
    config["models"]["fetched"] = {"source": "local", "path": str(built)}
    tuned = config["experiments"]["prose-qlora"] | {"model": "fetched", "cross_task": []}
    tuned["training"] = tuned["training"] | {"epochs": 12}
    config["experiments"] |= {"slow": tuned, "fast": tuned}
    path.write_text(yaml.safe_dump(config))
    before = cluster.last()
    place.snakemake(
        *(f"results/experiments/{name}/seed-1/adapter.sha256" for name in ("slow", "fast")),
        "--set-resources",
        "train_adapter:runtime=attempt",
        # The limit is looked at every 30 seconds, and the warning may be that much early.
        "train_adapter:slurm_extra='--signal=TERM@5'",
        "--retries",
        "4",
    )
    return cluster.jobs(before)


def made(results: Path) -> dict[str, str]:
    """{path: hash} of all that a run makes, what states its times apart."""
    kinds = {".parquet", ".csv", ".sha256", ".safetensors", ".arrow"}
    paths = [p for p in results.rglob("*") if p.suffix in kinds and p.is_file()]
    # Those of the manifests too, which state seconds; the cache has copies of results.
    paths = [p for p in paths if p.relative_to(results).parts[0] not in ("checksums", "cache")]
    return {
        str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }


def planned(output: str) -> Counter[str]:
    """Jobs of each rule, from snakemake's table."""
    table = output.split("Job stats:")[1].split("Select jobs")[0]
    counts = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.M)}
    return Counter({rule: count for rule, count in counts.items() if rule != "total"})


def test_every_rule_that_is_not_light_ran_as_a_job(whole):
    output, jobs = whole
    expected = planned(output)
    assert expected.keys() >= LOCAL, "the default has changed: which of its rules are local?"
    for rule in LOCAL:
        del expected[rule]
    expected[TOGETHER] = expected.pop("chunk_text")
    expected[ALONE] = expected.pop("split_dataset") - expected[TOGETHER]
    assert Counter(job.rule for job in jobs if job.state == "COMPLETED") == expected


def test_each_job_got_what_its_rule_asks_for(whole):
    jobs = [job for job in whole[1] if job.state == "COMPLETED" and job.rule != KILLED]
    for job in jobs:
        assert (job.memory, job.minutes) == ASKED[job.rule], job.comment
        assert job.cpus == 1 and job.fields["NumNodes"] == "1", job.comment
        assert job.fields["Partition"] == "cpu" and not job.gpus, job.comment


def test_the_results_are_those_of_a_run_without_slurm(whole, place, small_run):
    here, there = made(place.path("")), made(small_run / "results")
    assert here == there
    assert place.path("report.html").is_file()


def test_a_job_loads_the_packages_that_it_uses(whole, place):
    loaded: dict[str, set[str]] = {}
    for file in (place.folder.parent / "loaded").iterdir():
        names = loaded.setdefault(file.name.partition(".")[0], set())
        names |= HEAVY & set(file.read_text().split())
    expected = {rule: FRAMES | packages for rule, packages in PACKAGES.items()}
    # It has no settings.
    assert loaded == expected | {"render_tables": FRAMES - {"pydantic"}}


def test_a_killed_job_is_repeated_with_more_memory_and_time(whole):
    failed, repeated = (job for job in whole[1] if job.rule == KILLED)
    assert (failed.state, repeated.state) == ("FAILED", "COMPLETED")
    memory, minutes = ASKED[KILLED]
    assert (failed.memory, failed.minutes) == (memory, minutes)
    assert (repeated.memory, repeated.minutes) == (2 * memory, 2 * minutes)


def test_jobs_with_a_gpu_get_it_and_take_turns(timed):
    jobs = [job for job in timed if job.rule == "train_adapter"]
    assert len(jobs) >= 3
    for job in jobs:
        assert job.gpus == "gres:gpu:a100:1"
        assert (job.fields["Partition"], job.cpus) == ("gpu", 4)
        assert job.fields["JOB_GRES"] == "gpu:a100:1"
    times = sorted(job.ran for job in jobs)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(times))
    assert not any(job.gpus for job in timed if job.rule == "tokenize_split")


def test_training_that_runs_out_of_time_goes_on_in_the_next_job(timed, place):
    *stopped, last = (job for job in timed if "slow" in job.comment)
    assert stopped and {job.state for job in stopped} <= {"FAILED", "TIMEOUT"}
    assert last.state == "COMPLETED"
    # Each attempt was given a minute more.
    assert [job.minutes for job in (*stopped, last)] == list(range(1, len(stopped) + 2))
    begun, ended = stopped[0].ran
    assert (ended - begun).total_seconds() < 60, "it ended by itself, before it was killed"
    slow, fast = (place.path(f"experiments/{name}/seed-1") for name in ("slow", "fast"))
    assert (slow / "adapter.sha256").read_text() == (fast / "adapter.sha256").read_text()
    assert (slow / "loss.csv").read_text() == (fast / "loss.csv").read_text()
    log = place.path("logs/train_adapter/slow/seed-1.log").read_text()
    assert re.search(r"resuming at step [1-9]", log)
    assert not place.path("checkpoints").exists()


def wait_until(true: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not in {seconds} s: {what}"
        time.sleep(0.5)


def test_interrupting_leaves_no_job_behind(timed, cluster, place):
    """Ctrl-C: the running job saves a checkpoint, the pending one is canceled."""
    before = cluster.last()
    run = subprocess.Popen(
        [sys.executable, "-m", "snakemake", *COMMAND]
        + [f"results/experiments/slow/seed-{seed}/adapter.sha256" for seed in (2, 3)],
        cwd=place.folder,
        env={**os.environ, **place.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        faults = Path(place.environment["FAULTS"])
        paused = [faults / f"slow-seed-{seed}" for seed in (2, 3)]
        wait_until(lambda: any(path.exists() for path in paused), 300, "training has begun")
        # There is one GPU: the other waits for it.
        wait_until(lambda: len(cluster.queue()) == 2, 60, "both are submitted")
        run.send_signal(signal.SIGINT)
        output, _ = run.communicate(timeout=180)
    finally:
        run.kill()
    assert run.returncode != 0
    wait_until(lambda: not cluster.queue(), 60, f"no job is left\n{output}")
    assert {job.state for job in cluster.jobs(before)} <= {"CANCELLED", "FAILED"}
    assert sum(path.exists() for path in paused) == 1
    assert list(place.path("checkpoints/slow").glob("seed-*/*/step-*"))
