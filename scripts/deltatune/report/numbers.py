"""Figures as text, written the same way in sentences, tables and figures."""

import math
from collections.abc import Mapping

CONFIDENCE = 0.95
MINUS = "−"
NOTHING = "–"


def finite(value) -> bool:
    """Is it a number that can be written down? None, NaN, infinities and text are not."""
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def is_true(value) -> bool:
    """A flag as it comes out of a frame or of a CSV file ("False" is not true)."""
    if isinstance(value, str):
        return value.strip().lower() in {"true", "1", "yes"}
    return bool(value)


def _mapping(row) -> Mapping:
    """Until the last reader of rows takes facts."""
    return row if isinstance(row, Mapping) else vars(row)


def decimals_for(row: Mapping) -> int:
    """How many decimals a row's numbers deserve: one or two digits of the interval's half-width.

    Two where that digit is small (0.012 and 0.014 stay apart) or where the difference itself would
    keep one digit only, one otherwise. Without an interval it goes by the size of the values.
    """
    row = _mapping(row)
    values = [abs(float(row[key])) for key in ("base", "tuned") if finite(row.get(key))]
    size = max(values, default=0.0)
    floor = 2 if size < 10 else 1 if size < 100 else 0
    low, high = row.get("ci_low"), row.get("ci_high")
    half = (float(high) - float(low)) / 2 if finite(low) and finite(high) else 0.0
    if half > 0:
        exponent = math.floor(math.log10(half))
        delta = abs(float(row["delta"])) if finite(row.get("delta")) else math.inf
        two_digits = half / 10**exponent < 3 or delta < 10 * 10**exponent
        needed = -exponent + (1 if two_digits else 0)
    else:
        needed = 3 if size < 1 else floor
    return max(floor, min(needed, 5))


def format_number(value, decimals: int = 2) -> str:
    """12,345.60 with a true minus sign; a dash where there is no number."""
    if not finite(value):
        return NOTHING
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


def format_p(value, resamples: int | None = None) -> str:
    """A p-value in two digits, or '< limit' below the smallest that the test can give.

    With B resamples that is 1 / (B + 1) (Phipson and Smyth 2010); without B the limit is 0.001. It
    is never below 0.0001: smaller ones hang on the tails of the model.
    """
    if not finite(value):
        return NOTHING
    limit = max(1 / (resamples + 1), 0.0001) if resamples else 0.001
    value = float(value)
    if value < limit:
        return f"< {_one_digit_up(limit)}"
    if value > 0.995:
        return "1.00"
    return f"{value:.2f}" if value >= 0.1 else f"{float(f'{value:.2g}'):.5f}".rstrip("0")


def _one_digit_up(value: float) -> str:
    """0.000999 → 0.001: one digit, rounded up, so that '< limit' stays true."""
    exponent = math.floor(math.log10(value))
    digit = math.ceil(round(value / 10**exponent, 6))
    return f"{digit * 10.0**exponent:.{max(0, -exponent)}f}"


def format_count(value) -> str:
    """'1,235'."""
    return f"{round(float(value)):,}" if finite(value) else NOTHING


def plural(count: int, word: str) -> str:
    """'1 window', '200 windows'; the word is given in the plural."""
    return f"{count:,} {word[:-1] if count == 1 and word.endswith('s') else word}"


def percent_change(row: Mapping) -> str:
    """'−26%', the relative change of what has no natural ceiling: perplexity and its kin.

    A fall from 8 to 6 means something else than one from 800 to 798. Empty for scores between 0
    and 1, where a percentage of a small base would boast.
    """
    row = _mapping(row)
    if is_true(row["higher_is_better"]) or not (finite(row["base"]) and finite(row["tuned"])):
        return ""
    base = float(row["base"])
    if base <= 0:
        return ""
    percent = 100 * (float(row["tuned"]) - base) / base
    return f"{format_signed(percent, 0 if abs(percent) >= 1 else 1)}%"


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
