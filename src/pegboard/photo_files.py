"""The photos a user names: files, folders, lists of them; and reading one."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from pegboard.errors import PegboardError, UnusableImage
from pegboard.reading import read_file, read_stream

STDIN = "-"
"""Stands for standard input: one image, or a list of paths."""


def found_files(
    arguments: Sequence[str], files_from: str | None = None, stdin: BinaryIO | None = None
) -> Iterator[str]:
    """Return the files the user named, folders replaced by the files below them.

    ``-`` is handed on. Lines of ``files_from`` are relative to the current folder; a line
    naming nothing is handed on too, and becomes a row with ``error``.

    Raises
    ------
    PegboardError
        When an argument or ``files_from`` does not exist.
    """
    missing = [name for name in arguments if name != STDIN and not os.path.lexists(name)]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise PegboardError(f"expected a photo or a folder, found nothing at {missing[0]}{more}")
    lines = _lines(files_from, stdin or sys.stdin.buffer) if files_from is not None else iter(())
    return _expanded(arguments, lines)


def _expanded(arguments: Iterable[str], lines: Iterable[str]) -> Iterator[str]:
    for names in (arguments, lines):
        for name in names:
            if name != STDIN and os.path.isdir(name):  # noqa: PTH112  (takes any name)
                yield from files_below(name)
            else:
                yield name


def files_below(folder: str) -> list[str]:
    """Return all files below ``folder``, sorted, each as ``folder`` joined with its path.

    Hidden files and folders (a name that begins with a dot) are left out. A link to a folder
    is followed, unless that folder is listed anyway: real folders come first, so links lead
    neither in circles nor to a file twice. A folder that cannot be listed is returned itself,
    so that it is not passed over in silence.
    """
    found: list[str] = []
    seen: set[tuple[int, int]] = set()
    links = [folder]

    def unlisted(error: OSError) -> None:
        found.append(os.fsdecode(error.filename))

    while links:
        for place, folders, files in os.walk(links.pop(0), onerror=unlisted):
            folders[:] = [name for name in folders if not name.startswith(".")]
            if not _first_visit(place, seen):
                folders.clear()
                continue
            found += [_join(place, name) for name in files if not name.startswith(".")]
            inner = [_join(place, name) for name in folders]
            links += [path for path in inner if Path(path).is_symlink()]
    return sorted(found)


def _first_visit(folder: str, seen: set[tuple[int, int]]) -> bool:
    status = Path(folder).stat()
    identity = status.st_dev, status.st_ino
    if identity in seen:
        return False
    seen.add(identity)
    return True


def _join(folder: str, name: str) -> str:
    return os.path.join(folder, name)  # noqa: PTH118  (pathlib would drop a leading "./")


def _lines(files_from: str, stdin: BinaryIO) -> Iterator[str]:
    if files_from == STDIN:
        return _names(stdin)
    try:
        return _names(Path(files_from).open("rb"))
    except OSError as error:
        raise PegboardError(
            f"--files-from: expected a file with one path per line, {files_from}: {error.strerror}"
        ) from error


def _names(stream: BinaryIO) -> Iterator[str]:
    with stream:
        for line in stream:
            if name := line.rstrip(b"\r\n"):
                yield os.fsdecode(name)


def read_photo(path: str) -> bytes:
    """Return a file's bytes; OSError or UnusableImage when it cannot be read."""
    try:
        mode = Path(path).stat().st_mode
    except (FileNotFoundError, ValueError) as error:  # ValueError: a NUL in the name
        raise UnusableImage("missing-file", "there is no such file") from error
    if stat.S_ISDIR(mode):
        next(Path(path).iterdir(), None)  # says why the folder could not be listed
        raise UnusableImage("not-an-image", "it is a folder")
    if stat.S_ISREG(mode):
        return read_file(Path(path))
    # A pipe without a writer would wait for ever; what the shell puts below /dev has one.
    if not path.startswith("/dev/"):
        raise UnusableImage("unsupported", "it is not a regular file")
    with Path(path).open("rb") as stream:
        return read_stream(stream)
