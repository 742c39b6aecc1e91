"""Workarounds for what libraries write into a page that is not theirs alone. Each names the version
that needs it; a test in tests/unit/test_report.py fails when it can go."""

import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager

SVG = "http://www.w3.org/2000/svg"


@contextmanager
def without_glyph_warnings() -> Iterator[None]:
    """Save a figure whose texts are left to the reader's fonts.

    Matplotlib 3.11.2 warns of each glyph that DejaVu lacks, although with `svg.fonttype: none` it
    draws none (the warning: https://github.com/matplotlib/matplotlib/pull/9175).
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def remove_style_sheet(root: ET.Element) -> None:
    """An SVG of Matplotlib without its style sheet, whose rule for `*` holds for the whole page.

    Matplotlib 3.11.2; the same was reported of another property in
    https://github.com/matplotlib/matplotlib/issues/14283.
    """
    for parent in root.iter():
        for child in parent.findall(f"{{{SVG}}}style"):
            parent.remove(child)
