"""From the files of a run to what the page shows."""

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
from deltatune.data.reasons import Code
from deltatune.report import reading
from deltatune.report.page import ReportData

#: Counts in the manifest of generate_answers -> what they mean.
ANSWER_FAULTS = {
    "empty": "answers are empty",
    "unfinished": "answers were cut at max_new_tokens before they ended",
    "prompts_cut": "prompts did not fit the context and lost their beginning",
}


def report_data(
    tables: Sequence[Path], plan: dict[str, Any], options: dict[str, Any]
) -> ReportData:
    """Read a run's results.

    tables: comparison.csv, and cross_task.csv where there is one; each adjusts its own p-values.
    plan: what `workflow.report_inputs` lists: experiments, tasks and models with their files.
    options: the sections `report` and `statistics` of the settings.
    """
    experiments = plan["experiments"]
    table = pd.concat([comparisons.read(path) for path in tables], ignore_index=True)
    others = plan["cross_task"]
    paths = [*(e["files"]["comparison"] for e in experiments.values())]
    paths += [other["comparison"] for other in others]
    details = pd.concat([comparisons.read(path) for path in paths], ignore_index=True)
    judged = [e["files"]["metrics"]["base"] for e in experiments.values()]
    judged += [other["metrics"] for other in others]
    data = ReportData(
        comparison=table,
        experiments={
            name: {key: value for key, value in e.items() if key != "files"}
            for name, e in experiments.items()
        },
        metrics={
            metric: figures
            for path in judged
            for metric, figures in manifest.read(path)["metrics"].items()
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
                e["files"]["labels"]["base"], e["files"]["labels"]["tuned"][0], e["labels"]
            )
            for name, e in experiments.items()
            if "labels" in e["files"]
        },
        baselines=baselines(plan["tasks"]),
        data={name: task_counts(task) for name, task in plan["tasks"].items()},
        costs=costs(plan),
        provenance=provenance(plan),
        caveats=caveats(plan),
        downloads={path.name: path.read_text(encoding="utf-8") for path in tables},
        resamples=options["statistics"]["resamples"],
        confidence=options["statistics"]["confidence"],
        shown=options["report"]["examples"],
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
    """id, prompt, reference, base, tuned: what was answered, tuned by the first seed; for
    instructions also base_score and tuned_score."""
    files = experiment["files"]
    base = pd.read_parquet(files["answers"]["base"])
    tuned = pd.read_parquet(files["answers"]["tuned"][0])
    frame = base[["id", "prompt", "reference"]].assign(base=base["answer"], tuned=tuned["answer"])
    if experiment["outputs"] == "answers":
        first = files["scores"] | {"tuned": files["scores"]["tuned"][:1]}
        scores = reading.scores(**first, metric=experiment["main_metric"])
        frame[["base_score", "tuned_score"]] = scores[["base", "tuned"]]
    return frame


def baselines(tasks: dict[str, Any]) -> dict[str, dict]:
    """task -> {title: figures} for the tasks that have a classical baseline."""
    found = {}
    for name, task in tasks.items():
        if "baseline" in task["files"]:
            figures = manifest.read(task["files"]["baseline"])
            wanted = ("accuracy", "macro_f1", "ci_low", "ci_high")
            found[name] = {figures["title"]: {key: figures[key] for key in wanted}}
    return found


def task_counts(task: dict[str, Any]) -> dict[str, Any]:
    """What became of the records of a task, from file to packed rows."""
    source = manifest.read(task["files"]["dataset"])
    split = manifest.read(task["files"]["split"])
    tokens = {name: manifest.read(path) for name, path in task["files"]["tokens"].items()}
    rejected = {**source["reasons"], **split["rejected"]}
    sizes = {name: split[name] for name in ("train", "validation", "test")}
    excluded = split["excluded"]
    return {
        "rows": source["rows"],
        "kept": sum(sizes.values()),
        "rejected": {Code(code).label: count for code, count in rejected.items()},
        "duplicates": sum(n for code, n in excluded.items() if code != Code.NEAR_DUPLICATE),
        "near_duplicates": excluded.get(Code.NEAR_DUPLICATE, 0),
        "splits": sizes,
        "truncated": sum(t["truncated"] for t in tokens.values()),
        "dropped": sum(t["dropped"] for t in tokens.values()),
        "supervised_tokens": tokens["train"]["supervised_tokens"],
        "padding_share": tokens["train"]["padding_share"],
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


def caveats(plan: dict[str, Any]) -> list[str]:
    """What the manifests know that a reader of the figures must know too."""
    said: list[str] = []
    #: Experiment and what is said of it -> the systems that it is said of.
    systems_of: dict[tuple[str, str], list[str]] = {}
    for name, experiment in plan["experiments"].items():
        if experiment["built_here"]:
            said.append(
                f"{experiment['model']} is a tiny model, trained from scratch in this run: what "
                "it gains on these data says nothing of what a real model would gain."
            )
        systems = ["base", *(f"seed {seed}" for seed in experiment["seeds"])]
        paths = experiment["files"]["metrics"]
        for system, path in zip(systems, [paths["base"], *paths["tuned"]], strict=True):
            found = manifest.read(path)["metrics"].values()
            lines = dict.fromkeys(line for figures in found for line in figures["caveats"])
            for line in lines:
                systems_of.setdefault((name, line), []).append(system)
            facts = manifest.read(plan["jobs"]["evaluate"][f"{name}, {system}"])
            for key, text in ANSWER_FAULTS.items():
                if facts.get(key):
                    said.append(f"{name}, {system}: {facts[key]} of {facts['examples']} {text}.")
        said += _batches(name, {s: plan["jobs"]["evaluate"][f"{name}, {s}"] for s in systems})
    said += [
        f"{name} ({', '.join(systems)}): {line}." for (name, line), systems in systems_of.items()
    ]
    clean = [
        task
        for task, files in plan["tasks"].items()
        if not manifest.read(files["files"]["split"])["excluded"]
    ]
    if clean:
        said.append(
            f"Leakage, {', '.join(clean)}: no test or validation record is a duplicate or near "
            "duplicate of a training record."
        )
    return list(dict.fromkeys(said))


def _batches(name: str, jobs: dict[str, str]) -> list[str]:
    """Base and tuned are evaluated in the same batches unless memory ran short for one of them."""
    used = {system: manifest.read(path).get("batch_size_used") for system, path in jobs.items()}
    if len(set(used.values())) == 1:
        return []
    sizes = ", ".join(f"{system}: {size}" for system, size in used.items())
    return [
        f"{name}: memory ran short, so that base and tuned were not evaluated in batches of the "
        f"same size ({sizes}). In 4-bit or 16-bit precision that alone can change an answer; set "
        "the task's evaluation.batch_size to the smallest of them to rule it out."
    ]


def provenance(plan: dict[str, Any]) -> dict[str, Any]:
    """Versions, commit, machine, and the hashes of models and adapters."""
    records = [manifest.read(path) for jobs in plan["jobs"].values() for path in jobs.values()]
    versions: dict[str, set[str]] = {}
    for record in records:
        for package, version in record["versions"].items():
            versions.setdefault(package, set()).add(version)
    return {
        "versions": {name: ", ".join(sorted(found)) for name, found in sorted(versions.items())},
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
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty=, modified"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "not in a git checkout"
    return found.stdout.strip()
