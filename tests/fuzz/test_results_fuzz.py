"""Degenerate scores and hostile outputs: metrics, statistics, and the page that shows them."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from deltatune.compare import family, statistics
from deltatune.core.errors import UserError
from deltatune.metrics.registry import available_metrics, load_metric
from deltatune.report import page, page_files
from fuzzing import fuzz
from hostile import GOOD, LABELS
from hypothesis import strategies as st
from test_report import Reader, make_data

TEMPLATE = ROOT / "report" / "page.html.j2"

_PAIRS = st.lists(st.tuples(GOOD, GOOD), min_size=1, max_size=6)


def _figures(kind: str, outputs: pd.DataFrame, left_out: tuple[str, ...] = ()) -> None:
    """Each metric gives one finite figure for the whole and one for each example."""
    for name in available_metrics(kind):
        if name in left_out:
            continue
        metric = load_metric(kind, name, labels=LABELS)
        totals = metric.statistics(outputs)
        assert totals.shape[0] == len(outputs) and np.isfinite(totals).all()
        assert math.isfinite(metric.corpus(totals)), name
        assert len(metric.per_example(totals)) == len(outputs)


@fuzz(40, pairs=_PAIRS)
def test_answers_of_any_text_have_finite_figures(pairs):
    answers, references = map(list, zip(*pairs, strict=True))
    outputs = pd.DataFrame({"id": range(len(pairs)), "reference": references, "answer": answers})
    # bertscore needs its model: tests/unit/test_metrics.py.
    _figures("answers", outputs, left_out=("bertscore",))


@fuzz(60, labels=st.lists(st.tuples(*[st.sampled_from(LABELS)] * 3), min_size=1, max_size=8))
def test_labels_of_any_mixture_have_finite_figures(labels):
    columns = dict(zip(("label", "predicted", "predicted_calibrated"), zip(*labels, strict=True),
                       strict=True))  # fmt: skip
    _figures("labels", pd.DataFrame({"id": range(len(labels)), "text": "x", **columns}))


_VALUES = st.sampled_from([0.0, 1.0, -1.0, 1e-300, 1e300, 0.1, 5.0]) | st.floats(-10, 10)


@st.composite
def scores(draw):
    n = draw(st.integers(1, 12))
    column = st.lists(_VALUES, min_size=n, max_size=n)
    seeds = draw(st.integers(1, 3))
    clusters = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    return draw(column), [draw(column) for _ in range(seeds)], clusters


@fuzz(80, given=scores(), confidence=st.sampled_from([0.51, 0.95, 0.999]))
def test_a_comparison_of_any_scores_is_finite_or_says_nothing(given, confidence):
    base, tuned, clusters = given
    ones = np.ones(len(base))
    result = statistics.compare(
        np.column_stack([base, ones]),
        [np.column_stack([one, ones]) for one in tuned],
        lambda totals: totals[..., 0] / totals[..., 1],
        clusters=pd.factorize(np.array(clusters))[0],
        resamples=999,
        confidence=confidence,
        seed=0,
    )
    assert math.isfinite(result.delta)
    if math.isfinite(result.p_value):
        assert 0 < result.p_value <= 1
    if math.isfinite(result.ci_low) and math.isfinite(result.ci_high):
        assert result.ci_low <= result.ci_high
    if len(set(clusters)) == 1:
        assert not math.isfinite(result.ci_low), "one unit says nothing of others"


@fuzz(30, values=st.lists(st.floats(0, 1) | st.just(math.nan), max_size=9))
def test_adjusted_p_values_stay_probabilities_in_order(values):
    adjusted = np.asarray(family.holm(values))
    known = [(p, q) for p, q in zip(values, adjusted, strict=True) if not math.isnan(p)]
    assert all(p <= q + 1e-12 and q <= 1 for p, q in known)
    assert [q for _, q in sorted(known)] == sorted(q for _, q in known)
    assert all(math.isnan(q) for p, q in zip(values, adjusted, strict=True) if math.isnan(p))


# ---------------------------------------------------------------- the page


@pytest.fixture(scope="module")
def scripts() -> list[dict]:
    return [
        attributes for attributes, _ in Reader(page.render(make_data(count=2), TEMPLATE)).scripts
    ]


@fuzz(4, text=st.lists(GOOD, min_size=8).map("".join))
def test_a_text_of_any_kind_adds_no_markup_to_the_page(text, scripts):
    data = make_data(count=2, text=text)
    data.metric_caveats = {("ex", "instructions"): {text: ["base"]}}
    data.title = text
    data.downloads = {"a.csv": text}
    html = page.render(data, TEMPLATE)
    reader = Reader(html)
    assert [attributes for attributes, _ in reader.scripts] == scripts
    handlers = [a for _, attributes in reader.tags for a in attributes if a.startswith("on")]
    assert handlers == []
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", html)
    html.encode()


def test_an_answer_of_a_megabyte_does_not_fill_the_page():
    text = "</script><b>" * 40_000 + "\u202e{{ 7 * 7 }}\x00 word " * 30_000
    html = page.render(make_data(count=2, text=text), TEMPLATE)
    assert len(html) < 2_000_000
    assert len(Reader(html).scripts) == 1 + len(page_files.SCRIPTS)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_stop_or_leave_dashes(value):
    base = np.column_stack([[1.0, 2.0, value], np.ones(3)])
    tuned = np.column_stack([[1.0, 2.0, 3.0], np.ones(3)])
    try:
        result = statistics.compare(
            base,
            [tuned],
            lambda totals: totals[..., 0] / totals[..., 1],
            clusters=np.arange(3),
            resamples=999,
            confidence=0.95,
            seed=0,
        )
    except (UserError, ValueError):
        return
    assert math.isnan(result.p_value)
