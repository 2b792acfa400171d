"""Writing ``corrections.csv``: one line per decision, on the disk before it counts as made.

A line is only ever added at the end, under a lock, and flushed. What a crash leaves of a last
line is moved aside, into a file beside the log, and said.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from pegboard.corrections.ledger import Ledger
from pegboard.corrections.lines import (
    COLUMNS,
    Correction,
    columns_of,
    end_of_whole_lines,
    format_lines,
    parse,
)
from pegboard.errors import PegboardError

_HEADER = (",".join(COLUMNS) + "\n").encode()


class CorrectionsLog:
    """An append-only log of decisions, safe for several processes at once.

    Parameters
    ----------
    path
        ``corrections.csv``; it is made with the first decision.
    reviewer
        Who decides.

    Raises
    ------
    PegboardError
        When the file is there and is no log of corrections, or cannot be written.

    Attributes
    ----------
    ledger
        What holds, of all reviewers, as of the last look.
    told
        What the user should know: a cut-off line that was moved aside.
    """

    def __init__(self, path: Path, reviewer: str) -> None:
        self.path = path
        self.reviewer = reviewer
        self.ledger = Ledger()
        self.told: list[str] = []
        self._read = 0
        self._file: tuple[int, int] | None = None
        self._columns: Sequence[str] = COLUMNS
        self._time = ""
        self._refuse_other_files()
        if path.exists():
            with self._opened() as file:
                self._catch_up(file)

    def _refuse_other_files(self) -> None:
        if self.path.exists() and not self.path.is_file():
            raise PegboardError(f"{self.path} is not a regular file, so no decision can go there")
        where = self.path if self.path.exists() else self.path.parent
        if not os.access(where, os.W_OK):
            raise PegboardError(f"decisions go to {self.path}, which cannot be written")

    # --- deciding -------------------------------------------------------------------------

    def append(self, corrections: Iterable[Correction]) -> list[Correction]:
        """Write decisions as one: they get the same time and the log's reviewer.

        They are on the disk when this returns, or none of them counts.

        Raises
        ------
        PegboardError
            When the disk is full or the file cannot be written any more.
        """
        chosen = list(corrections)
        return self.decide(lambda: chosen) if chosen else []

    def undo(self) -> list[Correction]:
        """Take back the reviewer's last decision that holds; return what was taken back."""
        last: list[Correction] = []

        def choose() -> list[Correction]:
            last.extend(self.ledger.last_of(self.reviewer))
            return [
                replace(one, action="undo", label_after="", reason=f"takes back {one.action}")
                for one in last
            ]

        if self.path.exists():
            self.decide(choose)
        return last

    def decide(self, choose: Callable[[], Sequence[Correction]]) -> list[Correction]:
        """Write what is chosen in view of everything decided so far, by anyone.

        Parameters
        ----------
        choose
            Called when the ledger is up to date and nobody else can write; nothing is written
            when it raises.

        Raises
        ------
        PegboardError
            When the disk is full or the file cannot be written any more.
        """
        with self._opened() as file:
            self._catch_up(file)
            time = self._next_time()
            made = [replace(one, time=time, reviewer=self.reviewer) for one in choose()]
            if made:
                self._write(file, format_lines(self._columns, made))
            for one in made:
                self.ledger.add(one)
        return made

    def refresh(self) -> None:
        """Read what other processes have decided since."""
        if not self.path.exists():
            return
        status = self.path.stat()
        if (status.st_ino, status.st_size) != (self._file and self._file[1], self._read):
            with self._opened() as file:
                self._catch_up(file)

    def _next_time(self) -> str:
        """Return the time, later than any this log has given: times tell decisions apart."""
        time = datetime.now(UTC).isoformat(timespec="microseconds")
        while time <= self._time:
            time = datetime.now(UTC).isoformat(timespec="microseconds")
        self._time = time
        return time

    # --- the file -------------------------------------------------------------------------

    @contextmanager
    def _opened(self) -> Iterator[FileIO]:
        """Open the log, made if need be, for this process alone."""
        # Not O_TRUNC, and opened anew each time: the file may have been replaced by an editor.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        try:
            with FileIO(os.open(self.path, flags, 0o644), "r+") as file:
                _lock(file.fileno())
                try:
                    yield file
                finally:
                    _unlock(file.fileno())
        except OSError as error:
            raise PegboardError(
                f"the decision was not saved: {self.path}: {error.strerror or error}"
            ) from error

    def _catch_up(self, file: FileIO) -> None:
        """Read what is new, mend a cut-off end, and write the header of a new file."""
        status = os.fstat(file.fileno())
        if (status.st_dev, status.st_ino) != self._file or status.st_size < self._read:
            self._file, self._read, self.ledger = (status.st_dev, status.st_ino), 0, Ledger()
        if status.st_size and status.st_size == self._read:
            return
        file.seek(0)
        data = file.readall()
        end = end_of_whole_lines(data)
        if not end and _HEADER.startswith(data):
            # New, or cut off in its first line.
            self._mend(file, data, 0)
            self._write(file, _HEADER)
            _flush_folder(self.path.parent)
            return
        # Not what pegboard writes is refused before anything is changed.
        found = parse(self.path, data[:end])
        self._columns = columns_of(data[:end])
        self._mend(file, data, end)
        for one in found[len(self.ledger) :]:
            self.ledger.add(one)

    def _mend(self, file: FileIO, data: bytes, end: int) -> None:
        self._read = end
        if end < len(data):
            aside = self.path.with_name(self.path.name + ".cut-off")
            with aside.open("ab") as other:
                other.write(data[end:] + b"\n")
                other.flush()
                os.fsync(other.fileno())
            file.truncate(end)
            os.fsync(file.fileno())
            self.told.append(
                f"{self.path}: the last line was cut off, as by a crash; it was moved to "
                f"{aside.name}, and all decisions before it hold"
            )
        elif data and not data.endswith((b"\n", b"\r")):
            self._write(file, b"\n")

    def _write(self, file: FileIO, data: bytes) -> None:
        """Add bytes at the end, all or none, and wait until they are on the disk."""
        before = os.fstat(file.fileno()).st_size
        try:
            written = 0
            while written < len(data):
                written += file.write(data[written:])
            os.fsync(file.fileno())
        except OSError:
            file.truncate(before)
            raise
        self._read = before + len(data)


def _flush_folder(folder: Path) -> None:
    """Make a new file's name durable, where the system lets folders be flushed."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 30
    """A byte that is never written: locking one that is would keep readers out."""

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
