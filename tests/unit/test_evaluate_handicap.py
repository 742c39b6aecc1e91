import numpy as np
import pandas as pd
import pytest
from deltatune.evaluate.handicap import label_figures, wilson_low
from statsmodels.stats.proportion import proportion_confint


def outputs(labels, predicted, mass):
    return pd.DataFrame(
        {
            "label": list(labels),
            "predicted": list(predicted),
            "label_mass": mass,
            "label_mass_without_end": np.minimum(1.0, np.array(mass) * 3),
        }
    )


def test_a_base_that_writes_no_label_and_says_the_same_always():
    """As the default's base: 3.5e-9 on the labels, one label 280 times."""
    figures = label_figures(outputs("abcd" * 70, "a" * 280, [3.5e-9] * 280))
    assert figures == pytest.approx(
        {
            "label_mass": 3.5e-9,
            "label_mass_without_end": 1.05e-8,
            "chance": 0.25,
            "largest_predicted_share": 1.0,
            "at_chance_for_format": True,
        }
    )


@pytest.mark.parametrize(
    ("right", "mass", "flag"),
    [
        # 100 texts, half of them a. The 95% Wilson interval of 59 right is .492 to .681, of 60
        # right .502 to .691 (Wilson 1927).
        (59, 0.001, True),
        (60, 0.001, False),
        # Below chance is no better than chance.
        (30, 0.001, True),
        # What writes labels knows the format, however wrong it is.
        (59, 0.01, False),
        (30, 0.9, False),
    ],
)
def test_chance_and_format_make_the_flag(right, mass, flag):
    labels = "ab" * 50
    other = {"a": "b", "b": "a"}
    predicted = [each if n < right else other[each] for n, each in enumerate(labels)]
    assert label_figures(outputs(labels, predicted, [mass] * 100))["at_chance_for_format"] is flag


def test_the_mass_is_the_median_and_the_shares_are_of_what_is_there():
    figures = label_figures(outputs("aab", "bbb", [1e-6, 0.5, 0.9]))
    assert figures["label_mass"] == 0.5 and not figures["at_chance_for_format"]
    assert figures["chance"] == pytest.approx(2 / 3) and figures["largest_predicted_share"] == 1


@pytest.mark.parametrize(("count", "total"), [(0, 10), (1, 3), (25, 100), (100, 100), (7, 2800)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_wilson_interval_is_that_of_statsmodels(count, total, confidence):
    low, _ = proportion_confint(count, total, alpha=1 - confidence, method="wilson")
    assert wilson_low(count, total, confidence) == pytest.approx(low, abs=1e-12)
