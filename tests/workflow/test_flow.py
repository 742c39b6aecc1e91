"""What each job depends on: the params of the rules as they stand in rules/, without snakemake."""

from __future__ import annotations

import ast
import copy
import re
from types import SimpleNamespace

import pytest
from conftest import ROOT
from deltatune.core.schema import Section
from deltatune.evaluate.baselines.registry import BASELINES
from deltatune.report.places import exchange
from deltatune.tasks.registry import load_kind
from deltatune.workflow import user_files
from deltatune.workflow.flow import Flow
from deltatune.workflow.selection import NAME, SYSTEM

BASE = "base/tiny-mistral/nf4"
NEWS = [f"tuned/news-qlora/seed-{seed}" for seed in (1, 2, 3)]


@pytest.fixture
def config(default_config):
    config = copy.deepcopy(default_config)
    # The experiments share mappings in YAML; a change of one must not reach the others.
    config["experiments"] = {n: copy.deepcopy(e) for n, e in config["experiments"].items()}
    return config


@pytest.fixture
def make(config, monkeypatch):
    """A Flow of the default with changes: make(**{"seeds": [1]})."""
    monkeypatch.chdir(ROOT)

    def make(**changes):
        changed = copy.deepcopy(config)
        for path, value in changes.items():
            *parents, last = path.split(".")
            part = changed
            for name in parents:
                part = part.setdefault(name, {})
            part[last] = value
        return Flow(changed)

    return make


@pytest.fixture
def flow(make):
    return make()


def wildcards(**values: str) -> SimpleNamespace:
    return SimpleNamespace(**values)


def rule_texts() -> list[tuple[str, str]]:
    """(rule, its source) of all rules, and of those that are made of another by `use rule`."""
    texts = []
    for file in sorted((ROOT / "rules").glob("*.smk")):
        for text in re.split(r"^(?:use rule \w+ as|rule) ", file.read_text(), flags=re.M)[1:]:
            texts.append((re.match(r"\w+", text)[0], text))
    return texts


def rule_params() -> dict[str, str]:
    """Rule -> the source of its `params`, apart from `code`."""
    sources = {}
    for name, text in rule_texts():
        params = re.search(r"^    params:\n(.*?)^    \w+:", text, flags=re.M | re.S)
        if params:
            sources[name] = re.split(r"^        code=", params[1], flags=re.M)[0]
    return sources


PARAMS = rule_params()


def evaluate(flow: Flow, rule: str, **values: str) -> dict:
    params = eval(f"dict({PARAMS[rule]})", {"flow": flow})
    return {k: v(wildcards(**values)) if callable(v) else v for k, v in params.items()}


def jobs(flow: Flow) -> dict[str, dict]:
    """`rule target` -> params, of every job behind the default target."""
    params = {}

    def job(rule, target="", **values):
        params[f"{rule} {target}".strip()] = evaluate(flow, rule, **values)

    for name in flow.settings.datasets:
        rule = "mix_datasets" if flow.is_mixture(name) else "fetch_dataset"
        job(rule, name, dataset=name)
        if flow.is_text(name):
            job("chunk_text", name, dataset=name)
    for name in flow.settings.models:
        rule = "pretrain_model" if flow.is_pretrained_here(name) else "fetch_model"
        job(rule, name, model=name)
    for task in flow.tasks:
        job("split_dataset", task, task=task)
        job("tokenize_split", task, task=task)
    for name, experiment in flow.experiments.items():
        task, outputs = experiment.task, flow.output_type(experiment.task)
        for seed in flow.settings.seeds:
            job("train_adapter", f"{name} {seed}", experiment=name, seed=str(seed))
        for system in (flow.base(name), *flow.tuned(name)):
            rules = {
                "answers": ["generate_answers"],
                "text": ["score_text", "generate_answers"],
                "labels": ["score_labels"],
            }[outputs]
            for rule in (*rules, "compute_metrics"):
                job(rule, f"{task} {system}", task=task, system=system)
        job("compare_systems", name, experiment=name, task=task)
        job("plot_losses", name, experiment=name)
        job("plot_differences", name, experiment=name)
        if outputs == "labels":
            job("plot_confusion", name, experiment=name)
            job("fit_label_baselines", task, task=task)
        if outputs == "answers":
            job("fit_answer_baselines", task, task=task)
    job("join_comparisons", table="comparison")
    for rule in ("compare_baselines", "plot_forest", "render_report"):
        job(rule)
    return params


def changed(before: Flow, after: Flow) -> set[str]:
    """Rules whose params differ in some job, or that have jobs which were not there."""
    old, new = jobs(before), jobs(after)
    return {name for name in new if old.get(name) != new[name]}


def rules(names: set[str]) -> set[str]:
    return {name.split(" ")[0] for name in names}


# ---------------------------------------------------------------- the laws


@pytest.mark.parametrize(
    "changes",
    [
        {"experiments.news-qlora.lora": {"rank": 2, "targets": ["q_proj"]}},
        {"experiments.news-qlora.training": {"epochs": 1, "learning_rate": 0.5, "threads": 2}},
        {"seeds": [7, 8, 9]},
        {"run": ["news-qlora"]},
        {
            "experiments.second": {
                "model": "tiny-mistral",
                "task": "news",
                "lora": {"rank": 4},
            }
        },
        {"statistics": {"resamples": 999}},
        {"report": {"examples": 3}},
    ],
)
def test_no_experiment_changes_the_evaluation_of_a_base(make, flow, changes):
    """A base is evaluated once, for all experiments."""
    evaluations = {"generate_answers", "score_text", "score_labels", "compute_metrics"}

    def of_base(flow):
        return {
            name: params
            for name, params in jobs(flow).items()
            if name.split(" ")[0] in evaluations and name.endswith(BASE)
        }

    before, after = of_base(flow), of_base(make(**changes))
    assert "score_labels news " + BASE in before
    assert after.items() <= before.items()
    assert make(**changes).paths.system_hashes(BASE) == flow.paths.system_hashes(BASE)


def test_base_and_tuned_are_asked_in_the_same_way(flow):
    params_of = jobs(flow)
    for name, params in params_of.items():
        if name.endswith(BASE):
            task, rule = name.split(" ")[1], name.split(" ")[0]
            tuned = [n for n in params_of if n.startswith(f"{rule} {task} tuned/")]
            assert len(tuned) == len(flow.settings.seeds)
            assert all(params_of[n] == params for n in tuned)


def test_a_label_s_spelling_in_the_data_is_known_to_the_split_alone(make, flow):
    names = ["World", "Sports", "Business", "Sci/Tech"]
    other = make(**{"tasks.news.labels": {number: name for number, name in enumerate(names)}})
    # And to the report, which says of each result whether these are its settings.
    assert rules(changed(flow, other)) == {"split_dataset", "render_report"}


def test_params_are_plain_data_without_paths_of_results_or_of_this_machine(flow):
    """Snakemake compares their reprs, and leaves objects that it does not know out."""

    def plain(value):
        if isinstance(value, dict):
            return all(isinstance(k, str) and plain(v) for k, v in value.items())
        if isinstance(value, list):
            return all(map(plain, value))
        return value is None or isinstance(value, str | int | float | bool)

    for name, params in jobs(flow).items():
        assert plain(params), name
        assert str(ROOT) not in repr(params), name
        # Paths reach a script through its inputs, outputs and log. What an adapter calls a base
        # that has no name on the hub is no path that is read.
        base = params["settings"].pop("base", {}) if name.startswith("train_adapter") else {}
        assert "results/" not in repr(params), name
        assert base.get("name", "results/").startswith("results/")


def stage_model(rule: str, settings: dict) -> type[Section]:
    """What the script of a rule parses its settings by: the class of its call of `from_params`."""
    tree = ast.parse((ROOT / f"scripts/{rule}.py").read_text(encoding="utf-8"))
    (parsed,) = (
        node.func.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".from_params")
    )
    used = {node.id for node in ast.walk(parsed) if isinstance(node, ast.Name)}
    namespace = {"kind": load_kind(settings["kind"]) if "kind" in settings else None}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and used & {alias.name for alias in node.names}:
            exec(ast.unparse(node), namespace)
    return eval(ast.unparse(parsed), namespace)


def test_the_settings_of_every_stage_are_a_typed_model(make):
    """They parse back to what they were dumped from, so that a stage depends on its model's fields
    and reads no others."""
    commit = {"source": "hub", "id": "a/b", "revision": "v1"}
    labels = {number: name for number, name in enumerate(["World", "Sports", "Business", "Tech"])}
    flow = make(
        **{
            "models.big": {**commit, "gptq": {"calibration": "news"}},
            "prompts": ["Who are you?"],
            "datasets.far": commit,
            "datasets.page": {"source": "url", "url": "https://a.b/c.csv"},
            "datasets.both": {"source": "mixture", "of": {"news": 2, "far": 1}},
            "tasks.news.labels": labels,
            "tasks.news.split": {"group": ["a", "b"]},
            "tasks.instructions.chat": {"system": "Be kind."},
            "tasks.instructions.prompt": {"with_input": "{instruction}{input}",
                                          "without_input": "{instruction}"},
        }
    )  # fmt: skip
    params = jobs(flow) | {
        "quantize_model": evaluate(flow, "quantize_model", model="big"),
        "merge_adapter": evaluate(flow, "merge_adapter", experiment="news-qlora"),
        "answer_prompts": evaluate(
            flow, "answer_prompts", task="instructions", system=flow.base("instructions-qlora")
        ),
        "plan": evaluate(flow, "plan"),
        "preview": evaluate(flow, "preview"),
        "report_partial": evaluate(flow, "report_partial"),
    }
    scripts = {
        "plan": "print_plan",
        "preview": "print_preview",
        "report_partial": "render_report",
    }
    for name, values in params.items():
        settings, rule = values["settings"], name.split(" ")[0]
        model = stage_model(scripts.get(rule, rule), settings)
        assert model.from_params(settings).model_dump(mode="json") == settings, name
    typed = {name for name, source in PARAMS.items() if "settings=" in source}
    assert rules(set(params)) == typed - {"archive_run"}


def test_every_rule_that_makes_a_file_by_a_script_has_its_code_in_its_params():
    """Snakemake itself sees the date of the script and nothing else."""
    seen = 0
    for name, text in rule_texts():
        script = re.search(r'"\.\./scripts/(\w+)\.py"|^        script="(\w+)"', text, flags=re.M)
        if script and "    output:" in text:
            assert name == script[1] or name == script[2]
            assert re.search(rf'^        code=flow\.code\.\w+\("{name}"', text, flags=re.M), text
            seen += 1
    assert seen == 27


def test_rules_refer_to_the_library_instead_of_computing():
    """What a job reads, depends on and needs is in the library, where it is tested."""
    texts = [file.read_text() for file in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]]
    assert sum(text.count("lambda") for text in texts) < 20


def test_no_script_names_a_folder_of_results():
    for file in (ROOT / "scripts").glob("*.py"):
        assert "results/" not in file.read_text(encoding="utf-8"), file.name


def test_a_comparison_knows_its_family_and_no_margin(make, flow):
    """The draws grow with the family; a margin changes words alone."""
    news = wildcards(experiment="news-qlora", task="news")
    params = flow.params.compare_systems(news)
    assert params["family"] == 3
    assert params["main_metric"] == "accuracy"
    with_margin = make(**{"statistics": {"margins": {"accuracy": 0.02}}})
    assert rules(changed(flow, with_margin)) == {"render_report"}
    alone = make(run=["news-qlora"])
    assert alone.params.compare_systems(news)["family"] == 1
    ((experiment, task), *others) = flow.cross_task
    other = wildcards(experiment=experiment, task=task)
    assert flow.params.compare_systems(other)["family"] == 1 + len(others)


# ---------------------------------------------------------------- paths


def test_the_way_of_the_data(flow):
    assert flow.paths.source("news") == ["data/sample/news.csv"]
    assert flow.paths.records("news") == "results/datasets/news/records.parquet"
    assert flow.paths.records("prose") == "results/datasets/prose/prose_chunks.csv"
    assert flow.inputs.pretrain_model(wildcards(model="tiny-mistral")) == [
        f"results/tasks/{task}/train.parquet" for task in ("instructions", "prose", "news")
    ]
    assert (
        flow.paths.tokens("news-qlora", "train") == "results/tokens/news/tiny-mistral/train.sha256"
    )
    assert (
        flow.paths.outputs("test", "news", BASE)
        == f"results/evaluations/test/news/{BASE}/labels.parquet"
    )
    assert (
        flow.paths.outputs("test", "prose", BASE)
        == f"results/evaluations/test/prose/{BASE}/text.parquet"
    )
    assert flow.base("news-qlora") == BASE
    assert flow.tuned("news-qlora") == NEWS
    assert flow.of_outputs("labels") == ["news-qlora"]
    assert flow.paths.evaluated("news-qlora", "metrics.json") == {
        "base": f"results/evaluations/test/news/{BASE}/metrics.json",
        "tuned": [f"results/evaluations/test/news/{system}/metrics.json" for system in NEWS],
    }


def test_a_baseline_is_compared_on_the_records_that_models_are_asked(make, flow, monkeypatch):
    """What only a model is run with changes no baseline, and a new one is compared by its name."""
    news = {"tasks.news.evaluation": {"max_examples": 50}}
    task = wildcards(task="news")
    before = flow.params.fit_baselines(task)
    assert before["questions"] == {"max_examples": None}
    assert make(**news).params.fit_baselines(task)["questions"] == {"max_examples": 50}
    batches = make(**{"tasks.news.evaluation": {"batch_size": 3}})
    assert batches.params.fit_baselines(task) == before
    monkeypatch.setitem(BASELINES["labels"], "mine", BASELINES["labels"]["tfidf"])
    experiments = flow.params.compare_baselines(wildcards())["experiments"]
    compared = {one["comparison"]["experiment"]: one for one in experiments}
    assert list(compared) == ["instructions-qlora", "news-qlora"]
    names = ["tfidf", "most_frequent_label", "mine"]
    assert compared["news-qlora"]["baselines"] == names
    assert compared["news-qlora"]["comparison"]["metrics"]["metrics"] == ["accuracy"]
    # The scores are read one after the other, in the order of the params.
    inputs = flow.inputs.compare_baselines(wildcards())
    ones = compared["instructions-qlora"]["baselines"]
    assert inputs["baselines"] == [
        f"results/evaluations/test/{task}/baseline/{name}/scores.parquet"
        for task, names in (("instructions", ones), ("news", names))
        for name in names
    ]
    seeds = flow.settings.seeds
    assert len(inputs["tuned"]) == len(compared) * len(seeds)
    assert all(one["comparison"]["seeds"] == seeds for one in compared.values())


def test_a_run_without_baselines_has_no_table_of_them(make, flow):
    table = "results/baselines.csv"
    assert table in flow.paths.tables()
    assert table not in make(run=["prose-qlora"]).paths.tables()


def test_a_system_is_made_of_its_weights(flow):
    weights = "results/models/tiny-mistral/weights.sha256"
    assert flow.paths.system_hashes(BASE) == {"weights": weights}
    assert flow.paths.system_hashes(NEWS[1]) == {
        "weights": weights,
        "adapter": "results/experiments/news-qlora/seed-2/adapter.sha256",
    }
    for system in (BASE, *NEWS):
        assert flow.base_of(wildcards(system=system)) == ("tiny-mistral", "nf4")
        model = flow.inputs.base_model(wildcards(system=system))
        assert model == "results/models/tiny-mistral/model"


def test_the_wildcards_take_what_the_settings_allow():
    for name in ("news", "a.b-c_d", "7b"):
        assert re.fullmatch(NAME, name)
    for name in ("", "../x", "a/b", ".x"):
        assert not re.fullmatch(NAME, name)
    assert all(re.fullmatch(SYSTEM, system) for system in (BASE, *NEWS))
    for system in ("base/x", "tuned/x/seed-", "tuned/x/1", "base/x/nf4/labels.parquet", "x"):
        assert not re.fullmatch(SYSTEM, system)


def test_each_model_has_one_rule_that_makes_it(flow):
    pretrain, local = flow.models_from("pretrain"), flow.models_from("local")
    assert re.fullmatch(pretrain, "tiny-mistral")
    assert not re.fullmatch(local, "tiny-mistral")
    assert not re.fullmatch(local, "")


def test_a_dot_in_a_model_s_name_is_a_dot(make, config):
    config["models"]["tiny.v2"] = copy.deepcopy(config["models"]["tiny-mistral"])
    pattern = make().models_from("pretrain")
    assert re.fullmatch(pattern, "tiny.v2")
    assert not re.fullmatch(pattern, "tinyxv2")


def test_a_file_that_is_added_to_a_folder_is_another_source(make, config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "shards"
    folder.mkdir()
    (folder / "part-2.csv").write_text("text,label\na,b\n")

    def of(path):
        user_files.listed.cache_clear()
        config["datasets"]["other"] = {"source": "file", "path": path}
        flow, job = make(), wildcards(dataset="other")
        return flow.inputs.fetch_dataset(job), flow.params.dataset_content(job)

    paths = ("shards", "shards/*.csv", ["shards/part-2.csv", "shards/*"])
    before = [of(path) for path in paths]
    assert all(files == ["shards/part-2.csv"] for files, _ in before)
    (folder / "part-10.csv").write_text("text,label\nc,d\n")
    for path, (files, content) in zip(paths, before, strict=True):
        files_now, content_now = of(path)
        assert files_now == [*files, "shards/part-10.csv"]
        assert list(content_now) == ["part-2.csv", "part-10.csv"]
        assert content_now["part-2.csv"] == content["part-2.csv"]
    # A moved folder is the same source.
    folder.rename(tmp_path / "moved")
    assert of("moved")[1] == content_now


@pytest.mark.parametrize(
    ("path", "format", "text"),
    [
        ("a.txt", None, True),
        ("a.csv", None, False),
        ("a.dat", "txt", True),
        ("a.txt", "csv", False),
    ],
)
def test_what_is_a_text(make, config, tmp_path, path, format, text):
    (tmp_path / path).touch()
    dataset = {"source": "file", "path": str(tmp_path / path), "format": format}
    config["datasets"]["other"] = dataset
    flow = make()
    assert flow.is_text("other") is text
    assert flow.paths.source("other") == [dataset["path"]]
    # The path is an input; as a param, a moved file would be read again for nothing.
    assert dataset["path"] not in repr(flow.params.fetch_dataset(wildcards(dataset="other")))


def test_the_files_of_a_model_of_this_machine_are_inputs(make, config, tmp_path):
    for name in ("config.json", "tokenizer.json", "model.safetensors", "consolidated.safetensors"):
        (tmp_path / name).touch()
    for name in ("README.md", "pytorch_model.bin", ".hidden.json"):
        (tmp_path / name).touch()
    config["models"]["mine"] = {"source": "local", "path": str(tmp_path)}
    flow = make()
    taken = ["config.json", "model.safetensors", "tokenizer.json"]
    assert flow.paths.model_source("mine") == [f"{tmp_path}/{name}" for name in taken]
    assert list(flow.params.model_content(wildcards(model="mine"))) == taken
    assert flow.paths.model_source("tiny-mistral") == []
    assert flow.params.model_content(wildcards(model="tiny-mistral")) == {}


def test_the_report_reads_results_alone_and_each_once(flow):
    files = flow.report.files()
    assert len(files) == len(set(files)) > 40
    assert all(isinstance(f, str) and f.startswith("results/") for f in files)
    assert {f"results/evaluations/test/prose/{BASE}/answers.parquet"} <= set(files)
    plan = flow.report.plan()
    assert list(plan["experiments"]) == list(flow.experiments)
    assert list(plan["tasks"]) == flow.tasks
    # The plan names each file by its place.
    losses = plan["experiments"]["news-qlora"]["files"]["losses"]
    assert [files[place] for place in losses] == flow.paths.runs("news-qlora", "loss.csv")
    assert exchange(exchange(plan, files.__getitem__), files.index) == plan


def test_a_model_that_is_made_here_needs_no_gpu(flow):
    assert flow.resources.needs_gpu("tiny-mistral") == 0


def test_an_environment_depends_on_wildcards_only_where_something_is_gptq(make, flow):
    """`snakemake --containerize` takes no function of a rule that has no job."""
    assert flow.resources.environment("train") == "../envs/train.yaml"
    gptq = {"experiments.news-qlora.quantization": "gptq"}
    gptq["models.tiny-mistral.gptq"] = {"calibration": "news"}
    environment = make(**gptq).resources.environment("train")
    names = ("news-qlora", "prose-qlora")
    assert [environment(wildcards(experiment=name)) for name in names] == [
        "../envs/gptq.yaml",
        "../envs/train.yaml",
    ]
