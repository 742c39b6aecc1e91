"""Each limit is shown when its condition holds and not otherwise; the docs have the same list."""

import dataclasses
from string import Formatter

import pandas as pd
import pytest
from deltatune.data.reasons import Leak
from deltatune.report import collect
from deltatune.report.data import COSTS, ReportData
from deltatune.report.words import conditions, limits, limits_docs
from test_compare_fact import a_fact

PAIR = ("x", "t")
EXPERIMENT = {"task": "t", "model": "m", "unit": "examples", "seeds": [1, 2, 3]}
CLEAN = {"duplicates": 2, "near_duplicates": 0, "splits": {"test": 100}}
ANSWERS = {
    "words_median": 6.0,
    "reference_words_median": 6.0,
    "truncated_share": 0.02,
    "repeated_4grams": 0.01,
}
LABELS = {
    "label_mass": 0.97,
    "chance": 0.25,
    "largest_predicted_share": 0.3,
    "at_chance_for_format": False,
}
MANIFEST = {"examples": 100, "batch_size_used": 32, "device": "cpu"}


def data(**changed) -> ReportData:
    """A run without a limit, but for the one that always holds."""
    values = {
        "facts": [a_fact()],
        "experiments": {"x": EXPERIMENT},
        "records": {"t": CLEAN},
        "classes": {"t": {"train": {"a": 40, "b": 40}, "test": {"a": 20, "b": 20}}},
        "behavior": {PAIR: {"base": ANSWERS, "tuned": ANSWERS}},
        "label_checks": {PAIR: {"base": LABELS, "tuned": LABELS}},
        "evaluations": {PAIR: {"base": MANIFEST, "seed 1": MANIFEST}},
        "costs": pd.DataFrame([("train", "x", 1.0, 0.5, None)], columns=COSTS),
    }
    return ReportData(**values | changed)


def fact(**changes):
    return data(facts=[a_fact(**changes)])


def records(**changes):
    return data(records={"t": CLEAN | changes})


def behavior(base=None, tuned=None):
    return data(behavior={PAIR: {"base": ANSWERS | (base or {}), "tuned": ANSWERS | (tuned or {})}})


def manifests(**of_base):
    return data(evaluations={PAIR: {"base": MANIFEST | of_base, "seed 1": MANIFEST}})


def experiment(**changes):
    return data(experiments={"x": EXPERIMENT | changes})


def controls(figure, **changes):
    copied = a_fact(**changes | {"against": "copied_input", "base": figure})
    return data(facts=[a_fact(**changes)], controls=[copied])


#: id -> (a run in which it holds, words of its sentence, a run in which it just does not).
CASES = {
    "missing_results": (
        data(missing_results=["train_adapter x: it failed.", "Experiment x is not shown."]),
        "not finished: 2 results missing, named at the top of the page. p-values are adjusted",
        data(),
    ),
    "other_settings": (
        data(other_settings=["train_adapter: x, seed 1"]),
        "made with other settings than those of this run: train_adapter: x, seed 1. What",
        data(),
    ),
    "chosen_on_test": (
        experiment(chosen_on="test"),
        "x: the settings were chosen by figures of the test split",
        experiment(chosen_on="validation"),
    ),
    "contained": (
        records(**{Leak.CONTAINED: 3}),
        "3 of 100 test records (3%) are contained in a training record, with 90%",
        records(**{Leak.CONTAINED: 0}),
    ),
    "repeated_prompt": (
        records(**{Leak.REPEATED_PROMPT: 95}), "95 of 100 test prompts (95%)", data()
    ),
    "repeated_answer": (
        records(**{Leak.REPEATED_ANSWER: 79}), "79 of 100 test references (79%)", data()
    ),
    "base_at_chance": (
        data(label_checks={PAIR: {"base": LABELS | {"label_mass": 3.5e-9, "at_chance_for_format":
             True, "largest_predicted_share": 1.0}, "tuned": LABELS}}),
        "writes any label of t is 3.5e-09, and 100% of its predictions are one label",
        data(label_checks={PAIR: {"base": LABELS, "tuned": LABELS | {"at_chance_for_format": 1}}}),
    ),
    "base_cut_off": (
        behavior(base={"truncated_share": 0.998}, tuned={"truncated_share": 0.004}),
        "x on t: 99.8% of the base's answers were cut at `max_new_tokens` and 0.4% of the tuned",
        behavior(base={"truncated_share": 0.09}, tuned={"truncated_share": 0.0}),
    ),
    "copy_beats_base": (
        controls(0.424, base=0.1, tuned=0.55, delta=0.45),
        "t: its input copied as the answer scores 0.42 in accuracy, the base 0.10",
        controls(0.424, base=0.43, tuned=0.55, delta=0.12),
    ),
    "length_changed": (
        behavior(tuned={"words_median": 1.0}, base={"words_median": 40.0}),
        "words of the median answer: 1 tuned, 40 of the base, 6 of the references.",
        behavior(tuned={"words_median": 4.0}, base={"words_median": 8.0}),
    ),
    "one_word": (
        behavior(tuned={"words_median": 1.0}),
        "at least half of the tuned answers have one word at most; the median reference has 6",
        behavior(tuned={"words_median": 1.0, "reference_words_median": 1.0}),
    ),
    "repetition": (
        behavior(tuned={"repeated_4grams": 0.4}),
        "40% of the word 4-grams of the tuned answers repeat an earlier one of the same answer, "
        "1% of the base's",
        behavior(base={"repeated_4grams": 0.5}, tuned={"repeated_4grams": 0.4}),
    ),
    "empty": (manifests(empty=7), "x on t, base: 7 of 100 answers are empty.", manifests(empty=0)),
    "unfinished": (manifests(unfinished=7), "x on t, base: 7 of 100 answers were cut", data()),
    "prompts_cut": (manifests(prompts_cut=7), "7 of 100 prompts were too long", data()),
    "not_asked": (
        manifests(not_asked=7, not_asked_records=[{"record": 1, "reason": "roles must alternate"}]),
        "x on t: 7 of 107 conversations were not asked, as the model's chat template refuses them "
        "(roles must alternate).", manifests(not_asked=0),
    ),
    "sampled": (
        manifests(settings={"sampling": {"temperature": 0.7, "top_k": None}}),
        "x on t: answers were drawn at random (temperature 0.7)",
        manifests(settings={"sampling": None}),
    ),
    "one_seed": (fact(seeds=1), "all that is stated is of this adapter", fact(seeds=2)),
    "two_seeds": (fact(seeds=2), "there is no test of the recipe", fact(seeds=3)),
    "seed_spread": (
        fact(seed_sd=0.3), "x on t: accuracy varies over training seeds (SD 0.30)",
        fact(seed_sd=0.29),
    ),
    "few_clusters": (
        fact(clusters=4, cluster_unit="chapters"),
        "t was evaluated on 4 chapters, which is too few for a test: its figures are for this text",
        fact(clusters=5),
    ),
    "few_examples": (fact(clusters=29), "t was evaluated on 29 examples only", fact(clusters=30)),
    "few_differing": (
        fact(no_interval="few_differing", differing=11),
        "x on t, accuracy: 11 of 200 examples differ between base and tuned",
        fact(no_interval="rare_class"),
    ),
    "nothing_varies": (
        fact(differing=0, clusters=50),
        "Up to 6% of examples that do otherwise cannot be excluded (rule of three)",
        fact(differing=1),
    ),
    "rare_class": (
        data(classes={"t": {"train": {"a": 40, "b": 9}, "test": {"a": 20, "b": 4}}}),
        "t: b have fewer than 5 test examples",
        data(classes={"t": {"train": {"a": 40, "b": 9}, "test": {"a": 20, "b": 5}}}),
    ),
    "absent_class": (
        data(classes={"t": {"train": {"a": 40, "b": 9}, "test": {"a": 20}}}),
        "t: no test example is of b",
        data(classes={"t": {"train": {"a": 40, "b": 9}, "test": {"a": 20, "b": 1}}}),
    ),
    "one_test_split": (data(), "One test split is one sample of a task", data(facts=[])),
    "secondary": (
        data(facts=[a_fact(), *[a_fact(main=False)] * 4, a_fact(main=False, p_value=None)]),
        "Other metrics are unadjusted and marked †: of 4 rows with a p-value, about 0.2 would be",
        data(facts=[a_fact(), a_fact(main=False, p_value=None)]),
    ),
    "left_out_pairs": (
        data(left_out={("x", "u"): "512 is more than the context of models.m (256)"}),
        "x was not evaluated on u: 512 is more than the context of models.m (256).",
        data(),
    ),
    "tiny_model": (
        experiment(built_here=True), "m is a tiny model", experiment(built_here=False)
    ),
    "metric": (
        data(metric_caveats={PAIR: {"{0} is no field": ["base", "seed 1"]}}),
        "x on t (base, seed 1): {0} is no field.",
        data(metric_caveats={PAIR: {}}),
    ),
    "batch_sizes": (
        manifests(batch_size_used=16), "x on t: memory ran out, so base and tuned were "
        "evaluated with different batch sizes (base: 16, seed 1: 32)", manifests()
    ),
    "windows": (
        manifests(windows=40, settings={"context": 256}),
        "the 256 tokens that a window reads",
        data(),
    ),
    "gpu": (manifests(device="cuda:0"), "is not deterministic", manifests(device="cpu")),
    "one_by_one": (
        experiment(documents_packed=False),
        "see each other, so each was computed as a row of its own",
        experiment(documents_packed=True),
    ),
    "no_leakage": (
        records(duplicates=0, near_duplicates=0, near_duplicate_threshold=0.85),
        "Leakage, t: no test or validation record repeats a training record (exact; word 3-gram "
        "Jaccard ≥ 0.85).",
        records(duplicates=0, near_duplicates=1),
    ),
    "duplicates": (
        records(duplicates=3), "Leakage, t: 3 duplicate rows were left out of the splits (exact "
        "alone).", records(duplicates=0),
    ),
    "truncated": (records(truncated=4), "t: 4 documents were longer", records(truncated=0)),
}  # fmt: skip


@pytest.mark.parametrize("limit", limits.LIMITS, ids=[limit.id for limit in limits.LIMITS])
def test_a_limit_is_shown_when_its_condition_holds_and_not_otherwise(limit):
    holds, words, does_not = CASES[limit.id]
    shown = [str(one) for one in limits.shown(holds) if one.limit is limit]
    assert len(shown) == 1 and words in shown[0]
    assert [one for one in limits.shown(does_not) if one.limit is limit] == []


def test_each_limit_has_a_case_and_an_id_of_its_own():
    assert [limit.id for limit in limits.LIMITS] == list(CASES)


@pytest.mark.parametrize("limit", limits.LIMITS, ids=[limit.id for limit in limits.LIMITS])
def test_the_short_form_is_short_and_complete(limit):
    assert bool(limit.short) == bool(limit.weight)
    for one in limits.shown(CASES[limit.id][0]):
        assert len(one.short.split()) <= 14
    names = {name for _, name, _, _ in Formatter().parse(limit.sentence) if name}
    of_short = {name for _, name, _, _ in Formatter().parse(limit.short) if name}
    details = next(iter(limit.condition(CASES[limit.id][0])))
    assert names | of_short <= set(details)


def test_few_clusters_that_differ_are_counted_in_their_clusters():
    few = {"no_interval": "few_clusters_differ", "differing": 20, "clusters": 40}
    every = [str(one) for one in limits.shown(fact(**few, cluster_unit="chapters"))]
    begin = "x on t, accuracy: 20 of 200 examples in 40 chapters differ between base and tuned, too"
    assert any(one.startswith(begin) for one in every)


def test_a_clean_run_has_the_limit_of_every_run_alone():
    assert [one.limit.id for one in limits.shown(data(records={"t": CLEAN}))] == [
        "one_test_split", "duplicates"
    ]  # fmt: skip


def test_the_strongest_is_the_heaviest_that_holds():
    run = fact(seeds=1, clusters=4, cluster_unit="chapters")
    assert [one.limit.id for one in limits.shown(run)][:2] == ["one_seed", "few_clusters"]
    assert limits.strongest(run).short == "one training seed, so this says nothing of the recipe"
    assert limits.strongest(data(facts=[], experiments={}, records={})) is None


def test_what_several_experiments_share_is_stated_once():
    """A base is evaluated once for all of them."""
    run = data(
        evaluations={
            ("x", "t"): {"base": MANIFEST | {"empty": 7}, "seed 1": MANIFEST},
            ("y", "t"): {"base": MANIFEST | {"empty": 7}, "seed 1": MANIFEST | {"empty": 1}},
        },
        metric_caveats={("x", "t"): {"rough": ["base"]}, ("y", "t"): {"rough": ["base"]}},
    )
    assert [str(one) for one in limits.shown(run) if one.limit.id in ("empty", "metric")] == [
        "x, y on t (base): rough.",
        "x, y on t, base: 7 of 100 answers are empty.",
        "y on t, seed 1: 1 of 100 answers are empty.",
    ]


def test_a_sentence_stands_once():
    twice = data(
        facts=[a_fact(clusters=4), dataclasses.replace(a_fact(clusters=4), experiment="y")]
    )
    assert [one.limit.id for one in limits.shown(twice)].count("few_clusters") == 1


def test_the_docs_have_the_same_list():
    """`cd scripts && python -m deltatune.report.words.limits_docs` writes it."""
    assert limits_docs.documentation() in limits_docs.METHOD.read_text(encoding="utf-8")
    for limit in limits.LIMITS:
        assert limit.when in limits_docs.documentation()


def test_no_duplicate_is_claimed_but_of_what_was_tested():
    """Where near duplicates are not looked for, nothing is said of them."""
    clean = {"duplicates": 0, "near_duplicates": 0}
    run = data(
        records={
            "news": clean | {"near_duplicate_threshold": 0.85},
            "prose": clean | {"near_duplicate_threshold": 0.85},
            "tips": clean | {"near_duplicate_threshold": 0.5},
            "talks": {"duplicates": 0},
            "dirty": {"duplicates": 1},
        }
    )
    assert list(conditions.no_leakage(run)) == [
        {"tasks": ["news", "prose"], "tested": "exact; word 3-gram Jaccard ≥ 0.85"},
        {"tasks": ["tips"], "tested": "exact; word 3-gram Jaccard ≥ 0.5"},
        {"tasks": ["talks"], "tested": "exact alone"},
    ]


@pytest.mark.parametrize(
    ("count", "share"),
    [(50, "6%"), (200, "1%"), (3, "100%"), (2, "100%"), (1000, "0.3%"), (0, "100%")],
)
def test_the_rule_of_three(count, share):
    assert conditions.excluded_share(count, 0.05) == share


def test_means_over_seeds_are_of_the_tuned_systems_and_missing_where_one_is():
    systems = [{"a": 1.0, "b": None}, {"a": 2.0, "b": 1.0}, {"a": 4.0, "b": None}]
    assert collect.means(systems) == {"base": systems[0], "tuned": {"a": 3.0, "b": None}}


def test_what_a_metric_says_of_itself_is_kept_with_its_systems():
    metrics = [
        {"metrics": {"bleu": {"caveats": ["rough"]}, "chrf": {"caveats": ["rough"]}}},
        {"metrics": {"bleu": {"caveats": ["rough", "few"]}}},
    ]
    assert collect.metric_caveats(metrics, ["base", "seed 1"]) == {
        "rough": ["base", "seed 1"],
        "few": ["seed 1"],
    }
