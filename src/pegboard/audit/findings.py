"""The nouns of a check: a finding, an outcome, and the table they are kept in."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from pegboard.errors import PegboardError
from pegboard.files import atomic_path

Severity = Literal["error", "warning", "info"]
State = Literal["found", "clean", "not-applicable"]

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""Worst first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is, or may be, wrong.

    Attributes
    ----------
    path
        The photo or file, as in every output; for a finding about a class, ``CLASS/``.
    code
        What kind of thing, as listed in ``docs/check.md``; stable.
    severity
        ``info`` is not counted.
    score
        0 to 1; 1 is surely a problem.
    suggestion
        What would put it right, where one word says it: a class, an ending, ``A=B`` to merge.
    other_path
        The other photo of a pair.
    explanation
        One line for people.
    """

    path: str
    code: str
    severity: Severity
    score: float
    suggestion: str = ""
    other_path: str = ""
    explanation: str = ""

    def __post_init__(self) -> None:
        # NaN fails this too.
        if not 0 <= self.score <= 1:
            raise ValueError(f"{self.code}: a score lies between 0 and 1, got {self.score}")

    @property
    def counts(self) -> bool:
        """Whether it is a warning or an error."""
        return self.severity != "info"


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """A check has nothing to look at here, or cannot look; ``why`` in one line.

    ``blocked`` as in :class:`Outcome`.
    """

    why: str
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one code.

    Attributes
    ----------
    code, state
        ``not-applicable`` where there was nothing to look at, or no way to.
    count
        Warnings and errors.
    why
        What else there is to say: why it is not applicable, how many more are only noted.
    blocked
        Not applicable for want of something that can be had: an extra, or time.
    """

    code: str
    state: State
    count: int
    why: str = ""
    blocked: bool = False


COLUMNS = tuple(field.name for field in fields(Finding))

_WRITING = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
_READING = _WRITING | {"encoding": "utf-8-sig"}  # table programs put a mark at the start


def write_findings(path: str | Path, findings: Iterable[Finding]) -> None:
    """Write ``findings.csv``, whole or not at all."""
    with atomic_path(path) as temporary, temporary.open("w", **_WRITING) as file:  # type: ignore[call-overload]
        plain = csv.writer(file, lineterminator="\n")
        # The csv module writes a lone carriage return unquoted, and then cannot read it back.
        quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        plain.writerow(COLUMNS)
        for finding in findings:
            row = [getattr(finding, name) for name in COLUMNS]
            row[COLUMNS.index("score")] = f"{finding.score:.4f}"
            (quoted if any("\r" in cell for cell in row) else plain).writerow(row)


def read_findings(path: str | Path) -> list[Finding]:
    """Read ``findings.csv``.

    Raises
    ------
    PegboardError
        When it is missing, lacks a column, or a row does not fit.
    """
    try:
        with Path(path).open("r", **_READING) as file:  # type: ignore[call-overload]
            table = csv.DictReader(file)
            missing = [name for name in COLUMNS[:6] if name not in (table.fieldnames or ())]
            if missing:
                raise PegboardError(
                    f"the findings {path} lack the columns {', '.join(missing)}; expected "
                    f"{','.join(COLUMNS)}, as `pegboard check` writes them"
                )
            return [_finding(path, table.line_num, row) for row in table]
    except OSError as error:
        raise PegboardError(f"the findings {path} cannot be read: {error.strerror}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise PegboardError(f"the findings {path} are not a CSV table: {error}") from error


def _finding(path: str | Path, line: int, row: Mapping[str, str | None]) -> Finding:
    cells = {name: row.get(name) or "" for name in COLUMNS}
    if cells["severity"] not in SEVERITIES:
        raise PegboardError(
            f"the findings {path}, line {line}: unknown severity {cells['severity']!r}; expected "
            f"{', '.join(SEVERITIES)}"
        )
    try:
        return Finding(
            path=cells["path"],
            code=cells["code"],
            severity=cells["severity"],
            score=float(cells["score"]),
            suggestion=cells["suggestion"],
            other_path=cells["other_path"],
            explanation=cells["explanation"],
        )
    except ValueError as error:
        raise PegboardError(
            f"the findings {path}, line {line}: expected a score between 0 and 1, found "
            f"{cells['score']!r}"
        ) from error
