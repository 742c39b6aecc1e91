"""The jobs of a run that leave a manifest, with what each of them depends on now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any

from deltatune.core.paths import RESULTS
from deltatune.workflow.params import Params
from deltatune.workflow.selection import COMPARED, Selection


@dataclass(frozen=True)
class Job:
    rule: str
    name: str
    """For people, among the jobs of its rule."""
    manifest: str
    """Its path."""
    asked: Callable[[Any], dict[str, Any]]
    """Wildcards -> the `settings` of the manifest."""
    wildcards: dict[str, str]

    @property
    def log(self) -> str:
        """Its path below the folder of all results, as `rules/` have it."""
        named = {"seed": "seed-{}", "task": "gptq-{}" if self.rule == "quantize_model" else "{}"}
        # The jobs of plain baselines are of all systems.
        keys = [
            key for key in self.wildcards if not (self.rule.startswith("fit_") and key == "system")
        ]
        parts = [named.get(key, "{}").format(self.wildcards[key]) for key in keys]
        return f"logs/{self.rule}/{'/'.join(parts)}.log"

    @cached_property
    def settings(self) -> dict[str, Any]:
        return self.asked(SimpleNamespace(**self.wildcards))


def by_rule(jobs: Iterable[Job], value: Callable[[Job], Any]) -> dict[str, dict[str, Any]]:
    """Rule -> name of a job -> a value of it."""
    rules: dict[str, dict[str, Any]] = {}
    for job in jobs:
        rules.setdefault(job.rule, {})[job.name] = value(job)
    return rules


class Jobs:
    """Each once: all but those that compare, draw and render, which take seconds."""

    def __init__(self, selection: Selection, params: Params) -> None:
        self._selection, self._settings = selection, selection.settings
        self._params = params

    def __iter__(self) -> Iterator[Job]:
        return iter(self._all.values())

    @cached_property
    def _all(self) -> dict[tuple[str, str], Job]:
        every = [*self._data(), *self._models(), *self._evaluations()]
        return {(job.rule, job.name): job for job in every}

    def _job(self, rule: str, name: str, path: str, **wildcards: str) -> Job:
        # The plain baselines of a task are one job: its last file, which has all of its seconds,
        # is that of metrics.
        asked = "compute_metrics" if rule.startswith("fit_") else rule
        return Job(rule, name, f"{RESULTS}/{path}", getattr(self._params, asked), wildcards)

    def _data(self) -> Iterator[Job]:
        for name in self._selection.datasets:
            folder, dataset = f"datasets/{name}", {"dataset": name}
            rule = "mix_datasets" if self._selection.is_mixture(name) else "fetch_dataset"
            yield self._job(rule, name, f"{folder}/manifest.json", **dataset)
            if self._selection.is_text(name):
                yield self._job("chunk_text", name, f"{folder}/chunks.json", **dataset)
        for task in self._selection.all_tasks:
            yield self._job("split_dataset", task, f"tasks/{task}/manifest.json", task=task)

    def _models(self) -> Iterator[Job]:
        chosen = self._selection.experiments
        for model in dict.fromkeys(e.model for e in chosen.values()):
            here = self._selection.is_pretrained_here(model)
            rule = "pretrain_model" if here else "fetch_model"
            yield self._job(rule, model, f"models/{model}/manifest.json", model=model)
        for name, e in chosen.items():
            tokens = [(e.task, "train"), (e.task, "validation")]
            gptq = self._settings.models[e.model].gptq
            if e.quantization == "gptq" and gptq is not None:
                task = gptq.calibration
                tokens.append((task, "train"))
                path = f"models/{e.model}/gptq-{task}/manifest.json"
                yield self._job("quantize_model", e.model, path, model=e.model, task=task)
            for task, split in tokens:
                where, path = f"{task}, {split}, {e.model}", f"tokens/{task}/{e.model}/{split}.json"
                wildcards = {"task": task, "model": e.model, "split": split}
                yield self._job("tokenize_split", where, path, **wildcards)
            for seed in map(str, self._settings.seeds):
                path = f"experiments/{name}/seed-{seed}/manifest.json"
                wildcards = {"experiment": name, "seed": seed}
                yield self._job("train_adapter", f"{name}, seed {seed}", path, **wildcards)

    def _evaluations(self) -> Iterator[Job]:
        selection = self._selection
        for own in (True, False):
            for name, task in selection.pairs(own):
                for system in (selection.base(name), *selection.tuned(name)):
                    outputs = selection.evaluations(task, own)
                    made = {rule: f"{name}.json" for rule, name in outputs.items()}
                    made["compute_metrics"] = "metrics.json"
                    for rule, file in made.items():
                        yield self._evaluation(rule, f"{system} on {task}", task, system, file)
        for name, chosen in selection.experiments.items() if self._settings.prompts else ():
            for system in (selection.base(name), *selection.tuned(name)):
                path = f"prompts/{chosen.task}/{system}/answers.json"
                where, wildcards = f"{system} on {chosen.task}", {"task": chosen.task}
                yield self._job("answer_prompts", where, path, **wildcards, system=system)
        for task in selection.tasks:
            for name in list(selection.baselines(task))[-1:]:
                rule = f"fit_{selection.output_type(task).removesuffix('s')}_baselines"
                yield self._evaluation(rule, task, task, f"baseline/{name}", "metrics.json")

    def _evaluation(self, rule: str, name: str, task: str, system: str, file: str) -> Job:
        path = f"evaluations/{COMPARED}/{task}/{system}/{file}"
        return self._job(rule, name, path, split=COMPARED, task=task, system=system)
