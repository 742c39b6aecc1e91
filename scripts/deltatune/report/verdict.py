"""What the numbers say, in words: the outcome of a comparison, its sentence, the overall verdict.

Everything here is a pure function of the comparison table, so the words on the page can be tested
and cannot drift from the numbers. Numbers are written the same way in sentences, tables and
figures; the functions that write them are here too.

A *pair* is one experiment evaluated on one task. Its *main* row is the metric by which that task
is judged. Words in the sentences follow four outcomes:

    improved    the adjusted p value is below the level and the difference goes the good way
    worsened    the same, the bad way
    undetected  the test saw no difference; the sentence says how small a one it could have seen
    unknown     there is no base, no tuned value, or neither a p value nor an interval
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

CONFIDENCE = 0.95
MINUS = "−"
NOTHING = "–"
KEY = ["experiment", "task", "metric"]


@dataclass(frozen=True)
class Verdict:
    """One pair's outcome and the sentence that tells it (plain text, nothing escaped)."""

    experiment: str
    task: str
    metric: str
    outcome: str
    text: str
    own: bool
    """False where the task is not the one that the experiment was tuned on."""


@dataclass(frozen=True)
class Summary:
    overall: str
    verdicts: list[Verdict]

    @property
    def text(self) -> str:
        """All of it as one paragraph, for a log."""
        return " ".join([self.overall, *(one.text for one in self.verdicts)])


# ---------------------------------------------------------------------------------------- numbers


def finite(value) -> bool:
    """Is it a number that can be written down? None, NaN, infinities and text are not."""
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def is_true(value) -> bool:
    """A flag as it comes out of a frame or of a CSV file ("False" is not true)."""
    if isinstance(value, str):
        return value.strip().lower() in {"true", "1", "yes"}
    return bool(value)


def decimals_for(row: Mapping) -> int:
    """How many decimals a row's numbers deserve: one or two digits of the interval's half-width.

    Two where that digit is small (0.012 is told apart from 0.014) or where the difference itself
    would keep one digit only, one otherwise. Without an interval it goes by the size of the values.
    """
    values = [abs(float(row[key])) for key in ("base", "tuned") if finite(row.get(key))]
    size = max(values, default=0.0)
    floor = 2 if size < 10 else 1 if size < 100 else 0
    low, high = row.get("ci_low"), row.get("ci_high")
    half = (float(high) - float(low)) / 2 if finite(low) and finite(high) else 0.0
    if half > 0:
        exponent = math.floor(math.log10(half))
        delta = abs(float(row["delta"])) if finite(row.get("delta")) else math.inf
        short = half / 10**exponent < 3 or delta < 10 * 10**exponent
        needed = -exponent + (1 if short else 0)
    else:
        needed = 3 if size < 1 else floor
    return max(floor, min(needed, 5))


def format_number(value, decimals: int = 2) -> str:
    """12,345.60 with a true minus sign; a dash where there is no number."""
    if not finite(value):
        return NOTHING
    text = f"{float(value):,.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        return text.lstrip("-")
    return text.replace("-", MINUS)


def format_signed(value, decimals: int = 2) -> str:
    """Like format_number, with a plus sign before what is above zero."""
    text = format_number(value, decimals)
    above = finite(value) and float(text.replace(",", "").replace(MINUS, "-")) > 0
    return "+" + text if above else text


def format_interval(low, high, decimals: int = 2) -> str:
    """'0.45 to 0.53': in words, because a dash between signed numbers cannot be read."""
    if not (finite(low) and finite(high)):
        return NOTHING
    return f"{format_number(low, decimals)} to {format_number(high, decimals)}"


def format_p(value, resamples: int | None = None) -> str:
    """A p value in two digits, or '< limit' below what can be told.

    With B resamples nothing below 1 / (B + 1) can be told (Phipson and Smyth 2010); without B the
    limit is 0.001. It is never below 0.0001: smaller ones hang on the tails of the model.
    """
    if not finite(value):
        return NOTHING
    limit = max(1 / (resamples + 1), 0.0001) if resamples else 0.001
    value = float(value)
    if value < limit:
        return f"< {_one_digit_up(limit)}"
    if value > 0.995:
        return "1.00"
    return f"{value:.2f}" if value >= 0.1 else f"{float(f'{value:.2g}'):.5f}".rstrip("0")


def _one_digit_up(value: float) -> str:
    """0.000999 → 0.001: one digit, rounded up, so that '< limit' stays true."""
    exponent = math.floor(math.log10(value))
    digit = math.ceil(round(value / 10**exponent, 6))
    return f"{digit * 10.0**exponent:.{max(0, -exponent)}f}"


def format_count(value) -> str:
    return f"{round(float(value)):,}" if finite(value) else NOTHING


def plural(count: int, word: str) -> str:
    """'1 window', '200 windows'; the word is given in the plural."""
    return f"{count:,} {word[:-1] if count == 1 and word.endswith('s') else word}"


def percent_change(row: Mapping) -> float | None:
    """Relative change in percent, for what has no natural ceiling: perplexity and its kin.

    A fall from 8 to 6 means something else than one from 800 to 798. Scores between 0 and 1 are
    told apart by points, where a percentage of a small base would boast.
    """
    if is_true(row["higher_is_better"]) or not (finite(row["base"]) and finite(row["tuned"])):
        return None
    base = float(row["base"])
    return 100 * (float(row["tuned"]) - base) / base if base > 0 else None


# --------------------------------------------------------------------------------------- outcomes


def adjusted_p(row: Mapping) -> tuple[float | None, bool]:
    """(the p value that decides, whether it is Holm-adjusted); None where there is none."""
    if finite(row.get("p_holm")):
        return float(row["p_holm"]), True
    if finite(row.get("p_value")):
        return float(row["p_value"]), False
    return None, False


def gain(row: Mapping) -> float | None:
    """The difference, positive where tuning made it better; None where it is not known."""
    if not finite(row.get("delta")):
        return None
    return float(row["delta"]) * (1 if is_true(row["higher_is_better"]) else -1)


def interval_name(confidence: float = CONFIDENCE) -> str:
    return f"{100 * confidence:.4g}% interval"


def outcome(row: Mapping, confidence: float = CONFIDENCE) -> str:
    """improved, worsened, undetected or unknown (see the top of this module).

    The p value decides, at the level 1 - confidence; where no test gave one, it is whether the
    interval leaves out zero.
    """
    better = gain(row)
    if better is None or not (finite(row.get("base")) and finite(row.get("tuned"))):
        return "unknown"
    p, _ = adjusted_p(row)
    if p is not None:
        seen = p < level(confidence)
    elif finite(row.get("ci_low")) and finite(row.get("ci_high")):
        seen = excludes_zero(row)
    else:
        return "unknown"
    if not seen or better == 0:
        return "undetected"
    return "improved" if better > 0 else "worsened"


def level(confidence: float) -> float:
    """1 - confidence, without the dust of floating point: 0.05, not 0.05000000000000004."""
    return round(1 - confidence, 12)


def excludes_zero(row: Mapping) -> bool:
    return float(row["ci_low"]) > 0 or float(row["ci_high"]) < 0


def main_metric(pair: pd.DataFrame, experiments: Mapping) -> str:
    """The metric that judges a pair: the experiment's own, or that of one tuned on this task.

    A pair in which neither was measured is judged by its first row.
    """
    name, task = pair["experiment"].iloc[0], pair["task"].iloc[0]
    own = experiments.get(name, {})
    candidates = [own] if own.get("task") == task else []
    candidates += [one for one in experiments.values() if one.get("task") == task]
    measured = list(pair["metric"])
    for candidate in candidates:
        if candidate.get("main_metric") in measured:
            return candidate["main_metric"]
    return measured[0]


def main_rows(comparison: pd.DataFrame, experiments: Mapping) -> pd.DataFrame:
    """The main row of each pair, in the order of the comparison."""
    chosen = []
    for _, pair in comparison.groupby(["experiment", "task"], sort=False):
        chosen.append(pair[pair["metric"] == main_metric(pair, experiments)].iloc[[0]])
    return pd.concat(chosen) if chosen else comparison.iloc[:0]


def detail_of(details: pd.DataFrame, row: Mapping) -> dict:
    """The row of `details` that belongs to a row of the comparison, or {}."""
    if details is None or details.empty:
        return {}
    same = (details[KEY] == [row[key] for key in KEY]).all(axis=1)
    return details[same].iloc[0].to_dict() if same.any() else {}


# -------------------------------------------------------------------------------------- sentences


def sentence(
    row: Mapping,
    experiment: Mapping,
    detail: Mapping,
    title: str,
    resamples: int | None = None,
    confidence: float = CONFIDENCE,
) -> str:
    """The verdict on one main row, as one or two sentences of plain text.

    `experiment` and `detail` may lack any key: what is not known is not said.
    """
    task = row["task"]
    result = outcome(row, confidence)
    who = f"Tuning {experiment['model']}" if experiment.get("model") else "Tuning"
    if result == "unknown":
        return f"{who} on {task} could not be judged: {title} has {_missing(row)}."
    decimals = decimals_for(row)
    base, tuned = (format_number(row[key], decimals) for key in ("base", "tuned"))
    unit = experiment.get("unit", "examples")
    facts = _facts(row, detail, unit, decimals, resamples, confidence)
    if result == "undetected":
        text = (
            f"No difference in {title} on {task} could be shown: "
            f"{base} before tuning, {tuned} after ({facts})."
        )
        return text + _could_have_seen(row, detail, unit, decimals, confidence)
    rises = float(row["delta"]) > 0
    verb = "raised" if rises else "lowered"
    if result == "improved" and is_true(row["higher_is_better"]):
        verb = "improved"
    text = f"{who} {verb} {title} on {task} from {base} to {tuned}"
    if result == "worsened":
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
    return "neither a p value nor an interval"


def _facts(row, detail, unit: str, decimals: int, resamples, confidence: float) -> str:
    """'+0.49, 95% interval 0.45 to 0.53, Holm-adjusted p < 0.001; 200 examples, 3 seeds'."""
    change = format_signed(row["delta"], decimals)
    percent = percent_change(row)
    if percent is not None:
        change += f" or {format_signed(percent, 0 if abs(percent) >= 1 else 1)}%"
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


def _could_have_seen(row, detail, unit: str, decimals: int, confidence: float) -> str:
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
        sample = f"{_sample(row, detail, unit)}" if finite(row.get("n")) else "this test"
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
    """The verdict over all pairs: how often tuning helped, hurt, or made no difference to see."""
    own = [one for one in verdicts if one.own]
    text = _count(own, "task" if len({one.task for one in own}) == len(own) else "experiment")
    cross_task = [one for one in verdicts if not one.own]
    if cross_task:
        where = "a task" if len(cross_task) == 1 else "tasks"
        text += f" Cross-task, on {where} that it was not tuned for, it {_tally(cross_task)}."
    return text


def _count(verdicts: list[Verdict], word: str) -> str:
    total = len(verdicts)
    if not total:
        return "No tuned model has been compared with its base yet."
    where = "on" if word == "task" else "in"
    counts = {name: sum(one.outcome == name for one in verdicts) for name in _PHRASES}
    if total == 1:
        return {
            "improved": "Tuning helped.",
            "worsened": "Tuning hurt.",
            "undetected": "Tuning made no difference that this test could show.",
            "unknown": "The effect of tuning could not be judged.",
        }[verdicts[0].outcome]
    if counts["undetected"] == total:
        return f"Tuning made no detectable difference {where} any of {total} {word}s."
    rest = [
        phrase.format(where=where, n=_word(counts[name]))
        for name, phrase in _PHRASES.items()
        if counts[name] and name != "improved"
    ]
    helped = f"{counts['improved']} of {total}" if counts["improved"] else f"none of {total}"
    text = f"Tuning helped {where} {helped} {word}s"
    if counts["improved"] == total:
        return text + "."
    return f"{text}; it {_join(rest)}."


_PHRASES = {
    "improved": "helped {where} {n}",
    "worsened": "hurt {where} {n}",
    "undetected": "made no detectable difference {where} {n}",
    "unknown": "could not be judged {where} {n}",
}


def _tally(verdicts: list[Verdict]) -> str:
    counts = {name: sum(one.outcome == name for one in verdicts) for name in _PHRASES}
    found = {name: count for name, count in counts.items() if count}
    if len(verdicts) == 1:
        return _PHRASES[next(iter(found))].removesuffix(" {where} {n}")
    return _join([_PHRASES[name].format(where="on", n=_word(n)) for name, n in found.items()])


def _word(count: int) -> str:
    """Small numbers in words: "on 1." reads like a list."""
    names = ["none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    return names[count] if count < len(names) else f"{count:,}"


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def summarize(
    comparison: pd.DataFrame,
    details: pd.DataFrame,
    experiments: Mapping,
    metrics: Mapping,
    baselines: Mapping | None = None,
    resamples: int | None = None,
    confidence: float = CONFIDENCE,
) -> Summary:
    """The words of the whole report's head, from its numbers alone."""
    verdicts = []
    for row in main_rows(comparison, experiments).to_dict("records"):
        experiment = dict(experiments.get(row["experiment"], {}))
        own = experiment.get("task", row["task"]) == row["task"]
        title = metrics.get(row["metric"], {}).get("title", row["metric"])
        units = [x["unit"] for x in experiments.values() if x.get("task") == row["task"]]
        experiment |= {"unit": units[0]} if units else {}
        text = sentence(row, experiment, detail_of(details, row), title, resamples, confidence)
        if own:
            text += beaten_by(row, row["metric"], title, (baselines or {}).get(row["task"], {}))
        verdicts.append(
            Verdict(
                experiment=row["experiment"],
                task=row["task"],
                metric=row["metric"],
                outcome=outcome(row, confidence),
                text=text,
                own=own,
            )
        )
    return Summary(overall=overall(verdicts), verdicts=verdicts)
