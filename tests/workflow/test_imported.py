"""Another workflow imports this one: it keeps its own commands, and its own way to end."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from dry_runs import dry_run

SNAKEFILE = """
from snakemake.exceptions import WorkflowError


configfile: "config.yaml"


{imported}


rule several_commands:
    output:
        "mine.txt",
    shell:
        "echo one > {{output}}; echo two >> {{output}}"
"""
MODULE = """
module deltatune:
    snakefile:
        "{project}/Snakefile"
    config:
        config


use rule * from deltatune as deltatune_*
"""
CAUGHT = """
try:

    include: "{project}/Snakefile"

except WorkflowError as error:
    print("caught:", error)
"""


@pytest.fixture
def importing(project: Path, tmp_path_factory, default_config):
    """A folder with a workflow that imports the project from where it is."""
    folder = tmp_path_factory.mktemp("importing")

    def write(imported: str = MODULE, **settings) -> Path:
        text = SNAKEFILE.format(imported=imported.format(project=project))
        (folder / "Snakefile").write_text(text)
        (folder / "config.yaml").write_text(
            yaml.safe_dump(default_config | settings, sort_keys=False)
        )
        return folder

    return write


def test_it_plans_the_same_jobs(importing, project):
    plan = dry_run(importing(), "deltatune_all")
    assert plan.status == 0, plan.text
    jobs = {name.removeprefix("deltatune_"): files for name, files in plan.jobs.items()}
    jobs.pop("all")
    assert jobs == dry_run(project).jobs and len(jobs) > 80


def test_commands_of_the_other_workflow_stay_as_they_are(importing):
    folder = importing()
    plan = dry_run(folder, "mine.txt", dry=False)
    assert plan.status == 0, plan.text
    assert (folder / "mine.txt").read_text() == "one\ntwo\n"


def test_what_is_wrong_in_the_config_ends_it_with_the_message_alone(importing):
    plan = dry_run(importing(sedes=[1]), "mine.txt")
    assert plan.status == 1
    assert "sedes: unknown key (did you mean 'seeds'?)" in plan.text
    assert '  File "' not in plan.text and "Traceback" not in plan.text


def test_the_other_workflow_may_go_on_without_it(importing):
    plan = dry_run(importing(CAUGHT, sedes=[1]), "mine.txt")
    assert plan.status == 0, plan.text
    assert "caught:" in plan.text and "sedes: unknown key" in plan.text
