"""The first words of the page, of verdict.txt and of the terminal: at most 90.

The result on own tasks, the worst harm to other tasks, plain baselines, the strongest limit and the
cost. Some parts have wordings of several lengths, down to counts; where all is too long, they take
shorter ones by turns.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from enum import Enum

from deltatune.compare.fact import Fact
from deltatune.compare.reasons import MIN_TESTED
from deltatune.report import numbers, outcomes
from deltatune.report.data import ReportData
from deltatune.report.outcomes import Outcome
from deltatune.report.words import limits, phrases

MOST_WORDS = 90
MOST_WORDS_OF_OWN = 45
"""More of them about own tasks would leave too little for harm and baselines."""

LEAST_TIMES = 1.005
"""Below, a factor would be written as 1.00."""

Wordings = list[str]
"""The same statement, from the longest to the shortest."""


def parts(data: ReportData) -> list[str]:
    """One to five sentences, with MOST_WORDS words in all."""
    facts = outcomes.main_facts(data.own_facts())
    if not facts and data.missing_results:
        return ["No experiment of this run is finished."]
    if not facts:
        return ["No tuned model has been compared with its base yet."]
    own = own_tasks(data, facts)
    while len(own) > 1 and count_words(own[0]) > MOST_WORDS_OF_OWN:
        own = own[1:]
    cross = cross_task(data, outcomes.main_facts(data.cross_task_facts()))
    wordings = [own, cross, baselines(data), strongest_limit(data), cost(data)]
    return _shorten([list(one) for one in wordings if one])


def count_words(text: str) -> int:
    return len(text.split())


def _shorten(wordings: list[Wordings]) -> list[str]:
    """The longest wordings that fit. By turns the last parts take their shorter ones first; how
    much tuning helped goes when the others have been shortened once, and harm after it."""
    own, cross, *others = wordings
    others.reverse()
    turns = itertools.chain([*others, cross], itertools.cycle([*others, own, cross]))
    while sum(count_words(one[0]) for one in wordings) > MOST_WORDS:
        if all(len(one) == 1 for one in wordings):
            break
        shorter = next(turns)
        if len(shorter) > 1:
            shorter.pop(0)
    return [one[0] for one in wordings]


# ---------------------------------------------------------------- own tasks

PHRASES = {
    Outcome.IMPROVED: ("{subject} helped {where}", "helped {where}"),
    Outcome.WORSENED: ("{subject} hurt {where}", "hurt {where}"),
    Outcome.EQUIVALENT: ("{subject} changed little {where}", "changed little {where}"),
    Outcome.UNDETECTED: ("A difference is not shown {where}", "not shown {where}"),
    Outcome.UNTESTED: ("A difference is not tested {where}", "not tested {where}"),
    Outcome.UNKNOWN: ("There is no figure {where}", "no figure {where}"),
}
"""Outcome -> how the sentence begins with it, and how it goes on with it."""


def own_tasks(data: ReportData, facts: Sequence[Fact]) -> Wordings:
    """How many of the experiments came out how on their own tasks, and their figures."""
    groups = {
        result: group
        for result in Outcome
        if (group := [fact for fact in facts if data.outcome(fact) is result])
    }
    if len(facts) == 1:
        return [_single(data, facts[0])]
    return list(dict.fromkeys(_tally(data, facts, groups, most) for most in (None, 1, 0)))


def _single(data: ReportData, fact: Fact) -> str:
    subject = phrases.subject_of_all([fact.seeds], 1)
    begin = PHRASES[data.outcome(fact)][0].format(subject=subject, where=f"on {fact.task}")
    return f"{begin}: {_figures(data, fact)}."


def _tally(data: ReportData, facts: Sequence[Fact], groups: dict, most: int | None) -> str:
    """most: how many of each group are named, None for all."""
    subject = phrases.subject_of_all([fact.seeds for fact in facts], len(facts))
    tasks = {fact.task for fact in facts}
    by_task = len(tasks) == len(facts)
    segments = []
    for place, (result, group) in enumerate(groups.items()):
        if by_task:
            where = f"on {len(group)}"
            of_all = f" of {numbers.plural(len(facts), 'tasks')}"
        else:
            where = f"in {len(group)}"
            of_all = f" of {numbers.plural(len(facts), 'experiments')}"
            of_all += f" on {numbers.plural(len(tasks), 'tasks')}"
        where += of_all if place == 0 else ""
        text = PHRASES[result][place > 0].format(subject=subject, where=where)
        named = sorted(group, key=_factor, reverse=True)[:1] if most == 1 else group
        if most != 0:
            items = [
                f"{fact.task if by_task else fact.experiment} ({_figures(data, fact)})"
                for fact in named
            ]
            extreme = f", most {'on' if by_task else 'in'} "
            one = extreme if result in outcomes.DECIDED else ", such as "
            text += one if len(named) < len(group) else ": "
            text += ", ".join(items)
        segments.append(text)
    return "; ".join(segments) + "."


def _figures(data: ReportData, fact: Fact) -> str:
    """'Accuracy 0.25 to 0.86', with the reason where that is all there is."""
    result = data.outcome(fact)
    title = data.metric_title(fact.metric)
    if result is Outcome.UNKNOWN:
        return title
    text = f"{title} {phrases.change(fact, data.decimals(fact))}"
    if result is Outcome.EQUIVALENT:
        sure = f"{100 * data.confidence:.4g}%"
        return f"{text}, within {data.within(fact):g} of the base, {sure} sure"
    if result is Outcome.UNTESTED and fact.clusters < MIN_TESTED:
        return f"{text}, {numbers.plural(fact.clusters, fact.cluster_unit)}, for this text only"
    if result in outcomes.DECIDED and (margin := data.within(fact)):
        return f"{text}, within the margin of {margin:g}"
    return text


def _factor(fact: Fact) -> float:
    """How many times one figure is the other, at least 1."""
    return max(harm(fact), harm(fact, reverse=True))


# ---------------------------------------------------------------- other tasks


def cross_task(data: ReportData, facts: Sequence[Fact]) -> Wordings:
    """Harm on tasks that a system was not tuned for; pairs and tasks are counted apart."""
    if not facts:
        return ["Other tasks were not evaluated."]
    harmed = [fact for fact in facts if data.outcome(fact) is Outcome.WORSENED]
    untested = [fact for fact in facts if data.outcome(fact) in outcomes.NOT_TESTED]
    if harmed:
        pairs, tasks = numbers.plural(len(facts), "pairs"), _tasks(harmed)
        begin = f"Cross-task, {len(harmed)} of {pairs} became worse, on {tasks}"
        end = f"; {len(untested)} not tested" if untested else ""
        return _at_worst(data, begin, harmed, end, _of_adapters(data, facts, harmed))
    if not untested:
        begin = f"Cross-task, harm is not shown in {_pairs(facts)}"
        return [f"{begin}{also}." for also in (*_of_adapters(data, facts, harmed), "")]
    tested = [fact for fact in facts if fact not in untested]
    begin = f"Cross-task, harm is not tested in {_pairs(untested)}"
    end = f"; not shown in {_pairs(tested)}" if tested else ""
    return _at_worst(data, begin, [fact for fact in untested if (fact.gain or 0) < 0], end)


def _pairs(facts: Sequence[Fact]) -> str:
    return f"{numbers.plural(len(facts), 'pairs')} on {_tasks(facts)}"


def _tasks(facts: Sequence[Fact]) -> str:
    return numbers.plural(len({fact.task for fact in facts}), "tasks")


def _of_adapters(data: ReportData, facts: Sequence[Fact], harmed: Sequence[Fact]) -> Wordings:
    """The worst harm that is shown of the adapters that were trained, and not of the recipe, where
    it is worse than all of `harmed`: who uses one of them has it. None where there is no such."""
    least = max(map(harm, harmed), default=LEAST_TIMES)
    larger = [
        fact
        for fact in facts
        if data.outcome(fact) is Outcome.UNDETECTED
        and outcomes.shown_of_adapters(fact, data.level)
        and harm(fact) > least
        and how_much(fact)
    ]
    if not larger:
        return []
    worst = max(larger, key=harm)
    text, size = "; of these adapters alone", how_much(worst)
    named = f"{text}, {data.metric_title(worst.metric)} on {worst.task}, {size}"
    shown = max(harmed, key=harm, default=None)
    same = shown and (shown.task, shown.metric) == (worst.task, worst.metric)
    return [f"{named} ({worst.experiment})", f"{text}, {size}" if same else named]


def _at_worst(
    data: ReportData, begin: str, worse: Sequence[Fact], end: str, also: Wordings | None = None
) -> Wordings:
    """The worst of what became worse between beginning and end of a sentence, which may be none.
    also: what is said of more, before the end."""
    long, short = also or ("", "")
    if not worse:
        return [f"{begin}{end}."]
    worst = max(worse, key=harm)
    at_worst = f"{begin}, at worst {data.metric_title(worst.metric)} on {worst.task}"
    change = phrases.change(worst, data.decimals(worst))
    size = how_much(worst)
    figures = f"{change}, " if not size or _is_in_figures(data, worst) else ""
    margin = data.within(worst)
    within = f"within the margin of {margin:g}, " if margin else ""
    full = f"{at_worst}{size and f', {size}'} ({figures}{within}{worst.experiment}){long}{end}."
    return [full, f"{at_worst}, {size or change}{short}{end}.", f"{begin}{end}."]


def harm(fact: Fact, reverse: bool = False) -> float:
    """How many times worse the tuned figure is than the base's: their ratio, by the direction of
    the metric. 1 where it is not worse or has no ratio; infinite where nothing is left of it.

    reverse: how many times better.
    """
    if not (numbers.finite(fact.base) and numbers.finite(fact.tuned)):
        return 1.0
    low, high = fact.base, fact.tuned
    if fact.higher_is_better != reverse:
        low, high = high, low
    if low < 0 or high <= low:
        return 1.0
    return high / low if low > 0 else math.inf


def how_much(fact: Fact) -> str:
    """'142 times lower', 'which fell to 0': the size of a harm; empty where there is no such ratio,
    or one that is written as 1."""
    side = "lower" if fact.higher_is_better else "higher"
    times = harm(fact)
    if math.isinf(times):
        return "which fell to 0" if fact.higher_is_better else ""
    return f"{numbers.format_times(times)} {side}" if times >= LEAST_TIMES else ""


def _is_in_figures(data: ReportData, fact: Fact) -> bool:
    """Whether a reader who divides the written figures gets the factor: '0.083 to 0.001' does not
    show 142 times."""
    decimals = data.decimals(fact)
    written = {name: round(getattr(fact, name), decimals) for name in ("base", "tuned")}
    return math.isclose(harm(dataclasses.replace(fact, **written)), harm(fact), rel_tol=0.05)


# ---------------------------------------------------------------- plain baselines


NOT_BEATEN = {
    "better": "does not beat",
    "not shown to be beaten": "is not shown to beat",
    "not tested": "is not tested against",
}
"""What baselines are where not all are beaten, and how a sentence on one of them says it."""


def baselines(data: ReportData) -> Wordings:
    """Whether tuned beats every plain baseline of its task, and the best of them."""
    pairs = outcomes.by_pair(outcomes.main_facts(data.controls))
    if not pairs:
        return ["No plain baseline was compared."]
    failing = [pair for pair in pairs if not outcomes.beats_all(pair, data.level)]
    if not failing:
        best = [_against(data, _best(pair)) for pair in pairs]
        if len(pairs) == 1:
            return [f"The tuned model beats every plain baseline, the best being {best[0]}."]
        every = f"Every plain baseline is beaten on {_count(pairs)}"
        closest = min(pairs, key=lambda pair: harm(_best(pair), reverse=True))
        return [
            f"{every}; the best: {', '.join(best)}.",
            f"{every}; closest: {_against(data, _best(closest))}.",
            f"{every}.",
        ]
    groups: dict[str, list[Fact]] = {how: [] for how in NOT_BEATEN}
    for pair in failing:
        won = [one for one in pair if data.outcome(one) is Outcome.WORSENED]
        left = won or [one for one in pair if data.outcome(one) is not Outcome.IMPROVED]
        tested = any(data.outcome(one) is not Outcome.UNTESTED for one in left)
        how = "better" if won else "not shown to be beaten" if tested else "not tested"
        groups[how].append(_best(left))
    if len(pairs) == 1:
        ((how, one),) = [(how, one) for how, group in groups.items() for one in group]
        return [f"The tuned model {NOT_BEATEN[how]} {_against(data, one)}."]
    wordings = [_not_beaten(data, groups, _count(pairs), naming) for naming in Naming]
    return list(dict.fromkeys(wordings))


class Naming(Enum):
    """What is named of each group of baselines, from the longest to the shortest."""

    FIGURES = "each with its figures"
    EACH = "each"
    ONE = "the first"
    NONE = "none"


def _not_beaten(data: ReportData, groups: dict[str, list[Fact]], total: str, naming: Naming) -> str:
    """'Plain baselines are better on 1 of 3 tasks: TF-IDF on news; not shown to be beaten on 1'."""
    segments = []
    for how, facts in groups.items():
        if not facts:
            continue
        text = f"{how} on {len(facts)}" + ("" if segments else f" of {total}")
        if naming is Naming.FIGURES:
            text += ": " + ", ".join(_against(data, fact) for fact in facts)
        elif naming is Naming.EACH or (naming is Naming.ONE and len(facts) == 1):
            text += ": " + ", ".join(_where(data, fact) for fact in facts)
        elif naming is Naming.ONE:
            text += f", such as {_where(data, facts[0])}"
        segments.append(text)
    return f"Plain baselines are {'; '.join(segments)}."


def _count(pairs: Sequence[Sequence[Fact]]) -> str:
    by_task = len({pair[0].task for pair in pairs}) == len(pairs)
    return numbers.plural(len(pairs), "tasks" if by_task else "experiments")


def _best(controls: Sequence[Fact]) -> Fact:
    """The baseline with the best figure, which is `Fact.base` here."""
    known = [fact for fact in controls if numbers.finite(fact.base)] or list(controls)
    sign = 1 if known[0].higher_is_better else -1
    return max(known, key=lambda fact: sign * fact.base if numbers.finite(fact.base) else 0)


def _against(data: ReportData, fact: Fact) -> str:
    """'TF-IDF on news (0.92 against 0.86)'."""
    where = _where(data, fact)
    if data.outcome(fact) is Outcome.UNKNOWN:
        return f"{where} (no figure)"
    decimals = data.decimals(fact)
    theirs, ours = (numbers.format_number(value, decimals) for value in (fact.base, fact.tuned))
    return f"{where} ({theirs} against {ours})"


def _where(data: ReportData, fact: Fact) -> str:
    """'TF-IDF on news'."""
    return f"{phrases.in_a_sentence(data.baseline_title(fact.against))} on {fact.task}"


# ---------------------------------------------------------------- limit and cost


def strongest_limit(data: ReportData) -> Wordings:
    one = limits.strongest(data)
    return [f"Strongest limit: {one.short}."] if one else []


def cost(data: ReportData) -> Wordings:
    if data.costs.empty:
        return []
    seconds = numbers.format_seconds(data.costs["seconds"].sum())
    memory = data.costs["peak_memory_gb"].max()
    peak = f", peak memory {numbers.format_number(memory, 2)} GB" if numbers.finite(memory) else ""
    return [f"Computing: {seconds}{peak}."]
