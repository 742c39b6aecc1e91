"""What a run will take, told before anything is downloaded or trained.

`anatomy` reads a model's sizes off its config.json: the model and its adapters are built on torch's
meta device, where tensors have shapes and no memory. `work` tells tokens and steps: exactly, where
the rows have been packed, otherwise from the records with four characters to a token. The memory
is arithmetic, see `planning_memory`.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from deltatune import fitting, gpus, planning_memory, tasks
from deltatune.errors import UserError
from deltatune.gpus import Gpu
from deltatune.planning_memory import Adapter, Anatomy, Memory, Setup

CHARACTERS = 4
"""Characters of a token: English text under a vocabulary of 32,000 pieces has about so many."""
PADDING = 0.02
"""Share of packed rows that is padding."""
SAMPLED = 2000
"""Records whose length is taken, evenly spread."""
SECONDS = 5
"""How long the hub may take to answer."""

# ---------------------------------------------------------------- the model's config.json


def model_config(
    model: Mapping[str, Any], folder: Path, shipped: Path
) -> tuple[dict[str, Any], str, int | None]:
    """The config of a model, where it is from, and the exact bytes of the weights where known.

    model: its settings. folder: results/models/NAME/model, which may not be there. shipped: the
    folder with configs of public models, called OWNER--NAME.json.

    A model of the hub is looked for in `folder`, the hub's cache, the hub, and `shipped`.
    Raises UserError where a config is nowhere.
    """
    if model["source"] == "pretrain":
        shape = model["architecture"]
        return (
            {
                "model_type": "mistral",
                "vocab_size": shape["vocab_size"],
                "hidden_size": shape["hidden_size"],
                "intermediate_size": shape["intermediate_size"],
                "num_hidden_layers": shape["layers"],
                "num_attention_heads": shape["heads"],
                "num_key_value_heads": shape["kv_heads"],
                "max_position_embeddings": shape["context"],
                "dtype": "float32",
            },
            "config.yaml",
            0,
        )
    if model["source"] == "local":
        found = Path(model["path"])
        return _read(found / "config.json"), str(found), _weights(found)
    if (folder / "config.json").is_file():
        return _read(folder / "config.json"), "fetched", _weights(folder)
    id, revision = model["id"], model.get("revision")
    config = _cached(id, "config.json", revision)
    if config:
        index = _cached(id, _INDEX, revision)
        return _read(config), "the hub's cache", _total(_read(index) if index else None)
    fetched, problem = _fetched(id, "config.json", revision)
    if fetched:
        return fetched, "the hub", _total(_fetched(id, _INDEX, revision)[0])
    ours = shipped / f"{id.replace('/', '--')}.json"
    if ours.is_file():
        return _read(ours), "presets/configs", None
    raise UserError(
        f"models: the config.json of '{id}' is not here and cannot be fetched ({problem}). With a "
        f"network run it again; a gated model needs HF_TOKEN; or put the file into {ours}."
    )


_INDEX = "model.safetensors.index.json"


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _weights(folder: Path) -> int | None:
    """Bytes of the weights in a folder."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors")) or None


def _total(index: Mapping[str, Any] | None) -> int | None:
    """Bytes of the weights by the index of their files."""
    return (index or {}).get("metadata", {}).get("total_size")


def _cached(id: str, file: str, revision: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(id, file, revision=revision)
    return Path(found) if isinstance(found, str) else None


@cache
def _fetched(id: str, file: str, revision: str | None) -> tuple[dict[str, Any] | None, str]:
    """What a small JSON file of the hub says, or None and what went wrong.

    One request without the patience of a download, which would wait for half a minute where there
    is no network. The stored login, HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE mean what they do
    everywhere.
    """
    from huggingface_hub import get_session, hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    try:
        answer = get_session().get(
            hf_hub_url(id, file, revision=revision),
            headers=build_hf_headers(),
            timeout=SECONDS,
            follow_redirects=True,
        )
        if answer.status_code == 200:
            return answer.json(), ""
        return None, f"the hub answers {answer.status_code}"
    except Exception as error:  # whatever it is, the plan goes on with what is shipped
        return None, f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:150]}"


# ---------------------------------------------------------------- sizes


def anatomy(config: Mapping[str, Any], lora: Mapping[str, Any], where: str) -> Anatomy:
    """Build the model and its adapters on the meta device and count.

    config: of config.json. lora: the fields of `settings.Lora`. where: the experiment in
    config.yaml, for messages. Raises UserError for an architecture that transformers does not know
    or targets that the model has not.
    """
    import torch
    from peft import get_peft_model
    from peft.tuners.lora import LoraLayer
    from transformers import AutoConfig, AutoModelForCausalLM

    from deltatune.training import lora_config

    # Weights that lie quantised on the hub count as what they stand for.
    fields = {k: v for k, v in config.items() if k not in ("quantization_config", "auto_map")}
    try:
        typed = AutoConfig.for_model(**fields)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(typed, trust_remote_code=False)
    except (ValueError, KeyError) as error:
        raise UserError(f"{where}.model: transformers cannot build it: {error}") from None
    head = model.get_output_embeddings()
    linear = [
        module.weight.numel()
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    ]
    parameters = sum(p.numel() for p in model.parameters())
    try:
        with torch.device("meta"):
            model = get_peft_model(model, lora_config(dict(lora), None))
    except ValueError as error:
        raise UserError(f"{where}.lora: peft refuses these settings: {error}") from None
    adapters = tuple(
        Adapter(name.rpartition(".")[2], _block(name), module.in_features, rank)
        for name, module in model.named_modules()
        if isinstance(module, LoraLayer)
        for rank in module.r.values()
    )
    heads = typed.num_attention_heads
    return Anatomy(
        kind=typed.model_type,
        parameters=parameters,
        linear=sum(linear),
        largest_linear=max(linear, default=0),
        trainable=sum(p.numel() for p in model.parameters() if p.requires_grad),
        blocks=typed.num_hidden_layers,
        hidden=typed.hidden_size,
        intermediate=getattr(typed, "intermediate_size", None) or 4 * typed.hidden_size,
        heads=heads,
        head_dim=getattr(typed, "head_dim", None) or typed.hidden_size // heads,
        vocabulary=typed.vocab_size,
        adapters=adapters,
    )


def _block(name: str) -> int:
    found = re.search(r"\.(\d+)\.", name)
    return int(found[1]) if found else 0


def download_bytes(config: Mapping[str, Any], sizes: Anatomy) -> int:
    """Bytes of the weights on the hub, from the type that they are stored in."""
    stored = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    each = {"float64": 8, "float32": 4, "float8_e4m3fn": 1}.get(stored.removeprefix("torch."), 2)
    quantised = config.get("quantization_config") or {}
    bits = quantised.get("bits") or (4 if quantised.get("load_in_4bit") else 0)
    if not bits:
        return sizes.parameters * each
    held = sizes.linear * planning_memory.group_bytes(bits, quantised.get("group_size", 128))
    return round(held + (sizes.parameters - sizes.linear) * each)


# ---------------------------------------------------------------- tokens and steps


@dataclass(frozen=True)
class Work:
    """What an experiment goes through at each seed. None: nothing is known yet."""

    tokens: int | None
    """Of the training rows, without padding."""
    rows: int | None
    row_length: int
    how: str
    """exact, estimated, at most, or unknown."""
    source: str
    """What it was taken from."""

    def steps(self, training: Mapping[str, Any]) -> int | None:
        """Optimiser steps, as `training.train` counts them."""
        if self.rows is None:
            return None
        per_step = training["batch_size"] * training["gradient_accumulation"]
        return max(1, round(math.ceil(self.rows / per_step) * training["epochs"]))


def work(plan: Mapping[str, Any], known: Mapping[str, Any]) -> Work:
    """Tokens and packed rows of an experiment.

    plan: see `workflow.Flow.plan`. known: sizes of public data sets, by hub id or address.
    """
    task = plan["task"]
    length = task["max_length"]
    packed = _manifest(plan["files"]["tokens"])
    if packed and _same(packed["settings"], task):
        rows, row_length = packed["rows"], packed["row_length"]
        return Work(packed["tokens"], rows, row_length, "exact", "the packed rows")
    found = _lengths(plan, known)
    if found is None:
        most = task["split"]["max_records"]
        if most is None:
            return Work(None, None, length, "unknown", "the data set is not here yet")
        count = _training_records(most, task["split"])
        return Work(count * length, count, length, "at most", "split.max_records × max_length")
    documents, characters, source = found
    tokens = documents * (characters / CHARACTERS + 2)  # with what begins and ends a document
    if tasks.load(task["kind"]).OVERFLOW != "split":
        tokens = min(tokens, documents * length)
    rows = max(1, math.ceil(tokens / (1 - PADDING) / length))
    # One row is no longer than what it holds.
    row_length = min(length, math.ceil(tokens / rows)) if rows == 1 else length
    return Work(round(tokens), rows, row_length, "estimated", source)


def _manifest(path: str) -> dict[str, Any] | None:
    return _read(Path(path)) if Path(path).is_file() else None


def _same(settings: Mapping[str, Any], task: Mapping[str, Any]) -> bool:
    """Whether a stage ran with the settings that config.yaml has now.

    Labels are left out, which a stage may know under another form.
    """
    return all(task[k] == v for k, v in settings.items() if k in task and k != "labels")


def _lengths(plan: Mapping[str, Any], known: Mapping[str, Any]) -> tuple[int, float, str] | None:
    """(training documents, mean characters of one, source), from the best that is there."""
    task = plan["task"]
    kind = tasks.load(task["kind"])
    split = _manifest(plan["files"]["split"])
    train = Path(plan["files"]["train"])
    if split and train.is_file() and _same(split["settings"], task):
        records = pd.read_parquet(train)
        lengths = _characters(records, kind, task, clean=False)
        return len(records), lengths, "the training records"
    records = Path(plan["files"]["records"])
    if records.is_file():
        frame = pd.read_csv(records) if records.suffix == ".csv" else pd.read_parquet(records)
        return _of_records(frame, kind, task, "the records")
    if plan["path"] and Path(plan["path"]).is_file():
        return _of_records(_source(plan), kind, task, plan["path"])
    return _of_known(plan, kind, known)


def _of_records(
    records: pd.DataFrame, kind: ModuleType, task: Mapping[str, Any], source: str
) -> tuple[int, float, str]:
    used = min(len(records), task["split"]["max_records"] or len(records))
    characters = _characters(records.head(used), kind, task, clean=True)
    return _training_records(used, task["split"]), characters, source


def _of_known(
    plan: Mapping[str, Any], kind: ModuleType, known: Mapping[str, Any]
) -> tuple[int, float, str] | None:
    """From what is known about a public data set."""
    dataset, task = plan["dataset"], plan["task"]
    name = dataset.get("id") or _book(dataset.get("url") or "")
    facts = known.get(name)
    if not facts:
        return None
    sizes, count = facts["characters"], facts["records"]
    if plan["text"]:
        # Chunks end with a sentence, so they are a little shorter than they may be.
        chunk = 0.9 * dataset["chunks"]["max_words"] * 6
        count, sizes = math.ceil(sizes["text"] / chunk), {"text": round(chunk)}
    record = {field: "x" * length for field, length in sizes.items()}
    if kind.LABEL_FIELD and kind.LABEL_FIELD not in record:
        record[kind.LABEL_FIELD] = kind.label_names(task["labels"])[0]
    if not set(kind.TEXT_FIELDS) <= {*record, *getattr(kind, "OPTIONAL_FIELDS", ())}:
        return None
    used = min(count, task["split"]["max_records"] or count)
    characters = _length(kind.document(record, dict(task)))
    return _training_records(used, task["split"]), characters, f"what is known of {name}"


def _book(url: str) -> str:
    """gutenberg.org/NUMBER for an address of a book at Project Gutenberg, otherwise as it is."""
    found = re.search(r"gutenberg\.org/(?:cache/epub|ebooks|files)/(\d+)", url)
    return f"gutenberg.org/{found[1]}" if found else url


def _source(plan: Mapping[str, Any]) -> pd.DataFrame:
    """The records of a file, read as fetch_dataset reads them."""
    from deltatune import chunking, sources

    dataset, path = plan["dataset"], Path(plan["path"])
    with tempfile.TemporaryDirectory() as folder:
        files = {
            "write": Path(folder) / "records.parquet",
            "rejects": Path(folder) / "rejects.csv",
            "where": f"datasets.{plan['task']['dataset']}",
        }
        if plan["text"]:
            sources.read_text(path, **files)
            paragraphs = pd.read_parquet(files["write"])["text"]
            return chunking.chunk_text(paragraphs, **dataset["chunks"])
        sources.read_records(path, dataset.get("format"), dataset["columns"], **files)
        return pd.read_parquet(files["write"])


def _characters(
    records: pd.DataFrame, kind: ModuleType, task: Mapping[str, Any], clean: bool
) -> float:
    """Mean characters of the documents; clean: whether the kind has still to clean the records."""
    lengths = []
    for record in tasks.spread(records, SAMPLED).to_dict("records"):
        record = {k: None if v is None or v != v else v for k, v in record.items()}
        if clean:
            if kind.check(record, dict(task)):
                continue
            record = kind.clean(record, dict(task))
        lengths.append(_length(kind.document(record, dict(task))))
    return sum(lengths) / max(1, len(lengths))


def _length(document: Any) -> int:
    """Characters of a document, whose prompt is text or a conversation."""
    prompt = document.prompt
    if not isinstance(prompt, str):
        prompt = "".join(text for _, text in prompt)
    return len(prompt) + len(document.completion)


def _training_records(used: int, split: Mapping[str, Any]) -> int:
    held_out = (math.ceil(s * used) if s < 1 else s for s in (split["validation"], split["test"]))
    return max(1, used - sum(held_out))


# ---------------------------------------------------------------- the machine


def machine(hardware: Mapping[str, Any], present: Gpu | None) -> tuple[Gpu | None, str]:
    """The GPU to plan for, and how it was chosen.

    hardware: the section of config.yaml. present: the GPU of this machine.
    """
    named = gpus.find(hardware["gpu"]) if hardware["gpu"] else None
    gpu = named or present
    how = "named under hardware" if named else "the one here"
    if hardware["memory_gb"]:
        name = hardware["gpu"] or (present.name if present else "a GPU")
        bf16 = gpu.bf16 if gpu else True
        gpu, how = Gpu(name, round(hardware["memory_gb"] * 1e9), bf16), "named under hardware"
    return gpu, how if gpu else "there is no GPU here, and hardware.gpu names none"


def present() -> Gpu | None:
    """The first GPU of this machine."""
    import torch

    if not torch.cuda.is_available():
        return None
    found = torch.cuda.get_device_properties(0)
    # As in `compute`: older cards only emulate bf16.
    return Gpu(found.name, found.total_memory, found.major >= 8)


# ---------------------------------------------------------------- one experiment


@dataclass(frozen=True)
class Row:
    """An experiment's line in the plan."""

    experiment: str
    model: str
    config_from: str
    sizes: Anatomy
    download: int
    download_exact: bool
    work: Work
    steps: int | None
    seeds: int
    setup: Setup
    memory: Memory
    largest_batch: int | None
    """Rows of one forward pass that fit; None where there is no GPU to fit into."""
    verdict: str
    advice: tuple[str, ...]


def row(plan: Mapping[str, Any], gpu: Gpu | None, known: Mapping[str, Any], shipped: Path) -> Row:
    """Plan one experiment.

    plan: see `workflow.Flow.plan`. gpu: what to fit into, or None. known: sizes of public data
    sets. shipped: folder with configs of public models.
    """
    where = f"experiments.{plan['experiment']}"
    config, origin, exact = model_config(plan["model"], Path(plan["files"]["model"]), shipped)
    sizes = anatomy(config, plan["lora"], where)
    amount = work(plan, known)
    training = plan["training"]
    # A model that is built here is trained on the CPU where there is no GPU.
    on_gpu = gpu is not None or plan["model"]["source"] != "pretrain"
    checkpointing = training["activation_checkpointing"]
    gptq = plan["model"].get("gptq") or {}
    setup = Setup(
        quantisation=plan["quantisation"],
        optimiser=training["optimiser"],
        dropout=plan["lora"]["dropout"],
        batch_size=training["batch_size"],
        accumulation=training["gradient_accumulation"],
        row_length=amount.row_length,
        checkpointing=fitting.use_checkpointing(checkpointing, sizes.parameters, on_gpu),
        on_gpu=on_gpu,
        half=on_gpu and training["precision"] != "fp32",
        gptq=(gptq.get("bits", 4), gptq.get("group_size", 128)),
    )
    memory = planning_memory.estimate(sizes, setup)
    verdict, advice, largest = _judge(sizes, setup, gpu)
    if gpu and not gpu.bf16 and training["precision"] == "bf16":
        advice.append(f"training.precision: {gpu.name} has no bf16; write auto or fp16")
    return Row(
        experiment=plan["experiment"],
        model=plan["model"].get("id") or plan["model"]["name"],
        config_from=origin,
        sizes=sizes,
        download=download_bytes(config, sizes) if exact is None else exact,
        download_exact=exact is not None,
        work=amount,
        steps=amount.steps(training),
        seeds=plan["seeds"],
        setup=setup,
        memory=memory,
        largest_batch=largest,
        verdict=verdict,
        advice=(*advice, *_remarks(sizes, setup, plan["lora"])),
    )


def _judge(sizes: Anatomy, setup: Setup, gpu: Gpu | None) -> tuple[str, list[str], int | None]:
    """(verdict, advice, largest batch)."""
    needed = planning_memory.estimate(sizes, setup).total
    if not setup.on_gpu:
        return "on the CPU", [], None
    if gpu is None:
        fits = gpus.holding(needed)
        name = f"{fits.name} ({giga(fits.memory)}) or larger" if fits else "more than one GPU has"
        return "needs a GPU", [f"needs a GPU with {giga(needed)}: {name}"], None
    largest = planning_memory.largest_batch(sizes, setup, gpu.memory)
    if needed <= gpu.memory:
        return "fits", [], largest
    shorter = [setup.row_length // 2**n for n in range(1, 8)]
    lengths = tuple(length for length in shorter if length >= 64)
    found = planning_memory.nearest(sizes, setup, gpu.memory, lengths)
    if found is None:
        least = replace(setup, batch_size=1, checkpointing=True, quantisation="nf4")
        wanted = planning_memory.estimate(sizes, least).total
        other = gpus.holding(wanted)
        name = f" ({other.name} or larger)" if other else ""
        told = f"nothing makes it fit: even one row in nf4 needs {giga(wanted)}{name}"
        return "does not fit", [told], largest
    told = ", ".join(planning_memory.changes(setup, found))
    told += f": then {giga(planning_memory.estimate(sizes, found).total)}, the same rows a step"
    smaller = replace(setup, batch_size=found.batch_size, accumulation=found.accumulation)
    if found != smaller:
        return "does not fit", [told], largest
    # The training finds it by itself, but only by running out of memory first.
    return "fits in smaller batches", [f"{told} (it comes to that by itself, later)"], largest


def _remarks(sizes: Anatomy, setup: Setup, lora: Mapping[str, Any]) -> list[str]:
    remarks = []
    if sizes.kind not in planning_memory.LLAMA_LIKE:
        remarks.append(f"the activations of '{sizes.kind}' are counted as if it were a Llama")
    if lora["use_dora"]:
        remarks.append("DoRA takes more than is counted here")
    if "paged" in setup.optimiser and setup.on_gpu:
        remarks.append("the paged optimiser state may move to the CPU's memory")
    return remarks


# ---------------------------------------------------------------- the table


def giga(count: float) -> str:
    """Bytes as GB (10^9), three figures."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e9:.2f} GB"


def _count(number: int | None) -> str:
    if number is None:
        return "?"
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e4)):
        if number >= size:
            return f"{number / (1e3 if unit == 'k' else size):.3g} {unit}"
    return str(number)


_MARK = {"exact": "", "estimated": "~", "at most": "≤ ", "unknown": ""}


def _columns(row: Row) -> dict[str, str]:
    mark, memory = _MARK[row.work.how], row.memory
    share = row.sizes.trainable / row.sizes.parameters
    batch = f"{row.setup.batch_size} × {row.setup.accumulation}"
    return {
        "experiment": row.experiment,
        "model": row.model,
        "parameters": _count(row.sizes.parameters),
        "trainable": f"{_count(row.sizes.trainable)} ({share:.2%})",
        "download": ("" if row.download_exact else "~") + giga(row.download)
        if row.download
        else "none",
        "tokens": mark + _count(row.work.tokens),
        "steps": mark + _count(row.steps) + (f" × {row.seeds} seeds" if row.seeds > 1 else ""),
        "base held as": row.setup.quantisation,
        "rows a step": f"{batch} of {row.work.row_length} tokens",
        "checkpointing": "on" if row.setup.checkpointing else "off",
        "weights": giga(memory.weights),
        "adapters": giga(memory.adapters),
        "optimiser": giga(memory.optimiser),
        "activations": giga(memory.activations),
        "logits and loss": giga(memory.logits) if memory.logits else "in a block",
        "overhead": giga(memory.overhead),
        "peak": giga(memory.total),
        "largest batch": "" if row.largest_batch is None else str(row.largest_batch),
        "verdict": row.verdict,
    }


def render(rows: list[Row], gpu: Gpu | None, how: str) -> str:
    """The plan as text: a line a quantity and a column an experiment, then what to change."""
    columns = [_columns(row) for row in rows]
    names = list(columns[0])
    cells = [[name, *(column[name] for column in columns)] for name in names]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = [
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    lines.insert(1, "-" * len(max(lines, key=len)))
    title = f"GPU: {how}"
    if gpu:
        title = f"GPU: {gpu.name}, {giga(gpu.memory)}, {'bf16' if gpu.bf16 else 'fp16'} ({how})"
    told = [f"{row.experiment}: {advice}" for row in rows for advice in row.advice]
    guessed = {
        f"{row.experiment}: tokens are {row.work.how}, from {row.work.source}"
        for row in rows
        if row.work.how != "exact"
    }
    return "\n".join(
        [
            title,
            "",
            *lines,
            "",
            *told,
            *sorted(guessed),
            "~ is an estimate. The peak is one too; read it with a fifth of tolerance.",
        ]
    )


def frame(rows: list[Row]) -> pd.DataFrame:
    """The same as numbers: counts, and bytes at the peak by part."""
    return pd.DataFrame(
        {
            "experiment": row.experiment,
            "model": row.model,
            "config_from": row.config_from,
            "parameters": row.sizes.parameters,
            "trainable": row.sizes.trainable,
            "download_bytes": row.download,
            "download_exact": row.download_exact,
            "tokens": row.work.tokens,
            "rows": row.work.rows,
            "row_length": row.work.row_length,
            "steps": row.steps,
            "seeds": row.seeds,
            "tokens_are": row.work.how,
            "quantisation": row.setup.quantisation,
            "batch_size": row.setup.batch_size,
            "activation_checkpointing": row.setup.checkpointing,
            "weights": row.memory.weights,
            "adapters": row.memory.adapters,
            "optimiser": row.memory.optimiser,
            "activations": row.memory.activations,
            "logits": row.memory.logits,
            "overhead": row.memory.overhead,
            "allocated": row.memory.allocated,
            "peak": row.memory.total,
            "largest_batch": row.largest_batch,
            "verdict": row.verdict,
            "advice": "; ".join(row.advice),
        }
        for row in rows
    )


def make(
    settings: Mapping[str, Any],
    presets: Path,
    say: Callable[[str], None],
    gpu_here: Callable[[], Gpu | None] = present,
) -> pd.DataFrame:
    """Plan all experiments, say the table, and return it as numbers.

    settings: of `workflow.Flow.plan`. presets: the folder with configs/.
    """
    configs = presets / "configs"
    known = _read(configs / "datasets.json") if (configs / "datasets.json").is_file() else {}
    gpu, how = machine(settings["hardware"], gpu_here())
    rows = [row(plan, gpu, known, configs) for plan in settings["experiments"]]
    say(render(rows, gpu, how))
    return frame(rows)
