"""Where the figures come from: commit, times and machines of the jobs, as their manifests have it.

Nothing here is of the rendering: a page that is rendered again says the same of the same jobs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deltatune.core import manifest
from deltatune.report import numbers
from deltatune.report.data import Checkout


def provenance(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Title -> what stands in the page; nothing where no job is done.

    plan: what `workflow.report_inputs` lists: jobs, models and experiments with their manifests.
    """
    by_rule = {
        rule: [manifest.read(path) for path in jobs.values()] for rule, jobs in plan["jobs"].items()
    }
    records = [record for several in by_rule.values() for record in several]
    jobs = [record["job"] for record in records]
    if not jobs:
        return {}
    parts = {
        "jobs": commits(by_rule),
        "first job started": min(job["started"] for job in jobs),
        "last job ended": max(job["ended"] for job in jobs),
        "processor": _names(job["processor"] for job in jobs),
        **_if_any("gpu", (job["gpu"] for job in jobs if "gpu" in job)),
        "machine": _names(record["machine"] for record in records),
        "devices": _names(record["device"] for record in records if "device" in record),
        **evaluated(records),
        "versions": _versions(records),
        "models": {name: _weights(path) for name, path in plan["models"].items()},
        "adapters": {
            f"{name}, seed {seed}": _weights(path)
            for name, e in plan["experiments"].items()
            for seed, path in zip(e["seeds"], e["files"]["runs"], strict=True)
        },
    }
    return {title: part for title, part in parts.items() if part}


def checkouts(plan: Mapping[str, Any]) -> list[Checkout]:
    """By which code the jobs of a plan ran, each once."""
    jobs = [
        manifest.read(path)["job"] for several in plan["jobs"].values() for path in several.values()
    ]
    return list(dict.fromkeys(Checkout(job["commit"], bool(job["modified"])) for job in jobs))


def commits(by_rule: Mapping[str, Sequence[Mapping[str, Any]]]) -> str | dict[str, str]:
    """'all 68 jobs at commit abc1234', or commit -> the jobs that ran at it, by rule.

    by_rule: rule -> the manifests of its jobs.
    """
    counts: dict[str, dict[str, int]] = {}
    for rule, records in by_rule.items():
        for record in records:
            of_rule = counts.setdefault(_commit(record["job"]), {})
            of_rule[rule] = of_rule.get(rule, 0) + 1
    texts = {
        commit: ", ".join(f"{rule} ({count})" for rule, count in rules.items())
        for commit, rules in counts.items()
    }
    if len(texts) != 1:
        return texts
    (commit,) = texts
    total = sum(len(records) for records in by_rule.values())
    return f"{'all ' if total > 1 else ''}{numbers.plural(total, 'jobs')} at {commit}"


def _commit(job: Mapping[str, Any]) -> str:
    if job["commit"] is None:
        return "an unknown commit: there was no git checkout"
    modified = ", with modified code" if job["modified"] else ""
    return f"commit {job['commit'][:10]}{modified}"


def evaluated(records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """The weights that systems were evaluated with -> how many, why, and how far they are from
    those that were trained with."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        if "weights_used" in record:
            name = f"{record['weights_used']} ({record['weights_reason']})"
            groups.setdefault(name, []).append(record)
    texts = {}
    for name, group in groups.items():
        texts[name] = numbers.plural(len(group), "evaluations")
        measured = [r["weights_divergence"] for r in group if r.get("weights_divergence")]
        if measured:
            most = max(figures["kl_mean"] for figures in measured)
            texts[name] += f", at most {most:.1e} nats per token from the weights as trained"
    return {"weights of evaluations": texts} if texts else {}


def _versions(records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    versions: dict[str, set[str]] = {}
    for record in records:
        for package, version in record["versions"].items():
            versions.setdefault(package, set()).add(version)
    return {name: ", ".join(sorted(several)) for name, several in sorted(versions.items())}


def _names(names: Any) -> str:
    return ", ".join(sorted(set(names)))


def _if_any(title: str, names: Any) -> dict[str, str]:
    text = _names(names)
    return {title: text} if text else {}


def _weights(path: str) -> str:
    """The hash of the weights, in short, from a manifest."""
    hashes = manifest.read(path)["hashes"]
    return ", ".join(value[:16] for name, value in hashes.items() if name.endswith(".safetensors"))
