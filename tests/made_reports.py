"""Reports made up in memory, by the data of the page alone: a sweep, real texts, hostile texts.

What `ReportData` holds of one run agrees here as it does there: a figure is the mean of its scores,
a matrix has its accuracy on the diagonal. The same call makes the same data.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from deltatune.compare.fact import Fact
from deltatune.metrics.words import words
from deltatune.report import collect, examples
from deltatune.report.data import COSTS, ReportData
from deltatune.report.examples import ExampleTable
from deltatune.tasks.registry import load_kind
from scipy import stats

TEMPLATE = Path(__file__).parents[1] / "report" / "page.html.j2"
MODELS = ("mistralai-Mistral-7B-v0.1", "mistralai-Mistral-7B-Instruct-v0.3")
MAIN = {"instruct": "rouge_l", "prose": "perplexity", "classify": "accuracy"}
UNITS = {"instruct": "examples", "prose": "windows", "classify": "examples"}
TITLES = {
    "rouge_l": {"title": "ROUGE-L F1", "signature": "rougeL|stemmer:yes"},
    "perplexity": {"title": "Perplexity", "signature": ""},
    "accuracy": {"title": "Accuracy", "signature": ""},
}
LABELS = ("World", "Sports", "Business", "Sci/Tech")


@dataclass(frozen=True)
class Texts:
    """Where the texts of examples come from."""

    prompts: Sequence[str]
    answers: Sequence[str]
    labels: Sequence[str] = LABELS


MADE_UP = Texts(
    [f"Name the color that comes after number {n} of the list, and say why." for n in range(40)],
    [f"Color {n} follows, since the list goes from red to violet in {n} steps." for n in range(40)],
)


def sweep(
    experiments: int = 24,
    tasks: Sequence[str] = ("instruct", "prose", "classify"),
    seeds: Sequence[int] = (1, 2, 3),
    count: int = 60,
    texts: Texts = MADE_UP,
    cross: bool = True,
) -> ReportData:
    """`experiments` tuned on tasks of these kinds in turn, each evaluated on all of them.

    count: examples of each task; cross: whether there are facts on other tasks.
    """
    draw = np.random.default_rng(0)
    task_kinds = {task_name(kind): kind for kind in tasks}
    data = ReportData(facts=[], experiments={}, metrics=dict(TITLES))
    costs: list[tuple] = []
    for number in range(experiments):
        task, kind = list(task_kinds.items())[number % len(tasks)]
        name = experiment_name(number, task) if experiments > len(tasks) else f"{task}-qlora"
        data.experiments[name] = _experiment(number, task, kind, seeds)
        for other, other_kind in task_kinds.items():
            if other != task and not cross:
                continue
            effect = 0.9 - 0.05 * (number % 7) if other == task else 0.25 * draw.normal()
            scores = _scores(other_kind, count, effect, seeds, draw)
            data.facts.append(_fact(data, name, other, other_kind, scores, seeds))
            if other_kind != "prose":
                data.behavior[name, other] = {"base": _behavior(9.5), "tuned": _behavior(7.0)}
            if other == task:
                _own(data, name, kind, scores, texts, draw)
        data.losses = pd.concat([data.losses, _losses(name, seeds)], ignore_index=True)
        costs += [("train_adapter", f"{name}, seed {one}", 5400.0, 14.2, 3100.0) for one in seeds]
    data.final_losses = _final_losses(data.losses)
    data.costs = pd.DataFrame(
        [("fetch_dataset", one, 12.5, 0.2, np.nan) for one in task_kinds] + costs, columns=COSTS
    )
    data.records = {task: _records(count) for task in task_kinds}
    data.provenance = {
        "hardware": "Linux x86_64",
        "jobs": f"all {len(data.costs)} jobs at commit 0123456789",
        "versions": {f"package-{n}": f"{n}.1" for n in range(9)},
    }
    data.downloads = {"comparison.csv": "experiment,task\n"}
    return data


def real(folder: Path, count: int = 100) -> ReportData:
    """Three experiments by three tasks with the texts of the real extracts.

    folder: alpaca.json, ag_news.csv and frankenstein.txt.
    """
    rows = json.loads((folder / "alpaca.json").read_text(encoding="utf-8"))[: 3 * count]
    with (folder / "ag_news.csv").open(encoding="utf-8", newline="") as file:
        news = [row["description"] for row in csv.DictReader(file)][:count]
    prose = (folder / "frankenstein.txt").read_text(encoding="utf-8").split("\n\n")
    texts = {
        "instruct": Texts(
            [f"{row['instruction']}\n{row['input']}".strip() for row in rows],
            [row["output"] for row in rows],
        ),
        "classify": Texts(news, LABELS),
        "prose": Texts([one for one in prose if len(one) > 200][:count], prose),
    }
    data = sweep(3, count=count, seeds=(1, 2))
    draw = np.random.default_rng(1)
    for name, experiment in data.experiments.items():
        kind = next(kind for kind in MAIN if task_name(kind) == experiment["task"])
        scores = _scores(kind, count, 0.6, experiment["seeds"], draw)
        data.facts = [
            _fact(data, name, experiment["task"], kind, scores, experiment["seeds"])
            if one.pair == (name, experiment["task"])
            else one
            for one in data.facts
        ]
        _own(data, name, kind, scores, texts[kind], draw)
    return data


def partial() -> ReportData:
    """A run that is not finished: two experiments of four, one of them without its other tasks."""
    data = sweep(2, cross=False)
    data.missing_results = [
        f"Experiment {experiment_name(7, 'news')} is not shown: evaluations/test/news/tuned/"
        f"{experiment_name(7, 'news')}/seed-3/labels.parquet: it failed or was stopped, see "
        "results/logs/score_labels/news.log.",
        "Experiment novel-qlora on news is not shown: comparisons/novel-qlora/news.csv is not "
        "there.",
    ]
    data.other_settings = ["train_adapter: novel-qlora, seed 2"]
    return data


def wide(tasks: int = 11) -> ReportData:
    """An experiment on each of so many tasks: those beyond three repeat the last under new names,
    and the three are evaluated on all of them."""
    data = sweep(3)
    last, of_last = [*data.experiments][-1], task_name("classify")
    facts = [fact for fact in data.facts if fact.task == of_last]
    for number in range(tasks - 3):
        name, task = f"tickets-{number}-qlora", f"customer-support-tickets-{number}"
        data.experiments[name] = data.experiments[last] | {"task": task}
        own = [replace(one, experiment=name) for one in facts if one.experiment == last]
        data.facts += [replace(one, task=task) for one in [*facts, *own]]
        data.records[task] = data.records[of_last]
    return data


def hostile(texts: Sequence[str]) -> ReportData:
    """Each of the texts wherever a text can come from: prompts, references, answers, and the names
    of labels, of settings and of packages."""
    one = Texts(texts, texts, labels=tuple(dict.fromkeys(texts))[:6])
    data = sweep(3, count=len(texts), texts=one)
    names = list(data.experiments)
    data.own_answers[names[0]] = pd.DataFrame(
        {"text": texts, "base": texts, **{f"seed {seed}": texts for seed in (1, 2, 3)}}
    )
    data.provenance["versions"] = {text[:80]: text[:80] for text in texts}
    data.experiments[names[0]]["settings"] = {"prompt": {"template": "".join(texts[:8])}}
    data.missing_results = list(texts[:5])
    return data


def huge(length: int = 1_000_000) -> ReportData:
    """What has no bound of its own, each with so many characters: texts, labels and ids that differ
    at their ends alone, settings, messages, names of packages and of models on the hub."""
    long = ("Long words, again " * (length // 18 + 1))[:length]
    data = sweep(
        3,
        count=6,
        seeds=(1, 2),
        texts=Texts([long] * 3, [long] * 6, [f"{long} {n}" for n in range(3)]),
    )
    for table in data.examples:
        table.records["id"] = [f"{long} {one}" for one in table.records["id"]]
    one, *_, last = data.experiments
    data.experiments[one]["settings"] = {"prompt": {"template": long}, long: 1}
    data.experiments[one]["chosen_on"] = long
    data.experiments[one]["published"] = {
        "source": long,
        "metrics": {"rouge_l": {"base": 0.1, "tuned": 0.2, "scale": 1}},
        "differs": [long],
    }
    data.own_answers[one] = pd.DataFrame({"text": [long], "base": long, "seed 1": long})
    data.classes = {task_name("classify"): {"test": {f"{long} {n}": n for n in range(4)}}}
    data.metric_caveats = {fact.pair: {long: ["base"]} for fact in data.facts}
    data.left_out = {(last, "another"): long}
    data.missing_results = data.other_settings = [long]
    for records in data.records.values():
        records |= {"unread": {long: 1}, "class_weights": {long: 0.5}, "notes": [long]}
    data.provenance |= {"versions": {long: long}, "models": {long: long}, "machine": long}
    data.title = long
    return data


def task_name(kind: str) -> str:
    return {"instruct": "instructions", "prose": "novel", "classify": "news"}[kind]


def experiment_name(number: int, task: str) -> str:
    """'mistralai-Mistral-7B-v0.1-instructions-r16-lr2e-4': told apart only near its end."""
    rank, rate = 8 * 2 ** (number // 3 % 4), ("1e-4", "2e-4")[number // 12 % 2]
    return f"{MODELS[number % 2]}-{task}-r{rank}-lr{rate}"


def _experiment(number: int, task: str, kind: str, seeds: Sequence[int]) -> dict:
    module = load_kind(kind)
    return {
        **{"task": task, "kind": module.TITLE, "outputs": module.OUTPUTS, "unit": module.UNIT},
        **{"model": MODELS[number % 2], "quantization": "nf4", "main_metric": MAIN[kind]},
        "settings": {
            "lora": {"rank": 8, "targets": ["q_proj", "k_proj", "v_proj", "o_proj"]},
            "training": {"epochs": 3, "learning_rate": 0.0002},
        },
        "seeds": list(seeds),
        "built_here": False,
        "chosen_on": None,
    }


def _scores(
    kind: str, count: int, effect: float, seeds: Sequence[int], draw: np.random.Generator
) -> pd.DataFrame:
    """id, base and a column for each seed: the main metric of each example."""
    if kind == "prose":
        base = 12 + 6 * draw.random(count)
        tuned = [base * np.exp(-0.2 * effect + 0.05 * draw.normal(size=count)) for _ in seeds]
    elif kind == "classify":
        base = (draw.random(count) < 0.4).astype(float)
        tuned = [(draw.random(count) < 0.4 + 0.5 * effect).astype(float) for _ in seeds]
    else:
        base = np.where(draw.random(count) < 0.3, 0, 0.5 * draw.random(count))
        gain = 0.4 * effect + 0.2 * draw.normal(size=(len(seeds), count))
        tuned = [np.clip(base + one, 0, 1) for one in gain]
    return pd.DataFrame(
        {"id": range(count), "base": base}
        | {f"seed {seed}": one for seed, one in zip(seeds, tuned, strict=True)}
    )


def _mean(scores: pd.DataFrame) -> pd.DataFrame:
    """id, base, tuned: as the page has them."""
    return scores[["id", "base"]].assign(tuned=scores.drop(columns=["id", "base"]).mean(axis=1))


def _fact(
    data: ReportData, name: str, task: str, kind: str, scores: pd.DataFrame, seeds: Sequence[int]
) -> Fact:
    """The comparison of these scores, by normal theory."""
    mean = _mean(scores)
    differences = mean["tuned"] - mean["base"]
    delta, n = float(differences.mean()), len(scores)
    spread = float(scores.drop(columns=["id", "base"]).mean().std(ddof=1)) if len(seeds) > 1 else 0
    error = float(differences.std(ddof=1)) / n**0.5
    both = float(np.hypot(error, spread / len(seeds) ** 0.5))
    p, own_p = (float(2 * stats.norm.sf(abs(delta) / one)) for one in (both, error))
    return Fact(
        **{"experiment": name, "task": task, "model": data.experiments[name]["model"]},
        **{"metric": MAIN[kind], "main": True, "higher_is_better": kind != "prose"},
        **{"against": "base", "n": n, "unit": UNITS[kind], "clusters": n},
        **{"cluster_unit": UNITS[kind], "differing": int((differences != 0).sum())},
        **{"seeds": len(seeds), "base": float(mean["base"].mean()), "delta": delta},
        tuned=float(mean["tuned"].mean()),
        seed_sd=spread if len(seeds) > 1 else None,
        estimand="recipe" if len(seeds) > 1 else "adapters",
        **{"ci_low": delta - 1.96 * both, "ci_high": delta + 1.96 * both},
        p_value=None if len(seeds) == 2 else p,
        p_is_floor=False,
        p_holm=None if len(seeds) == 2 else min(1.0, 24 * p),
        **{"family": 24, "alpha": 0.05 / 24, "detectable": 3 * both},
        **{"adapters_low": delta - 1.96 * error, "adapters_high": delta + 1.96 * error},
        **{"adapters_p": own_p, "adapters_p_is_floor": False},
        adapters_p_holm=min(1.0, 24 * own_p),
        **{"item_se": error, "item_df": float(n - 1), "no_interval": ""},
        no_p="two_seeds" if len(seeds) == 2 else "",
        method="normal theory",
        source="comparison.csv" if data.experiments[name]["task"] == task else "cross_task.csv",
    )


def _own(
    data: ReportData,
    name: str,
    kind: str,
    scores: pd.DataFrame,
    texts: Texts,
    draw: np.random.Generator,
) -> None:
    """What the page shows of an experiment on its own task, example by example."""
    data.scores[name] = _mean(scores)
    count = len(scores)
    prompts, answers = _cycle(texts.prompts, count), _cycle(texts.answers, count)
    data.examples.append(_table(data, name, kind, scores, texts, draw))
    if kind == "instruct":
        _lengths(data, name, data.examples[-1])
    elif kind == "classify":
        data.confusions[name] = _confusion(scores, texts.labels)
    elif kind == "prose":
        rows = zip(prompts[:3], answers[:3], answers[3:6], strict=True)
        frame = pd.DataFrame(rows, columns=["prompt", "base", "tuned"])
        data.continuations[name] = frame


def _lengths(data: ReportData, name: str, table: ExampleTable) -> None:
    """The words of its answers, and the figures of these in its behavior."""
    systems = {"base": table.base} | {f"seed {n}": one for n, one in table.tuned[name].items()}
    texts = {"reference": table.records["reference"]} | {
        system: frame["output"] for system, frame in systems.items()
    }
    lengths = pd.DataFrame({key: [len(words(one)) for one in of] for key, of in texts.items()})
    data.answer_words[name] = lengths
    behavior = {
        system: {
            **_behavior(float(lengths[system].median())),
            "words_mean": float(lengths[system].mean()),
            "reference_words_median": float(lengths["reference"].median()),
            "truncated_share": float(frame["truncated"].mean()),
        }
        for system, frame in systems.items()
    }
    data.behavior[name, table.task] = collect.means(list(behavior.values()))


def _table(
    data: ReportData,
    name: str,
    kind: str,
    scores: pd.DataFrame,
    texts: Texts,
    draw: np.random.Generator,
) -> ExampleTable:
    """Texts that the scores do not follow: the base has the words of the references in another
    order, tuned their beginnings."""
    experiment, count = data.experiments[name], len(scores)
    prompts, answers = _cycle(texts.prompts, count), _cycle(texts.answers, count)
    labels = _cycle(texts.labels, count)

    def system(column: str, answer: Callable[[str], str]) -> pd.DataFrame:
        frame = pd.DataFrame({"score": scores[column]})
        if kind == "classify":
            other = [*labels[1:], labels[0]]
            output = np.where(scores[column] == 1, labels, other)
            shares = [{one: 0.7, "another": 0.3} for one in output]
            return frame.assign(output=output, right=scores[column] == 1, shares=shares)
        if kind == "prose":
            return frame
        output = [answer(one) for one in answers]
        return frame.assign(output=output, right=False, truncated=draw.random(count) < 0.05)

    base = system("base", lambda one: " ".join(draw.permutation(one.split(" "))))
    tuned = {
        seed: system(column, lambda one, seed=seed: one[: len(one) * 3 // 4 + seed])
        for seed, column in zip(experiment["seeds"], scores.columns[2:], strict=True)
    }
    metric = experiment["main_metric"]
    higher = kind != "prose"
    references = {"classify": labels, "prose": ""}.get(kind, answers)
    return ExampleTable(
        task=experiment["task"],
        outputs=experiment["outputs"],
        metric=metric,
        higher_is_better=higher,
        title=TITLES[metric]["title"],
        unit=UNITS[kind],
        records=pd.DataFrame({"id": scores["id"], "prompt": prompts, "reference": references}),
        base=base,
        tuned={name: tuned},
        tested=count,
        counts={name: examples.count(base, list(tuned.values()), higher)},
    )


def _cycle(texts: Sequence[str], count: int) -> list[str]:
    return [texts[place % len(texts)] for place in range(count)]


def _confusion(scores: pd.DataFrame, labels: Iterable[str]) -> dict:
    """Matrices of which the diagonal's share is the accuracy of base and of tuned."""
    labels = list(labels)
    size = len(labels)

    def matrix(right: Callable[[], pd.Series]) -> np.ndarray:
        counts = np.zeros((size, size))
        for place, value in enumerate(right()):
            true = place % size
            counts[true, true] += value
            counts[true, (true + 1 + place // size % (size - 1)) % size] += 1 - value
        return counts

    mean = _mean(scores)
    return {
        "labels": labels,
        "base": matrix(lambda: mean["base"]),
        "tuned": matrix(lambda: mean["tuned"]),
    }


def _losses(name: str, seeds: Sequence[int]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            **{"experiment": name, "seed": seed, "step": step, "epoch": step / 100},
            "split": split,
            "loss": 1.2 + 2 * np.exp(-step / 60) + (0.1 + step / 1500) * (split == "validation"),
        }
        for seed in seeds
        for split in ("train", "validation")
        for step in range(0, 301, 20)
    )


def _final_losses(losses: pd.DataFrame) -> pd.DataFrame:
    rows = losses.groupby(["experiment", "seed", "split"], sort=False)["loss"]
    return rows.agg(base="first", tuned="last").reset_index()


def _behavior(words: float) -> dict[str, float]:
    return {
        **{"words_median": words, "words_mean": words + 0.4, "reference_words_median": 6.0},
        **{"tokens_mean": 1.4 * words, "truncated_share": 0.05, "empty_share": 0.01},
        **{"repeated_4grams": 0.004, "distinct_share": 0.9},
    }


def _records(test: int) -> dict:
    return {
        **{"rows": 2200, "unread": {"no text": 3}, "records": 2197},
        **{"unusable": {"missing output": 20}, "duplicates": 11, "near_duplicates": 4},
        **{"near_duplicate_threshold": 0.85, "kept": 2162},
        "splits": {"train": 2062 - test, "validation": 100, "test": test},
        **{"tokenized_for": MODELS[0], "truncated": 4, "supervised_tokens": 1_234_567},
        **{"padding_share": 0.032, "notes": ["read as UTF-8"]},
    }
