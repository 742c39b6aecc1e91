"""What is wrong in config.yaml or in the data ends the run with one message, before training."""

from __future__ import annotations

import pytest
from conftest import run_snakemake


def _refused(project, *told: str, arguments=("-n",)) -> str:
    done = run_snakemake(project, "--cores", "2", *arguments)
    assert done.returncode == 1, done.stdout
    assert done.stdout.count("deltatune:") == 1, done.stdout
    assert "Traceback" not in done.stdout, done.stdout
    for text in told:
        assert text in done.stdout, done.stdout
    assert not list(project.glob("results/models/*")), "something was trained before the refusal"
    return done.stdout


def test_misspelt_key(project, edit_config):
    edit_config(lambda c: c["experiments"]["news-qlora"]["training"].update(epocs=3))
    _refused(project, "experiments.news-qlora.training.epocs", "did you mean 'epochs'?")


def test_unknown_model(project, edit_config):
    edit_config(lambda c: c["experiments"]["news-qlora"].update(model="tiny-mistrl"))
    _refused(project, "experiments.news-qlora.model", "did you mean 'tiny-mistral'?")


def test_missing_file(project, edit_config):
    edit_config(
        lambda c: c["datasets"].update(news={"source": "file", "path": "data/sample/new.csv"})
    )
    _refused(project, "datasets.news.path", "'data/sample/new.csv'", "did you mean 'news.csv'?")


@pytest.mark.parametrize("labels", [["World", "Sports", "Business"]])
def test_records_with_a_label_outside_the_list(project, edit_config, labels):
    edit_config(lambda c: c["tasks"]["news"].update(labels=labels))
    _refused(
        project,
        "tasks.news",
        "unknown label 'Sci/Tech'",
        "the first is row",
        "Add the label to tasks.news.labels",
        arguments=(),
    )


def test_a_label_that_no_record_has(project, edit_config):
    edit_config(lambda c: c["tasks"]["news"]["labels"].append("Weather"))
    _refused(project, "tasks.news.labels", "'Weather'", arguments=())


def test_a_file_that_is_not_yaml(project):
    (project / "config.yaml").write_text("run: [all\n")
    done = run_snakemake(project, "-n")
    assert done.returncode == 1
    assert "Traceback" not in done.stdout, done.stdout


def test_several_faults_are_told_at_once(project, edit_config):
    def change(config):
        config["sedes"] = [1]
        config["tasks"]["prose"]["max_lenght"] = 10

    edit_config(change)
    _refused(project, "sedes", "tasks.prose.max_lenght", "did you mean 'max_length'?")
