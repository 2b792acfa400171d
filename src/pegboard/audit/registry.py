"""The checks, cheapest first."""

from __future__ import annotations

from typing import Protocol

from pegboard.audit import (
    balance,
    conflicts,
    copies,
    files,
    labels,
    leaks,
    looks,
    names,
    outliers,
    shortcuts,
    similar,
)
from pegboard.audit.findings import Finding, NotApplicable
from pegboard.audit.subject import Subject


class Check(Protocol):
    """A module that finds one kind of thing.

    It may also have ``THRESHOLDS``, names and values of what decides; they are kept in
    ``check.json``.
    """

    @property
    def CODES(self) -> tuple[str, ...]:  # noqa: N802
        """Codes of its findings."""
        ...

    def check(self, subject: Subject, /) -> list[Finding] | NotApplicable:
        """Look, and return what was found, or why there is nothing to look at."""
        ...


CHECKS: tuple[Check, ...] = (
    files,
    copies,
    names,
    looks,
    balance,
    shortcuts,
    similar,
    conflicts,
    leaks,
    outliers,
    labels,
)
