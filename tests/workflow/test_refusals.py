"""What is wrong in config.yaml or in the data ends the run with one message, before training."""

from __future__ import annotations

import pytest
import yaml
from conftest import run_snakemake
from dry_runs import dry_run


def _refused(project, *messages: str, arguments=("-n",)) -> str:
    plan = dry_run(project, "--cores", "2", *arguments, dry=False)
    return _checked(project, plan.status, plan.text, messages)


def _stopped(project, *messages: str) -> str:
    """It is seen by a job of a run."""
    done = run_snakemake(project, "--cores", "2", warm=True)
    return _checked(project, done.returncode, done.stdout, messages)


def _checked(project, status: int, output: str, messages: tuple[str, ...]) -> str:
    assert status == 1, output
    assert output.count("deltatune:") == 1, output
    assert "Traceback" not in output and '  File "' not in output, output
    for message in messages:
        assert message in output, output
    assert not list(project.glob("results/models/*")), "something was trained before the refusal"
    return output


def test_misspelt_key(project, edit_config):
    edit_config(lambda c: c["experiments"]["news-qlora"]["training"].update(epocs=3))
    output = _refused(project, "experiments.news-qlora.training.epocs", "did you mean 'epochs'?")
    # And so it stands in a terminal.
    done = run_snakemake(project, "--cores", "2", "-n")
    assert (done.returncode, done.stdout) == (1, output)


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
    _stopped(
        project,
        "tasks.news",
        "unknown label 'Sci/Tech'",
        "the first is row",
        "Add the label to tasks.news.labels",
    )


def test_a_label_that_no_record_has(project, edit_config):
    edit_config(lambda c: c["tasks"]["news"]["labels"].append("Weather"))
    _stopped(project, "tasks.news.labels", "'Weather'")


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(i + 1)}: &{chr(i + 1)} [{', '.join([f'*{chr(i)}'] * 9)}]\n" for i in range(97, 106)
)
FILES = {
    "not YAML": ("run: [all\n", "config.yaml cannot be read as YAML: line 2, column 1"),
    "a tab": ("run:\n\t- x\n", "indent with spaces, never with tabs"),
    "a key twice": ("seeds: [1]\nseeds: [2]\n", "line 2: the key 'seeds' stands here a second"),
    "a bomb": (f"{BOMB}run: *j\n", "the file stands for more than 200,000 values"),
    "deep": ("run: " + "[" * 5000, "nested in more than 50 levels"),
    "not UTF-8": (b"report: {title: caf\xe9}", "config.yaml, line 1: byte 0xe9 is not UTF-8"),
    "code": (
        "__use_yte__: true\nrun: ?open('ran', 'w').close() or 'all'\n",
        "line 1: the key '__use_yte__' would make Snakemake run Python code",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_what_it_should_be(project, name):
    content, message = FILES[name]
    data = content if isinstance(content, bytes) else content.encode()
    (project / "config.yaml").write_bytes(data)
    output = _refused(project, message)
    assert len(output.strip().splitlines()) <= 4, "more than one message"
    assert not (project / "ran").exists()


def test_a_file_given_by_name_is_looked_at_too(project):
    """Snakemake has loaded it by then, but it goes no further."""
    (project / "mine.yaml").write_text(f"{BOMB}run: *j\n")
    _refused(project, "mine.yaml", "200,000 values", arguments=("-n", "--configfile", "mine.yaml"))


def test_what_is_wrong_is_said_of_the_file_that_was_given(project, default_config):
    (project / "mine.yaml").write_text(yaml.safe_dump(default_config | {"sedes": [1]}))
    given = ("-n", "--configfile", "mine.yaml")
    output = _refused(project, "mine.yaml cannot be used as it is:", "(line", arguments=given)
    assert "config.yaml" not in output.split("deltatune:")[1]
    (project / "mine.yaml").unlink()
    output = _refused(
        project,
        "config.yaml with --config cannot be used as it is:",
        arguments=("-n", "--config", "sedes=[1]"),
    )
    assert "(line" not in output


NAMES = {
    "results/merged/news-qlra/seed-1/manifest.json": "experiments.news-qlra in config.yaml "
    "(did you mean 'news-qlora'?)",
    "results/tokens/new/tiny-mistral/train.sha256": "tasks.new in config.yaml (did you mean "
    "'news'?)",
    "results/evaluations/test/news/tuned/x/seed-1/metrics.json": "experiments.x in config.yaml",
    "results/evaluations/test/news/base/x/nf4/metrics.json": "models.x in config.yaml",
}


def test_a_target_of_a_name_that_nothing_has(project):
    for target, missing in NAMES.items():
        plan = dry_run(project, target)
        assert plan.status == 1 and missing in plan.text, plan.text
        assert "KeyError" not in plan.text and "Traceback" not in plan.text, plan.text


def test_a_token_among_the_settings_is_refused_and_not_repeated(project):
    output = _refused(
        project, "hf_token: unknown key", arguments=("-n", "--config", "hf_token=hf_xyz")
    )
    assert "hf_xyz" not in output
    files = [path for path in project.rglob("*") if path.is_file()]
    assert not [path for path in files if b"hf_xyz" in path.read_bytes()]


def test_the_line_of_a_fault_is_named(project):
    path = project / "config.yaml"
    text = path.read_text().replace("max_length: 256", "max_length: 25600000", 1)
    path.write_text(text)
    line = text[: text.index("25600000")].count("\n") + 1
    _refused(project, "tasks.instructions.max_length: ", f"(line {line})")


def test_several_faults_are_listed_at_once(project, edit_config):
    def change(config):
        config["sedes"] = [1]
        config["tasks"]["prose"]["max_lenght"] = 10

    edit_config(change)
    _refused(project, "sedes", "tasks.prose.max_lenght", "did you mean 'max_length'?")
