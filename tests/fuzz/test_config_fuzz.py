"""config.yaml, right and wrong, as values and as text: loaded, or refused in a few lines."""

from __future__ import annotations

import copy
import json
from pathlib import PurePosixPath
from types import SimpleNamespace as Wildcards

import pytest
import yaml
from configs import FILES, NAMES, configs, corrupted, places
from conftest import ROOT
from deltatune.config import file
from deltatune.config.load import load_settings
from deltatune.config.problems import MOST, ConfigError
from deltatune.core.errors import UserError
from deltatune.core.text import printable
from deltatune.workflow.flow import Flow
from fuzzing import fuzz
from hypothesis import strategies as st

DEFAULT = (ROOT / "config.yaml").read_text()


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """A folder with the files that the configs name."""
    folder = tmp_path_factory.mktemp("configs")
    for name in FILES:
        (folder / name).write_text("a,b\n1,2\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def ask_everything(flow: Flow) -> list[str]:
    """What the rules ask of a Flow, for every name; returns all paths of results that it gave."""
    paths = [
        *flow.paths.tables(),
        *flow.inputs.join_comparisons(Wildcards(table="comparison")),
        *flow.inputs.join_comparisons(Wildcards(table="cross_task")),
    ]
    for name in flow.settings.datasets:
        job = Wildcards(dataset=name)
        flow.params.fetch_dataset(job), flow.inputs.fetch_dataset(job), flow.is_text(name)
    for name in flow.settings.tasks:
        paths.append(flow.paths.records(name))
        job = Wildcards(task=name)
        flow.params.split_dataset(job), flow.params.compute_metrics(job)
    for name in flow.settings.models:
        job = Wildcards(model=name)
        flow.params.base_name(name)
        if flow.is_pretrained_here(name):
            flow.params.pretrain_model(job)
            paths += flow.inputs.pretrain_model(job)
        else:
            flow.params.fetch_model(job)
    for name, experiment in flow.experiments.items():
        job = Wildcards(experiment=name)
        flow.params.plot_differences(job), flow.params.plot_confusion(job)
        for seed in flow.settings.seeds:
            flow.params.train_adapter(Wildcards(experiment=name, seed=str(seed)))
        for task in (experiment.task, *(t for n, t in flow.cross_task if n == name)):
            flow.params.compare_systems(Wildcards(experiment=name, task=task))
            for system in (flow.base(name), *flow.tuned(name)):
                paths += [
                    flow.paths.outputs("test", task, system),
                    *flow.paths.system_hashes(system).values(),
                ]
                for rule in flow.evaluations(task, own=True):
                    getattr(flow.params, rule)(Wildcards(task=task, system=system))
        paths += [flow.paths.tokens(name, "train"), *flow.paths.runs(name, "loss.csv")]
    json.dumps(flow.report.plan(), default=str)
    return paths


def stays_inside(paths: list[str]) -> bool:
    parts = [PurePosixPath(path).parts for path in paths]
    return all(part[0] == "results" and ".." not in part for part in parts)


@fuzz(100, config=configs())
def test_a_right_config_is_loaded_and_every_rule_gets_its_answers(config):
    flow = Flow(config)
    dumped = json.loads(json.dumps(flow.settings.model_dump(mode="json")))
    again = load_settings(dumped).model_dump(mode="json")
    assert json.loads(json.dumps(again)) == dumped
    assert stays_inside(ask_everything(flow))


@fuzz(40, config=configs())
def test_a_right_config_goes_through_yaml(config, folder):
    path = folder / "c.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    lines = file.read(path)
    assert {f"experiments.{name}" for name in config["experiments"]} <= set(lines)
    assert load_settings(yaml.safe_load(path.read_text(encoding="utf-8"))) == load_settings(config)


@fuzz(300, config=corrupted())
def test_a_corrupted_config_is_refused_in_lines_or_works(config):
    try:
        flow = Flow(config)
    except UserError as error:
        heading, *lines = str(error).split("\n")
        assert heading == "config.yaml cannot be used as it is:"
        assert lines and len(lines) <= MOST + 1
        assert all(line.startswith("  - ") and len(line) < 2100 for line in lines)
        printable(str(error)).encode()
        assert "pydantic" not in str(error) and "Traceback" not in str(error)
    else:
        assert stays_inside(ask_everything(flow))


@st.composite
def misspelt(draw):
    """A config, the path of a key in it, and the same key with a letter too many or too few."""
    config = copy.deepcopy(draw(configs()))
    named = ("datasets", "models", "tasks", "experiments")
    free = ("columns", "labels", "class_weights", "rank_pattern", "alpha_pattern")
    free += ("prompt", "metrics")
    known = [
        path
        for path in places(config)
        if not (len(path) == 2 and path[0] in named)
        and all(isinstance(key, str) for key in path)
        and not set(path[:-1]) & set(free)
        and path[-1] not in ("source", "kind")
    ]
    path = draw(st.sampled_from(known))
    key = path[-1]
    at = draw(st.integers(0, len(key) - 1))
    wrong = draw(st.sampled_from([key[:at] + key[at + 1 :], key[:at] + key[at] + key[at:]]))
    return config, path, wrong


@fuzz(120, given=misspelt())
def test_a_misspelt_key_is_named_with_its_path_and_what_was_meant(given):
    config, (*parents, key), wrong = given
    inside = config
    for parent in parents:
        inside = inside[parent]
    if wrong in inside or not wrong:
        return
    inside[wrong] = inside.pop(key)
    with pytest.raises(UserError) as refused:
        load_settings(config)
    message = f"{'.'.join([*parents, wrong])}: unknown key"
    lines = [line for line in str(refused.value).split("\n") if line.startswith(f"  - {message}")]
    assert len(lines) == 1, str(refused.value)
    if len(key) > 4:
        assert f"did you mean '{key}'?" in lines[0]


# ---------------------------------------------------------------- text

FRAGMENTS = [
    "\t", "\n", "\r\n", "\0", "\ufeff", "\u2028", "é", "🎉", "\x07", "---\n", "...\n", "<<: *qlora",
    "&a ", "*a", "*qlora", "&qlora ", "!!python/name:os.system ''", "!!binary x", "!x ", "? ", ": ",
    "- ", "#", "'", '"', "{", "}", "[", "]", "|", ">", "%TAG ! x\n", "@", "`", "no: 1\n", "010",
    "1:30", "0x1F", "1e-4", "~", "2020-01-01", "2020-99-99", "yes", ".inf", ".nan", "seeds: [1]\n",
    "seeds: [7]\n", "  ", "\n  x:\n    y: 1\n", "[" * 60, "{a: " * 60, "9" * 50, "null: 1\n",
    "__use_yte__: true\n", "run: ?1+1\n", "pathvars: {}\n", "1.5: x\n", "<<: 5\n", "<<: [1]\n",
    "a: &z [*z]\n", "&q", "= : 1\n", "-5", "+.inf", "12_000", "0b11", "\\", '"\\ud800"', '"\\x00"',
]  # fmt: skip


@st.composite
def texts(draw):
    """The default with a few fragments put in, taken out or doubled."""
    text = DEFAULT
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        to = min(len(text), at + draw(st.sampled_from([0, 0, 0, 1, 2, 8, 40])))
        new = draw(st.sampled_from([*FRAGMENTS, text[at:to] * 2]) | st.text(max_size=4))
        text = text[:at] + new + text[to:]
    return text


def read_as_snakemake(path) -> dict | None:
    """What Snakemake reads of a file that was let pass; None if it was refused."""
    from snakemake.common.configfile import load_configfile

    try:
        lines = file.read(path)
    except UserError as error:
        assert "\n" not in printable(str(error)).strip() and len(str(error)) < 1000
        assert str(path) in str(error)
        return None
    loaded = load_configfile(str(path))
    assert loaded == _plainly(path.read_bytes().decode("utf-8-sig"))
    count = path.read_bytes().count(b"\n") + path.read_bytes().count(b"\r") + 1
    assert all(1 <= line <= 3 * count for line in lines.values())
    return loaded


def _plainly(text: str):
    try:
        return json.loads(text)
    except ValueError:
        return yaml.safe_load(text)


@fuzz(300, text=texts())
def test_what_is_let_pass_snakemake_reads_as_it_stands(text, folder):
    path = folder / "text.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
    loaded = read_as_snakemake(path)
    if loaded is not None:
        try:
            load_settings(loaded, ROOT)
        except ConfigError as error:
            error.message(file.read(path)).encode("utf-8", "replace")


@fuzz(150, data=st.binary(max_size=60) | st.text(max_size=60).map(lambda t: t.encode("utf-16")))
def test_any_bytes_are_read_or_refused(data, folder):
    path = folder / "bytes.yaml"
    path.write_bytes(data)
    read_as_snakemake(path)


@fuzz(
    100,
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=20,
    ),
)
def test_any_tree_with_plain_keys_is_let_pass(value, folder):
    path = folder / "tree.yaml"
    tree = {"tree": value}
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    if any(len(str(abs(number))) > file.DIGITS for number in _numbers(value)):
        return
    loaded = read_as_snakemake(path)
    assert loaded == tree
    path.write_text(json.dumps(tree), encoding="utf-8")
    assert read_as_snakemake(path) == tree


def _numbers(value) -> list:
    if isinstance(value, dict | list):
        inside = value.values() if isinstance(value, dict) else value
        return [number for part in inside for number in _numbers(part)]
    return [value] if type(value) in (int, float) else []
