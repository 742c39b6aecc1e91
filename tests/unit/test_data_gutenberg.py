"""Headers and footers as editions of different years have them, around a text of our own."""

from __future__ import annotations

import pytest
from deltatune.data import gutenberg
from deltatune.data.chunking import chunk_text

BOOK = """The Lamp-Lighter

by A. Nobody

CONTENTS

 Letter 1
 Chapter 1
 Chapter 2


Letter 1

_To Mrs. Vane, England._

You will be glad to hear of it.

Chapter 1

It rained. “Chapter and verse,” he said; *** he starred nothing else.

Chapter 2

The end of the road was the end of the project.
"""

HEADER_2020 = """\ufeffThe Project Gutenberg eBook of The Lamp-Lighter

This ebook is for the use of anyone anywhere, under the terms of its license.

Title: The Lamp-Lighter

Author: A. Nobody

Release date: March 1, 2001 [eBook #9999]

Credits: Somebody and the proofreaders


*** START OF THE PROJECT GUTENBERG EBOOK THE LAMP-LIGHTER ***




"""
FOOTER_2020 = """



*** END OF THE PROJECT GUTENBERG EBOOK THE LAMP-LIGHTER ***


Updated editions will replace the previous one.

START: FULL LICENSE

Section 1. General Terms of Use
"""
HEADER_2008 = """Project Gutenberg's The Lamp-Lighter, by A. Nobody

This eBook is for the use of anyone anywhere.

Title: The Lamp-Lighter

Character set encoding: ISO-8859-1

***START OF THIS PROJECT GUTENBERG EBOOK THE LAMP-LIGHTER, OR THE LIFE OF A
MAN WHO LIT LAMPS***


E-text prepared by Somebody
and the proofreaders



"""
FOOTER_2008 = """

End of the Project Gutenberg EBook of The Lamp-Lighter, by A. Nobody

***END OF THIS PROJECT GUTENBERG EBOOK THE LAMP-LIGHTER***

***** This file should be named 9999.txt or 9999.zip *****
"""
HEADER_1993 = """**Project Gutenberg's Etext of The Lamp-Lighter**

October, 1993  [Etext #9999]

***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***
Why is this "Small Print!" statement here? You know: lawyers.

*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*




"""
FOOTER_1993 = """



End of The Project Gutenberg Etext of The Lamp-Lighter

"""
FOOTER_SMALL_PRINT = """

End of Project Gutenberg's The Lamp-Lighter, by A. Nobody

***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***
You know: lawyers.
*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.02/11/02*END*
"""


@pytest.mark.parametrize(
    ("header", "footer"),
    [
        (HEADER_2020, FOOTER_2020),
        (HEADER_2008, FOOTER_2008),
        (HEADER_1993, FOOTER_1993),
        (HEADER_2008, FOOTER_SMALL_PRINT),
        (HEADER_1993 + HEADER_2008, FOOTER_2008),
    ],
    ids=["2020", "2008", "1993", "small print behind", "small print and a mark"],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_book_alone_is_left(header, footer, newline):
    data = (header + BOOK + footer).replace("\n", newline).encode()
    book = gutenberg.strip(gutenberg.decode(data))
    assert book.text == BOOK
    assert (header + BOOK).count("\n") == book.header_lines + BOOK.count("\n")
    assert book.footer_lines == len(footer.strip("\n").splitlines())


def test_a_text_without_both_marks_is_left_alone():
    assert gutenberg.strip(BOOK) is None
    assert gutenberg.strip(HEADER_2020 + BOOK) is None
    assert gutenberg.strip(BOOK + FOOTER_2020) is None
    assert gutenberg.strip("") is None


def test_older_editions_are_latin_1():
    assert gutenberg.decode("Elysée".encode("latin-1")) == "Elysée"
    assert gutenberg.decode("\ufeffElysée".encode()) == "Elysée"


def test_chapters_are_found_behind_the_contents():
    text = gutenberg.strip(HEADER_2020 + BOOK + FOOTER_2020).text
    chunks = chunk_text(text.split("\n\n"), 50)
    assert chunks["chapter"].unique().tolist() == ["", "Letter 1", "Chapter 1", "Chapter 2"]
    assert "Gutenberg" not in " ".join(chunks["text"])
