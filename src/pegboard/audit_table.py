"""What a check found, as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pegboard.audit.findings import Finding
from pegboard.audit.folder import CheckFolder, CheckRecord
from pegboard.audit_words import next_steps, summary, title_of
from pegboard.words import listing

if TYPE_CHECKING:
    from rich.table import Table

WIDTH_OF_A_FILE = 160
"""Characters of a line where the output is no terminal."""

LEAST_WIDTH = 60


@dataclass(frozen=True)
class Row:
    """One code with findings: how many, and the worst of them in words."""

    title: str
    code: str
    errors: int
    warnings: int
    example: str

    @property
    def count(self) -> int:
        """Errors and warnings."""
        return self.errors + self.warnings


def rows_of(findings: Sequence[Finding]) -> list[Row]:
    """Return one row per code with errors or warnings, codes with errors first."""
    by_code: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.counts:
            by_code.setdefault(finding.code, []).append(finding)
    rows = [
        Row(
            title_of(code),
            code,
            sum(finding.severity == "error" for finding in found),
            sum(finding.severity == "warning" for finding in found),
            example(found[0]),
        )
        for code, found in by_code.items()
    ]
    return sorted(rows, key=lambda row: (not row.errors, -row.count))


def example(finding: Finding) -> str:
    """Say one finding in a line."""
    suggested = f" -> {finding.suggestion}" if finding.suggestion else ""
    other = f" and {finding.other_path}" if finding.other_path else ""
    told = f": {finding.explanation}" if finding.explanation else ""
    return f"{finding.path}{suggested}{other}{told}"


def check_text(folder: CheckFolder, record: CheckRecord, findings: Sequence[Finding]) -> str:
    """Return what was found, what was not, and what to do next, as the terminal can show it."""
    from rich.console import Console  # noqa: PLC0415  (kept out of library imports)
    from rich.text import Text  # noqa: PLC0415

    console = Console(highlight=False, soft_wrap=True)
    width = max(console.width, LEAST_WIDTH) if console.is_terminal else WIDTH_OF_A_FILE
    narrow = Console(highlight=False, width=width)
    rows = rows_of(findings)
    with console.capture() as text, narrow.capture() as table:
        for sentence in summary(record, findings):
            console.print(Text(sentence))
        if rows:
            narrow.print(check_table(rows, width))
    above = text.get() + table.get()
    with console.capture() as text:
        for line in _others(record):
            console.print(Text(line, style="dim"))
        console.print(Text(f"\nReport: {folder.report}\nTable:  {folder.findings}"))
        steps = next_steps(folder, record, findings)
        widest = max((len(step.why) for step in steps), default=0)
        for step in steps:
            console.print(Text(f"{step.why:<{widest}}  {step.command}"))
    return above + text.get()


def check_table(rows: Sequence[Row], width: int) -> Table:
    """Return the rows as a table of ``width``: what, how many, code, and the surest of them."""
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    cells = [(row.title, f"{row.count:,}", row.code) for row in rows]
    for title, align in (("found", "left"), ("", "right"), ("code", "left")):
        table.add_column(title, justify=align, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("the surest of them", no_wrap=True, overflow="ellipsis")
    taken = sum(max(map(len, column)) for column in zip(*cells, strict=True)) + _GAPS
    for row, (title, number, code) in zip(rows, cells, strict=True):
        style = "bold red" if row.errors else "yellow"
        # A name may hold line breaks; and a cell that fits leaves the other columns whole.
        told = Text(" ".join(row.example.split()), style="dim")
        told.truncate(max(width - taken, _LEAST_EXAMPLE), overflow="ellipsis")
        table.add_row(Text(title, style=style), Text(number, style=style), code, told)
    return table


_GAPS = 12
"""Characters between and beside four columns."""

_LEAST_EXAMPLE = 12


def _others(record: CheckRecord) -> list[str]:
    """Say which codes were looked for in vain, and which could not be looked for."""
    clean = [outcome.code for outcome in record.outcomes if outcome.state == "clean"]
    lines = [f"Nothing found: {listing(clean)}."] if clean else []
    reasons: dict[str, list[str]] = {}
    for outcome in record.outcomes:
        if outcome.state == "not-applicable":
            reasons.setdefault(outcome.why, []).append(outcome.code)
    lines += [f"Not applicable: {listing(codes)} ({why})." for why, codes in reasons.items()]
    return lines
