"""The comparison of two runs, told on the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pegboard.history.changes import DataChange, ValueChange, tally
from pegboard.history.comparison import ModelChange, RunComparison
from pegboard.history.difference import LEAST_COMMON, Difference
from pegboard.history.entries import RunEntry, when
from pegboard.history.listing import WIDTH_OF_A_FILE
from pegboard.leaderboard import ModelRow
from pegboard.table import ASCII_MARKS, Column, Marks, fitting
from pegboard.words import about_effect, count, digits, listing, percent

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_MOST_NAMED = 6
_MOST_VALUES = 20
_LONGEST_VALUE = 60


def print_comparison(comparison: RunComparison) -> None:
    """Print what changed, the figures as a table, and what they show in words."""
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(highlight=False, soft_wrap=True)
    for line in change_lines(comparison):
        console.print(Text(line))
    if comparison.models or comparison.best:
        _print_table(console, comparison)
    for sentence in sentences(comparison):
        console.print(Text(sentence))
    if comparison.effect:
        console.print(Text("\nWhat the corrections of B changed (before is A, after is B):"))
        for sentence in about_effect(comparison.effect.to_json()):
            console.print(Text(sentence))


def _print_table(console: Console, comparison: RunComparison) -> None:
    from rich.console import Console as Wide  # noqa: PLC0415

    width = console.width if console.is_terminal else WIDTH_OF_A_FILE
    table = figures_table(comparison, width=width, ascii_only=console.options.ascii_only)
    Wide(highlight=False, width=width).print(table)


# --- what changed ----------------------------------------------------------------------------


def change_lines(comparison: RunComparison) -> list[str]:
    """Return what changed in data, settings, versions and machine, a line each."""
    lines = [f"A: {_run(comparison.a)}", f"B: {_run(comparison.b)}", ""]
    lines += [f"data: {text}" for text in data_lines(comparison.data)]
    for title in ("settings", "versions", "machine"):
        lines += [f"{title}: {text}" for text in _values(getattr(comparison, title))]
    for name, models in (("A", comparison.only_a), ("B", comparison.only_b)):
        if models:
            lines.append(f"models only in {name}: {listing(models)}")
    return lines


def _run(entry: RunEntry) -> str:
    return f"{entry.name} ({entry.source}, {when(entry.started)})"


def data_lines(change: DataChange) -> list[str]:
    """Say what changed in the photos; a single line if nothing did."""
    if change.same:
        return [f"the same {count(change.photos[0], 'photo')}, labels and splits"]
    before, after = change.photos
    parts = [
        _counted(change.added, "added"),
        _counted(change.removed, "removed"),
        _moves("relabelled", [(item.before, item.after) for item in change.relabelled]),
        _moves("in another split", [(item.before, item.after) for item in change.moved]),
        f"{count(change.renamed, 'photo')} under another path" if change.renamed else "",
        f"new classes: {listing(change.classes_added)}" if change.classes_added else "",
        f"classes gone: {listing(change.classes_removed)}" if change.classes_removed else "",
    ]
    if change.left_out[0] != change.left_out[1]:
        parts.append("files left out: {:,} -> {:,}".format(*change.left_out))
    number = count(after, "photo")
    counted = f"{number} in both" if before == after else f"{before:,} -> {number}"
    return [counted, *(part for part in parts if part)]


def _counted(rows: Sequence[Any], done: str) -> str:
    return (
        f"{count(len(rows), 'photo')} {done}: {_tallied(row.label for row in rows)}" if rows else ""
    )


def _moves(what: str, pairs: Sequence[tuple[str, str]]) -> str:
    if not pairs:
        return ""
    return f"{count(len(pairs), 'photo')} {what}: {_tallied(' -> '.join(pair) for pair in pairs)}"


def _tallied(names: Iterable[str]) -> str:
    counted = tally(names)
    shown = [f"{name} {number:,}" for name, number in counted[:_MOST_NAMED]]
    more = len(counted) - len(shown)
    return ", ".join([*shown, f"{more} more"] if more else shown)


def _values(changes: Sequence[ValueChange]) -> list[str]:
    if not changes:
        return ["the same"]
    lines = [f"{item.name}: {_shown(item.a)} -> {_shown(item.b)}" for item in changes]
    more = len(lines) - _MOST_VALUES
    return [*lines[:_MOST_VALUES], f"{more} more, see --json"] if more > 0 else lines


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if value is None:
        text = "not set"
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."


# --- figures ---------------------------------------------------------------------------------


def figures_table(
    comparison: RunComparison, *, width: int = 120, ascii_only: bool = False
) -> Table:
    """Return the models of both runs as a table of at most ``width`` characters."""
    marks = ASCII_MARKS if ascii_only else Marks()
    changes = [*comparison.models, *([comparison.best] if comparison.best else [])]
    columns = [
        column
        for column in _COLUMNS
        if column.title not in _SEEDS or any(item.a.sd or item.b.sd for item in changes)
    ]
    return fitting(columns, lambda kept: _build(changes, kept, marks), width)


def _build(
    changes: Sequence[ModelChange], columns: Sequence[Column[ModelChange]], marks: Marks
) -> Table:
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.title, justify=column.align, overflow="fold")
    for change in changes:
        table.add_row(*(Text(column.cell(change, marks)) for column in columns))
    return table


def _name(change: ModelChange) -> str:
    if change.a.name == change.b.name:
        return change.a.name
    return f"best: {change.a.name} -> {change.b.name}"


def _accuracy(row: ModelRow, marks: Marks) -> str:
    low, high = (digits(end, row.test.n) for end in row.test.accuracy_ci)
    return f"{digits(row.test.accuracy, row.test.n)} [{low}{marks.to}{high}]"


def _over_seeds(row: ModelRow, marks: Marks) -> str:
    if row.mean is None or row.sd is None:
        return marks.unknown
    n = row.test.n
    return f"{digits(row.mean.accuracy, n)} {marks.plus_minus} {digits(row.sd.accuracy, n)}"


def _change(change: ModelChange, marks: Marks) -> str:
    found = change.difference
    if found is None:
        return marks.unknown
    n = _photos(change, found)
    low, high = (_signed(end, n) for end in found.ci)
    return f"{_signed(found.change, n)} [{low} to {high}]"


def _photos(change: ModelChange, found: Difference) -> int:
    return found.n if found.kind == "paired" else min(change.a.test.n, change.b.test.n)


def _signed(value: float, n: int) -> str:
    text = digits(value, n)
    return text if text.startswith("-") or float(text) == 0 else f"+{text}"


_VERDICTS = {"a_better": "A is better", "b_better": "B is better", "not_shown": "not shown"}

_SEEDS = ("A over seeds", "B over seeds")

_COLUMNS: list[Column[ModelChange]] = [
    Column("model", lambda change, _: _name(change), align="left"),
    Column("accuracy % A", lambda change, marks: _accuracy(change.a, marks), 1),
    Column("accuracy % B", lambda change, marks: _accuracy(change.b, marks), 1),
    Column(_SEEDS[0], lambda change, marks: _over_seeds(change.a, marks), 4),
    Column(_SEEDS[1], lambda change, marks: _over_seeds(change.b, marks), 4),
    Column("macro-F1 A", lambda change, _: f"{change.a.test.macro_f1:.3f}", 2),
    Column("macro-F1 B", lambda change, _: f"{change.b.test.macro_f1:.3f}", 2),
    Column("change, points [95 %]", _change),
    Column(
        "p",
        lambda change, marks: (
            _p(change.difference.p_adjusted) if change.difference else marks.unknown
        ),
        3,
    ),
    Column(
        "shown",
        lambda change, marks: (
            _VERDICTS[change.difference.verdict] if change.difference else marks.unknown
        ),
        align="left",
    ),
]


def _p(p: float) -> str:
    return "<.001" if p < 0.001 else f"{p:.3f}"


# --- in words --------------------------------------------------------------------------------


def sentences(comparison: RunComparison) -> list[str]:
    """Say on what the runs were compared, and what that shows."""
    changes = [*comparison.models, *([comparison.best] if comparison.best else [])]
    tested = [change for change in changes if change.difference]
    said = []
    if not changes:
        said.append("No model is in both runs, so there is nothing to compare.")
    if tested:
        said += [_basis(tested[0]), *_shown_differences(tested), *_not_shown(tested)]
    said += [
        f"{_name(change)} cannot be compared: {change.untested}."
        for change in changes
        if change.untested
    ]
    return [*said, _about_seeds(tested)] if tested else said


def _basis(change: ModelChange) -> str:
    first = change.difference
    assert first is not None
    if first.kind == "paired":
        return (
            f"Change: on the {count(first.n, 'test photo')} that both runs have with the same "
            "label, accuracy of B minus A; shown only if the tests (p, adjusted by Holm) and "
            "the interval agree."
        )
    had = "no test photo" if first.n == 0 else f"only {count(first.n, 'test photo')}"
    return (
        f"The runs have {had} in common (at least {LEAST_COMMON} are needed to compare answers "
        "photo by photo), so the change is between two separate sets of photos: its interval is "
        "wider, and a difference may be one of the photos and not of the models."
    )


def _shown_differences(tested: Iterable[ModelChange]) -> list[str]:
    said = []
    for change in tested:
        found = change.difference
        if found is None or found.verdict == "not_shown":
            continue
        n = _photos(change, found)
        better, worse = ("B", "A") if found.verdict == "b_better" else ("A", "B")
        said.append(
            f"{_name(change)}: {better} is shown to be better than {worse} "
            f"({percent(found.accuracy_a, n)} -> {percent(found.accuracy_b, n)} of these photos)."
        )
    return said


def _not_shown(tested: Iterable[ModelChange]) -> list[str]:
    names = [
        _name(change)
        for change in tested
        if change.difference and change.difference.verdict == "not_shown"
    ]
    return [f"No difference is shown for {listing(names)}."] if names else []


def _about_seeds(tested: Sequence[ModelChange]) -> str:
    repeated = [change for change in tested if change.a.sd and change.b.sd]
    if not repeated:
        return (
            "Training once more with another seed moves the figures too; --seeds 3 in both runs "
            "shows by how much."
        )
    return f"Over seeds, mean accuracy and its standard deviation: {listing(_spreads(repeated))}."


def _spreads(changes: Iterable[ModelChange]) -> list[str]:
    parts = []
    for change in changes:
        sides = [_over_seeds(row, ASCII_MARKS) for row in (change.a, change.b)]
        parts.append(f"{_name(change)} {sides[0]} -> {sides[1]}")
    return parts
