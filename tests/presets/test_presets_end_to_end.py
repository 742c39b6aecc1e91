"""Every published recipe from the hub to the report, run as its users run it, on the CPU.

A preset's file is taken as it is, but for the number of records, where that is not what is tested,
and of optimizer steps, two. What it asks for is served by the stand-in hub, under the same names
and revisions: a Mistral of two narrow layers with the real tokenizer, and short records of the real
data. Template, loss, packing, LoRA, optimizer, schedule, precision and quantization are the
preset's.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache, cached_property
from html import unescape
from itertools import pairwise
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT, copy_project, make_once, run_snakemake
from deltatune.config.load import Settings, load_settings
from deltatune.core import hashing, manifest
from deltatune.tokens.shards import read_shards
from deltatune.train.settings import Training
from standin_hub import Hub

NAMES = sorted(path.stem for path in (ROOT / "presets").glob("*-7b*.yaml"))
TOKENIZER = Path(sys.prefix) / "mistral-common/mistral_common/data/tokenizer.model.v1"
BOS, EOS, VOCABULARY = 1, 2, 32_000
# The formats that the models use. Mistral's writes bos and knows no system role; zephyr's leaves
# bos to the tokenizer and ends every turn with eos.
CHATS = {
    "mistralai/Mistral-7B-Instruct-v0.2": (
        "{{ bos_token }}{% for m in messages %}"
        "{% if m.role == 'user' %}{{ '[INST] ' ~ m.content ~ ' [/INST]' }}"
        "{% elif m.role == 'assistant' %}{{ ' ' ~ m.content ~ eos_token }}"
        "{% else %}{{ raise_exception('only user and assistant') }}{% endif %}{% endfor %}"
    ),
    "HuggingFaceH4/zephyr-7b-beta": (
        "{% for m in messages %}{{ '<|' ~ m.role ~ '|>\\n' ~ m.content ~ eos_token ~ '\\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
    ),
}
# The records that are served.
RECORDS = {
    "ag-news-mistral-7b": 100,
    "alpaca-cleaned-mistral-7b-instruct": 110,
    "alpaca-mistral-7b": 1200,  # some of them repeat others
    "alpaca-zephyr-7b": 110,
}
# The sizes of splits that would take minutes. Of one preset all are the recipe's.
SPLITS = {
    "ag-news-mistral-7b": {"validation": 20},
    "alpaca-cleaned-mistral-7b-instruct": {"test": 50, "validation": 10},
    "alpaca-zephyr-7b": {"max_records": 110, "train": 45, "test": 50, "validation": 10},
}
EVALUATED = {
    "ag-news-mistral-7b": 50,
    "alpaca-cleaned-mistral-7b-instruct": 50,
    "alpaca-mistral-7b": 100,
    "alpaca-zephyr-7b": 50,
}
STEPS = 2
#: A second file of settings, which replace those of the preset.
CHANGED = "changed.json"
#: The preset of which all is made.
WHOLE = "alpaca-mistral-7b"
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CHAPTERS = [*(f"Letter {n}" for n in range(1, 5)), *(f"Chapter {n}" for n in range(1, 3))]


# ---------------------------------------------------------------- what is served


def few_words(text: str, count: int) -> str:
    return " ".join(text.split()[:count])


def alpaca(shared: Path, count: int) -> pd.DataFrame:
    """instruction, input, output; inputs and answers cut short. Beyond the real records two
    instructions are one."""
    records = json.loads((shared / "alpaca.json").read_text(encoding="utf-8"))
    pairs = pairwise(records)
    joined = [{**a, "instruction": f"{a['instruction']} {b['instruction']}"} for a, b in pairs]
    return pd.DataFrame([*records, *joined][:count]).assign(
        input=lambda frame: frame["input"].map(lambda text: few_words(text, 12)),
        output=lambda frame: frame["output"].map(lambda text: few_words(text, 8)),
    )


def serve_data(hub: Hub, name: str, shared: Path, folder: Path) -> dict:
    """Add a preset's dataset as its repository holds it. Returns what of the preset it replaces,
    which are the addresses of the novel and of its chunks."""
    (_, asked), *others = preset(name)["datasets"].items()
    if others:
        return {"datasets": serve_novel(hub, shared)}
    (folder / "data").mkdir(parents=True)
    count = RECORDS[name]
    if asked["id"] == "tatsu-lab/alpaca":
        path = folder / "data/train-00000-of-00001-a09b74b3ef9c3b56.parquet"
        alpaca(shared, count).assign(text="all of it once more").to_parquet(path)
    elif asked["id"] == "yahma/alpaca-cleaned":
        text = alpaca(shared, count).to_json(orient="records", indent=4)
        (folder / "alpaca_data_cleaned.json").write_text(text)
    else:
        news = pd.read_csv(shared / "ag_news.csv")
        news["text"] = news["title"].map(lambda text: few_words(text, 8))
        for split, frame in (("train", news[:count]), ("test", news[-EVALUATED[name] :])):
            path = folder / f"data/{split}-00000-of-00001.parquet"
            frame[["text", "label"]].to_parquet(path)
        (folder / "README.md").write_text(
            "---\ndataset_info:\n  features:\n  - {name: text, dtype: string}\n"
            "  - name: label\n    dtype: {class_label: {names: "
            "{'0': World, '1': Sports, '2': Business, '3': Sci/Tech}}}\n"
            "  splits:\n  - {name: train}\n  - {name: test}\n---\n"
        )
    hub.add("dataset", asked["id"], folder, pinned=asked["revision"])
    return {}


def serve_novel(hub: Hub, shared: Path) -> dict:
    novel = (shared / "frankenstein.txt").read_text(encoding="utf-8")
    novel = novel[: novel.index("Chapter 3")]
    hub.files["pg84.txt"] = edition(novel)
    words = novel.split()
    chunks = [" ".join(words[start : start + 160]) for start in range(0, len(words), 160)]
    table = pd.DataFrame({"text": chunks}).to_csv(index=False).encode()
    hub.files["frankenstein_chunks.csv"] = table
    return {
        "frankenstein": {"url": f"{hub.url}/files/pg84.txt"},
        "frankenstein-chunks": {
            "url": f"{hub.url}/files/frankenstein_chunks.csv",
            "sha256": hashlib.sha256(table).hexdigest(),
        },
    }


def edition(novel: str) -> bytes:
    """A text as Project Gutenberg publishes it."""
    return (
        "\ufeffThe Project Gutenberg eBook of Frankenstein; Or, The Modern Prometheus\n\n"
        "*** START OF THE PROJECT GUTENBERG EBOOK FRANKENSTEIN; OR, THE MODERN PROMETHEUS ***\n\n"
        "Frankenstein;\n\nor, the Modern Prometheus\n\nby Mary Wollstonecraft Shelley\n\n\n"
        f" CONTENTS\n\n Letter 1\n Letter 2\n Chapter 1\n\n\n{novel}\n\n"
        "*** END OF THE PROJECT GUTENBERG EBOOK FRANKENSTEIN; OR, THE MODERN PROMETHEUS ***\n\n"
        "START: FULL LICENSE\n\nPLEASE READ THIS BEFORE YOU DISTRIBUTE OR USE THIS WORK\n"
    ).encode()


def serve_model(hub: Hub, name: str, base: Path, folder: Path) -> None:
    """Add a preset's model as its repository holds it: weights in parts, and as pickles too."""
    ((_, asked),) = preset(name)["models"].items()
    shutil.copytree(base, folder)
    published = ROOT / "presets/configs" / f"{asked['id'].replace('/', '--')}.json"
    tiny = json.loads((base / "config.json").read_text())
    shape = ("hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers",
             "num_key_value_heads")  # fmt: skip
    config = json.loads(published.read_text()) | {key: tiny[key] for key in shape}
    (folder / "config.json").write_text(json.dumps(config))
    # What the repository has for chats: sampling, which greedy decoding must not take over.
    sampling = {"do_sample": True, "temperature": 5.0, "repetition_penalty": 9.0}
    (folder / "generation_config.json").write_text(json.dumps(sampling))
    about = json.loads((folder / "tokenizer_config.json").read_text())
    if asked["id"] in CHATS:
        about["chat_template"] = CHATS[asked["id"]]
    if "zephyr" in asked["id"]:
        about |= {"pad_token": "</s>", "padding_side": "left", "truncation_side": "left"}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    (folder / "pytorch_model-00001-of-00002.bin").write_bytes(b"a pickle")
    hub.add("model", asked["id"], folder, pinned=asked["revision"])


@cache
def sentencepiece():
    """The tokenizer of Mistral-7B in the library that made it."""
    from sentencepiece import SentencePieceProcessor

    return SentencePieceProcessor(model_file=str(TOKENIZER))


def as_published(pieces):
    """The same as a tokenizer.json: merges in the order of their scores, and a space put before
    every stretch of text, behind a special token too."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors

    vocabulary = {pieces.id_to_piece(i): i for i in range(len(pieces))}
    merges = [
        (pieces.get_score(i), piece[:cut], piece[cut:])
        for piece, i in vocabulary.items()
        if not (pieces.is_byte(i) or pieces.is_control(i) or pieces.is_unknown(i))
        for cut in range(1, len(piece))
        if piece[:cut] in vocabulary and piece[cut:] in vocabulary
    ]
    merges.sort(key=lambda merge: -merge[0])
    pairs = [merge[1:] for merge in merges]
    tokenizer = Tokenizer(
        models.BPE(vocabulary, pairs, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A $B", [("<s>", BOS)])
    tokenizer.add_special_tokens(
        [AddedToken(name, normalized=False, special=True) for name in ("<unk>", "<s>", "</s>")]
    )
    return tokenizer


@pytest.fixture(scope="module")
def base(shared_folder, shared_data) -> Path:
    if not TOKENIZER.is_file():
        pytest.skip("mistral-common is not there: see requirements-mistral-common.txt")
    return make_once(shared_folder / "base", lambda folder: train_base(folder, shared_data))


def train_base(folder: Path, shared_data: Path) -> None:
    """A tiny Mistral in bf16 with the real tokenizer, trained for seconds on a few short answers,
    so that it ends what it answers."""
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    folder.mkdir()
    shutil.copy(TOKENIZER, folder / "tokenizer.model")
    pieces = sentencepiece()
    as_published(pieces).save(str(folder / "tokenizer.json"))
    about = {
        "tokenizer_class": "LlamaTokenizer",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "add_bos_token": True,
        "model_max_length": 10**30,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    torch.manual_seed(0)
    torch.set_num_threads(1)
    shape = {
        # GPTQ takes the weights in groups of 128, which divide the width of every layer.
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    model = MistralForCausalLM(MistralConfig(vocab_size=VOCABULARY, **shape))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    records = alpaca(shared_data, 480)
    answers = [f"\n{few_words(text, 6)}" for text in records["output"][:8]]
    for questions in np.array_split(records["instruction"].to_numpy(), 60):
        ids = [
            [BOS, *pieces.encode(question)[-8:], *pieces.encode(text), EOS]
            for question, text in zip(questions, answers, strict=True)
        ]
        width = max(map(len, ids))
        labels = torch.tensor([[*row, *[-100] * (width - len(row))] for row in ids])
        model(input_ids=labels.clamp(min=0), labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size="10MB")
    assert (folder / "model.safetensors.index.json").is_file()


# ---------------------------------------------------------------- the runs


def preset(name: str) -> dict:
    return yaml.safe_load((ROOT / "presets" / f"{name}.yaml").read_text(encoding="utf-8"))


def merged(config: dict, changed: dict) -> dict:
    """As snakemake merges a second file."""
    both = {key: merged(config[key], value) for key, value in changed.items() if
            isinstance(value, dict) and isinstance(config.get(key), dict)}  # fmt: skip
    return config | changed | both


@dataclass
class Run:
    """A preset that runs. changed: what of it is replaced. environment: variables that each start
    of snakemake needs."""

    name: str
    changed: dict
    project: Path
    hub: Hub
    environment: dict[str, str]

    def snakemake(self, *arguments: str, **environment: str) -> CompletedProcess[str]:
        environment = self.environment | environment
        preset = ("--configfile", f"presets/{self.name}.yaml", CHANGED)
        return run_snakemake(
            self.project, *preset, *arguments, OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="",
            warm=True, **environment,
        )  # fmt: skip

    @cached_property
    def asked(self) -> Settings:
        return load_settings(merged(preset(self.name), self.changed), ROOT)

    @property
    def results(self) -> Path:
        return self.project / "results"

    def trained(self, experiment: str) -> Path:
        return self.results / "experiments" / experiment / "seed-1"

    def figures(self, experiment: str) -> list[list[str]]:
        """The rows of the table with published figures: metric, their base and tuned, ours."""
        text = (self.results / "report.html").read_text(encoding="utf-8")
        label = f'aria-label="Published figures beside those of {experiment}"'
        table = text.partition(label)[2].partition("</table>")[0].partition("<tbody>")[2]
        cells = r"<t[hd][^>]*>(.*?)</t[hd]>"
        return [
            [unescape(cell) for cell in re.findall(cells, row)]
            for row in re.findall(r"<tr>(.*?)</tr>", table, re.S)
        ]

    @cached_property
    def page(self) -> str:
        """The report as a reader sees its text."""
        text = (self.results / "report.html").read_text(encoding="utf-8")
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def only(name: str):
    """For a test of one preset alone."""
    return pytest.mark.parametrize("ran", [name], indirect=True)


@pytest.fixture(scope="module", params=NAMES)
def ran(request, base, shared_data, tmp_path_factory) -> Run:
    name, environment = request.param, {}
    if "gptq" in {e["quantization"] for e in preset(name)["experiments"].values()}:
        environment = request.getfixturevalue("gptq_packages")
    folder = tmp_path_factory.mktemp(name)
    project = copy_project(folder / "project")
    shutil.copytree(ROOT / "presets", project / "presets")
    with Hub() as hub:
        serve_model(hub, name, base, folder / "model")
        changed = serve_data(hub, name, shared_data, folder / "data")
        steps = {"training": {"epochs": None, "max_steps": STEPS}}
        changed |= {"experiments": {one: steps for one in preset(name)["experiments"]}}
        if name in SPLITS:
            changed |= {"tasks": {one: {"split": SPLITS[name]} for one in preset(name)["tasks"]}}
        (project / CHANGED).write_text(json.dumps(changed))
        run = Run(name, changed, project, hub, environment | {"HF_HOME": str(folder / "home")})
        done = run.snakemake(
            # One preset is run with all of its figures, which the report does without.
            *("--cores", "2", "all" if name == WHOLE else "results/report.html"),
            # No GPU is used here, so two jobs that would need one may run at once.
            *("--resources", "gpu=2"),
            HF_ENDPOINT=hub.url,
            HF_HUB_OFFLINE="0",
            HF_TOKEN="",
        )
    logs = "".join(log.read_text()[-1500:] for log in project.glob("results/logs/**/*.log"))
    assert done.returncode == 0, done.stdout[-4000:] + logs[-4000:]
    return run


# ---------------------------------------------------------------- what came out


def test_it_finishes_with_every_metric(ran):
    table = pd.read_csv(ran.results / "comparison.csv")
    wanted = {
        (name, metric)
        for name, experiment in ran.asked.experiments.items()
        for metric in ran.asked.tasks[experiment.task].metrics
    }
    assert set(zip(table["experiment"], table["metric"], strict=True)) == wanted
    assert np.isfinite(table[["base", "tuned", "delta"]]).all(axis=None)
    # The main metric is in the family, the others are secondary; without a p-value it says why.
    adjusted = np.isfinite(table["p_holm"].fillna(table["adapters_p_holm"]))
    untested = table["no_p"].notna() & (table["no_p"] != "two_seeds")
    assert (adjusted == (table["main"] & ~untested)).all()
    if ran.name in EVALUATED:
        assert set(table["n"]) == {EVALUATED[ran.name]}


def test_the_hub_gave_what_the_preset_names_and_no_pickle(ran):
    for section in ("datasets", "models"):
        for name, source in getattr(ran.asked, section).items():
            facts = manifest.read(ran.results / section / name / "manifest.json")
            if source.source == "hub":
                fetched = facts["settings"]["source"]
                assert facts["commit"] == fetched["revision"] == source.revision
                assert fetched["id"] == source.id
            elif source.gutenberg is True:
                assert facts["gutenberg"] == {"header_lines": 4, "footer_lines": 5}
    ((name, _),) = ran.asked.models.items()
    files = {path.suffix for path in (ran.results / "models" / name / "model").iterdir()}
    own = {".jinja"} if "zephyr" in name else set()
    assert files == {"", ".json", ".model", ".safetensors"} | own
    assert not [r for r in ran.hub.requests if r.method == "GET" and r.path.endswith(".bin")]


def test_the_adapter_is_the_preset_s(ran):
    from safetensors.numpy import load_file

    for name, experiment in ran.asked.experiments.items():
        folder, model = ran.trained(name), ran.asked.models[experiment.model]
        config = json.loads((folder / "adapter/adapter_config.json").read_text())
        assert (config["base_model_name_or_path"], config["revision"]) == (model.id, model.revision)
        lora = experiment.lora
        assert (config["r"], config["lora_alpha"]) == (lora.rank, lora.alpha)
        assert config["lora_dropout"] == lora.dropout
        weights = load_file(folder / "adapter/adapter_model.safetensors")
        layers = {
            re.search(r"layers\.(\d+)\.\w+\.(\w+)\.lora_[AB]", key).groups() for key in weights
        }
        targets = LINEAR if lora.targets == "all-linear" else lora.targets
        assert layers == {(number, target) for number in "01" for target in targets}
        assert {str(w.dtype) for w in weights.values()} == {"float32"}
        assert {min(w.shape) for w in weights.values()} == {lora.rank}
        assert any(np.abs(w).max() > 0 for key, w in weights.items() if "lora_B" in key)


def test_it_was_trained_as_the_preset_says(ran):
    for name, experiment in ran.asked.experiments.items():
        run, asked = manifest.read(ran.trained(name) / "manifest.json"), experiment.training
        assert run["settings"]["lora"] == experiment.lora.model_dump()
        assert run["settings"]["training"] == asked.model_dump()
        assert run["settings"]["quantization"] == experiment.quantization
        assert run["batch_size_used"] == asked.batch_size
        assert run["gradient_accumulation_used"] == asked.gradient_accumulation
        assert run["activation_checkpointing_used"] == (asked.activation_checkpointing is True)
        assert (run["device"], run["dtype"]) == ("cpu", "torch.float32")
        left = "; fp16 is left to GPUs" if asked.precision == "fp16" else ""
        assert run["precision"] == f"no GPU; a CPU is exact and fast enough in fp32{left}"
        assert run["steps"] == STEPS
        assert run["losses"]["train"]["tuned"] < run["losses"]["train"]["base"]
        log = (ran.results / f"logs/train_adapter/{name}/seed-1.log").read_text()
        rates = [float(rate) for rate in re.findall(r"'learning_rate': '([^']+)'", log)]
        assert rates == pytest.approx(learning_rates(asked), rel=1e-3)
        paged = "Paged optimizers are not supported on CPU" in log
        assert paged == asked.optimizer.startswith("paged_"), "another optimizer was used"


def learning_rates(asked: Training) -> list[float]:
    """The learning rate of each step: a straight rise from 0, then half a cosine or a line."""
    rise = math.ceil(asked.warmup * STEPS)
    rates = []
    for step in range(STEPS):
        done = max(0, step - rise) / max(1, STEPS - rise)
        fall = (1 + math.cos(math.pi * done)) / 2 if asked.schedule == "cosine" else 1 - done
        rates.append(asked.learning_rate * (step / rise if step < rise else fall))
    return rates


def test_the_report_sets_published_figures_beside_ours(ran):
    table = pd.read_csv(ran.results / "comparison.csv").set_index(["experiment", "metric"])
    for name, experiment in ran.asked.experiments.items():
        published = experiment.published
        assert published.source.strip() in ran.page
        for sentence in published.differs:
            assert sentence.strip() in ran.page
        rows = ran.figures(name)
        assert len(rows) == len(published.metrics)
        for row, (metric, figure) in zip(rows, published.metrics.items(), strict=True):
            assert row[1:3] == [printed(one, figure.scale) for one in (figure.base, figure.tuned)]
            figures = table.loc[(name, metric), ["base", "tuned"]]
            for shown, ours in zip(row[3:], figures, strict=True):
                assert float(shown.replace(",", "")) == pytest.approx(ours, abs=0.05, rel=0.01)
        assert ("No figures were given." in ran.page) == (not published.metrics)


def printed(figure: float | None, scale: float) -> str:
    if figure is None:
        return "–"
    return f"{figure:g}" if scale == 1 else f"{figure * scale:g} ({figure:g} × {scale:g})"


# ---------------------------------------------------------------- what was trained on and asked


def written(name: str, record: dict) -> tuple[str, str]:
    """What the model is given and should say, special tokens written out, bos and the last eos
    apart."""
    if name == "frankenstein-mistral-7b":
        return "", record["text"]
    if name == "ag-news-mistral-7b":
        given = (
            "### Instruction:\nClassify the following news snippet into one of the categories: "
            f"World, Sports, Business, Sci/Tech.\n### Input:\n{record['text']}\n### Response:"
        )
        return given, f" {record['label']}"
    more, answer = record["input"], record["output"]
    asked = record["instruction"] + (f"\n\n{more}" if more else "")
    if name == "alpaca-cleaned-mistral-7b-instruct":
        return f"[INST] {asked} [/INST]", f" {answer}"
    if name == "alpaca-zephyr-7b":
        system = (
            "You are a helpful assistant. Please follow the instruction and provide a helpful "
            "response."
        )
        turns = "<|begin_of_text|>\n"
        for role, text in (("system", system), ("user", asked)):
            turns += f"<|start_header_id|>{role}<|end_header_id>\n{text}<|eot_id>\n"
        return f"{turns}<|start_header_id|>assistant<|end_header_id>\n", f"{answer}<|eot_id>\n"
    about = ", paired with an input that provides further context" if more else ""
    middle = f"\n\n### Input:\n{more}" if more else ""
    return (
        f"Below is an instruction that describes a task{about}. Write a response that "
        "appropriately completes the request.\n\n### Instruction:\n"
        f"{record['instruction']}{middle}\n\n### Response:\n"
    ), answer


def documents(folder: Path) -> list[tuple[list[int], list[int]]]:
    """(ids, labels) of each document in packed rows, the padding at the end of a row left out."""
    pairs = []
    for row in read_shards(folder):
        starts = [i for i, place in enumerate(row["position_ids"]) if place == 0]
        for start, stop in pairwise([*starts, len(row["position_ids"])]):
            ids, labels = row["input_ids"][start:stop], row["labels"][start:stop]
            if any(label != -100 for label in labels):
                pairs.append((ids, labels))
    return pairs


def encoded(text: str) -> list[int]:
    """Ids by sentencepiece itself, which knows no special token in a text: eos is put in by hand,
    and what follows it begins with a space like any text."""
    ids: list[int] = []
    for part in text.split("</s>"):
        ids += [EOS, *sentencepiece().encode(part)]
    return ids[1:]


def test_documents_are_bos_prompt_answer_eos_and_the_loss_is_where_the_preset_says(ran):
    ((model, _),) = ran.asked.models.items()
    for task in ran.asked.tasks:
        for split in ("train", "validation"):
            records = pd.read_parquet(ran.results / f"tasks/{task}/{split}.parquet")
            folder = ran.results / f"tokens/{task}/{model}/{split}"
            pairs = documents(folder)
            rows = len(read_shards(folder))
            assert rows == len(pairs) if not ran.asked.tasks[task].packing else rows < len(pairs)
            for ids, _ in pairs:
                assert ids[0] == BOS and ids.count(BOS) == 1
            if ran.name == "frankenstein-mistral-7b":
                # A text may go on in another row: then eos stands behind its last part.
                assert all(labels == [-100, *ids[1:]] for ids, labels in pairs)
                assert sum(ids[-1] == EOS for ids, _ in pairs) == len(records)
                trained = Counter(i for ids, _ in pairs for i in ids[1:])
                texts = [[*encoded(text), EOS] for text in records["text"]]
                assert trained == Counter(i for ids in texts for i in ids)
                continue
            wanted = Counter()
            for record in records.to_dict("records"):
                given, answer = written(ran.name, record)
                # Behind a prompt an answer brings its own space, where there is one.
                after = encoded(f"\n{answer}")[2:]
                wanted[(BOS, *encoded(given)), (*after, EOS)] += 1
            seen = Counter()
            on_all = ran.asked.tasks[task].train_on_prompt
            for ids, labels in pairs:
                given = labels.count(-100)
                assert labels == [-100] * given + ids[given:]
                seen[tuple(ids[:given]), tuple(ids[given:])] += 1
            if on_all:
                wanted = Counter({(both[:1], both[1:]): n for (g, a), n in wanted.items()
                                  for both in [g + a]})  # fmt: skip
            assert seen == wanted


def test_base_and_tuned_were_asked_the_same_in_the_model_s_own_words(ran):
    for name, experiment in ran.asked.experiments.items():
        folder = ran.results / "evaluations/test" / experiment.task
        systems = (f"base/{experiment.model}/{experiment.quantization}", f"tuned/{name}/seed-1")
        kind = ran.asked.tasks[experiment.task].kind
        file = "labels" if kind == "classify" else "answers"
        base, tuned = (pd.read_parquet(folder / system / f"{file}.parquet") for system in systems)
        if kind == "classify":
            assert base["text"].tolist() == tuned["text"].tolist()
            assert set(base["predicted"]) | set(tuned["predicted"]) <= set(
                ran.asked.tasks[experiment.task].labels
            )
            continue
        assert base["prompt"].tolist() == tuned["prompt"].tolist()
        if kind == "prose":
            assert base["prompt"].tolist() == ["I'm afraid I've created a "]
            continue
        test = pd.read_parquet(ran.results / f"tasks/{experiment.task}/test.parquet")
        evaluated = test[test["id"].isin(base["id"])]
        asked = [written(ran.name, one)[0] for one in evaluated.to_dict("records")]
        bos = "<s>" if "instruct" in ran.name else ""
        assert base["prompt"].tolist() == [bos + one for one in asked]
        assert base["finished"].mean() > 0.5, "the tiny model should end what it says"


# ---------------------------------------------------------------- what is one preset's own


@only("frankenstein-mistral-7b")
def test_the_novel_is_cut_into_chunks_of_its_chapters(ran):
    chunks = pd.read_csv(ran.results / "datasets/frankenstein/frankenstein_chunks.csv")
    assert chunks["chapter"].dropna().unique().tolist() == CHAPTERS
    assert not chunks["text"].str.contains("GUTENBERG|LICENSE").any()
    tests = {
        task: pd.read_parquet(ran.results / f"tasks/{task}/test.parquet")["id"].tolist()
        for task in ran.asked.tasks
    }
    numbers = chunks["row"].tolist()
    assert tests["last-chapters"] == numbers[-len(tests["last-chapters"]) :]
    records = pd.read_parquet(ran.results / "datasets/frankenstein-chunks/records.parquet")
    assert len(tests["chunks-at-random"]) == math.ceil(0.2 * len(records))
    assert tests["chunks-at-random"] != [*records["row"]][-len(tests["chunks-at-random"]) :]
    # Each chunk is scored by itself, and the figure is the mean of their perplexities.
    folder = ran.results / "evaluations/test/chunks-at-random/base/mistral-7b/nf4"
    windows = pd.read_parquet(folder / "text.parquet")
    assert len(windows) == len(tests["chunks-at-random"])
    figure = json.loads((folder / "metrics.json").read_text())["metrics"]["mean_perplexity"]
    assert figure["value"] == pytest.approx(np.exp(windows["nll"] / windows["tokens"]).mean())


@only("ag-news-mistral-7b")
def test_it_is_judged_on_the_official_test_split(ran):
    split = manifest.read(ran.results / "tasks/ag-news/manifest.json")
    assert split["given"]["test"] == {
        **{"records": 50, "unusable": 0, "repeated": 0, "beyond_max_records": 0, "test": 50}
    }
    assert (split["train"], split["validation"]) == (80, 20)


@only(WHOLE)
def test_the_first_1000_rows_are_trained_on(ran):
    records = pd.read_parquet(ran.results / "datasets/alpaca/records.parquet")
    train = pd.read_parquet(ran.results / "tasks/alpaca/train.parquet")
    excluded = pd.read_csv(ran.results / "tasks/alpaca/excluded.csv")
    # The next ones are taken in place of those that are of no use.
    usable = records[~records["row"].isin(excluded["row"])]
    assert len(train) == 1000
    assert train["id"].tolist() == usable["row"].tolist()[:1000]
    pieces = pd.read_parquet(ran.results / "tokens/alpaca/mistral-7b/train.parquet")
    assert pieces["record"].nunique() == 1000


@only(WHOLE)
def test_the_base_was_quantized_once_as_the_preset_says(ran):
    folder = ran.results / "models/mistral-7b/gptq-alpaca"
    facts = manifest.read(folder / "manifest.json")
    assert facts["quantized_layers"] == 14
    rows = len(read_shards(ran.results / "tokens/alpaca/mistral-7b/train"))
    assert facts["calibration_rows"] == 128 < rows
    config = json.loads((folder / "model/config.json").read_text())["quantization_config"]
    assert (config["quant_method"], config["bits"], config["group_size"]) == ("gptq", 4, 128)
    assert hashing.read_hashes(folder / "weights.sha256") == facts["hashes"]
    run = manifest.read(ran.trained("alpaca-gptq") / "manifest.json")
    assert run["base"] == facts["hashes"], "the adapter was not trained on the quantized weights"


@only(WHOLE)
def test_an_experiment_runs_through_the_rules(ran):
    evaluations = ran.results / "evaluations/test/alpaca"
    for system in ("base/mistral-7b/gptq", "tuned/alpaca-gptq/seed-1"):
        assert len(pd.read_parquet(evaluations / system / "answers.parquet")) == 100
        assert manifest.read(evaluations / system / "answers.json")["batch_size_used"] == 32
    assert set(pd.read_csv(ran.results / "comparison.csv")["task"]) == {"alpaca"}
    assert "gptq" in ran.page
    # Another experiment on the same base: all of its layers, as the recipe for a T4 trains them.
    more = {
        "model": "mistral-7b",
        "task": "alpaca",
        "quantization": "gptq",
        "lora": {"rank": 4, "targets": "all-linear"},
        "training": {
            **{"optimizer": "paged_adamw_32bit", "precision": "fp16"},
            **{"max_steps": 12, "learning_rate": 1e-2, "batch_size": 4},
        },
    }
    done = ran.snakemake(
        *("--cores", "1", "results/experiments/more/seed-1/manifest.json"),
        *("--config", f"experiments={json.dumps({'more': more})}"),
    )
    assert done.returncode == 0, done.stdout[-4000:]
    run = manifest.read(ran.trained("more") / "manifest.json")
    assert run["base"] == hashing.read_hashes(
        ran.results / "models/mistral-7b/gptq-alpaca/weights.sha256"
    )
    assert run["dtype"] == "torch.float32" and "fp16 is left to GPUs" in run["precision"]
    assert run["losses"]["train"]["tuned"] < run["losses"]["train"]["base"] - 0.1


@only(WHOLE)
def test_a_second_run_does_nothing_and_other_groups_quantize_again(ran):
    assert "Nothing to be done" in ran.snakemake("--cores", "1", "-n").stdout
    path = ran.project / f"presets/{ran.name}.yaml"
    text = path.read_text(encoding="utf-8")
    try:
        path.write_text(text.replace("group_size: 128", "group_size: 64"), encoding="utf-8")
        planned = ran.snakemake("--cores", "1", "-n").stdout
    finally:
        path.write_text(text, encoding="utf-8")
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", planned, re.MULTILINE))
    assert jobs["quantize_model"] == jobs["train_adapter"] == "1"
    assert not {"fetch_model", "tokenize_split"} & set(jobs)
