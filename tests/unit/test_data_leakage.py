"""Leaks that are no duplicates: each kind is found where it was planted, and nowhere else."""

import random
from fractions import Fraction

import pandas as pd
import pytest
from conftest import ROOT
from deltatune.data import duplicates, similar
from deltatune.data.prepare import prepare
from deltatune.data.reasons import Leak
from deltatune.report.data import ReportData
from deltatune.report.words import limits
from deltatune.tasks.registry import load_kind
from hypothesis import given, settings
from hypothesis import strategies as st
from stage_settings import split_settings

WORDS = [f"{a}{b}" for a in ("am", "ber", "co", "du", "el", "fir") for b in ("a", "o", "u", "is")]


def sentence(draw, words):
    return " ".join(draw.choices(WORDS, k=words))


def questions(count=400):
    """Records that share no prompt, no answer and no longer passage."""
    draw = random.Random(4)
    rows = [(sentence(draw, 14), sentence(draw, 5), sentence(draw, 14)) for _ in range(count)]
    frame = pd.DataFrame(rows, columns=["instruction", "input", "output"])
    return frame.assign(row=range(1, count + 1))


def leaks_of(records, kind="instruct", **changes):
    """The counts, and the numbers of the records in each split."""
    module = load_kind(kind)
    labels = {"labels": ["a", "b"]} if kind == "classify" else {}
    settings = split_settings(kind, split={"near_duplicates": None, **changes}, **labels)
    split, counts = prepare(records, module, settings)
    return counts["leakage"], split


def shown_of(counts):
    """The limits of a report with these counts that speak of leaks."""
    records = {"questions": {"splits": {"test": 80}, **counts}}
    shown = limits.shown(ReportData(facts=[], experiments={}, records=records))
    return [one for one in shown if one.limit.id in set(Leak)]


def test_a_clean_data_set_flags_nothing():
    counts, _ = leaks_of(questions())
    assert counts == {"repeated_prompt": 0, "contained": 0, "repeated_answer": 0}
    assert shown_of(counts) == []


@pytest.mark.parametrize("leak", Leak)
def test_a_planted_leak_of_each_kind_is_found_and_no_other(leak):
    records = questions()
    _, split = leaks_of(records)
    sides = zip(split.train["id"][:7] - 1, split.test["id"][:7] - 1, strict=True)
    fields = ["instruction", "input", "output"]
    for train, test in sides:
        if leak is Leak.REPEATED_PROMPT:
            records.loc[test, "instruction"] = f" {records.loc[train, 'instruction'].upper()}"
            records.loc[test, "input"] = records.loc[train, "input"]
        elif leak is Leak.CONTAINED:
            whole = " ".join(records.loc[test, fields])
            records.loc[train, "output"] = f"Before that. {whole} And then more of it."
        else:
            records.loc[test, "output"] = records.loc[train, "output"]
    counts, after = leaks_of(records)
    assert after.test["id"].tolist() == split.test["id"].tolist()
    assert counts == {**dict.fromkeys(map(str, Leak), 0), str(leak): 7}
    (one,) = shown_of(counts)
    assert one.limit.id == leak
    assert str(one).startswith("Leakage, questions: 7 of 80 test ") and "(9%)" in str(one)


def test_group_takes_the_leak_of_prompts_away():
    records = questions()
    records["instruction"] = [f"{text.split()[0]}: what is it?" for text in records["instruction"]]
    records["input"] = ""
    assert leaks_of(records)[0]["repeated_prompt"] > 70
    assert leaks_of(records, group=["instruction", "input"])[0]["repeated_prompt"] == 0


@pytest.mark.parametrize("kind", ["classify", "prose"])
def test_texts_without_a_prompt_can_only_be_contained(kind):
    draw = random.Random(1)
    texts = [sentence(draw, 12) for _ in range(200)]
    records = pd.DataFrame({"row": range(1, 201), "text": texts, "label": ["a", "b"] * 100})
    counts, split = leaks_of(records, kind)
    assert counts == {"contained": 0}
    train, test = split.train["id"].iloc[3] - 1, split.test["id"].iloc[3] - 1
    records.loc[train, "text"] = f"{records.loc[test, 'text']} {sentence(draw, 40)}"
    assert leaks_of(records, kind)[0] == {"contained": 1}


@settings(max_examples=150, deadline=None)
@given(
    texts=st.lists(st.lists(st.sampled_from("abc"), max_size=12), max_size=8),
    others=st.lists(st.lists(st.sampled_from("abc"), max_size=40), max_size=12),
    share=st.sampled_from([0.3, 0.5, 0.55, 0.9, 1.0]),
    sample=st.integers(0, 12),
)
def test_contained_are_those_that_comparing_all_pairs_finds(texts, others, share, sample):
    def grams(words):
        return {tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))} if words else set()

    expected = {
        i
        for i, text in enumerate(texts)
        if len(own := grams(text)) >= 5
        and any(len(own & grams(o)) >= Fraction(str(share)) * len(own) for o in others)
    }
    texts, others = ([" ".join(words) for words in part] for part in (texts, others))
    assert duplicates.contained(texts, others, others[:sample], share) == expected


def test_a_template_does_not_make_every_pair_a_candidate(monkeypatch):
    """What nearly all texts have is looked for last, also if only the training data have it."""
    draw = random.Random(1)
    template = " ".join(f"word{i}" for i in range(30))

    def made(rest):
        return f"{template} {' '.join(str(draw.getrandbits(40)) for _ in range(rest))}"

    texts, others = [made(4) for _ in range(200)], [made(4) for _ in range(2000)]
    compared = []
    shared = similar.Index.shared
    monkeypatch.setattr(
        similar.Index, "shared", lambda *pairs: compared.extend(pairs[-1]) or shared(*pairs)
    )
    assert duplicates.contained(texts, others, others[::20], 0.9) == set()
    assert not compared


def test_the_report_has_a_limit_for_every_kind_of_leak():
    assert {leak.value for leak in Leak} <= {limit.id for limit in limits.LIMITS}


def test_the_sample_s_references_stand_in_its_training_outputs():
    """The report says so of the default run."""
    records = pd.read_json(ROOT / "data" / "sample" / "instructions.json", dtype=False)
    records = records.assign(row=range(1, len(records) + 1))
    counts, split = leaks_of(records, near_duplicates=0.85)
    outputs = set(split.train["output"])
    assert counts["repeated_answer"] == sum(text in outputs for text in split.test["output"])
    assert counts["repeated_answer"] / len(split.test) == pytest.approx(0.79, abs=0.01)
    assert counts["repeated_prompt"] == counts["contained"] == 0
