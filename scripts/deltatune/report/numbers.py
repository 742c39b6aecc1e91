"""Figures as text, written the same way in sentences, tables and figures."""

import math
from collections.abc import Callable, Iterable

from deltatune.compare.fact import Fact
from deltatune.core.table import NOTHING

CONFIDENCE = 0.95
SMALLEST_P = 0.0001
MOST_DECIMALS = 5
LARGEST = 1e15
"""From here on digits are no longer those of the number."""
MINUS = "−"


def finite(value) -> bool:
    """Is it a number that can be written down? None, NaN, infinities and text are not."""
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def decimals_for(fact: Fact) -> int:
    """How many decimals a fact's numbers deserve: one or two digits of the interval's half-width.

    Two where that digit is small (0.012 and 0.014 stay apart) or where the difference itself would
    keep one digit only, one otherwise. Without an interval it goes by the size of the values. An
    interval that leaves out zero is not written as if it ended there, nor a difference that has no
    interval as if it were none.
    """
    size = max((abs(value) for value in (fact.base, fact.tuned) if finite(value)), default=0.0)
    floor = 2 if size < 10 else 1 if size < 100 else 0
    half = _half_width(fact)
    if half > 0:
        exponent = math.floor(math.log10(half))
        delta = abs(fact.delta) if finite(fact.delta) else math.inf
        two_digits = half / 10**exponent < 3 or delta < 10 * 10**exponent
        needed = -exponent + (1 if two_digits else 0)
    else:
        needed = 3 if size < 1 else floor
    needed = max(needed, floor)
    while needed < MOST_DECIMALS and abs(_nearest_to_zero(fact)) < 0.5 * 10**-needed:
        needed += 1
    return min(needed, MOST_DECIMALS)


def _nearest_to_zero(fact: Fact) -> float:
    """What must not be written as zero: the nearer end of an interval that leaves it out, or
    without an interval the difference. Infinite where there is no such figure."""
    ends = _interval(fact)
    if ends is not None:
        return min(map(abs, ends)) if ends[0] * ends[1] > 0 else math.inf
    # A mean over seeds of equal figures differs by a rounding error.
    known = finite(fact.delta) and not math.isclose(fact.base, fact.tuned)
    return fact.delta if known else math.inf


def shared_decimals(facts: Iterable[Fact]) -> Callable[[Fact], int]:
    """The decimals of a fact's numbers beside others: the most that a fact of its task, metric and
    model deserves, so that the figure of their base is the same text wherever it stands."""
    most: dict[tuple[str, str, str], int] = {}
    for fact in facts:
        base = fact.task, fact.metric, fact.model
        most[base] = max(most.get(base, 0), decimals_for(fact))
    return lambda fact: most.get((fact.task, fact.metric, fact.model), decimals_for(fact))


def _interval(fact: Fact) -> tuple[float, float] | None:
    """Of the estimand, else of these adapters; None where there is none."""
    intervals = (fact.ci_low, fact.ci_high), (fact.adapters_low, fact.adapters_high)
    return next(((low, high) for low, high in intervals if finite(low) and finite(high)), None)


def _half_width(fact: Fact) -> float:
    """Of that interval; 0 where there is none."""
    low, high = _interval(fact) or (0.0, 0.0)
    return (high - low) / 2


def format_number(value, decimals: int = 2) -> str:
    """12,345.60 with a true minus sign, 1e+20 where that is too long; or a dash."""
    if not finite(value):
        return NOTHING
    if abs(float(value)) >= LARGEST:
        return f"{float(value):.3g}".replace("-", MINUS)
    text = f"{float(value):,.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        return text.lstrip("-")
    return text.replace("-", MINUS)


def format_signed(value, decimals: int = 2) -> str:
    """Like format_number, with a plus sign before what is above zero."""
    text = format_number(value, decimals)
    above = finite(value) and float(text.replace(",", "").replace(MINUS, "-")) > 0
    return "+" + text if above else text


def format_interval(low, high, decimals: int = 2) -> str:
    """'0.45 to 0.53': in words, because a dash between signed numbers cannot be read."""
    if not (finite(low) and finite(high)):
        return NOTHING
    return f"{format_number(low, decimals)} to {format_number(high, decimals)}"


def interval_name(confidence: float = CONFIDENCE) -> str:
    """'95% interval'."""
    return f"{100 * confidence:.4g}% interval"


def format_p(value, is_floor: bool = False) -> str:
    """'= 0.023', '≤ 0.0003' where that is the smallest that the test can give, '< 0.0001' below
    that, since smaller ones hang on the tails of the model.

    Two digits, or three near 0.05; those of a floor are rounded up, so that ≤ stays true.
    """
    if not finite(value):
        return NOTHING
    value = float(value)
    if is_floor and value < 1:
        return f"≤ {_digits(_round_up(value))}"
    if value < SMALLEST_P:
        return f"< {SMALLEST_P:.4f}"
    if value > 0.995:
        return "= 1.00"
    if value >= 0.1:
        return f"= {value:.2f}"
    return f"= {_digits(float(f'{value:.{3 if 0.045 < value < 0.055 else 2}g}'))}"


def _round_up(value: float) -> float:
    """0.000121 → 0.00013: two digits, rounded up."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(round(value / unit, 6)) * unit


def _digits(value: float) -> str:
    """0.00030000000000000003 → 0.0003."""
    return f"{value:.10f}".rstrip("0")


MOST_TIMES = 1000


def format_times(value: float) -> str:
    """'13.4 times', 'more than 1,000 times': a factor of 1 or more, in three digits."""
    if value > MOST_TIMES:
        return f"more than {MOST_TIMES:,} times"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(value)))}f} times"


def format_count(value) -> str:
    """'1,235'."""
    return f"{round(float(value)):,}" if finite(value) else NOTHING


def format_count_mean(value: float) -> str:
    """'9', '9.4': a mean or median of counts."""
    return format_number(value, 1).removesuffix(".0")


def format_share(value: float) -> str:
    """'0%', '0.35%', '12%', '99.96%': of 0 to 1; some are not written as none, nor most as all."""
    if not finite(value):
        return NOTHING
    if 0 < value < 0.01:
        return f"{100 * value:.2g}%"
    return f"{100 * value:.{_beside(100 - 100 * value)}f}%"


def _beside(rest: float) -> int:
    """The decimals with which a percentage that is `rest` from a bound is not written as it."""
    return -math.floor(math.log10(rest)) if 0 < rest < 0.5 else 0


def plural(count: int, word: str) -> str:
    """'1 window', '200 windows'; the word is given in the plural."""
    return f"{count:,} {word[:-1] if count == 1 and word.endswith('s') else word}"


def percent_change(fact: Fact) -> str:
    """'−26%', the relative change of what has no natural ceiling: perplexity and its kin.

    A fall from 8 to 6 means something else than one from 800 to 798. A change is not written as
    none, nor a fall that leaves something as one of 100%. Empty for scores between 0 and 1, where
    a percentage of a small base would boast.
    """
    if fact.higher_is_better or not (finite(fact.base) and finite(fact.tuned)) or fact.base <= 0:
        return ""
    percent = 100 * (fact.tuned - fact.base) / fact.base
    decimals = (
        _beside(100 + percent) if abs(percent) >= 1 else max(1, _beside(round(abs(percent), 4)))
    )
    return f"{format_signed(percent, decimals)}%"


def format_seconds(seconds) -> str:
    """'850 ms', '12.3 s', '4 min 05 s', '2 h 07 min'."""
    if not finite(seconds):
        return NOTHING
    seconds = float(seconds)
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min"
