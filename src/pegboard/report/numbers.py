"""Figures as the report shows them: rounded, with a unit, and with all digits beside."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pegboard.report.context import Number
from pegboard.table import duration, size
from pegboard.words import FINE_FROM, digits

MISSING = "\N{EN DASH}"
TO = "\N{EN DASH}"


def share(value: float | None, n: int = 0, interval: Sequence[float] | None = None) -> Number:
    """Show a fraction as ``.943``-like text with as many digits as ``n`` photos can carry."""
    if not known(value):
        return Number(MISSING)
    decimals = 4 if n >= FINE_FROM else 3
    ends = TO.join(f"{end:.{decimals}f}" for end in interval or ())
    return Number(f"{value:.{decimals}f}", repr(value), ends)


def percentage(value: float | None, n: int, interval: Sequence[float] | None = None) -> Number:
    """Show a fraction in percent, with as many digits as ``n`` photos can carry."""
    if value is None or not known(value):
        return Number(MISSING)
    ends = TO.join(digits(end, n) for end in interval or ())
    return Number(f"{digits(value, n)} %", repr(value), ends)


def plain(value: float | None, form: str) -> Number:
    """Show a number in a format such as ``{:,.0f}``."""
    return Number(form.format(value), repr(value)) if known(value) else Number(MISSING)


def three_digits(value: float | None, unit: str = "") -> Number:
    """Show three digits, and all of those before the point."""
    form = "{:.3g}" if value is None or abs(value) < 999.5 else "{:,.0f}"
    return plain(value, form + unit)


def bytes_of(value: float | None) -> Number:
    """Show a size in kB, MB or GB."""
    return Number(size(value), repr(value)) if value is not None else Number(MISSING)


def time_of(seconds: float | None) -> Number:
    """Show seconds as a duration."""
    return Number(duration(seconds), repr(seconds)) if seconds is not None else Number(MISSING)


def p_value(p: float) -> Number:
    """Show a probability of chance to three decimals."""
    return Number("< 0.001" if p < 0.001 else f"{p:.3f}", repr(p))


def whole_percent(fraction: float) -> str:
    """Show a share of a row or a column."""
    return "< 1 %" if 0 < fraction < 0.005 else f"{100 * fraction:.0f} %"


def known(value: float | None) -> bool:
    """Whether there is a finite value."""
    return value is not None and math.isfinite(value)
