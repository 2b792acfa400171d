"""Manifests: tables with one row per photo (CSV, TSV, Parquet)."""

from __future__ import annotations

import csv
import io
import os
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pegboard.errors import SourceError, require_extra
from pegboard.photos import Entry, LeftOut, Listing, Pixels, Source, SplitName
from pegboard.reading import read_file
from pegboard.sources.base import (
    SourceOptions,
    class_label,
    short_name,
    shown,
    split_name,
    unshown,
)

DEFAULT_OPTIONS = SourceOptions()

_ANY_LABEL = "photo"


@dataclass(frozen=True)
class Table:
    """A table as text: column names, and rows as (line number, values)."""

    columns: Sequence[str]
    rows: Sequence[tuple[int, Sequence[str]]]


class ManifestSource:
    """Photos named by the rows of a table; paths are relative to the table's folder.

    A path may also name a part of a container next to the table, as pegboard's own outputs
    do: ``a.zip!/cls/x.jpg`` or ``mnist.npz#x_train/17``.
    """

    def __init__(
        self,
        file: Path,
        table: Table,
        options: SourceOptions,
        open_container: Callable[[str], Source],
    ) -> None:
        self.location = str(file.resolve())
        self.name = short_name(file.stem)
        self._file = file
        self._base = file.parent
        self._rows = _parse_rows(file, table, options)
        self._open_container = open_container
        self._containers: dict[Path, Source] = {}
        self._lock = threading.Lock()

    def listing(self) -> Listing:
        """List every row, in the table's order."""
        return self._listing([self._key(row.path) for row in self._rows], self.has)

    def told(self) -> Listing:
        """List every row as the table tells it, without looking whether its file is there."""
        keys = [row.path for row in self._rows]
        # One look at all paths together costs a tenth of one look at each.
        together = "\n".join((*keys, ""))
        if any(mark in together for mark in _DETOURS):
            keys = [_shortened(path.replace("\\", "/")) for path in keys]
        return self._listing(keys, lambda _: True)

    def unlabelled(self) -> ManifestSource:
        """Return the same rows as if all had one label, for who only asks about splits."""
        twin = copy(self)
        twin._rows = [
            _Row(row.line, row.path, _ANY_LABEL, row.split, row.group, row.sha256)
            for row in self._rows
        ]
        return twin

    def _listing(self, keys: Sequence[str], exists: Callable[[str], bool]) -> Listing:
        if len(set(keys)) == len(keys):
            return self._of_distinct(exists)
        labels = _labels_in_conflict(keys, self._rows)
        entries: list[Entry] = []
        left_out: list[LeftOut] = []
        first_line: dict[SplitName | None, dict[str, int]] = defaultdict(dict)
        for row, name in zip(self._rows, keys, strict=True):
            problem = self._problem(row, exists) or _conflict(row, labels.get(name, ()))
            # The same photo given to two splits stays in both: that is a leak to be told.
            first = row.line if problem else first_line[row.split].setdefault(name, row.line)
            if first != row.line:
                problem = LeftOut(row.path, "excluded", f"line {row.line} repeats line {first}")
            if problem:
                left_out.append(problem)
            else:
                entries.append(_entry(row))
        return Listing(entries, left_out)

    def _of_distinct(self, exists: Callable[[str], bool]) -> Listing:
        """List the rows of a table that names every file once, as most do."""
        problems = [self._problem(row, exists) for row in self._rows]
        rows = zip(self._rows, problems, strict=True)
        entries = [_entry(row) for row, problem in rows if problem is None]
        return Listing(entries, [problem for problem in problems if problem is not None])

    def _key(self, path: str) -> str:
        return _shortened(str(self._file_of(path)))

    def _file_of(self, path: str) -> Path:
        file = self._base / path
        if "\\" not in path or file.exists():
            return file
        undecodable = self._base / unshown(path)
        if undecodable.exists():
            return undecodable
        # A table written on Windows may part folders with backslashes.
        return self._base / path.replace("\\", "/")

    def _problem(self, row: _Row, exists: Callable[[str], bool]) -> LeftOut | None:
        if not row.path:
            place = f"{self._file.name}#{row.line}"
            return LeftOut(place, "missing-file", f"line {row.line} names no file")
        if not exists(row.path):
            return LeftOut(row.path, "missing-file", f"line {row.line}: there is no such file")
        if not row.label:
            return LeftOut(row.path, "no-label", f"line {row.line} has no label")
        return None

    def has(self, path: str) -> bool:
        """Whether a row's file, or the container it is part of, is there."""
        try:
            # Joined as text: a million Path objects would take ten seconds.
            return (
                os.path.exists(os.path.join(self._base, path))  # noqa: PTH110, PTH118
                or ("\\" in path and self._file_of(path).exists())
                or (_container(path) is not None and self._in_container(path))
            )
        except (OSError, ValueError):
            return False

    def _in_container(self, path: str) -> bool:
        container = _container(path)
        if container is None:
            return False
        file = self._base / container[0]
        return file.exists() or file.with_name(file.name + ".gz").exists()

    def read(self, path: str) -> bytes | Pixels:
        """Return the bytes or pixels of one row's photo."""
        file = self._file_of(path)
        container = _container(path)
        if container is None or file.exists():
            return read_file(file)
        outer, inner = container
        return self._source(self._base / outer).read(inner)

    def _source(self, file: Path) -> Source:
        with self._lock:
            if file not in self._containers:
                self._containers[file] = self._open_container(str(file))
            return self._containers[file]


def _entry(row: _Row) -> Entry:
    return Entry(row.path, row.label, row.split, row.group, row.sha256)


_DETOURS = ("\\", "//", "./", "/\n", "/.\n", "/..\n")
"""What lines of paths hold where :func:`_shortened`, or a backslash, makes a difference."""


def _shortened(path: str) -> str:
    """Return the path without detours, so that two spellings of one compare equal."""
    plain = "//" not in path and "./" not in path and not path.endswith(("/", "/..", "/."))
    return path if plain else os.path.normpath(path)


def _labels_in_conflict(keys: Sequence[str], rows: Sequence[_Row]) -> Mapping[str, set[str]]:
    """Return the labels of every file that the rows give more than one."""
    first: dict[str, str] = {}
    several: dict[str, set[str]] = {}
    for name, row in zip(keys, rows, strict=True):
        if row.label and first.setdefault(name, row.label) != row.label:
            several.setdefault(name, {first[name]}).add(row.label)
    return several


def _conflict(row: _Row, labels: Collection[str]) -> LeftOut | None:
    if not labels:
        return None
    both = ", ".join(sorted(labels))
    return LeftOut(row.path, "label-conflict", f"the table gives it several labels: {both}")


def _container(path: str) -> tuple[str, str] | None:
    """Split ``sub/a.zip!/cls/x.jpg`` into ``sub/a.zip`` and ``a.zip!/cls/x.jpg``."""
    if "#" not in path and "!/" not in path:
        return None
    match = re.match(r"(?P<outer>(?:.*/)?(?P<name>[^/]+?))(?=!/|#)", path)
    return match and (match["outer"], path[match.start("name") :])


class _Row(NamedTuple):
    line: int
    path: str
    label: str
    split: SplitName | None
    group: str | None
    sha256: str | None


def _parse_rows(file: Path, table: Table, options: SourceOptions) -> list[_Row]:
    columns = _columns(file, table, options)
    # Short rows end in empty cells, and a column that is not there is one of them.
    width = len(table.columns)
    path_at, label_at, split_at, group_at, sha256_at = (
        columns.get(role, width) for role in ("path", "label", "split", "group", "sha256")
    )
    # A million rows name few classes and splits: each is worked out once.
    labels: dict[str, str] = {}
    splits: dict[str, SplitName | None] = {}
    rows = []
    for line, values in table.rows:
        cells = [*values, ""]
        if len(values) != width:
            _check_surplus(file, line, values, width)
            cells = [*values[:width], *[""] * (width + 1 - min(width, len(values)))]
        label, split = cells[label_at], cells[split_at]
        if label not in labels:
            labels[label] = class_label(label.strip())
        if split not in splits:
            splits[split] = _split(file, line, split.strip())
        sha256 = cells[sha256_at].strip()
        rows.append(
            _Row(
                line,
                shown(cells[path_at].strip()),
                labels[label],
                splits[split],
                cells[group_at].strip() or None,
                sha256.lower() if _SHA256.fullmatch(sha256) else None,
            )
        )
    return rows


def _check_surplus(file: Path, line: int, values: Sequence[str], width: int) -> None:
    if any(cell.strip() for cell in values[width:]):
        raise SourceError(
            f"{file}, line {line}: found {len(values)} cells under a header of {width}; "
            "put a label with a comma into quotes"
        )


_SHA256 = re.compile("[0-9a-fA-F]{64}")


def _split(file: Path, line: int, text: str) -> SplitName | None:
    split = split_name(text) if text else None
    if text and split is None:
        raise SourceError(
            f"{file}, line {line}: expected the split train, validation or test, found {text!r}"
        )
    return split


def _columns(file: Path, table: Table, options: SourceOptions) -> Mapping[str, int]:
    """Return where each role's column stands."""
    names = [name.strip() for name in table.columns]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise SourceError(
            f"{file} has more than one column named {', '.join(map(repr, twice))}; rename them"
        )
    wanted = {
        "path": options.path_column,
        "label": options.label_column,
        "split": options.split_column,
        "group": options.group_column,
        "sha256": "sha256",
    }
    columns = {}
    for role, name in wanted.items():
        at = _find(names, name)
        named_by_user = name != getattr(DEFAULT_OPTIONS, f"{role}_column", name)
        if at is not None:
            columns[role] = at
        elif role in ("path", "label") or named_by_user:
            raise SourceError(
                f"{file} has no column {name!r} (found: {', '.join(names) or 'none'}); "
                f"name the right one with --{role}-column"
            )
    return columns


def _find(names: Sequence[str], wanted: str) -> int | None:
    if wanted in names:
        return names.index(wanted)
    folded = [name.casefold() for name in names]
    return folded.index(wanted.casefold()) if folded.count(wanted.casefold()) == 1 else None


# --- Reading tables ----------------------------------------------------------------------


def read_text(file: Path) -> str:
    """Return a text table's contents.

    Raises
    ------
    SourceError
        When the file cannot be read or is not UTF-8.
    """
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{file} is not UTF-8 text; save it as CSV UTF-8") from error
    except OSError as error:
        raise SourceError(f"{file} cannot be read: {error.strerror}") from error


def delimiter_of(first_line: str) -> str:
    """Return the column delimiter that the first line uses: comma, semicolon or tab."""
    return max(",;\t", key=first_line.count)


def parse_table(file: Path, text: str) -> Table:
    """Return a CSV or TSV text as a table; blank lines are no rows.

    Raises
    ------
    SourceError
        When it is empty or not a table.
    """
    first = next((line for line in _lines(text) if line.strip()), None)
    if first is None:
        raise SourceError(f"{file} is empty; expected a header and one row per photo")
    # Not strict, a quote that is never closed would swallow all rows behind it.
    reader = csv.reader(_lines(text), delimiter=delimiter_of(first), strict=True)
    rows = []
    read = 0
    try:
        for row in reader:
            read = reader.line_num
            if "".join(row).strip():
                rows.append((read, row))
    except csv.Error as error:
        raise SourceError(
            f"{file}, line {read + 1}: {error}; a quote that opens a cell must close it, and "
            "quotes inside it are doubled"
        ) from error
    return Table(rows[0][1], rows[1:])


def _lines(text: str) -> Iterator[str]:
    """Yield the lines with their ends.

    Not str.splitlines, for a file name may hold one of Unicode's other line separators; and
    not StringIO, which takes four bytes a character.
    """
    return io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8", newline="")


def read_parquet(file: Path) -> Table:
    """Return a Parquet file as a table of text.

    Raises
    ------
    MissingExtra
        When polars is not installed.
    SourceError
        When the file is not readable Parquet.
    """
    polars = require_extra("polars", "parquet")
    try:
        frame = polars.read_parquet(file)
    except (OSError, ValueError, polars.exceptions.PolarsError) as error:
        detail = (str(error) or type(error).__name__).splitlines()[0]
        raise SourceError(f"{file} is not a readable Parquet file: {detail}") from error
    rows = [
        (number, ["" if cell is None or cell != cell else str(cell) for cell in row])  # noqa: PLR0124
        for number, row in enumerate(frame.iter_rows(), start=1)
    ]
    return Table(frame.columns, rows)
