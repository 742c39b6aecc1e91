"""What a run can show: against statsmodels, by simulation, and from a pilot's table."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from deltatune.compare.intervals import Error, Part, seed_part
from deltatune.compare.table import COLUMNS
from deltatune.plan import power
from deltatune.plan.power import Design, Spread
from deltatune.plan.settings import Files, Planned, PlanSettings
from stage_settings import task_settings
from statsmodels.stats.power import TTestPower

NINTH = 0.05 / 9


@pytest.mark.parametrize("alpha", [0.05, NINTH])
@pytest.mark.parametrize("units", [30, 100, 1000])
def test_one_seed_is_a_paired_t_test(units, alpha):
    """Bloom's formula against the exact one, which has the noncentral t distribution."""
    exact = TTestPower().solve_power(nobs=units, alpha=alpha, power=0.8)
    shown = power.detectable(Spread(0.71, None), Design(units, 1, alpha, 0.05))
    assert shown == pytest.approx(0.71 * exact, rel=0.015)


@pytest.mark.parametrize("alpha", [0.05, NINTH])
@pytest.mark.parametrize("delta", [0.02, 0.05, 0.2])
def test_examples_needed_are_those_of_a_paired_t_test(delta, alpha):
    exact = TTestPower().solve_power(effect_size=delta / 0.71, alpha=alpha, power=0.8)
    needed = power.units_needed(Spread(0.71, None), Design(50, 1, alpha, 0.05), delta)
    assert needed == pytest.approx(exact, rel=0.02, abs=1)


@pytest.mark.parametrize(("units", "seeds"), [(40, 3), (200, 5), (200, 8)])
def test_what_is_called_shown_is_shown_in_four_of_five_runs(units, seeds):
    rng = np.random.default_rng(0)
    spread, alpha, runs = Spread(0.6, 0.05), 0.02, 600
    delta = power.detectable(spread, Design(units, seeds, alpha, 0.05))
    shown = 0
    for _ in range(runs):
        figures = rng.normal(delta, spread.seed_sd, seeds)
        items = rng.normal(0, spread.item_sd, units)
        records = Part(items.var(ddof=1) / units, units - 1)
        error = Error(records, seed_part(figures), seeds)
        shown += error.p_value(items.mean() + figures.mean()) <= alpha
    # The formula takes the variances for known; they are estimated, with few seeds roughly.
    assert 0.72 <= shown / runs <= 0.88


def test_more_seeds_where_more_examples_cannot_help():
    """The spread over seeds stays, however many examples there are."""
    spread, design = Spread(0.5, 0.1), Design(1000, 3, 0.05, 0.05)
    assert power.units_needed(spread, design, 0.1) is None
    seeds = power.seeds_needed(spread, design, 0.1)
    assert seeds is not None and seeds > 3
    assert power.detectable(spread, Design(1000, seeds, 0.05, 0.05)) <= 0.1
    assert power.detectable(spread, Design(1000, seeds - 1, 0.05, 0.05)) > 0.1


def test_fewer_units_would_not_do():
    spread = Spread(0.5, 0.01)
    for seeds in (2, 3, 6):
        design = Design(100, seeds, 0.01, 0.05)
        needed = power.units_needed(spread, design, 0.1)
        assert power.detectable(spread, Design(needed, seeds, 0.01, 0.05)) <= 0.1
        assert power.detectable(spread, Design(needed - 1, seeds, 0.01, 0.05)) > 0.1


# ---------------------------------------------------------------- pilots


def pilot_row(**changes) -> dict:
    row = dict.fromkeys(COLUMNS, "")
    row |= {
        **{"experiment": "news", "task": "news", "model": "tiny", "metric": "accuracy"},
        **{"main": True, "higher_is_better": True, "against": "base", "n": 200},
        **{"unit": "examples", "clusters": 200, "cluster_unit": "examples", "differing": 50},
        **{"seeds": 3, "base": 0.5, "tuned": 0.6, "delta": 0.1, "seed_sd": 0.01},
        **{"estimand": "recipe", "ci_low": 0.0, "ci_high": 0.2, "p_value": 0.04},
        **{"p_is_floor": False, "adapters_p_is_floor": False, "family": 2, "alpha": 0.025},
        **{"item_se": 0.04, "item_df": 199},
    }
    return row | changes


def write(path: Path, *rows: dict) -> Path:
    pd.DataFrame(rows)[COLUMNS].to_csv(path, index=False)
    return path


def planned(seeds: int = 3, kind: str = "classify") -> tuple[Planned, PlanSettings]:
    """An experiment, and the settings that it is one of."""
    keys = {"labels": ["a", "b"]} if kind == "classify" else {}
    one = Planned(
        **{"experiment": "news", "model_name": "m", "task_name": "news", "seeds": seeds},
        model={"source": "local", "path": "m"},
        task=task_settings(kind, **keys),
        dataset={"source": "file", "path": "news.csv"},
        **{"text": False, "paths": [], "quantization": "none", "lora": {}, "training": {}},
        files=dict.fromkeys(Files.model_fields, ""),
    )
    settings = PlanSettings(
        experiments=[one], weights="auto", hardware={}, confidence=0.95, family=2
    )
    return one, settings


def power_of(examples: int | None, path: Path, **changes) -> power.Power:
    one, settings = planned(**changes)
    return power.power(one, examples, settings, path)


def test_a_pilot_gives_the_variances_and_this_config_the_numbers(tmp_path):
    path = write(tmp_path / "comparison.csv", pilot_row())
    one = power_of(800, path, seeds=5)
    assert one.spread == Spread(pytest.approx(0.04 * math.sqrt(200)), 0.01)
    assert one.units == 800
    # SE of the records with four times as many is half; five seeds of SD .01.
    half = Error(Part(0.02**2, 799), Part(0.01**2 / 5, 4), 5).half_width(0.025)
    normal = 0.8416 * math.sqrt(0.02**2 + 0.01**2 / 5)
    assert one.detectable == pytest.approx(half + normal, rel=1e-3)


def test_a_pilot_of_clusters_counts_clusters(tmp_path):
    row = pilot_row(metric="perplexity", n=60, clusters=5, cluster_unit="chapters")
    path = write(tmp_path / "comparison.csv", row)
    one = power_of(None, path, kind="prose")
    assert (one.units, one.unit) == (5, "chapters")


def test_another_experiment_on_the_task_is_a_pilot_too(tmp_path):
    other = pilot_row(experiment="other", item_se=0.01)
    path = write(tmp_path / "comparison.csv", other)
    assert "variances of other in" in power_of(200, path).source
    path = write(tmp_path / "comparison.csv", other, pilot_row())
    assert "variances of news in" in power_of(200, path).source


def test_without_a_pilot_accuracy_is_assumed_and_other_metrics_are_not_known(tmp_path):
    missing = tmp_path / "comparison.csv"
    one = power_of(100, missing)
    assert one.spread == Spread(pytest.approx(0.7071, abs=1e-4), None)
    text = power.render([one])
    assert "assumed: base and tuned differ on 50% of the examples" in text
    # (2.276 + 0.842) * 0.7071 / 10: of these adapters, so no more than a lower bound.
    assert "news, accuracy: at least 0.22 with 100 examples and 3 seeds" in text
    rouge = power_of(100, missing, kind="instruct")
    assert rouge.detectable is None
    assert "news, rouge_l: not known: no earlier run has its variance" in power.render([rouge])


def test_a_table_of_another_version_is_no_pilot(tmp_path):
    path = tmp_path / "comparison.csv"
    pd.DataFrame([{"experiment": "news", "task": "news", "metric": "accuracy"}]).to_csv(path)
    assert "assumed" in power_of(100, path).source


def test_the_words_say_what_a_smaller_difference_needs(tmp_path):
    path = write(tmp_path / "comparison.csv", pilot_row())
    text = power.render([power_of(200, path)])
    heading, shown, half, example = text.splitlines()
    assert heading == (
        "Smallest difference that the main metric can show, with a power of 80% at the level "
        "0.05 / 2 (Holm):"
    )
    assert shown.startswith("news, accuracy: 0.131 with 200 examples and 3 seeds (variances of")
    assert half.startswith("  for 0.0656: ") and example.startswith("  for 0.05: ")
    assert "examples with 3 seeds" in half
