"""The paired comparison: what it pairs, what is independent, and what it does at the edges."""

import dataclasses
import math
import tracemalloc

import numpy as np
import pytest
from deltatune.compare.family import alphas, detectable, holm
from deltatune.compare.intervals import Error, Part, seed_part
from deltatune.compare.reasons import Missing, codes
from deltatune.compare.statistics import compare
from deltatune.core.errors import UserError
from scipy import stats


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
    result = compare(base, [tuned], mean, resamples=999)
    assert result.base == pytest.approx(base[:, 0].mean())
    assert result.delta == pytest.approx(result.tuned - result.base)
    assert result.ci_low < result.delta < result.ci_high
    assert (result.n, result.units, result.differing) == (120, 120, 120)
    assert math.isnan(result.seed_sd)
    assert result.method == (
        "interval: Student's t (119 df), jackknife over 120 examples; "
        "p: sign-flip permutation, 999 draws"
    )


def test_one_seed_speaks_of_the_adapter(pair):
    base, tuned = pair
    result = compare(base, [tuned], mean, resamples=999)
    assert result.estimand == "adapters"
    assert (result.ci_low, result.ci_high) == (result.adapters_low, result.adapters_high)
    assert result.p_value == result.adapters_p


def test_several_seeds_have_two_estimands(pair):
    base, tuned = pair
    shifts = (-0.1, 0.0, 0.4)
    several = compare(base, [shift_by(tuned, shift) for shift in shifts], mean, resamples=999)
    one = compare(base, [shift_by(tuned, 0.1)], mean, resamples=999)  # the same mean over seeds
    assert several.seed_sd == pytest.approx(np.std(shifts, ddof=1))
    assert several.tuned == pytest.approx(one.tuned)
    # Of these adapters it is as if one had the mean; of the recipe the seeds are a sample too.
    assert (several.adapters_low, several.adapters_high) == pytest.approx((one.ci_low, one.ci_high))
    assert several.adapters_p == one.p_value
    assert several.estimand == "recipe"
    assert several.ci_low < several.adapters_low < several.adapters_high < several.ci_high
    assert several.p_value > several.adapters_p


def test_two_seeds_have_a_rough_interval_and_no_p_value(pair):
    base, tuned = pair
    result = compare(base, [tuned, shift_by(tuned, 0.1)], mean, resamples=999)
    assert np.isfinite([result.ci_low, result.ci_high, result.adapters_p]).all()
    assert math.isnan(result.p_value)
    assert result.no_p == (Missing.TWO_SEEDS,)


def test_no_interval_goes_beyond_what_is_possible():
    # Two seeds so far apart that the recipe's interval would be wider than all figures.
    scores = counted(np.full(120, 0.5)), counted(np.linspace(0.2, 0.8, 120))
    tuned = [counted(np.linspace(0.0, 0.4, 120)), counted(np.linspace(0.6, 1.0, 120))]
    for base in scores:
        free = compare(base, tuned, mean, resamples=999)
        bounded = compare(base, tuned, mean, most=1.0, resamples=999)
        assert free.ci_low < -1 and free.ci_high > 1
        assert (bounded.ci_low, bounded.ci_high) == (-1.0, 1.0)
        assert (bounded.delta, bounded.adapters_p) == (free.delta, free.adapters_p)


def test_seeds_of_opposite_sign_do_not_make_a_recipe():
    rng = np.random.default_rng(0)
    base = rng.normal(size=400)
    tuned = [counted(base + rng.normal(shift, 0.5, 400)) for shift in (0.9, -0.4, 0.2)]
    result = compare(counted(base), tuned, mean)
    assert result.adapters_p < 0.001  # these adapters are better on average, beyond doubt
    assert result.p_value > 0.3
    assert result.ci_low < 0 < result.ci_high


def test_pairing_narrows_the_interval(pair):
    base, tuned = pair
    paired = compare(base, [tuned], mean, resamples=999)
    shuffled = compare(base, [np.random.default_rng(0).permutation(tuned)], mean, resamples=999)
    assert shuffled.delta == pytest.approx(paired.delta)
    assert shuffled.records.variance > 1.4 * paired.records.variance


def test_swapping_base_and_tuned_turns_the_sign(pair):
    base, tuned = pair
    there, back = compare(base, [tuned], mean), compare(tuned, [base], mean)
    assert there.delta == pytest.approx(-back.delta)
    assert there.p_value == back.p_value
    assert there.ci_low == pytest.approx(-back.ci_high)


def test_clusters_are_taken_whole(pair):
    base, tuned = pair
    clusters = np.repeat(np.arange(30), 4)
    result = compare(base, [tuned], mean, clusters=clusters, resamples=999)
    summed = [system.reshape(30, 4, 2).sum(axis=1) for system in (base, tuned)]
    by_hand = compare(summed[0], [summed[1]], mean, resamples=999)
    assert (result.n, result.units) == (120, 30)
    for key in ("delta", "ci_low", "ci_high", "p_value"):
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
    honest, fooled, alone = (result.records.variance for result in results)
    assert honest == pytest.approx(alone, rel=1e-9)
    assert fooled == pytest.approx(alone / 9, rel=0.05)


def test_a_cluster_for_each_example_is_no_clustering(pair):
    base, tuned = pair
    names = np.random.default_rng(0).permutation(120)
    assert str(compare(base, [tuned], mean, clusters=names, resamples=999)) == str(
        compare(base, [tuned], mean, resamples=999)
    )


@pytest.mark.parametrize("clusters", [2, 3, 4])
def test_under_five_clusters_there_is_no_p_value(clusters):
    rng = np.random.default_rng(clusters)
    base = rng.normal(size=40 * clusters)
    tuned = base - 1 + rng.normal(0, 0.1, len(base))
    names = np.repeat(np.arange(clusters), 40)
    result = compare(counted(base), [counted(tuned)], mean, clusters=names)
    assert math.isnan(result.p_value) and math.isnan(result.adapters_p)
    assert result.no_p == (Missing.FEW_CLUSTERS,)
    assert "for this text only" in result.no_p[0].words
    assert result.ci_low < result.delta < result.ci_high
    assert "p:" not in result.method


def test_few_binary_examples_have_no_p_value():
    result = compare(counted(np.zeros(4)), [counted(np.ones(4))], mean)
    assert result.no_p == (Missing.FEW_CLUSTERS,)
    assert result.method == "interval: Agresti-Min on 4 examples"


def test_eight_chapters_that_all_agree_can_show_it_in_a_family_of_eleven():
    rng = np.random.default_rng(1)
    names = np.repeat(np.arange(8), 12)
    base = rng.normal(60, 5, 96)
    tuned = base * rng.normal(0.41, 0.02, 96)
    result = compare(counted(base), [counted(tuned)], mean, clusters=names, family=11)
    assert result.p_value * 11 < 0.05


def test_the_same_seed_gives_the_same_bits_and_another_does_not(pair):
    base, tuned = pair
    results = [
        dataclasses.replace(compare(base, [shift_by(tuned, -0.2)], mean, seed=seed), seed_sd=0.0)
        for seed in (4, 4, 5)
    ]
    assert results[0] == results[1]
    assert results[0].p_value != results[2].p_value


def test_batches_do_not_change_the_figures(pair, monkeypatch):
    base, tuned = pair
    whole = compare(base, [tuned], mean, resamples=999)
    monkeypatch.setattr("deltatune.compare.permutation._BATCH_BYTES", 8 * 8 * 120)
    assert str(compare(base, [tuned], mean, resamples=999)) == str(whole)


def test_draws_grow_with_the_family(pair):
    base, tuned = pair
    strong = shift_by(tuned, 2.0)
    for family, draws in [(1, 999), (11, 4400), (500, 200_000)]:
        result = compare(base, [strong], mean, resamples=999, family=family)
        assert f"{draws:,} draws" in result.method
        assert result.p_is_floor and result.p_value == 1 / (draws + 1)
        assert result.p_value * family < 0.05 / 10


# binary scores


def test_nothing_right_in_either_is_no_certainty():
    result = compare(counted(np.zeros(50)), [counted(np.zeros(50))], mean)
    assert (result.delta, result.p_value, result.differing) == (0, 1, 0)
    half = stats.norm.ppf(0.975) / 52
    assert (result.ci_low, result.ci_high) == pytest.approx((-half, half))


def test_all_right_after_none_is_no_certainty():
    result = compare(counted(np.zeros(50)), [counted(np.ones(50))], mean)
    assert result.delta == 1 == result.ci_high
    assert 0.85 < result.ci_low < 0.95


def test_few_binary_examples_have_an_exact_p_value():
    base, tuned = counted(np.zeros(8)), counted([1, 1, 1, 1, 1, 1, 0, 0])
    result = compare(base, [tuned], mean, resamples=99_999)
    assert result.p_value == pytest.approx(stats.binomtest(6, 6).pvalue, rel=0.05)


# scores that are mostly equal


def test_few_differing_examples_have_no_interval():
    rng = np.random.default_rng(0)
    base = rng.random(50)
    moved = np.where(np.arange(50) < 8, rng.random(50), 0)
    result = compare(counted(base), [counted(base + moved)], mean)
    assert result.differing == 8
    assert result.no_interval == (Missing.FEW_DIFFERING,)
    assert math.isnan(result.ci_low) and math.isnan(result.adapters_high)
    assert result.p_value < 0.05  # the permutation test stays exact


@pytest.mark.parametrize("differing", [2, 3, 4, 5])
def test_without_an_interval_the_p_value_is_that_of_the_permutations(differing):
    """Of 12 examples, of which 4 are better, Student's t gives .04, and chance alone 1 in 8."""
    base = np.linspace(0.1, 0.6, 12)
    moved = np.where(np.arange(12) < differing, np.linspace(0.2, 0.21, 12), 0)
    result = compare(counted(base), [counted(base + moved)], mean)
    assert result.no_interval == (Missing.FEW_DIFFERING,)
    assert result.p_value == pytest.approx(2 / 2**differing, rel=0.1)
    assert "p: sign-flip permutation" in result.method


@pytest.mark.parametrize("seeds", [1, 2, 3])
@pytest.mark.parametrize("clusters", [None, np.repeat(np.arange(8), 5)])
def test_a_few_units_that_all_moved_alike_have_a_p_value(clusters, seeds):
    n = 8 if clusters is None else 40
    base = counted(np.linspace(0, 0.5, 8) if clusters is None else np.zeros(n))
    result = compare(base, [shift_by(base, 0.5)] * seeds, mean, clusters=clusters)
    assert result.no_interval == (Missing.CONSTANT,)
    assert result.adapters_p == pytest.approx(2 / 2**8, rel=0.3)
    assert math.isnan(result.p_value) == (Missing.TWO_SEEDS in result.no_p) == (seeds == 2)


@pytest.mark.parametrize(("clusters", "better"), [(8, 3), (30, 4)])
def test_few_differing_clusters_have_no_interval(clusters, better):
    names = np.repeat(np.arange(clusters), 5)
    base = counted(np.zeros(5 * clusters))
    result = compare(base, [counted(names < better)], mean, clusters=names)
    assert result.differing == 5 * better
    assert result.no_interval == (Missing.FEW_CLUSTERS_DIFFER,)
    assert result.p_value == pytest.approx(2 / 2**better, rel=0.1)


def test_rare_classes_have_no_interval(pair):
    base, tuned = pair
    result = compare(base, [tuned], mean, rare=True)
    assert result.no_interval == (Missing.RARE_CLASS,)
    assert math.isnan(result.ci_low)


# edges


def test_systems_that_agree_everywhere_have_no_interval_to_speak_of():
    same = counted(np.arange(40))
    result = compare(same, [same], mean, resamples=999)
    assert (result.delta, result.p_value, result.differing) == (0, 1, 0)
    assert result.no_interval == (Missing.CONSTANT,)


def test_a_constant_difference_has_no_interval_of_no_width():
    base = counted(np.random.default_rng(0).normal(size=40))
    result = compare(base, [shift_by(base, 0.1)], mean, resamples=999)
    assert math.isnan(result.ci_low)
    assert result.no_interval == (Missing.CONSTANT,)
    assert result.p_value == 1 / 1000 and result.p_is_floor


def test_one_cluster_says_nothing():
    result = compare(counted([1.0, 2.0]), [counted([3.0, 5.0])], mean, clusters=np.array([7, 7]))
    assert result.delta == 2.5
    assert math.isnan(result.ci_low) and math.isnan(result.p_value)
    assert result.no_interval == result.no_p == (Missing.ONE_CLUSTER,)


def test_figures_that_are_not_finite_are_not_tested(pair):
    base, tuned = pair
    result = compare(base, [tuned], lambda totals: np.full(totals.shape[:-1], np.inf))
    assert math.isnan(result.p_value) and math.isnan(result.ci_low)
    assert result.no_interval == (Missing.NOT_FINITE,)


def test_leaving_one_out_that_is_not_finite_is_named():
    base = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 1.0]])  # without the last nothing is counted

    def guarded(totals):
        with np.errstate(divide="ignore", invalid="ignore"):
            return totals[..., 0] / totals[..., 1]

    result = compare(base, [shift_by(base, 1)], guarded, resamples=999)
    assert math.isnan(result.ci_low)
    assert result.no_interval == (Missing.NOT_FINITE,)


def test_what_cannot_be_paired_is_refused(pair):
    base, tuned = pair
    for call, message in [
        (lambda: compare(base, [tuned[:-1]], mean), "tuned system 1 of 1 of shape (119, 2)"),
        (lambda: compare(base[:0], [tuned[:0]], mean), "nothing to compare"),
        (lambda: compare(base, [], mean), "no tuned system"),
        (lambda: compare(base, [tuned], mean, clusters=np.zeros(3)), "120 examples need 120"),
        (lambda: compare([base, base], [tuned] * 3, mean), "train both with as many seeds"),
    ]:
        with pytest.raises(UserError) as caught:
            call()
        assert message in str(caught.value)


def test_two_recipes_of_as_many_seeds_can_be_compared():
    rng = np.random.default_rng(2)
    records = rng.normal(size=300)
    one, other = (
        [counted(records + move + rng.normal(0, 0.1, 300)) for move in rng.normal(0, 0.2, 4)]
        for _ in range(2)
    )
    result = compare(one, other, mean)
    spread = [np.var([system[:, 0].mean() for system in side], ddof=1) / 4 for side in (one, other)]
    assert result.ci_high - result.ci_low > 2 * stats.t.ppf(0.975, 6) * np.sqrt(sum(spread))


def test_memory_is_bounded():
    rng = np.random.default_rng(0)
    base, tuned = rng.random((2, 7600, 60))
    tracemalloc.start()
    compare(base, [tuned], lambda totals: totals.mean(axis=-1), resamples=999)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 999 rows of 7,600 swaps alone would be 61 MB, copied examples 3,600 MB.
    assert peak < 200e6


# the error of a difference


@pytest.mark.parametrize("seeds", [1, 2, 3, 4, 5, 8])
def test_p_values_are_the_levels_whose_intervals_touch_zero(seeds):
    error = Error(Part(0.04, 30), Part(0.01, seeds - 1) if seeds > 1 else Part(0, math.inf), seeds)
    for delta in (0.05, 0.5, 1.5, 4.0):
        p = error.p_value(delta)
        assert error.half_width(p) == pytest.approx(delta, rel=1e-6)


def test_without_spread_over_seeds_the_recipe_is_its_adapters():
    for seeds in (2, 3, 5):
        error = Error(Part(0.04, 30), seed_part([0.5] * seeds), seeds)
        assert error.half_width(0.05) == pytest.approx(Error(Part(0.04, 30)).half_width(0.05))


@pytest.mark.parametrize("seeds", [2, 3, 4, 5])
@pytest.mark.parametrize("delta", [0.0, 1e-6, 0.3, 1e6])
def test_a_part_without_variance_has_a_p_value(seeds, delta):
    parts = Part(0.04, 30), Part(0.0, seeds - 1)
    for records, spread in (
        parts,
        (Part(0.0, 30), Part(0.04, seeds - 1)),
        (Part(0.0, 9), parts[1]),
    ):
        p = Error(records, spread, seeds).p_value(delta)
        assert 0 <= p <= 1 or (math.isnan(p) and records.variance == spread.variance == 0)


def test_satterthwaite_by_hand():
    # 0.04 with 30 df and 0.01 with 4: df = 0.05^2 / (0.04^2 / 30 + 0.01^2 / 4) = 31.9
    error = Error(Part(0.04, 30), Part(0.01, 4), 5)
    df = 0.0025 / (0.0016 / 30 + 0.0001 / 4)
    assert error.half_width(0.05) == pytest.approx(stats.t.ppf(0.975, df) * math.sqrt(0.05))


def test_a_second_recipe_adds_welchs_degrees_of_freedom():
    a, b = [1.0, 2.0, 4.0, 3.5], [7.0, 7.5, 6.8, 9.0]
    part = seed_part(a, b)
    welch = stats.ttest_ind(a, b, equal_var=False)
    assert (np.mean(b) - np.mean(a)) / math.sqrt(part.variance) == pytest.approx(-welch.statistic)
    assert part.df == pytest.approx(welch.df)


# the family


def test_holm_leaves_what_was_not_tested_alone():
    adjusted = holm([0.02, math.nan, 0.01])
    assert adjusted == pytest.approx([0.02, math.nan, 0.02], nan_ok=True)
    assert np.isnan(holm([math.nan])).all()
    assert holm([]).shape == (0,)


def test_the_level_that_decided_each_row():
    # Of four, .001 is compared with .05/4, .01 with .05/3, .03 with .05/2 and is not below it.
    levels = alphas([0.03, 0.001, 0.2, math.nan, 0.01], 0.05)
    assert levels == pytest.approx([0.025, 0.0125, 0.025, 0.0125, 0.05 / 3])
    assert ((holm([0.03, 0.001, 0.2, 0.01]) <= 0.05) == [False, True, False, True]).all()


def test_more_tests_need_a_larger_difference():
    row = {"no_interval": "", "item_se": 0.1, "item_df": math.inf, "seeds": 1, "seed_sd": math.nan}
    alone, eleven = detectable(row, 0.05, 0.05), detectable(row, 0.05, 0.05 / 11)
    assert alone == pytest.approx(0.1 * (1.959964 + 0.841621))
    assert eleven == pytest.approx(0.1 * (stats.norm.isf(0.025 / 11) + 0.841621))


def test_seeds_that_differ_need_a_larger_difference():
    row = {"no_interval": "", "item_se": 0.1, "item_df": 99, "seeds": 5, "seed_sd": 0.0}
    same = detectable(row, 0.05, 0.05)
    assert detectable(row | {"seed_sd": 0.2}, 0.05, 0.05) > 1.3 * same
    assert math.isnan(detectable(row | {"no_interval": "constant"}, 0.05, 0.05))


def test_codes_in_a_cell():
    assert codes("few_clusters two_seeds") == [Missing.FEW_CLUSTERS, Missing.TWO_SEEDS]
    assert codes("") == []
