"""One decision as one line of ``corrections.csv``, and which lines of the file are whole."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pegboard.errors import PegboardError
from pegboard.sources.base import class_label

COLUMNS = (
    "time", "reviewer", "action", "path", "sha256", "label_before", "label_after", "reason",
)  # fmt: skip
ACTIONS = ("accept", "keep", "relabel", "drop", "same-object", "undo")

MARK = b"\xef\xbb\xbf"
"""What table programs put at the start of a file."""

# As the csv module reads them: a quote opens at the start of a cell only, and behind the one
# that closes the cell goes on as plain text.
_CELL = rb'(?:"(?:[^"]|"")*+"[^,\r\n]*+|[^,"\r\n][^,\r\n]*+|)'
_ROW = re.compile(rb"%(cell)b(?:,%(cell)b)*" % {b"cell": _CELL})
_LINE = re.compile(rb"%b(?:\r\n|\r|\n)" % _ROW.pattern)


@dataclass(frozen=True, slots=True)
class Correction:
    """One decision about one photo.

    ``accept`` takes a suggested label and ``relabel`` another one (both in ``label_after``);
    ``keep`` confirms the label; ``drop`` leaves the photo out; ``undo`` takes the photo's
    last decision back; ``same-object`` says that it shows the very object of another photo,
    whose path stands in ``reason``: the two stay in one split.

    Attributes
    ----------
    action
        One of :data:`ACTIONS`.
    path, sha256
        The photo; the checksum finds it when it has moved.
    label_before, label_after
        Its class in the source, and the class decided on.
    time
        ISO 8601 in UTC. Lines of one time and reviewer were one decision.
    reviewer
        Who decided.
    reason
        Why, in words; the finding that was looked at.
    """

    action: str
    path: str
    sha256: str
    label_before: str
    label_after: str
    time: str = ""
    reviewer: str = ""
    reason: str = ""

    @property
    def label(self) -> str:
        """The label decided on, empty where none is."""
        if self.action == "same-object":
            return ""
        return self.label_after or (self.label_before if self.action == "keep" else "")

    @property
    def photo(self) -> tuple[str, str]:
        """What the photo is known by: checksum and path."""
        return self.sha256, self.path


def read_corrections(
    file: str | Path, tell: Callable[[str], None] | None = None
) -> list[Correction]:
    """Read ``corrections.csv``.

    Parameters
    ----------
    tell
        Told in words when the last line is cut off and so was left aside.

    Raises
    ------
    PegboardError
        When it is missing, lacks a column, or holds an unknown action.
    """
    try:
        data = Path(file).read_bytes()
    except FileNotFoundError as error:
        raise PegboardError(
            f"corrections {file}: there is no such file; pegboard review writes it as you decide"
        ) from error
    except OSError as error:
        raise PegboardError(f"corrections {file} cannot be read: {error.strerror}") from error
    end = end_of_whole_lines(data)
    if end < len(data) and tell is not None:
        tell(f"corrections {file}: the last line is cut off and was left aside")
    return parse(file, data[:end])


def parse(file: str | Path, data: bytes) -> list[Correction]:
    """Return the decisions of whole lines, header first; ``file`` is named in messages."""
    try:
        table = csv.DictReader(io.StringIO(_text(data), newline=""))
        missing = [name for name in COLUMNS if name not in (table.fieldnames or ())]
        if missing:
            _refuse_other_tables(file, data, table.fieldnames or ())
            raise PegboardError(
                f"corrections {file} lack the columns {', '.join(missing)}; expected "
                f"{', '.join(COLUMNS)}"
            )
        return [_correction(file, table.line_num, row) for row in table]
    except csv.Error as error:
        raise PegboardError(f"corrections {file} are not a CSV table: {error}") from error


def _refuse_other_tables(file: str | Path, data: bytes, header: Sequence[str]) -> None:
    """Say what a table program has made of the file, where that shows."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise PegboardError(f"corrections {file} are in UTF-16; save the file as CSV UTF-8")
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and mark in header[0]:
            raise PegboardError(
                f"corrections {file} have {name} between their cells; save the file as CSV UTF-8 "
                "with commas"
            )


def end_of_whole_lines(data: bytes) -> int:
    r"""Return where the last whole line ends: behind its line break, outside of quotes.

    Writing stopped in the middle of what follows. A last line without its break is whole when
    it has a cell for every column, as the last line of an editor's file may have.

    Examples
    --------
    >>> end_of_whole_lines(b'a,b\n1,"x\ny"\n2,"x\n')
    12
    >>> end_of_whole_lines(b"a,b\n1,x\n2")
    8
    """
    start = whole = len(MARK) if data.startswith(MARK) else 0
    while line := _LINE.match(data, whole):
        whole = line.end()
    if whole == start:
        return 0
    last = data[whole:]
    if last and _ROW.fullmatch(last) and len(_cells(last)) == len(_cells(data[:whole])):
        return len(data)
    return whole


def format_lines(columns: Sequence[str], corrections: Iterable[Correction]) -> bytes:
    """Return decisions as lines of a table with these columns."""
    buffer = io.StringIO()
    plain = csv.writer(buffer, lineterminator="\n")
    # The csv module writes a lone carriage return unquoted, and then cannot read it back.
    quoted = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for correction in corrections:
        cells = [getattr(correction, name) if name in COLUMNS else "" for name in columns]
        (quoted if any("\r" in cell for cell in cells) else plain).writerow(cells)
    return buffer.getvalue().encode("utf-8", "surrogateescape")


def columns_of(data: bytes) -> list[str]:
    """Return the names in the header."""
    return _cells(data)


def _cells(data: bytes) -> list[str]:
    """Return the cells of the first line."""
    return next(csv.reader(io.StringIO(_text(data), newline="")), [])


def _text(data: bytes) -> str:
    return data.removeprefix(MARK).decode("utf-8", "surrogateescape")


def _correction(file: str | Path, line: int, row: Mapping[str, str | None]) -> Correction:
    cells = {name: row[name] or "" for name in COLUMNS}
    action = cells["action"]
    if action not in ACTIONS:
        raise PegboardError(
            f"corrections {file}, line {line}: unknown action {action!r}; expected "
            f"{', '.join(ACTIONS)}"
        )
    if action in ("accept", "relabel") and not cells["label_after"]:
        raise PegboardError(f"corrections {file}, line {line}: {action} needs a label_after")
    if not (cells["path"] or cells["sha256"]):
        raise PegboardError(f"corrections {file}, line {line}: neither path nor sha256 is given")
    return Correction(
        action,
        cells["path"],
        cells["sha256"].lower(),
        class_label(cells["label_before"]),
        class_label(cells["label_after"]),
        cells["time"],
        cells["reviewer"],
        cells["reason"],
    )
