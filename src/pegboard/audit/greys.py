"""Small grey pictures of photos, made when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pegboard.alignment import COARSE, FINE, Indices, Pictures
from pegboard.budget import Budget
from pegboard.errors import UnusableImage
from pegboard.photos import Photo, Pixels

LEAST_SIDE = 24
"""Shorter side in pixels below which photos are not compared: too little is left."""

FINE_SIDE = 48
"""Shorter side from which two photos are compared at 64 px, else at 32 px."""

LEAST_CONTRAST = 4.0
"""Standard deviation in grey levels below which a photo is one even area."""

_PART = 1024

Read = Callable[[int], Pixels]
"""Returns a photo's pixels by index; called from several threads."""

Grey = NDArray[np.uint8]
"""``(side, side)``."""


class Greys:
    """Grey pictures of those photos that can be compared, one for all of equal pixels.

    Attributes
    ----------
    chosen
        ``(M,)`` index of the photos that can be compared, ascending.
    signatures
        ``(M, COARSE, COARSE)`` of them.
    representative
        ``(N,)`` for every photo the chosen one of the same pixels, -1 where there is none.
    """

    def __init__(
        self, photos: Sequence[Photo], read: Read, *, threads: int | None, budget: Budget
    ) -> None:
        self.photos = photos
        self._read = read
        self._threads = threads
        self._budget = budget
        self._made: dict[tuple[int, int], Grey] = {}
        first: dict[str, int] = {}
        for index, photo in enumerate(photos):
            if min(photo.height, photo.width) >= LEAST_SIDE:
                first.setdefault(photo.pixels, index)
        large_enough = np.fromiter(first.values(), np.int64, len(first))
        signatures = self._signatures(large_enough.tolist())
        contrast = signatures.std(axis=(1, 2), dtype=np.float32)
        enough = contrast >= LEAST_CONTRAST
        self.chosen: Indices = large_enough[enough]
        self.signatures = signatures[enough]
        self._row = {index: row for row, index in enumerate(self.chosen.tolist())}
        owners = (first.get(photo.pixels, -1) for photo in photos)
        self.representative: Indices = np.array(
            [owner if owner in self._row else -1 for owner in owners], dtype=np.int64
        )

    def coarse(self, indices: Indices) -> Pictures:
        """Return ``(len(indices), COARSE, COARSE)`` signatures of chosen photos."""
        rows = np.array([self._row[index] for index in indices.tolist()], dtype=np.int64)
        pictures: Pictures = self.signatures[rows]
        return pictures

    def at(self, indices: Indices, side: int) -> Pictures:
        """Return ``(len(indices), side, side)`` pictures; those not made yet are made now.

        Raises
        ------
        BudgetSpent
            When time runs out.
        """
        wanted = indices.tolist()
        missing = sorted({index for index in wanted if (index, side) not in self._made})
        self._made |= {(index, side): picture for index, picture in self._make(missing, side)}
        pictures = [self._made[index, side] for index in wanted]
        return np.array(pictures, np.uint8).reshape(-1, side, side)

    def side(self, *indices: int) -> int:
        """Return the side of the pictures to compare photos at."""
        chosen = (self.photos[index] for index in indices)
        least = min(min(photo.height, photo.width) for photo in chosen)
        return FINE if least >= FINE_SIDE else COARSE

    def _signatures(self, indices: Sequence[int]) -> Pictures:
        """Return the signatures of photos, made here where intake makes none."""
        told = [self.photos[index].signature for index in indices]
        missing = [index for index, one in zip(indices, told, strict=True) if one is None]
        made = iter(picture for _, picture in self._make(missing, COARSE))
        pictures = [
            next(made) if one is None else np.frombuffer(one, np.uint8).reshape(COARSE, COARSE)
            for one in told
        ]
        return np.array(pictures, np.uint8).reshape(-1, COARSE, COARSE)

    def _make(self, indices: Sequence[int], side: int) -> Iterator[tuple[int, Grey]]:
        """Yield pictures in the order of the indices."""
        with ThreadPoolExecutor(self._threads, thread_name_prefix="greys") as pool:
            for start in range(0, len(indices), _PART):
                self._budget.check()
                part = indices[start : start + _PART]
                yield from zip(part, pool.map(lambda at: self._one(at, side), part), strict=True)

    def _one(self, index: int, side: int) -> Grey:
        try:
            return small_grey(self._read(index), side)
        except (OSError, UnusableImage):  # it was whole a minute ago; another program is at work
            return np.zeros((side, side), np.uint8)


def small_grey(pixels: Pixels, side: int) -> Grey:
    """Return ``(side, side)`` grey, squashed to a square, averaging areas."""
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("L")
    shrinks = min(image.size) >= 1.5 * side
    method = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    small = image.resize((side, side), method, reducing_gap=2.0 if shrinks else None)
    return np.asarray(small, dtype=np.uint8)
