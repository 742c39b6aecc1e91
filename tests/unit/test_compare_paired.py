import numpy as np
import pandas as pd
import pytest
from deltatune.compare import family, paired, table, weights
from deltatune.compare.settings import ComparisonSettings, Inference
from deltatune.core import evaluated_with
from deltatune.core.errors import UserError
from deltatune.evaluate.scores import compute_metrics
from deltatune.metrics.settings import MetricsSettings

ANSWERS = MetricsSettings(outputs="answers", metrics=["exact_match", "token_f1"])
TEXT = MetricsSettings(outputs="text", metrics=["perplexity"])


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


def settings(metrics=ANSWERS, experiment="x"):
    return ComparisonSettings(
        experiment=experiment,
        task="t",
        model="m",
        seeds=[1],
        unit="windows" if metrics.outputs == "text" else "examples",
        metrics=metrics,
        main_metric=metrics.metrics[0],
        family=2,
        statistics=Inference(resamples=999),
    )


def test_scores_of_the_examples_and_figures_of_the_whole():
    scores, figures = compute_metrics(answers([True, False, True, True]), ANSWERS)
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
    scores, figures = compute_metrics(frame, TEXT)
    scores.to_parquet(tmp_path / "scores.parquet")
    back = pd.read_parquet(tmp_path / "scores.parquet")
    totals = np.stack(back["perplexity_statistics"]).sum(axis=0)
    metric = load_metric("text", "perplexity")
    assert metric.aggregate(totals) == pytest.approx(figures["perplexity"]["value"])
    assert figures["perplexity"]["value"] == pytest.approx(np.exp(frame["nll"].sum() / 96))


@pytest.mark.parametrize("chapters", [1, 2, 7, 8])
def test_chapters_are_clusters_however_few(chapters):
    frame = text([f"chapter {i % chapters}" for i in range(24)])
    scores, _ = compute_metrics(frame, TEXT)
    assert scores["cluster"].nunique() == chapters
    assert set(scores["cluster_unit"]) == {"chapters"}
    scores, _ = compute_metrics(answers([True] * 3), ANSWERS)
    assert scores["cluster"].tolist() == ["10", "11", "12"]
    assert set(scores["cluster_unit"]) == {"examples"}


@pytest.mark.parametrize("chapters", [2, 7, 8, 24])
def test_chapters_are_independent_and_windows_are_not(chapters):
    frame = text([f"chapter {i % chapters}" for i in range(24)])
    scores, _ = compute_metrics(frame, TEXT)
    row = paired.compare(scores, [scores], settings(TEXT)).iloc[0]
    assert row["clusters"] == chapters
    assert row["cluster_unit"] == ("chapters" if chapters < 24 else "windows")
    assert (row["n"], row["unit"]) == (24, "windows")


def test_a_comparison_is_paired_and_over_all_seeds():
    base, _ = compute_metrics(answers([False] * 6 + [True] * 6), ANSWERS)
    one, _ = compute_metrics(answers([False] * 3 + [True] * 9), ANSWERS)
    two, _ = compute_metrics(answers([False] * 1 + [True] * 11), ANSWERS)
    table = paired.compare(base, [one, two], settings())
    assert table["metric"].tolist() == ["exact_match", "token_f1"]
    row = table.iloc[0]
    assert row["tuned"] / row["base"] == pytest.approx((9 + 11) / 2 / 6)
    assert row["delta"] == pytest.approx(row["tuned"] - row["base"])
    assert row["ci_low"] <= row["delta"] <= row["ci_high"]
    assert (row["n"], row["seeds"], row["unit"]) == (12, 2, "examples")
    assert (row["clusters"], row["cluster_unit"], row["differing"]) == (12, "examples", 5)
    assert row["seed_sd"] > 0
    assert np.isnan(row["p_value"]) and row["no_p"] == "two_seeds"
    assert 0 < row["adapters_p"] <= 1


def test_a_system_that_is_its_base_does_not_differ():
    base, _ = compute_metrics(answers([True, False] * 6), ANSWERS)
    row = paired.compare(base, [base], settings()).iloc[0]
    assert (row["delta"], row["p_value"], row["differing"]) == (0, 1, 0)
    assert row["ci_low"] == -row["ci_high"] < 0


def test_other_examples_or_another_order_are_refused():
    base, _ = compute_metrics(answers([True, False] * 6), ANSWERS)
    for other in (base.iloc[::-1].reset_index(drop=True), base.iloc[:-1]):
        with pytest.raises(ValueError, match="same examples"):
            paired.compare(base, [base, other], settings())


def test_the_family_is_the_main_rows():
    base, _ = compute_metrics(answers([False] * 10 + [True] * 2), ANSWERS)
    tuned, _ = compute_metrics(answers([True] * 12), ANSWERS)
    one = paired.compare(base, [tuned], settings())
    two = paired.compare(base, [base], settings(experiment="y"))
    joined = family.join([one, two], 0.95)
    assert list(joined.columns) == table.COLUMNS
    assert joined["experiment"].tolist() == ["x", "x", "y", "y"]
    assert joined["main"].tolist() == [True, False, True, False]
    assert (joined["family"] == 2).all()
    # Holm over two main rows; the secondary ones are not adjusted and do not count.
    assert joined["p_holm"].isna().tolist() == [False, True, False, True]
    assert joined["p_holm"][0] == pytest.approx(2 * joined["p_value"][0])
    assert joined["alpha"].tolist() == pytest.approx([0.025, 0.05, 0.05, 0.05])


def test_two_seeds_are_adjusted_by_the_p_values_of_their_adapters():
    base, _ = compute_metrics(answers([False] * 30), ANSWERS)
    tuned, _ = compute_metrics(answers([True] * 20 + [False] * 10), ANSWERS)
    rows = [paired.compare(base, [tuned, tuned], settings(experiment=name)) for name in "ab"]
    joined = family.join(rows, 0.95)
    assert joined["p_holm"].isna().all()
    assert joined["adapters_p_holm"][0] == pytest.approx(2 * joined["adapters_p"][0])
    assert (joined["family"] == 2).all()


def test_no_difference_that_is_possible_is_as_large_as_what_would_be_detected():
    """Two seeds, one of which is right where the other is wrong: no accuracy could show it."""
    rights = [True] * 6 + [False] * 6, [True] * 2 + [False] * 10, [True] * 11 + [False]
    base, one, two = (compute_metrics(answers(right), ANSWERS)[0] for right in rights)
    apart = family.join([paired.compare(base, [one, two], settings())], 0.95)
    alike = family.join([paired.compare(base, [one, one], settings())], 0.95)
    assert np.isinf(apart["detectable"][0]) and 0 < alike["detectable"][0] < 1


def test_baselines_are_no_family():
    base, _ = compute_metrics(answers([False] * 30), ANSWERS)
    tuned, _ = compute_metrics(answers([True] * 20 + [False] * 10), ANSWERS)
    row = paired.compare(base, [tuned], settings(), against="copied_input").head(1)
    joined = family.independent([row], 0.95)
    assert list(joined.columns) == table.COLUMNS
    assert joined["against"].tolist() == ["copied_input"]
    assert joined["p_holm"].isna().all() and (joined["alpha"] == 0.05).all()


# ---------------------------------------------------------------- mixed pairs


FOLDER = "results/evaluations/test/t"
BASE, TUNED = f"{FOLDER}/base/m/nf4/scores.parquet", f"{FOLDER}/tuned/x/seed-{{}}/scores.parquet"


@pytest.mark.parametrize("dequantized", [[BASE], [TUNED.format(1)], [BASE, TUNED.format(2)]])
def test_systems_with_different_weights_are_not_compared(dequantized):
    paths = [BASE, TUNED.format(1), TUNED.format(2)]
    scores = {path: compute_metrics(answers([True, False]), ANSWERS)[0] for path in paths}
    weights.require_same(scores, "answers")
    for path in dequantized:
        evaluated_with.write(scores[path], "dequantized")
    with pytest.raises(UserError) as refused:
        weights.require_same(scores, "answers")
    others = [path for path in paths if path not in dequantized]
    text = str(refused.value)
    assert text.startswith(f"{others[0]} was evaluated with its weights as trained")
    assert dequantized[0] in text and "evaluation.weights" in text
    again = " ".join(path.replace("scores", "answers") for path in others)
    assert text.endswith(f"snakemake --cores all --forcerun {again}")
    for path in others:
        evaluated_with.write(scores[path], "dequantized")
    weights.require_same(scores, "answers")
