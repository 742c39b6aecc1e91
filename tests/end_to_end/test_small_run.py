"""The whole way on the default made small: results, no-op, repetition, reports, extensions."""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import run_snakemake
from deltatune.compare.table import COLUMNS
from deltatune.evaluate.batches import ON_CPU
from deltatune.evaluate.likelihood import WINDOWS_ON_CPU
from deltatune.workflow.flow import Flow


def jobs(output: str) -> dict[str, int]:
    """Rule -> number of jobs, from the table that snakemake prints first."""
    table = output.split("Job stats:")[1].split("\n\n")[0]
    rows = re.findall(r"^(\w+)\s+(\d+)$", table, flags=re.MULTILINE)
    return {rule: int(count) for rule, count in rows if rule not in ("total", "all")}


@pytest.fixture
def finished(small_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that a test may change."""
    shutil.copytree(small_run, tmp_path / "project", symlinks=True)
    return tmp_path / "project"


def test_the_terminal_shows_the_stages(small_run):
    shown = (small_run.parent / "terminal.txt").read_text()
    lines = shown.splitlines()
    assert len(lines) < 80 and max(map(len, lines)) < 400, shown
    begun = [line.split(":")[0] for line in lines if line.endswith(" (no result yet)")]
    assert begun[0] == "Data" and {"Base models", "Training", "Report"} <= {*begun}, shown
    done = re.search(r"^(\d+) of (\d+) jobs done in \d+:\d\d\.$", shown, re.MULTILINE)
    assert done and done[1] == done[2] == re.search(r"^(\d+) jobs in 7 stages$", shown, re.M)[1]
    assert "Select jobs" not in shown and "rule " not in shown


def test_comparison_has_one_row_for_each_experiment_and_metric(small_run):
    table = pd.read_csv(small_run / "results/comparison.csv")
    assert list(table.columns) == COLUMNS
    assert not table.duplicated(["experiment", "metric"]).any()
    assert set(table["experiment"]) == {"instructions-qlora", "prose-qlora", "news-qlora"}
    assert (table["delta"] - (table["tuned"] - table["base"])).abs().max() < 1e-9
    main = table[table["main"]]
    tested = main.dropna(subset="p_value")
    # The prose of the small run has too few chapters for a test, and does not count as one.
    assert (len(main), len(tested), set(table["family"])) == (3, 2, {2})
    assert (tested["p_holm"] >= tested["p_value"] - 1e-12).all()
    assert table.loc[~table["main"], "p_holm"].isna().all()


def test_manifests_say_which_batches_were_used(small_run):
    """All fits here, so they are those of the settings: base and tuned alike."""
    for path in (small_run / "results/evaluations").rglob("*.json"):
        facts = json.loads(path.read_text())
        if "settings" in facts and "quantization" in facts["settings"]:
            asked = facts["settings"]["batch_size"]
            auto = WINDOWS_ON_CPU if path.name == "text.json" else ON_CPU
            assert facts["batch_size_used"] == (auto if asked == "auto" else asked), path
    runs = [*small_run.glob("results/experiments/*/seed-*/manifest.json")]
    for path in runs:
        facts = json.loads(path.read_text())
        assert facts["batch_size_used"] == facts["settings"]["training"]["batch_size"]
        assert facts["gradient_accumulation_used"] == 1 and facts["precision"]
    assert len(runs) == 3


def test_nothing_is_to_be_done_a_second_time(small_run):
    done = run_snakemake(small_run, "--cores", "1", warm=True)
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout


def test_a_base_is_evaluated_once(small_run):
    bases = sorted(
        p.parent for p in small_run.glob("results/evaluations/test/*/base/**/metrics.json")
    )
    assert len(bases) == 3


def test_a_metric_and_an_experiment_are_added_in_one_place_each(finished):
    metric = finished / "scripts/deltatune/metrics/answers/ends_with_stop.py"
    metric.write_text(
        textwrap.dedent(
            '''
            """Share of answers that end with a full stop."""

            import numpy as np

            from deltatune.metrics.base import ANSWERS, MeanMetric, texts


            class EndsWithStop(MeanMetric):
                title = "Ends with a stop"
                higher_is_better = True
                inputs = ANSWERS

                def scores(self, outputs):
                    return np.array([t.strip().endswith(".") for t in texts(outputs, "answer")])

                def signature(self):
                    return "answer ends with a full stop"
            '''
        )
    )
    path = finished / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["tasks"]["instructions"]["metrics"].append("ends_with_stop")
    wider = {**config["experiments"]["instructions-qlora"], "lora": {"rank": 3}, "cross_task": []}
    config["experiments"]["instructions-wider"] = wider
    config["prompts"] = ["Name a river that flows into the Black Sea."]
    path.write_text(yaml.safe_dump(config, sort_keys=False))

    planned = run_snakemake(finished, "-n", warm=True)
    assert jobs(planned.stdout) == {
        "train_adapter": 1,  # the new experiment alone
        "generate_answers": 1,
        "answer_prompts": 7,  # of three bases and four tuned systems
        "compute_metrics": 3,  # the base and both experiments, for the new metric
        "compare_systems": 4,  # all of the family, which has one more
        "fit_answer_baselines": 1,
        "compare_baselines": 1,
        "join_comparisons": 1,
        "plot_forest": 1,
        "plot_losses": 1,
        "plot_differences": 2,
        "render_tables": 1,
        "render_report": 1,
    }
    validation = "results/evaluations/validation/news/tuned/news-qlora/seed-1"
    targets = ("all", f"{validation}/metrics.json", "preview")
    done = run_snakemake(finished, "--cores", "2", *targets, warm=True)
    assert done.returncode == 0, done.stdout[-3000:]
    table = pd.read_csv(finished / "results/comparison.csv")
    added = table[table["metric"] == "ends_with_stop"]
    assert set(added["experiment"]) == {"instructions-qlora", "instructions-wider"}
    page = (finished / "results/report.html").read_text()
    assert "Ends with a stop" in page

    # Own prompts: as each task asks them, base beside tuned.
    own = page.split('<section id="own_prompts"')[1].split("</section>")[0]
    assert own.count("<h3>") == 4 and own.count("tuned, seed 1") == own.count(">base<") == 4
    for system in ("base/tiny-mistral/nf4", "tuned/news-qlora/seed-1"):
        answers = pd.read_csv(finished / f"results/prompts/news/{system}/answers.csv")
        assert answers["text"].tolist() == config["prompts"]
        assert answers["prompt"][0] == f"{config['prompts'][0]}\n\nCategory:"

    # What is trained on, of the rows that are there already; this is no terminal.
    shown = done.stdout.split("⟦the loss is taken on this⟧")[1]
    assert len(re.findall("- Record .*, loss on", shown)) >= 3 and "⟨</s>⟩⟧" in shown
    assert "\x1b[" not in shown
    page = (finished / "results/preview.html").read_text()
    assert page.count("<h2") == 3 and "instructions-qlora, instructions-wider" in page

    # A system that is there already, on the records that settings are chosen by.
    records = pd.read_parquet(finished / "results/tasks/news/validation.parquet")
    scored = pd.read_parquet(finished / validation / "labels.parquet")
    assert len(scored) == min(12, len(records)) and scored["id"].isin(records["id"]).all()
    for file in ("labels.json", "metrics.json"):
        assert json.loads((finished / validation / file).read_text())["split"] == "validation"


def test_results_of_other_settings_are_told_where_snakemake_has_no_record(finished):
    shutil.rmtree(finished / ".snakemake")
    done = run_snakemake(finished, "-n", warm=True)
    assert "Nothing to be done" in done.stdout and "deltatune:" not in done.stdout, done.stdout

    path = finished / "config.yaml"
    config = yaml.safe_load(path.read_text())
    before = config["experiments"]["news-qlora"]["lora"]["rank"]
    config["experiments"]["news-qlora"]["lora"] = {"rank": 5}
    config["tasks"]["news"]["evaluation"]["max_examples"] = 11
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    done = run_snakemake(finished, "--cores", "1", "--forcerun", "render_report", warm=True)
    notice = done.stdout.split("deltatune: ")[1]
    adapter = "results/experiments/news-qlora/seed-1/manifest.json"
    assert f"{adapter}: lora.rank is {before}, now 5" in notice
    labels = "results/evaluations/test/news/base/tiny-mistral/nf4/labels.json"
    assert f"{labels}: questions.max_examples is 12, now 11" in notice
    assert jobs(done.stdout) == {"render_report": 1}
    page = (finished / "results/report.html").read_text()
    assert "made with other settings than those of this run: train_adapter: news-qlora" in page
    assert "made with other settings" in (finished / "results/verdict.txt").read_text()
    # What the message says helps.
    command = notice.split("\n  snakemake ")[1].partition("\n")[0]
    assert command.startswith("--cores all --forcerun ") and adapter in command
    planned = jobs(run_snakemake(finished, "-n", *command.split(), warm=True).stdout)
    assert planned["train_adapter"] == 1 and planned["render_report"] == 1
    assert planned["score_labels"] == 2 and "pretrain_model" not in planned


def test_a_page_of_what_is_there_of_a_run_that_is_not_finished(finished):
    results = finished / "results"
    path = finished / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["experiments"]["news-qlora"]["lora"] = {"rank": 5}
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    prose = "evaluations/test/prose/tuned/prose-qlora/seed-1/text.json"
    (results / prose).unlink()
    (results / "report.html").unlink()

    done = run_snakemake(finished, "--report", "r.zip", warm=True)
    assert done.returncode == 1 and "1 of 18 results are missing:\n  results/report" in done.stdout
    assert "snakemake report_partial" in done.stdout

    done = run_snakemake(finished, "report_partial", warm=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert jobs(done.stdout) == {"report_partial": 1}
    page = (results / "partial/report.html").read_text()
    news = "experiments/news-qlora/seed-1/manifest.json was made with other settings"
    log = "results/logs/score_text/test/prose/tuned/prose-qlora/seed-1.log"
    for text in (news, f"it failed or was stopped, see {log}"):
        assert text in page and text in done.stdout, text
    table = pd.read_csv(results / "partial/comparison.csv")
    assert set(table["experiment"]) == {"instructions-qlora"}
    whole = pd.read_csv(results / "comparison.csv").query("experiment == 'instructions-qlora'")
    assert table["delta"].tolist() == whole["delta"].tolist()

    # A result of an adapter that has been trained again since is not shown. Then no experiment is
    # finished, and the page says so, with the jobs that are done.
    adapter = "experiments/instructions-qlora/seed-1/adapter.sha256"
    (results / f"checksums/{adapter}.sha256").write_text(f"{'0' * 64}  {adapter}\n")
    done = run_snakemake(finished, "report_partial", warm=True)
    assert done.returncode == 0, done.stdout[-3000:]
    page = (results / "partial/report.html").read_text()
    reason = f"answers.json was made from another results/{adapter}"
    for text in (reason, news, "No experiment of this run is finished."):
        assert text in page and text in done.stdout, text
    assert "0 finished experiments" in page and page.count("Experiment instructions-qlora is ") == 1
    sections = re.findall(r'<section id="(\w+)"', page)
    assert sections == ["missing", "results", "limits", "costs", "provenance", "repeat"]
    assert [path.name for path in results.glob("partial/*")] == ["report.html"]


def test_the_log_of_each_job_is_where_its_rule_has_it(small_run, monkeypatch):
    monkeypatch.chdir(small_run)
    flow = Flow(yaml.safe_load(Path("config.yaml").read_text()))
    every = [job.log for job in flow.jobs]
    assert len(every) > 30 and [log for log in every if not Path("results", log).is_file()] == []


def test_what_tuning_costs_on_other_tasks_stands_in_a_table_of_its_own(small_run):
    table = pd.read_csv(small_run / "results/cross_task.csv")
    assert list(table.columns) == COLUMNS
    assert set(zip(table["experiment"], table["task"], strict=True)) == {
        ("instructions-qlora", "prose"),
        ("news-qlora", "prose"),
    }
    # The base is the one that the task's own experiment was compared with.
    own = pd.read_csv(small_run / "results/comparison.csv").query("task == 'prose'")
    assert table["base"].isin(own["base"]).all()
