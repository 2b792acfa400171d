"""What all sources share: options, names, reading one file, telling splits and classes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from pegboard.photos import SplitName


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


def shown(path: str) -> str:
    r"""Return a path that any output can hold: undecodable bytes become ``\xNN``."""
    if path.isascii():
        return path
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def unshown(path: str) -> str:
    """Return the file name that :func:`shown` was given."""
    return re.sub(r"\\x([89a-f][0-9a-f])", lambda m: chr(0xDC00 + int(m[1], 16)), path)
