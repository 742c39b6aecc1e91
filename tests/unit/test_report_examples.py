"""The examples that the page carries, and what its script makes of them."""

import base64
import gzip
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from deltatune.core import label_file
from deltatune.report import collect_examples, examples, island, numbers
from deltatune.report.data import ReportData
from deltatune.report.examples import ExampleTable
from deltatune.report.sections import examples as section
from test_report import HOSTILE, answers_table

SCRIPT = ROOT / "report" / "browser.js"
NODE = shutil.which("node")


def table(count=40, seeds=(1, 2), names=("a", "b"), **changed) -> ExampleTable:
    """Two experiments with scores that often tie."""
    draw = np.random.default_rng(count)

    def system(name: str) -> pd.DataFrame:
        score = draw.integers(0, 4, count) / 3
        return pd.DataFrame(
            {
                "output": [f"{name} says {n % 7} and {n}" for n in range(count)],
                "score": score,
                "right": score == 1,
                "truncated": draw.random(count) < 0.2,
                "empty": False,
            }
        )

    base, tuned = system("base"), {name: {one: system(name) for one in seeds} for name in names}
    values = {
        **{"task": "questions", "outputs": "answers", "metric": "rouge_l"},
        **{"higher_is_better": True, "title": "ROUGE-L F1", "unit": "examples"},
        "records": pd.DataFrame(
            {
                "id": range(100, 100 + count),
                "prompt": [f"Ask {n}: what follows Ünïcode?" for n in range(count)],
                "reference": [f"It is {n}." for n in range(count)],
            }
        ),
        **{"base": base, "tuned": tuned, "tested": count},
        "counts": {name: examples.count(base, list(tuned[name].values()), True) for name in names},
    }
    return ExampleTable(**{**values, **changed})


# ------------------------------------------------------------------ what is carried


def test_all_are_carried_where_they_fit_and_else_both_ends():
    gains = [np.linspace(-1, 1, 250), np.linspace(1, -1, 250) ** 3]
    assert examples.choose(gains, 250) == list(range(250))
    rows = examples.choose(gains, 50)
    assert rows == sorted(set(rows)) and 25 <= len(rows) <= 50
    assert {0, 249} <= set(rows)
    alone = gains[0][examples.choose(gains[:1], 11)]
    assert np.diff(alone) == pytest.approx(0.2, abs=0.01), "a histogram keeps its shape"
    unscored = np.array([np.nan, 1.0, -1.0, 0.0, 0.5])
    assert 0 in examples.choose([unscored], 3) and 1 in examples.choose([unscored], 3)


def test_what_is_packed_is_what_was_given():
    one = table()
    (packed,) = island.unpack(island.build([one]).text)
    assert packed["id"] == list(range(100, 140))
    assert packed["prompt"] == one.records["prompt"].tolist()
    assert [each["name"] for each in packed["experiments"]] == ["a", "b"]
    for each in packed["experiments"]:
        mean = np.mean([system["score"] for system in each["tuned"]], axis=0)
        gains = mean - np.array(packed["base"]["score"])
        expected = ["b" if gain > 1e-4 else "w" if gain < -1e-4 else "s" for gain in gains]
        assert each["side"] == "".join(expected)
        assert each["counts"]["better"] == each["side"].count("b")
        frames = one.tuned[each["name"]].values()
        assert each["counts"]["right_tuned"] == np.mean([frame["right"].sum() for frame in frames])


def test_the_same_examples_make_the_same_bytes():
    text = island.build([table()]).text
    code = (
        "from deltatune.report import island; from test_report_examples import table;"
        "print(island.build([table()]).text)"
    )
    path = os.pathsep.join(map(str, [ROOT / "scripts", ROOT / "tests", ROOT / "tests/unit"]))
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "7"},
    )
    assert done.stdout.strip() == text


def test_long_texts_are_cut_and_counted_and_the_budget_is_kept():
    draw = np.random.default_rng(0)
    words = np.array([f"{n:x}" for n in draw.integers(0, 1 << 40, 4000)])
    texts = [" ".join(draw.choice(words, 500)) for _ in range(60)]
    long = table(60, names=("a",), tested=80)
    long.records["prompt"] = texts
    (packed,) = island.unpack(island.build([long]).text)
    assert len(packed["id"]) == 60
    assert {len(text) for text in packed["prompt"]} == {island.LIMIT}
    assert packed["prompt_left"]["0"] == len(texts[0]) - island.LIMIT
    small = island.build([long], budget=60_000)
    assert len(small.text) <= 60_000
    (kept,) = small.tables
    assert 10 < len(kept.records) < 60
    gains = long.gains("a")
    assert {gains.max(), gains.min()} <= set(kept.gains("a"))
    short = island.build([long], unpacked=150_000)
    assert 100_000 < len(gzip.decompress(base64.b64decode(short.text))) <= 150_000
    words = section.rule(small.tables)
    assert f"Carried are {len(kept.records)} of 80 examples of questions: evenly spaced" in words
    assert section.rule([table()]) == ""


def test_many_lists_share_the_rows_of_the_page():
    tables = [table(100, names=("a",)) for _ in range(8)]
    assert {len(one.records) for one in island.limited(tables, rows=400)} == {50}
    assert {len(one.records) for one in island.limited(tables, rows=8)} == {12}


def test_hostile_texts_are_visible_and_cannot_leave_the_page():
    hostile = HOSTILE + "\u200b\U000e0041</script><!--"
    scores = pd.DataFrame({"id": [1, 2], "base": [0.0, np.nan], "tuned": [1.0, 0.0]})
    packed = island.build([answers_table(hostile, hostile, hostile, scores)])
    assert re.fullmatch(r"[\w+/]+={0,2}", packed.text, re.ASCII)
    (one,) = island.unpack(packed.text)
    for text in (one["reference"][0], one["task"], one["experiments"][0]["name"]):
        assert text.endswith("\ufffd\ufffd</script><!--")
        assert not re.search("[\x00-\x08\x0b-\x1f\u202e\u200b]", text)
    assert one["base"]["score"] == [0.0, None] and one["experiments"][0]["side"] == "b" + "u"


def test_a_few_stand_on_the_page_without_its_script():
    data = ReportData(
        [], {"a": {"task": "questions"}, "b": {"task": "questions"}}, examples=[table()]
    )
    rows = section.view(data)["static"]
    assert len(rows) == section.STATIC
    assert [row["side"] for row in rows[:6]] == sorted(row["side"] for row in rows[:6])
    keys = [row["key"] for row in rows if row["key"]]
    assert len(keys) == len(set(keys)) and keys[0].startswith("example-questions-1")
    assert section.view(ReportData([], {})) is None
    assert section.link(data, ("b", "questions")) == "#examples?experiment=b&task=questions"
    assert section.link(data, ("b", "news")) == ""


# ----------------------------------------------------------------------- the files


def test_examples_of_every_kind_and_seed_are_read(tmp_path):
    """Texts and labels of base and both seeds; on another task as well."""
    draw = np.random.default_rng(5)
    labels = ["red", "green", "blue", "gray"]
    classes = tmp_path / label_file.NAME
    label_file.write(classes, labels)

    def write(task: str, system: str, outputs: str) -> tuple[str, str]:
        ids = range(1, 21)
        frame = {
            "answers": {"prompt": "Why?", "reference": "So.", "answer": f"{system} says so"},
            "text": {"text": [f"Window {n}." for n in ids], "nll": 1.0},
            "labels": {"text": "A word.", "label": draw.choice(labels, 20),
                       "predicted": draw.choice(labels, 20)},
        }[outputs]  # fmt: skip
        out = pd.DataFrame({"id": ids, **frame})
        if outputs == "labels":
            out["logprobs"] = list(np.log(draw.dirichlet(np.ones(4), 20)))
        scores = pd.DataFrame({"id": ids, "metric": draw.random(20)})
        if outputs == "answers":
            scores = scores.assign(truncated=scores["metric"] > 0.5, empty=False)
        paths = [tmp_path / f"{task}-{system}-{kind}.parquet" for kind in ("out", "scores")]
        out.to_parquet(paths[0])
        scores.to_parquet(paths[1])
        return str(paths[0]), str(paths[1])

    def pair(experiment: str, task: str, outputs: str) -> dict:
        base = write(task, "base", outputs)
        tuned = [write(task, f"{experiment}-{seed}", outputs) for seed in (1, 2)]
        files = {
            name: {"base": base[n], "tuned": [one[n] for one in tuned]}
            for n, name in enumerate(("outputs", "scores"))
        }
        return {
            **{"experiment": experiment, "task": task, "outputs": outputs, "unit": "examples"},
            "main_metric": "metric",
            "files": {**files, "classes": str(classes) if outputs == "labels" else []},
        }

    story = pair("story", "prose", "text")
    continued = write("prose", "continued", "answers")[0]
    experiments = {
        "ask": {"task": "questions", "outputs": "answers", "seeds": [1, 2]},
        "story": {
            **{"task": "prose", "outputs": "text", "seeds": [1, 2]},
            "files": {"answers": {"base": continued, "tuned": [continued, continued]}},
        },
        "news": {"task": "news", "outputs": "labels", "seeds": [1, 2]},
    }
    pairs = [pair("ask", "questions", "answers"), story, pair("news", "news", "labels")]
    other = pair("ask", "news", "labels")
    # The base of both was evaluated once.
    other["files"]["scores"]["base"] = pairs[2]["files"]["scores"]["base"]
    metrics = {"metric": {"title": "Metric", "higher_is_better": True}}
    tables = collect_examples.read([*pairs, other], experiments, metrics, 15)
    assert [(one.task, one.outputs, list(one.tuned)) for one in tables] == [
        ("questions", "answers", ["ask"]),
        ("prose", "text", ["story"]),
        ("news", "labels", ["news", "ask"]),
        ("prose", "continuations", ["story"]),
    ]
    ask, windows, news, continuations = tables
    assert ask.tested == 20 and len(ask.records) == 15
    assert ask.tuned["ask"][2]["output"].tolist() == ["ask-2 says so"] * 15
    assert {"right", "truncated", "empty"} <= set(ask.base)
    assert windows.records["prompt"].iloc[0] == f"Window {windows.records['id'].iloc[0]}."
    written = pd.read_parquet(pairs[2]["files"]["outputs"]["base"])
    one_row = written[written["id"] == news.records["id"].iloc[0]].iloc[0]
    shares = news.base["shares"].iloc[0]
    assert len(shares) == 3 and list(shares.values()) == sorted(shares.values(), reverse=True)
    assert shares[max(shares, key=shares.get)] == pytest.approx(np.exp(one_row["logprobs"]).max())
    assert news.base["right"].iloc[0] == (one_row["label"] == one_row["predicted"])
    assert list(continuations.tuned["story"]) == [1, 2] and np.isnan(
        continuations.gains("story")[0]
    )
    island.build(tables)


# ---------------------------------------------------------------------- the script


def js(expression: str, **values):
    """What an expression gives, with `browser` of the page's script."""
    if NODE is None:
        if os.environ.get("CI") == "true":
            pytest.fail("node is not installed")
        pytest.skip("node is not installed")
    program = (
        f"const browser = require({json.dumps(str(SCRIPT))});"
        "const given = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        f"Promise.resolve(({expression})(given)).then((x) => console.log(JSON.stringify(x)));"
    )
    done = subprocess.run(
        [NODE, "-e", program], input=json.dumps(values), capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_the_script_is_sound():
    js("() => 1")
    done = subprocess.run([NODE, "--check", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = SCRIPT.read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)


STATES = [
    {},
    {"outcome": "better"},
    {"outcome": "worse", "seed": "2"},
    {"right": "right"},
    {"right": "gained", "seed": "1"},
    {"disagree": "1"},
    {"truncated": "1"},
    {"q": "UNICODE follows"},
    {"q": "follows 13"},
    {"min": "0.1", "max": "0.45"},
    {"experiment": "b"},
    {"experiment": "b", "task": "none"},
    {"shortest": "15"},
]


def test_the_script_selects_and_counts_as_python_does():
    """Every state against the same in numpy, over random scores with ties."""
    one = table(200)
    selected = js(
        """async ({packed, states}) => {
          const lists = browser.listsOf(await browser.unpack(packed));
          return states.map((state) => {
            const {items, counts} = browser.select(lists, {...browser.ANY, ...state});
            return [items.map(({list, row}) => [list.name, row]), counts];
          });
        }""",
        packed=island.build([one]).text,
        states=STATES,
    )
    for state, (items, counts) in zip(STATES, selected, strict=True):
        expected, tally = [], dict.fromkeys((*examples.SIDES, examples.UNSCORED), 0)
        for name, seeds in one.tuned.items():
            if state.get("experiment", name) != name or state.get("task", "questions") == "none":
                continue
            frames = [f for seed, f in seeds.items() if state.get("seed", str(seed)) == str(seed)]
            gains = examples.gains(one.base["score"], [f["score"] for f in frames], True)
            sides = examples.sides(pd.Series(gains))
            passes = _passes(one, list(seeds.values()), frames, state)
            for row in np.flatnonzero(passes):
                tally[sides[row]] += 1
                in_range = float(state.get("min", -9)) <= gains[row] <= float(state.get("max", 9))
                if state.get("outcome", sides[row]) == sides[row] and in_range:
                    expected.append((name, int(row), -gains[row]))
        assert counts == tally, state
        assert sorted(map(tuple, items)) == sorted((name, row) for name, row, _ in expected), state
        order = {(name, row): gain for name, row, gain in expected}
        gains = [order[name, row] for name, row in items]
        assert gains == pytest.approx(sorted(gains), abs=1e-5), state
    assert js(
        """async ({packed}) => {
          const lists = browser.listsOf(await browser.unpack(packed));
          return lists.map((list) => browser.select([list], browser.ANY).counts);
        }""",
        packed=island.build([one]).text,
    ) == [
        {side: one.counts[name][side] for side in ("better", "unchanged", "worse", "unscored")}
        for name in one.tuned
    ]


def _passes(one: ExampleTable, every: list, frames: list, state: dict) -> np.ndarray:
    """bool [examples]: the filters of a state but those of the outcome and the range."""
    count = len(one.records)
    right = np.array([frame["right"] for frame in frames])
    passes = np.ones(count, bool)
    if state.get("right") == "right":
        passes &= right.all(axis=0)
    if state.get("right") == "gained":
        passes &= right.any(axis=0) & ~one.base["right"].to_numpy()
    if "disagree" in state:
        sides = [
            examples.sides(pd.Series(examples.gains(one.base["score"], [f["score"]], True)))
            for f in every
        ]
        rights = [frame["right"] for frame in every]
        passes &= (sides[0] != sides[1]).to_numpy() | (rights[0] != rights[1]).to_numpy()
    if "truncated" in state:
        passes &= np.array([frame["truncated"] for frame in frames]).any(axis=0)
    if "shortest" in state:
        lengths = np.mean([frame["output"].str.len() for frame in frames], axis=0)
        passes &= lengths >= float(state["shortest"])
    for word in state.get("q", "").lower().split():
        texts = one.records["id"].astype(str) + "\n" + one.records["prompt"] + "\n"
        texts = texts + one.records["reference"] + "\n" + one.base["output"]
        for frame in every:
            texts = texts + "\n" + frame["output"]
        folded = texts.str.normalize("NFKD").str.replace("[\u0300-\u036f]", "", regex=True)
        passes &= folded.str.lower().str.contains(word, regex=False).to_numpy()
    return passes


def test_the_words_of_a_query_are_searched_in_any_script():
    assert js(
        "({queries}) => queries.map((one) => browser.queryWords(one))",
        queries=["  Été\tSTRASSE straße ", "ＡＢＣ １２", "日本語", "Σίσυφος", "हिन्दी", ""],
    ) == [
        ["ete", "strasse"],
        ["abc", "12"],
        ["日本語"],
        ["σισυφοσ"],
        ["हिन्दी"],
        [],
    ]


def test_words_that_differ_are_marked_by_the_script():
    pieces = js(
        "({pairs}) => pairs.map(([text, other]) => browser.differing(text, other))",
        pairs=[
            ["The cat sat, on a mat.", "the cat sat on the mat."],
            ["same words", "same words"],
            ["big dogs run", "cats"],
            ["今日は雨", "今日は晴"],
            ["the " * 700 + "end", "the of " * 300],
            ["x", ""],
            ["", "x"],
        ],
    )
    marked = [[text for text, differs in one if differs] for one in pieces]
    assert marked[:4] == [[",", "a"], [], ["big dogs run"], ["雨"]]
    assert marked[5:] == [["x"], []]
    assert "".join(text for text, _ in pieces[4]) == "the " * 700 + "end"
    assert marked[4] == [], "beyond the words that are compared nothing differs"


def test_a_text_of_a_megabyte_is_compared_in_no_time():
    took = js(
        """({a, b}) => {
          const begin = performance.now();
          browser.differing(a.repeat(100_000), b.repeat(100_000));
          return performance.now() - begin;
        }""",
        a="word other ",
        b="other thing ",
    )
    assert took < 2000


def test_a_state_is_its_link_and_back():
    state = {"experiment": "a b&c#", "q": "50% of α", "sort": "loss", "min": "-0.25"}
    again = js(
        "({state}) => browser.parse(browser.format({...browser.ANY, ...state}))", state=state
    )
    assert {name: value for name, value in again["state"].items() if value} == state
    parsed = js(
        "({hashes}) => hashes.map((hash) => browser.parse(hash))",
        hashes=[
            "#examples", "#results", "", "#examples?experiment=x&task=y&seed=2&wrong=1&sort=evil",
            "#example-news-17?experiment=x", "#example-50%25%20%C3%BC", "#example-%",
            "#examples?min=abc&right=no",
        ],
    )  # fmt: skip
    assert parsed[:3] == [None, None, None] and parsed[6] is None
    assert parsed[3]["state"]["sort"] == "gain" and parsed[3]["state"]["seed"] == "2"
    assert (parsed[4]["key"], parsed[4]["state"]["experiment"]) == ("news-17", "x")
    assert parsed[5]["key"] == "50% ü"
    assert parsed[7]["state"]["min"] == "" and parsed[7]["state"]["right"] == ""


def test_a_link_names_the_record():
    links = js(
        """async ({packed}) => {
          const lists = browser.listsOf(await browser.unpack(packed));
          return [browser.link(lists[1].items[3]), browser.parse(browser.link(lists[1].items[3]))];
        }""",
        packed=island.build([table()]).text,
    )
    assert links[0] == "#example-questions-103?experiment=b"
    assert links[1]["key"] == "questions-103"


def test_a_bar_of_the_histogram_holds_just_the_examples_of_its_range():
    draw = np.random.default_rng(2)
    for gains in (draw.normal(size=300).round(2), draw.integers(-1, 2, 50) / 3, [np.nan, 1.0], []):
        bars = js("({gains}) => browser.histogram(gains.map((one) => one ?? NaN))",
                  gains=[None if np.isnan(one) else float(one) for one in gains])  # fmt: skip
        finite = np.array([one for one in gains if not np.isnan(one)])
        assert sum(bar["count"] for bar in bars) == len(finite)
        for bar in bars:
            if bar["count"]:
                assert ((bar["low"] <= finite) & (finite <= bar["high"])).sum() == bar["count"]


def test_the_script_writes_numbers_as_python_does():
    cases = [(0.123, 2), (-1469.4, 0), (-0.001, 2), (12345.678, 2), (None, 2), (0.0, 2), (1e6, 1)]
    assert js(
        "({cases}) => cases.map(([x, n]) => [browser.number(x, n), browser.signed(x, n)])",
        cases=cases,
    ) == [[numbers.format_number(x, n), numbers.format_signed(x, n)] for x, n in cases]


def test_prompts_are_told_apart_by_what_they_do_not_share():
    assert js(
        "({texts}) => texts.map((some) => browser.openingOf(some))",
        texts=[["### Ask: one", "### Ask: other"], ["one"], ["same ", "same "], ["ab c", "ad"]],
    ) == [9, 0, 0, 0]
