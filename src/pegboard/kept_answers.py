"""Answers kept while a file of them is in the making, so that a stopped command can go on.

Beside ``answers.csv`` lies ``answers.csv.partial``: JSON lines, the first one of what the answers
depend on, then one for each photo in the order they were given. It is only ever appended to; a
last line that was cut off is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from pegboard.errors import PegboardError
from pegboard.photo_files import STDIN
from pegboard.rows import Prediction, json_line

ENDING = ".partial"

Stamp = tuple[int, int]
"""Size and time of change in nanoseconds: by them a photo is known to be the same still."""


class KeptAnswers:
    """Answers about photos, by their names.

    Parameters
    ----------
    out
        The file in the making.
    origin
        What every answer depends on but the photo, as plain JSON values: model, options.
    begin_again
        What the user does to have nothing of an earlier command.

    Raises
    ------
    PegboardError
        When the file cannot be written.
    """

    def __init__(
        self, out: Path, origin: Mapping[str, Any], begin_again: str = "give --overwrite"
    ) -> None:
        self.path = beside(out)
        self._begin_again = begin_again
        self._origin = dict(origin)
        self._places: dict[str, int] = {}  # of each photo's latest line
        try:
            self._file: BinaryIO = self.path.open("a+b")
        except OSError as error:
            raise PegboardError(f"cannot write {self.path}: {error.strerror}") from error
        self._is_needless = self._file.tell() == 0  # until it holds an answer
        if self._is_needless:
            self._append(self._origin)

    def __enter__(self) -> KeptAnswers:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._is_needless:
            self.path.unlink(missing_ok=True)

    def take_up(self) -> int:
        """Read what an earlier command kept; return the number of answers still good.

        A photo that could not be used, or was changed since, is to be answered again.

        Raises
        ------
        PegboardError
            When the answers were given by another model or with other options.
        """
        self._file.seek(0)
        if not self._is_of_origin(self._file.readline()):
            raise PegboardError(
                f"--resume: {self.path} was begun with another model, other options or another "
                f"version of pegboard; give the same ones, or {self._begin_again} to begin again"
            )
        place = self._file.tell()
        for line in self._file:
            if not self._note(line, place):
                break
            place += len(line)
        self._file.truncate(place)
        return len(self._places)

    def _is_of_origin(self, line: bytes) -> bool:
        with suppress(ValueError):
            return bool(json.loads(line) == self._origin)
        return False

    def _note(self, line: bytes, place: int) -> bool:
        """Remember where a whole line stands if its answer is still good; False if it is cut."""
        if not line.endswith(b"\n"):
            return False
        try:
            data = json.loads(line)
            row = Prediction.from_json(data["row"])
            stamp = tuple(data["stamp"] or ())
        except (ValueError, KeyError, TypeError) as error:
            raise PegboardError(
                f"--resume: {self.path} is damaged at byte {place}; {self._begin_again} to begin "
                "again"
            ) from error
        if row.path and row.path != STDIN and row.error is None and stamp == stamp_of(row.path):
            self._places[row.path] = place
        return True

    def __contains__(self, path: str) -> bool:
        return path in self._places

    def add(self, row: Prediction, stamp: Stamp | None) -> None:
        """Keep the answer to a photo that had this stamp before it was read."""
        assert row.path is not None
        self._is_needless = False
        self._places[row.path] = self._append({"row": row.to_json(), "stamp": stamp})

    def _append(self, data: Mapping[str, Any]) -> int:
        place = self._file.seek(0, 2)
        self._file.write(json_line(data) + b"\n")
        self._file.flush()
        return place

    def rows(self, paths: Iterable[str]) -> Iterator[Prediction]:
        """Return the answers to photos, all of which have one, in this order."""
        for path in paths:
            self._file.seek(self._places[path])
            yield Prediction.from_json(json.loads(self._file.readline())["row"])

    def remove(self) -> None:
        """Let nothing of it stay: the file itself is there."""
        self._is_needless = True


def beside(out: Path) -> Path:
    """Return where the answers of a file in the making are kept."""
    return out.with_name(out.name + ENDING)


def stamp_of(path: str) -> Stamp | None:
    """Return a photo's stamp; None where there is no such file."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns
