"""Intervals and p-values that were not made here: from books, from scipy, from statsmodels."""

import numpy as np
import pandas as pd
import pytest
import sacrebleu
from deltatune.compare.statistics import compare, holm
from deltatune.metrics.registry import load_metric
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.power import TTestPower


def mean(totals):
    return totals[..., 0] / totals[..., 1]


def counted(values):
    return np.column_stack([values, np.ones(len(values))])


# Published figures


def test_bca_interval_of_efron_and_tibshirani():
    # An Introduction to the Bootstrap (1993), section 14.2: the spatial test, A, and the 90%
    # interval of its variance (with n below): 115.8 to 259.6 with 2,000 resamples.
    first_half = [48, 36, 20, 29, 42, 42, 20, 42, 22, 41, 45, 14, 6]
    scores = np.array([*first_half, 0, 33, 28, 34, 4, 32, 24, 47, 41, 24, 26, 30, 41])
    moments = np.column_stack([np.ones(26), scores, scores**2])

    def variance(totals):
        n = np.maximum(totals[..., 0], 1)
        return totals[..., 2] / n - (totals[..., 1] / n) ** 2

    result = compare(np.zeros_like(moments), [moments], variance, confidence=0.9)
    assert result.delta == pytest.approx(171.5, abs=0.05)
    assert result.ci_low == pytest.approx(115.8, abs=2)
    assert result.ci_high == pytest.approx(259.6, abs=4)
    assert result.method.startswith("BCa")


def test_permutation_test_of_darwins_maize():
    # Fisher, The Design of Experiments (1935), section 21: of the 32,768 ways to sign the 15
    # differences, 1,726 are at least as far from zero as Darwin's (5.267%).
    differences = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48])
    result = compare(counted(np.zeros(15)), [counted(differences)], mean, resamples=32768)
    assert result.p_value == 1726 / 32768


def test_holm_by_hand():
    # Holm 1979: the smallest of three times 3, the next times 2, never falling.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


# scipy, on the same draws


def ratio(totals):
    return np.exp(totals[..., 0] / totals[..., 1])


@pytest.mark.parametrize("figure", [mean, ratio])
@pytest.mark.parametrize("seed", [0, 1, 7])
def test_interval_is_that_of_scipy(figure, seed):
    rng = np.random.default_rng(100 + seed)
    tokens = rng.integers(5, 40, size=83)
    base = np.column_stack([tokens * rng.lognormal(1, 0.4, 83), tokens])
    tuned = np.column_stack([base[:, 0] * rng.lognormal(-0.1, 0.2, 83), tokens])

    def delta(rows, axis=-1):
        return figure(tuned[rows].sum(axis=-2)) - figure(base[rows].sum(axis=-2))

    theirs = stats.bootstrap(
        (np.arange(83),),
        delta,
        n_resamples=1999,
        vectorized=True,
        method="BCa",
        confidence_level=0.9,
        rng=np.random.default_rng([seed, 1]),  # as in compare.statistics
    )
    ours = compare(base, [tuned], figure, resamples=1999, confidence=0.9, seed=seed)
    expected = theirs.confidence_interval
    assert (ours.ci_low, ours.ci_high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    z = stats.norm.ppf(0.95) + stats.norm.ppf(0.8)
    assert ours.minimum_detectable_effect == pytest.approx(z * theirs.standard_error, rel=1e-9)


def permutation_p(base, tuned, resamples, rng=None):
    return stats.permutation_test(
        (base, tuned),
        lambda x, y, axis: np.mean(y, axis=axis) - np.mean(x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        rng=rng,
    ).pvalue


def test_small_permutation_test_is_that_of_scipy():
    for seed in range(10):
        base, tuned = np.random.default_rng(seed).normal(size=(2, 9))
        ours = compare(counted(base), [counted(tuned)], mean, resamples=999)
        assert ours.p_value == pytest.approx(permutation_p(base, tuned, np.inf), rel=1e-12)
        assert "all 512" in ours.method


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
    ours = compare(counted(base), [counted(tuned)], mean, resamples=4096)
    assert ours.p_value == pytest.approx(mcnemar(table, exact=True).pvalue, rel=1e-12)


def test_detectable_is_the_effect_of_a_paired_t_test():
    rng = np.random.default_rng(0)
    differences = rng.normal(0.2, 1.5, size=400)
    ours = compare(counted(np.zeros(400)), [counted(differences)], mean).minimum_detectable_effect
    effect = TTestPower().solve_power(power=0.8, nobs=400, alpha=0.05)
    assert ours == pytest.approx(effect * differences.std(ddof=1), rel=0.03)


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


# Coverage, level and power, by simulation


def simulate(shift, sets=400, n=60, resamples=399):
    """Comparisons of `sets` simulated data sets whose paired differences have the mean `shift`."""
    for seed in range(sets):
        rng = np.random.default_rng([2024, seed])
        base = rng.gamma(2.0, 1.0, size=n)
        differences = shift + rng.normal(0, 1, size=n)
        yield compare(
            counted(base), [counted(base + differences)], mean, resamples=resamples, seed=seed
        )


def test_interval_covers_the_truth_at_its_confidence():
    covered = np.mean([result.ci_low <= 0.3 <= result.ci_high for result in simulate(0.3)])
    assert 0.92 <= covered <= 0.98


def test_test_rejects_a_true_null_at_its_level():
    rejected = np.mean([result.p_value <= 0.05 for result in simulate(0.0)])
    assert 0.02 <= rejected <= 0.08


def test_detectable_effect_is_detected_four_times_in_five():
    shift = (1.96 + 0.8416) / np.sqrt(60)
    results = list(simulate(shift))
    effects = [result.minimum_detectable_effect for result in results]
    assert np.median(effects) == pytest.approx(shift, rel=0.05)
    assert 0.74 <= np.mean([result.p_value <= 0.05 for result in results]) <= 0.86
