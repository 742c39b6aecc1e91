"""Intervals and p-values that were not made here: from books, from scipy, from statsmodels."""

import math

import numpy as np
import pandas as pd
import pytest
import sacrebleu
from deltatune.compare.family import holm
from deltatune.compare.intervals import Error
from deltatune.compare.permutation import sign_flip
from deltatune.compare.statistics import compare
from deltatune.metrics.registry import load_metric
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower


def mean(totals):
    return totals[..., 0] / totals[..., 1]


def counted(values):
    return np.column_stack([values, np.ones(len(values))])


# Published figures


def test_t_test_of_darwins_maize():
    # Fisher, The Design of Experiments (1935), section 17: of 15 pairs, t = 2.148 with 14 degrees
    # of freedom, which just exceeds the value for one in twenty, 2.145.
    differences = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48])
    result = compare(counted(np.zeros(15)), [counted(differences)], mean)
    assert result.delta / math.sqrt(result.records.variance) == pytest.approx(2.148, abs=5e-4)
    assert result.p_value == pytest.approx(0.0497, abs=1e-4)
    assert result.ci_low > 0


def test_permutation_test_of_darwins_maize():
    # The same book, section 21: of the 32,768 ways to sign the differences, 1,726 are at least as
    # far from zero as Darwin's (5.267%).
    differences = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48])
    zeros, observed = counted(np.zeros(15))[None], counted(differences)[None]
    p, floor = sign_flip(
        lambda b, t: (mean(t) - mean(b)).mean(axis=0), zeros, observed, 99_999, 0, 1e-9
    )
    assert p == pytest.approx(1726 / 32768, abs=4 * math.sqrt(0.05267 * 0.94733 / 99_999))
    assert not floor


def test_agresti_and_mins_interval():
    # The formula of Agresti and Min 2005, by hand: of 86 pairs 16 are right after tuning alone and
    # 8 before it alone. Half a pair is added to each cell, then it is Wald's interval of 88 pairs.
    base = [1] * 53 + [0] * 16 + [1] * 8 + [0] * 9
    tuned = [1] * 53 + [1] * 16 + [0] * 8 + [0] * 9
    result = compare(counted(base), [counted(tuned)], mean)
    share = np.array([53.5, 16.5, 8.5, 9.5]) / 88
    center = share[1] - share[2]
    half = stats.norm.ppf(0.975) * math.sqrt((share[1] + share[2] - center**2) / 88)
    assert (result.ci_low, result.ci_high) == pytest.approx((center - half, center + half))


def test_holm_by_hand():
    # Holm 1979: the smallest of three times 3, the next times 2, never falling.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


# scipy


def ratio(totals):
    return np.exp(totals[..., 0] / totals[..., 1])


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_interval_of_a_mean_is_that_of_the_paired_t_test(seed):
    rng = np.random.default_rng(100 + seed)
    base = rng.normal(size=83)
    tuned = base + rng.normal(0.1, 0.4, 83)
    ours = compare(counted(base), [counted(tuned)], mean, confidence=0.9, seed=seed)
    theirs = stats.ttest_rel(tuned, base).confidence_interval(0.9)
    assert (ours.ci_low, ours.ci_high) == pytest.approx((theirs.low, theirs.high), rel=1e-9)


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_standard_error_of_a_ratio_agrees_with_scipys_bootstrap(seed):
    rng = np.random.default_rng(100 + seed)
    tokens = rng.integers(5, 40, size=200)
    base = np.column_stack([tokens * rng.lognormal(1, 0.4, 200), tokens])
    tuned = np.column_stack([base[:, 0] * rng.lognormal(-0.1, 0.2, 200), tokens])

    def delta(rows, axis=-1):
        return ratio(tuned[rows].sum(axis=-2)) - ratio(base[rows].sum(axis=-2))

    theirs = stats.bootstrap(
        (np.arange(200),), delta, n_resamples=4999, vectorized=True, method="basic", rng=rng
    )
    ours = compare(base, [tuned], ratio)
    assert math.sqrt(ours.records.variance) == pytest.approx(theirs.standard_error, rel=0.1)


def permutation_p(base, tuned, resamples, rng=None):
    return stats.permutation_test(
        (base, tuned),
        lambda x, y, axis: np.mean(y, axis=axis) - np.mean(x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        rng=rng,
    ).pvalue


def test_large_permutation_test_agrees_with_scipy():
    rng = np.random.default_rng(3)
    base = rng.normal(size=200)
    tuned = base + rng.normal(0.1, 1, size=200)
    theirs = permutation_p(base, tuned, 9999, np.random.default_rng(4))
    ours = compare(counted(base), [counted(tuned)], mean).p_value
    assert 0.01 < theirs < 0.9
    # each has a standard error of at most sqrt(p (1 - p) / 9999)
    assert ours == pytest.approx(theirs, abs=5 * np.sqrt(2 * theirs * (1 - theirs) / 9999))


# statsmodels


@pytest.mark.parametrize("seed", range(8))
def test_permutation_test_of_accuracy_is_exact_mcnemar(seed):
    rng = np.random.default_rng(seed)
    base, tuned = rng.random((2, 12)) < [[0.4], [0.75]]
    table = [
        [np.sum(base & tuned), np.sum(base & ~tuned)],
        [np.sum(~base & tuned), np.sum(~base & ~tuned)],
    ]
    ours = compare(counted(base), [counted(tuned)], mean, resamples=99_999)
    theirs = mcnemar(table, exact=True).pvalue
    assert ours.p_value == pytest.approx(theirs, abs=5 * math.sqrt(theirs / 99_999) + 2e-5)


@pytest.mark.parametrize("seed", range(8))
def test_holm_gives_the_p_values_of_statsmodels_bit_for_bit(seed):
    rng = np.random.default_rng(seed)
    p = np.round(rng.random(rng.integers(1, 12)) ** 3, 2)  # with ties, and often beyond 1
    with_gaps = np.insert(p, 1, np.nan)
    expected = multipletests(p, method="holm")[1]
    assert np.array_equal(np.delete(holm(with_gaps), 1), expected) and np.isnan(holm(with_gaps)[1])
    assert np.isnan(holm([np.nan])).all() and len(holm([])) == 0


def test_detectable_is_the_effect_of_a_paired_t_test():
    rng = np.random.default_rng(0)
    differences = rng.normal(0.2, 1.5, size=400)
    ours = compare(counted(np.zeros(400)), [counted(differences)], mean)
    detectable = Error(ours.records).detectable(0.05)
    effect = TTestPower().solve_power(power=0.8, nobs=400, alpha=0.05)
    assert detectable == pytest.approx(effect * differences.std(ddof=1), rel=0.01)


# sacreBLEU's own paired test (approximate randomization, 10,000 trials)


def test_p_value_of_bleu_agrees_with_sacrebleu(monkeypatch):
    monkeypatch.setenv("SACREBLEU_SEED", "12345")
    from sacrebleu.significance import PairedTest

    rng = np.random.default_rng(11)
    vocabulary = np.array([f"w{i}" for i in range(30)])
    references = [list(rng.choice(vocabulary, 12)) for _ in range(40)]

    def system(error):
        return [
            " ".join(rng.choice(vocabulary) if rng.random() < error else w for w in reference)
            for reference in references
        ]

    wanted = [" ".join(reference) for reference in references]
    answers = {"base": system(0.30), "tuned": system(0.24)}
    test = PairedTest(
        list(answers.items()),
        {"BLEU": sacrebleu.BLEU()},
        references=[wanted],
        test_type="ar",
        n_samples=10000,
    )
    theirs = test()[1]["BLEU"]
    bleu = load_metric("answers", "bleu")
    base, tuned = (
        bleu.statistics(pd.DataFrame({"answer": system, "reference": wanted}))
        for system in answers.values()
    )
    ours = compare(base, [tuned], bleu.aggregate)
    assert [ours.base, ours.tuned] == pytest.approx([one.score for one in theirs], rel=1e-12)
    p = theirs[1].p_value
    assert 0.01 < p < 0.9
    assert ours.p_value == pytest.approx(p, abs=5 * np.sqrt(2 * p * (1 - p) / 9999))


# Power, by simulation; coverage and level: test_coverage.py


def test_detectable_effect_is_detected_four_times_in_five():
    shift = (1.96 + 0.8416) / np.sqrt(60)
    results = []
    for seed in range(400):
        rng = np.random.default_rng([2024, seed])
        base = rng.gamma(2.0, 1.0, size=60)
        tuned = base + shift + rng.normal(0, 1, size=60)
        results.append(compare(counted(base), [counted(tuned)], mean, resamples=999, seed=seed))
    effects = [Error(result.records).detectable(0.05) for result in results]
    assert np.median(effects) == pytest.approx(shift, rel=0.05)
    assert 0.74 <= np.mean([result.p_value <= 0.05 for result in results]) <= 0.86
