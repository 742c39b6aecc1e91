"""Many records stay within a fixed memory: the measurement of benchmarks/ on fewer of them."""

from __future__ import annotations

import json
import sys

import pytest
from conftest import ROOT

COUNT = 60_000
# Peak of the whole process in GB. The libraries alone take 0.1 (pyarrow), 0.25 (pandas and
# scikit-learn) and 0.2 (transformers and datasets).
BOUNDS = {"fetch_dataset, csv": 0.3, "split_dataset": 0.4, "tokenize_split": 0.35}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        import million_records

        yield folder, million_records.measure(folder, COUNT, ["csv"])
    sys.modules.pop("million_records", None)


def test_each_stage_stays_within_its_memory(measured):
    _, rows = measured
    assert {row["stage"] for row in rows} == set(BOUNDS)
    assert not [row for row in rows if row["peak_gb"] > BOUNDS[row["stage"]]]


def test_none_of_them_is_lost(measured):
    folder, _ = measured
    split = json.loads((folder / "split.json").read_text())
    sizes = [split[name] for name in ("train", "validation", "test")]
    assert split["records"] == COUNT == sum(sizes) + sum(split["excluded"].values())
    # As the measurement writes them: one in fifty twice, and one in fifty nearly.
    assert 0.015 * COUNT < split["excluded"]["duplicate"] < 0.025 * COUNT
    assert split["excluded"]["near_duplicate"] > 0.002 * COUNT
    tokens = json.loads((folder / "tokens.json").read_text())
    assert tokens["documents"] == split["train"] == tokens["pieces"]
    assert tokens["padding_share"] < 0.02
