"""The numbers in sentences: the verdict on each pair, and that over all of them.

Everything here is a pure function of the comparison table, so the words on the page can be tested
and cannot drift from the numbers. The words follow the four outcomes of `outcomes`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from deltatune.report.data import ReportData
from deltatune.report.numbers import (
    CONFIDENCE,
    decimals_for,
    finite,
    format_interval,
    format_number,
    format_p,
    format_signed,
    interval_name,
    is_true,
    percent_change,
    plural,
)
from deltatune.report.outcomes import (
    Outcome,
    adjusted_p,
    detail_of,
    excludes_zero,
    level,
    main_rows,
    outcome,
)


@dataclass(frozen=True)
class Verdict:
    """One pair's outcome and its sentence (plain text, nothing escaped)."""

    experiment: str
    task: str
    metric: str
    outcome: Outcome
    text: str
    own: bool
    """False where the task is not the one that the experiment was tuned on."""
    harm: float = 1.0
    """How many times worse the tuned figure is, see `harm`; 1 where it is not worse."""
    change: str = ""
    """The metric and its change, for the sentence on the worst harm."""


@dataclass(frozen=True)
class Summary:
    overall: str
    verdicts: list[Verdict]

    @property
    def lines(self) -> list[str]:
        """results/verdict.txt."""
        return [self.overall, *(f"- {one.experiment}: {one.text}" for one in self.verdicts)]


def sentence(
    row: Mapping,
    experiment: Mapping,
    detail: Mapping,
    title: str,
    resamples: int | None = None,
    confidence: float = CONFIDENCE,
) -> str:
    """The verdict on one main row, as one or two sentences of plain text.

    `experiment` and `detail` may lack any key: what is not known is left out.
    """
    task = row["task"]
    result = outcome(row, confidence)
    who = f"Tuning {experiment['model']}" if experiment.get("model") else "Tuning"
    if result is Outcome.UNKNOWN:
        return f"{who} on {task} could not be compared: {title} has {_missing(row)}."
    decimals = decimals_for(row)
    base, tuned = (format_number(row[key], decimals) for key in ("base", "tuned"))
    unit = experiment.get("unit", "examples")
    facts = _facts(row, detail, unit, decimals, resamples, confidence)
    if result is Outcome.UNDETECTED:
        text = (
            f"No difference in {title} on {task} could be shown: "
            f"{base} before tuning, {tuned} after ({facts})."
        )
        return text + _detectable(row, detail, unit, decimals, confidence)
    rises = float(row["delta"]) > 0
    verb = "raised" if rises else "lowered"
    if result is Outcome.IMPROVED and is_true(row["higher_is_better"]):
        verb = "improved"
    text = f"{who} {verb} {title} on {task} from {base} to {tuned}"
    if result is Outcome.WORSENED:
        text += ", which is worse"
    elif not is_true(row["higher_is_better"]):
        text += ", and lower is better"
    text += f" ({facts})."
    if finite(row.get("ci_low")) and finite(row.get("ci_high")) and not excludes_zero(row):
        text += " The interval includes zero, so take this with care."
    return text


def _missing(row: Mapping) -> str:
    for key, words in (("base", "no value for the base"), ("tuned", "no value for the tuned")):
        if not finite(row.get(key)):
            return words + " model"
    return "neither a p-value nor an interval"


def _facts(row, detail, unit: str, decimals: int, resamples, confidence: float) -> str:
    """'+0.49, 95% interval 0.45 to 0.53, Holm-adjusted p < 0.001; 200 examples, 3 seeds'."""
    change = format_signed(row["delta"], decimals)
    if percent := percent_change(row):
        change += f" or {percent}"
    parts = [change]
    if finite(row.get("ci_low")) and finite(row.get("ci_high")):
        interval = format_interval(row["ci_low"], row["ci_high"], decimals)
        parts.append(f"{interval_name(confidence)} {interval}")
    p, holm = adjusted_p(row)
    if p is not None:
        written = format_p(p, resamples)
        sign = "" if written.startswith("<") else "= "
        parts.append(f"{'Holm-adjusted ' if holm else ''}p {sign}{written}")
    sample = [_sample(row, detail, unit)] if finite(row.get("n")) else []
    if finite(detail.get("seeds")):
        seeds = plural(round(float(detail["seeds"])), "seeds")
        if detail["seeds"] > 1 and finite(detail.get("seed_sd")):
            seeds += f" with SD {format_number(detail['seed_sd'], decimals + 1)}"
        sample.append(seeds)
    return ", ".join(parts) + (f"; {', '.join(sample)}" if sample else "")


def _sample(row, detail, unit: str) -> str:
    """'200 examples', or '200 windows in 5 chapters' where whole clusters were resampled."""
    count = round(float(row["n"]))
    cluster = detail.get("unit") or "clusters"
    if finite(detail.get("clusters")) and round(float(detail["clusters"])) != count:
        cluster = "clusters" if cluster == unit else cluster
        return f"{plural(count, unit)} in {plural(round(float(detail['clusters'])), cluster)}"
    return plural(count, detail.get("unit") or unit)


def _detectable(row, detail, unit: str, decimals: int, confidence: float) -> str:
    """What an undetected difference does and does not rule out."""
    text = ""
    p, holm = adjusted_p(row)
    clear = finite(row.get("ci_low")) and finite(row.get("ci_high")) and excludes_zero(row)
    if clear and holm and finite(row.get("p_value")) and float(row["p_value"]) < level(confidence):
        text += (
            " Taken alone it would have counted; it does not after the correction for the number "
            "of comparisons."
        )
    elif clear and p is not None:
        text += " The interval leaves out zero but the test does not agree."
    if finite(detail.get("detectable")):
        sample = _sample(row, detail, unit) if finite(row.get("n")) else "this test"
        smallest = format_number(detail["detectable"], max(decimals, 2))
        text += (
            f" The smallest difference that {sample} could have shown, with a power of 80%, is "
            f"about {smallest}."
        )
    return text


def beaten_by(row: Mapping, metric: str, title: str, baselines: Mapping) -> str:
    """A remark where a plain baseline does as well as the tuned model, else an empty text."""
    better = []
    for name, scores in baselines.items():
        score = scores.get(metric)
        if not (finite(score) and finite(row["tuned"])):
            continue
        sign = 1 if is_true(row["higher_is_better"]) else -1
        if sign * (float(score) - float(row["tuned"])) >= 0:
            better.append(f"{name} reaches {format_number(score, decimals_for(row))}")
    if not better:
        return ""
    return f" The tuned model does not beat a plain baseline in {title}: {'; '.join(better)}."


def overall(verdicts: list[Verdict]) -> str:
    """The verdict over all pairs: how often tuning helped, hurt, or changed nothing detectable."""
    own = [one for one in verdicts if one.own]
    text = _count(own, "task" if len({one.task for one in own}) == len(own) else "experiment")
    cross_task = [one for one in verdicts if not one.own]
    return text + (_cross_task(cross_task) if cross_task else "")


def _cross_task(verdicts: list[Verdict]) -> str:
    """Pairs and tasks are counted apart: two experiments may harm one and the same task."""
    tasks = plural(len({one.task for one in verdicts}), "tasks")
    pairs = plural(len(verdicts), "comparisons")
    text = f" Cross-task, in {pairs} on {tasks} that it was not tuned for, it {_tally(verdicts)}"
    harmed = [one for one in verdicts if one.outcome == Outcome.WORSENED]
    if harmed:
        worst = max(harmed, key=lambda one: one.harm)
        text += f"; at worst {worst.change} ({worst.experiment})"
    return f"{text}."


def harm(row: Mapping) -> float:
    """How many times worse the tuned figure is than the base's: their ratio, by the direction of
    the metric. 1 where it is not worse or has no ratio; infinite where nothing is left of it."""
    base, tuned = float(row["base"]), float(row["tuned"])
    better, worse = (base, tuned) if not is_true(row["higher_is_better"]) else (tuned, base)
    if not (finite(base) and finite(tuned)) or better < 0 or worse <= better:
        return 1.0
    return worse / better if better > 0 else math.inf


def _change(row: Mapping, title: str) -> str:
    """'Perplexity on prose from 63 to 846, 13 times as high'."""
    decimals = decimals_for(row)
    base, tuned = (format_number(row[key], decimals) for key in ("base", "tuned"))
    text = f"{title} on {row['task']} from {base} to {tuned}"
    factor = harm(row)
    if finite(factor) and factor >= 1.1 and not is_true(row["higher_is_better"]):
        text += f", {factor:.3g} times as high" if factor < 1000 else ""
    return text


def _count(verdicts: list[Verdict], word: str) -> str:
    total = len(verdicts)
    if not total:
        return "No tuned model has been compared with its base yet."
    where = "on" if word == "task" else "in"
    counts = {name: sum(one.outcome == name for one in verdicts) for name in _PHRASES}
    if total == 1:
        return {
            Outcome.IMPROVED: "Tuning helped.",
            Outcome.WORSENED: "Tuning hurt.",
            Outcome.UNDETECTED: "Tuning made no difference that this test could show.",
            Outcome.UNKNOWN: "The effect of tuning is not known.",
        }[verdicts[0].outcome]
    if counts[Outcome.UNDETECTED] == total:
        return f"Tuning made no detectable difference {where} any of {total} {word}s."
    rest = [
        phrase.format(where=where, n=_word(counts[name]))
        for name, phrase in _PHRASES.items()
        if counts[name] and name is not Outcome.IMPROVED
    ]
    helped = f"{counts[Outcome.IMPROVED] or 'none'} of {total}"
    text = f"Tuning helped {where} {helped} {word}s"
    if counts[Outcome.IMPROVED] == total:
        return text + "."
    return f"{text}; it {_join(rest)}."


_PHRASES = {
    Outcome.IMPROVED: "helped {where} {n}",
    Outcome.WORSENED: "hurt {where} {n}",
    Outcome.UNDETECTED: "made no detectable difference {where} {n}",
    Outcome.UNKNOWN: "could not be compared {where} {n}",
}


def _tally(verdicts: list[Verdict]) -> str:
    counts = {name: sum(one.outcome == name for one in verdicts) for name in _PHRASES}
    if len(verdicts) == 1:
        return _PHRASES[verdicts[0].outcome].removesuffix(" {where} {n}")
    return _join([_PHRASES[name].format(where="in", n=_word(n)) for name, n in counts.items() if n])


def _word(count: int) -> str:
    """Small numbers in words: "on 1." reads like a list."""
    names = ["none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    return names[count] if count < len(names) else f"{count:,}"


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def summarize(data: ReportData) -> Summary:
    """The words of the page's head, from its numbers alone."""
    verdicts = []
    for row in main_rows(data.comparison, data.experiments).to_dict("records"):
        task = row["task"]
        experiment = data.experiments.get(row["experiment"], {})
        own = experiment.get("task", task) == task
        title = data.metric_title(row["metric"])
        units = [e["unit"] for e in data.experiments.values() if e.get("task") == task]
        if units:
            experiment = experiment | {"unit": units[0]}
        detail = detail_of(data.details, row)
        text = sentence(row, experiment, detail, title, data.resamples, data.confidence)
        if own:
            text += beaten_by(row, row["metric"], title, data.baselines.get(task, {}))
        verdicts.append(
            Verdict(
                experiment=row["experiment"],
                task=task,
                metric=row["metric"],
                outcome=outcome(row, data.confidence),
                text=text,
                own=own,
                harm=harm(row),
                change=_change(row, title),
            )
        )
    return Summary(overall=overall(verdicts), verdicts=verdicts)
