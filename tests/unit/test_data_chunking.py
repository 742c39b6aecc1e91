"""Chunks of a plain text: no word lost, no chapter crossed, sentences whole."""

from collections import Counter
from pathlib import Path

import pytest
from deltatune.data.chunking import chunk_text
from deltatune.data.chunking import sentences as sentences_of
from hypothesis import given, settings
from hypothesis import strategies as st

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def _chapters(*paragraphs, max_words=50):
    frame = chunk_text(paragraphs, max_words)
    return list(zip(frame["chapter"], frame["text"], strict=True))


def test_a_chunk_is_of_one_document():
    paragraphs = ["One of a.", "Chapter 1", "Two of a.", "Three of b.", "Four of b."]
    frame = chunk_text(paragraphs, 50, documents=["a", "a", "a", "b", "b"])
    assert list(zip(frame["chapter"], frame["text"], strict=True)) == [
        ("a", "One of a."),
        ("a, Chapter 1", "Two of a."),
        ("b", "Three of b.\n\nFour of b."),
    ]
    source = frame.attrs["source"]
    assert source == "\n\n".join(paragraphs) and frame.attrs["headings"] == ["Chapter 1"]
    places = zip(frame["source_start"], frame["source_end"], strict=True)
    assert [source[start:end] for start, end in places] == frame["text"].tolist()


# ---------------------------------------------------------------- headings


@pytest.mark.parametrize(
    ("heading", "chapter"),
    [
        ("Letter 1 ", "Letter 1"),
        ("Chapter 10", "Chapter 10"),
        ("chapter 3", "Chapter 3"),
        ("CHAPTER IV.", "Chapter 4"),
        ("CHAPTER IV. In which Mr. Pickwick is introduced", "Chapter 4"),
        ("CHAPTER IV.\nDOWN THE RABBIT-HOLE", "Chapter 4"),
        ("CHAPTER IV.\nDown the Rabbit-Hole", "Chapter 4"),
        ("Chapter 1. Loomings.", "Chapter 1"),
        ("Chapter 1: The Storm", "Chapter 1"),
        ("Chapter 1 — The Storm", "Chapter 1"),
        ("Chapter 1 The Boy Who Lived", "Chapter 1"),
        ("Chapter One", "Chapter 1"),
        ("CHAPTER TWENTY-ONE", "Chapter 21"),
        ("Chapter Twenty One: The End", "Chapter 21"),
        ("Chapter the First", "Chapter 1"),
        ("BOOK FIRST", "Book 1"),
        ("Volume I", "Volume 1"),
        ("VOL. II.", "Volume 2"),
        ("Part xiv", "Part 14"),
        ("## Chapter 3", "Chapter 3"),
        ("_Preface._", "Preface"),
        ("EPILOGUE", "Epilogue"),
    ],
)
def test_headings_name_the_chapter_and_leave_the_text(heading, chapter):
    frame = chunk_text(["Before it.", heading, "It was a dark night."], 50)
    assert frame["chapter"].tolist() == ["", chapter]
    assert frame["text"].tolist() == ["Before it.", "It was a dark night."]
    assert frame.attrs["headings"] == [" ".join(heading.split())]


@pytest.mark.parametrize(
    "paragraph",
    [
        "Chapter 1 was long and nobody read it.",
        "Chapter 1. It was a dark\nand stormy night, and nobody read.",
        "Letter I wrote to you",
        "Part of the deal",
        "Part 1 of the plan",
        "Book in hand",
        "Chapter 4th",
        "Letter C",
        "Letter mix",
        "Chapter",
        "Introduction to the matter",
        "preface",
        "as I said in\nChapter 4\nand say again",
        "I read in\nChapter 4\nThat was good.",
        "I read it.\nChapter 4\nis the best.",
        "12",
    ],
)
def test_text_that_only_looks_like_a_heading_stays(paragraph):
    assert _chapters(paragraph) == [("", " ".join(paragraph.split()))]


def test_a_number_broken_over_two_lines():
    # As in a copy of Frankenstein: "Chapter 1", an empty line, "0 ", an empty line.
    names = [f"Chapter {n}" for n in range(1, 10)]
    text = [part for name in names for part in (name, "Text.")]
    for broken in (["Chapter 1", "0 "], ["Chapter 1\n0"]):
        after = [*text, *broken, "Ten.", "Chapter 1", "1 ", "Eleven."]
        chapters = _chapters(*after)
        assert [chapter for chapter, _ in chapters] == [*names, "Chapter 10", "Chapter 11"]
        assert [words for _, words in chapters[-2:]] == ["Ten.", "Eleven."]
    assert _chapters("Chapter 1", "0", "Ten.") == [("Chapter 10", "Ten.")]


def test_a_number_under_a_heading_may_be_text():
    assert _chapters("Chapter 1", "1", "Text.") == [("Chapter 1", "1\n\nText.")]
    assert _chapters("Chapter 1", "A.", "Chapter 2", "1", "B.") == [
        ("Chapter 1", "A."),
        ("Chapter 2", "1\n\nB."),
    ]


def test_dates_and_salutations_under_a_heading_stay():
    text = ["St. Petersburgh, Dec. 11th, 17--", "TO Mrs. Saville, England", "My dear Sister,"]
    assert _chapters("Letter 1", *text) == [("Letter 1", "\n\n".join(text))]
    assert _chapters("Letter 1\nLondon, 3 May") == [("Letter 1", "London, 3 May")]
    assert _chapters("Letter 1", "THE STORM", "It blew.") == [("Letter 1", "It blew.")]


def test_a_heading_line_that_runs_on_as_text():
    text = "It was the best of times, it was the worst of times, it was the age of wisdom."
    assert _chapters(f"CHAPTER I. {text}") == [("Chapter 1", text)]


def test_volumes_keep_chapters_of_the_same_number_apart():
    chapters = _chapters(
        "VOLUME I", "Chapter 1", "A.", "Chapter 2", "B.", "VOLUME II", "Chapter 1", "C."
    )
    assert [chapter for chapter, _ in chapters] == [
        "Volume 1, Chapter 1",
        "Volume 1, Chapter 2",
        "Volume 2, Chapter 1",
    ]


def test_a_table_of_contents_is_no_text():
    contents = " CHAPTER I.     Down the Rabbit-Hole\n CHAPTER II.    The Pool of Tears\n Preface"
    assert _chapters(contents, "CHAPTER I.", "Alice was tired.") == [
        ("Chapter 1", "Alice was tired.")
    ]


def test_headings_inside_a_text_without_blank_lines():
    chapters = _chapters("Chapter 1\nIt was night. It\nrained.\nChapter 2\nMorning came.")
    assert chapters == [("Chapter 1", "It was night. It rained."), ("Chapter 2", "Morning came.")]


# ---------------------------------------------------------------- sentences


@pytest.mark.parametrize(
    "sentences",
    [
        ["I saw Mr. Smith and Mrs. J. R. Jones of St. Paul's.", "Dr. No ran."],
        ['"Are they Germans?" he asked.', '"No!"', "She left."],
        ["She left... and came back.", "Then... nothing.", "Wait…", "Now."],
        ["There--for with your leave--I stay.", "He left.--", "She stayed."],
        ["(It rained.)", "“It did.”", "'Did it?'", "[It did.]"],
        ["It was I.", "R. Walton wrote on Dec. 11th, 17--.", "See Vol. II and No. 5."],
        ["1. Wash it.", "2. Dry it.", "It cost $5.20 in all."],
        ["No.", "I will not have it, e.g. This stays whole."],
        ["Éric left.", "Élan came.", "Он ушёл.", "Она осталась."],
        ["Five . . .", "Six."],
    ],
)
def test_sentences(sentences):
    words = "  ".join(sentences).split()
    assert [" ".join(sentence) for sentence in sentences_of(words)] == sentences


# ---------------------------------------------------------------- chunks


def test_chunks_hold_whole_sentences_and_keep_paragraphs_apart():
    text = ["One two three. Four\nfive six.", "Seven eight nine. Ten."]
    assert chunk_text(text, 6)["text"].tolist() == [
        "One two three. Four five six.",
        "Seven eight nine. Ten.",
    ]
    assert chunk_text(text, 9)["text"].tolist() == [
        "One two three. Four five six.\n\nSeven eight nine.",
        "Ten.",
    ]
    assert chunk_text(text, 4)["text"].tolist() == [
        "One two three.",
        "Four five six.",
        "Seven eight nine. Ten.",
    ]


def test_a_chunk_never_crosses_a_chapter():
    frame = chunk_text(["Chapter 1", "A b.", "Chapter 2", "C d."], 100)
    assert frame["chapter"].tolist() == ["Chapter 1", "Chapter 2"]
    assert frame["row"].tolist() == [1, 2]


def test_a_sentence_that_is_too_long_is_split_and_counted():
    frame = chunk_text(["Short one.", "a b c d e f g h i j.", "End of it."], 4)
    assert frame["text"].tolist() == ["Short one.", "a b c d", "e f g h", "i j.", "End of it."]
    assert frame.attrs["sentences_cut"] == 1


def test_no_text():
    for paragraphs in ([], ["", " \n "], ["Chapter 1"]):
        frame = chunk_text(paragraphs, 5)
        columns = ["row", "chapter", "text", "source_start", "source_end"]
        assert list(frame.columns) == columns and len(frame) == 0
        assert frame["row"].dtype == "int64"
    with pytest.raises(ValueError, match="max_words"):
        chunk_text(["a"], 0)


_PARAGRAPHS = st.lists(
    st.one_of(
        st.text(max_size=80),
        st.text("aB1. \n\"'-…?!", max_size=120),
        st.lists(
            st.sampled_from(
                [
                    "Chapter",
                    "1",
                    "0",
                    "IV.",
                    "Letter",
                    "Preface",
                    "\n",
                    "He left.",
                    "THE END",
                    "the",
                ]
            ),
            max_size=12,
        ).map(" ".join),
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(_PARAGRAPHS, st.integers(1, 30))
def test_no_word_is_lost_or_doubled_whatever_the_text(paragraphs, max_words):
    frame = chunk_text(paragraphs, max_words)
    out = [word for text in frame["text"] for word in text.split()]
    dropped = [word for heading in frame.attrs["headings"] for word in heading.split()]
    given_words = [word for paragraph in paragraphs for word in paragraph.split()]
    assert Counter(out) + Counter(dropped) == Counter(given_words)
    # What is kept is in order: a subsequence of what was given.
    rest = iter(given_words)
    assert all(word in rest for word in out)
    assert all(len(text.split()) <= max_words for text in frame["text"])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.lists(st.text("abcAB.?!\"'… \n-", min_size=1, max_size=60), min_size=1, max_size=5),
        max_size=6,
    ),
    st.integers(1, 20),
)
def test_the_words_are_the_same_sequence(chapters, max_words):
    paragraphs = []
    for number, texts in enumerate(chapters, 1):
        texts[0] = f"so {texts[0]}"  # a line in capitals would be the title
        paragraphs += [f"Chapter {number}", *texts]
    frame = chunk_text(paragraphs, max_words)
    for number, texts in enumerate(chapters, 1):
        part = frame.loc[frame["chapter"] == f"Chapter {number}", "text"]
        assert " ".join(part).split() == " ".join(texts).split()


# ---------------------------------------------------------------- real data


@pytest.mark.skipif(not DATA.is_dir(), reason="the extracts of published data are not here")
def test_frankenstein():
    text = (DATA / "frankenstein.txt").read_text(encoding="utf-8")
    frame = chunk_text(text.split("\n\n"), 200)
    expected = [f"Letter {n}" for n in range(1, 5)] + [f"Chapter {n}" for n in range(1, 19)]
    assert list(dict.fromkeys(frame["chapter"])) == expected
    assert len(frame.attrs["headings"]) == 22 and frame.attrs["sentences_cut"] == 0
    assert frame["text"].str.split().str.len().max() <= 200
    headings = sum(len(heading.split()) for heading in frame.attrs["headings"])
    words = " ".join(frame["text"]).split()
    assert len(words) == len(text.split()) - headings
    assert words[:3] == ["St.", "Petersburgh,", "Dec."] and words[-1] == "history."
    ends = frame["text"].str.rstrip("\"')").str[-1].value_counts()
    assert ends["."] + ends["!"] + ends["?"] > 0.95 * len(frame)
