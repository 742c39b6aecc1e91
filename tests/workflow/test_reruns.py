"""What runs again after which edit, by dry runs over a finished project: docs/reruns.md is true."""

from __future__ import annotations

import json
import os
import re
import shutil
import typing
import zipfile
from collections import Counter
from pathlib import Path

import pytest
import reruns_table
import yaml
from conftest import make_once, run_snakemake
from deltatune.config.model import Settings
from deltatune.report.places import exchange
from deltatune.tasks.registry import available_kinds, load_kind
from deltatune.workflow.flow import Flow
from dry_runs import Plan
from pydantic import BaseModel
from reruns_project import (
    TARGETS,
    build,
    build_under_conda,
    finish,
    planned,
    put_at,
    under_conda,
)
from reruns_table import DOCS, SECTIONS, Row, jobs

UNDER_CONDA = "Under `--use-conda`"

CASES = {
    f"{section}: {row.what}: {name}": (row, edit)
    for section, rows in SECTIONS.items()
    for row in rows
    for name, edit in row.edits.items()
}


@pytest.fixture(scope="module")
def finished(shared_folder) -> tuple[Path, dict[str, list[str]]]:
    """(the finished project, its jobs); only to be read."""

    def make(folder: Path) -> None:
        (folder / "jobs.json").write_text(json.dumps(build(folder / "project")))

    folder = make_once(shared_folder / "finished", make)
    return folder / "project", json.loads((folder / "jobs.json").read_text())


@pytest.fixture
def project(finished, tmp_path) -> Path:
    """A copy with the same dates. Its results are links: they may be removed, but not written."""

    def copied(source: str, target: str) -> str:
        made = Path(source).relative_to(finished[0]).parts[0] in ("results", ".snakemake")
        return os.link(source, target) if made else shutil.copy2(source, target)

    shutil.copytree(finished[0], tmp_path / "project", symlinks=True, copy_function=copied)
    return tmp_path / "project"


def compare(plan: Plan, row: Row, finished: dict[str, list[str]]) -> None:
    assert plan.status == 0, plan.text[-3000:]
    expected = jobs(row.runs, finished)
    missing, more = expected - set(plan.jobs), set(plan.jobs) - expected
    assert (sorted(missing), sorted(more)) == ([], []), "(not run again, run beside them)"


@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith(UNDER_CONDA)])
def test_an_edit_runs_exactly_what_the_table_says(finished, project, case):
    row, edit = CASES[case]
    edit.change(project)
    plan = planned(project, *edit.arguments, **dict(edit.environment))
    compare(plan, row, finished[1])


def test_the_costs_are_of_every_job_that_leaves_a_manifest(finished, monkeypatch):
    project, made = finished
    monkeypatch.chdir(project)
    flow = Flow(yaml.safe_load((project / "config.yaml").read_text()))
    plan = exchange(flow.report.plan(), flow.report.files().__getitem__)
    listed = {rule: sorted(files.values()) for rule, files in plan["jobs"].items()}
    manifests: dict[str, list[list[str]]] = {}
    for job, files in made.items():
        if not job.startswith("merge_adapter") and any(f.endswith(".json") for f in files):
            manifests.setdefault(job.split(" ")[0], []).append(files)
    assert set(listed) == set(manifests)
    for rule, jobs_of_rule in manifests.items():
        assert len(listed[rule]) == len(jobs_of_rule), rule
        assert all(set(files) & set(listed[rule]) for files in jobs_of_rule), rule
    # The last of the manifests of a job has all of its seconds.
    for rule in ("fit_label_baselines", "fit_answer_baselines"):
        last = {[f for f in files if f.endswith("/metrics.json")][-1] for files in manifests[rule]}
        assert set(listed[rule]) == last


def test_under_conda_an_edit_runs_exactly_what_the_table_says(finished, tmp_path):
    environment = build_under_conda(finished[0], tmp_path / "finished")
    arguments = under_conda(tmp_path / "finished")
    for case in CASES:
        if case.startswith(UNDER_CONDA):
            row, edit = CASES[case]
            shutil.copytree(tmp_path / "finished", tmp_path / "project")
            edit.change(tmp_path / "project")
            compare(planned(tmp_path / "project", *arguments, **environment), row, finished[1])
            shutil.rmtree(tmp_path / "project")
    # Switched on or off, all is made again.
    everything = set(finished[1])
    assert set(planned(finished[0], *arguments, **environment).jobs) == everything
    assert set(planned(tmp_path / "finished").jobs) == everything


@pytest.mark.parametrize("what", ["an experiment removed", "`run`: some of the experiments"])
def test_what_was_left_out_of_a_run_is_not_made_again(finished, tmp_path, what):
    project = tmp_path / "project"
    shutil.copytree(finished[0], project)
    text = (project / "config.yaml").read_text()
    row = next(row for rows in SECTIONS.values() for row in rows if row.what == what)
    next(iter(row.edits.values())).change(project)
    ran = planned(project, *TARGETS, "--touch", dry=False)
    compare(ran, row, finished[1])
    assert planned(project).jobs == {}
    (project / "config.yaml").write_text(text)
    compare(planned(project), row, finished[1])


def test_the_validation_split_is_evaluated_where_it_is_asked_for(finished):
    folder = "results/evaluations/validation"
    systems = ("news/tuned/news/seed-1", "story/base/mine/none", "news/baseline/tfidf")
    plan = planned(finished[0], *(f"{folder}/{system}/metrics.json" for system in systems))
    assert plan.status == 0, plan.text
    assert set(plan.jobs) == {
        *("score_labels validation news tuned/news/seed-1", "fit_label_baselines validation news"),
        "compute_metrics validation news tuned/news/seed-1",
        *("score_text validation story base/mine/none",),
        "compute_metrics validation story base/mine/none",
    }
    files = {file for made in plan.jobs.values() for file in made}
    assert all(file.startswith(f"{folder}/") for file in files)
    trained_on = planned(finished[0], f"results/evaluations/train/{systems[0]}/metrics.json")
    assert trained_on.status != 0 and "MissingRule" in trained_on.text


def test_a_run_that_ended_between_goes_on_with_what_has_changed(finished, tmp_path):
    """The model was fetched anew, and no more. Its folder is `ancient` to what follows, which so
    has to learn from the hashes what is another: the tokenizer, or the weights alone."""
    project, goal = tmp_path / "project", "results/comparisons/story/story.csv"
    shutil.copytree(finished[0], project)

    def fetched(*arguments: str) -> None:
        target = "results/models/mine/weights.sha256"
        done = planned(project, target, *arguments, dry=False)
        assert done.status == 0 and set(done.jobs) == {"fetch_model mine"}, done.text

    def next_rules() -> set[str]:
        return {job.split(" ")[0] for job in planned(project, goal).jobs}

    evaluated = {"score_text", "compute_metrics", "compare_systems"}
    fetched("--force")
    assert planned(project, goal, "--touch", "--forceall", dry=False).status == 0
    assert next_rules() == set()
    (project / "models/mine/model.safetensors").write_text("other weights\n")
    fetched()
    assert next_rules() == {"train_adapter", *evaluated}
    (project / "models/mine/chat_template.jinja").write_text("{{ other }}\n")
    fetched()
    assert next_rules() == {"tokenize_split", "train_adapter", *evaluated}


def test_an_edit_of_a_prompt_runs_these_answers_and_the_report_alone(finished, tmp_path):
    project = tmp_path / "project"
    shutil.copytree(finished[0], project)
    ((row,),) = (SECTIONS["`prompts`"],)
    row.edits["one"].change(project)
    # The page alone sees it too: its rule has the same outputs, whatever the settings.
    alone = planned(project, "results/report.html")
    assert set(alone.jobs) == jobs(row.runs, finished[1]) - {"render_tables"}
    made = finish(project, TARGETS)
    config = (project / "config.yaml").read_text()
    (project / "config.yaml").write_text(config.replace("Name a river.", "Name a lake."))
    compare(planned(project), row, made)
    for edit in ("tasks.talks.evaluation.max_new_tokens", "tasks.news.evaluation.batch_size"):
        (project / "config.yaml").write_text(config)
        put_at({edit: 9}).change(project)
        asked = {job for job in planned(project).jobs if job.startswith("answer_prompts")}
        assert asked == jobs([f"answer_prompts {edit.split('.')[1]} *"], made)


# ---------------------------------------------------------------- the table itself


def sections(annotation) -> list[type[BaseModel]]:
    """The sections that the type of a field names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [one for inner in typing.get_args(annotation) for one in sections(inner)]


def keys(section: type[BaseModel], above: str = "") -> set[str]:
    """The keys of a section and of those in it, with * for names."""
    names = set()
    for name, field in section.model_fields.items():
        path = f"{above}{name}"
        if path == "tasks":
            kinds = [load_kind(kind).Settings for kind in available_kinds()]
            names |= {key for kind in kinds for key in keys(kind, "tasks.*.")}
        elif inner := sections(field.annotation):
            step = ".*." if typing.get_origin(field.annotation) is dict else "."
            names |= {key for one in inner for key in keys(one, f"{path}{step}")}
        else:
            names.add(path)
    return names


def covered(key: str, edited: set[str]) -> bool:
    pattern = re.compile(re.escape(key).replace(r"\*", r"[^.]+") + r"(\..*)?")
    return any(pattern.fullmatch(other) for other in edited)


def test_every_key_of_the_settings_is_edited_in_a_row():
    edited = {key for _, edit in CASES.values() for key in edit.keys}
    # Set as a whole, with the mapping that they stand in.
    edited |= {"datasets.*.source", "datasets.*.name", "models.*.source", "tasks.*.kind"}
    absent = sorted(key for key in keys(Settings) if not covered(key, edited))
    assert absent == [], "add them to tests/workflow/reruns_table.py"


def test_every_rule_runs_again_in_some_row(finished):
    ruled = {job.split(" ")[0] for job in finished[1]}
    run = {
        job.split(" ")[0]
        for rows in SECTIONS.values()
        for row in rows
        if tuple(row.runs) != ("*",)
        for job in jobs(row.runs, finished[1])
    }
    # It is in a run that has prompts.
    assert run == {*ruled, "answer_prompts"}


def test_the_docs_show_the_table(finished):
    assert DOCS.read_text() == reruns_table.page(finished[1]), (
        "run: python tests/workflow/reruns_table.py"
    )


@pytest.mark.parametrize("case", [next(iter(CASES)), "No change: nothing: nothing"])
def test_the_command_line_says_the_same(project, case):
    _, edit = CASES[case]
    edit.change(project)
    there = planned(project)
    done = run_snakemake(project, "-n", "--cores", "1", *TARGETS)
    assert done.returncode == 0, done.stdout
    counts: Counter[str] = Counter(job.split(" ")[0] for job in there.jobs)
    table = done.stdout.partition("Job stats:")[2].split("\n\n")[0]
    printed = {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", table, flags=re.M)}
    assert {r: n for r, n in printed.items() if r not in ("all", "total")} == dict(counts)
    assert ("Nothing to be done" in done.stdout) == (not there.jobs)


def test_snakemakes_report_shows_all_with_titles_captions_and_places(project):
    """Both forms. What is no picture and no page would be downloaded instead."""
    for form in ("r.html", "r.zip"):
        done = run_snakemake(project, "--report", form)
        assert done.returncode == 0, done.stdout[-3000:]
    text = (project / "r.html").read_text(encoding="utf-8")
    start = text.index("{", text.index('<script id="results">'))
    results, _ = json.JSONDecoder().raw_decode(text, start)
    assert {"results/report.html", "results/tables/cross_task.html"} <= set(results)
    assert "results/tables/excluded/book.html" in results
    for path, one in results.items():
        assert one["mime_type"] in ("text/html", "image/svg+xml"), path
        assert re.fullmatch(r"[A-Z][\w ,:-]+", one["labels"]["shows"]), path
        assert len(re.sub(r"<[^>]+>", "", one["caption"])) > 80, path
        assert len(one["job_properties"]["params"] or "") < 300, path
    with zipfile.ZipFile(project / "r.zip") as archive:
        names = {Path(name).name for name in archive.namelist()}
    assert {Path(path).name for path in results} <= names
