"""The published recipes: what each preset says, and that it can be planned with nothing at hand."""

from __future__ import annotations

import copy
import re
import shutil

import pytest
import yaml
from conftest import ROOT, run_snakemake
from deltatune.config.load import Settings, load_settings
from deltatune.core.errors import UserError

FIRST_RUN = "smollm2-135m-instruct"
"""Of no published recipe: the first real run of the README."""
PRESETS = sorted((ROOT / "presets").glob("*.yaml"))
NAMES = [path.stem for path in PRESETS if path.stem != FIRST_RUN]
SYSTEM_PROMPT = (
    "You are a helpful assistant. Please follow the instruction and provide a helpful response."
)
NO_NETWORK = """
import socket

def refuse(self, address, *rest):
    if self.family != socket.AF_UNIX:
        raise OSError(f"a test without a network asked for {address}")
    return connect(self, address, *rest)

connect, socket.socket.connect = socket.socket.connect, refuse
"""


def config(name: str) -> dict:
    return yaml.safe_load((ROOT / "presets" / f"{name}.yaml").read_text(encoding="utf-8"))


def load(name: str) -> Settings:
    return load_settings(config(name), ROOT)


def only(section: dict):
    (value,) = section.values()
    return value


def test_the_five_are_there():
    assert NAMES == [
        "ag-news-mistral-7b",
        "alpaca-cleaned-mistral-7b-instruct",
        "alpaca-mistral-7b",
        "alpaca-zephyr-7b",
        "frankenstein-mistral-7b",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_each_is_whole_and_pinned(name):
    """Each replaces config.yaml, says which bytes it means, and what it is measured against."""
    chosen = load(name)
    assert (chosen.run, chosen.hardware.gpu) == ("all", "T4")
    for source in (*chosen.models.values(), *chosen.datasets.values()):
        assert source.source in ("hub", "url")
        if source.source == "hub":
            assert re.fullmatch("[0-9a-f]{40}", source.revision)
    for experiment in chosen.experiments.values():
        assert experiment.published.source
        assert experiment.published.differs
    command = f"snakemake --cores all --configfile presets/{name}.yaml"
    assert command in (ROOT / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    assert f"`presets/{name}.yaml`" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_its_jobs_are_known_without_network_or_gpu(name, project):
    shutil.copytree(ROOT / "presets", project / "presets", dirs_exist_ok=True)
    blocked = project / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text(NO_NETWORK)
    done = run_snakemake(
        project,
        "-n",
        "--cores",
        "1",
        "--configfile",
        f"presets/{name}.yaml",
        PYTHONPATH=str(blocked),
        CUDA_VISIBLE_DEVICES="",
    )
    assert done.returncode == 0, done.stdout
    counts = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout, re.MULTILINE))
    experiments = load(name).experiments
    assert int(counts["fetch_dataset"]) == len(load(name).datasets)
    assert int(counts["fetch_model"]) == 1
    assert int(counts["train_adapter"]) == len(experiments)
    assert int(counts["compute_metrics"]) == 2 * len(experiments)
    assert ("quantize_model" in counts) == (name == "alpaca-mistral-7b")
    assert ("chunk_text" in counts) == (name == "frankenstein-mistral-7b")


def test_the_first_real_run(project):
    chosen = load(FIRST_RUN)
    model = only(chosen.models)
    assert (model.id, model.revision) == (
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "12fd25f77366fa6b3b4b768ec3050bf629380bac",
    )
    assert chosen.seeds == [1, 2, 3]
    assert {task.kind for task in chosen.tasks.values()} == {"instruct", "classify", "prose"}
    # The same bytes as in the other presets, under the same names; of AG News those have a test.
    shared = {name: data for preset in NAMES for name, data in load(preset).datasets.items()}
    splits = {"split": "train"}
    assert {
        name: shared[name].model_copy(update=splits if name == "ag-news" else {})
        for name in chosen.datasets
    } == chosen.datasets
    assert f"`presets/{FIRST_RUN}.yaml`" in (ROOT / "README.md").read_text(encoding="utf-8")
    shutil.copytree(ROOT / "presets", project / "presets", dirs_exist_ok=True)
    arguments = ("-n", "--cores", "1", "--configfile", f"presets/{FIRST_RUN}.yaml")
    done = run_snakemake(project, *arguments)
    assert done.returncode == 0, done.stdout
    counts = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout, re.MULTILINE))
    # Three experiments of three seeds, and all of them and the base on each of three tasks.
    assert (int(counts["train_adapter"]), int(counts["compute_metrics"])) == (9, 30)


def test_alpaca_on_mistral():
    chosen = load("alpaca-mistral-7b")
    model, data = only(chosen.models), only(chosen.datasets)
    task, experiment = only(chosen.tasks), only(chosen.experiments)
    assert (model.id, data.id) == ("mistralai/Mistral-7B-v0.1", "tatsu-lab/alpaca")
    assert (experiment.quantization, model.gptq.bits) == ("gptq", 4)
    assert (task.split.train, task.split.test, task.split.method) == (1000, 100, "contiguous")
    assert (task.prompt, task.chat) == ("alpaca", None)
    lora = experiment.lora
    assert (lora.rank, lora.alpha, lora.dropout) == (8, 16, 0.05)
    assert lora.targets == ["q_proj", "v_proj"]
    assert experiment.training.epochs == 1
    figures = experiment.published.metrics
    assert {m: f.tuned for m, f in figures.items()} == {
        "bleu": 0.5093,
        "rouge_l": 0.6298,
        "exact_match": 0.04,
    }
    assert {m: f.scale for m, f in figures.items()} == {"bleu": 100, "rouge_l": 1, "exact_match": 1}


def test_alpaca_cleaned_on_mistral_instruct():
    chosen = load("alpaca-cleaned-mistral-7b-instruct")
    task, experiment = only(chosen.tasks), only(chosen.experiments)
    assert only(chosen.models).id.startswith("mistralai/Mistral-7B-Instruct-")
    assert only(chosen.datasets).id == "yahma/alpaca-cleaned"
    assert experiment.quantization == "nf4"
    assert (task.chat.system, task.prompt) == (None, "plain")
    training = experiment.training
    assert training.batch_size < training.gradient_accumulation


def test_frankenstein():
    chosen = load("frankenstein-mistral-7b")
    data = chosen.datasets["frankenstein"]
    assert (data.source, data.gutenberg) == ("url", True)
    assert "gutenberg.org" in data.url and "84" in data.url
    assert {t.split.method for t in chosen.tasks.values()} == {"random", "contiguous"}
    assert {t.split.method: t.split.test for t in chosen.tasks.values()} == {
        "random": 0.2,
        "contiguous": 0.33,
    }
    for task in chosen.tasks.values():
        assert "I'm afraid I've created a " in task.evaluation.continuations
    for experiment in chosen.experiments.values():
        assert (experiment.model, experiment.quantization) == ("mistral-7b", "nf4")
        assert (experiment.lora.rank, experiment.training.epochs) == (32, 2)
        assert experiment.training.learning_rate == 2e-5
        assert experiment.lora.targets == ["q_proj", "v_proj"]
        figure = experiment.published.metrics["mean_perplexity"]
        assert (figure.base, figure.tuned) == (8.5008, 6.2617)


def test_ag_news():
    chosen = load("ag-news-mistral-7b")
    task, experiment = only(chosen.tasks), only(chosen.experiments)
    assert task.labels == ["World", "Sports", "Business", "Sci/Tech"]
    assert set(task.metrics) >= {"accuracy", "macro_f1"}
    assert only(chosen.models).id == "mistralai/Mistral-7B-v0.1"
    lora, training = experiment.lora, experiment.training
    assert (experiment.quantization, lora.rank, lora.alpha) == ("nf4", 8, 16)
    assert lora.dropout == 0.05
    assert 3 <= training.epochs <= 5
    assert only(chosen.datasets).split.test == "test"
    assert task.train_on_prompt and not task.packing


def test_alpaca_on_zephyr():
    chosen = load("alpaca-zephyr-7b")
    task, experiment = only(chosen.tasks), only(chosen.experiments)
    assert only(chosen.models).id == "HuggingFaceH4/zephyr-7b-beta"
    assert only(chosen.datasets).id == "tatsu-lab/alpaca"
    assert task.chat.system == SYSTEM_PROMPT
    assert set(task.metrics) >= {"token_f1", "rouge_l", "bertscore"}
    lora, training = experiment.lora, experiment.training
    assert (lora.rank, lora.alpha, lora.dropout) == (8, 32, 0.05)
    assert lora.targets == ["q_proj", "k_proj", "v_proj", "o_proj"]
    assert (training.epochs, training.batch_size, training.gradient_accumulation) == (1, 4, 2)
    assert (training.learning_rate, training.optimizer) == (2e-4, "paged_adamw_32bit")
    assert (training.precision, experiment.quantization) == ("fp16", "nf4")
    assert "<|start_header_id|>" in only(chosen.models).chat_template


def _refused(change) -> str:
    changed = copy.deepcopy(config("alpaca-zephyr-7b"))
    change(changed)
    with pytest.raises(UserError) as error:
        load_settings(changed, ROOT)
    return str(error.value)


def test_a_published_metric_must_be_measured():
    def change(changed):
        figures = {"rouge_1": {"tuned": 0.5}}
        changed["experiments"]["alpaca-zephyr-nf4"]["published"]["metrics"] = figures

    message = _refused(change)
    assert "experiments.alpaca-zephyr-nf4.published.metrics: 'rouge_1' is not measured" in message
    assert "did you mean 'rouge_l'?" in message


def test_misspelt_keys_of_chat_and_published():
    def change(changed):
        changed["tasks"]["alpaca-chat"]["chat"]["sytem"] = "Be kind."
        changed["experiments"]["alpaca-zephyr-nf4"]["published"]["difers"] = []

    message = _refused(change)
    assert "tasks.alpaca-chat.chat.sytem: unknown key (did you mean 'system'?)" in message
    assert "alpaca-zephyr-nf4.published.difers: unknown key (did you mean 'differs'?)" in message
