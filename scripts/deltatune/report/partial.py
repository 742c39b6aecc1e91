"""What is there of a run that is not finished: the experiments all of whose results can be shown,
which may be none, and the jobs that are done.

A job that failed or was killed, or a change of settings that was not run to its end, leaves results
that belong to no run. So a result counts if its stage has finished it, it is what was made, its
manifest has the settings of this run, and what it was made from is still what lies there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deltatune.compare import family, table
from deltatune.core import integrity, made_with, manifest
from deltatune.core.errors import UserError
from deltatune.report.places import exchange


@dataclass(frozen=True)
class Finished:
    plan: dict[str, Any]
    """The plan of the report, of what is finished alone, with paths."""
    tables: dict[str, list[Path]]
    """Table -> the comparisons that it joins."""
    missing: list[str]
    """What is not shown, with the reason, each a sentence."""


def finished(plan: Mapping[str, Any], results: Path) -> Finished:
    """plan: as `workflow.report_inputs` gives it for this page, with paths below `results`."""
    state = _State(plan, results)
    shown, missing = {}, list(state.problems())
    for name, experiment in plan["experiments"].items():
        task, model = plan["tasks"][experiment["task"]], plan["models"][experiment["model"]]
        own = [pair for pair in plan["pairs"] if _key(pair) == (name, experiment["task"])]
        files = [*_paths(experiment["files"]), *_paths(task["files"]), model]
        reasons = list(filter(None, map(state.reason, files)))
        reasons += [reason for pair in own if (reason := state.of_pair(pair))]
        if reasons:
            missing.append(f"Experiment {name} is not shown: {reasons[0]}.")
        else:
            shown[name] = experiment
    pairs = [pair for pair in plan["pairs"] if pair["experiment"] in shown]
    kept = [pair for pair in pairs if not state.of_pair(pair)]
    missing += [
        f"Experiment {pair['experiment']} on {pair['task']} is not shown: {state.of_pair(pair)}."
        for pair in pairs
        if pair not in kept
    ]
    tasks = {one["task"] for one in shown.values()}
    jobs = {
        rule: usable
        for rule, named in plan["jobs"].items()
        if (usable := {name: path for name, path in named.items() if not state.reason(path)})
    }
    part = {
        "experiments": shown,
        "tasks": {name: task for name, task in plan["tasks"].items() if name in tasks},
        "pairs": kept,
        "left_out": [one for one in plan["left_out"] if one["experiment"] in shown],
        "models": {one["model"]: plan["models"][one["model"]] for one in shown.values()},
        "jobs": jobs,
        "made_with": plan["made_with"],
    }
    own = {(name, one["task"]) for name, one in shown.items()}
    tables: dict[str, list[Path]] = {}
    for pair in kept:
        name = "comparison" if _key(pair) in own else "cross_task"
        tables.setdefault(name, []).append(results / _comparison(pair))
    return Finished(exchange(part, lambda path: str(results / path)), tables, missing)


def write_tables(finished: Finished, folder: Path, confidence: float) -> list[Path]:
    """The tables of the page, joined of the comparisons that there are, in place of those of an
    earlier page. Returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for earlier in folder.glob("*.csv"):
        earlier.unlink()
    paths = []
    for name, comparisons in finished.tables.items():
        paths.append(folder / f"{name}.csv")
        joined = family.join([table.read(path) for path in comparisons], confidence)
        joined.to_csv(paths[-1], index=False, lineterminator="\n")
    return paths


def _key(pair: Mapping[str, Any]) -> tuple[str, str]:
    return pair["experiment"], pair["task"]


def _comparison(pair: Mapping[str, Any]) -> str:
    return f"comparisons/{pair['experiment']}/{pair['task']}.csv"


def _paths(files: Any) -> Iterator[str]:
    """The paths of a tree of files."""
    if isinstance(files, str):
        yield files
    else:
        for inner in files.values() if isinstance(files, Mapping) else files:
            yield from _paths(inner)


class _State:
    """Of each result, why it cannot be shown; each is looked at once."""

    def __init__(self, plan: Mapping[str, Any], results: Path) -> None:
        self._results = results
        self._reasons: dict[str, str | None] = {}
        self._jobs = {
            path: (f"{rule} {name}", plan["logs"][rule][name], plan["made_with"][rule][name])
            for rule, named in plan["jobs"].items()
            for name, path in named.items()
        }

    def problems(self) -> Iterator[str]:
        """Of the jobs that were started, and whose results cannot be shown."""
        for path, (job, log, _) in self._jobs.items():
            reason = self.reason(path)
            if reason and (self._results / log).is_file():
                yield f"{job}: {reason}."

    def of_pair(self, pair: Mapping[str, Any]) -> str | None:
        """Why a comparison cannot be shown: its systems have no results, or it has not these."""
        scores = [
            str(Path(path).parent / "scores.parquet") for path in _paths(pair["files"]["metrics"])
        ]
        path = _comparison(pair)
        for file in [*_paths(pair["files"]), *scores, path]:
            if reason := self.reason(file):
                return reason
        made = (self._results / path).stat().st_mtime_ns
        if any((self._results / file).stat().st_mtime_ns > made for file in scores):
            return f"{path} is older than the scores that it compares"
        return None

    def reason(self, path: str) -> str | None:
        if path not in self._reasons:
            self._reasons[path] = self._look(path)
        return self._reasons[path]

    def _look(self, path: str) -> str | None:
        file = self._results / path
        job, log, fingerprint = self._jobs.get(path, (None, None, None))
        if not file.exists():
            if log and (self._results / log).is_file():
                return f"it failed or was stopped, see {self._results / log}"
            return f"{job} was not started" if job else f"{path} is not there"
        try:
            if str(file) not in integrity.check([str(file)], self._results):
                return f"{path} was not finished"
        except UserError:
            return f"{path} is damaged or was not finished"
        if job is None:
            return None
        made = manifest.read(file)
        if made_with.fingerprint(made["settings"]) != fingerprint:
            return f"{path} was made with other settings than those of this run"
        for source, value in made["inputs"].items():
            if integrity.recorded(Path(source), self._results) != value:
                return f"{path} was made from another {source}"
        return None
