"""Text for people: foreign text made safe, near matches, sizes of files."""

import subprocess
import sys

import pytest
from deltatune.core.paths import SCRIPTS
from deltatune.core.text import did_you_mean, file_size, nearest, printable, sanitize


def test_a_message_keeps_only_what_is_printable():
    assert printable("a\x1b[31m\xa0\u200d\t\n") == "a\ufffd[31m\ufffd\ufffd\t\n"
    assert printable("a\tb\n", keep="") == "a\ufffdb\ufffd"


def test_a_text_that_is_shown_whole_keeps_spaces_and_joiners_of_every_script():
    kept = "bon\xa0! \u0645\u06cc\u200c\u062e \U0001f469\u200d\U0001f680\n\t"
    assert sanitize(kept) == kept
    assert sanitize("a\x1b\x7f\x9b\u202e\u2066\ufeff\ud800b") == "a" + 7 * "\ufffd" + "b"
    assert sanitize("a\x1bb", replace=lambda character: f"<{ord(character)}>") == "a<27>b"


def test_the_near_match():
    assert did_you_mean("labls", ["text", "labels"]) == " (did you mean 'labels'?)"
    assert did_you_mean("TEXT", ["label", "text"]) == " (did you mean 'text'?)"
    assert did_you_mean("xyz", ["label", "text"]) == "" == did_you_mean("x", [])
    assert did_you_mean("te\x1bxt", ["te\x1bxt" * 40]) == "" and nearest(5, ["50", "x"]) == "50"


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1500, "1.5 kB"),
        (2_000_000, "2.0 MB"),
        (14_483_464_192, "14.5 GB"),
        (3e12, "3000.0 GB"),
    ],
)
def test_sizes(count, shown):
    assert file_size(count) == shown


def test_it_needs_the_standard_library_alone():
    code = "import sys, deltatune.core.text; print('pydantic' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
