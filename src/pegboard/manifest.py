"""The manifest: every photo that is used, its class, split, group and checksum.

``manifest.csv`` is what a run was made from; it can be read by any table program, kept under
version control, given as SOURCE, and named by ``--previous``.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path
from typing import TextIO

from pegboard.errors import SourceError
from pegboard.files import atomic_path
from pegboard.photos import SPLITS, SplitName

COLUMNS = ("path", "label", "split", "group", "sha256")

_ROWS_AT_ONCE = 10_000

_WRITING = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
_READING = _WRITING | {"encoding": "utf-8-sig"}  # table programs put a mark at the start


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One photo that is used.

    ``group`` names photos that must stay in one split: duplicates, and the user's own groups.
    """

    path: str
    label: str
    split: SplitName
    group: str
    sha256: str


def write_manifest(path: str | Path, rows: Iterable[ManifestRow]) -> None:
    """Write ``manifest.csv``, whole or not at all."""
    with atomic_path(path) as temporary, temporary.open("w", **_WRITING) as file:  # type: ignore[call-overload]
        write_rows(file, rows)


def write_rows(file: TextIO, rows: Iterable[ManifestRow]) -> None:
    """Write the table, header first, to an open text file."""
    plain = csv.writer(file, lineterminator="\n")
    # The csv module writes a lone carriage return unquoted, and then cannot read it back.
    quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    plain.writerow(COLUMNS)
    cells = map(attrgetter(*COLUMNS), rows)
    while some := list(islice(cells, _ROWS_AT_ONCE)):
        if "\r" not in "".join(chain.from_iterable(some)):
            plain.writerows(some)
            continue
        for row in some:
            (quoted if "\r" in "".join(row) else plain).writerow(row)


def read_manifest(path: str | Path) -> list[ManifestRow]:
    """Read a manifest that pegboard wrote.

    Raises
    ------
    SourceError
        When the file is missing, lacks a column, or names an unknown split.
    """
    try:
        with Path(path).open("r", **_READING) as file:  # type: ignore[call-overload]
            return _parse(path, csv.reader(file, strict=True))
    except OSError as error:
        raise SourceError(f"the manifest {path} cannot be read: {error.strerror}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise SourceError(f"the manifest {path} is not a CSV table: {error}") from error


def _parse(path: str | Path, table: Iterable[Sequence[str]]) -> list[ManifestRow]:
    lines = iter(table)
    header = next(lines, [])
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise SourceError(
            f"the manifest {path} lacks the column{'s' if len(missing) > 1 else ''} "
            f"{', '.join(missing)}; expected {', '.join(COLUMNS)}, as `pegboard split` writes it"
        )
    places = [list(header).index(name) for name in COLUMNS]
    rows = []
    for number, cells in enumerate(lines, start=2):
        if not cells:
            continue
        if len(cells) < len(header):
            raise SourceError(
                f"the manifest {path} has {len(cells)} of {len(header)} cells in row {number}"
            )
        file, label, split, group, sha256 = (cells[place] for place in places)
        if split not in SPLITS:
            raise SourceError(
                f"the manifest {path} has the split {split!r} in row {number}; "
                f"expected {', '.join(SPLITS)}"
            )
        rows.append(ManifestRow(file, label, split, group, sha256))
    return rows


def is_manifest(path: str | Path) -> bool:
    """Whether a file starts as a manifest of pegboard does."""
    try:
        with Path(path).open("rb") as file:
            return file.readline(100).strip() == ",".join(COLUMNS).encode()
    except OSError:
        return False


def fingerprint(rows: Iterable[ManifestRow]) -> str:
    """Return a hash of what was learned from: paths, labels, splits and contents.

    The order of rows does not matter.
    """
    digest = hashlib.sha256()
    for row in sorted((row.path, row.label, row.split, row.sha256) for row in rows):
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()
