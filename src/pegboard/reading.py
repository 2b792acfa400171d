"""Reading a photo's bytes, and no more of them than a photo can have."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import IO

from pegboard.errors import UnusableImage
from pegboard.images import HEAD_BYTES, sniff

MAX_FILE_BYTES = 512 * 2**20
"""Larger files and archive members are not read: no photo within the pixel limit needs it."""


def read_file(path: Path) -> bytes:
    """Return a file's bytes.

    Raises
    ------
    OSError
        When it cannot be read.
    UnusableImage
        ``unreadable`` for a device or pipe (opening one could wait for ever); for a file
        over :data:`MAX_FILE_BYTES` what its first bytes say, or ``too-large``.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise UnusableImage("unreadable", "not a regular file")
    with path.open("rb") as file:
        if status.st_size > MAX_FILE_BYTES:
            refuse_large(file.read(HEAD_BYTES), status.st_size)
        return file.read()


def refuse_large(head: bytes, size: int) -> None:
    """Raise UnusableImage for a file or member of ``size`` bytes that starts with ``head``."""
    sniff(head)
    raise UnusableImage(
        "too-large", f"{size / 2**20:,.0f} MB; at most {MAX_FILE_BYTES // 2**20} MB are read"
    )


def read_stream(stream: IO[bytes]) -> bytes:
    """Return what a stream whose size is not known holds.

    Raises
    ------
    UnusableImage
        As for :func:`read_file`, when it holds too much.
    """
    data = stream.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        refuse_large(data[:HEAD_BYTES], len(data))
    return data
