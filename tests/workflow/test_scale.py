"""Many experiments, each planned once; benchmarks/dag_of_1000_experiments.py has the times."""

from __future__ import annotations

import copy
from collections import Counter

from conftest import write_config
from dry_runs import dry_run
from reruns_project import many_experiments


def test_a_hundred_experiments_share_their_base_and_tokens(project, default_config):
    config = many_experiments(copy.deepcopy(default_config), 100)
    write_config(project, config)
    plan = dry_run(project)
    assert plan.status == 0, plan.text[-3000:]
    assert Counter(job.split(" ")[0] for job in plan.jobs) == {
        **{"fetch_dataset": 1, "split_dataset": 1, "fit_label_baselines": 1, "pretrain_model": 1},
        **{"tokenize_split": 2, "train_adapter": 100, "score_labels": 101, "compute_metrics": 101},
        **{"compare_systems": 100, "join_comparisons": 1, "compare_baselines": 1},
        **{"plot_forest": 1, "render_tables": 1, "render_report": 1},
        **{"plot_losses": 100, "plot_differences": 100, "plot_confusion": 100},
    }
    # One experiment alone asks for what is its own.
    plan = dry_run(project, "results/comparisons/news-0042/news.csv")
    trained = {job for job in plan.jobs if job.startswith("train_adapter")}
    assert trained == {"train_adapter news-0042 1"}
    assert len(plan.jobs) == 11
