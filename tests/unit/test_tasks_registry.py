"""Kinds of task implement the Protocol; nothing else of the library knows them by name."""

import ast
import re
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from conftest import ROOT
from deltatune.config.datasets import SAMPLES
from deltatune.core.errors import UserError
from deltatune.metrics import registry as metrics
from deltatune.tasks import base, prose, registry
from deltatune.tasks.registry import available_kinds, load_kind


@pytest.mark.parametrize("name", available_kinds())
def test_every_kind_implements_the_protocol(name):
    kind = load_kind(name)
    assert kind.MAIN_METRIC in metrics.available_metrics(kind.OUTPUTS)
    assert kind.Settings.model_fields["main_metric"].default == kind.MAIN_METRIC
    assert set(kind.OPTIONAL_FIELDS) <= set(kind.FIELDS)


def test_outputs_of_tasks_are_those_that_have_metrics():
    assert tuple(base.PROTOCOLS) == metrics.OUTPUTS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"OUTPUTS": "images"}, "OUTPUTS is one of answers, text, labels, not 'images'"),
        (
            {"OUTPUTS": "labels"},
            r"lacks bodies, completions, empty_prompts, label_names, read_labels, with_labels: ",
        ),
        ({"UNIT": None, "passages": None}, r"poem\.py lacks UNIT, passages: TextKind in"),
        (
            {"TRUNCATION": "drop"},
            "TRUNCATION is one of truncate, shorten_prompt, leave_out_turns, not 'drop'",
        ),
        ({"Settings": dict}, "Settings is no subclass of TaskSettings"),
        ({"Settings": prose.Settings}, '`kind` of Settings is not Literal."poem"'),
        ({"Prompts": prose.Questions}, "Settings is no subclass of Prompts, whose keys it has"),
        ({"Questions": base.TaskSettings}, "no `evaluation` of a subclass of Questions"),
    ],
)
def test_a_kind_that_lacks_a_member_is_refused(change, message, monkeypatch):
    members = {name: value for name, value in vars(prose).items() if not name.startswith("_")}
    members = {name: value for name, value in (members | change).items() if value is not None}
    # None stands for a member that is left out, but LABEL_FIELD may be None.
    kind = SimpleNamespace(**{"LABEL_FIELD": None, **members})
    monkeypatch.setitem(sys.modules, "deltatune.tasks.poem", kind)
    with pytest.raises(UserError, match=message):
        load_kind("poem")


def sources() -> Iterator[tuple[str, ast.AST]]:
    """(file, node) of all the code outside the package, and outside of recipes, which writes
    settings of each kind."""
    for file in sorted((ROOT / "scripts").rglob("*.py")):
        if file.parent.name not in ("tasks", "recipes"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                yield file.relative_to(ROOT / "scripts").as_posix(), node


def test_nothing_outside_the_package_names_a_kind():
    named = {
        (file, node.value)
        for file, node in sources()
        if isinstance(node, ast.Constant) and node.value in available_kinds()
    }
    # A sample dataset has the name of a kind, and so have columns of public data sets.
    samples = {"deltatune/config/model.py", "deltatune/config/datasets.py"}
    columns = {("deltatune/data/prepare.py", "chat")}
    assert named == {(file, "prose") for file in samples} | columns and "prose" in SAMPLES
    quoted = re.compile(rf"""["']({"|".join(available_kinds())})["']""")
    for file in [*ROOT.glob("rules/*.smk"), *ROOT.glob("report/**/*.*")]:
        assert not quoted.search(file.read_text(encoding="utf-8")), file.name


def test_the_protocols_name_all_that_is_asked_of_a_kind():
    """Asked of `kind`, or of what load_kind and Selection.task_kind return."""
    asked = set()
    for _, node in sources():
        if isinstance(node, ast.Attribute):
            of = ast.unparse(node.value)
            if re.fullmatch(r"(\w+\.)*kind|([\w.]+\.)?(load_kind|task_kind)\([^()]*\)", of):
                asked.add(node.attr)
    # Elsewhere `kind` is a word.
    asked -= {*dir(str), "__name__"}
    members = {name for protocol in base.PROTOCOLS.values() for name in registry.members(protocol)}
    assert {"questions", "OUTPUTS", "passages", "label_names"} <= asked <= members
