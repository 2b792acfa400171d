"""The leaderboard as a table for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from pegboard.words import count, digits, is_tie, leads_of, score

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Marks:
    """Signs in front of a name."""

    best: str = "★"
    tie: str = "≈"
    pareto: str = "◆"
    collapsed: str = "✗"
    to: str = "–"  # noqa: RUF001
    unknown: str = "–"  # noqa: RUF001
    plus_minus: str = "±"


ASCII_MARKS = Marks(
    best="*", tie="~", pareto="^", collapsed="!", to="-", unknown="-", plus_minus="+-"
)


Row = TypeVar("Row")


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One column of a table on the terminal.

    Attributes
    ----------
    title, cell
        What stands above, and what in a row.
    drop
        Order in which columns give way on a narrow terminal; 0 stays.
    align
        ``left`` columns may fold; numbers stand to the right.
    """

    title: str
    cell: Callable[[Row, Marks], str]
    drop: int = 0
    align: Literal["left", "right"] = "right"


def fitting(
    columns: Iterable[Column[Row]], build: Callable[[list[Column[Row]]], Table], width: int
) -> Table:
    """Build a table from as many columns as fit into ``width`` characters."""
    kept = list(columns)
    while True:
        table = build(kept)
        droppable = [column for column in kept if column.drop]
        if _width(table) <= width or not droppable:
            return table
        kept.remove(min(droppable, key=lambda column: column.drop))


def print_leaderboard(console: Console, leaderboard: Json) -> None:
    """Print the table, fitted to the console's width and to the signs it can show."""
    ascii_only = console.options.ascii_only
    console.print(leaderboard_table(leaderboard, width=console.width, ascii_only=ascii_only))


def leaderboard_table(leaderboard: Json, *, width: int = 120, ascii_only: bool = False) -> Table:
    """Return the leaderboard as a table.

    Models are sorted by macro-F1 on validation, baselines last: the order must not tempt
    anyone to choose on the test photos.

    Parameters
    ----------
    leaderboard
        As in ``leaderboard.json``.
    width
        Characters there are; the least important columns are left out to fit.
    ascii_only
        Whether signs must be plain ASCII.
    """
    marks = ASCII_MARKS if ascii_only else Marks()
    several_seeds = any(row["sd"] for row in leaderboard["models"])
    columns = [column for column in _COLUMNS if several_seeds or column.title != _SEEDS]
    return fitting(columns, lambda kept: _build(leaderboard, kept, marks), width)


def duration(seconds: float) -> str:
    """Return ``3.2 s``, ``45 s``, ``2 min 05 s`` or ``1 h 02 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(whole / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(number: float) -> str:
    """Return ``940 B``, ``12.3 kB`` or ``18.2 MB`` (powers of 1000)."""
    for unit in ("B", "kB", "MB"):
        if number < 999.5:
            return (
                f"{number:.0f} {unit}" if unit == "B" or number >= 99.95 else f"{number:.1f} {unit}"
            )
        number /= 1000
    return f"{number:.1f} GB"


def _build(leaderboard: Json, columns: list[Column[Json]], marks: Marks) -> Table:
    from rich import box  # noqa: PLC0415  (kept out of library imports)
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(
        box=box.SIMPLE_HEAD,
        title=Text(_title(leaderboard)),
        title_justify="left",
        title_style="bold",
        caption=Text(_legend(leaderboard, marks)),
        caption_justify="left",
        caption_style="dim",
        pad_edge=False,
    )
    table.add_column("", no_wrap=True)
    for column in columns:
        table.add_column(
            column.title,
            justify="right" if column.align == "right" else "left",
            no_wrap=column.title != "model",
            overflow="fold",
        )
    for row in _sorted(leaderboard):
        style = "dim" if row["baseline"] or row["collapsed"] else ""
        if row["name"] == leaderboard["best"]:
            style = "bold green"
        cells = [column.cell(row, marks) for column in columns]
        table.add_row(_signs(row, leaderboard, marks), *(Text(cell) for cell in cells), style=style)
    return table


def _width(table: Table) -> int:
    from rich.console import Console  # noqa: PLC0415
    from rich.measure import Measurement  # noqa: PLC0415

    console = Console(width=10_000)
    return Measurement.get(console, console.options, table).maximum


def _sorted(leaderboard: Json) -> list[Json]:
    best = leaderboard["best"]
    return sorted(
        leaderboard["models"],
        key=lambda row: (
            row["name"] != best,
            row["baseline"],
            -(row["validation_macro_f1"] or 0),
        ),
    )


def _title(leaderboard: Json) -> str:
    dataset, folds = leaderboard["dataset"], leaderboard["dataset"].get("folds")
    n = _tested(leaderboard)
    photos = f"{count(n, 'photo')} in {folds} folds" if folds else count(n, "test photo")
    return f"{dataset['name']}: {photos}, {count(len(dataset['classes']), 'class', 'classes')}"


def _tested(leaderboard: Json) -> int:
    """Return how many photos the figures rest on: with folds, more than the split's test photos."""
    test: int = leaderboard["dataset"]["counts"]["test"]
    return max((row["n"] for row in leaderboard["models"]), default=test)


def _is_tie(row: Json, leaderboard: Json) -> bool:
    lead = leads_of(leaderboard["best"], leaderboard["comparisons"]).get(row["name"])
    return lead is not None and is_tie(lead, row) and not row["baseline"]


def _signs(row: Json, leaderboard: Json, marks: Marks) -> str:
    first = marks.best if row["name"] == leaderboard["best"] else " "
    if _is_tie(row, leaderboard):
        first = marks.tie
    if row["collapsed"] and not row["baseline"]:
        first = marks.collapsed
    return f"{first}{marks.pareto if row['pareto'] else ''}"


def _legend(leaderboard: Json, marks: Marks) -> str:
    """Explain the signs that occur, and only those."""
    signs = {sign for row in leaderboard["models"] for sign in _signs(row, leaderboard, marks)}
    n = count(_tested(leaderboard), "photo")
    meanings = {
        marks.best: "best (macro-F1 on validation)",
        marks.tie: f"a tie: not shown to differ from the best with {n}",
        marks.pareto: "no other model is both faster and more accurate",
        marks.collapsed: "collapsed",
    }
    lines = [f"{sign} {text}" for sign, text in meanings.items() if sign in signs]
    return "\n".join([*lines, "[] 95 % interval; ms/photo: half of the answers come faster"])


def _accuracy(row: Json, marks: Marks) -> str:
    low, high = (digits(end, row["n"]) for end in row["accuracy_ci"])
    return f"{digits(row['accuracy'], row['n'])} [{low}{marks.to}{high}]"


def _macro_f1(row: Json, marks: Marks) -> str:
    return marks.unknown if row["macro_f1"] is None else score(row["macro_f1"], row["n"])


def _seeds(row: Json, marks: Marks) -> str:
    if row["sd"] is None:
        return marks.unknown
    mean, sd = (digits(row[key]["accuracy"], row["n"]) for key in ("mean", "sd"))
    return f"{mean} {marks.plus_minus} {sd}"


def _number(key: str, form: Callable[[float], str]) -> Callable[[Json, Marks], str]:
    return lambda row, marks: marks.unknown if row[key] is None else form(row[key])


def _milliseconds(value: float) -> str:
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


_SEEDS = "over seeds"

_COLUMNS: list[Column[Json]] = [
    Column("model", lambda row, _: row["name"], 0, "left"),
    Column("accuracy % [95 %]", _accuracy, 0),
    Column(_SEEDS, _seeds, 4),
    Column("macro-F1", _macro_f1, 6),
    Column("ms/photo", _number("latency_ms_p50", _milliseconds), 5),
    Column("photos/s", _number("images_per_second", lambda value: f"{value:,.0f}"), 1),
    Column("size", _number("size_bytes", size), 3),
    Column("training", _number("train_seconds", duration), 2),
]
