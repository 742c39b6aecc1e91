"""The shipped sample data: sizes, variety, and how hard the news are for a plain classifier."""

import csv
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
SCRIPT = SAMPLE / "make_samples.py"


@pytest.fixture(scope="module")
def instructions():
    return json.loads((SAMPLE / "instructions.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def news():
    with (SAMPLE / "news.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def texts(rows, fields):
    return [" ".join(row[field] for field in fields) for row in rows]


def near_duplicates(documents, threshold=0.85):
    """Count documents whose word 3-grams overlap an earlier one's by the Jaccard threshold."""
    seen, count = [], 0
    for text in documents:
        words = re.findall(r"\w+", text.lower())
        grams = {tuple(words[i : i + 3]) for i in range(len(words) - 2)}
        # |A and B| / |A or B|, without building the union
        count += any(
            len(grams & other) >= threshold * (len(grams) + len(other) - len(grams & other))
            for other in seen
        )
        seen.append(grams)
    return count


def run(script, *arguments):
    return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True)


def test_files_are_what_the_script_writes():
    result = run(SCRIPT, "--check")
    assert result.returncode == 0, result.stderr


def test_check_notices_a_changed_and_a_missing_file(tmp_path):
    script = tmp_path / SCRIPT.name
    script.write_bytes(SCRIPT.read_bytes())
    assert run(script).returncode == 0
    for name in ("instructions.json", "news.csv"):
        assert (tmp_path / name).read_bytes() == (SAMPLE / name).read_bytes()
    with (tmp_path / "news.csv").open("a", encoding="utf-8") as file:
        file.write("Sports,one more,row\n")
    (tmp_path / "instructions.json").unlink()
    result = run(script, "--check")
    assert result.returncode == 1
    assert "instructions.json, news.csv" in result.stderr
    assert not (tmp_path / "instructions.json").exists(), "--check must write nothing"


def test_sizes():
    size = sum((SAMPLE / name).stat().st_size for name in ("instructions.json", "news.csv"))
    prose = (SAMPLE / "prose.txt").stat().st_size
    assert prose >= 60_000
    assert size + prose < 500_000


def test_prose_has_chapters():
    prose = (SAMPLE / "prose.txt").read_text(encoding="utf-8")
    chapters = re.findall(r"^\W*chapter\b.*$", prose, flags=re.IGNORECASE | re.MULTILINE)
    assert len(chapters) >= 8


def test_instructions_have_the_alpaca_shape(instructions):
    assert 800 <= len(instructions) <= 900
    for record in instructions:
        assert list(record) == ["instruction", "input", "output", "skill"]
        assert all(isinstance(value, str) for value in record.values())
        assert record["instruction"] and record["skill"]
        assert 2 <= len(record["output"].split()) <= 15
        assert "{" not in "".join(record.values()), "an unfilled slot"


def test_instructions_are_varied(instructions):
    skills = Counter(record["skill"] for record in instructions)
    with_input = sum(bool(record["input"]) for record in instructions)
    assert len(skills) >= 12
    assert min(skills.values()) >= 30
    assert with_input >= 200
    assert len(instructions) - with_input >= 200
    for skill in skills:
        phrasings = {r["instruction"] for r in instructions if r["skill"] == skill}
        assert len(phrasings) >= 3, skill


def test_equal_questions_have_one_answer(instructions):
    answers = {}
    for record in instructions:
        question = record["instruction"], record["input"]
        assert answers.setdefault(question, record["output"]) == record["output"], question


def test_instructions_do_not_repeat(instructions):
    documents = texts(instructions, ["instruction", "input", "output"])
    assert len(set(documents)) == len(documents)
    assert near_duplicates(documents) == 0


def test_news_are_balanced_and_short(news):
    labels = Counter(row["label"] for row in news)
    assert set(labels) == {"World", "Sports", "Business", "Sci/Tech"}
    assert len(news) == 1400
    assert max(labels.values()) - min(labels.values()) <= 14
    for row in news:
        assert 5 <= len(row["title"].split()) <= 9, row
        assert 12 <= len(row["description"].split()) <= 25, row
        assert "{" not in row["title"] + row["description"], "an unfilled slot"


def test_news_do_not_repeat(news):
    documents = texts(news, ["title", "description"])
    assert len(set(documents)) == len(documents)
    assert near_duplicates(documents) == 0


def test_near_duplicates_are_counted():
    text = "a b c d e f g h i j k l m n o p q r s t"
    assert near_duplicates([text, f"{text} u", "quite another text"]) == 1


def test_news_are_neither_trivial_nor_noise(news):
    """Words alone tell most labels but not all, or base and tuned could not differ in a test."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline

    documents, labels = texts(news, ["title", "description"]), [row["label"] for row in news]
    accuracies = []
    for seed in range(5):
        train, test, train_labels, test_labels = train_test_split(
            documents, labels, test_size=0.2, stratify=labels, random_state=seed
        )
        model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression())
        accuracies.append(model.fit(train, train_labels).score(test, test_labels))
    assert 0.86 <= sum(accuracies) / len(accuracies) <= 0.95, accuracies
    assert max(accuracies) < 0.97, accuracies
