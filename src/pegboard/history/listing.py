"""Runs as a table for the terminal, and what removing them takes away in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pegboard.history.entries import RunEntry, when
from pegboard.history.removal import Removal
from pegboard.table import ASCII_MARKS, Column, Marks, fitting, size
from pegboard.words import count, listing

if TYPE_CHECKING:
    from rich.table import Table

WIDTH_OF_A_FILE = 200
"""Characters of a line where the output is no terminal."""

_MOST_KEPT = 3


def print_runs(entries: Sequence[RunEntry], base: Path) -> None:
    """Print the runs as a table, fitted to the terminal, and what is odd about some below."""
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(highlight=False, soft_wrap=True)
    if not entries:
        console.print(Text(f"no runs in {base}/; `pegboard compare FOLDER` makes one"))
        return
    width = console.width if console.is_terminal else WIDTH_OF_A_FILE
    table = runs_table(entries, width=width, ascii_only=console.options.ascii_only)
    Console(highlight=False, width=width).print(table)
    for entry in entries:
        if entry.problem:
            console.print(Text(f"{entry.name}: {entry.problem}"))


def runs_table(entries: Sequence[RunEntry], *, width: int, ascii_only: bool = False) -> Table:
    """Return the runs as a table of at most ``width`` characters, where that can be had."""
    marks = ASCII_MARKS if ascii_only else Marks()
    return fitting(_COLUMNS, lambda columns: _build(entries, columns, marks), width)


def _build(entries: Sequence[RunEntry], columns: Sequence[Column[RunEntry]], marks: Marks) -> Table:
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.title, justify=column.align, overflow="fold")
    for entry in entries:
        cells = [Text(column.cell(entry, marks)) for column in columns]
        table.add_row(*cells, style="" if entry.status == "finished" else "dim")
    return table


def _macro_f1(entry: RunEntry, marks: Marks) -> str:
    if entry.best is None:
        return marks.unknown
    low, high = entry.best.macro_f1_ci
    return f"{entry.best.macro_f1:.3f} [{low:.3f}{marks.to}{high:.3f}]"


_COLUMNS: list[Column[RunEntry]] = [
    Column("run", lambda entry, _: entry.name, align="left"),
    Column("source", lambda entry, marks: entry.source or marks.unknown, 2, "left"),
    Column(
        "date",
        lambda entry, marks: when(entry.started) if entry.started else marks.unknown,
        1,
        "left",
    ),
    Column("status", lambda entry, _: entry.status, align="left"),
    Column(
        "best model",
        lambda entry, marks: entry.best.name if entry.best else marks.unknown,
        align="left",
    ),
    Column("macro-F1 [95 %]", _macro_f1),
    Column("n", lambda entry, marks: f"{entry.best.n:,}" if entry.best else marks.unknown, 5),
    Column("models", lambda entry, marks: str(len(entry.models)) or marks.unknown, 3),
    Column("size", lambda entry, _: size(entry.size_bytes), 4),
]


def removal_lines(removals: Iterable[Removal]) -> list[str]:
    """Return a line per run: what it is, how much goes, and what stays."""
    return [f"{_run(removal.entry)}: {_goes(removal)}" for removal in removals]


def _run(entry: RunEntry) -> str:
    about = [entry.source, when(entry.started) if entry.started else "", entry.status]
    return f"{entry.path} ({', '.join(word for word in about if word)})"


def _goes(removal: Removal) -> str:
    text = f"{count(len(removal.files), 'file')}, {size(removal.size_bytes)}"
    if not removal.kept:
        return text
    names = [str(path.relative_to(removal.entry.path)) for path in removal.kept[:_MOST_KEPT]]
    more = len(removal.kept) - len(names)
    stays = listing([*names, f"{more} more"] if more else names)
    return f"{text}; no run writes {stays}: kept"
