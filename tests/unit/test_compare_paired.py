import numpy as np
import pandas as pd
import pytest
from deltatune.compare import paired, table
from deltatune.evaluate.scores import compute_metrics

STATISTICS = {"confidence": 0.95, "resamples": 199, "seed": 0}
TASK = {"metrics": ["exact_match", "token_f1"]}


def answers(right: list[bool]) -> pd.DataFrame:
    ids = range(10, 10 + len(right))
    return pd.DataFrame(
        {
            "id": ids,
            "prompt": "?",
            "reference": "yes indeed",
            "answer": ["yes indeed" if good else "yes" for good in right],
            "answer_tokens": 2,
            "finished": True,
        }
    )


def text(chapters: list[str]) -> pd.DataFrame:
    count = len(chapters)
    return pd.DataFrame(
        {
            "id": range(1, count + 1),
            "chapter": chapters,
            "cluster": chapters,
            "cluster_unit": "chapters",
            "nll": np.linspace(10, 20, count),
            "tokens": 8,
            "words": 5,
            "bytes": 30,
        }
    )


def settings(outputs="answers", metrics=("exact_match", "token_f1")):
    return {
        "experiment": "x",
        "task": "t",
        "model": "m",
        "outputs": outputs,
        "unit": "windows" if outputs == "text" else "examples",
        "metrics": list(metrics),
        "statistics": STATISTICS,
    }


def test_scores_of_the_examples_and_figures_of_the_whole():
    scores, figures = compute_metrics(answers([True, False, True, True]), "answers", TASK)
    assert scores["id"].tolist() == [10, 11, 12, 13]
    assert list(scores.columns) == [
        "id",
        "cluster",
        "cluster_unit",
        *("exact_match", "exact_match_statistics"),
        *("token_f1", "token_f1_statistics"),
    ]
    figure = figures["exact_match"]
    assert figure["n"] == 4
    assert figure["higher_is_better"]
    assert figure["value"] == 0.75
    assert set(figure) == {"value", "n", "higher_is_better", "title", "signature", "caveats"}
    assert scores["exact_match"].nunique() == 2
    assert scores["exact_match"].idxmin() == 1


def test_the_figure_is_made_of_the_stored_sums(tmp_path):
    """The figure follows from scores.parquet, for any part of the examples."""
    from deltatune.metrics.registry import load_metric

    frame = text(["one", "two"] * 6)
    task = {"metrics": ["perplexity"]}
    scores, figures = compute_metrics(frame, "text", task)
    scores.to_parquet(tmp_path / "scores.parquet")
    back = pd.read_parquet(tmp_path / "scores.parquet")
    totals = np.stack(back["perplexity_statistics"]).sum(axis=0)
    metric = load_metric("text", "perplexity", task)
    assert metric.aggregate(totals) == pytest.approx(figures["perplexity"]["value"])
    assert figures["perplexity"]["value"] == pytest.approx(np.exp(frame["nll"].sum() / 96))


@pytest.mark.parametrize("chapters", [1, 2, 7, 8])
def test_chapters_are_clusters_however_few(chapters):
    frame = text([f"chapter {i % chapters}" for i in range(24)])
    scores, _ = compute_metrics(frame, "text", {"metrics": ["perplexity"]})
    assert scores["cluster"].nunique() == chapters
    assert set(scores["cluster_unit"]) == {"chapters"}
    scores, _ = compute_metrics(answers([True] * 3), "answers", TASK)
    assert scores["cluster"].tolist() == ["10", "11", "12"]
    assert set(scores["cluster_unit"]) == {"examples"}


def test_a_comparison_is_paired_and_over_all_seeds():
    base, _ = compute_metrics(answers([False] * 6 + [True] * 6), "answers", TASK)
    one, _ = compute_metrics(answers([False] * 3 + [True] * 9), "answers", TASK)
    two, _ = compute_metrics(answers([False] * 1 + [True] * 11), "answers", TASK)
    table = paired.compare(base, [one, two], settings())
    assert table["metric"].tolist() == ["exact_match", "token_f1"]
    row = table.iloc[0]
    assert row["tuned"] / row["base"] == pytest.approx((9 + 11) / 2 / 6)
    assert row["delta"] == pytest.approx(row["tuned"] - row["base"])
    assert row["ci_low"] <= row["delta"] <= row["ci_high"]
    assert (row["n"], row["seeds"], row["unit"]) == (12, 2, "examples")
    assert row["seed_sd"] > 0
    assert 0 < row["p_value"] <= 1


def test_a_system_that_is_its_base_does_not_differ():
    base, _ = compute_metrics(answers([True, False] * 6), "answers", TASK)
    row = paired.compare(base, [base], settings()).iloc[0]
    assert (row["delta"], row["ci_low"], row["ci_high"]) == (0, 0, 0)
    assert row["p_value"] == 1


def test_other_examples_or_another_order_are_refused():
    base, _ = compute_metrics(answers([True, False] * 6), "answers", TASK)
    for other in (base.iloc[::-1].reset_index(drop=True), base.iloc[:-1]):
        with pytest.raises(ValueError, match="same examples"):
            paired.compare(base, [base, other], settings())


def test_joined_tables_have_the_columns_and_p_values_adjusted_over_all():
    base, _ = compute_metrics(answers([False] * 10 + [True] * 2), "answers", TASK)
    tuned, _ = compute_metrics(answers([True] * 12), "answers", TASK)
    one = paired.compare(base, [tuned], settings())
    two = paired.compare(base, [base], settings() | {"experiment": "y"})
    joined = paired.join([one, two])
    assert list(joined.columns) == table.COLUMNS
    assert joined["experiment"].tolist() == ["x", "x", "y", "y"]
    # Holm: the smallest of four p-values is multiplied by four.
    smallest = joined["p_value"].idxmin()
    assert joined["p_holm"][smallest] == pytest.approx(min(1, 4 * joined["p_value"].min()))
    assert (joined["p_holm"] >= joined["p_value"]).all()
