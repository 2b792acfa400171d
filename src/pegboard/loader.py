"""Photos of a run as arrays: decoded and fitted once per input specification."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pegboard.budget import Budget
from pegboard.errors import SourceError, UnusableImage
from pegboard.inputs import InputSpec, fitted
from pegboard.manifest import ManifestRow
from pegboard.memory import let_pages_go
from pegboard.photos import Pixels, Source
from pegboard.progress import Progress

MEMORY_LIMIT = 1 << 30
"""Bytes of fitted pixels kept in memory; beyond that they lie in a temporary file, mapped."""


class Photos:
    """The photos of a manifest, read from their source and fitted on demand.

    Fitted pixels are kept per input specification, so that models with the same input share
    one decoding.
    """

    def __init__(
        self,
        source: Source,
        rows: Sequence[ManifestRow],
        *,
        threads: int = 2,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        self.source = source
        self.rows = rows
        self._threads = threads
        self._memory_limit = memory_limit
        self._arrays: dict[InputSpec, NDArray[np.uint8]] = {}
        self._files = 0
        self._folder = tempfile.TemporaryDirectory(prefix="pegboard-pixels-")

    def payload(self, index: int) -> bytes | Pixels:
        """Return one photo's encoded bytes, or pixels for array sources.

        Raises
        ------
        SourceError
            When the photo has gone since intake.
        """
        path = self.rows[index].path
        try:
            return self.source.read(path)
        except OSError as error:
            raise SourceError(
                f"{path} was readable at intake and is not any more ({error.strerror or error}); "
                "put it back or start a new run"
            ) from error

    def one(self, index: int, spec: InputSpec) -> Pixels:
        """Return one photo, ``spec.shape`` uint8."""
        if spec in self._arrays:
            pixels: Pixels = self._arrays[spec][index]
            return pixels
        try:
            return fitted(self.payload(index), spec)
        except UnusableImage as error:
            raise SourceError(
                f"{self.rows[index].path} was a usable photo at intake and is not any more "
                f"({error}); put it back or start a new run"
            ) from error

    def all(
        self, spec: InputSpec, *, budget: Budget | None = None, progress: Progress | None = None
    ) -> NDArray[np.uint8]:
        """Return every photo, ``(N, height, width, channels)`` uint8, in manifest order."""
        if spec not in self._arrays:
            self._arrays[spec] = self._load(spec, budget or Budget(), progress or Progress())
        return self._arrays[spec]

    def take(self, indices: NDArray[np.int64], spec: InputSpec) -> NDArray[np.uint8]:
        """Return some photos, ``(len(indices), height, width, channels)`` uint8."""
        if spec in self._arrays:
            return self._arrays[spec][indices]
        with ThreadPoolExecutor(self._threads) as pool:
            parts = pool.map(lambda index: self.one(int(index), spec), indices)
            return np.stack(list(parts))

    def forget(self, spec: InputSpec) -> None:
        """Free the pixels kept for one input specification."""
        self._arrays.pop(spec, None)

    def close(self) -> None:
        """Forget the arrays and remove the temporary file, if any."""
        self._arrays.clear()
        self._folder.cleanup()

    def _load(self, spec: InputSpec, budget: Budget, progress: Progress) -> NDArray[np.uint8]:
        array = self._allocate(spec)

        def place(index: int) -> None:
            array[index] = self.one(index, spec)

        block = 256
        with (
            ThreadPoolExecutor(self._threads) as pool,
            progress.step(f"photos at {spec.height}x{spec.width}", len(self.rows)) as bar,
        ):
            for start in range(0, len(self.rows), block):
                budget.check()
                part = range(start, min(start + block, len(self.rows)))
                for _ in pool.map(place, part):
                    bar.advance()
                let_pages_go(array)
        return array

    def _allocate(self, spec: InputSpec) -> NDArray[np.uint8]:
        shape = (len(self.rows), *spec.shape)
        held = sum(array.nbytes for array in self._arrays.values())
        if held + int(np.prod(shape)) <= self._memory_limit:
            return np.empty(shape, dtype=np.uint8)
        self._files += 1
        file = Path(self._folder.name) / f"{self._files}.npy"
        return np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
