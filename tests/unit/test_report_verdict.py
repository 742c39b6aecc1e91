"""Golden sentences on adversarial tables: what is decided is said with its size and of whom, and
what is not decided is neither help nor harm."""

import dataclasses
import re

import pandas as pd
import pytest
from deltatune.report import outcomes
from deltatune.report.data import COSTS, ReportData
from deltatune.report.words import first_screen, verdict
from test_compare_fact import a_fact

TITLES = {
    "accuracy": {"title": "Accuracy"},
    "perplexity": {"title": "Perplexity"},
    "exact_match": {"title": "Exact match"},
    "rouge_l": {"title": "ROUGE-L F1"},
}
NO_RECIPE = {"seeds": 2, "p_value": None, "p_holm": None, "no_p": "two_seeds"}
PROSE = {
    **{"metric": "perplexity", "higher_is_better": False, "base": 63.2, "tuned": 40.1},
    **{"delta": -23.1, "ci_low": -26.0, "ci_high": -20.0, "adapters_low": -25.0},
    **{"adapters_high": -21.0, "unit": "windows", "n": 40, "clusters": 8},
    **{"cluster_unit": "chapters", "seed_sd": 0.4},
}
SAME = {
    **{"metric": "exact_match", "n": 50, "clusters": 50, "differing": 0, "delta": 0.0},
    **{"seed_sd": 0.0, "ci_low": -0.053, "ci_high": 0.053, "adapters_low": -0.053},
    **{"adapters_high": 0.053, "p_value": 1.0, "p_holm": 1.0, "adapters_p_holm": 1.0},
}


def run(*facts, tasks=None, **changed) -> ReportData:
    """A run of these facts; tasks: of the experiments, `t` of `x` unless given."""
    tasks = tasks or {"x": "t"}
    experiments = {name: {"task": task, "model": "m"} for name, task in tasks.items()}
    return ReportData(list(facts), experiments, metrics=TITLES, **changed)


def pair(*facts, **changed) -> str:
    """The sentences on the first pair."""
    return verdict.summarize(run(*facts, **changed)).pairs[0].text


def parts(*facts, **changed) -> list[str]:
    return verdict.summarize(run(*facts, **changed)).parts


# ---------------------------------------------------------------- pair by pair

GOLDEN = {
    "three seeds": (
        a_fact(),
        "Tuning improved Accuracy on t from 0.25 to 0.85 (+0.60; 95% interval 0.50 to 0.70, "
        "Holm-adjusted p = 0.002; of these 3 adapters alone 0.55 to 0.65; 200 examples, mean over "
        "3 seeds with SD 0.010).",
    ),
    "two seeds": (
        a_fact(**NO_RECIPE),
        "These two adapters improved Accuracy on t from 0.25 to 0.85 (+0.60; of these two adapters "
        "95% interval 0.55 to 0.65, Holm-adjusted p ≤ 0.0002; of the recipe, roughly, 0.50 to "
        "0.70; 200 examples, mean over 2 seeds with SD 0.010).",
    ),
    "one seed": (
        a_fact(seeds=1, estimand="adapters", seed_sd=None, p_holm=0.0002, p_is_floor=True),
        "This adapter improved Accuracy on t from 0.25 to 0.85 (+0.60; 95% interval 0.55 to 0.65, "
        "Holm-adjusted p ≤ 0.0002; 200 examples, 1 seed).",
    ),
    "worse": (
        a_fact(base=0.85, tuned=0.25, delta=-0.6, ci_low=-0.7, ci_high=-0.5),
        "Tuning lowered Accuracy on t from 0.85 to 0.25, which is worse (−0.60; 95% interval −0.70 "
        "to −0.50, Holm-adjusted p = 0.002; of these 3 adapters alone 0.55 to 0.65; 200 examples, "
        "mean over 3 seeds with SD 0.010).",
    ),
    "8 chapters": (
        a_fact(**PROSE),
        "Tuning lowered Perplexity on t from 63.2 to 40.1, and lower is better (−23.1 or −37%; 95% "
        "interval −26.0 to −20.0, Holm-adjusted p = 0.002; of these 3 adapters alone −25.0 to "
        "−21.0; 40 windows in 8 chapters, mean over 3 seeds with SD 0.40).",
    ),
    "3 chapters": (
        a_fact(**PROSE | {"clusters": 3, "no_p": "few_clusters", "p_value": None, "p_holm": None,
                          "adapters_p": None, "adapters_p_holm": None}),
        "Perplexity on t went from 63.2 to 40.1 (−23.1 or −37%; 95% interval −26.0 to −20.0; of "
        "these 3 adapters alone −25.0 to −21.0; 40 windows in 3 chapters, mean over 3 seeds with "
        "SD 0.40). This is not tested: fewer than 5 independent units, so the difference is for "
        "this text only.",
    ),
    "0 of 50 and 0 of 50": (
        a_fact(**SAME, base=0.0, tuned=0.0),
        "A difference in Exact match on t is not shown: 0.000 to 0.000 (0.000; 95% interval −0.053 "
        "to 0.053, Holm-adjusted p = 1.00; of these 3 adapters alone −0.053 to 0.053; 50 examples, "
        "mean over 3 seeds with SD 0.0000). None of 50 examples differs: a difference in up to 6% "
        "of examples cannot be excluded.",
    ),
    "all right": (
        a_fact(**SAME, base=1.0, tuned=1.0),
        "A difference in Exact match on t is not shown: 1.000 to 1.000 (0.000; 95% interval −0.053 "
        "to 0.053, Holm-adjusted p = 1.00; of these 3 adapters alone −0.053 to 0.053; 50 examples, "
        "mean over 3 seeds with SD 0.0000). None of 50 examples differs: a difference in up to 6% "
        "of examples cannot be excluded.",
    ),
    "two seeds of opposite sign": (
        a_fact(**NO_RECIPE, base=0.5, tuned=0.52, delta=0.02, seed_sd=0.08, ci_low=-0.4,
               ci_high=0.44, adapters_low=0.005, adapters_high=0.035, detectable=0.5),
        "A difference in Accuracy on t is not shown: 0.50 to 0.52 (+0.02; of these two adapters "
        "95% interval 0.01 to 0.04, Holm-adjusted p ≤ 0.0002; of the recipe, roughly, −0.40 to "
        "0.44; 200 examples, mean over 2 seeds with SD 0.080). The test of these two adapters "
        "alone is below the level; with the spread over training seeds the difference is not "
        "shown. The smallest difference that 200 examples and 2 seeds show with a power of 80%, at "
        "the level of 0.025 that decides here, is about 0.50.",
    ),
    "three adapters, not the recipe": (
        a_fact(base=0.5, tuned=0.52, delta=0.02, ci_low=-0.04, ci_high=0.08, adapters_low=0.005,
               adapters_high=0.035, p_value=0.3, p_holm=0.6, detectable=0.09),
        "A difference in Accuracy on t is not shown: 0.500 to 0.520 (+0.020; 95% interval −0.040 "
        "to 0.080, Holm-adjusted p = 0.60; of these 3 adapters alone 0.005 to 0.035; 200 examples, "
        "mean over 3 seeds with SD 0.0100). The test of these 3 adapters alone is below the level; "
        "with the spread over training seeds the difference is not shown. The smallest difference "
        "that 200 examples and 3 seeds show with a power of 80%, at the level of 0.025 that "
        "decides here, is about 0.090.",
    ),
    "no difference would be shown": (
        a_fact(**NO_RECIPE, base=0.5, tuned=0.52, delta=0.02, seed_sd=0.58, ci_low=-1.0,
               ci_high=1.0, adapters_low=-0.05, adapters_high=0.09, adapters_p=0.6,
               adapters_p_holm=0.6, adapters_p_is_floor=False, detectable=float("inf")),
        "A difference in Accuracy on t is not shown: 0.50 to 0.52 (+0.02; of these two adapters "
        "95% interval −0.05 to 0.09, Holm-adjusted p = 0.60; of the recipe, roughly, −1.00 to "
        "1.00; 200 examples, mean over 2 seeds with SD 0.580). 200 examples and 2 seeds show no "
        "difference that is possible with a power of 80%, at the level of 0.025 that decides here.",
    ),
    "one of 500 rows": (
        a_fact(base=0.5, tuned=0.6, delta=0.1, ci_low=0.02, ci_high=0.18, p_value=0.0001,
               p_is_floor=True, p_holm=0.05, family=500, alpha=0.0001, detectable=0.15,
               adapters_p_holm=0.05),
        "A difference in Accuracy on t is not shown: 0.50 to 0.60 (+0.10; 95% interval 0.02 to "
        "0.18, Holm-adjusted p ≤ 0.05; of these 3 adapters alone 0.55 to 0.65; 200 examples, mean "
        "over 3 seeds with SD 0.010). Taken alone it would have counted; it does not after the "
        "correction for 500 comparisons. The smallest difference that 200 examples and 3 seeds "
        "show with a power of 80%, at the level of 0.0001 that decides here, is about 0.15.",
    ),
    "all moved alike": (
        a_fact(no_interval="constant", ci_low=None, ci_high=None, adapters_low=None,
               adapters_high=None),
        "Tuning improved Accuracy on t from 0.250 to 0.850 (+0.600; Holm-adjusted p = 0.002; no "
        "interval, since nothing varies: every example moved by the same amount, or by none; 200 "
        "examples, mean over 3 seeds with SD 0.0100).",
    ),
    "no figure": (
        a_fact(base=None, delta=None, no_p="not_finite"),
        "Accuracy on t has no figure of the base model.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GOLDEN)
def test_the_sentence_on_a_pair(name):
    fact, expected = GOLDEN[name]
    assert pair(fact) == expected


def test_of_two_seeds_the_rough_interval_counts_too_when_a_difference_is_taken_alone():
    alone = " Taken alone it would have counted"
    one = NO_RECIPE | {"adapters_p": 0.03, "adapters_p_holm": 0.06}
    assert alone in pair(a_fact(**one))
    assert alone not in pair(a_fact(**one, ci_low=-0.1))


def test_within_the_margin_is_said_instead_of_nothing():
    one = a_fact(base=0.85, tuned=0.852, delta=0.002, ci_low=-0.011, ci_high=0.015, p_holm=0.8,
                 adapters_p_holm=0.5)  # fmt: skip
    assert pair(one, margins={"accuracy": 0.02}).startswith(
        "Tuning left Accuracy on t within 0.02 of the base, 95% sure: 0.850 to 0.852 (+0.002;"
    )
    assert parts(one, margins={"accuracy": 0.02})[0] == (
        "Tuning (mean of 3 seeds) changed little on t: Accuracy 0.850 to 0.852, within 0.02 of the "
        "base, 95% sure."
    )
    assert pair(one, margins={"accuracy": 0.01}).startswith("A difference in Accuracy on t is not")
    assert pair(one).startswith("A difference in Accuracy on t is not shown")


def test_a_difference_that_is_shown_but_within_the_margin_is_said_to_be():
    small = {"base": 0.85, "tuned": 0.858, "delta": 0.008, "ci_low": 0.003, "ci_high": 0.013}
    margins = {"margins": {"accuracy": 0.02}}
    assert pair(a_fact(**small), **margins).endswith(
        " The interval lies within the margin of 0.02, so both count as equivalent."
    )
    assert parts(a_fact(**small), **margins)[0] == (
        "Tuning (mean of 3 seeds) helped on t: Accuracy 0.8500 to 0.8580, within the margin of "
        "0.02."
    )
    worse = a_fact(task="u", **small, higher_is_better=False)
    assert (
        "(0.8500 to 0.8580, within the margin of 0.02, x)" in parts(a_fact(), worse, **margins)[1]
    )
    for other in ({"accuracy": 0.01}, {}):
        assert "margin" not in pair(a_fact(**small), margins=other)


def test_what_is_shown_is_not_written_as_nothing():
    """A difference in 12 of 5,000 answers, and an interval that begins near zero."""
    few = dict.fromkeys(("ci_low", "ci_high", "adapters_low", "adapters_high"))
    one = a_fact(base=0.5, tuned=0.50024, delta=0.00024, no_interval="few_differing", **few)
    assert "from 0.5000 to 0.5002 (+0.0002; " in pair(one)
    same = dataclasses.replace(one, tuned=0.5 + 1e-16, delta=1e-16, p_value=1.0, p_holm=1.0)
    assert "0.500 to 0.500 (0.000; " in pair(same)
    near = {"base": 0.5, "tuned": 0.606, "delta": 0.106, "ci_low": 0.002, "ci_high": 0.21}
    assert "95% interval 0.002 to 0.210," in pair(a_fact(**near))
    below = {"tuned": 0.394, "delta": -0.106, "ci_low": -0.21, "ci_high": -0.002}
    assert "95% interval −0.210 to −0.002," in pair(a_fact(**near | below))


def test_an_interval_that_disagrees_with_the_test_is_stated():
    assert pair(a_fact(ci_low=-0.001)).endswith(
        "The interval includes zero, so take this with care."
    )
    assert "care" not in pair(a_fact())
    five = {"base": 0.0, "tuned": 1.0, "delta": 1.0, "ci_low": 0.28, "ci_high": 1.0, "seeds": 1}
    not_below = {"adapters_p": 0.064, "adapters_p_holm": 0.064, "detectable": None}
    assert pair(a_fact(**five, **not_below)).endswith(
        ". The interval leaves out zero, but the p-value, which decides, is not below the level."
    )


UNDECIDED = [name for name, (_, text) in GOLDEN.items() if "not shown" in text or "not tes" in text]


@pytest.mark.parametrize("name", UNDECIDED)
def test_what_is_not_decided_is_neither_help_nor_harm(name):
    fact, text = GOLDEN[name]
    every = " ".join([*parts(fact), text])
    assert not re.search(r"helped|hurt|improved|raised|lowered|better\b|worse", every)


# ---------------------------------------------------------------- outcomes


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "improved"),
        ({"p_holm": 0.05}, "undetected"),
        ({"p_holm": 0.06, "p_value": 0.01}, "undetected"),
        ({"p_holm": None, "adapters_p_holm": None, "p_value": 0.04}, "improved"),
        ({"p_holm": None, "adapters_p_holm": None, "p_value": 0.06}, "undetected"),
        ({"p_holm": 0.5, "adapters_p_holm": 0.0001}, "undetected"),
        ({"higher_is_better": False}, "worsened"),
        ({"delta": 0.0, "tuned": 0.25}, "undetected"),
        ({"base": None}, "unknown"),
        ({"tuned": float("inf")}, "unknown"),
        ({"p_holm": None, "p_value": None, "no_p": "few_clusters"}, "untested"),
        ({**NO_RECIPE}, "improved"),
        ({**NO_RECIPE, "ci_low": -0.01}, "undetected"),
        ({**NO_RECIPE, "ci_low": None, "ci_high": None}, "undetected"),
        ({**NO_RECIPE, "adapters_p_holm": 0.05}, "undetected"),
        ({**NO_RECIPE, "adapters_p_holm": None, "adapters_p": None}, "untested"),
        ({"seeds": 1, "adapters_p_holm": 0.04, "p_holm": 0.9}, "improved"),
    ],
)
def test_outcome(changes, expected):
    assert outcomes.outcome(a_fact(**changes), 0.05) == expected


@pytest.mark.parametrize(
    ("margin", "low", "high", "expected"),
    [
        (0.02, -0.02, 0.02, "equivalent"),
        (0.02, -0.021, 0.01, "undetected"),
        (0.02, None, None, "undetected"),
        (None, -0.001, 0.001, "undetected"),
    ],
)
def test_equivalence_needs_the_whole_interval_within_the_margin(margin, low, high, expected):
    one = a_fact(p_holm=0.5, adapters_p_holm=0.5, ci_low=low, ci_high=high)
    assert outcomes.outcome(one, 0.05, margin) == expected


def test_the_level_follows_the_confidence():
    one = a_fact(p_holm=0.03)
    assert run(one).outcome(one) == "improved"
    assert run(one, confidence=0.99).outcome(one) == "undetected"
    assert "99% interval" in pair(one, confidence=0.99)


def test_all_baselines_are_beaten_if_each_is():
    better = a_fact(p_holm=None, adapters_p_holm=None)
    assert outcomes.beats_all([better, better], 0.05)
    assert not outcomes.beats_all([better, dataclasses.replace(better, p_value=0.06)], 0.05)
    assert not outcomes.beats_all([], 0.05)


# ---------------------------------------------------------------- the first screen


def test_nothing_was_compared():
    assert verdict.summarize(ReportData([], {})).parts == [
        "No tuned model has been compared with its base yet."
    ]


@pytest.mark.parametrize(
    ("changes", "begin"),
    [
        ({"seeds": 1}, "This adapter helped on t: Accuracy 0.25 to 0.85."),
        (NO_RECIPE, "These two adapters (their mean) helped on t: Accuracy 0.25 to 0.85."),
        ({"seeds": 3}, "Tuning (mean of 3 seeds) helped on t: Accuracy 0.25 to 0.85."),
        ({"higher_is_better": False}, "Tuning (mean of 3 seeds) hurt on t: Accuracy 0.25 to 0.85."),
        ({"p_holm": 0.5}, "A difference is not shown on t: Accuracy 0.25 to 0.85."),
        (
            {"p_value": None, "p_holm": None, "no_p": "few_clusters", "clusters": 4,
             "cluster_unit": "chapters"},
            "A difference is not tested on t: Accuracy 0.25 to 0.85, 4 chapters, for this text "
            "only.",
        ),
        ({"base": None}, "There is no figure on t: Accuracy."),
    ],
)  # fmt: skip
def test_one_own_task(changes, begin):
    assert parts(a_fact(**changes))[0] == begin


def three_tasks(**changes) -> list:
    return [a_fact(experiment=f"{task}-lora", task=task, **changes) for task in "abc"]


def tuned_on(facts) -> dict[str, str]:
    return {fact.experiment: fact.task for fact in facts}


@pytest.mark.parametrize(
    ("changes", "begin"),
    [
        ({"seeds": 1}, "These adapters (one each) helped on 3 of 3 tasks: a (Accuracy"),
        (NO_RECIPE, "These adapters (mean of 2 each) helped on 3 of 3 tasks: a (Accuracy"),
        ({}, "Tuning (mean of 3 seeds) helped on 3 of 3 tasks: a (Accuracy 0.25 to 0.85), b ("),
        ({"p_holm": 0.5}, "A difference is not shown on 3 of 3 tasks: a (Accuracy"),
    ],
)
def test_own_tasks_are_counted_and_named_with_their_sizes(changes, begin):
    facts = three_tasks(**changes)
    assert parts(*facts, tasks=tuned_on(facts))[0].startswith(begin)


def test_outcomes_are_told_apart_on_the_first_screen():
    facts = three_tasks()
    facts[1] = dataclasses.replace(facts[1], p_holm=0.5, adapters_p_holm=0.5)
    facts[2] = dataclasses.replace(facts[2], higher_is_better=False)
    assert parts(*facts, tasks=tuned_on(facts))[0] == (
        "Tuning (mean of 3 seeds) helped on 1 of 3 tasks: a (Accuracy 0.25 to 0.85); hurt on 1: c "
        "(Accuracy 0.25 to 0.85); not shown on 1: b (Accuracy 0.25 to 0.85)."
    )


def test_experiments_that_share_a_task_are_counted_apart_from_tasks():
    facts = [a_fact(experiment="r8"), a_fact(experiment="r64"), a_fact(experiment="z", task="u")]
    assert parts(*facts, tasks=tuned_on(facts))[0].startswith(
        "Tuning (mean of 3 seeds) helped in 3 of 3 experiments on 2 tasks: r8 (Accuracy"
    )


HARM = {"base": 63.0, "tuned": 846.0, "delta": 783.0, "ci_low": 700, "ci_high": 850}


def test_harm_is_counted_by_pairs_and_tasks_and_named_as_a_factor():
    own = three_tasks()
    other = [
        a_fact(experiment="b-lora", task="a", **PROSE | HARM),
        a_fact(experiment="c-lora", task="a", **PROSE | HARM | {"tuned": 254.0, "delta": 191.0}),
        a_fact(experiment="a-lora", task="b", p_holm=0.5, adapters_p_holm=0.5),
    ]
    assert parts(*own, *other, tasks=tuned_on(own))[1] == (
        "Cross-task, 2 of 3 pairs became worse, on 1 task, at worst Perplexity on a, 13.4 times "
        "higher (63 to 846, b-lora)."
    )
    assert parts(*own, other[2], tasks=tuned_on(own))[1] == (
        "Cross-task, harm is not shown in 1 pair on 1 task."
    )
    assert parts(*own, tasks=tuned_on(own))[1] == "Other tasks were not evaluated."


def test_harm_that_is_shown_of_the_adapters_alone_is_named_where_it_is_worse():
    """Seeds that differ much hide it from the test of the recipe, but not from who uses one."""
    alone = a_fact(task="u", **PROSE | HARM | {"p_value": 0.2, "p_holm": 0.3})
    text = "; of these adapters alone, Perplexity on u, 13.4 times higher (x)."
    less = a_fact(task="z", **PROSE | HARM | {"tuned": 254.0, "delta": 191.0})
    more = a_fact(task="z", **PROSE | HARM | {"tuned": 1846.0, "delta": 1783.0})
    worse = "Cross-task, 1 of 2 pairs became worse, on 1 task, at worst Perplexity on z,"
    assert parts(a_fact(), alone)[1] == f"Cross-task, harm is not shown in 1 pair on 1 task{text}"
    assert parts(a_fact(), alone, less)[1] == f"{worse} 4.03 times higher (63 to 254, x){text}"
    assert parts(a_fact(), alone, more)[1] == f"{worse} 29.3 times higher (63 to 1,846, x)."
    neither = dataclasses.replace(alone, adapters_p=0.2, adapters_p_holm=0.3)
    assert parts(a_fact(), neither)[1] == "Cross-task, harm is not shown in 1 pair on 1 task."


FEW = {"clusters": 3, "no_p": "few_clusters"} | dict.fromkeys(
    ("p_value", "p_holm", "adapters_p", "adapters_p_holm")
)


def test_harm_that_is_not_tested_is_not_called_not_shown():
    untested = a_fact(task="u", **PROSE | HARM | FEW)
    better = a_fact(task="v", **PROSE | FEW)
    unknown = a_fact(task="w", tuned=None, delta=None)
    helped, hurt = a_fact(task="y"), a_fact(task="z", **PROSE | HARM)
    worst = "Perplexity on u, 13.4 times higher (63 to 846, x)"
    assert parts(a_fact(), untested)[1] == (
        f"Cross-task, harm is not tested in 1 pair on 1 task, at worst {worst}."
    )
    assert parts(a_fact(), helped, untested, better, unknown)[1] == (
        f"Cross-task, harm is not tested in 3 pairs on 3 tasks, at worst {worst}; not shown in 1 "
        "pair on 1 task."
    )
    assert parts(a_fact(), better)[1] == "Cross-task, harm is not tested in 1 pair on 1 task."
    assert parts(a_fact(), hurt, untested, helped)[1] == (
        "Cross-task, 1 of 3 pairs became worse, on 1 task, at worst Perplexity on z, 13.4 times "
        "higher (63 to 846, x); 1 not tested."
    )


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        (
            {"base": 0.6, "tuned": 0.0, "delta": -0.6},
            "Accuracy on u, which fell to 0 (0.60 to 0.00, x)",
        ),
        (
            {"base": 0.8, "tuned": 0.2, "delta": -0.6},
            "Accuracy on u, 4.00 times lower (0.80 to 0.20, x)",
        ),
        (
            {"base": 0.08336, "tuned": 0.00059, "delta": -0.0828},
            "Accuracy on u, 141 times lower (x)",
        ),
        (
            {"base": 0.6, "tuned": 1e-9, "delta": -0.6},
            "Accuracy on u, more than 1,000 times lower (x)",
        ),
        ({"base": 0.6, "tuned": 0.599, "delta": -0.001}, "Accuracy on u (0.60 to 0.60, x)"),
        ({"base": -0.2, "tuned": -0.8, "delta": -0.6}, "Accuracy on u (−0.20 to −0.80, x)"),
        (
            {"base": 0.0, "tuned": 0.6, "higher_is_better": False},
            "Accuracy on u (0.00 to 0.60, x)",
        ),
    ],
)
def test_harm_is_a_factor_of_at_least_one_or_named_by_its_figures(changes, size):
    other = a_fact(task="u", **changes)
    assert parts(a_fact(), other)[1].endswith(f"at worst {size}.")


def test_the_worst_harm_is_the_largest_by_the_direction_of_the_metric():
    ratio = first_screen.harm
    assert ratio(a_fact(base=63, tuned=846, higher_is_better=False)) == pytest.approx(846 / 63)
    assert ratio(a_fact(base=6.0, tuned=0.02)) == pytest.approx(300)
    assert ratio(a_fact(base=6.0, tuned=0.0)) == float("inf")
    assert ratio(a_fact(base=0.5, tuned=0.6)) == ratio(a_fact(base=None)) == 1
    assert ratio(a_fact(base=0.5, tuned=0.6), reverse=True) == pytest.approx(1.2)


def control(name="tfidf", **changes):
    values = {"against": name, "p_holm": None, "adapters_p_holm": None, "family": 0}
    return a_fact(**values | changes)


BEATEN = {"base": 0.72, "delta": 0.13, "ci_low": 0.1, "ci_high": 0.2}
NOT_BEATEN = {"base": 0.92, "delta": -0.07, "ci_low": -0.1, "ci_high": -0.02}


@pytest.mark.parametrize(
    ("controls", "expected"),
    [
        ([], "No plain baseline was compared."),
        (
            [control(**BEATEN), control("most_frequent_label", base=0.3, delta=0.55)],
            "The tuned model beats every plain baseline, the best being TF-IDF on t (0.72 against "
            "0.85).",
        ),
        (
            [control(**NOT_BEATEN), control("most_frequent_label", base=0.3, delta=0.55)],
            "The tuned model does not beat TF-IDF on t (0.92 against 0.85).",
        ),
        (
            [control(**BEATEN | {"p_value": 0.2})],
            "The tuned model is not shown to beat TF-IDF on t (0.72 against 0.85).",
        ),
        (
            [control(**BEATEN, **FEW)],
            "The tuned model is not tested against TF-IDF on t (0.72 against 0.85).",
        ),
        (
            [control(base=None, delta=None)],
            "The tuned model is not shown to beat TF-IDF on t (no figure).",
        ),
    ],
)
def test_plain_baselines_of_one_task(controls, expected):
    titles = {"tfidf": "TF-IDF"}
    assert parts(a_fact(), controls=controls, baseline_titles=titles)[2] == expected


def test_plain_baselines_of_several_tasks():
    facts = three_tasks()
    controls = [
        control(experiment=f"{task}-lora", task=task, **values)
        for task, values in zip("abc", (BEATEN, NOT_BEATEN, BEATEN), strict=True)
    ]
    titles = {"tfidf": "Nearest training example"}
    shared = {"tasks": tuned_on(facts), "baseline_titles": titles}
    assert parts(*facts, controls=controls, **shared)[2] == (
        "Plain baselines are better on 1 of 3 tasks: nearest training example on b (0.92 against "
        "0.85)."
    )
    assert parts(*facts, controls=controls[:1] + controls[2:], **shared)[2] == (
        "Every plain baseline is beaten on 2 tasks; the best: nearest training example on a (0.72 "
        "against 0.85), nearest training example on c (0.72 against 0.85)."
    )


def test_the_strongest_limit_and_the_cost_end_the_first_screen():
    costs = pd.DataFrame([("a", "x", 1700.0, 1.6, None), ("b", "y", 66.0, 0.5, None)],
                         columns=COSTS)  # fmt: skip
    assert parts(a_fact(seeds=1), costs=costs)[3:] == [
        "Strongest limit: one training seed, so this says nothing of the recipe.",
        "Computing: 29 min 26 s, peak memory 1.60 GB.",
    ]


def test_the_words_stay_few_with_many_experiments():
    """What is left out first is detail; the counts stay."""
    own = [a_fact(experiment=f"e{n}", task=f"t{n}") for n in range(40)]
    own[3] = dataclasses.replace(own[3], base=0.01, delta=0.84)
    other = [a_fact(experiment=f"e{n}", task="t0", **PROSE | HARM) for n in range(1, 40)]
    controls = [control(experiment=f"e{n}", task=f"t{n}", **BEATEN) for n in range(40)]
    summary = verdict.summarize(run(*own, *other, tasks=tuned_on(own), controls=controls))
    assert len(summary.text.split()) <= first_screen.MOST_WORDS
    assert summary.parts[:3] == [
        "Tuning (mean of 3 seeds) helped on 40 of 40 tasks, most on t3 (Accuracy 0.01 to 0.85).",
        "Cross-task, 39 of 39 pairs became worse, on 1 task, at worst Perplexity on t0, 13.4 times "
        "higher (63 to 846, e1).",
        "Every plain baseline is beaten on 40 tasks; closest: tfidf on t0 (0.72 against 0.85).",
    ]
    assert len(summary.pairs) == 79


def test_baselines_that_win_are_told_from_those_that_are_not_shown_to_be_beaten():
    facts = three_tasks()
    titles = {"tfidf": "TF-IDF", "nearest": "Nearest training example"}
    shared = {"tasks": tuned_on(facts), "baseline_titles": titles}
    undecided = control(experiment="a-lora", task="a", **BEATEN | {"p_value": 0.2})
    wins = control("nearest", experiment="b-lora", task="b", **NOT_BEATEN)
    higher = control(experiment="b-lora", task="b", base=0.99, delta=-0.14, p_value=0.3)
    beaten = control(experiment="c-lora", task="c", **BEATEN)
    assert parts(*facts, controls=[undecided, wins, higher, beaten], **shared)[2] == (
        "Plain baselines are better on 1 of 3 tasks: nearest training example on b (0.92 against "
        "0.85); not shown to be beaten on 1: TF-IDF on a (0.72 against 0.85)."
    )
    untested = control(experiment="c-lora", task="c", **BEATEN, **FEW)
    assert parts(*facts, controls=[undecided, untested], **shared)[2] == (
        "Plain baselines are not shown to be beaten on 1 of 2 tasks: TF-IDF on a (0.72 against "
        "0.85); not tested on 1: TF-IDF on c (0.72 against 0.85)."
    )
    assert parts(*facts, controls=[undecided, beaten], **shared)[2] == (
        "Plain baselines are not shown to be beaten on 1 of 2 tasks: TF-IDF on a (0.72 against "
        "0.85)."
    )


def test_wordings_on_baselines_grow_shorter():
    facts = three_tasks()
    lost = [control(experiment=f"{task}-lora", task=task, **NOT_BEATEN) for task in "abc"]
    titles = {"tfidf": "TF-IDF"}
    data = run(*facts, tasks=tuned_on(facts), controls=lost, baseline_titles=titles)
    begin = "Plain baselines are better on 3 of 3 tasks"
    figures = "(0.92 against 0.85)"
    assert first_screen.baselines(data) == [
        f"{begin}: TF-IDF on a {figures}, TF-IDF on b {figures}, TF-IDF on c {figures}.",
        f"{begin}: TF-IDF on a, TF-IDF on b, TF-IDF on c.",
        f"{begin}, such as TF-IDF on a.",
        f"{begin}.",
    ]


def test_the_text_file_is_the_first_screen_one_sentence_a_line():
    data = run(a_fact(), a_fact(metric="rouge_l", main=False), a_fact(task="u"))
    summary = verdict.summarize(data)
    assert summary.text.splitlines() == summary.parts == first_screen.parts(data)
    assert summary.text.endswith(".\n")
    assert [(one.task, one.own) for one in summary.pairs] == [("t", True), ("u", False)]
