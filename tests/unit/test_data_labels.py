"""Classes that nobody has named, found in the data."""

from __future__ import annotations

import json
import re

import pytest
from deltatune.core import label_file
from deltatune.data import labels


@pytest.mark.parametrize(
    ("values", "source_names", "expected"),
    [
        (["spam", "ham"], (), {"ham": "ham", "spam": "spam"}),
        (["10", "9", "-1", "2.0"], (), {"-1": "-1", "2.0": "2", "9": "9", "10": "10"}),
        (["2", "2.0", " 1 "], (), {"1": "1", "2": "2", "2.0": "2"}),
        (["True", "false"], (), {"false": "false", "True": "true"}),
        (["10", "9", "nine"], (), {"10": "10", "9": "9", "nine": "nine"}),
        (["a  b", "a b", " "], (), {"a  b": "a b", "a b": "a b"}),
        # Those of the source in its order, and where no record has one.
        (
            ["1", "0"],
            ("World", "Sci/Tech", "Arts"),
            {"0": "World", "1": "Sci/Tech", "2": "Arts"}
            | {name: name for name in ("World", "Sci/Tech", "Arts")},
        ),
    ],
)
def test_the_classes_of_values_have_an_order(values, source_names, expected):
    result = labels.find(values, source_names)
    assert list(result.items()) == list(expected.items())
    assert labels.find(reversed(values), source_names) == expected


@pytest.mark.parametrize("names", [["World", "World"], ["World", " "]])
def test_a_source_that_gives_no_class_a_name_of_its_own(names):
    with pytest.raises(ValueError, match="not each by a name of its own"):
        labels.find(["0", "1"], names)


@pytest.mark.parametrize(
    ("names", "records", "message"),
    [
        ([f"word {n}" for n in range(51)], 10_000, "10,000 records have 51 different labels"),
        (["a", "b", "c"], 5, r"5 records have 3 different labels \('a', 'b', 'c'\); that many"),
        (["Spam", "spam", "ham"], 90, "have 'Spam' and 'spam', which differ in case alone"),
    ],
)
def test_what_are_no_classes(names, records, message):
    doubt = labels.doubt(names, records)
    assert doubt is not None and re.search(message, doubt)


def test_what_are_classes():
    assert labels.doubt([f"word {n}" for n in range(50)], 100) is None


def test_the_file_keeps_names_and_order(tmp_path):
    names = ["Wörld", 'say "x"', "1", "a, b"]
    label_file.write(tmp_path / "labels.json", names)
    assert json.loads((tmp_path / "labels.json").read_text("utf-8")) == names
    assert label_file.read(tmp_path / "labels.json") == names
    # Of a task without classes no stage has the file among its inputs.
    assert label_file.read([]) == []
