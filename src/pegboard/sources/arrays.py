"""Photos that come as rows of an array: IDX, npz, pixel tables and the built-in digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pegboard.errors import SourceError
from pegboard.photos import Entry, LeftOut, Listing, Pixels, SplitName
from pegboard.sources.base import short_name


@dataclass(frozen=True)
class Block:
    """One array of photos with its labels.

    Attributes
    ----------
    prefix
        Put before the row's number: ``mnist.npz#x_train/``.
    images
        ``(n, height, width, 1 or 3)`` uint8.
    labels
        One per row; None where a row has none.
    split
        The split the source gives, if any.
    numbers
        Each row's number in the source, when some rows are missing here.
    """

    prefix: str
    images: NDArray[np.uint8]
    labels: Sequence[str | None]
    split: SplitName | None = None
    numbers: Sequence[int] | None = None


class ArraySource:
    """Photos held in memory as arrays."""

    def __init__(
        self, name: str, location: str, blocks: Sequence[Block], left_out: Sequence[LeftOut] = ()
    ) -> None:
        self.name = short_name(name)
        self.location = location
        self._blocks = blocks
        self._left_out = tuple(left_out)
        self._by_prefix = {block.prefix: block for block in blocks}
        self._rows = {
            block.prefix: {number: row for row, number in enumerate(block.numbers)}
            for block in blocks
            if block.numbers is not None
        }

    def renamed(self, name: str, classes: Sequence[str] | None = None) -> ArraySource:
        """Return the same rows as the source ``name``, numbered labels as class names."""
        blocks = self._blocks
        if classes:
            blocks = [
                replace(block, labels=[label and classes[int(label)] for label in block.labels])
                for block in blocks
            ]
        return ArraySource(name, name, blocks, self._left_out)

    def listing(self) -> Listing:
        """List every row, in order."""
        entries = [
            Entry(f"{block.prefix}{number}", label, block.split)
            for block in self._blocks
            for number, label in zip(_numbers(block), block.labels, strict=True)
        ]
        return Listing(entries, self._left_out)

    def read(self, path: str) -> Pixels:
        """Return one row's pixels; FileNotFoundError when there is no such row."""
        cut = max(path.rfind("#"), path.rfind("/")) + 1
        prefix, number = path[:cut], path[cut:]
        try:
            block = self._by_prefix[prefix]
            row = int(number)
            if row < 0:
                raise IndexError(row)
            at = self._rows[prefix][row] if prefix in self._rows else row
            pixels: Pixels = block.images[at]
        except (KeyError, ValueError, IndexError) as error:
            raise FileNotFoundError(f"{self.location} has no row {path}") from error
        return pixels


def _numbers(block: Block) -> Sequence[int]:
    return range(len(block.images)) if block.numbers is None else block.numbers


def as_uint8(images: NDArray[np.generic], *, where: str) -> NDArray[np.uint8]:
    """Return pixel values 0 to 255 as uint8.

    Parameters
    ----------
    images
        uint8; or other whole numbers within 0 to 255; or fractions within 0 to 1, which are
        multiplied by 255 and rounded; or booleans (0 and 255).
    where
        For the message.

    Raises
    ------
    SourceError
        When the values are none of these: guessing a scale would be silently wrong.
    """
    if images.dtype == np.uint8:
        return np.asarray(images, dtype=np.uint8)
    if images.dtype == np.bool_:
        return np.asarray(images, dtype=np.uint8) * np.uint8(255)
    if images.dtype.kind not in "iuf" or not images.size:
        raise SourceError(f"{where}: expected uint8 pixels, found {images.dtype} {images.shape}")
    values = np.asarray(images)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 255):
        raise SourceError(
            f"{where}: expected pixel values 0 to 255, found {low:g} to {high:g}; "
            "save them as uint8"
        )
    whole = values.dtype.kind != "f" or bool(np.array_equal(values, np.rint(values)))
    if values.dtype.kind == "f" and high <= 1:
        return np.asarray(np.rint(values * 255), dtype=np.uint8)
    if not whole:
        raise SourceError(
            f"{where}: expected whole pixel values 0 to 255 or fractions 0 to 1, "
            f"found fractions up to {high:g}; save them as uint8"
        )
    return np.asarray(values, dtype=np.uint8)


def as_images(images: NDArray[np.uint8], *, where: str) -> NDArray[np.uint8]:
    """Return ``(n, h, w, 1 or 3)`` of ``(n, h, w)``, ``(n, h, w, c)`` or ``(n, c, h, w)``.

    Raises
    ------
    SourceError
        When the shape is none of these, or holds no pixels.
    """
    shaped = images[..., None] if images.ndim == 3 else images
    if shaped.ndim == 4 and shaped.shape[3] not in (1, 3) and shaped.shape[1] in (1, 3):
        shaped = np.moveaxis(shaped, 1, 3)
    if shaped.ndim != 4 or shaped.shape[3] not in (1, 3) or 0 in shaped.shape[1:]:
        raise SourceError(
            f"{where}: expected images of shape (n, height, width) or (n, height, width, 3), "
            f"found {images.shape}"
        )
    return shaped


def as_labels(labels: NDArray[np.generic], count: int, *, where: str) -> list[str]:
    """Return one text label per row; whole numbers are written without a point.

    Raises
    ------
    SourceError
        When there is not one whole number or text per image.
    """
    flat = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if flat.shape != (count,):
        raise SourceError(
            f"{where}: expected one label for each of {count:,} images, found {labels.shape}"
        )
    if flat.dtype.kind == "f" and np.array_equal(flat, np.rint(np.asarray(flat, dtype=float))):
        flat = flat.astype(np.int64)
    if flat.dtype.kind not in "iuU":
        raise SourceError(f"{where}: expected whole numbers as labels, found {labels.dtype}")
    return [str(label) for label in flat.tolist()]
