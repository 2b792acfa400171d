"""The photos a page may show: by number only, made smaller, and without what their files tell."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pegboard.errors import UnusableImage
from pegboard.images import to_pixels
from pegboard.intake import payload_sha256
from pegboard.photos import Source
from pegboard.pictures import encode, within

SIDES = {"large": 1024, "small": 224}
"""Longest side of a picture on the page, in pixels: sharp at twice the size it is shown."""

KEPT_BYTES = 64 * 2**20
"""Encoded pictures kept at hand."""

AT_ONCE = 2
"""Photos decoded at once: one of 100 megapixels takes 300 MB while it is made smaller."""


@dataclass(frozen=True)
class Shot:
    """One encoded picture (WebP), and what the photo itself measures."""

    data: bytes
    width: int
    height: int
    file_bytes: int | None


class Gallery:
    """The photos of a source by number.

    A page asks for a number, never for a path, so nothing but these photos can be asked for.

    Parameters
    ----------
    source
        Where they are read from.
    labels
        Class of each photo by path; the order gives the numbers.
    spare
        Encoded pictures to show where a photo cannot be read any more.

    Attributes
    ----------
    mark
        In the address of every picture: another review, at the same port, has other photos
        under the same numbers.
    """

    def __init__(
        self,
        source: Source,
        labels: Mapping[str, str | None],
        spare: Mapping[str, bytes] | None = None,
    ) -> None:
        self._source = source
        self.labels = labels
        self.paths: Sequence[str] = tuple(labels)
        self.mark = secrets.token_hex(8)
        self._numbers = {path: number for number, path in enumerate(self.paths)}
        self._spare = spare or {}
        self._kept: OrderedDict[tuple[int, str], Shot] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._decoders = threading.Semaphore(AT_ONCE)

    def number(self, path: str) -> int | None:
        """Return a photo's number, or None when there is no such photo."""
        return self._numbers.get(path)

    def shot(self, number: int, size: str) -> Shot:
        """Return a photo as a small picture.

        Raises
        ------
        LookupError
            When there is no such number or size.
        UnusableImage, OSError
            When the photo cannot be read.
        """
        if not 0 <= number < len(self.paths):
            raise LookupError(f"no photo has the number {number}")
        side = SIDES[size]
        with self._lock:
            if (number, size) in self._kept:
                self._kept.move_to_end((number, size))
                return self._kept[number, size]
        with self._decoders:
            made = self._make(self.paths[number], side)
        self._keep((number, size), made)
        return made

    def _make(self, path: str, side: int) -> Shot:
        try:
            payload = self._source.read(path)
            pixels = to_pixels(payload)
        except (OSError, UnusableImage):
            if path not in self._spare:
                raise
            payload = self._spare[path]
            pixels = to_pixels(payload)
        height, width = pixels.shape[:2]
        size = len(payload) if isinstance(payload, bytes) else None
        return Shot(encode(within(pixels, side)), width, height, size)

    def _keep(self, key: tuple[int, str], shot: Shot) -> None:
        with self._lock:
            if key not in self._kept:
                self._bytes += len(shot.data)
            self._kept[key] = shot
            while self._bytes > KEPT_BYTES and len(self._kept) > 1:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= len(oldest.data)

    def sha256(self, path: str) -> str:
        """Return the checksum by which a decision finds the photo again.

        Raises
        ------
        UnusableImage, OSError
            When the photo cannot be read.
        """
        return payload_sha256(self._source.read(path))
