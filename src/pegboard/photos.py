"""The nouns of intake: what a source lists, what was opened, what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""Decoded pixels, ``(height, width, channels)``, uint8, channels 1 (grey) or 3 (RGB)."""

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

Reason = Literal[
    "not-an-image",
    "truncated",
    "empty",
    "unsupported",
    "too-large",
    "unreadable",
    "hidden",
    "no-label",
    "missing-file",
    "rare-class",
    "label-conflict",
    "bridges-splits",
    "pegboard-output",
    "excluded",
]


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, archive member or row that a source offers, before it is opened."""

    path: str
    """As shown in every output: relative to the source; ``a.zip!/cls/x.jpg`` in archives,
    ``mnist.npz#x_train/17`` for rows."""
    label: str | None
    split: SplitName | None = None
    """The split the source itself gives, if any."""
    group: str | None = None
    """The user's own group (same object, person, camera …), if any."""
    sha256: str | None = None
    """Given by a manifest, if any; otherwise computed when the photo is opened."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One thing that was met and not used, with the reason."""

    path: str
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Photo:
    """A labelled photo that was opened and can be decoded."""

    path: str
    label: str
    split: SplitName | None
    group: str | None
    sha256: str
    """Of the file's bytes; of dtype + shape + pixels for array rows. Hexadecimal."""
    pixels: str
    """Hash of the decoded, oriented pixels: equal for a JPEG and a PNG that decode alike."""
    height: int
    width: int
    channels: int
    signature: bytes | None = None
    """Small grey picture for near-duplicate search; None below 64 px."""


@dataclass(frozen=True)
class Listing:
    """Everything a source met: ``found == len(entries) + len(left_out)``."""

    entries: Sequence[Entry]
    left_out: Sequence[LeftOut] = ()

    @property
    def found(self) -> int:
        """Number of files, archive members or rows met."""
        return len(self.entries) + len(self.left_out)


class Source(Protocol):
    """Where photos come from. Implementations live in ``pegboard.sources``."""

    name: str
    """Short, fit for a folder name: ``tools15``, ``mnist``, ``digits``."""
    location: str
    """Absolute path, or the name of a built-in source."""

    def listing(self) -> Listing:
        """List everything below the source without decoding it."""
        ...

    def read(self, path: str) -> bytes | Pixels:
        """Return one entry's encoded bytes, or its pixels for array sources.

        Safe to call from several threads. Raises OSError when the file cannot be read.
        """
        ...


@dataclass(frozen=True)
class Intake:
    """What was opened, what was left out, and what the user should know.

    ``found == len(photos) + len(left_out)`` always.
    """

    photos: Sequence[Photo]
    left_out: Sequence[LeftOut]
    warnings: Sequence[str] = field(default_factory=tuple)

    @property
    def found(self) -> int:
        """Number of files, members or rows met."""
        return len(self.photos) + len(self.left_out)
