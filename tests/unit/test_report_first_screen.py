"""Every number and count word of the first screen, recomputed from the tables of random runs.

The sentences are read by the grammar below, which must match them whole, and each number is looked
up in the CSV files with `csv`: nothing here calls what wrote them.
"""

import csv
import io
import math
import re
from pathlib import Path

import pandas as pd
import pytest
from deltatune.compare import fact
from deltatune.compare.table import COLUMNS
from deltatune.report.data import COSTS, ReportData
from deltatune.report.words import verdict
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_compare_fact import a_fact

TITLES = {"accuracy": "Accuracy", "perplexity": "Perplexity", "bits": "Bits per byte"}
MARGINS = {"accuracy": 0.05}
CONFIDENCE = 0.95
LEVEL = 0.05

# ---------------------------------------------------------------- random runs

SCORES = st.sampled_from([0.0, 0.25, 0.999, 1.0]) | st.floats(0, 1)
LOSSES = st.sampled_from([0.0, 1.0, 8.5]) | st.floats(0.5, 3000)
#: Half of them decide, so that many runs have several harms to count.
PROBABILITIES = st.sampled_from([0.0001, 0.0002, 0.001, 0.004, 0.03, 0.05, 0.2, 1.0])


@st.composite
def rows(draw, experiment: str, task: str, metric: str, seeds: int, **changes):
    """A row as the statistics might make it: figures, interval and p-values are free."""
    values = SCORES if metric == "accuracy" else LOSSES
    base, tuned = draw(values), draw(values)
    delta = tuned - base
    half = draw(st.sampled_from([0.001, 0.03, 0.2, 50.0]))
    p, p_adapters = draw(PROBABILITIES), draw(PROBABILITIES)
    factor = draw(st.sampled_from([1, 3, 11]))
    row = {
        "experiment": experiment,
        "task": task,
        "metric": metric,
        "higher_is_better": metric == "accuracy",
        "seeds": seeds,
        "estimand": "adapters" if seeds == 1 else "recipe",
        "clusters": draw(st.sampled_from([3, 8, 29, 200])),
        "cluster_unit": "chapters",
        "seed_sd": None if seeds == 1 else draw(st.floats(0, 0.5)),
        "base": base,
        "tuned": tuned,
        "delta": delta,
        "ci_low": delta - half,
        "ci_high": delta + half,
        "p_value": p if seeds != 2 else None,
        "p_holm": min(1, p * factor) if seeds != 2 else None,
        "adapters_low": delta - half / 2,
        "adapters_high": delta + half / 2,
        "adapters_p": p_adapters,
        "adapters_p_holm": min(1, p_adapters * factor),
        "no_p": "two_seeds" if seeds == 2 else "",
    }
    if row["clusters"] < 5:
        untested = ("p_value", "p_holm", "adapters_p", "adapters_p_holm")
        row |= dict.fromkeys(untested) | {"no_p": "few_clusters"}
    if draw(st.integers(0, 9)) == 0:
        row |= {"base": None, "delta": None}
    return row | changes


@st.composite
def runs(draw):
    """(comparison.csv, cross_task.csv, baselines.csv as text, task of each experiment, costs)."""
    seeds = draw(st.sampled_from([1, 2, 3, 5]))
    metrics = draw(st.lists(st.sampled_from(list(TITLES)), min_size=1, max_size=12))
    of_task = {f"t{n}": metric for n, metric in enumerate(metrics)}
    names = [f"e{n}" for n in range(draw(st.integers(1, len(metrics) + 4)))]
    tuned_on = {name: draw(st.sampled_from(list(of_task))) for name in names}
    if draw(st.booleans()):
        tuned_on = {f"e{n}": task for n, task in enumerate(of_task)}
    own, cross_task, baselines = [], [], []
    for name, task in tuned_on.items():
        own.append(draw(rows(name, task, of_task[task], seeds)))
        own.append(draw(rows(name, task, "secondary", seeds, main=False)))
        others = [other for other in of_task if other != task]
        for other in draw(st.lists(st.sampled_from(others), unique=True)) if others else []:
            cross_task.append(draw(rows(name, other, of_task[other], seeds)))
        for against in draw(st.lists(st.sampled_from(["tfidf", "nearest"]), unique=True)):
            row = draw(rows(name, task, of_task[task], seeds, against=against))
            alone = {"p_holm": None, "adapters_p_holm": None, "tuned": own[-2]["tuned"]}
            baselines.append(row | alone)
    costs = draw(st.lists(st.floats(0.1, 9000), max_size=3))
    return [_csv(table) for table in (own, cross_task, baselines)], tuned_on, costs


def _csv(table: list[dict]) -> str:
    frame = pd.DataFrame([vars(a_fact(**row)) for row in table], columns=COLUMNS)
    return frame.to_csv(index=False)


# ---------------------------------------------------------------- what the tables say


def read(text: str) -> list[dict[str, str]]:
    return [row for row in csv.DictReader(io.StringIO(text)) if row["main"] == "True"]


def number(row: dict[str, str], name: str) -> float | None:
    return float(row[name]) if row[name] else None


def outcome(row: dict[str, str]) -> str:
    """How a row came out, by the rules of docs/method.md."""
    base, tuned, delta = (number(row, name) for name in ("base", "tuned", "delta"))
    if base is None or tuned is None:
        return "unknown"
    seeds = int(row["seeds"])
    prefix = "p" if seeds >= 3 else "adapters_p"
    p = number(row, f"{prefix}_holm")
    if p is None:
        p = number(row, "p_value" if seeds >= 3 else "adapters_p")
    if p is None:
        return "untested"
    low, high = number(row, "ci_low"), number(row, "ci_high")
    decided = p < LEVEL and delta != 0 and (seeds != 2 or low > 0 or high < 0)
    if decided:
        return "improved" if (delta > 0) == (row["higher_is_better"] == "True") else "worsened"
    return "equivalent" if is_within_margin(row) else "undetected"


def is_within_margin(row: dict[str, str]) -> bool:
    margin, low, high = MARGINS.get(row["metric"]), number(row, "ci_low"), number(row, "ci_high")
    return margin is not None and low >= -margin and high <= margin


def worse_by(row: dict[str, str]) -> float:
    """How many times worse than the base tuned is."""
    base, tuned = number(row, "base"), number(row, "tuned")
    low, high = (tuned, base) if row["higher_is_better"] == "True" else (base, tuned)
    return math.inf if low == 0 else high / low


def times(row: dict[str, str]) -> float:
    """How many times one figure is the other."""
    low, high = sorted((number(row, "base"), number(row, "tuned")))
    return 1.0 if low == high else math.inf if low == 0 else high / low


def is_written(text: str, value: float) -> bool:
    """Whether a number is `value`, rounded to as many decimals as it has."""
    decimals = len(text.partition(".")[2])
    return abs(_float(text) - value) <= 0.5 * 10**-decimals * (1 + 1e-9)


def _float(text: str) -> float:
    return float(text.replace(",", "").replace("−", "-"))


# ---------------------------------------------------------------- the grammar of the sentences

NUMBER = r"−?\d[\d,]*(?:\.\d+)?"
TITLE = "|".join(TITLES.values())
OUTCOMES = {
    "helped": "improved",
    "hurt": "worsened",
    "changed little": "equivalent",
    "not shown": "undetected",
    "not tested": "untested",
    "no figure": "unknown",
}
SUBJECT = {
    1: r"This adapter|These adapters \(one each\)",
    2: r"These two adapters \(their mean\)|These adapters \(mean of 2 each\)",
    3: r"Tuning \(mean of 3 seeds\)",
    5: r"Tuning \(mean of 5 seeds\)",
}
BEGIN = rf"(?:(?P<subject>{'|'.join(SUBJECT.values())}) |A difference is |There is )?"
SEGMENT = re.compile(
    rf"{BEGIN}(?P<word>{'|'.join(OUTCOMES)}) (?P<by>on|in) (?P<count>\d+)"
    r"(?: of (?P<total>\d+) (?P<what>task|experiment)s?(?: on (?P<tasks>\d+) tasks?)?)?"
    r"(?:(?P<such>: |, such as |, most (?P<where>on|in) )(?P<items>.+))?"
)
SINGLE = re.compile(rf"{BEGIN}(?P<word>{'|'.join(OUTCOMES)}) on (?P<name>\w+): (?P<figures>.+)\.")
ITEM = re.compile(r"(\w+) \(([^)]*)\)")
FIGURES = re.compile(
    rf"(?P<title>{TITLE})(?: (?P<base>{NUMBER}) to (?P<tuned>{NUMBER}))?"
    rf"(?:, within (?P<margin>{NUMBER}) of the base, 95% sure)?"
    r"(?:, (?P<clusters>\d+) chapters, for this text only)?"
    rf"(?:, within the margin of (?P<negligible>{NUMBER}))?"
)


def check_figures(text: str, row: dict[str, str]) -> None:
    parsed = FIGURES.fullmatch(text)
    assert parsed, text
    assert parsed["title"] == TITLES[row["metric"]]
    result = outcome(row)
    assert (parsed["base"] is None) == (result == "unknown")
    if parsed["base"]:
        assert is_written(parsed["base"], number(row, "base"))
        assert is_written(parsed["tuned"], number(row, "tuned"))
    assert (parsed["margin"] is not None) == (result == "equivalent")
    if parsed["margin"]:
        assert float(parsed["margin"]) == MARGINS[row["metric"]]
    decided = result in ("improved", "worsened")
    assert (parsed["negligible"] is not None) == (decided and is_within_margin(row))
    if parsed["negligible"]:
        assert float(parsed["negligible"]) == MARGINS[row["metric"]]
    assert (parsed["clusters"] is not None) == (result == "untested")
    if parsed["clusters"]:
        assert parsed["clusters"] == row["clusters"]


def check_subject(parsed: re.Match, row: dict[str, str]) -> None:
    if parsed["subject"]:
        assert re.fullmatch(SUBJECT[int(row["seeds"])], parsed["subject"])


def check_own_tasks(text: str, table: list[dict[str, str]]) -> None:
    if len(table) == 1:
        parsed = SINGLE.fullmatch(text)
        assert parsed, text
        assert OUTCOMES[parsed["word"]] == outcome(table[0])
        assert parsed["name"] == table[0]["task"]
        check_subject(parsed, table[0])
        check_figures(parsed["figures"], table[0])
        return
    tasks = {row["task"] for row in table}
    by_task = len(tasks) == len(table)
    counted = {}
    for place, segment in enumerate(text.removesuffix(".").split("; ")):
        parsed = SEGMENT.fullmatch(segment)
        assert parsed, segment
        check_subject(parsed, table[0])
        result = OUTCOMES[parsed["word"]]
        group = {
            row["task" if by_task else "experiment"]: row for row in table if outcome(row) == result
        }
        counted[result] = int(parsed["count"])
        assert int(parsed["count"]) == len(group)
        if place == 0:
            assert int(parsed["total"]) == len(table)
            assert parsed["what"] == ("task" if by_task else "experiment")
            assert by_task or int(parsed["tasks"]) == len(tasks)
        if parsed["items"]:
            items = dict(ITEM.findall(parsed["items"]))
            assert ", ".join(f"{name} ({one})" for name, one in items.items()) == parsed["items"]
            assert items.keys() <= group.keys()
            assert (len(items) == len(group)) == (parsed["such"] == ": ")
            if parsed["where"]:
                assert parsed["where"] == parsed["by"]
                assert result in ("improved", "worsened")
                (shown,) = items
                assert times(group[shown]) == max(map(times, group.values()))
            for name, figures in items.items():
                check_figures(figures, group[name])
    assert sum(counted.values()) == len(table)


WORSE = re.compile(
    r"Cross-task, (?:(?P<worse>\d+) of (?P<pairs>\d+) pairs? became worse, on (?P<hurt>\d+) tasks?"
    r"|harm is not tested in (?P<untested>\d+) pairs? on (?P<on>\d+) tasks?)"
    rf"(?:, at worst (?:(?P<title>{TITLE}) on )?(?P<task>\w+)"
    rf"(?:, (?P<more>more than )?(?P<times>{NUMBER}) times (?P<side>lower|higher))?"
    r"(?P<nothing>, which fell to 0)?"
    rf"(?:,? \(?(?P<base>{NUMBER}) to (?P<tuned>{NUMBER}))?"
    rf"(?:(?:, | \()within the margin of (?P<margin>{NUMBER}))?"
    r"(?:(?:, | \()(?P<experiment>\w+)\))?)?"
    r"(?P<alone>; of these adapters [^;]+?)?(?P<end>; [^.]+)?\."
)
ALONE = re.compile(
    rf"; of these adapters alone(?:, (?P<title>{TITLE}) on (?P<task>\w+))?"
    rf"(?:, (?P<more>more than )?(?P<times>{NUMBER}) times (?P<side>lower|higher))?"
    r"(?P<nothing>, which fell to 0)?(?P<base>)(?P<tuned>)(?P<margin>)(?: \((?P<experiment>\w+)\))?"
)
NO_HARM = re.compile(
    r"Cross-task, harm is not shown in (\d+) pairs? on (\d+) tasks?(?P<alone>; of [^;]+)?\."
)
NOT_SHOWN = re.compile(r"; not shown in (\d+) pairs? on (\d+) tasks?")


def check_cross_task(text: str, table: list[dict[str, str]]) -> None:
    if not table:
        assert text == "Other tasks were not evaluated."
        return
    worse = [row for row in table if outcome(row) == "worsened"]
    untested = [row for row in table if outcome(row) in ("untested", "unknown")]
    if not worse and not untested:
        parsed = NO_HARM.fullmatch(text)
        check_counts(parsed, table)
        check_of_adapters(parsed["alone"], table, worse)
        return
    parsed = WORSE.fullmatch(text)
    assert parsed, text
    if parsed["task"] and worse:
        check_of_adapters(parsed["alone"], table, worse, needed=True)
    else:
        assert parsed["alone"] is None
    if worse:
        assert int(parsed["worse"]) == len(worse)
        assert int(parsed["pairs"]) == len(table)
        assert int(parsed["hurt"]) == len({row["task"] for row in worse})
        assert parsed["end"] == (f"; {len(untested)} not tested" if untested else None)
    else:
        assert int(parsed["untested"]) == len(untested)
        assert int(parsed["on"]) == len({row["task"] for row in untested})
        tested = [row for row in table if row not in untested]
        if tested:
            check_counts(NOT_SHOWN.fullmatch(parsed["end"]), tested)
        else:
            assert parsed["end"] is None
        worse = [row for row in untested if row["base"] and row["tuned"] and worse_by(row) > 1]
        if not worse:
            assert parsed["task"] is None
            return
    check_worst(parsed, worse)


def check_of_adapters(
    text: str | None, table: list[dict[str, str]], worse: list, needed: bool = False
) -> None:
    """Larger harm than that of `worse` which only the test of the adapters shows."""
    least = max(map(worse_by, worse), default=1.005)
    larger = [
        row
        for row in table
        if outcome(row) == "undetected" and int(row["seeds"]) > 1 and row["adapters_p_holm"]
        if number(row, "adapters_p_holm") < 0.05 and worse_by(row) > least
        if number(row, "base") > 0 or row["higher_is_better"] == "True"
    ]
    if text:
        check_worst(ALONE.fullmatch(text), larger)
    assert bool(text) == bool(larger) or not (text or needed)


def check_counts(parsed: re.Match | None, table: list[dict[str, str]]) -> None:
    assert parsed
    assert int(parsed[1]) == len(table)
    assert int(parsed[2]) == len({row["task"] for row in table})


def check_worst(parsed: re.Match, worse: list[dict[str, str]]) -> None:
    """What is named is the worst of `worse`, with its figures."""
    largest = max(map(worse_by, worse))
    worst = [row for row in worse if worse_by(row) == largest]
    if parsed["task"]:
        worst = [row for row in worst if row["task"] == parsed["task"]]
    if parsed["experiment"]:
        worst = [row for row in worst if row["experiment"] == parsed["experiment"]]
    assert worst, parsed[0]
    row = worst[0]
    if parsed["experiment"] and parsed["margin"] != "":
        assert (parsed["margin"] is not None) == is_within_margin(row)
    if parsed["title"]:
        assert parsed["title"] == TITLES[row["metric"]]
    if parsed["times"]:
        assert _float(parsed["times"]) > 1
        higher_is_better = row["higher_is_better"] == "True"
        assert parsed["side"] == ("lower" if higher_is_better else "higher")
        if parsed["more"]:
            assert worse_by(row) > _float(parsed["times"])
        else:
            assert is_written(parsed["times"], worse_by(row))
    elif parsed["nothing"]:
        assert (number(row, "tuned"), row["higher_is_better"]) == (0, "True")
    elif parsed["task"]:
        assert parsed["base"], "nothing says how much"
    if parsed["base"]:
        assert is_written(parsed["base"], number(row, "base"))
        assert is_written(parsed["tuned"], number(row, "tuned"))


AGAINST = re.compile(
    rf"(tfidf|nearest) on (\w+)(?: \((no figure)?(?:({NUMBER}) against ({NUMBER}))?\))?"
)
BEATEN = re.compile(
    r"Every plain baseline is beaten on (?P<total>\d+) (?P<what>task|experiment)s?"
    r"(?P<how>; the best: |; closest: |)(?P<named>.*)\."
)
NOT_BEATEN = re.compile(
    r"(?P<how>better|not shown to be beaten|not tested) on (?P<count>\d+)"
    r"(?: of (?P<total>\d+) (?P<what>task|experiment)s?)?(?:(?P<such>: |, such as )(?P<named>.+))?"
)


def check_baselines(text: str, table: list[dict[str, str]]) -> None:
    pairs: dict[str, list[dict[str, str]]] = {}
    for row in table:
        pairs.setdefault(row["experiment"], []).append(row)
    if not pairs:
        assert text == "No plain baseline was compared."
        return
    failing = {"better": [], "not shown to be beaten": [], "not tested": []}
    for group in pairs.values():
        won = [row for row in group if outcome(row) == "worsened"]
        open_ones = [row for row in group if outcome(row) != "improved"]
        tested = {outcome(row) for row in open_ones} != {"untested"}
        how = "better" if won else "not shown to be beaten" if tested else "not tested"
        if open_ones:
            failing[how].append(won or open_ones)
    every = [rows for groups in failing.values() for rows in groups]
    if len(pairs) == 1:
        verbs = ["does not beat", "is not shown to beat", "is not tested against"]
        verb = next((v for v, of in zip(verbs, failing.values(), strict=True) if of), None)
        begin = verb or "beats every plain baseline, the best being"
        assert text.startswith(f"The tuned model {begin} ")
        check_best(text, every or list(pairs.values()))
        return
    what = "task" if len({row["task"] for row in table}) == len(pairs) else "experiment"
    if not every:
        parsed = BEATEN.fullmatch(text)
        assert parsed, text
        assert (int(parsed["total"]), parsed["what"]) == (len(pairs), what)
        if parsed["how"]:
            named = check_best(parsed["named"], list(pairs.values()))
            assert named == (1 if parsed["how"] == "; closest: " else len(pairs))
        return
    counted = {}
    begin = "Plain baselines are "
    assert text.startswith(begin)
    for place, segment in enumerate(text.removeprefix(begin).removesuffix(".").split("; ")):
        parsed = NOT_BEATEN.fullmatch(segment)
        assert parsed, segment
        group = failing[parsed["how"]]
        counted[parsed["how"]] = int(parsed["count"])
        assert int(parsed["count"]) == len(group)
        if place == 0:
            assert (int(parsed["total"]), parsed["what"]) == (len(pairs), what)
        if parsed["such"]:
            named = check_best(parsed["named"], group)
            assert (named == len(group)) == (parsed["such"] == ": ")
    assert sum(counted.values()) == len(every)


def check_best(text: str, groups: list[list[dict[str, str]]]) -> int:
    """Each baseline that is named is the best of one of the groups; how many are named."""
    named = AGAINST.findall(text)
    assert named, text
    for against, task, unknown, theirs, ours in named:
        candidates = []
        for group in groups:
            known = [row for row in group if row["base"]] or group
            sign = 1 if known[0]["higher_is_better"] == "True" else -1
            best = max(sign * (number(row, "base") or 0) for row in known)
            candidates += [row for row in known if sign * (number(row, "base") or 0) == best]
        assert any(
            (row["against"], row["task"]) == (against, task)
            and (not unknown or outcome(row) == "unknown")
            and (
                not theirs
                or (
                    outcome(row) != "unknown"
                    and is_written(theirs, number(row, "base"))
                    and is_written(ours, number(row, "tuned"))
                )
            )
            for row in candidates
        ), text
    return len(named)


def check_limit(text: str, table: list[dict[str, str]]) -> None:
    """The heaviest that such runs have, and its numbers."""
    clusters = {int(row["clusters"]) for row in table}
    seeds = {row["seeds"] for row in table}
    assert text.startswith("Strongest limit: ")
    if seeds == {"1"}:
        assert "one training seed" in text
    elif min(clusters) < 5:
        task, count = re.search(r": (\w+) has (\d+) chapters, so", text).groups()
        assert any((row["task"], row["clusters"]) == (task, count) for row in table)
        assert int(count) < 5
    elif seeds == {"2"}:
        assert "two training seeds" in text
    elif few := re.search(r"(\w+) has (\d+) chapters only", text):
        assert any((row["task"], row["clusters"]) == few.groups() for row in table)
    else:
        assert re.search("seeds differ much in|one test split", text)


TIME = re.compile(
    r"(?:(?P<h>\d+) h )?(?:(?P<min>\d+) min)? ?(?:(?P<s>[\d.]+) s)?(?:(?P<ms>\d+) ms)?"
)


def check_cost(text: str, costs: list[float]) -> None:
    parsed = re.fullmatch(r"Computing: (.+), peak memory ([\d.]+) GB\.", text)
    assert parsed, text
    time = {
        name: float(value or 0) for name, value in TIME.fullmatch(parsed[1]).groupdict().items()
    }
    seconds = 3600 * time["h"] + 60 * time["min"] + time["s"] + time["ms"] / 1000
    precision = 30.5 if time["h"] else 0.51 if time["min"] else 0.06 if time["s"] else 0.0006
    assert abs(seconds - sum(costs)) <= precision
    assert float(parsed[2]) == len(costs)


# ---------------------------------------------------------------- the property


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # Shrinking such a run takes a minute.
    suppress_health_check=list(HealthCheck),
)
@given(run=runs())
def test_every_number_of_the_first_screen_follows_from_the_tables(run, tmp_path_factory):
    texts, tuned_on, costs = run
    folder: Path = tmp_path_factory.mktemp("tables")
    files = [folder / name for name in ("comparison.csv", "cross_task.csv", "baselines.csv")]
    for path, text in zip(files, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    data = ReportData(
        facts=[*fact.read(files[0]), *fact.read(files[1])],
        controls=fact.read(files[2]),
        experiments={name: {"task": task, "model": "m"} for name, task in tuned_on.items()},
        metrics={name: {"title": title} for name, title in TITLES.items()},
        margins=MARGINS,
        confidence=CONFIDENCE,
        costs=pd.DataFrame(
            [("train", str(n), second, n + 1.0, None) for n, second in enumerate(costs)],
            columns=COSTS,
        ),
    )
    parts = verdict.summarize(data).parts
    own, cross_task, baselines = map(read, texts)
    assert sum(len(part.split()) for part in parts) <= 90
    check_own_tasks(parts[0], own)
    check_cross_task(parts[1], cross_task)
    check_baselines(parts[2], baselines)
    check_limit(parts[3], own + cross_task)
    assert len(parts) == (5 if costs else 4)
    if costs:
        check_cost(parts[4], costs)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("helped on t: Accuracy 0.25 to 0.85.", "helped on t: Accuracy 0.25 to 0.95."),
        ("helped on t: Accuracy 0.25 to 0.85.", "hurt on t: Accuracy 0.25 to 0.85."),
        ("helped on t: Accuracy 0.25 to 0.85.", "helped on u: Accuracy 0.25 to 0.85."),
        ("helped on t: Accuracy 0.25 to 0.85.", "helped on t: Perplexity 0.25 to 0.85."),
    ],
)
def test_the_check_sees_a_wrong_word(right, wrong):
    table = read(_csv([{}]))
    check_own_tasks(f"Tuning (mean of 3 seeds) {right}", table)
    with pytest.raises(AssertionError):
        check_own_tasks(f"Tuning (mean of 3 seeds) {wrong}", table)


@pytest.mark.parametrize(
    ("figures", "is_right"),
    [
        ("13.4 times higher (63 to 846, x)", True),
        ("13.4 times higher", True),
        ("13.5 times higher (63 to 846, x)", False),
        ("13.4 times lower (63 to 846, x)", False),
        ("13.4 times higher (63 to 845, x)", False),
        ("more than 1,000 times higher (x)", False),
        ("which fell to 0 (63 to 846, x)", False),
    ],
)
def test_the_check_sees_a_wrong_factor(figures, is_right):
    harm = {"metric": "perplexity", "higher_is_better": False, "base": 63.0, "tuned": 846.0}
    table = read(_csv([harm | {"delta": 783.0, "task": "u"}]))
    text = f"Cross-task, 1 of 1 pair became worse, on 1 task, at worst Perplexity on u, {figures}."
    if is_right:
        check_cross_task(text, table)
    else:
        with pytest.raises(AssertionError):
            check_cross_task(text, table)
