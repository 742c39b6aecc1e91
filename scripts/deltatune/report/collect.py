"""From the files of a run to the data of the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from deltatune.compare import fact
from deltatune.core import label_file, made_with, manifest
from deltatune.report import collect_examples, reading, record_counts, times
from deltatune.report.data import COSTS, LOSSES, Pair, ReportData
from deltatune.report.provenance import checkouts, provenance
from deltatune.report.settings import ReportSettings


def report_data(
    tables: Sequence[Path], plan: dict[str, Any], settings: ReportSettings
) -> ReportData:
    """Read a run's results, of which a run that is not finished may have none.

    tables: comparison.csv and, where there are such, cross_task.csv and baselines.csv.
    plan: experiments, pairs, tasks and models with their files: `workflow.report_inputs`.
    """
    experiments, pairs = plan["experiments"], plan["pairs"]
    facts = [one for path in tables for one in fact.read(path)]
    metrics = {_key(pair): _metrics(pair) for pair in pairs}
    evaluations = {_key(pair): evaluation_manifests(pair, experiments) for pair in pairs}
    metric_entries = {
        name: entry for systems in metrics.values() for name, entry in systems[0]["metrics"].items()
    }
    data = ReportData(
        facts=[one for one in facts if one.against == fact.BASE],
        controls=[one for one in facts if one.against != fact.BASE],
        experiments={
            name: {key: value for key, value in e.items() if key != "files"}
            | {"quantization": quantization(e), "documents_packed": documents_packed(e)}
            for name, e in experiments.items()
        },
        metrics=metric_entries,
        baseline_titles=baseline_titles(plan["tasks"]),
        left_out={_key(one): one["reason"] for one in plan["left_out"]},
        margins=settings.margins,
        behavior=behavior(metrics),
        label_checks=label_checks(evaluations),
        evaluations=evaluations,
        metric_caveats={
            one: metric_caveats(systems, list(evaluations[one])) for one, systems in metrics.items()
        },
        classes=classes(plan["tasks"]),
        losses=losses(experiments),
        final_losses=final_losses(experiments),
        scores=scores(experiments),
        answer_words=answer_words(experiments),
        examples=collect_examples.read(
            pairs, experiments, metric_entries, settings.report.examples
        ),
        continuations={n: answers(e) for n, e in experiments.items() if e["outputs"] == "text"},
        own_answers={n: own_answers(e) for n, e in experiments.items() if own_files(e)},
        confusions={n: confusion(e) for n, e in experiments.items() if e["outputs"] == "labels"},
        records={name: record_counts.of_task(task) for name, task in plan["tasks"].items()},
        costs=costs(plan),
        times=times.of_jobs(plan["jobs"]),
        other_settings=other_settings(plan),
        provenance=provenance(plan),
        checkouts=checkouts(plan),
        downloads={path.name: path.read_text(encoding="utf-8") for path in tables},
        confidence=settings.confidence,
        title=settings.report.title,
    )
    if experiments:
        data.downloads["losses.csv"] = data.losses.to_csv(index=False, lineterminator="\n")
    return data


LABEL_CHECKS = ("label_mass", "chance", "largest_predicted_share", "at_chance_for_format")
"""Keys of the manifest of score_labels."""


def _key(pair: dict[str, Any]) -> Pair:
    return pair["experiment"], pair["task"]


def _metrics(pair: dict[str, Any]) -> list[dict[str, Any]]:
    """metrics.json of the systems of a pair, the base's first."""
    files = pair["files"]["metrics"]
    return [manifest.read(path) for path in (files["base"], *files["tuned"])]


def evaluation_manifests(
    pair: dict[str, Any], experiments: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """{"base" | "seed N": manifest of its evaluation}."""
    seeds = [f"seed {seed}" for seed in experiments[pair["experiment"]]["seeds"]]
    files = pair["files"]["evaluations"]
    paths = zip(["base", *seeds], [files["base"], *files["tuned"]], strict=True)
    return {system: manifest.read(path) for system, path in paths}


def baseline_titles(tasks: dict[str, Any]) -> dict[str, str]:
    """Name of a baseline -> what the page calls it."""
    return {name: title for task in tasks.values() for name, title in task["baselines"].items()}


def behavior(metrics: dict[Pair, list[dict[str, Any]]]) -> dict[Pair, dict[str, dict[str, Any]]]:
    """How base and tuned answer, of the pairs that have answers."""
    return {
        pair: means([one["behavior"] for one in systems])
        for pair, systems in metrics.items()
        if all("behavior" in one for one in systems)
    }


def label_checks(
    evaluations: dict[Pair, dict[str, dict[str, Any]]],
) -> dict[Pair, dict[str, dict[str, Any]]]:
    """What was checked of base and tuned, of the pairs that have labels."""
    return {
        pair: means([{key: one[key] for key in LABEL_CHECKS} for one in systems.values()])
        for pair, systems in evaluations.items()
        if all(key in one for one in systems.values() for key in LABEL_CHECKS)
    }


def means(systems: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """{"base": the first, "tuned": the mean of the others by key}; None where one has no value."""
    base, *tuned = systems
    mean = {}
    for key in base:
        values = [one[key] for one in tuned]
        mean[key] = None if None in values else sum(values) / len(values)
    return {"base": base, "tuned": mean}


def metric_caveats(
    metrics: Sequence[dict[str, Any]], systems: Sequence[str]
) -> dict[str, list[str]]:
    """What metrics say of their own figures -> the systems of which they say it."""
    systems_of: dict[str, list[str]] = {}
    for system, one in zip(systems, metrics, strict=True):
        texts = [text for entry in one["metrics"].values() for text in entry["caveats"]]
        for text in dict.fromkeys(texts):
            systems_of.setdefault(text, []).append(system)
    return systems_of


def classes(tasks: dict[str, Any]) -> dict[str, dict[str, dict[str, int]]]:
    """task -> {split: {label: records}}, of the tasks that have labels."""
    splits = {name: manifest.read(task["files"]["split"]) for name, task in tasks.items()}
    return {name: split["classes"] for name, split in splits.items() if "classes" in split}


def losses(experiments: dict[str, Any]) -> pd.DataFrame:
    """The losses of all runs, see `reading.losses`."""
    frames = [
        reading.losses({name: e["files"]["losses"]}, e["seeds"]) for name, e in experiments.items()
    ]
    return pd.concat(frames) if frames else pd.DataFrame(columns=LOSSES)


def quantization(experiment: dict[str, Any]) -> str:
    """In words: with what the weights are, where they are taken as they are published, and how much
    of the base is quantized."""
    own = experiment["quantization"]
    made = [manifest.read(path) for path in experiment["files"]["runs"]]
    one = made[0] if made else {}
    parts = [one["published_quantization"]] if "published_quantization" in one else []
    if one.get("quantized_layers"):
        parts.append(
            f"{one['quantized_layers']} of {one['linear_layers']} linear layers, "
            f"{one['quantized_share']:.0%} of the parameters"
        )
    return f"{own} ({'; '.join(parts)})" if parts else own


def documents_packed(experiment: dict[str, Any]) -> bool | None:
    """Whether the model computes the documents of a row together, as its first training found."""
    made = [manifest.read(path) for path in experiment["files"]["runs"]]
    return made[0].get("documents_packed") if made else None


def final_losses(experiments: dict[str, Any]) -> pd.DataFrame:
    """experiment, seed, split, base, tuned."""
    rows = []
    for name, experiment in experiments.items():
        runs = zip(experiment["seeds"], experiment["files"]["runs"], strict=True)
        for seed, path in runs:
            for split, ends in manifest.read(path)["losses"].items():
                rows.append({"experiment": name, "seed": seed, "split": split, **ends})
    return pd.DataFrame(rows)


def confusion(experiment: dict[str, Any]) -> dict[str, Any]:
    """The confusion matrices of an experiment, see `reading.confusion`."""
    files = experiment["files"]
    return reading.confusion(**files["labels"], labels=label_file.read(files["classes"]))


def answers(experiment: dict[str, Any]) -> pd.DataFrame:
    """prompt, base, tuned: answers, tuned by the first seed."""
    files = experiment["files"]["answers"]
    base, tuned = pd.read_parquet(files["base"]), pd.read_parquet(files["tuned"][0])
    return base[["prompt"]].assign(base=base["answer"], tuned=tuned["answer"])


def scores(experiments: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """experiment -> its main metric on each example of its own task, see `reading.scores`."""
    return {
        name: reading.scores(**e["files"]["scores"], metric=e["main_metric"])
        for name, e in experiments.items()
    }


def answer_words(experiments: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """experiment -> reference, base and each "seed N": words of each answer; of those that have
    answers."""
    words = {}
    for name, experiment in experiments.items():
        if experiment["outputs"] != "answers":
            continue
        files = experiment["files"]["scores"]
        base = pd.read_parquet(files["base"], columns=["reference_words", "answer_words"])
        words[name] = base.set_axis(["reference", "base"], axis=1)
        for seed, path in zip(experiment["seeds"], files["tuned"], strict=True):
            tuned = pd.read_parquet(path, columns=["answer_words"])["answer_words"]
            words[name][f"seed {seed}"] = tuned
    return words


def own_files(experiment: dict[str, Any]) -> list[str]:
    """The answers to one's own prompts, of the base first; [] where there are none."""
    return experiment["files"]["own_answers"]


def own_answers(experiment: dict[str, Any]) -> pd.DataFrame:
    """text, and the answers of "base" and of each "seed N"; "" where a model's chat template
    refuses the prompt."""
    systems = ["base", *(f"seed {seed}" for seed in experiment["seeds"])]
    frames = [pd.read_parquet(path).set_index("id") for path in own_files(experiment)]
    answers = {name: frame["answer"] for name, frame in zip(systems, frames, strict=True)}
    return pd.DataFrame({"text": frames[0]["text"], **answers}).fillna("").reset_index(drop=True)


def other_settings(plan: dict[str, Any]) -> list[str]:
    """`rule: job` of each whose manifest says that it was made with other settings."""
    return [
        f"{rule}: {name}"
        for rule, jobs in plan["jobs"].items()
        for name, path in jobs.items()
        if made_with.fingerprint(manifest.read(path)["settings"]) != plan["made_with"][rule][name]
    ]


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
    frame = pd.DataFrame(rows, columns=COSTS)
    return frame.astype({"tokens_per_second": "float64"})
