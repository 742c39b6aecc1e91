"""Why a comparison has no interval or no p-value."""

from enum import StrEnum

MIN_TESTED = 5
"""Independent units, below which there is no p-value: t with three degrees of freedom or fewer
hangs on the shape of a distribution that so few units do not show."""


class Missing(StrEnum):
    """Each member: its code in the tables, and the reason in words."""

    words: str

    def __new__(cls, value: str, words: str) -> "Missing":
        code = str.__new__(cls, value)
        code._value_, code.words = value, words
        return code

    NOT_FINITE = "not_finite", "a figure is not finite"
    ONE_CLUSTER = "one_cluster", "all is of one text or group, so there is no spread to judge by"
    FEW_CLUSTERS = (
        "few_clusters",
        "fewer than 5 independent units, so the difference is for this text only",
    )
    FEW_DIFFERING = (
        "few_differing",
        "most examples score the same and fewer than 20 differ, too few for an interval",
    )
    FEW_CLUSTERS_DIFFER = (
        "few_clusters_differ",
        "most clusters score the same and fewer than 20 differ, too few for an interval",
    )
    RARE_CLASS = "rare_class", "a class has fewer than 5 test examples"
    CONSTANT = "constant", "nothing varies: every example moved by the same amount, or by none"
    TWO_SEEDS = "two_seeds", "two seeds are too few for a test of the recipe"


def codes(text: str) -> list[Missing]:
    """The codes in a cell of a table, joined by blanks."""
    return [Missing(code) for code in text.split()]


def why_missing(text: str) -> str:
    """The codes in a cell of a table, in words."""
    return "; ".join(code.words for code in codes(text))
