"""Configs that are right, made from the typed model, and ways to spoil them."""

from __future__ import annotations

import copy
import types
import typing
from functools import cache
from typing import Any, Literal, get_args, get_origin

import annotated_types
from deltatune.config.model import (
    Cluster,
    Experiment,
    Hardware,
    HubDataset,
    HubModel,
    Settings,
    Statistics,
    Training,
    UrlDataset,
)
from deltatune.evaluate.settings import Evaluation
from deltatune.metrics.registry import available_metrics
from deltatune.models.gpus import KNOWN
from deltatune.models.pretrain_settings import Architecture
from deltatune.tasks.base import Split
from deltatune.tasks.registry import available_kinds, load_kind
from deltatune.train.optimizers import optimizer_names
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

FILES = [f"{i}.csv" for i in range(4)] + ["text.txt", "a b.jsonl", "ä.parquet"]
"""Files that have to be there, in the folder that the config is loaded from."""

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,12}", fullmatch=True).filter(
    lambda name: ".." not in name
)
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
_REVISION = st.sampled_from(["v1.0", "0" * 40, "refs-x/y"])

# Fields whose type says less than their validator.
_SPECIAL: dict[tuple[type, str], st.SearchStrategy] = {
    (HubDataset, "id"): st.sampled_from(["a/b", "gpt2", "x.y/z-1"]),
    (HubModel, "id"): st.sampled_from(["a/b", "gpt2", "x.y/z-1"]),
    (HubDataset, "revision"): _REVISION,
    (HubModel, "revision"): _REVISION,
    (HubDataset, "split"): st.sampled_from(["train", "a.b"]),
    (UrlDataset, "url"): st.sampled_from(["https://a.b/c.csv", "http://h:80/x.txt"]),
    # More than one GPU: what goes with it is said by unit tests, and not every base can be shared.
    (Training, "gpus"): st.just(1),
    (Training, "sharded"): st.just(False),
    # What vLLM cannot do is said by unit tests.
    (Evaluation, "backend"): st.just("transformers"),
    (Hardware, "gpu"): st.sampled_from([None, *KNOWN]),
    # Names of metrics; which are known depends on the tasks.
    (Statistics, "margins"): st.builds(dict),
}


@cache
def values(model: type[BaseModel], name: str) -> st.SearchStrategy:
    """What a field may be given."""
    field = model.model_fields[name]
    if (model, name) in _SPECIAL:
        return _SPECIAL[model, name]
    if model is Cluster and field.annotation != int | None:
        return st.sampled_from([None, "main", "a100"])
    if name == "optimizer":
        return st.sampled_from(optimizer_names())
    if name == "targets":
        return st.sampled_from(["all-linear", ["q_proj", "v_proj"]])
    if name in ("rank_pattern", "alpha_pattern"):
        return st.dictionaries(st.sampled_from(["q_proj", ".*_proj"]), st.integers(1, 99))
    if name == "chat_template":
        return st.sampled_from([None, "{{ messages }}"])
    if issubclass(model, Split) and name in ("validation", "test"):
        # Fractions that leave something for training.
        return st.floats(0, 0.45, exclude_min=True) | st.integers(1, 2**70)
    if name == "sha256":
        return st.sampled_from([None, "0" * 64])
    return _of(field.annotation, field.metadata)


def _of(annotation: Any, bounds: Any = ()) -> st.SearchStrategy:
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        inner, *more = get_args(annotation)
        return _of(inner, [*bounds, *more])
    if origin is Literal:
        return st.sampled_from(get_args(annotation))
    if origin in (typing.Union, types.UnionType):
        return st.one_of([_of(part, bounds) for part in get_args(annotation)])
    limits = _limits(bounds)
    if annotation is type(None):
        return st.none()
    if annotation is bool:
        return st.booleans()
    if annotation is int:
        low = limits.get("ge", limits.get("gt", -1) + 1)
        return st.integers(low, limits.get("le", limits.get("lt", low + 2**70) - 1))
    if annotation is float:
        low, high = limits.get("ge", limits.get("gt")), limits.get("le", limits.get("lt"))
        low, high = -1e9 if low is None else low, 1e9 if high is None else high
        return st.floats(low, high, exclude_min="gt" in limits, exclude_max="lt" in limits)
    if annotation is str:
        return st.text(CHARACTERS, min_size=limits.get("min_length", 0), max_size=20)
    if origin is list:
        return st.lists(
            _of(*get_args(annotation)), min_size=limits.get("min_length", 0), max_size=3
        )
    if origin is dict:
        key, value = get_args(annotation)
        return st.dictionaries(_of(key), _of(value), max_size=3)
    if annotation is Architecture:
        return architectures()
    if isinstance(annotation, type) and issubclass(annotation, Split):
        return sections(annotation).filter(_splits)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return sections(annotation)
    raise AssertionError(f"no strategy for {annotation}: extend tests/fuzz/configs.py")


def _splits(split: dict[str, Any]) -> bool:
    """Whether the keys of a split go together."""
    method = split.get("method", "contiguous")
    if method == "hash" and max(split.get(key, 0) for key in ("validation", "test")) >= 1:
        return False
    return method != "contiguous" or split.get("group") is None


def _limits(bounds: Any) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    for bound in bounds:
        if isinstance(bound, FieldInfo):
            limits |= _limits(bound.metadata)
        elif isinstance(bound, annotated_types.BaseMetadata):
            names = ("ge", "gt", "le", "lt", "min_length")
            limits |= {name: getattr(bound, name) for name in names if hasattr(bound, name)}
    return limits


def sections(model: type[BaseModel], /, **fixed: Any) -> st.SearchStrategy[dict[str, Any]]:
    """The section as a mapping, with any of the keys that may be left out."""
    required, optional = {}, {}
    for name, field in model.model_fields.items():
        if name in fixed:
            required[name] = st.just(fixed[name])
        elif field.is_required():
            required[name] = values(model, name)
        else:
            optional[name] = values(model, name)
    return st.fixed_dictionaries(required, optional=optional)


@st.composite
def architectures(draw: Any, context: int = 512) -> dict[str, Any]:
    kv, group, width = (draw(st.sampled_from([1, 2, 4])) for _ in range(3))
    heads = kv * group
    size = max(16, heads * 2 * width)
    size += -size % (2 * heads)
    return {"kv_heads": kv, "heads": heads, "hidden_size": size, "context": context}


@st.composite
def _tasks(draw: Any, kind: str, dataset: str) -> dict[str, Any]:
    module = load_kind(kind)
    known = available_metrics(module.OUTPUTS)
    chosen = draw(st.lists(st.sampled_from(known), min_size=1, unique=True))
    fixed: dict[str, Any] = {
        "kind": kind,
        "dataset": dataset,
        "metrics": chosen,
        "main_metric": draw(st.sampled_from(chosen)),
        "max_length": draw(st.integers(16, 512)),
        "evaluation": draw(sections(module.Settings.model_fields["evaluation"].annotation)),
    }
    if fixed["evaluation"].get("context"):
        fixed["evaluation"]["context"] = draw(st.integers(32, 512))
    if "max_new_tokens" in fixed["evaluation"]:
        fixed["evaluation"]["max_new_tokens"] = draw(st.integers(1, 510))
    if kind == "classify":
        label = st.text(CHARACTERS, min_size=1, max_size=9).filter(str.strip)
        label = label.map(lambda name: " ".join(name.split()))
        labels = draw(st.lists(label, min_size=2, max_size=5, unique=True))
        fixed["labels"] = draw(st.sampled_from([labels, dict(enumerate(labels))]))
        fixed["class_weights"] = draw(st.sampled_from([None, "balanced", {labels[0]: 2.5}]))
        fixed["prompt"] = draw(st.sampled_from(["{text}:", "{labels}?\n{text}\n{{}}:"]))
    if kind == "instruct":
        own = {"with_input": "{instruction}{input}:", "without_input": "{{ {instruction}"}
        fixed["prompt"] = draw(st.sampled_from(["alpaca", "plain", own]))
    if "language" in module.Settings.model_fields:
        fixed["language"] = draw(st.sampled_from(["en", "es", "zh", "th", "none"]))
    return draw(sections(module.Settings, **fixed))


@st.composite
def configs(draw: Any) -> dict[str, Any]:
    """A whole config in which every name points somewhere; no two datasets are the same."""
    named = {"datasets": {}, "models": {}, "tasks": {}, "experiments": {}, "run": "all"}
    text = st.text(CHARACTERS, min_size=1, max_size=9).filter(str.strip)
    config = draw(
        sections(Settings, **named, prompts=draw(st.lists(text, max_size=3, unique=True)))
    )
    unique = {"unique_by": str.casefold}
    dataset_names = draw(st.lists(NAMES, min_size=1, max_size=4, **unique))
    config["seeds"] = draw(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3, unique=True))
    samples = ["instructions", "prose", "news"]
    for i, name in enumerate(dataset_names):
        source = draw(st.sampled_from(["file", "sample", "hub", "url"]))
        if source == "sample" and i < len(samples):
            config["datasets"][name] = {"source": "sample", "name": samples[i]}
        elif source == "hub":
            config["datasets"][name] = draw(sections(HubDataset, source="hub", id=f"owner/set{i}"))
        elif source == "url":
            url = f"https://example.org/{i}.csv"
            config["datasets"][name] = draw(sections(UrlDataset, source="url", url=url))
        else:
            config["datasets"][name] = {"source": "file", "path": FILES[i]}
        # With braces, a column is a template of several.
        columns = config["datasets"][name].get("columns", {})
        for field in [field for field, column in columns.items() if {*"{}"} & {*str(column)}]:
            del columns[field]
    task_names = draw(st.lists(NAMES, min_size=1, max_size=len(dataset_names), **unique))
    for name, dataset in zip(task_names, dataset_names, strict=False):
        kind = draw(st.sampled_from(available_kinds()))
        config["tasks"][name] = draw(_tasks(kind, dataset))
    for name in draw(st.lists(NAMES, min_size=1, max_size=2, **unique)):
        if draw(st.booleans()):
            config["models"][name] = draw(sections(HubModel, source="hub", gptq=None))
        else:
            config["models"][name] = {
                "source": "pretrain",
                "corpus": task_names[: draw(st.integers(1, len(task_names)))],
                "architecture": draw(architectures()),
                "threads": draw(st.integers(1, 256)),
            }
    for name in draw(st.lists(NAMES, min_size=1, max_size=3, **unique)):
        task = draw(st.sampled_from(task_names))
        others = [other for other in task_names if other != task]
        experiment = config["experiments"][name] = draw(
            sections(
                Experiment,
                model=draw(st.sampled_from(list(config["models"]))),
                task=task,
                cross_task=draw(st.none() | st.lists(st.sampled_from(others), unique=True))
                if others
                else [],
                quantization=draw(st.sampled_from(["nf4", "int8", "none"])),
                published=None,
            )
        )
        # One of the two says how long the training is.
        training = experiment.get("training", {})
        if training.get("max_steps") is not None or training.get("epochs", 1) is None:
            training.pop("epochs", None)
    if draw(st.booleans()):
        config["run"] = draw(st.lists(st.sampled_from(list(config["experiments"])), min_size=1))
    return config


# ---------------------------------------------------------------- spoiling

HOSTILE_NAMES = [
    "", " ", ".", "..", "../x", "a/b", "a b", "-rf", ".hidden", "x" * 300, "é", "🎉", "a\0b",
    "a\nb", "CON", "nul.txt", "a{b}", "{wildcard}", "a*b", "~", "$(id)", "`id`", "a;b", "\ud800",
    "\x1b[31m", "__init__", "a..b", "a\\b", "%00", "\u202e", "\u200b", "None", "a:b",
]  # fmt: skip
HOSTILE_VALUES = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**39, -(10**39), 0.5, -0.0, 1e308,
    float("nan"), float("inf"), float("-inf"), "", " ", "nan", "1e-4", "yes", [], {}, [[]],
    [None], {"": None}, {"a": {"b": {"c": []}}}, [1, "a", None], b"bytes", {1: 2}, {None: 1},
    "x" * 100_000, ["x"] * 1000, {f"k{i}": i for i in range(100)}, object(),
    *HOSTILE_NAMES,
]  # fmt: skip


def places(config: Any, path: tuple = ()) -> list[tuple]:
    """Every key and item of a config, as paths."""
    paths = [path] if path else []
    items = (
        config.items()
        if isinstance(config, dict)
        else enumerate(config)
        if isinstance(config, list)
        else ()
    )
    for key, value in items:
        paths += places(value, (*path, key))
    return paths


@st.composite
def corrupted(draw: Any) -> dict[str, Any]:
    """A config that was right, with one to three things changed in it."""
    config = copy.deepcopy(draw(configs()))
    for _ in range(draw(st.integers(1, 3))):
        known = places(config)
        if not known:
            break
        *parents, last = draw(st.sampled_from(known))
        inside = config
        for key in parents:
            inside = inside[key]
        how = draw(st.sampled_from(["value", "value", "key", "name", "drop", "wrap", "swap"]))
        if how == "value":
            inside[last] = draw(st.sampled_from(HOSTILE_VALUES))
        elif how == "key" and isinstance(inside, dict):
            inside[draw(st.sampled_from([*HOSTILE_NAMES, 1, None, 1.5, True]))] = 1
        elif how == "name" and isinstance(inside, dict):
            inside[draw(st.sampled_from(HOSTILE_NAMES))] = inside.pop(last)
        elif how == "drop":
            del inside[last]
        elif how == "wrap":
            inside[last] = draw(st.sampled_from([[inside[last]], {"a": inside[last]}]))
        elif how == "swap":
            *others, other = draw(st.sampled_from(known))
            source: Any = config
            for key in others:
                if not isinstance(source, dict | list):
                    break
                source = source[key] if not isinstance(source, dict) else source.get(key)
            if isinstance(source, dict):
                inside[last] = copy.deepcopy(source.get(other))
    return config
