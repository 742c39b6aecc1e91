"""Every kind of edit to a finished run, and exactly which jobs run again.

It generates docs/reruns.md: `python tests/workflow/reruns_table.py`.

A job is its rule and its wildcards, `train_adapter news 1`. A pattern with * matches jobs of the
finished run; a name without * may be a new job.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "scripts")]

import reruns_project
from conftest import ROOT
from deltatune.workflow import digest
from reruns_project import (
    TARGETS,
    Edit,
    anchored,
    append,
    both,
    code,
    config,
    drop,
    exchange,
    older,
    put,
    put_at,
    remove,
    replace,
    start,
    touch,
    write,
)

DOCS = ROOT / "docs" / "reruns.md"
NOTHING: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """what: the edit in words. edits: one or more of that kind, each made alone, which all run the
    same jobs. runs: patterns of those jobs. note: an explanation."""

    what: str
    runs: Iterable[str]
    edits: dict[str, Edit] = field(default_factory=dict)
    note: str = ""


def jobs(patterns: Iterable[str], finished: Iterable[str]) -> set[str]:
    """The jobs that match patterns. Raises ValueError for a pattern that matches none."""
    matched = set()
    for pattern in patterns:
        matches = {job for job in finished if fnmatchcase(job, pattern)}
        if not matches and "*" in pattern:
            raise ValueError(f"no job matches {pattern}")
        matched |= matches or {pattern}
    return matched


# ---------------------------------------------------------------- groups of jobs

#: The last jobs of every run.
PAGE = ("join_comparisons comparison", "plot_forest", "render_tables", "render_report")
CROSS_TASK = ("join_comparisons cross_task", "plot_forest", "render_tables")
#: The figures of an experiment on its own.
PLOTS = ("plot_losses *", "plot_differences *", "plot_confusion *")
#: Tuned systems against plain baselines, which are of answers and of labels.
BASELINES = ("compare_baselines", "render_tables")
QUESTIONS_BASELINES = ("fit_answer_baselines test questions", *BASELINES)
NEWS_BASELINES = ("fit_label_baselines test news", *BASELINES)
TALKS_BASELINES = ("fit_answer_baselines test talks", *BASELINES)
PROSE = ("story", "book")
#: The merged model of the finished run.
MERGED = ("merge_adapter news 1",)


def rescored(experiment: str, task: str) -> tuple[str, ...]:
    """Downstream of all answers or likelihoods of an experiment on its own task."""
    return (
        *(f"compare_systems {experiment} {task}", f"plot_differences {experiment}", *PAGE),
        *against_baselines(experiment),
    )


def against_baselines(experiment: str) -> tuple[str, ...]:
    """The comparison of tuned systems with plain baselines, unless those are of prose."""
    return () if experiment in PROSE else BASELINES


def trained(experiment: str) -> tuple[str, ...]:
    """Another adapter: its systems are evaluated on all of their tasks, no base is."""
    return (
        f"train_adapter {experiment} *",
        f"* tuned/{experiment}/*",
        f"compare_systems {experiment} *",
        f"plot_* {experiment}",
        *PAGE,
        *against_baselines(experiment),
    )


#: All that depends on a base of the finished run.
TINY = (
    *("tokenize_split * tiny *", "* base/tiny/*", "quantize_model tiny news"),
    *(*trained("answers"), *trained("news"), *trained("news-gptq"), *CROSS_TASK, *MERGED),
)
MINE = ("tokenize_split * mine *", "* base/mine/none", *trained("story"))
THEIRS = ("tokenize_split * theirs *", "* base/theirs/nf4", *trained("talks"), *trained("book"))
#: All that depends on the split of a task, including its model pre-trained on that split.
NEWS = ("split_dataset news", *NEWS_BASELINES, "pretrain_model tiny", *TINY)
QUESTIONS = ("split_dataset questions", *QUESTIONS_BASELINES, "pretrain_model tiny", *TINY)
MIXED = ("mix_datasets questions",)
STORY = (
    *("split_dataset story", "tokenize_split story *", "score_text test story *"),
    *("generate_answers test story *", "compute_metrics test story *", "compare_systems * story"),
    *(*trained("story"), *CROSS_TASK),
)
TALKS = (
    *("split_dataset talks", "tokenize_split talks *", "generate_answers test talks *"),
    *("compute_metrics test talks *", *TALKS_BASELINES, *trained("talks")),
)
BOOK = (
    *("split_dataset book", "tokenize_split book *", "score_text test book *"),
    *("generate_answers test book *", "compute_metrics test book *", *trained("book")),
)
#: An experiment on a task of questions that is added beside the others, with seeds 1 and 2.
SEEDS = (1, 2)


#: Experiment of the finished run -> its own task.
OWN = {
    **{"answers": "questions", "news": "news", "news-gptq": "news"},
    **{"story": "story", "talks": "talks", "book": "book"},
}


#: Experiment -> the tasks of others that it can be evaluated on: a chat needs a chat template.
CROSS = {
    "news": ("questions", "story", "book"),
    "news-gptq": ("questions", "story", "book"),
    "story": ("questions", "news", "book"),
    "talks": ("questions", "news", "story", "book"),
    "book": ("questions", "news", "story", "talks"),
}
BASES = {
    **{"news": "tiny/nf4", "news-gptq": "tiny/gptq", "story": "mine/none"},
    **{"talks": "theirs/nf4", "book": "theirs/nf4"},
}
#: Bases that are evaluated on a task in the finished run, for a task that is not their own.
KNOWN = {("tiny/nf4", "questions"), ("tiny/nf4", "story"), ("theirs/nf4", "book")}
KNOWN |= {("theirs/nf4", "talks")}
SCORED_BY = {
    **{"questions": "generate_answers", "talks": "generate_answers", "news": "score_labels"},
    **{"story": "score_text", "book": "score_text"},
}


def crossed(experiment: str, task: str) -> tuple[str, ...]:
    """The jobs of an experiment that is evaluated on one more task."""
    base = BASES[experiment]
    systems = [f"tuned/{experiment}/seed-{seed}" for seed in SEEDS]
    systems += [] if (base, task) in KNOWN else [f"base/{base}"]
    rules = (SCORED_BY[task], "compute_metrics")
    return (
        *(f"{rule} test {task} {system}" for rule in rules for system in systems),
        f"compare_systems {experiment} {task}",
    )


def other_family(*without: str) -> tuple[str, ...]:
    """The comparisons that belong to a family of another size, less those of some experiments."""
    return tuple(f"compare_systems {n} {task}" for n, task in OWN.items() if n not in without)


def added(experiment: str, task: str, seeds: Iterable[int] = SEEDS) -> tuple[str, ...]:
    """The jobs of a new experiment of the kind `classify` whose base and tokens exist."""
    return (
        *(f"train_adapter {experiment} {seed}" for seed in seeds),
        *(f"score_labels test {task} tuned/{experiment}/seed-{seed}" for seed in seeds),
        *(f"compute_metrics test {task} tuned/{experiment}/seed-{seed}" for seed in seeds),
        f"compare_systems {experiment} {task}",
        *(f"plot_{figure} {experiment}" for figure in ("losses", "differences", "confusion")),
        *PAGE,
        *BASELINES,
    )


# ---------------------------------------------------------------- edits that need more than a key


def _reversed(section: str) -> Edit:
    """The same mapping with its keys in the opposite order."""
    return config(lambda c: {**c, section: dict(reversed(c[section].items()))})


def _deep_reversed(value):
    if isinstance(value, dict):
        return {key: _deep_reversed(value[key]) for key in reversed(value)}
    return value


def _other_order(c: dict) -> dict:
    """All keys in the opposite order, experiments alone in theirs."""
    return {
        **_deep_reversed(c),
        "experiments": {n: _deep_reversed(e) for n, e in c["experiments"].items()},
    }


def _another(name: str, like: str, **changes) -> Edit:
    def change(c: dict) -> None:
        c["experiments"][name] = {**c["experiments"][like], "cross_task": [], **changes}
        c["experiments"][name].pop("published", None)

    return config(change)


def _without(name: str) -> Edit:
    return drop(f"experiments.{name}")


def _again(edit: Edit, back: Edit) -> Edit:
    """An edit that is reverted before snakemake has seen it."""
    return both(edit, back)


def _lora(key: str, value) -> Edit:
    return put_at({f"experiments.news.lora.{key}": value})


def _training(key: str, value) -> Edit:
    return put_at({f"experiments.news.training.{key}": value})


LORA = {
    "rank": 5, "alpha": 9, "dropout": 0.1, "targets": ["q_proj"], "bias": "all",
    "use_rslora": True, "use_dora": True, "init_lora_weights": "gaussian",
    "modules_to_save": ["lm_head"], "layers_to_transform": [0], "rank_pattern": {"q_proj": 2},
    "alpha_pattern": {"q_proj": 2},
}  # fmt: skip
TRAINING = {
    "epochs": 3, "learning_rate": 2, "batch_size": 3, "gradient_accumulation": 2,
    "schedule": "linear", "warmup": 0.1, "optimizer": "sgd", "weight_decay": 0.1,
    "max_grad_norm": 2, "evaluations": 5, "precision": "fp32", "activation_checkpointing": True,
    "threads": 2, "gpus": 2, "determinism": "strict",
}  # fmt: skip
PRETRAIN = {
    "steps": 3, "batch_tokens": 512, "sequence_length": 64, "learning_rate": 0.1, "seed": 1,
    "threads": 1, "architecture.vocab_size": 600, "architecture.hidden_size": 128,
    "architecture.intermediate_size": 128, "architecture.layers": 2, "architecture.heads": 4,
    "architecture.kv_heads": 2, "architecture.context": 1024,
}  # fmt: skip
SPLIT = {
    "method": "random", "validation": 0.2, "test": 0.3, "train": 40, "max_records": 50,
    "near_duplicates": None, "max_rejected": 0.5, "seed": 1,
}  # fmt: skip

SECTIONS: dict[str, list[Row]] = {}

SECTIONS["`experiments`"] = [
    Row(
        "`lora`: any key",
        (*trained("news"), *MERGED),
        {key: _lora(key, value) for key, value in LORA.items()},
    ),
    Row(
        "`training`: any key",
        (*trained("news"), *MERGED),
        {key: _training(key, value) for key, value in TRAINING.items()}
        | {
            "sharded": both(_training("gpus", 2), _training("sharded", True)),
            "max_steps": both(_training("epochs", None), _training("max_steps", 5)),
        },
    ),
    Row(
        "the same of an experiment with `cross_task`",
        (*trained("answers"), *CROSS_TASK),
        {"rank": put(experiments__answers__lora__rank=5)},
        "It is evaluated on those tasks too.",
    ),
    Row(
        "two values exchanged: rank and alpha, or epochs and learning rate",
        (*trained("news"), *MERGED),
        {
            "rank, alpha": both(_lora("rank", 8), _lora("alpha", 4)),
            "epochs, learning_rate": both(_training("epochs", 1), _training("learning_rate", 2)),
            "learning_rate, batch_size": both(
                _training("learning_rate", 2), _training("batch_size", 1), _training("epochs", 2)
            ),
        },
    ),
    Row(
        "`quantization`",
        (
            *trained("news"),
            *MERGED,
            "score_labels test news base/tiny/int8",
            "compute_metrics test news base/tiny/int8",
        ),
        {"int8": put(experiments__news__quantization="int8")},
        "The base under this quantization is evaluated too, unless another experiment has it.",
    ),
    Row(
        "`model`: another existing one",
        (
            *trained("news"),
            *MERGED,
            *(f"tokenize_split news mine {split}" for split in ("train", "validation")),
            *("score_labels test news base/mine/nf4", "compute_metrics test news base/mine/nf4"),
        ),
        {"mine": put(experiments__news__model="mine")},
    ),
    Row(
        "`task`: another existing one",
        (
            *(f"train_adapter story {seed}" for seed in SEEDS),
            *("compare_systems story book", "plot_losses story", "plot_differences story"),
            *(f"tokenize_split book mine {split}" for split in ("train", "validation")),
            *(
                f"{rule} test book {system}"
                for rule in ("score_text", "generate_answers", "compute_metrics")
                for system in ("base/mine/none", "tuned/story/seed-1", "tuned/story/seed-2")
            ),
            *PAGE,
        ),
        {"book": put(experiments__story__task="book")},
    ),
    Row(
        "`cross_task`: one more task",
        (
            *(
                f"{rule} test questions tuned/news/seed-{seed}"
                for rule in ("generate_answers", "compute_metrics")
                for seed in SEEDS
            ),
            *("compare_systems news questions", "compare_systems answers story"),
            *(*CROSS_TASK, "render_report"),
        ),
        {"questions": put(experiments__news__cross_task=["questions"])},
        "Its comparisons are of a larger family.",
    ),
    Row(
        "`cross_task` at the top: all",
        (
            *(job for n, tasks in CROSS.items() for task in tasks for job in crossed(n, task)),
            *("compare_systems answers story", *CROSS_TASK, "render_report"),
        ),
        {"all": put(cross_task="all"), "auto": put(cross_task="auto")},
        "Experiments with a list of their own keep it.",
    ),
    Row(
        "`cross_task`: removed",
        ("plot_forest", "render_tables", "render_report"),
        {"none": put(experiments__answers__cross_task=[])},
        "`cross_task.csv` is kept but no longer shown.",
    ),
    Row(
        "`published`, `chosen_on`",
        ("render_report",),
        {
            "chosen_on": put(experiments__news__chosen_on="validation"),
            "source": put(experiments__news__published__source="Another"),
            "base": put(experiments__news__published__metrics__accuracy__base=0.6),
            "tuned": put(experiments__news__published__metrics__accuracy__tuned=0.8),
            "scale": put(experiments__news__published__metrics__accuracy__scale=10),
            "differs": put(experiments__news__published__differs=["In this."]),
        },
    ),
    Row(
        "a new experiment, on an existing base and task",
        (*added("wider", "news"), *other_family()),
        {"wider": _another("wider", "news", lora={"rank": 64})},
        "The comparisons of the others are of a larger family then.",
    ),
    Row(
        "an experiment removed",
        (*other_family("news-gptq"), *PAGE, *BASELINES),
        {"news-gptq": _without("news-gptq")},
        "Its files are kept but no longer shown. Added back, the same jobs run and no others.",
    ),
    Row(
        "an experiment renamed",
        added("headlines", "news"),
        {"headlines": both(_another("headlines", "news-gptq"), _without("news-gptq"))},
        "Names are folders: it is trained again.",
    ),
    Row(
        "the order of experiments",
        (*PAGE, *BASELINES),
        {"reversed": _reversed("experiments")},
        "It is the order of the rows.",
    ),
]

SECTIONS["`prompts`"] = [
    Row(
        "`prompts`: the first ones",
        (
            *(
                f"answer_prompts {OWN[name]} {system}"
                for name in OWN
                for system in (
                    f"base/{BASES.get(name, 'tiny/nf4')}",
                    *(f"tuned/{name}/seed-{seed}" for seed in SEEDS),
                )
            ),
            *("render_tables", "render_report"),
        ),
        {"one": put(prompts=["Name a river."])},
        "No metric depends on them. After an edit of one the same jobs run again.",
    ),
]

SECTIONS["`run`, `seeds`"] = [
    Row(
        "`run`: some of the experiments",
        (*other_family("answers", "news-gptq", "talks", "book"), *PAGE, *BASELINES),
        {"news, story": put(run=["news", "story"])},
        "Results of the others are kept. Back to `all`, the same jobs run again.",
    ),
    Row(
        "`seeds`: one more",
        (
            *(
                f"train_adapter {name} 3"
                for name in ("answers", "news", "news-gptq", "story", "talks", "book")
            ),
            *(
                f"{rule} test {system}/seed-3"
                for rule, systems in {
                    "score_labels": ("news tuned/news", "news tuned/news-gptq"),
                    "score_text": ("story tuned/story", "book tuned/book", "story tuned/answers"),
                    "generate_answers": (
                        *("questions tuned/answers", "talks tuned/talks"),
                        *("story tuned/story", "book tuned/book"),
                    ),
                    "compute_metrics": (
                        *("news tuned/news", "news tuned/news-gptq", "story tuned/story"),
                        *("book tuned/book", "story tuned/answers", "questions tuned/answers"),
                        "talks tuned/talks",
                    ),
                }.items()
                for system in systems
            ),
            *("compare_systems *", *PLOTS, *PAGE, *CROSS_TASK, *BASELINES),
        ),
        {"3": put(seeds=[1, 2, 3])},
        "Only the new seed is trained and evaluated.",
    ),
    Row(
        "`seeds`: the last one removed",
        ("compare_systems *", *PLOTS, *PAGE, *CROSS_TASK, *BASELINES),
        {"1": put(seeds=[1])},
    ),
    Row(
        "`seeds`: reordered",
        ("compare_systems *", *PLOTS, *PAGE, *CROSS_TASK, *BASELINES),
        {"2, 1": put(seeds=[2, 1])},
        "The report shows the continuations of the first seed.",
    ),
]

SECTIONS["`tasks`"] = [
    Row(
        "`evaluation.max_new_tokens`, `batch_size`, `sampling` of `instruct`",
        (
            *("generate_answers test questions *", "compute_metrics test questions *"),
            *rescored("answers", "questions"),
        ),
        {
            key: put_at({f"tasks.questions.evaluation.{key}": 9})
            for key in ("max_new_tokens", "batch_size", "sampling.top_k", "sampling.seed")
        }
        | {
            key: put_at({f"tasks.questions.evaluation.sampling.{key}": 0.5})
            for key in ("temperature", "top_p")
        },
        "Nothing is trained.",
    ),
    Row(
        "`evaluation.max_examples` of `instruct`",
        (
            *("generate_answers test questions *", "compute_metrics test questions *"),
            *(*rescored("answers", "questions"), *QUESTIONS_BASELINES),
        ),
        {"max_examples": put(tasks__questions__evaluation__max_examples=9)},
        "The baselines answer the same records.",
    ),
    Row(
        "`evaluation.continuations`, `max_new_tokens` of `prose`",
        ("generate_answers test story *", "render_report"),
        {
            "continuations": put(tasks__story__evaluation__continuations=["The end "]),
            "max_new_tokens": put(tasks__story__evaluation__max_new_tokens=9),
        },
        "No metric depends on them.",
    ),
    Row(
        "`evaluation.context`, `windows` of `prose`",
        (
            *("score_text test story *", "compute_metrics test story *", "compare_systems * story"),
            *("plot_differences story", *PAGE, *CROSS_TASK),
        ),
        {
            "context": put(tasks__story__evaluation__context=64),
            "windows": put(tasks__story__evaluation__windows="lm_eval"),
        },
    ),
    Row(
        "`evaluation.batch_size` of `prose`",
        (
            *(
                "generate_answers test story *",
                "score_text test story *",
                "compute_metrics test story *",
            ),
            *("compare_systems * story", "plot_differences story", *PAGE, *CROSS_TASK),
        ),
        {"2": put(tasks__story__evaluation__batch_size=2)},
    ),
    Row(
        "`evaluation.batch_size` of `classify`",
        (
            *("score_labels test news *", "compute_metrics test news *", "compare_systems * news"),
            *("plot_differences news*", "plot_confusion *", *PAGE, *BASELINES),
        ),
        {"batch_size": put(tasks__news__evaluation__batch_size=2)},
    ),
    Row(
        "`evaluation.max_examples` of `classify`",
        (
            *("score_labels test news *", "compute_metrics test news *", "compare_systems * news"),
            *("plot_differences news*", "plot_confusion *", *PAGE, *NEWS_BASELINES),
        ),
        {"max_examples": put(tasks__news__evaluation__max_examples=5)},
        "The baselines label the same records.",
    ),
    Row(
        "`metrics`: added, removed, reordered",
        (
            "compute_metrics test questions *",
            *rescored("answers", "questions"),
            *QUESTIONS_BASELINES,
        ),
        {
            "more": put(tasks__questions__metrics=["rouge_l", "bleu", "exact_match"]),
            "less": put(tasks__questions__metrics=["rouge_l"]),
            "order": put(tasks__questions__metrics=["bleu", "rouge_l"]),
        },
        "No system is evaluated again.",
    ),
    Row(
        "`language` of `instruct`",
        (
            "compute_metrics test questions *",
            *rescored("answers", "questions"),
            *QUESTIONS_BASELINES,
        ),
        {"es": put(tasks__questions__language="es")},
        "No system is evaluated again.",
    ),
    Row(
        "`main_metric`",
        rescored("answers", "questions"),
        {"bleu": put(tasks__questions__main_metric="bleu")},
        "Nothing is evaluated again.",
    ),
    Row(
        "`prompt` and `chat` of `instruct`",
        (
            *("tokenize_split questions *", "generate_answers test questions *"),
            *("compute_metrics test questions *", *trained("answers"), *CROSS_TASK),
            *QUESTIONS_BASELINES,
        ),
        {
            "alpaca": put(tasks__questions__prompt="alpaca"),
            "chat": put(tasks__questions__chat__system="Be kind."),
        },
        "The base is evaluated again too, but it was pre-trained without a prompt and is kept.",
    ),
    Row(
        "`system` and `thinking` of `chat`",
        (
            *(
                "tokenize_split talks *",
                "generate_answers test talks *",
                "compute_metrics test talks *",
            ),
            *(*trained("talks"), *TALKS_BASELINES),
        ),
        {
            "system": put(tasks__talks__system="Be kind."),
            "thinking": put(tasks__talks__thinking="drop"),
        },
    ),
    Row(
        "`learn` of `chat`",
        TALKS,
        {"last": put(tasks__talks__learn="last")},
        "It decides which records have something to learn, and so the split.",
    ),
    Row(
        "`max_length`",
        (
            *("tokenize_split story *", "score_text test story *", "compute_metrics test story *"),
            *("compare_systems * story", *trained("story"), *CROSS_TASK),
        ),
        {"128": put(tasks__story__max_length=128)},
        "For `prose` it is the context of likelihoods; answers to questions do not depend on it.",
    ),
    Row(
        "`max_length` of `prose`, with `evaluation.context` set",
        ("tokenize_split book *", *trained("book")),
        {"128": put(tasks__book__max_length=128)},
        "The base is not scored again.",
    ),
    Row(
        "`overflow`: truncate or drop; `packing`",
        ("tokenize_split talks *", *trained("talks")),
        {
            "drop": put(tasks__talks__overflow="drop"),
            "packing": put(tasks__talks__packing=False),
        },
        "The base is asked the same and keeps its answers.",
    ),
    Row(
        "`train_on_prompt`",
        ("tokenize_split questions *", *trained("answers"), *CROSS_TASK),
        {"true": put(tasks__questions__train_on_prompt=True)},
    ),
    Row(
        "`overflow: refuse`",
        (
            *("tokenize_split talks *", "generate_answers test talks *"),
            *("compute_metrics test talks *", *trained("talks")),
        ),
        {"refuse": put(tasks__talks__overflow="refuse")},
        "Its prompts are checked too.",
    ),
    Row(
        "`split`: any key",
        STORY,
        {key: put_at({f"tasks.story.split.{key}": value}) for key, value in SPLIT.items()}
        | {"group": put(tasks__story__split={"method": "random", "group": "chapter"})},
    ),
    Row(
        "`split` of a task in the corpus of a `pretrain` model",
        NEWS,
        {"seed": put(tasks__news__split__seed=1)},
        "The base is pre-trained on this split, so it is made again, and all that is tuned on it.",
    ),
    Row(
        "`split.group`, `split.column`: a column that `columns` of the dataset does not have",
        ("fetch_dataset news", *NEWS),
        {
            "title": put(tasks__news__split__group="title"),
            "column": put(tasks__news__split__column="title"),
        },
        "The dataset is read again, with that column.",
    ),
    Row(
        "`split.group`, `split.column`: a field of the task",
        NEWS,
        {
            "text": put(tasks__news__split__group="text"),
            "label": put(tasks__news__split__column="label"),
        },
    ),
    Row(
        "`dataset`",
        ("fetch_dataset written", "fetch_dataset asked", *MIXED, *QUESTIONS, *TALKS),
        {"questions": put(tasks__talks__dataset="questions")},
        "The dataset is read again, for the fields of one more kind.",
    ),
    Row(
        "`kind`",
        (
            *(
                "fetch_dataset talks",
                "split_dataset talks",
                "tokenize_split talks *",
                *trained("talks"),
            ),
            *(
                f"{rule} test talks {system}"
                for rule in ("score_text", "generate_answers", "compute_metrics")
                for system in ("base/theirs/nf4", "tuned/talks/seed-1", "tuned/talks/seed-2")
            ),
        ),
        {"prose": put(tasks__talks={"kind": "prose", "dataset": "talks"})},
        "The dataset is read again, for the fields of that kind.",
    ),
    Row(
        "`labels`: their values in the data, their names, or none",
        NEWS,
        {
            "numbers": put(
                tasks__news__labels={0: "World", 1: "Sports", 2: "Business", 3: "Sci/Tech"}
            ),
            "renamed": put(tasks__news__labels={"World": "Politics", "Sports": "Games"}),
            "left out": drop("tasks.news.labels"),
        },
        "Only the split depends on it: it writes the names of the classes into a file, which later "
        "stages read. With the same names in the same order, those are found again.",
    ),
    Row(
        "`class_weights`",
        (
            *("tokenize_split news *", "quantize_model tiny news", "* base/tiny/gptq"),
            *(*trained("news"), *trained("news-gptq"), *MERGED),
        ),
        {"balanced": put(tasks__news__class_weights="balanced")},
        "No base is evaluated again, but the one that GPTQ calibrates with these rows.",
    ),
    Row(
        "a new task that no experiment uses",
        NOTHING,
        {"more": put(tasks__other={"kind": "prose", "dataset": "story"})},
    ),
]

SECTIONS["`datasets`"] = [
    Row(
        "`columns`",
        ("fetch_dataset news", *NEWS),
        {"columns": put(datasets__news__columns={"text": "title", "label": "label"})},
    ),
    Row(
        "`chunks`",
        ("chunk_text story", *STORY),
        {"max_words": put(datasets__story__chunks__max_words=50)},
    ),
    Row(
        "`chunks` of a format other than plain text",
        NOTHING,
        {"max_words": put(datasets__news__chunks={"max_words": 50})},
    ),
    Row(
        "`path`, or a sample's `name`: another file, or one more",
        ("fetch_dataset news", *NEWS),
        {
            "path": put(datasets__news__path="data/other.csv"),
            "more": put(datasets__news__path=["data/news.csv", "data/other.csv"]),
            **{
                split: put_at(
                    {
                        "datasets.news.path": {},
                        "datasets.news.path.train": "data/news.csv",
                        f"datasets.news.path.{split}": "data/other.csv",
                    }
                )
                for split in ("validation", "test")
            },
            "sample": put(
                datasets__news={
                    "source": "sample",
                    "name": "news",
                    "columns": {"text": ["title", "description"], "label": "label"},
                }
            ),
        },
    ),
    Row(
        "`format`",
        ("fetch_dataset news", *NEWS),
        {"csv": put(datasets__news__format="csv")},
    ),
    Row(
        "`revision`, `id`, `config`, `split` of the hub",
        ("fetch_dataset talks", *TALKS),
        {
            "revision": put(datasets__talks__revision="v2"),
            "id": put(datasets__talks__id="somebody/chats"),
            "config": put(datasets__talks__config="small"),
            "split": put(datasets__talks__split="test"),
            "named": put_at(
                {
                    f"datasets.talks.split.{split}": split
                    for split in ("train", "validation", "test")
                }
            ),
        },
    ),
    Row(
        "`of`, `records`, `seed` of a mixture",
        (*MIXED, *QUESTIONS),
        {
            "of": put(datasets__questions__of__asked=0.4),
            "records": put(datasets__questions__records=100),
            "seed": put(datasets__questions__seed=1),
        },
        "Its datasets are not read again.",
    ),
    Row(
        "any key of a dataset in a mixture",
        ("fetch_dataset asked", *MIXED, *QUESTIONS),
        {
            "revision": put(datasets__asked__revision="v2"),
            "columns": put(datasets__asked__columns={"instruction": "question"}),
        },
    ),
    Row(
        "`url`, `sha256`, `gutenberg`",
        ("fetch_dataset book", "chunk_text book", *BOOK),
        {
            "url": put(datasets__book__url="https://example.org/other.txt"),
            "sha256": put(datasets__book__sha256="0" * 64),
            "gutenberg": put(datasets__book__gutenberg=False),
        },
        "A file that was downloaded before is not downloaded again.",
    ),
]

SECTIONS["`models`"] = [
    Row(
        "`pretrain`: any key",
        ("pretrain_model tiny", *TINY),
        {key: put_at({f"models.tiny.{key}": value}) for key, value in PRETRAIN.items()}
        | {"corpus": put(models__tiny__corpus=["news"])},
    ),
    Row(
        "`gptq`: `bits`, `group_size`, `samples`, `seed`",
        (
            *("quantize_model tiny news", "* base/tiny/gptq", *trained("news-gptq")),
            *("compare_systems news-gptq news",),
        ),
        {
            key: put_at({f"models.tiny.gptq.{key}": value})
            for key, value in {"bits": 8, "group_size": 32, "samples": 3, "seed": 1}.items()
        },
        "Other quantizations of the model are kept.",
    ),
    Row(
        "`gptq.calibration`",
        ("quantize_model tiny questions", "* base/tiny/gptq", *trained("news-gptq")),
        {"questions": put(models__tiny__gptq__calibration="questions")},
    ),
    Row(
        "`revision`, `id`, `chat_template` of the hub",
        ("fetch_model theirs", *THEIRS),
        {
            "template": put(models__theirs__chat_template="{{ messages }}"),
            "revision": put(models__theirs__revision="v2"),
            "id": put(models__theirs__id="somebody/other"),
        },
    ),
    Row(
        "`path` of a local model",
        ("fetch_model mine", *MINE),
        {
            "moved": both(
                Edit(lambda project: (project / "models/mine").rename(project / "models/moved")),
                put(models__mine__path="models/moved"),
            )
        },
    ),
    Row(
        "`source` of a model",
        ("fetch_model mine", *MINE),
        {
            "hub": put(models__mine={"source": "hub", "id": "somebody/mine", "revision": "v1"}),
        },
    ),
]

SECTIONS["`evaluation`, `statistics`, `report`, the machine"] = [
    Row(
        "`evaluation.weights`",
        (
            *("generate_answers *", "score_text *", "score_labels *", "compute_metrics *"),
            *("compare_systems *", "plot_differences *", "plot_confusion *"),
            *(*PAGE, *CROSS_TASK, *BASELINES),
        ),
        {name: put(evaluation__weights=name) for name in ("quantized", "dequantized")},
        "Bases and tuned systems are evaluated again, also where the weights that `auto` chose are "
        "named; nothing is trained.",
    ),
    Row(
        "`evaluation.backend`",
        (
            *("generate_answers *", "compute_metrics test questions *"),
            *("compute_metrics test talks *", *rescored("answers", "questions")),
            *rescored("talks", "talks"),
        ),
        {"backend": put(evaluation__backend="vllm")},
        "No likelihood is computed again, and nothing is trained.",
    ),
    Row(
        "`statistics`: `resamples`, `seed`",
        ("compare_systems *", *PAGE, *CROSS_TASK, *BASELINES),
        {"resamples": put(statistics__resamples=999), "seed": put(statistics__seed=1)},
    ),
    Row(
        "`statistics.margins`",
        ("render_report",),
        {"accuracy": put(statistics__margins={"accuracy": 0.02})},
        "Only what the report says of a difference that is not shown.",
    ),
    Row(
        "`statistics.confidence`",
        ("compare_systems *", *PAGE, *CROSS_TASK, *BASELINES),
        {"0.9": put(statistics__confidence=0.9)},
    ),
    Row(
        "`report`: any key",
        ("render_report",),
        {"title": put(report__title="Another"), "examples": put(report__examples=3)},
    ),
    Row(
        "`hardware`, `cluster`: any key",
        NOTHING,
        {
            "gpu": put(hardware__gpu="T4"),
            "memory_gb": put(hardware__memory_gb=15),
            "trial": put(hardware__trial=True),
            "partition": put(cluster__partition="cpu"),
            "gpu_partition": put(cluster__gpu_partition="gpu"),
            "gpu_type": put(cluster__gpu_type="a100"),
            "max_minutes": put(cluster__max_minutes=100),
        },
    ),
    Row("`cache_gb`", NOTHING, {"another": put(cache_gb=5), "off": put(cache_gb=0)}),
    Row(
        "`threads`, `resources`, `message` or a comment of a rule; the profile",
        NOTHING,
        {
            "resources": replace("rules/train.smk", "**flow.res", "tasks=1,\n        **flow.res"),
            "message": replace("rules/data.smk", '"Fetching dataset', '"Getting dataset'),
            "comment": append("rules/train.smk", "\n# A comment.\n"),
            "profile": append("profiles/default/config.yaml", "\nkeep-going: true\n"),
        },
    ),
    Row(
        "the number of cores; environment variables",
        NOTHING,
        {
            "cores": start(*TARGETS, "--cores", "8"),
            "resources": start(*TARGETS, "--resources", "gpu=2", "mem_mb=64000"),
            "HF_TOKEN": start(*TARGETS, HF_TOKEN="hf_another", HF_HOME="/somewhere"),
            "OMP_NUM_THREADS": start(*TARGETS, OMP_NUM_THREADS="7", PYTHONHASHSEED="7"),
        },
    ),
]

SECTIONS["Data and model files"] = [
    Row(
        "the content of a data file",
        ("fetch_dataset story", "chunk_text story", *STORY),
        {
            "a sentence": append("data/story.txt", "\nAnd after it.\n"),
            "a letter": replace("data/story.txt", "time", "tide"),
            "an older file in its place": older("data/story.txt", "Long ago.\n"),
        },
    ),
    Row(
        "two data files swapped with `mv`",
        ("fetch_dataset news", *NEWS),
        {"mv": exchange("data/news.csv", "data/other.csv")},
        "Their modification times do not change.",
    ),
    Row(
        "a sample dataset",
        ("fetch_dataset written", *MIXED, *QUESTIONS),
        {"instructions": replace("data/sample/instructions.json", "a", "e")},
    ),
    Row(
        "weights, configuration, tokenizer or chat template of a local model",
        ("fetch_model mine", *MINE),
        {
            "weights": append("models/mine/model.safetensors", "other\n"),
            "older weights": older("models/mine/model.safetensors", "older\n"),
            "config": append("models/mine/config.json", "\n"),
            "chat template": append("models/mine/chat_template.jinja", "!"),
            "new file": write("models/mine/added_tokens.json", "{}"),
            "removed file": remove("models/mine/chat_template.jinja"),
        },
    ),
    Row(
        "another file in the folder of a local model",
        NOTHING,
        {"README": append("models/mine/README.md", "More.\n")},
    ),
    Row(
        "touch",
        NOTHING,
        {
            "data and models": touch("data/**/*.*", "models/mine/*"),
            "code": touch(
                "scripts/**/*.py", "Snakefile", "rules/*", "config.yaml", "report/**/*.*"
            ),
            "environments": touch("envs/*"),
        },
    ),
]

SECTIONS["Code, template, environments"] = [
    Row(
        "a script",
        (
            *("score_labels *", "compute_metrics test news *", "compare_systems * news"),
            *("plot_differences news*", "plot_confusion *", *PAGE, *BASELINES),
        ),
        {
            "score_labels": code("score_labels.py"),
            "and one more output": both(
                code("score_labels.py"),
                replace(
                    "rules/evaluate.smk",
                    'manifest="results/evaluations/{split}/{task}/{system}/labels.json",',
                    'manifest="results/evaluations/{split}/{task}/{system}/labels.json",\n'
                    '        more="results/evaluations/{split}/{task}/{system}/labels.csv",',
                ),
            ),
        },
        "Also where its rule makes one file more than before, which nothing asks for.",
    ),
    Row(
        "a module of the library: all that import it, directly or not. `train/train.py`",
        (
            "train_adapter *",
            "* tuned/*",
            "compare_systems *",
            "plot_*",
            *PAGE,
            *CROSS_TASK,
            *BASELINES,
            *MERGED,
        ),
        {"training": code("deltatune/train/train.py")},
    ),
    Row(
        "packing: `tokens/packing.py`, `tokens/cutting.py`, `tokens/writer.py`",
        (
            *("tokenize_split *", "quantize_model *", "train_adapter *", *MERGED),
            *("* tuned/*", "* base/tiny/gptq", "compare_systems *", "plot_*"),
            *(*PAGE, *CROSS_TASK, *BASELINES),
        ),
        {name: code(f"deltatune/tokens/{name}.py") for name in ("packing", "cutting", "writer")},
        "Of bases only the GPTQ one is evaluated again: it is calibrated on packed rows.",
    ),
    Row(
        "chat templates: `tokens/chat.py`, `tokens/conversation.py`, `tokens/turns.py`",
        (
            *("tokenize_split *", "quantize_model *", "train_adapter *", *MERGED),
            *("* tuned/*", "* base/tiny/gptq", "generate_answers *"),
            *("compute_metrics test questions *", "compute_metrics test talks *"),
            *("compare_systems *", "plot_*", *PAGE, *CROSS_TASK, *BASELINES),
        ),
        {name: code(f"deltatune/tokens/{name}.py") for name in ("chat", "conversation", "turns")},
        "No model is pre-trained again, and no base's likelihoods are computed again.",
    ),
    Row(
        "the statistics: `compare/statistics.py`, `compare/permutation.py`, `compare/intervals.py`",
        ("compare_systems *", *PAGE, *CROSS_TASK, *BASELINES),
        {
            name: code(f"deltatune/compare/{name}.py")
            for name in ("statistics", "permutation", "intervals")
        },
        "No metric is computed again.",
    ),
    Row(
        "`metrics/answers/bleu.py`",
        (
            "compute_metrics test questions *",
            *rescored("answers", "questions"),
            *QUESTIONS_BASELINES,
        ),
        {"bleu": code("deltatune/metrics/answers/bleu.py")},
        "Metrics of other tasks are not computed again.",
    ),
    Row(
        "`evaluate/baselines/labels.py`",
        (*NEWS_BASELINES, "render_report"),
        {"labels": code("deltatune/evaluate/baselines/labels.py")},
        "No system with a model is evaluated again.",
    ),
    Row(
        "`evaluate/baselines/answers.py`",
        ("fit_answer_baselines *", *BASELINES, "render_report"),
        {"answers": code("deltatune/evaluate/baselines/answers.py")},
    ),
    Row(
        "`evaluate/behavior.py`",
        (
            *("compute_metrics *", "fit_answer_baselines *", "fit_label_baselines *"),
            *("compare_systems *", "plot_differences *", *PAGE, *CROSS_TASK, *BASELINES),
        ),
        {"behavior": code("deltatune/evaluate/behavior.py")},
    ),
    Row(
        "a figure: `report/figures/losses.py`",
        ("plot_losses *", "render_report"),
        {"losses": code("deltatune/report/figures/losses.py")},
    ),
    Row(
        "`report/figures/style.py`, which all figures share",
        ("plot_*", "render_report"),
        {"style": code("deltatune/report/figures/style.py")},
    ),
    Row(
        "`report/page.py`, `report/collect.py`, `report/sections/`, and the page's words in "
        "`report/words/`, `seeds.py` apart",
        ("render_report",),
        {
            **{
                name: code(f"deltatune/report/{name}.py")
                for name in ("page", "collect", "sections/tasks", "words/limits", "words/phrases")
            },
            "wording": replace(
                "scripts/deltatune/report/words/sentences.py", "is not shown: ", "was not shown: "
            ),
        },
    ),
    Row(
        "modules outside the rules: `config/`, `plan/`, `preview/`, `workflow/`, `ask/`",
        NOTHING,
        {
            name: code(f"deltatune/{name}.py")
            for name in (
                *("config/load", "config/model", "workflow/params", "workflow/digest"),
                *("plan/plan", "preview/tasks", "ask/session"),
            )
        },
    ),
    Row(
        "modules of every script: `core/stage.py`, `core/manifest.py`",
        ("*",),
        {"runlog": code("deltatune/core/stage.py")},
    ),
    Row(
        "comments, docstrings, formatting",
        NOTHING,
        {
            "comment": append("scripts/deltatune/train/train.py", "\n\n# A comment.\n"),
            "docstring": replace("scripts/deltatune/core/stage.py", '"""What', '"""So what'),
            "of a function": replace(
                "scripts/deltatune/models/load.py", "The untuned model, ", "An untuned model, "
            ),
        },
    ),
    Row(
        "the words of a message: of an error, on the terminal, in a log",
        NOTHING,
        {
            "error": replace(
                "scripts/deltatune/models/load.py",
                "cannot be read as safetensors",
                "cannot be read",
            ),
            "of every stage": replace(
                "scripts/deltatune/core/integrity.py", "It is not used.", "So it is not used."
            ),
            "terminal": replace("scripts/quantize_model.py", "rows of ", "lines of "),
            "log": replace("scripts/deltatune/models/device.py", 'f"compute: ', 'f"device: '),
        },
        "What is computed for a message counts.",
    ),
    Row(
        "modules outside of the digest: " + ", ".join(f"`{name}`" for name in digest.OUTSIDE),
        NOTHING,
        {name: code(f"deltatune/{name}") for name in digest.OUTSIDE},
        "A test asks the author whether a result depends on the edit, and so whether to raise the "
        "module's version.",
    ),
    Row(
        "a template, style sheet or script of the report",
        ("render_report",),
        {
            "template": append("report/page.html.j2", "<p>More.</p>\n"),
            "section": append("report/sections/limits.html.j2", "<p>More.</p>\n"),
            "style": append("report/page.css", "p {color: red}\n"),
            "script": append("report/browser.js", "window.more = 1;\n"),
        },
    ),
    Row(
        "`report/style.css`, `report/table.css`, which a table as a page of its own has too",
        ("render_tables", "render_report"),
        {name: append(f"report/{name}.css", "p {color: red}\n") for name in ("style", "table")},
    ),
    Row(
        "a caption of a figure",
        ("render_report",),
        {"forest": append("report/forest.rst", "\nMore.\n")},
        "The page has the same words as `snakemake --report`, which reads them each time.",
    ),
    Row(
        "another caption",
        NOTHING,
        {
            name: append(f"report/{name}.rst", "\nMore.\n")
            for name in ("comparison", "workflow", "page")
        },
        "`snakemake --report` reads it each time.",
    ),
    Row(
        "an env file, without `--use-conda`",
        NOTHING,
        {"train": append("envs/train.yaml", "# Other.\n")},
    ),
]

SECTIONS["No change"] = [
    Row("nothing", NOTHING, {"nothing": start()}),
    Row(
        "a comment or the order of keys in config.yaml; a default value written out",
        NOTHING,
        {
            "comment": append("config.yaml", "\n# A comment.\n"),
            "order": config(_other_order),
            "default": put(statistics__confidence=0.95, tasks__story__max_length=512, run="all"),
            "number": put(experiments__news__training__learning_rate=1.0),
            "anchors": anchored(),
        },
    ),
    Row(
        "an edit that is reverted before the next run",
        NOTHING,
        {
            "setting": both(_lora("rank", 5), _lora("rank", 4)),
            "module": both(
                code("deltatune/train/train.py"),
                replace("scripts/deltatune/train/train.py", "\nEDITED = 1\n", ""),
            ),
            "data": both(
                append("data/story.txt", "More.\n"),
                replace("data/story.txt", "The end.\nMore.\n", "The end.\n"),
            ),
        },
    ),
]

SECTIONS["Results"] = [
    Row(
        "a final result removed: the rule that makes it, and all that follow",
        PAGE,
        {"comparison.csv": remove("results/comparison.csv")},
    ),
    Row(
        "`report.html` or `verdict.txt` removed",
        ("render_report",),
        {name: remove(f"results/{name}") for name in ("report.html", "verdict.txt")},
    ),
    Row(
        "a result removed, with all that depend on it",
        (
            *(
                "score_labels test news tuned/news/seed-2",
                "compute_metrics test news tuned/news/seed-2",
            ),
            *("compare_systems news news", "plot_differences news", "plot_confusion news"),
            *(*PAGE, *BASELINES),
        ),
        {
            "labels": remove(
                "results/evaluations/test/news/tuned/news/seed-2",
                "results/comparisons/news",
                "results/comparison.csv",
            )
        },
    ),
    Row(
        "an intermediate result removed",
        NOTHING,
        {
            "records": remove("results/datasets/news/records.parquet"),
            "adapter": remove("results/experiments/news/seed-2"),
        },
        "It is made again once a job needs it.",
    ),
    Row(
        "logs and benchmarks removed",
        NOTHING,
        {"logs": remove("results/logs", "results/benchmarks")},
    ),
]

#: With `--use-conda`, in a project that was finished with it.
SECTIONS["Under `--use-conda`"] = [
    Row(
        "`envs/data.yaml`",
        ("*",),
        {"data": append("envs/data.yaml", "# Other.\n")},
        "Everything depends on the fetched data.",
    ),
    Row(
        "`envs/train.yaml`",
        (
            *("pretrain_model *", "tokenize_split *", "train_adapter *", "* tuned/*", *TINY),
            *("compare_systems *", "plot_*", *PAGE, *CROSS_TASK, *BASELINES, *MERGED),
        ),
        {"train": append("envs/train.yaml", "# Other.\n")},
    ),
    Row(
        "`envs/gptq.yaml`",
        ("quantize_model *", "* base/tiny/gptq", *trained("news-gptq")),
        {"gptq": append("envs/gptq.yaml", "# Other.\n")},
    ),
    Row(
        "`envs/evaluate.yaml`",
        (
            *("fit_answer_baselines *", "fit_label_baselines *", *BASELINES),
            *("generate_answers *", "score_text *", "compute_metrics *"),
            *("score_labels test news base/tiny/nf4", "score_labels test news tuned/news/*"),
            *("compare_systems *", "plot_differences *", "plot_confusion news", *PAGE, *CROSS_TASK),
        ),
        {"evaluate": append("envs/evaluate.yaml", "# Other.\n")},
        "Not the outputs of a GPTQ base, which is evaluated in its own environment.",
    ),
    Row(
        "`envs/report.yaml`",
        ("plot_*", "render_tables", "render_report"),
        {"report": append("envs/report.yaml", "# Other.\n")},
    ),
    Row("touch", NOTHING, {"all": touch("envs/*")}),
]


# ---------------------------------------------------------------- the page

ORDER = (
    *("fetch_dataset", "mix_datasets", "chunk_text", "split_dataset", "fetch_model"),
    *("pretrain_model", "tokenize_split", "quantize_model", "train_adapter"),
    *("generate_answers", "answer_prompts"),
    *("score_text", "score_labels", "compute_metrics", "fit_answer_baselines"),
    *("fit_label_baselines", "compare_systems", "join_comparisons", "compare_baselines"),
    *("plot_forest", "plot_losses", "plot_differences", "plot_confusion"),
    *("render_tables", "render_report", "merge_adapter"),
)

HEAD = """# What runs again

A job runs again when its own settings, its code or its inputs have changed; `snakemake -n` lists
the jobs and why. This page lists these jobs for **{edits} edits of {rows} kinds**, among them every
key of the settings. `tests/workflow/test_reruns.py` makes each edit alone to a finished project and
checks that `snakemake -n` plans exactly these jobs, wildcards included. Some edits are also run, in
`tests/end_to_end/test_reruns_for_real.py`.

The project of the table has one of everything: {experiments} experiments with 2 seeds each, on
three base models (`pretrain`, `local`, `hub`), one of them in NF4 and in GPTQ, and a merged model:
{jobs} jobs. A number after a rule is the number of its jobs that run again.
"""

FOOT = """
## How changes are detected

- **All jobs downstream of one that runs again run too**, even if its results turn out the same:
  Snakemake plans before it runs. Most of them are then found again, see below.
- **Results of what is removed from config.yaml are kept**, under its name in `results/`, but no
  table or page shows them. Added back unchanged, it is not made again.
- **Swapped values are detected.** Snakemake stores params as a set of values without names; here
  each stage has one dictionary.
- **A stage depends on exactly what changes its result**: its own settings, its inputs, and its
  code. Code is compared by its digest, which is the same for every minor version of Python from
  3.11. It covers the script of a stage and all modules that the script imports, directly or not;
  what each stage must not reach is listed in `tests/unit/test_workflow_digest_reach.py`. Left out
  are comments, docstrings, formatting, imports for types alone, and the words of messages: of
  `UserError` and `ValueError`, and what is printed. Modules for messages, text for people, signals
  and estimates of memory stand outside of it, `OUTSIDE` in `workflow/digest.py`, each with a
  version: a test fails when one of them changes until its author raises the version, which runs
  again what reaches the module, or records that no result depends on the edit. There are no shell
  commands.
- **Local data files and models** are compared by content up to 64 MiB, larger ones by size and
  modification time: there, touch is an edit. Intermediate results up to 1 MB are compared by
  checksum, larger ones by modification time.
- **Remote data and models** are compared by name: a hub tag that was moved, or a file that changed
  at its URL, is not detected. Use a commit, and a `sha256`.
- **Environments** are compared with `--use-conda` alone, byte by byte, including comments.
  Switching it on or off runs everything again, and so does moving the folder with it, unless
  `--conda-prefix` is a fixed path. Without it, a change of package versions or of the machine is
  not detected.
- **`.snakemake/` has the metadata for all this.** Without it Snakemake compares modification times,
  warns of missing metadata, and does *not* detect changes of settings or code. If it is lost, run
  once with `--forceall`.
- **An edit during a run**: of config.yaml or of a script, it takes effect in the next one. Modules
  of the library are loaded when a job starts: jobs that start after an edit run it, and the next
  run makes them again, unless the edit was taken back by then. So edit modules between runs, and on
  a cluster config.yaml too, which jobs read when they start.

## Finished work is found again

A job that is planned need not compute. Training (`train_adapter`), the systems' outputs
(`generate_answers`, `score_text`, `score_labels`) and rows of tokens (`tokenize_split`) are kept in
`results/cache/`. Where the same job was done before, it says `found again` and takes a second:

- LoRA rank 8, then 16, then 8 again: two trainings; the third is found again, with what follows.
- A prompt edited and edited back: what was made under the first is found again.
- An edit of the code that packs tokens, which leaves the rows as they were: they are made again,
  and training is found again.
- A result deleted by accident, a lost `.snakemake/`, an experiment renamed: nothing is trained.

**What decides** is the fingerprint of the job: its rule, its settings, the digest of its code, the
sha256 of its input files (of models, adapters and rows those of all their files), the versions of
Python and of the packages that compute, the processor with its instruction sets, and the GPUs. The
results are byte for byte those of computing again; the manifest keeps the times and the commit of
when that was. (On a GPU, computing again can differ in the last digits; found again does not.)

**Space:** `cache_gb` (20) bounds it; the least recently used results are deleted first. Adapters
and rows of tokens are hard links to the results where the file system has them, and take no space
as long as the results are there. `results/cache/` can be deleted at any time. It is not archived.

**Damage:** hashes are verified before a result is used; what is damaged is deleted and computed
again. Where the cache cannot be written, one line says so and the results stay.

**To compute all the same**: `snakemake --config cache_gb=0 --forcerun train_adapter`. `cache_gb: 0`
in config.yaml switches it off.

Snakemake's own [caching between workflows](https://snakemake.readthedocs.io/en/stable/executing/caching.html)
is not used: a rule with a `benchmark` cannot have it, its hash is of everything upstream (so equal
rows after an edit of packing would count as others), it needs `--cache` and an environment
variable, it leaves links to a folder elsewhere in place of results, and it has no bound and no
check of what it finds.
"""


def page(finished: Iterable[str]) -> str:
    """docs/reruns.md, for the jobs of the finished project."""
    finished = list(finished)
    rows = [row for section in SECTIONS.values() for row in section]
    lines = [
        HEAD.format(
            edits=sum(len(row.edits) for row in rows),
            rows=len(rows),
            experiments=len({job for job in finished if job.startswith("plot_losses ")}),
            jobs=len(finished),
        )
    ]
    for section, section_rows in SECTIONS.items():
        lines += [f"\n## {section}\n", "| edit | runs again | jobs |", "|---|---|---|"]
        for row in section_rows:
            rerun = jobs(row.runs, finished)
            note = f" {row.note}" if row.note else ""
            lines.append(f"| {row.what} | {_counted(rerun, finished)}{note} | {len(rerun)} |")
    return "\n".join(lines) + "\n" + FOOT


def _counted(rerun: set[str], finished: list[str]) -> str:
    """The rules of jobs, each with its number of jobs."""
    if not rerun:
        return "**nothing.**"
    if rerun == set(finished):
        return "**everything.**"
    counts = Counter(job.split(" ")[0] for job in rerun)
    rules = sorted(counts, key=ORDER.index)
    return ", ".join(f"{rule} {counts[rule]}" if counts[rule] > 1 else rule for rule in rules) + "."


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        DOCS.write_text(page(reruns_project.build(Path(folder) / "project")))
