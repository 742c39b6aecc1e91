"""How wide texts are, for what no layout of Matplotlib places.

Matplotlib knows the glyphs of DejaVu Sans, which is wider than most fonts of pages; it would take
those that DejaVu lacks (CJK, emoji) for narrower than any font draws them.
"""

from collections.abc import Collection

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from deltatune.core import table_text
from deltatune.report.labels import unique

FIRST_WIDE = "\u2fff"
"""From here on, scripts have glyphs as wide as they are high."""


def width(text: str, size: float, weight: str | int = "normal") -> float:
    """Points of a text in one line. size: of its font, in points."""
    font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    wide = "".join("W" * min(table_text.width(one), 1) if one > FIRST_WIDE else one for one in text)
    return float(text_to_path.get_text_width_height_descent(wide, font, False)[0])


def fit(
    names: Collection[str], points: float, size: float, weight: str = "normal"
) -> dict[str, str]:
    """name → its label, as `labels.unique` makes it, so short that none is wider than `points`."""
    labels: dict[str, str] = {}
    for limit in range(48, 7, -2):
        labels = unique(names, limit)
        if max(width(label, size, weight) for label in labels.values()) <= points:
            break
    return labels
