"""What all sources share: options, names, reading one file, telling splits and classes."""

from __future__ import annotations

import re
import stat
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pegboard.errors import UnusableImage
from pegboard.images import HEAD_BYTES, sniff
from pegboard.photos import SplitName

MAX_FILE_BYTES = 512 * 2**20
"""Larger files and archive members are not read: no photo within the pixel limit needs it."""


@dataclass(frozen=True)
class SourceOptions:
    """Names of a table's columns."""

    path_column: str = "path"
    label_column: str = "label"
    split_column: str = "split"
    group_column: str = "group"

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> SourceOptions:
        """Return the names that the settings of a run or check hold."""
        return cls(
            **{item.name: settings[item.name] for item in fields(cls) if item.name in settings}
        )


_SPLIT_NAMES: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


def split_name(text: str) -> SplitName | None:
    """Return the split that ``train``, ``val``, ``valid``, ``test`` … means, or None."""
    return _SPLIT_NAMES.get(text.strip().casefold())


def class_label(text: str) -> str:
    """Return a class name in Unicode's composed form: ``é`` is one character on every disk."""
    return unicodedata.normalize("NFC", text)


def short_name(text: str) -> str:
    """Return a name fit for a folder: letters, digits, ``-``, ``_`` and ``.``."""
    cleaned = re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFC", text)).strip("-.")
    return cleaned[:60] or "source"


def is_hidden(parts: Sequence[str]) -> bool:
    """Whether a path lies in a dot folder, is a dot file, or is macOS archive litter."""
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)


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


def shown(path: str) -> str:
    r"""Return a path that any output can hold: undecodable bytes become ``\xNN``."""
    if path.isascii():
        return path
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def unshown(path: str) -> str:
    """Return the file name that :func:`shown` was given."""
    return re.sub(r"\\x([89a-f][0-9a-f])", lambda m: chr(0xDC00 + int(m[1], 16)), path)
