"""Figures as the report shows them: rounded, with a unit, and with all digits beside."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pegboard.report.pieces import Number
from pegboard.table import duration, size
from pegboard.words import digits, score

MISSING = "\N{EN DASH}"
TO = "\N{EN DASH}"
_SPACE = "\N{NO-BREAK SPACE}"


def share(value: float | None, n: int = 0, interval: Sequence[float] | None = None) -> Number:
    """Show a fraction as ``.943``-like text with as many digits as ``n`` photos can carry."""
    if value is None or not known(value):
        return Number(MISSING)
    ends = TO.join(score(end, n) for end in interval or ())
    return Number(score(value, n), repr(value), ends)


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


def signed(difference: float, decimals: int) -> str:
    """Return a difference with its sign; what rounds to 0 has a plus."""
    return f"{round(difference, decimals) + 0.0:+.{decimals}f}"


def whole_percent(fraction: float) -> str:
    """Show a share of a row or a column."""
    return "< 1 %" if 0 < fraction < 0.005 else f"{100 * fraction:.0f} %"


def percent_of(probability: float) -> str:
    """Show a probability of one answer; never as certain as it is not."""
    if 0 < probability < 0.001:
        return f"<{_SPACE}0.1{_SPACE}%"
    if 0.999 < probability < 1:
        return f">{_SPACE}99.9{_SPACE}%"
    return f"{100 * probability:.1f}{_SPACE}%"


def known(value: float | None) -> bool:
    """Whether there is a finite value."""
    return value is not None and math.isfinite(value)


@dataclass(frozen=True)
class Figures:
    """The figures of one object in ``leaderboard.json``, each shown with its place there.

    Attributes
    ----------
    values
        The object.
    place
        Its JSON pointer: ``/models/0``.
    n
        Photos that the figures rest on: they decide how many digits mean something.
    """

    values: Mapping[str, Any]
    place: str
    n: int = 0

    def share(self, key: str) -> Number:
        """Show a fraction and its interval (``key`` and ``key_ci``)."""
        return self.at(key, share(self.values.get(key), self.n, self._interval(key)))

    def percentage(self, key: str) -> Number:
        """Show a fraction in percent, and its interval."""
        return self.at(key, percentage(self.values.get(key), self.n, self._interval(key)))

    def plain(self, key: str, form: str) -> Number:
        """Show a number in a format such as ``{:,.0f}``."""
        return self.at(key, plain(self.values.get(key), form))

    def three_digits(self, key: str, unit: str = "") -> Number:
        """Show three digits, and all of those before the point."""
        return self.at(key, three_digits(self.values.get(key), unit))

    def bytes(self, key: str) -> Number:
        """Show a size."""
        return self.at(key, bytes_of(self.values.get(key)))

    def time(self, key: str) -> Number:
        """Show seconds as a duration."""
        return self.at(key, time_of(self.values.get(key)))

    def at(self, key: str, number: Number) -> Number:
        """Return the number with its place, and its interval's if it has one."""
        if not number.exact:
            return number
        placed = replace(number, place=f"{self.place}/{key}")
        if not number.interval:
            return placed
        ends = list(self._interval(key) or ())
        return replace(placed, interval_exact=repr(ends), interval_place=f"{self.place}/{key}_ci")

    def _interval(self, key: str) -> Sequence[float] | None:
        found: Sequence[float] | None = self.values.get(f"{key}_ci")
        return found
