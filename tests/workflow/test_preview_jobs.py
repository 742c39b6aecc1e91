"""`snakemake preview`: what it makes to show the training rows, and no more."""

from __future__ import annotations

from conftest import small, write_config
from dry_runs import dry_run


def test_it_makes_the_training_rows_and_nothing_behind_them(project, default_config):
    config = small(default_config)
    again = {**config["experiments"]["news-qlora"], "lora": {"rank": 3, "targets": ["q_proj"]}}
    config["experiments"]["news-wider"] = again
    write_config(project, config)
    planned = dry_run(project, "preview")
    assert planned.status == 0, planned.text
    names = ("instructions", "prose", "news")
    assert set(planned.jobs) == {
        "preview",
        "pretrain_model tiny-mistral",
        "chunk_text prose",
        *(f"fetch_dataset {name}" for name in names),
        *(f"split_dataset {name}" for name in names),
        *(f"tokenize_split {name} tiny-mistral train" for name in names),
    }
    assert planned.jobs["preview"] == []

    config["run"] = ["prose-qlora"]
    write_config(project, config)
    chosen = {job for job in dry_run(project, "preview").jobs if job.startswith("tokenize")}
    assert chosen == {"tokenize_split prose tiny-mistral train"}
