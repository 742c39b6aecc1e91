"""A project with one of everything, run to its end with placeholders, and edits to it.

What Snakemake runs again depends on names, dates, checksums of inputs and on its records of the
last run; not on the content of the results. So each result is a line of text here, and Snakemake
itself records that it was made (`--touch`): seconds instead of an hour, with a model of the hub and
GPTQ.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from conftest import copy_project
from dry_runs import Plan, dry_run

CONFIG = """
seeds: [1, 2]
cross_task: none
datasets:
  questions: {source: mixture, of: {written: 0.7, asked: 0.3}}
  written: {source: sample, name: instructions}
  asked: {source: hub, id: somebody/questions, revision: v1}
  news: {source: file, path: data/news.csv, columns: {text: [title, description], label: label}}
  story: {source: file, path: data/story.txt, chunks: {max_words: 60}}
  talks: {source: hub, id: somebody/talks, revision: v1}
  book: {source: url, url: "https://example.org/book.txt"}
models:
  tiny: {source: pretrain, corpus: [questions, news], gptq: {calibration: news, group_size: 64}}
  mine: {source: local, path: models/mine}
  theirs: {source: hub, id: somebody/model, revision: v1}
tasks:
  questions:
    {kind: instruct, dataset: questions, metrics: [rouge_l, bleu],
     prompt: {with_input: "{instruction} {input}:", without_input: "{instruction}:"}}
  news: {kind: classify, dataset: news, labels: [World, Sports, Business, Sci/Tech]}
  story: {kind: prose, dataset: story}
  talks: {kind: chat, dataset: talks, system: Be short., metrics: [rouge_l]}
  book: {kind: prose, dataset: book, evaluation: {context: 256}}
experiments:
  answers: {model: tiny, task: questions, cross_task: [story], lora: {rank: 4, alpha: 8}}
  news:
    model: tiny
    task: news
    lora: {rank: 4, alpha: 8}
    training: {epochs: 2, learning_rate: 1, batch_size: 2}
    published: {source: A paper, metrics: {accuracy: {base: 0.7, tuned: 0.9}}}
  news-gptq: {model: tiny, task: news, quantization: gptq}
  story: {model: mine, task: story, quantization: none}
  talks: {model: theirs, task: talks}
  book: {model: theirs, task: book}
"""
#: Beside what `all` asks for, one merged model.
TARGETS = ("all", "results/merged/news/seed-1/manifest.json")
FOLDERS = ("model", "adapter", "train", "validation")


def build(project: Path) -> dict[str, list[str]]:
    """Fill a folder with the finished project. Returns its jobs: name -> files."""
    copy_project(project)
    (project / "config.yaml").write_text(CONFIG)
    for name, text in FILES.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return finish(project, TARGETS)


def finish(project: Path, targets: tuple[str, ...] = ("all",)) -> dict[str, list[str]]:
    """Placeholders for all results of a project, where there are none; returns all of its jobs."""
    plan = dry_run(project, *targets)
    assert plan.status == 0, plan.text
    for path in (project / file for files in plan.jobs.values() for file in files):
        if path.name in FOLDERS:
            path.mkdir(parents=True, exist_ok=True)
        elif not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{path.relative_to(project)}\n")
    # Many at once: choosing the next job among thousands takes longer than to touch its files.
    touched = dry_run(project, "--touch", "--forceall", "--cores", "1000", *targets, dry=False)
    assert touched.status == 0, touched.text
    again = dry_run(project, *targets)
    assert again.jobs == {} and "missing" not in again.text, again.text
    return plan.jobs


FILES = {
    "data/news.csv": "title,description,label\nRain,It rains.,World\nGoal,They won.,Sports\n",
    "data/other.csv": "title,description,label\nSnow,It snows.,World\nGoal,They lost.,Sports\n",
    "data/story.txt": "Once upon a time.\n\nThe end.\n",
    "models/mine/config.json": '{"model_type": "mistral"}\n',
    "models/mine/model.safetensors": "weights\n",
    "models/mine/tokenizer.json": "{}\n",
    "models/mine/chat_template.jinja": "{{ messages }}\n",
    "models/mine/README.md": "About it.\n",
    "results/logs/train_adapter/news/seed-1.log": "a log\n",
    "results/benchmarks/train_adapter/news/seed-1.tsv": "s\n1\n",
}


def planned(project: Path, *arguments: str, dry: bool = True, **environment: str) -> Plan:
    return dry_run(project, *(arguments or TARGETS), dry=dry, **environment)


CONDA = """#!/bin/sh
# As much of conda as a dry run asks for.
case "$1" in
  --version) echo "conda 25.1.0";;
  info) echo '{"conda_prefix": "/nowhere", "platform": "linux-64"}';;
  config) echo '{"get": {"channel_priority": "strict"}}';;
  env) while [ "$1" != --prefix ]; do shift; done; mkdir -p "$2";;
esac
"""


def build_under_conda(finished: Path, project: Path) -> dict[str, str]:
    """The finished project once more, as if it had run under --use-conda.

    Returns the environment variables that dry runs of it need, see `under_conda`.
    """
    shutil.copytree(finished, project)
    command = project.parent / "bin" / "conda"
    command.parent.mkdir()
    command.write_text(CONDA)
    command.chmod(0o755)
    environment = {"PATH": f"{command.parent}:{os.environ['PATH']}"}
    done = dry_run(
        project, "--touch", "--forceall", *under_conda(project), dry=False, **environment
    )
    assert done.status == 0, done.text
    return environment


def under_conda(project: Path) -> tuple[str, ...]:
    """Arguments for --use-conda: environments lie beside the project, wherever it is copied to."""
    return (*TARGETS, "--use-conda", "--conda-prefix", str(project.parent / "environments"))


# ---------------------------------------------------------------- edits


@dataclass(frozen=True)
class Edit:
    """A change to the project. keys: the settings that it changes, with * for names.
    arguments, environment: what snakemake is started with, in place of the usual targets."""

    change: Callable[[Path], None]
    keys: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


NAMED = ("datasets", "models", "tasks", "experiments")


def _key(path: str) -> str:
    parts = path.split(".")
    if parts[0] in NAMED and len(parts) > 1:
        parts[1] = "*"
    return ".".join(parts)


def config(change: Callable[[dict], Any], *keys: str) -> Edit:
    """Change config.yaml by a function of the parsed mapping."""

    def edit(project: Path) -> None:
        path = project / "config.yaml"
        parsed = yaml.safe_load(path.read_text())
        changed = change(parsed)
        path.write_text(yaml.safe_dump(changed or parsed, sort_keys=False))

    return Edit(edit, tuple(map(_key, keys)))


def put(**settings: Any) -> Edit:
    """Set keys, written with two underscores for the dots: put(report__title="x"). What stands
    for a dash in a name is left to `put_at`."""
    return put_at({path.replace("__", "."): value for path, value in settings.items()})


def put_at(settings: dict[str, Any]) -> Edit:
    def change(parsed: dict) -> None:
        for path, value in settings.items():
            *parents, last = path.split(".")
            part = parsed
            for name in parents:
                part = part.setdefault(name, {})
            part[last] = value

    return config(change, *settings)


def drop(path: str) -> Edit:
    def change(parsed: dict) -> None:
        *parents, last = path.split(".")
        part = parsed
        for name in parents:
            part = part[name]
        del part[last]

    return config(change)


def replace(file: str, old: str, new: str) -> Edit:
    def change(project: Path) -> None:
        text = (project / file).read_text()
        assert old in text, f"{file} has no {old!r}"
        (project / file).write_text(text.replace(old, new))

    return Edit(change)


def append(file: str, text: str) -> Edit:
    return Edit(lambda project: _append(project / file, text))


def _append(path: Path, text: str) -> None:
    assert path.is_file(), path
    path.write_text(path.read_text() + text)


def code(file: str) -> Edit:
    """Another statement at the end of a file of scripts/."""
    return append(f"scripts/{file}", "\nEDITED = 1\n")


def exchange(one: str, other: str) -> Edit:
    """Two files change their names, and keep their dates."""

    def change(project: Path) -> None:
        os.rename(project / one, project / "aside")
        os.rename(project / other, project / one)
        os.rename(project / "aside", project / other)

    return Edit(change)


def older(file: str, text: str) -> Edit:
    """Other content with a date before that of all results, as `cp -p` of a backup leaves it."""

    def change(project: Path) -> None:
        (project / file).write_text(text)
        os.utime(project / file, (1e9, 1e9))

    return Edit(change)


def write(file: str, text: str) -> Edit:
    return Edit(lambda project: (project / file).write_text(text))


def touch(*patterns: str) -> Edit:
    def change(project: Path) -> None:
        for pattern in patterns:
            paths = list(project.glob(pattern))
            assert paths, pattern
            for path in paths:
                os.utime(path)

    return Edit(change)


def remove(*patterns: str) -> Edit:
    def change(project: Path) -> None:
        for pattern in patterns:
            paths = list(project.glob(pattern))
            assert paths, pattern
            for path in paths:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    return Edit(change)


def start(*arguments: str, **environment: str) -> Edit:
    """Nothing is changed, but snakemake is started in another way."""
    return Edit(lambda project: None, (), arguments, tuple(environment.items()))


def both(*edits: Edit) -> Edit:
    """One edit after the other, seen by one dry run."""

    def change(project: Path) -> None:
        for edit in edits:
            edit.change(project)

    keys = tuple(key for edit in edits for key in edit.keys)
    return Edit(change, keys)


def anchored() -> Edit:
    """config.yaml in other YAML that means the same: anchors, flow style, quotes."""

    def change(project: Path) -> None:
        path = project / "config.yaml"
        parsed = yaml.safe_load(path.read_text())
        shared = parsed["experiments"]["news"]["lora"]
        parsed["experiments"]["answers"]["lora"] = shared
        text = yaml.safe_dump(parsed, sort_keys=False, default_style='"', default_flow_style=True)
        assert "&id001" in text and yaml.safe_load(text) == parsed
        path.write_text(text)

    return Edit(change)


def many_experiments(default: dict, count: int) -> dict:
    """The default's settings with so many experiments in place of its own, all on one base and
    one task, no two of them the same."""
    default["seeds"] = [1]
    default["models"]["tiny-mistral"]["corpus"] = ["news"]
    default["experiments"] = {
        f"news-{i:04d}": {
            "model": "tiny-mistral",
            "task": "news",
            "lora": {"rank": 1 + i % 64, "dropout": i // 640 / 10},
            "training": {"learning_rate": 1e-4 * (1 + i // 64 % 10)},
        }
        for i in range(count)
    }
    return default
