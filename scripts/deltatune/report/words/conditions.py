"""When the limits of `limits` hold: each condition yields the details of its sentence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from deltatune.compare.fact import Fact
from deltatune.compare.reasons import MIN_TESTED, Missing, codes
from deltatune.data import reasons
from deltatune.report import numbers, outcomes
from deltatune.report.data import ReportData
from deltatune.report.words import phrases

Details = Iterator[dict[str, Any]]

FEW_EXAMPLES = 30
RARE = 5
"""Test examples of a class that its share in macro F1 needs."""
CUT_OFF = 0.1
REPETITION = 0.1


def tested(threshold: float | None) -> str:
    """What duplicates were looked for. threshold: `split.near_duplicates`."""
    if threshold is None:
        return "exact alone"
    return f"exact; word 3-gram Jaccard ≥ {threshold:g}"


def _by_experiments(every: Iterable[tuple[str, dict[str, Any]]]) -> Details:
    """(experiment, details) -> details with `experiments`, those that have them alike: a base is
    that of several."""
    groups: dict[str, tuple[list[str], dict[str, Any]]] = {}
    for experiment, details in every:
        names, _ = groups.setdefault(repr(details), ([], details))
        names.append(experiment)
    for names, details in groups.values():
        yield {"experiments": names, **details}


# ---------------------------------------------------------------- what results are


def missing_results(data: ReportData) -> Details:
    if data.missing_results:
        yield {"missing": numbers.plural(len(data.missing_results), "results")}


def other_settings(data: ReportData) -> Details:
    if data.other_settings:
        yield {"jobs": data.other_settings}


# ---------------------------------------------------------------- how settings were chosen


def chosen_on_test(data: ReportData) -> Details:
    names = [name for name, one in data.experiments.items() if one.get("chosen_on") == "test"]
    if names:
        yield {"experiments": names}


# ---------------------------------------------------------------- records


def _leak(code: str) -> Callable[[ReportData], Details]:
    def condition(data: ReportData) -> Details:
        for task, counts in data.records.items():
            if count := counts.get(code):
                total = counts["splits"]["test"]
                yield {
                    "task": task,
                    "count": count,
                    "total": total,
                    "share": numbers.format_share(count / total),
                    "least": f"{reasons.CONTAINED_SHARE:.0%}",
                }

    return condition


contained = _leak(reasons.Leak.CONTAINED)
repeated_prompt = _leak(reasons.Leak.REPEATED_PROMPT)
repeated_answer = _leak(reasons.Leak.REPEATED_ANSWER)


def no_leakage(data: ReportData) -> Details:
    """The tasks without a duplicate, by what was tested."""
    tasks: dict[str, list[str]] = {}
    for name, counts in data.records.items():
        if counts.get("duplicates") == 0 and not counts.get("near_duplicates"):
            what = tested(counts.get("near_duplicate_threshold"))
            tasks.setdefault(what, []).append(name)
    for what, names in tasks.items():
        yield {"tasks": names, "tested": what}


def duplicates(data: ReportData) -> Details:
    for task, counts in data.records.items():
        exact, near = counts.get("duplicates") or 0, counts.get("near_duplicates") or 0
        if not exact and not near:
            continue
        threshold = counts.get("near_duplicate_threshold")
        what = f"{exact:,} duplicate rows"
        if threshold is not None:
            what = f"{exact:,} duplicate and {near:,} near-duplicate rows"
        yield {"task": task, "what": what, "tested": tested(threshold)}


def truncated(data: ReportData) -> Details:
    for task, counts in data.records.items():
        if counts.get("truncated"):
            yield {"task": task, "count": counts["truncated"]}


def _classes(data: ReportData, least: int, most: int) -> Details:
    """The tasks with classes of which the test split has from `least` to `most` examples."""
    for task, splits in data.classes.items():
        names = dict.fromkeys(label for counts in splits.values() for label in counts)
        test = splits["test"]
        some = [str(name) for name in names if least <= test.get(name, 0) <= most]
        if some:
            yield {"task": task, "classes": some}


def rare_class(data: ReportData) -> Details:
    yield from _classes(data, 1, RARE - 1)


def absent_class(data: ReportData) -> Details:
    yield from _classes(data, 0, 0)


# ---------------------------------------------------------------- the base


def base_at_chance(data: ReportData) -> Details:
    yield from _by_experiments(
        (
            experiment,
            {
                "task": task,
                "label_mass": f"{base['label_mass']:.2g}",
                "largest": numbers.format_share(base["largest_predicted_share"]),
                "chance": f"{base['chance']:.2g}",
            },
        )
        for (experiment, task), systems in data.label_checks.items()
        if (base := systems["base"]).get("at_chance_for_format")
    )


def base_cut_off(data: ReportData) -> Details:
    for where, base, tuned in _behaviors(data):
        shares = base.get("truncated_share"), tuned.get("truncated_share")
        known = None not in shares
        if known and (shares[0] >= CUT_OFF or abs(shares[0] - shares[1]) >= CUT_OFF):
            base, tuned = map(numbers.format_share, shares)
            yield where | {"base": base, "tuned": tuned}


def copy_beats_base(data: ReportData) -> Details:
    """The baseline's figure stands as `Fact.base` where a fact is against a baseline."""
    bases = {fact.pair: fact for fact in outcomes.main_facts(data.facts)}
    for control in data.controls:
        fact = bases.get(control.pair)
        if control.against != "copied_input" or not fact or None in (control.base, fact.base):
            continue
        sign = 1 if fact.higher_is_better else -1
        if sign * (control.base - fact.base) >= 0:
            decimals = data.decimals(fact)
            yield {
                "task": fact.task,
                "metric": data.metric_title(fact.metric),
                "copied": numbers.format_number(control.base, decimals),
                "base": numbers.format_number(fact.base, decimals),
            }


# ---------------------------------------------------------------- how tuned systems answer


def _behaviors(data: ReportData) -> Iterator[tuple[dict[str, str], dict, dict]]:
    """(experiment and task, behavior of base, behavior of tuned)."""
    for (experiment, task), systems in data.behavior.items():
        if systems.get("base") and systems.get("tuned"):
            yield {"experiment": experiment, "task": task}, systems["base"], systems["tuned"]


def length_changed(data: ReportData) -> Details:
    for where, base, tuned in _behaviors(data):
        words, reference = tuned["words_median"], tuned["reference_words_median"]
        others = base["words_median"], reference
        if any(words < other / 2 or words > 2 * other for other in others):
            figures = {"tuned": words, "base": base["words_median"], "reference": reference}
            yield where | {
                name: numbers.format_count_mean(value) for name, value in figures.items()
            }


def one_word(data: ReportData) -> Details:
    for where, _, tuned in _behaviors(data):
        reference = tuned["reference_words_median"]
        if tuned["words_median"] <= 1 < reference:
            yield where | {"reference": numbers.format_count_mean(reference)}


def repetition(data: ReportData) -> Details:
    for where, base, tuned in _behaviors(data):
        if tuned["repeated_4grams"] >= max(REPETITION, base["repeated_4grams"]):
            key, both = "repeated_4grams", {"base": base, "tuned": tuned}
            yield where | {name: numbers.format_share(one[key]) for name, one in both.items()}


def _answer_fault(key: str) -> Callable[[ReportData], Details]:
    """What an evaluation counted of one system, where it counts it."""

    def condition(data: ReportData) -> Details:
        yield from _by_experiments(
            (
                experiment,
                {
                    "task": task,
                    "system": system,
                    "count": counts[key],
                    "total": counts["examples"],
                },
            )
            for (experiment, task), manifests in data.evaluations.items()
            for system, counts in manifests.items()
            if counts.get(key)
        )

    return condition


empty = _answer_fault("empty")
unfinished = _answer_fault("unfinished")
prompts_cut = _answer_fault("prompts_cut")


def not_asked(data: ReportData) -> Details:
    """Of base and tuned alike, as they have one template."""
    for (experiment, task), manifests in data.evaluations.items():
        counts = manifests.get("base", {})
        if count := counts.get("not_asked"):
            total, reason = counts["examples"] + count, counts["not_asked_records"][0]["reason"]
            where = {"experiment": experiment, "task": task}
            yield {**where, "count": count, "total": total, "reason": reason}


def sampled(data: ReportData) -> Details:
    yield from _by_experiments(
        (experiment, {"task": task, **{k: f"{v}" for k, v in sampling.items() if v is not None}})
        for (experiment, task), manifests in data.evaluations.items()
        for counts in [*manifests.values()][:1]
        if (sampling := counts.get("settings", {}).get("sampling"))
    )


# ---------------------------------------------------------------- seeds


def one_seed(data: ReportData) -> Details:
    if any(fact.seeds == 1 for fact in data.facts):
        yield {}


def two_seeds(data: ReportData) -> Details:
    if any(fact.seeds == 2 for fact in data.facts):
        yield {}


def seed_spread(data: ReportData) -> Details:
    for fact in outcomes.main_facts(data.facts):
        shown = data.outcome(fact) in outcomes.DECIDED
        if shown and fact.seed_sd is not None and fact.seed_sd >= abs(fact.delta) / 2:
            decimals = max(data.decimals(fact), 2)
            yield {
                **_names(data, fact),
                "seed_sd": numbers.format_number(fact.seed_sd, decimals),
                "delta": numbers.format_signed(fact.delta, decimals),
            }


# ---------------------------------------------------------------- how much is tested


def _names(data: ReportData, fact: Fact) -> dict[str, Any]:
    title = data.metric_title(fact.metric)
    return {"experiment": fact.experiment, "task": fact.task, "metric": title}


def _cluster_counts(data: ReportData, least: int, below: int) -> Details:
    for fact in outcomes.main_facts(data.facts):
        if least <= fact.clusters < below:
            clusters = numbers.plural(fact.clusters, fact.cluster_unit)
            yield {"task": fact.task, "clusters": clusters}


def few_clusters(data: ReportData) -> Details:
    yield from _cluster_counts(data, 0, MIN_TESTED)


def few_examples(data: ReportData) -> Details:
    yield from _cluster_counts(data, MIN_TESTED, FEW_EXAMPLES)


def few_differing(data: ReportData) -> Details:
    for fact in outcomes.main_facts(data.facts):
        if {Missing.FEW_DIFFERING, Missing.FEW_CLUSTERS_DIFFER} & {*codes(fact.no_interval)}:
            n, unit = phrases.sample(fact), fact.cluster_unit
            yield {**_names(data, fact), "differing": fact.differing, "n": n, "unit": unit}


def nothing_varies(data: ReportData) -> Details:
    for fact in outcomes.main_facts(data.facts):
        if fact.differing == 0 or Missing.CONSTANT in codes(fact.no_interval):
            yield {
                **_names(data, fact),
                "bound": excluded_share(fact.clusters, data.level),
                "unit": fact.cluster_unit,
            }


def rule_of_three(count: int, level: float = 0.05) -> float:
    """The largest share that is not excluded by none of `count` at 1 - level: 3 / count at 95%
    (Hanley and Lippman-Hand 1983), at most 1."""
    return min(1.0, -math.log(level) / count) if count else 1.0


def excluded_share(count: int, level: float) -> str:
    """'6%', of `rule_of_three`."""
    percent = 100 * rule_of_three(count, level)
    return f"{percent:.0f}%" if percent >= 1 else f"{percent:.2g}%"


def one_test_split(data: ReportData) -> Details:
    if data.facts:
        yield {}


def secondary(data: ReportData) -> Details:
    count = sum(not fact.main and fact.p is not None for fact in data.facts)
    if count:
        yield {
            "rows": numbers.plural(count, "rows"),
            "level": f"{data.level:.4g}",
            "expected": f"{count * data.level:.2g}",
        }


def left_out_pairs(data: ReportData) -> Details:
    for (experiment, task), reason in data.left_out.items():
        yield {"experiment": experiment, "task": task, "reason": reason}


# ---------------------------------------------------------------- how it was measured


def tiny_model(data: ReportData) -> Details:
    for experiment in data.experiments.values():
        if experiment.get("built_here"):
            yield {"model": experiment["model"]}


def metric(data: ReportData) -> Details:
    yield from _by_experiments(
        (experiment, {"task": task, "systems": systems, "text": text})
        for (experiment, task), texts in data.metric_caveats.items()
        for text, systems in texts.items()
    )


def batch_sizes(data: ReportData) -> Details:
    """Base and tuned are evaluated in the same batches unless memory ran out for one of them."""
    for (experiment, task), manifests in data.evaluations.items():
        sizes = {system: record.get("batch_size_used") for system, record in manifests.items()}
        if len(set(sizes.values())) > 1:
            yield {"experiment": experiment, "task": task, "sizes": sizes}


def windows(data: ReportData) -> Details:
    for (_, task), manifests in data.evaluations.items():
        for record in manifests.values():
            if "windows" in record:
                yield {"task": task, "context": record["settings"]["context"]}


def gpu(data: ReportData) -> Details:
    records = (record for manifests in data.evaluations.values() for record in manifests.values())
    if any(str(record.get("device", "")).startswith("cuda") for record in records):
        yield {}


def one_by_one(data: ReportData) -> Details:
    some = {n: e for n, e in data.experiments.items() if e.get("documents_packed") is False}
    yield from _by_experiments((name, {"model": e["model"]}) for name, e in some.items())
