"""A model's answer about one photo, and how answers are written: table, JSON, CSV, Parquet."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal

from pegboard.errors import PegboardError, require_extra

Decision = Literal["sure", "unsure", "unknown"]
FORMATS = ("table", "json", "jsonl", "csv", "parquet")
SUFFIXES = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".txt": "table",
}
"""Formats by the ending of a file's name."""

PAGE = 1000
"""Rows of a table under one header, and rows put into Parquet's columns at once: so the memory
that either takes hardly grows with the number of photos."""

_DECIMALS = 6
_WIDE = 10_000  # columns of a table that goes to a file: nothing is cut there


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of the likeliest classes."""

    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says about one photo.

    Attributes
    ----------
    path
        As the user named the photo; None for one given as bytes or pixels.
    label, probability
        The likeliest class; None where the photo could not be read.
    top
        The likeliest classes, best first.
    decision
        ``sure`` when the probability reaches the model's threshold, else ``unsure``;
        ``unknown`` where the photo is unlike all it was trained on, whatever the probability.
    reason
        Why it is not sure.
    error
        Why the photo could not be used.
    classes
        Those that are left open, the likeliest first; None where they were not asked for.
    """

    path: str | None
    label: str | None = None
    probability: float | None = None
    top: tuple[Candidate, ...] = ()
    decision: Decision | None = None
    reason: str | None = None
    error: str | None = None
    classes: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the row with the contract's keys; probabilities to six decimals."""
        row: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        row["top"] = [
            {"label": candidate.label, "probability": round(candidate.probability, _DECIMALS)}
            for candidate in self.top
        ]
        if self.probability is not None:
            row["probability"] = round(self.probability, _DECIMALS)
        if self.classes is None:
            del row["classes"]
        return row

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Prediction:
        """Rebuild from :meth:`to_json`.

        Raises
        ------
        KeyError, TypeError
            When it is no such row.
        """
        top = tuple(Candidate(**candidate) for candidate in data["top"])
        classes = tuple(data["classes"]) if "classes" in data else None
        return cls(**{**data, "top": top, "classes": classes})


@dataclass
class Tally:
    """How many photos were classified, and how many could not be used."""

    classified: int = 0
    failed: int = 0

    def count(self, rows: Iterable[Prediction]) -> Iterator[Prediction]:
        """Hand the rows on and count them."""
        for row in rows:
            if row.error is None:
                self.classified += 1
            else:
                self.failed += 1
            yield row

    def exit_code(self, *, strict: bool = False) -> int:
        """Return 0 if any photo was classified (with ``strict``: and none failed), else 1."""
        return 0 if self.classified and not (strict and self.failed) else 1

    def complaint(self, *, strict: bool = False) -> str | None:
        """Return why the exit code is 1, or None if it is 0."""
        if self.exit_code(strict=strict) == 0:
            return None
        met = self.classified + self.failed
        if met == 0:
            return "expected at least one photo, found no files"
        if self.classified == 0:
            return f"no photo was classified; none of the {self.failed} files could be used"
        return (
            f"{self.failed} of {self.classified + self.failed} files could not be used (--strict)"
        )


@dataclass(frozen=True)
class Columns:
    """What is written of each answer.

    Attributes
    ----------
    top
        Candidates.
    sets
        Whether the classes that are left open are written, too.
    """

    top: int = 3
    sets: bool = False


def write_rows(
    rows: Iterable[Prediction], kind: str, stream: BinaryIO, *, top: int = 3, sets: bool = False
) -> Tally:
    """Write answers in one of :data:`FORMATS`, UTF-8.

    JSON lines and CSV are written row by row, JSON too (one array); a table in pages of
    :data:`PAGE` rows, each with its header. Parquet's columns are held until all rows are there.

    Parameters
    ----------
    rows
        In the order they are to appear.
    kind
        ``table``, ``json``, ``jsonl``, ``csv`` or ``parquet``.
    stream
        Where to, such as ``sys.stdout.buffer``.
    top
        Candidates per photo; CSV has the columns ``label_2``, ``probability_2`` … up to it.
    sets
        Whether rows hold the classes that are left open; CSV has them in the column ``classes``,
        with ``|`` between them.

    Raises
    ------
    PegboardError
        When the format is unknown, or Parquet would go to a terminal.
    MissingExtra
        When Parquet is asked for and polars is not installed.
    """
    if kind not in _WRITERS:
        raise PegboardError(f"--format: expected one of {', '.join(FORMATS)}, got {kind!r}")
    tally = Tally()
    _WRITERS[kind](tally.count(rows), stream, Columns(top, sets))
    stream.flush()
    return tally


def format_of(out: Path, asked: str | None) -> str:
    """Return the format of a file of answers: as asked, else as its name ends.

    Raises
    ------
    PegboardError
        When neither tells.
    """
    kind = asked or SUFFIXES.get(out.suffix.lower())
    if kind is None:
        raise PegboardError(
            f"--out {out}: expected a name that ends in {', '.join(SUFFIXES)}, or a --format"
        )
    return kind


def _write_jsonl(rows: Iterable[Prediction], stream: BinaryIO, columns: Columns) -> None:
    for row in rows:
        stream.write(json_line(row.to_json()) + b"\n")
        stream.flush()  # whoever reads along gets each answer when it is there


def _write_json(rows: Iterable[Prediction], stream: BinaryIO, columns: Columns) -> None:
    separator = b"[\n"
    for row in rows:
        stream.write(separator + json_line(row.to_json()))
        separator = b",\n"
    stream.write(b"[]\n" if separator == b"[\n" else b"\n]\n")


def json_line(data: Mapping[str, Any]) -> bytes:
    """Return strict JSON in one line, without its end."""
    try:
        return json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        # A file name that is not Unicode: \udcXX escapes, which os.fsencode turns back.
        return json.dumps(data, allow_nan=False).encode()


def _write_csv(rows: Iterable[Prediction], stream: BinaryIO, columns: Columns) -> None:
    def line(values: Iterable[Any]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text).writerow(values)  # with "\n" as line end it would not quote "\r"
        return text.getvalue().removesuffix("\r\n").encode("utf-8", "surrogateescape") + b"\n"

    fixed = ["path", "label", "probability", "decision", "reason", "error"]
    ranks = range(2, columns.top + 1)
    further = [f"{name}_{rank}" for rank in ranks for name in ("label", "probability")]
    stream.write(line([*fixed, *further, *["classes"] * columns.sets]))
    for row in rows:
        data = row.to_json()
        candidates = data["top"][1:]
        values = [candidate[key] for candidate in candidates for key in ("label", "probability")]
        blanks = [None] * (len(further) - len(values))
        sets = ["|".join(row.classes or ())] * columns.sets
        stream.write(line([*(data[column] for column in fixed), *values, *blanks, *sets]))


def _write_parquet(rows: Iterable[Prediction], stream: BinaryIO, columns: Columns) -> None:
    if stream.isatty():
        raise PegboardError(
            "--format parquet is binary and would go to the terminal; "
            "send it to a file: pegboard predict … --format parquet > answers.parquet"
        )
    polars = require_extra("polars", "parquet")
    candidate = polars.Struct({"label": polars.String, "probability": polars.Float64})
    schema = {
        "path": polars.String,
        "label": polars.String,
        "probability": polars.Float64,
        "top": polars.List(candidate),
        "decision": polars.String,
        "reason": polars.String,
        "error": polars.String,
    }
    if columns.sets:
        schema["classes"] = polars.List(polars.String)
    frames = [polars.DataFrame(schema=schema)]
    for page in _pages(rows):
        data = [row.to_json() | {"path": _unicode(row.path)} for row in page]
        frames.append(polars.DataFrame(data, schema=schema))
    buffer = io.BytesIO()
    polars.concat(frames).write_parquet(buffer)
    stream.write(buffer.getbuffer())


def _pages(rows: Iterable[Prediction]) -> Iterator[list[Prediction]]:
    rest = iter(rows)
    while page := list(islice(rest, PAGE)):
        yield page


def _write_table(rows: Iterable[Prediction], stream: BinaryIO, columns: Columns) -> None:
    written = False
    for page in _pages(rows):
        stream.write((b"\n" if written else b"") + _table(page, is_terminal=stream.isatty()))
        stream.flush()
        written = True
    if not written:
        stream.write(_table([], is_terminal=False))


def _table(rows: Iterable[Prediction], *, is_terminal: bool) -> bytes:
    from rich.console import Console  # noqa: PLC0415  (only a table needs it)
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("photo", "label", "probability", "decision", "also possible, or why not"):
        table.add_column(title, overflow="fold", justify="left")
    styles = {"sure": "green", "unsure": "yellow", "unknown": "magenta", None: "red"}
    for row in rows:
        cells = [_printable(cell) for cell in _cells(row)]
        styled = [Text(cell) for cell in cells]
        styled[3].stylize(styles[row.decision])
        table.add_row(*styled)
    width = shutil.get_terminal_size().columns if is_terminal else _WIDE
    text = io.StringIO()
    Console(file=text, width=width, force_terminal=is_terminal or None, highlight=False).print(
        table
    )
    lines = (line.rstrip() for line in text.getvalue().splitlines())
    return "".join(f"{line}\n" for line in lines).encode()


def _cells(row: Prediction) -> list[str]:
    path = row.path or ""
    if row.error is not None or row.probability is None:
        return [path, "", "", "error", row.error or ""]
    others = ", ".join(f"{other.label} {other.probability:.2f}" for other in row.top[1:])
    left_open = "" if row.classes is None else f"one of: {', '.join(row.classes)}"
    remark = "; ".join(part for part in (left_open, others, row.reason) if part)
    return [path, row.label or "", f"{row.probability:.2f}", row.decision or "", remark]


def _printable(text: str) -> str:
    # Control characters in a file name could drive the terminal.
    return "".join(char if char.isprintable() else "\ufffd" for char in _unicode(text) or "")


def _unicode(text: str | None) -> str | None:
    return None if text is None else os.fsencode(text).decode("utf-8", "replace")


_WRITERS: dict[str, Callable[[Iterable[Prediction], BinaryIO, Columns], None]] = {
    "table": _write_table,
    "json": _write_json,
    "jsonl": _write_jsonl,
    "csv": _write_csv,
    "parquet": _write_parquet,
}
