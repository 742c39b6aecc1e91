"""The paired comparison: what it pairs, what it resamples, and what it does at the edges."""

import dataclasses
import math
import tracemalloc

import numpy as np
import pytest
from deltatune.compare.statistics import compare, holm
from deltatune.core.errors import UserError


def mean(totals):
    return totals[..., 0] / totals[..., 1]


def counted(values):
    values = np.asarray(values, dtype=float)
    return np.column_stack([values, np.ones(len(values))])


def shift_by(statistics, amount):
    return statistics + np.array([amount, 0.0])


@pytest.fixture
def pair():
    rng = np.random.default_rng(5)
    base = rng.normal(size=120)
    return counted(base), counted(base + rng.normal(0.3, 1, size=120))


def test_figures_are_of_the_whole_set(pair):
    base, tuned = pair
    result = compare(base, [tuned], mean, resamples=99)
    assert result.base == pytest.approx(base[:, 0].mean())
    assert result.delta == pytest.approx(result.tuned - result.base)
    assert result.ci_low < result.delta < result.ci_high
    assert (result.n, result.unit, result.units) == (120, "example", 120)
    assert math.isnan(result.seed_sd)
    assert result.method == (
        "BCa bootstrap of 120 examples, 99 resamples; sign-flip permutation, 99 draws"
    )


def test_several_training_seeds_are_averaged_and_their_spread_shown(pair):
    base, tuned = pair
    shifted = [shift_by(tuned, shift) for shift in (-0.1, 0.0, 0.4)]
    result = compare(base, shifted, mean)
    one = compare(base, [shift_by(tuned, 0.1)], mean)  # the same mean over seeds
    assert result.seed_sd == pytest.approx(np.std([-0.1, 0.0, 0.4], ddof=1))
    assert result.tuned == pytest.approx(one.tuned)
    # for a mean, interval and p-value are those of the averaged system
    assert (result.ci_low, result.ci_high) == pytest.approx((one.ci_low, one.ci_high))
    assert result.p_value == one.p_value


def test_pairing_narrows_the_interval(pair):
    base, tuned = pair
    paired = compare(base, [tuned], mean, resamples=999)
    shuffled = compare(base, [np.random.default_rng(0).permutation(tuned)], mean, resamples=999)
    assert shuffled.delta == pytest.approx(paired.delta)
    assert shuffled.minimum_detectable_effect > 1.2 * paired.minimum_detectable_effect


def test_swapping_base_and_tuned_turns_the_sign(pair):
    base, tuned = pair
    there, back = compare(base, [tuned], mean), compare(tuned, [base], mean)
    assert there.delta == pytest.approx(-back.delta)
    assert there.p_value == back.p_value
    assert there.ci_low == pytest.approx(-back.ci_high, abs=0.01)


def test_clusters_are_resampled_whole(pair):
    base, tuned = pair
    clusters = np.repeat(np.arange(30), 4)
    result = compare(base, [tuned], mean, clusters=clusters, resamples=499)
    summed = [system.reshape(30, 4, 2).sum(axis=1) for system in (base, tuned)]
    by_hand = compare(summed[0], [summed[1]], mean, resamples=499)
    assert (result.n, result.unit, result.units) == (120, "cluster", 30)
    for key in ("delta", "ci_low", "ci_high", "p_value", "minimum_detectable_effect"):
        assert getattr(result, key) == pytest.approx(getattr(by_hand, key), rel=1e-12)


def test_copies_of_an_example_are_no_new_evidence_within_clusters(pair):
    base, tuned = pair
    copies = [np.repeat(system, 9, axis=0) for system in (base, tuned)]
    clusters = np.repeat(np.arange(120), 9)
    results = (
        compare(copies[0], [copies[1]], mean, clusters=clusters),
        compare(copies[0], [copies[1]], mean),
        compare(base, [tuned], mean),
    )
    honest, fooled, alone = (result.minimum_detectable_effect for result in results)
    assert honest == pytest.approx(alone, rel=1e-9)
    assert fooled == pytest.approx(alone / 3, rel=0.05)


def test_a_cluster_for_each_example_is_no_clustering(pair):
    base, tuned = pair
    names = np.random.default_rng(0).permutation(120)
    assert str(compare(base, [tuned], mean, clusters=names, resamples=99)) == str(
        compare(base, [tuned], mean, resamples=99)
    )


def test_the_same_seed_gives_the_same_bits_and_another_does_not(pair):
    base, tuned = pair
    results = [
        dataclasses.astuple(compare(base, [tuned, base], mean, resamples=299, seed=seed))
        for seed in (4, 4, 5)
    ]
    assert results[0] == results[1]
    assert results[0][3:6] != results[2][3:6]


def test_batches_do_not_change_the_figures(pair, monkeypatch):
    base, tuned = pair
    whole = compare(base, [tuned], mean, resamples=499)
    monkeypatch.setattr("deltatune.compare.statistics._BATCH_BYTES", 7 * 8 * 120)
    assert compare(base, [tuned], mean, resamples=499) == dataclasses.replace(
        whole, seed_sd=pytest.approx(math.nan, nan_ok=True)
    )


def test_small_sets_are_tested_exactly_in_batches_too(monkeypatch):
    base, tuned = counted(np.zeros(7)), counted([1, 2, 3, 4, 5, 6, -7])
    whole = compare(base, [tuned], mean, resamples=128)
    monkeypatch.setattr("deltatune.compare.statistics._BATCH_BYTES", 10 * 8 * 7)
    assert compare(base, [tuned], mean, resamples=128).p_value == whole.p_value
    assert whole.p_value * 128 == round(whole.p_value * 128)
    assert "all 128" in whole.method and "only 7 examples" in whole.method


# edges


def test_systems_that_agree_everywhere_have_no_interval_to_speak_of():
    same = counted(np.arange(40))
    result = compare(same, [same], mean, resamples=99)
    assert (result.delta, result.ci_low, result.ci_high, result.p_value) == (0, 0, 0, 1)
    assert result.minimum_detectable_effect == 0
    assert "never varies" in result.method


def test_a_constant_difference_is_an_interval_of_no_width():
    base = counted(np.random.default_rng(0).normal(size=40))
    result = compare(base, [shift_by(base, 0.1)], mean, resamples=999)
    assert result.ci_low == result.delta == result.ci_high
    assert result.delta == pytest.approx(0.1)
    assert result.p_value == 1 / 1000


def test_percentiles_stand_in_where_bca_has_no_solution():
    values = np.random.default_rng(0).normal(size=50)
    centered = counted(values - values.mean())

    def distance(totals):  # least on the data themselves: every resample lies above
        return np.abs(totals[..., 0]) / totals[..., 1]

    result = compare(counted(np.zeros(50)), [centered], distance, resamples=199)
    assert result.method.startswith("percentile (BCa has no solution) bootstrap")
    assert 0 < result.ci_low < result.ci_high


def test_one_unit_says_nothing():
    result = compare(counted([1.0, 2.0]), [counted([3.0, 5.0])], mean, clusters=np.array([7, 7]))
    assert result.delta == 2.5
    assert math.isnan(result.ci_low) and math.isnan(result.ci_high)
    assert math.isnan(result.minimum_detectable_effect)
    assert result.p_value == 1
    assert "only one cluster" in result.method


def test_figures_that_are_not_finite_are_not_tested(pair):
    base, tuned = pair
    result = compare(base, [tuned], lambda totals: np.full(totals.shape[:-1], np.inf))
    assert math.isnan(result.p_value) and math.isnan(result.ci_low)
    assert "not finite" in result.method


def test_resamples_that_are_not_finite_are_named():
    base = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 1.0]])  # a resample may count nothing

    def guarded(totals):
        with np.errstate(divide="ignore", invalid="ignore"):
            return totals[..., 0] / totals[..., 1]

    result = compare(base, [shift_by(base, 1)], guarded, resamples=99)
    assert math.isnan(result.ci_low)
    assert "no interval" in result.method


def test_what_cannot_be_paired_is_refused(pair):
    base, tuned = pair
    for call, message in [
        (lambda: compare(base, [tuned[:-1]], mean), "tuned system 1 of 1 of shape (119, 2)"),
        (lambda: compare(base[:0], [tuned[:0]], mean), "nothing to compare"),
        (lambda: compare(base, [], mean), "no tuned system"),
        (lambda: compare(base, [tuned], mean, clusters=np.zeros(3)), "120 examples need 120"),
    ]:
        with pytest.raises(UserError) as caught:
            call()
        assert message in str(caught.value)


def test_memory_is_bounded():
    rng = np.random.default_rng(0)
    base, tuned = rng.random((2, 7600, 60))
    tracemalloc.start()
    compare(base, [tuned], lambda totals: totals.mean(axis=-1), resamples=999)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 999 resamples of 7,600 counts alone would be 61 MB, copied rows 3,600 MB
    assert peak < 200e6


def test_holm_leaves_what_was_not_tested_alone():
    adjusted = holm([0.02, math.nan, 0.01])
    assert adjusted == pytest.approx([0.02, math.nan, 0.02], nan_ok=True)
    assert np.isnan(holm([math.nan])).all()
    assert holm([]).shape == (0,)
