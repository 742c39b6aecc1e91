"""A figure is the same number wherever it stands, and says which training seeds it is of.

A small run is written as the stages write it, and the page is made of its files.
"""

import html as html_module
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from deltatune.compare import fact, family, paired
from deltatune.compare.settings import ComparisonSettings, Inference
from deltatune.core import label_file
from deltatune.core.table import Table
from deltatune.evaluate.scores import compute_metrics
from deltatune.metrics.settings import MetricsSettings
from deltatune.report import (
    by_task,
    collect_examples,
    effects,
    island,
    numbers,
    outcomes,
    page,
    reading,
)
from deltatune.report import (
    headline as headline_table,
)
from deltatune.report.data import ReportData
from deltatune.report.figures import confusion, forest
from deltatune.report.outcomes import Outcome
from deltatune.report.sections import matrix, tasks
from deltatune.report.words import first_screen, phrases, sentences
from deltatune.report.words.seeds import aggregation
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from test_compare_fact import a_fact

TEMPLATE = Path(__file__).parents[2] / "report" / "page.html.j2"
LABELS = ["World", "Sport", "Business"]
TASKS = {
    "news": MetricsSettings(outputs="labels", metrics=["accuracy", "macro_f1"]),
    "chat": MetricsSettings(outputs="answers", metrics=["rouge_l", "exact_match"]),
}
METRICS = {
    "accuracy": {"title": "Accuracy", "higher_is_better": True},
    "rouge_l": {"title": "ROUGE-L F1", "higher_is_better": True},
}
WORDS = ["red", "green", "blue", "gray", "pink", "gold"]


def outputs(kind: str, quality: float, draw: np.random.Generator, count: int) -> pd.DataFrame:
    """What a system puts out that is right about as often as its quality says."""
    places = np.arange(count)
    right = draw.random(count) < quality
    if kind == "labels":
        label = np.array(LABELS)[places % 3]
        other = np.array(LABELS)[(places + draw.integers(1, 3, count)) % 3]
        predicted = np.where(right, label, other)
        logs = [np.where(np.array(LABELS) == one, -0.5, -2.0) for one in predicted]
        return pd.DataFrame(
            {"id": places, "text": "News.", "label": label, "predicted": predicted}
        ).assign(logprobs=logs)
    reference = [f"{WORDS[n % 6]} {WORDS[n % 5]}" for n in places]
    answer = [one if ok else one.split()[0] for one, ok in zip(reference, right, strict=True)]
    return pd.DataFrame(
        {"id": places, "prompt": "Say it.", "reference": reference, "answer": answer}
    )


def write_system(folder: Path, task: str, frame: pd.DataFrame) -> dict[str, str]:
    """The outputs and scores of a system; returns their paths."""
    folder.mkdir(parents=True)
    scores, _ = compute_metrics(frame, TASKS[task], LABELS)
    paths = {"outputs": folder / "outputs.parquet", "scores": folder / "scores.parquet"}
    frame.to_parquet(paths["outputs"])
    scores.to_parquet(paths["scores"])
    return {name: str(path) for name, path in paths.items()}


def make_run(folder: Path, seeds: list[int], count: int = 60) -> ReportData:
    draw = np.random.default_rng(3)
    classes = folder / label_file.NAME
    label_file.write(classes, LABELS)
    tables, experiments, scores, pairs, confusions = [], {}, {}, [], {}
    for task, metrics in TASKS.items():
        name, kind, main = f"{task}-lora", metrics.outputs, metrics.metrics[0]
        base = write_system(folder / task / "base", task, outputs(kind, 0.3, draw, count))
        tuned = [
            write_system(
                folder / task / f"seed-{seed}", task, outputs(kind, 0.5 + 0.1 * n, draw, count)
            )
            for n, seed in enumerate(seeds)
        ]
        files = {
            key: {"base": base[key], "tuned": [one[key] for one in tuned]}
            for key in ("outputs", "scores")
        }
        tables.append(
            paired.compare(
                pd.read_parquet(base["scores"]),
                [pd.read_parquet(one["scores"]) for one in tuned],
                ComparisonSettings(
                    experiment=name,
                    task=task,
                    model="tiny",
                    seeds=seeds,
                    unit="examples",
                    metrics=metrics,
                    main_metric=main,
                    family=2,
                    statistics=Inference(resamples=999),
                ),
                LABELS,
            )
        )
        experiments[name] = {
            **{"task": task, "kind": kind, "outputs": kind, "unit": "examples", "model": "tiny"},
            **{"main_metric": main, "seeds": seeds, "quantization": "none"},
            "published": {
                "source": "A paper.",
                "metrics": {main: {"base": 0.1, "tuned": 0.2, "scale": 1}},
                "differs": [],
            },
        }
        scores[name] = reading.scores(**files["scores"], metric=main)
        if kind == "labels":
            confusions[name] = reading.confusion(**files["outputs"], labels=LABELS)
        pairs.append(
            {
                **{"experiment": name, "task": task, "outputs": kind, "unit": "examples"},
                **{"main_metric": main, "files": {**files, "classes": str(classes)}},
            }
        )
    table = family.join(tables, 0.95)
    steps = [
        {"experiment": "chat-lora", "seed": seed, "step": step, "epoch": step / 10, "split": split,
         "loss": 3 - step / 7 + seed / 9}
        for seed in seeds for split in ("train", "validation") for step in (0, 5, 10)
    ]  # fmt: skip
    ends = [
        {"experiment": "chat-lora", "seed": seed, "split": split, "base": 3 + seed / 9,
         "tuned": 3 - 10 / 7 + seed / 9}
        for seed in seeds for split in ("train", "validation")
    ]  # fmt: skip
    return ReportData(
        experiments=experiments,
        facts=fact.from_frame(table),
        metrics=METRICS,
        losses=pd.DataFrame(steps),
        final_losses=pd.DataFrame(ends),
        scores=scores,
        examples=collect_examples.read(pairs, experiments, METRICS, 5000),
        confusions=confusions,
    )


@pytest.fixture(scope="module", params=[[1], [1, 2], [4, 5, 6]], ids=["1", "2", "3"])
def run(request, tmp_path_factory) -> tuple[ReportData, str]:
    data = make_run(tmp_path_factory.mktemp("run"), request.param)
    return data, page.render(data, TEMPLATE)


def plain(markup: str) -> str:
    return html_module.unescape(" ".join(re.sub(r"<[^>]+>", " ", markup).split()))


def headline(html: str, title: str) -> list[str]:
    """The cells of a metric's row in the headline table."""
    return next(cells for cells in headline_rows(html) if cells[0] == f"{title} ★")


def headline_rows(html: str) -> list[list[str]]:
    table = re.search(r'<table[^>]* id="headline".*?</table>', html, re.DOTALL).group()
    return [
        [plain(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]
        for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    ]


def seeds_of(data: ReportData) -> list[int]:
    return data.experiments["chat-lora"]["seeds"]


def test_the_matrices_accuracy_is_the_headlines(run):
    data, html = run
    matrices = data.confusions["news-lora"]
    one = tasks.own_fact(data, "news-lora", "accuracy")
    for system in ("base", "tuned"):
        counts = matrices[system]
        assert np.trace(counts) / counts.sum() == pytest.approx(getattr(one, system), abs=1e-12)
    _, _, base, tuned, *_ = headline(html, "Accuracy")
    words = f"The accuracy of base is {base}, that of tuned {tuned}, over 60 texts."
    assert words in plain(html)
    shown = np.array(confusion.cells(matrices["tuned"]), dtype=float)
    assert np.trace(shown) / shown.sum() == pytest.approx(one.tuned, abs=0.002)


def lists(html: str) -> dict[str, dict]:
    """The lists of the example browser, by their experiments: what its script unpacks."""
    packed = re.search(r'id="examples-data">(.*?)</script>', html).group(1)
    return {
        experiment["name"]: {**table, **experiment}
        for table in island.unpack(packed)
        for experiment in table["experiments"]
    }


def test_the_example_browser_counts_as_the_tally_and_the_facts_do(run):
    data, html = run
    for name, one in lists(html).items():
        section = html[html.index(f"{name}</h3>") :]
        tally = {
            side: int(count)
            for count, side in re.findall(
                r"<b>(\d+)</b> (\w+) \(", section[: section.index("<fig")]
            )
        }
        assert {side: one["counts"][side] for side in tally} == tally
        assert {side: one["side"].count(side[0].replace("u", "s")) for side in tally} == tally
        assert sum(tally.values()) == one["tested"] == 60
        exact = tasks.own_fact(data, name, "accuracy" if name == "news-lora" else "exact_match")
        for system in ("base", "tuned"):
            share = one["counts"][f"right_{system}"] / one["tested"]
            assert share == pytest.approx(getattr(exact, system), abs=1e-12)
        assert one["base"]["right"].count("1") == one["counts"]["right_base"]


def test_beside_the_tally_stands_how_many_answers_are_exact(run):
    data, html = run
    (table,) = (one for one in data.examples if one.outputs == "answers")
    one = next(fact for fact in data.facts if fact.metric == "exact_match")
    base, tuned = (
        f"{numbers.format_count_mean(60 * value)} ({numbers.format_share(value)})"
        for value in (one.base, one.tuned)
    )
    frames = list(table.tuned["chat-lora"].values())
    right = np.all([frame["right"] for frame in frames], axis=0)
    gained = int((right & (table.gains("chat-lora") > 1e-9)).sum())
    better = table.counts["chat-lora"]["better"]
    begin = f"Exact are {base} answers of base and {tuned} of tuned"
    every = " by every seed" if len(frames) > 1 else ""
    assert f"{begin}; of the {better} that got better, {gained}{every}." in plain(html)
    assert 0 < gained <= better


def test_an_answer_says_the_seed_that_wrote_it_and_its_score(run):
    data, html = run
    seeds = seeds_of(data)
    names = re.findall(r'<span class="name is-tuned">(tuned, [^<]*)</span>', html)
    own = [name for name in names if "seed" in name]
    assert {re.match(r"tuned, seed (\d+), \d\.\d\d", name).group(1) for name in own} == {
        str(seed) for seed in seeds
    }
    table = next(table for table in data.examples if table.task == "chat")
    assert list(table.tuned["chat-lora"]) == seeds


def test_each_figure_of_a_metric_is_the_same_text_everywhere(run):
    _, html = run
    text = plain(html)
    for name, title in (("news-lora", "Accuracy"), ("chat-lora", "ROUGE-L F1")):
        _, _, base, tuned, delta, *_ = headline(html, title)
        forest = html[html.index('id="differences"') : html.index('id="tasks"')]
        assert f"{title} {base} → {tuned}" in plain(forest), "the figure"
        assert name in plain(forest)
        assert f"{title} 0.1 0.2 {base} {tuned}" in text, "beside published figures"
        assert f"({title} {base} to {tuned})" in text, "the first screen"
        assert re.search(rf"{base} to {tuned} \({re.escape(delta)}[;,]", text), "pair by pair"
        assert f"The mean is {delta}." in text, "the differences, example by example"


def test_the_figure_of_a_base_is_the_same_text_in_own_and_cross_task_rows():
    """Intervals whose widths deserve from no decimals to three."""
    common = {"metric": "perplexity", "higher_is_better": False, "base": 72.648, "seeds": 3}
    worse = {"ci_low": 951.0, "ci_high": 1200.0, "adapters_low": 971.0, "adapters_high": 1179.0}
    close = {"ci_low": -0.014, "ci_high": -0.012, "p_holm": 0.001}
    facts = [
        a_fact(experiment="own", task="prose", **common, tuned=67.083, delta=-5.565,
               ci_low=-7.47, ci_high=-3.66, adapters_low=-6.82, adapters_high=-4.31),
        a_fact(experiment="other", task="prose", **common, tuned=1147.96, delta=1075.31, **worse),
        a_fact(experiment="third", task="prose", **common, tuned=73.0, delta=0.352, p_holm=0.8,
               adapters_p_holm=0.8, ci_low=-80.0, ci_high=80.0, detectable=90.0),
        a_fact(experiment="other", task="news"),
        a_fact(experiment="third", task="news", tuned=0.237, delta=-0.013, **close),
        a_fact(experiment="large", task="prose", model="large", **common | {"base": 8.25},
               tuned=7.75, delta=-0.5, ci_low=-0.7, ci_high=-0.3),
    ]  # fmt: skip
    tuned_on = {"own": "prose", "other": "news", "third": "news", "large": "prose"}
    data = ReportData(
        facts,
        {name: {"task": task, "main_metric": "", "model": "m"} for name, task in tuned_on.items()},
        controls=[a_fact(experiment="own", task="prose", against="tfidf", **common | {
            "base": 90.0}, tuned=67.083, delta=-22.9)],
        metrics={"perplexity": {"title": "Perplexity"}, "accuracy": {"title": "Accuracy"}},
    )  # fmt: skip
    html = page.render(data, TEMPLATE)
    bases = [cells[2] for cells in headline_rows(html) if "★" in cells[0]]
    assert bases == ["72.6", "72.6", "72.6", "0.2500", "0.2500", "8.25"]
    text = plain(html)
    assert {*re.findall(r"Perplexity on prose (?:from|is not shown:) (\S+) to", text)} == {
        "72.6", "8.25"
    }  # fmt: skip
    assert {*re.findall(r"Accuracy on news from (\S+) to", text)} == {"0.2500"}
    assert "Perplexity on prose, 15.8 times higher (72.6 to 1,148.0, other)." in text
    assert "(90.0 against 67.1)" in text
    assert {*re.findall(r"73(?:\.\d+)?\b", text)} == {"73.0"}


def test_every_section_names_the_seeds(run):
    data, html = run
    words = aggregation(seeds_of(data))
    text = plain(html)
    of = words if len(seeds_of(data)) == 1 else f"the {words}"
    assert text.count(f"60 examples; tuned is {of}.") == 1, "the forest"
    listed = words if len(seeds_of(data)) == 1 else f"the {words}"
    assert text.count(f"Tuned is {listed}.") == 3, "the forest and the spreads of both"
    assert f"Confusion matrix: tuned, {words} " in text
    assert "Numbers are counts of texts" in text
    assert f"tuned: {words}</text>" in html or f"tuned: {words} </text>" in html
    assert f"base tuned base tuned, {words}" in text, "ours beside published figures"
    assert f"chat-lora on chat: ROUGE-L F1, {words}" in text, "examples"
    assert f"loss, nats per token; {words}" in text


def test_the_end_of_a_loss_curve_is_the_mean_of_the_table(run):
    data, html = run
    words = aggregation(seeds_of(data))
    row = re.search(
        rf'<th scope="row">validation</th><td>{words}</td><td[^>]*>([\d.]+)</td><td[^>]*>([\d.]+)<',
        html,
    )
    base, tuned = row.groups()
    ends = data.final_losses[data.final_losses["split"] == "validation"]
    assert tuned == numbers.format_number(ends["tuned"].mean(), 3)
    assert f"base {base}" in plain(html)
    assert f"validation {tuned}" in plain(html)


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        ([], "seeds unknown"),
        ([3], "seed 3"),
        ([1, 2], "mean over seeds 1, 2"),
        (list(range(8)), "mean over 8 seeds"),
    ],
)
def test_seeds_in_words(seeds, expected):
    assert aggregation(seeds) == expected


# ------------------------------------------------------------------------------ random comparisons

NUMBERS = st.one_of(st.floats(0.001, 1000, allow_nan=False), st.sampled_from([0.0, 1e-9, 1e9, 0.5]))
P = st.one_of(st.none(), st.floats(1e-6, 1))


@st.composite
def comparisons(draw) -> ReportData:
    """Facts of a few experiments on a few tasks, coherent in themselves, of any outcome."""
    tasks = [f"task{n}" for n in range(draw(st.integers(1, 3)))]
    higher = {task: draw(st.booleans()) for task in tasks}
    experiments, facts = {}, []
    for number in range(draw(st.integers(1, 14))):
        name, seeds = f"experiment{number}", draw(st.integers(1, 3))
        own = draw(st.sampled_from(tasks))
        experiments[name] = {"task": own, "model": "m", "main_metric": "score",
                             "seeds": list(range(seeds))}  # fmt: skip
        for task in tasks:
            if task != own and draw(st.booleans()):
                continue
            base, tuned, half = draw(NUMBERS), draw(NUMBERS), draw(NUMBERS)
            unknown = draw(st.integers(0, 9)) == 0
            delta = tuned - base
            ends = {"ci_low": delta - half, "ci_high": delta + half}
            inner = {"adapters_low": delta - half / 2, "adapters_high": delta + half / 2}
            facts.append(
                a_fact(
                    experiment=name, task=task, metric="score", higher_is_better=higher[task],
                    seeds=seeds, estimand="adapters" if seeds == 1 else "recipe",
                    base=base, tuned=None if unknown else tuned,
                    delta=None if unknown else delta, seed_sd=None, **ends, **inner,
                    p_value=None if seeds == 2 else draw(P), p_holm=None if seeds == 2 else draw(P),
                    adapters_p=draw(P), adapters_p_holm=draw(P),
                )
            )  # fmt: skip
    margin = draw(st.one_of(st.none(), st.floats(0.001, 10)))
    return ReportData(facts, experiments, margins={} if margin is None else {"score": margin})


SIGNS = {"+": 1, numbers.MINUS: -1}


def sign_of(text: str) -> int:
    """Of a difference as it is written."""
    return SIGNS.get(text[:1], 0)


@settings(max_examples=60, deadline=None, phases=[Phase.generate])
@given(comparisons())
def test_matrix_tally_headline_forest_and_words_tell_the_same(data):
    own = {fact.pair for fact in data.own_facts()}
    results = {fact.pair: data.outcome(fact) for fact in data.facts}
    facts = {fact.pair: fact for fact in data.facts}
    drawn = matrix.view(data)
    names = [(row["name"], column["name"]) for row in drawn["rows"] for column in drawn["columns"]]
    cells = dict(zip(names, (c for row in drawn["rows"] for c in row["cells"]), strict=True))
    pairs_of_headline = [pair[0] for pair in outcomes.by_pair(data.facts)]
    rows = zip(pairs_of_headline, headline_table.headline(data).rows, strict=True)
    headline_of = {fact.pair: row.cells for fact, row in rows}
    words = {(one.experiment, one.task): one for one in sentences.pair_by_pair(data)}
    for pair, result in results.items():
        cell, row, sentence = cells[pair], headline_of[pair], words[pair]
        assert cell["outcome"] == row["outcome"].tone == sentence.outcome == result
        assert row["outcome"].text == cell["badge"] == phrases.BADGES[result]
        assert cell["own"] == sentence.own == (pair in own)
        agree_on_the_sign(facts[pair], result, cell, row)
    for pair in set(cells) - set(results):
        assert cells[pair]["reason"]
    agree_in_the_saved_matrix(drawn["table"], results)
    agree_in_the_forest(data, results, headline_of)
    assert counts_of(drawn["tally"]) == named_counts(results.values())
    agree_in_the_first_words(data, results, own)
    for row in by_task.by_task(data).rows:
        task, *others = row.cells["task"].text.split(", tuned on others")
        of_row = [
            r for pair, r in results.items() if pair[1] == task and (pair in own) != bool(others)
        ]
        assert row.cells["experiments"].value == len(of_row)
        assert row.cells["better"].value == of_row.count(Outcome.IMPROVED)
        assert row.cells["worse"].value == of_row.count(Outcome.WORSENED)


def agree_in_the_saved_matrix(saved: Table, results: dict) -> None:
    for row in saved.rows:
        for column in saved.columns[1:]:
            pair = row.cells[matrix.EXPERIMENT].text, column.key
            begin = phrases.BADGES[results[pair]] if pair in results else "not evaluated: "
            assert row.cell(column).text.startswith(begin)


def agree_in_the_forest(data: ReportData, results: dict, headline_of: dict) -> None:
    """The figures that stand in it, and on which side of zero its marks are, filled by outcome."""
    drawn = rows_of_the_forest(data)
    effect_of = {fact.pair: effects.effect(fact).value for fact in data.facts}
    if all(value is None for value in effect_of.values()):
        assert not drawn
        return
    assert len(drawn) == min(len(data.facts), forest.MOST)
    for pair, (figures, marker, place) in drawn.items():
        row = headline_of[pair]
        assert figures == f"score {row['base'].text} → {row['tuned'].text}"
        if marker is None:
            assert effect_of[pair] is None
            continue
        one = next(one for one in data.facts if one.pair == pair)
        gain = row["delta"].value * (1 if one.higher_is_better else -1)
        assert np.sign(place) in (np.sign(gain), 0), "zero where it is rounded away"
        if marker not in "<>":
            assert marker == forest.MARKERS.get(results[pair], forest.NOT_SHOWN)[0]


def rows_of_the_forest(data: ReportData) -> dict:
    """pair -> its figures, its marker (None without one), and where that is."""
    figure = forest.plot(
        data.own_facts(), data.cross_task_facts(), {}, data.confidence, data.decimals
    )
    if not figure.axes:
        return {}
    (axis,) = figure.axes
    points = {line.get_ydata()[0]: line for line in axis.lines if len(line.get_xdata()) == 1}
    texts: dict[float, list[str]] = {}
    for text in axis.texts:
        texts.setdefault(text.xy[1], []).append(text.get_text())
    rows, name = {}, ""
    for height, written in sorted(texts.items()):
        figures = next((text for text in written if text.startswith("score ")), None)
        if figures is None:
            continue
        *names, task = written[: written.index(figures)]
        name = names[0] if names else name
        line = points.get(height)
        marker, place = (line.get_marker(), line.get_xdata()[0]) if line else (None, None)
        assert (line is None) == (forest.UNKNOWN in written)
        rows[name, task] = figures, marker, place
    return rows


def agree_on_the_sign(fact, result, cell: dict, row: dict) -> None:
    """Of matrix and headline, with the outcome and the bar."""
    written = [sign_of(text) for text in (cell["change"], row["delta"].text)]
    if fact.delta is None:
        assert written == [0, 0] and row["delta"].value is None
        return
    true = (fact.delta > 0) - (fact.delta < 0)
    assert row["delta"].value == fact.delta
    assert all(sign in (true, 0) for sign in written), "zero where it is rounded away"
    if result in outcomes.DECIDED:
        assert (fact.gain > 0) == (result is Outcome.IMPROVED)
        assert cell["side"] == ("better" if result is Outcome.IMPROVED else "worse")
    else:
        assert cell["side"] not in ("better", "worse")
    if float(cell["size"]):
        assert cell["left"] == (fact.gain < 0)


def counts_of(text: str) -> dict[str, int]:
    """{"better": 3, "not shown": 5} of '8 pairs: 3 better, 5 not shown'."""
    total, listed = re.fullmatch(r"(\d+) pairs?: (.*)", text).groups()
    counts = {word: int(count) for count, word in re.findall(r"(\d+) ([^,]+)", listed)}
    assert sum(counts.values()) == int(total)
    return counts


def named_counts(results) -> dict[str, int]:
    return {phrases.BADGES[one][2:]: count for one, count in Counter(results).items()}


BEGINNINGS = {
    Outcome.IMPROVED: "helped", Outcome.WORSENED: "hurt", Outcome.EQUIVALENT: "changed little",
    Outcome.UNDETECTED: "not shown", Outcome.UNTESTED: "not tested", Outcome.UNKNOWN: "no figure",
}  # fmt: skip


def agree_in_the_first_words(data: ReportData, results: dict, own: set) -> None:
    own_words, cross, *_ = first_screen.parts(data)
    counts = Counter(result for pair, result in results.items() if pair in own)
    if sum(counts.values()) > 1:
        for result, word in BEGINNINGS.items():
            counted = re.search(rf"{word} (?:in|on) (\d+)", own_words)
            assert (int(counted.group(1)) if counted else 0) == counts[result], own_words
    harmed = [pair for pair, r in results.items() if pair not in own and r is Outcome.WORSENED]
    if harmed:
        assert cross.startswith(f"Cross-task, {len(harmed)} of {len(results) - len(own)} pair")
        assert f"on {numbers.plural(len({task for _, task in harmed}), 'tasks')}" in cross
    else:
        assert "became worse" not in cross
