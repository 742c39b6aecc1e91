"""From the files of a run to the data of the page."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from deltatune.compare import table as comparisons
from deltatune.core import manifest
from deltatune.core.paths import ROOT
from deltatune.data import reasons
from deltatune.report import reading, record_counts
from deltatune.report.caveats import ANSWER_FAULTS, LEAKS, Caveat, Code, tested
from deltatune.report.data import ReportData


def report_data(
    tables: Sequence[Path], plan: dict[str, Any], options: dict[str, Any]
) -> ReportData:
    """Read a run's results.

    tables: comparison.csv, and where there are any cross_task.csv and baselines.csv, which is of
    tuned systems against plain baselines.
    plan: what `workflow.report_inputs` lists: experiments, tasks and models with their files.
    options: the sections `report` and `statistics` of the settings.
    """
    experiments = plan["experiments"]
    of_bases = [path for path in tables if str(path) != plan["baselines"]]
    table = pd.concat([comparisons.read(path) for path in of_bases], ignore_index=True)
    others = plan["cross_task"]
    paths = [*(e["files"]["comparison"] for e in experiments.values())]
    paths += [other["comparison"] for other in others]
    details = pd.concat([comparisons.read(path) for path in paths], ignore_index=True)
    metrics = [e["files"]["metrics"]["base"] for e in experiments.values()]
    metrics += [other["metrics"] for other in others]
    data = ReportData(
        comparison=table,
        experiments={
            name: {key: value for key, value in e.items() if key != "files"}
            for name, e in experiments.items()
        },
        metrics={
            metric: entry
            for path in metrics
            for metric, entry in manifest.read(path)["metrics"].items()
        },
        details=details,
        losses=pd.concat(
            reading.losses({name: e["files"]["losses"]}, e["seeds"])
            for name, e in experiments.items()
        ),
        final_losses=final_losses(experiments),
        scores={
            name: reading.scores(**e["files"]["scores"], metric=e["main_metric"])
            for name, e in experiments.items()
        },
        examples={n: answers(e) for n, e in experiments.items() if e["outputs"] == "answers"},
        continuations={n: answers(e) for n, e in experiments.items() if e["outputs"] == "text"},
        confusions={
            name: reading.confusion(
                e["files"]["labels"]["base"], e["files"]["labels"]["tuned"], e["labels"]
            )
            for name, e in experiments.items()
            if "labels" in e["files"]
        },
        baselines=baselines(plan["tasks"]),
        records={name: record_counts.of_task(task) for name, task in plan["tasks"].items()},
        costs=costs(plan),
        provenance=provenance(plan),
        caveats=caveats(plan),
        downloads={path.name: path.read_text(encoding="utf-8") for path in tables},
        resamples=options["statistics"]["resamples"],
        confidence=options["statistics"]["confidence"],
        max_examples=options["report"]["examples"],
        title=options["report"]["title"],
    )
    details_csv = details.to_csv(index=False, lineterminator="\n")
    losses_csv = data.losses.to_csv(index=False, lineterminator="\n")
    data.downloads |= {"comparison_details.csv": details_csv, "losses.csv": losses_csv}
    return data


def final_losses(experiments: dict[str, Any]) -> pd.DataFrame:
    """experiment, seed, split, base, tuned."""
    rows = []
    for name, experiment in experiments.items():
        runs = zip(experiment["seeds"], experiment["files"]["runs"], strict=True)
        for seed, path in runs:
            for split, ends in manifest.read(path)["losses"].items():
                rows.append({"experiment": name, "seed": seed, "split": split, **ends})
    return pd.DataFrame(rows)


def answers(experiment: dict[str, Any]) -> pd.DataFrame:
    """id, prompt, reference, base, tuned: the answers, tuned by the first seed. Where answers are
    scored also base_score, tuned_score (mean over seeds) and seed_score (of the first seed)."""
    files = experiment["files"]
    base = pd.read_parquet(files["answers"]["base"])
    tuned = pd.read_parquet(files["answers"]["tuned"][0])
    frame = base[["id", "prompt", "reference"]].assign(base=base["answer"], tuned=tuned["answer"])
    if experiment["outputs"] == "answers":
        metric, scored = experiment["main_metric"], files["scores"]
        scores = reading.scores(scored["base"], scored["tuned"], metric)
        frame[["base_score", "tuned_score"]] = scores[["base", "tuned"]]
        frame["seed_score"] = reading.scores(scored["base"], scored["tuned"][:1], metric)["tuned"]
    return frame


def baselines(tasks: dict[str, Any]) -> dict[str, dict]:
    """task -> {title of a plain baseline: {metric: value}}."""
    return {
        name: {
            task["baselines"][baseline]: {
                metric: entry["value"] for metric, entry in manifest.read(path)["metrics"].items()
            }
            for baseline, path in task["files"]["baselines"].items()
        }
        for name, task in tasks.items()
        if task["baselines"]
    }


def costs(plan: dict[str, Any]) -> pd.DataFrame:
    """stage, name, seconds, peak_memory_gb, tokens_per_second of each job that has a manifest."""
    rows = []
    for stage, jobs in plan["jobs"].items():
        for name, path in jobs.items():
            record = manifest.read(path)
            rows.append(
                {
                    "stage": stage,
                    "name": name,
                    "seconds": record["seconds"],
                    "peak_memory_gb": record.get("peak_gpu_memory_gb", record["peak_memory_gb"]),
                    "tokens_per_second": record.get("tokens_per_second"),
                }
            )
    frame = pd.DataFrame(rows)
    return frame.astype({"tokens_per_second": "float64"})


def caveats(plan: dict[str, Any]) -> list[Caveat]:
    """What the manifests know that a reader of the figures must know too."""
    result: list[Caveat] = []
    metrics: list[Caveat] = []
    for name, experiment in plan["experiments"].items():
        if experiment["built_here"]:
            result.append(Caveat(Code.TINY_MODEL, {"model": experiment["model"]}))
        systems = ["base", *(f"seed {seed}" for seed in experiment["seeds"])]
        manifests = {s: manifest.read(plan["jobs"]["evaluate"][f"{name}, {s}"]) for s in systems}
        for system, counts in manifests.items():
            result += answer_faults(name, system, counts)
        result += batch_sizes(name, manifests)
        metrics += metric_caveats(name, systems, experiment["files"]["metrics"])
    splits = {name: manifest.read(t["files"]["split"]) for name, t in plan["tasks"].items()}
    leakage = no_duplicates(splits)
    for name, split in splits.items():
        leakage += leaks(name, split)
    return [*result, *metrics, *leakage]


def no_duplicates(splits: dict[str, dict[str, Any]]) -> list[Caveat]:
    """The tasks without a duplicate, by what was tested. splits: their manifests."""
    tasks: dict[str, list[str]] = {}
    for name, split in splits.items():
        if not split["excluded"]:
            tasks.setdefault(tested(record_counts.near_duplicate_threshold(split)), []).append(name)
    return [
        Caveat(Code.NO_LEAKAGE, {"tasks": names, "tested": what}) for what, names in tasks.items()
    ]


def leaks(task: str, split: dict[str, Any]) -> list[Caveat]:
    """What split_dataset counted of test records that stand in the training data."""
    total = split["test"]
    shared = {"task": task, "total": total, "least": f"{reasons.CONTAINED_SHARE:.0%}"}
    return [
        Caveat(code, {**shared, "count": count, "share": f"{count / total:.1%}"})
        for code in LEAKS
        if (count := split["leakage"].get(code))
    ]


def answer_faults(experiment: str, system: str, counts: dict[str, Any]) -> list[Caveat]:
    """What generate_answers counted of one system; other evaluations count none of it."""
    where = {"experiment": experiment, "system": system}
    return [
        Caveat(code, {**where, "count": counts[code], "total": counts["examples"]})
        for code in ANSWER_FAULTS
        if counts.get(code)
    ]


def batch_sizes(experiment: str, manifests: dict[str, dict[str, Any]]) -> list[Caveat]:
    """Base and tuned are evaluated in the same batches unless memory ran out for one of them."""
    sizes = {system: record.get("batch_size_used") for system, record in manifests.items()}
    if len(set(sizes.values())) == 1:
        return []
    return [Caveat(Code.BATCH_SIZES, {"experiment": experiment, "sizes": sizes})]


def metric_caveats(experiment: str, systems: Sequence[str], files: dict[str, Any]) -> list[Caveat]:
    """Caveats of the metrics, each with the systems that it applies to."""
    systems_of: dict[str, list[str]] = {}
    for system, path in zip(systems, [files["base"], *files["tuned"]], strict=True):
        metrics = manifest.read(path)["metrics"].values()
        for text in dict.fromkeys(text for metric in metrics for text in metric["caveats"]):
            systems_of.setdefault(text, []).append(system)
    return [
        Caveat(Code.METRIC, {"experiment": experiment, "systems": names, "text": text})
        for text, names in systems_of.items()
    ]


def provenance(plan: dict[str, Any]) -> dict[str, Any]:
    """Versions, commit, machine, and the hashes of models and adapters."""
    records = [manifest.read(path) for jobs in plan["jobs"].values() for path in jobs.values()]
    versions: dict[str, set[str]] = {}
    for record in records:
        for package, version in record["versions"].items():
            versions.setdefault(package, set()).add(version)
    return {
        "versions": {
            name: ", ".join(sorted(several)) for name, several in sorted(versions.items())
        },
        "commit": _commit(),
        "machine": ", ".join(sorted({record["machine"] for record in records})),
        "devices": ", ".join(sorted({r["device"] for r in records if "device" in r})),
        "processor": platform.processor() or platform.machine(),
        "models": {name: _weights(path) for name, path in plan["models"].items()},
        "adapters": {
            f"{name}, seed {seed}": _weights(path)
            for name, e in plan["experiments"].items()
            for seed, path in zip(e["seeds"], e["files"]["runs"], strict=True)
        },
    }


def _weights(path: str) -> str:
    """The hash of the weights, in short, from a manifest."""
    hashes = manifest.read(path)["hashes"]
    return ", ".join(value[:16] for name, value in hashes.items() if name.endswith(".safetensors"))


def _commit() -> str:
    """The commit of the pipeline; the word modified is added if files differ from it."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty=, modified"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "not in a git checkout"
    return done.stdout.strip()
