import copy
import re

import pytest
import yaml
from conftest import ROOT, small
from deltatune.config.load import load_settings, validate_settings
from deltatune.config.problems import ConfigError
from deltatune.core.errors import UserError


@pytest.fixture
def config(default_config):
    return copy.deepcopy(default_config)


def refused(config, folder=ROOT) -> list[str]:
    """The lines of the refusal, one for each thing that is wrong."""
    with pytest.raises(UserError) as caught:
        load_settings(config, folder)
    heading, *lines = str(caught.value).splitlines()
    assert heading == "config.yaml cannot be used as it is:"
    assert all(line.startswith("  - ") for line in lines)
    return [line[4:] for line in lines]


def put(config, path, value):
    *parents, last = path.split(".")
    for part in parents:
        config = config.setdefault(part, {})
    config[last] = value


def test_a_task_says_nothing_of_a_split_that_its_dataset_gives(config):
    given = {"train": "train", "test": "test"}
    hub = {"source": "hub", "id": "a/b", "revision": "v1", "split": given}
    config["datasets"]["news"] = hub
    config["tasks"]["news"]["split"] = {"test": 0.3, "column": "part"}
    assert refused(config) == [
        "tasks.news.split.column: datasets.news.split names the splits already; leave one of the "
        "two out",
        "tasks.news.split.test: datasets.news.split.test gives the test split, which is taken "
        "whole; leave this size out",
    ]
    config["tasks"]["news"]["split"] = {"validation": 0.9}
    load_settings(config, ROOT)
    # Trained on what is the other's test, or on what is the same train in another way.
    config["tasks"]["news"]["split"] = {"validation": 0.3}
    config["tasks"]["other"] = config["tasks"]["news"] | {"dataset": "other"}
    config["datasets"]["other"] = hub | {"split": "test"}
    config["models"]["tiny-mistral"]["corpus"] = ["other"]
    assert any("so it may have read test records of 'news'" in line for line in refused(config))
    config["datasets"]["other"] = hub | {"split": "train"}
    load_settings(config, ROOT)


# ---------------------------------------------------------------- what is accepted


def test_the_default_and_its_defaults(config):
    settings = load_settings(config, ROOT)
    assert list(settings.chosen) == list(config["experiments"])
    assert settings.tasks["prose"].metrics == ["perplexity", "word_perplexity", "bits_per_byte"]
    assert settings.tasks["news"].split.method == "stratified"
    assert settings.tasks["prose"].split.method == "contiguous"
    assert settings.models["tiny-mistral"].architecture.context == 512
    assert settings.statistics.resamples == 9999


def test_a_key_of_split_leaves_the_others_as_the_kind_has_them(config):
    """A random split of prose would put neighbors of training text into the test."""
    for task in config["tasks"].values():
        task["split"] = {"seed": 5}
    tasks = load_settings(config, ROOT).tasks
    assert {name: task.split.method for name, task in tasks.items()} == {
        "instructions": "random",
        "prose": "contiguous",
        "news": "stratified",
    }


def test_what_is_loaded_can_be_loaded_again(config):
    settings = load_settings(config, ROOT)
    again = load_settings(settings.model_dump(mode="json"), ROOT)
    assert again == settings


def test_the_small_default_of_the_tests(config):
    load_settings(small(config), ROOT)


def test_run_chooses_and_orders(config):
    names = list(config["experiments"])
    config["run"] = [names[2], names[0], names[2]]
    assert list(load_settings(config, ROOT).chosen) == [names[2], names[0]]


def test_numbers_as_yaml_gives_them(config):
    """YAML reads 1e-4 as text."""
    put(config, "experiments.news-qlora.training", yaml.safe_load("{learning_rate: 1e-4}"))
    training = load_settings(config, ROOT).experiments["news-qlora"].training
    assert training.learning_rate == 1e-4


def test_settings_cannot_be_changed(config):
    settings = load_settings(config, ROOT)
    with pytest.raises(ValueError, match="frozen"):
        settings.seeds = [3]


def test_files_of_experiments_that_do_not_run_are_not_looked_for(config):
    config["datasets"]["news"] = {"source": "file", "path": "missing.csv"}
    config["models"]["big"] = {"source": "local", "path": "missing"}
    config["experiments"]["big"] = {"model": "big", "task": "news"}
    config["models"]["tiny-mistral"]["corpus"] = ["prose", "instructions"]
    config["run"] = ["prose-qlora"]
    load_settings(config, ROOT)
    config["run"] = ["big"]
    lines = refused(config)
    assert lines == [
        "models.big.path: there is no config.json in 'missing'; give the folder that "
        "save_pretrained wrote",
        "datasets.news.path: there is no file 'missing.csv'",
    ]


# ---------------------------------------------------------------- what is refused, and how

PROBLEMS = [
    ("sedes", [1], "sedes: unknown key (did you mean 'seeds'?); known here: "),
    ("tasks.news.max_lenght", 9, "tasks.news.max_lenght: unknown key (did you mean 'max_length'?)"),
    ("tasks.news.split.sed", 1, "tasks.news.split.sed: unknown key (did you mean 'seed'?)"),
    ("tasks.prose.labels", ["a"], "tasks.prose.labels: unknown key"),
    (
        "experiments.news-qlora.lora.rnk",
        4,
        "experiments.news-qlora.lora.rnk: unknown key (did you mean 'rank'?)",
    ),
    (
        "models.tiny-mistral.architecture.head",
        4,
        "models.tiny-mistral.architecture.head: unknown key (did you mean 'heads'?)",
    ),
    (
        "models.tiny-mistral.step",
        4,
        "models.tiny-mistral.step: unknown key (did you mean 'steps'?)",
    ),
    ("datasets.news.nme", "x", "datasets.news.nme: unknown key (did you mean 'name'?)"),
    ("datasets.news.source", "smple", "datasets.news.source: 'smple' is not a source"),
    ("datasets.news.name", "nws", "datasets.news.name: 'nws' is not one of "),
    ("datasets.news", {}, "datasets.news.source: this key is required"),
    ("datasets.news", {"source": "sample"}, "datasets.news.name: this key is required"),
    ("models.tiny-mistral.steps", 0, "models.tiny-mistral.steps: input should be greater"),
    (
        "models.tiny-mistral.architecture",
        {"heads": 7},
        "models.tiny-mistral.architecture: hidden_size (256) must be an even multiple of heads (7)",
    ),
    (
        "models.tiny-mistral.architecture",
        {"kv_heads": 3},
        "models.tiny-mistral.architecture: kv_heads (3) must divide heads (8)",
    ),
    (
        "models.tiny-mistral.sequence_length",
        1024,
        "models.tiny-mistral.sequence_length: 1024 is more than architecture.context (512)",
    ),
    ("models.tiny-mistral.corpus", ["nws"], "models.tiny-mistral.corpus: no task is called 'nws'"),
    (
        "tasks.news.kind",
        "clasify",
        "tasks.news.kind: 'clasify' is no kind of task (did you mean 'cl",
    ),
    ("tasks.news.kind", None, "tasks.news.kind: null is no kind of task"),
    ("tasks.news", None, "tasks.news: expected a mapping with `kind` and `dataset`"),
    ("tasks.news", {"dataset": "news"}, "tasks.news.kind: this key is required"),
    ("datasets.news", [], "datasets.news: expected a mapping with `source` (it is [])"),
    ("tasks.news.dataset", "nws", "tasks.news.dataset: no dataset is called 'nws' (did you mean"),
    ("tasks.news.labels", ["World"], "tasks.news: labels: a classification needs two or more"),
    (
        "tasks.news.labels",
        ["a", "b", "a"],
        "tasks.news: labels: ['a', 'b', 'a'] has a class twice",
    ),
    (
        "tasks.news.class_weights",
        {"Sport": 3},
        "tasks.news: class_weights: no class is called 'Sport' (did you mean 'Sports'?); labels",
    ),
    (
        "tasks.news.class_weights",
        {"Sports": 0},
        "tasks.news.class_weights.Sports: input should be g",
    ),
    ("tasks.news.labels", ["a", " "], "tasks.news: labels: a class has an empty name"),
    (
        "tasks.news.labels",
        ["bug", "bug "],
        "tasks.news: labels: 'bug ' begins or ends with white space",
    ),
    (
        "tasks.news.labels",
        {"0": "a  b", "1": "a b"},
        "tasks.news: labels: 'a  b' begins or ends with white space, or has more",
    ),
    ("tasks.news.prompt", "Category:", "tasks.news.prompt: the template does not use {text}"),
    ("tasks.news.prompt", "{text} {x}", "tasks.news.prompt: unknown field {x}"),
    ("tasks.instructions.prompt", "alpca", "tasks.instructions.prompt: no template is called 'alp"),
    (
        "tasks.news.metrics",
        ["acuracy"],
        "tasks.news.metrics: 'acuracy' is not a metric of labels (did",
    ),
    ("tasks.news.metrics", [], "tasks.news.main_metric: 'accuracy' is not among metrics []"),
    ("tasks.news.main_metric", "bleu", "tasks.news.main_metric: 'bleu' is not among metrics"),
    ("tasks.news.split.method", "rndom", "tasks.news.split.method: 'rndom' is not one of "),
    ("tasks.news.split.test", -2, "tasks.news.split.test: "),
    ("tasks.news.split.test", 1.5, "tasks.news.split.test: "),
    (
        "tasks.prose.split.group",
        "chapter",
        "tasks.prose.split: group: `method: contiguous` divides the records by their order, ",
    ),
    ("tasks.news.split.group", [], "tasks.news.split.group"),
    (
        "tasks.news.split",
        {"method": "hash", "test": 200},
        "tasks.news.split: test: with `method: hash` each record's own text decides its split, so ",
    ),
    (
        "tasks.news.max_length",
        1024,
        "tasks.news.max_length: 1024 is more than the context of models.",
    ),
    (
        "tasks.prose.evaluation.context",
        1024,
        "tasks.prose.evaluation.context: 1024 is more than the context of models.tiny-mistral (",
    ),
    (
        "tasks.instructions.evaluation.max_new_tokens",
        512,
        "tasks.instructions.evaluation.max_new_tokens: 512 leaves no room for a prompt in the "
        "context of models.tiny-mistral (512)",
    ),
    ("experiments.news-qlora.model", "x", "experiments.news-qlora.model: no model is called 'x'"),
    (
        "experiments.news-qlora.task",
        "new",
        "experiments.news-qlora.task: no task is called 'new' (di",
    ),
    ("experiments.news-qlora.quantization", "nf5", "experiments.news-qlora.quantization: 'nf5' is"),
    (
        "experiments.news-qlora.training.warmup",
        1,
        "experiments.news-qlora.training.warmup: input sh",
    ),
    ("experiments", {}, "experiments: expected at least 1 item"),
    ("run", ["nws-qlora"], "run: no experiment is called 'nws-qlora' (did you mean 'news-qlora'?)"),
    ("run", [], "run: name at least one experiment"),
    ("seeds", [0, 0], "seeds: 0 stands there twice"),
    (
        "experiments.news-qlora.cross_task",
        ["prose", "prose"],
        "experiments.news-qlora.cross_task: 'prose' stands there twice",
    ),
    ("models.tiny-mistral.corpus", ["news"] * 2, "models.tiny-mistral.corpus: 'news' stands "),
    ("tasks.news.metrics", ["accuracy"] * 2, "tasks.news.metrics: 'accuracy' stands there twice"),
    ("tasks.news.split.test", 0, "tasks.news.split.test: 0 leaves the split without a record"),
    ("tasks.news.split", {"validation": 0.0}, "tasks.news.split.validation: 0 leaves the split"),
    (
        "tasks.news.split",
        {"test": 0.6, "validation": 0.5},
        "tasks.news.split: validation (0.5) and test (0.6) leave nothing for training; lower one",
    ),
    ("tasks.news.split.test", 0.9, "tasks.news.split: validation (0.1) and test (0.9) leave no"),
    ("seeds", [-1], "seeds.0: "),
    ("seeds", [], "seeds: "),
    *(
        ("datasets.news", {"source": "hub", "id": "a/b", "revision": "v1", "split": split}, message)
        for split, message in (
            (
                {"train": "a", "tst": "b"},
                "datasets.news.split.tst: unknown key (did you mean 'test'?)",
            ),
            ({"train": "a"}, "datasets.news.split: name `validation` or `test` too"),
            ({"train": "a", "test": "a"}, "datasets.news.split: 'a' is named twice"),
            (3, "datasets.news.split: 3 is not text"),
        )
    ),
    *(
        ("datasets.news", {"source": "file", "format": format, "path": path}, message)
        for format, path, message in (
            (None, {"test": "README.md"}, "datasets.news.path.train: this key is required"),
            ("csv", 3, "datasets.news.path: 3 is not text"),
            (
                "csv",
                {"train": ["Makefile", "*.md"], "test": "README.md"},
                "datasets.news.path.test: 'README.md' is among the files of train too",
            ),
            (
                None,
                {"train": "requirements-test.txt", "test": "constraints.txt"},
                "datasets.news.path: a plain text is divided by its order",
            ),
        )
    ),
    ("tasks", None, "tasks: "),
    ("models", [1], "models: expected a mapping of keys to values (it is [1])"),
]


@pytest.mark.parametrize(
    ("path", "value", "message"), PROBLEMS, ids=[f"{p}={v}" for p, v, _ in PROBLEMS]
)
def test_a_problem_is_shown_with_its_path(config, path, value, message):
    # The experiments share a mapping in YAML; a problem must not spread by it.
    config["experiments"] = {n: copy.deepcopy(e) for n, e in config["experiments"].items()}
    put(config, path, value)
    lines = refused(config)
    assert any(line.startswith(message) for line in lines), lines
    assert not any("[" in line.split(": ")[0] for line in lines), "a place that no file has"


def paths_in(value, path=""):
    """Every key of a config, as put() takes it."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield f"{path}{key}"
        yield from paths_in(inner, f"{path}{key}.")


def one_of_each(config):
    """The settings with all defaults, reduced to a dataset, a model, a task and an experiment."""
    every = load_settings(config, ROOT).model_dump(mode="json")
    chosen = {"datasets": "news", "models": "tiny-mistral", "tasks": "news"}
    small = {section: {name: every[section][name]} for section, name in chosen.items()}
    small["experiments"] = {"news-qlora": every["experiments"]["news-qlora"]}
    small["models"]["tiny-mistral"]["corpus"] = ["news"]
    return every | small


@pytest.mark.parametrize(
    "value",
    [None, True, "x", "20%", "1e3x", 3, 1.5, -1, [], {}, [None], [True], {"a": True}, {"b": None}],
    ids=str,
)
def test_a_wrong_value_has_one_message_without_words_of_the_library(config, value):
    """Where a key takes several types, each of them refuses the value for reasons of its own."""
    whole = one_of_each(config)
    validate_settings(whole)
    jargon = re.compile("valid (list|dict|string|int|number)|instance of|pars|validation,")
    for path in paths_in(whole):
        changed = copy.deepcopy(whole)
        put(changed, path, value)
        try:
            validate_settings(changed)
        except ConfigError as error:
            problems = [one for one in error.problems if one.path.startswith(path)]
            shown = [one.path for one in problems]
            assert len(shown) == len(set(shown)), problems
            assert not any(a != b and b.startswith(f"{a}.") for a in shown for b in shown), problems
            assert not [one for one in problems if jargon.search(one.message)], problems


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("run", "news-qlora", "expected a list, such as ['news-qlora'], or 'all'"),
        ("seeds", 1, "expected a list, such as [1]"),
        ("seeds", [], "expected at least 1 item"),
        ("report", None, "expected a mapping of keys to values"),
        ("report.examples", "1e3", "expected a whole number (it is '1e3')"),
        ("report.examples", 10.5, "expected a whole number (it is 10.5)"),
        ("cache_gb", "20GB", "expected a number (it is '20GB')"),
        ("tasks.news.packing", "x", "expected true or false (it is 'x')"),
        ("tasks.news.split.test", "20%", "expected a number such as 0.2 or 200 (it"),
        ("tasks.news.class_weights", True, "expected 'balanced' or a mapping of keys to values"),
        ("experiments.news-qlora.lora.targets", "*q", "'*q' is no regular expression"),
        ("experiments.news-qlora.quantization", False, "false is not one of"),
    ],
)
def test_a_wrong_value_is_answered_with_what_is_expected(config, path, value, line):
    whole = one_of_each(config)
    put(whole, path, value)
    (shown,) = refused(whole)
    assert shown.startswith(f"{path}: {line}")


@pytest.mark.parametrize(
    ("path", "value", "at"),
    [
        ("seeds", [True, 2], "seeds.0"),
        ("cache_gb", False, "cache_gb"),
        ("statistics.margins", {"accuracy": True}, "statistics.margins.accuracy"),
        ("tasks.news.split.test", True, "tasks.news.split.test"),
        ("tasks.news.split.near_duplicates", True, "tasks.news.split.near_duplicates"),
        ("tasks.news.evaluation.batch_size", True, "tasks.news.evaluation.batch_size"),
        ("experiments.news-qlora.training.learning_rate", True, None),
        ("experiments.news-qlora.training.weight_decay", False, None),
        ("experiments.news-qlora.lora.rank_pattern", {"q_proj": True}, None),
    ],
)
def test_yes_is_no_number(config, path, value, at):
    """pydantic takes true for 1: `learning_rate: yes` would be a rate of 1."""
    whole = one_of_each(config)
    put(whole, path, value)
    (line,) = refused(whole)
    assert line.startswith(f"{at or path}") and "expected a number" in line
    assert "YAML reads yes and on" in line or "YAML reads no and off" in line


@pytest.mark.parametrize(
    ("section", "old", "new"),
    [
        ("experiments.news-qlora", "elsewhere", "cross_task"),
        ("experiments.news-qlora", "quantisation", "quantization"),  # codespell:ignore
        ("experiments.news-qlora.training", "optimiser", "optimizer"),  # codespell:ignore
    ],
)
def test_a_renamed_key_is_answered_with_its_name_now(config, section, old, new):
    config["experiments"] = {"news-qlora": copy.deepcopy(config["experiments"]["news-qlora"])}
    put(config, f"{section}.{old}", ["prose"])
    assert refused(config) == [f"{section}.{old}: this key is now called {new}"]


def test_a_renamed_key_is_unknown_where_its_name_now_is(config):
    config["optimiser"] = "adamw_torch"  # codespell:ignore
    (line,) = refused(config)
    assert line.startswith("optimiser: unknown key")  # codespell:ignore


def test_all_problems_are_shown_at_once(config):
    for path, value in (("seeds", [-1]), ("tasks.news.max_lenght", 3), ("report.titel", "x")):
        put(config, path, value)
    lines = refused(config)
    assert [line.split(":")[0] for line in lines] == [
        "seeds.0",
        "tasks.news.max_lenght",
        "report.titel",
    ]


@pytest.mark.parametrize("section", ["datasets", "models", "tasks", "experiments"])
@pytest.mark.parametrize("name", ["../x", "a/b", "", "a b", "a..b", ".hidden", "x" * 81, "é"])
def test_a_name_that_is_no_folder_is_refused(config, section, name):
    config[section][name] = copy.deepcopy(next(iter(config[section].values())))
    (line,) = refused(config)
    assert line.startswith(section)
    assert "cannot be a name" in line


@pytest.mark.parametrize("missing", ["datasets", "models", "tasks", "experiments"])
def test_a_missing_section(config, missing):
    del config[missing]
    assert f"{missing}: this key is required" in refused(config)


def test_an_empty_config():
    assert "experiments: this key is required" in refused({})


# ---------------------------------------------------------------- leaks


def second_task(config, corpus, **changes):
    """A second task on the news, and a base that has read `corpus`."""
    config["tasks"]["again"] = copy.deepcopy(config["tasks"]["news"]) | changes
    config["models"]["tiny-mistral"]["corpus"] = corpus
    config["run"] = ["news-qlora"]
    return config


@pytest.mark.parametrize("corpus", [["again"], ["news", "again"], ["again", "news"]])
def test_a_base_that_may_have_read_the_test_is_refused(config, corpus):
    """Another split of the same records has other records in its test."""
    second_task(config, corpus, split={"seed": 5})
    lines = refused(config)
    assert len(lines) == 1
    assert lines[0].startswith("experiments.news-qlora: models.tiny-mistral.corpus reads dataset")
    assert "'again'" in lines[0] and "test records of 'news'" in lines[0]


def test_the_same_file_under_another_name_is_the_same_dataset(config):
    config["datasets"]["copy"] = copy.deepcopy(config["datasets"]["news"])
    second_task(config, ["news", "again"], dataset="copy", split={"seed": 5})
    assert len(refused(config)) == 1


def test_the_same_split_is_no_leak(config):
    second_task(config, ["news", "again"], prompt="{text}\n\nWhat is it about?", max_length=128)
    load_settings(config, ROOT)
    config["models"]["tiny-mistral"]["corpus"] = ["again"]
    load_settings(config, ROOT)


def test_a_corpus_without_the_task_s_dataset_is_no_leak(config):
    config["models"]["tiny-mistral"]["corpus"] = ["prose"]
    load_settings(config, ROOT)


# ---------------------------------------------------------------- secrets


@pytest.mark.parametrize(
    "url",
    [
        "https://me:pa55word@host/a.csv",
        "ftp://me:pa55word@host/a.csv",
        "https://host/a.csv?token=pa55word",
        "https://host/a.csv?x=1&X-Amz-Signature=pa55word",
        "https://host/a.csv?sv=1&sig=pa55word",
        "https://host/a.csv?api%5Fkey=pa55word",
        "https://host/a.csv#access_token=pa55word",
        "https://[pa55word/a.csv",
    ],
)
def test_an_address_with_a_secret_is_refused_without_repeating_it(config, url):
    config["datasets"]["news"] = {"source": "url", "url": url}
    (line,) = refused(config)
    assert line.startswith("datasets.news: url: ")
    assert "pa55word" not in line


def test_an_address_with_harmless_parameters_is_taken(config):
    url = "https://host/a.csv?raw=true&download=1&keyword=x&page=2"
    config["datasets"]["news"] = {"source": "url", "url": url}
    load_settings(config, ROOT)


@pytest.mark.parametrize("place", ["hf_token", "datasets.news.token", "models.tiny-mistral.token"])
def test_a_token_under_a_key_of_its_own_is_refused_without_repeating_it(config, place):
    put(config, place, "hf_pa55word")
    (line,) = refused(config)
    assert line.startswith(f"{place}: unknown key") and "pa55word" not in line


# ---------------------------------------------------------------- numbers and names


@pytest.mark.parametrize("value", [float("inf"), float("nan"), float("-inf")])
@pytest.mark.parametrize(
    "place",
    [
        "experiments.news-qlora.lora.alpha",
        "experiments.news-qlora.training.max_grad_norm",
        "tasks.news.split.test",
        "statistics.confidence",
        "models.tiny-mistral.learning_rate",
    ],
)
def test_numbers_are_finite(config, place, value):
    put(config, place, value)
    assert any(line.startswith(place) for line in refused(config))


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ("statistics.resamples", 99, "so few draws give no p-value that is small enough"),
        ("statistics.resamples", 998, "greater than or equal to 999"),
        ("statistics.confidence", 0.9999, "less than or equal to 0.999"),
        ("tasks.news.evaluation.max_examples", 4, "so few examples cannot show any difference"),
        ("tasks.instructions.evaluation.max_examples", 2, "greater than or equal to 5 (it is 2)"),
    ],
)
def test_settings_that_can_show_no_difference_are_refused(config, place, value, reason):
    put(config, place, value)
    (line,) = refused(config)
    assert line.startswith(f"{place}: ") and reason in line


@pytest.mark.parametrize("margin", [0, -0.1, "much"])
def test_a_margin_is_above_zero(config, margin):
    put(config, "statistics.margins", {"accuracy": margin})
    (line,) = refused(config)
    assert line.startswith("statistics.margins.accuracy: ")


def test_a_margin_of_a_metric_that_no_task_measures_is_refused(config):
    put(config, "statistics.margins", {"acuracy": 0.02})
    (line,) = refused(config)
    assert line.startswith("statistics.margins.acuracy: no task measures 'acuracy'")
    assert "did you mean 'accuracy'?" in line
    put(config, "statistics.margins", {"accuracy": 0.02, "perplexity": 1})
    assert load_settings(config, ROOT).statistics.margins == {"accuracy": 0.02, "perplexity": 1}


def test_names_that_differ_in_capitals_alone_are_refused(config):
    config["experiments"]["News-QLoRA"] = copy.deepcopy(config["experiments"]["news-qlora"])
    (line,) = refused(config)
    assert line.startswith("experiments.News-QLoRA: ") and "'news-qlora'" in line


@pytest.mark.parametrize("path", ["x" * 5000, "a\0b", "loop", "/dev/zero", "data", "\ud800"])
def test_a_path_that_is_no_file_is_refused(config, path, tmp_path, monkeypatch):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "data").mkdir()
    config["datasets"]["news"] = {"source": "file", "path": path, "format": "csv"}
    with pytest.raises(UserError) as caught:
        load_settings(config, tmp_path)
    (line,) = str(caught.value).splitlines()[1:]
    assert line.startswith("  - datasets.news.path: ") and len(line) < 2100


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("~/news.cvs", "there is no file '{home}/news.cvs' (did you mean 'news.csv'?)"),
        ("~/none/*.csv", "no file matches '{home}/none/*.csv'"),
        ("~/empty", "the folder '{home}/empty' holds no file that can be read (.csv, "),
        (["~/news.csv", "~/other.csv"], "there is no file '{home}/other.csv'"),
        (["~/news.csv", "~/a.txt"], "'{home}/a.txt' is a plain text and '{home}/news.csv' holds"),
    ],
)
def test_a_source_without_a_file_is_refused(path, expected, config, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "empty").mkdir()
    for name in ("news.csv", "a.txt", "empty/readme.md"):
        (tmp_path / name).touch()
    config["datasets"]["news"] = {"source": "file", "path": path}
    with pytest.raises(UserError) as caught:
        load_settings(config, tmp_path)
    (line,) = str(caught.value).splitlines()[1:]
    assert f"datasets.news.path: {expected.format(home=tmp_path)}" in line
    config["datasets"]["news"]["path"] = "~/news.csv"
    assert load_settings(config, tmp_path).datasets["news"].parts[""] == [
        str(tmp_path / "news.csv")
    ]


@pytest.mark.parametrize("template", ["{title", "{}", "{title:>3}", "{title!r}", "{{title}}"])
def test_a_template_that_cannot_be_filled_is_refused(template, config):
    put(config, "datasets.news.columns", {"text": template, "label": "label"})
    (line,) = refused(config)
    assert line.startswith("datasets.news.columns.text: ") and "names of columns in braces" in line


def test_what_is_quoted_is_cut_and_a_list_of_problems_too(config):
    config["datasets"]["news"]["name"] = "x" * 100_000
    for i in range(100):
        config[f"unknown{i}"] = 1
    lines = refused(config)
    assert lines[-1] == "and 61 more"
    assert len(lines) == 41 and max(map(len, lines)) < 2100


@pytest.mark.parametrize("key", ["\n", "a\nb", "x" * 5000])
def test_a_broken_text_under_an_odd_key_is_one_line(config, key):
    config["datasets"]["news"]["columns"] = {key: "a\0b"}
    (line,) = refused(config)
    assert "the text holds a NUL byte" in line or len(key) > 2000
    assert len(line) < 2100


def test_words_that_yaml_reads_as_something_else_are_to_be_quoted(config):
    put(config, "tasks.news.labels", ["a", True])
    assert any("true is not text; write it in quotes" in line for line in refused(config))
