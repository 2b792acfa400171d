"""The wall-time budget of a command."""

from __future__ import annotations

import time
from collections.abc import Callable

from pegboard.errors import BudgetSpent, PegboardError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float:
    """Return seconds of ``90``, ``90s``, ``10m`` or ``1.5h``.

    Raises
    ------
    PegboardError
        When the text is not a positive duration.
    """
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    try:
        seconds = float(number) * _UNITS[unit]
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise PegboardError(f"expected a duration such as 90s, 10m or 1.5h, got {text!r}")
    return seconds


class Budget:
    """Seconds of wall time left, of ``seconds`` from now on; None means no limit.

    ``reserve`` is what the caller still needs at the end (evaluation, report): work stops
    early enough to leave it. ``started`` is what ``clock`` said when the time began to run, if
    that was earlier.
    """

    def __init__(
        self,
        seconds: float | None = None,
        *,
        reserve: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        started: float | None = None,
    ) -> None:
        self.seconds = seconds
        self.reserve = reserve
        self._clock = clock
        self._start = clock() if started is None else started

    @property
    def elapsed(self) -> float:
        """Seconds since the budget was opened."""
        return self._clock() - self._start

    @property
    def remaining(self) -> float:
        """Seconds left before the reserve begins; infinite without a limit."""
        if self.seconds is None:
            return float("inf")
        return self.seconds - self.reserve - self.elapsed

    @property
    def spent(self) -> bool:
        """Whether no time is left."""
        return self.remaining <= 0

    def share(self, part: float) -> Budget:
        """Return a budget of this part of the time left, from now on."""
        if self.seconds is None:
            return Budget(clock=self._clock)
        return Budget(max(0.0, self.remaining) * part, clock=self._clock)

    def at_most(self, seconds: float) -> Budget:
        """Return a budget of these seconds from now on, or of what is left if that is less."""
        return Budget(min(seconds, max(0.0, self.remaining)), clock=self._clock)

    def check(self, needed: float = 0.0) -> None:
        """Raise BudgetSpent unless more than ``needed`` seconds are left."""
        if self.remaining <= needed:
            raise BudgetSpent
