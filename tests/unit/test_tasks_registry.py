"""Kinds of task implement the Protocol; nothing else of the library knows them by name."""

import ast
import sys
from types import SimpleNamespace

import pytest
from conftest import ROOT
from deltatune.core.errors import UserError
from deltatune.metrics import registry as metrics
from deltatune.tasks import base, prose
from deltatune.tasks.registry import available_kinds, load_kind


@pytest.mark.parametrize("name", available_kinds())
def test_every_kind_implements_the_protocol(name):
    kind = load_kind(name)
    assert kind.MAIN_METRIC in metrics.available_metrics(kind.OUTPUTS)
    assert kind.Settings.model_fields["main_metric"].default == kind.MAIN_METRIC
    assert set(kind.OPTIONAL_FIELDS) <= set(kind.TEXT_FIELDS)


def test_outputs_of_tasks_are_those_that_have_metrics():
    assert tuple(base.PROTOCOLS) == metrics.OUTPUTS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"OUTPUTS": "images"}, "OUTPUTS is one of answers, text, labels, not 'images'"),
        ({"OUTPUTS": "labels"}, r"lacks completions, empty_prompts, label_names: LabelKind in"),
        ({"UNIT": None, "passages": None}, r"poem\.py lacks UNIT, passages: TextKind in"),
        ({"OVERFLOW": "drop"}, "OVERFLOW is one of truncate, shorten_prompt, split, not 'drop'"),
        ({"Settings": dict}, "Settings is no subclass of TaskSettings"),
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


def test_nothing_outside_the_package_compares_with_the_name_of_a_kind():
    kinds = set(available_kinds())
    for file in sorted((ROOT / "scripts").rglob("*.py")):
        if file.parent.name == "tasks":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                values = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
                assert not values & kinds, f"{file.relative_to(ROOT)}:{node.lineno}"
