"""The trained model's answers to test photos: with them the comparison is repeated anywhere.

No photo travels with a model. Each is known by the beginning of its checksum; whoever has the
photos can let the exported model answer them again, on another machine and years later, and
compare.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pegboard.sampling import evenly

if TYPE_CHECKING:
    from pegboard.bundle.info import BundleInfo

MOST = 1000
"""Test photos whose answers are kept: 100 KB at most with twenty classes."""

_PREFIX = 16
"""Bytes of the SHA-256 that are kept: no two photos share them by chance."""


@dataclass(frozen=True)
class TestAnswers:
    """What the trained model answered to test photos.

    Attributes
    ----------
    keys
        ``(n, 16)`` uint8: the beginning of each photo's SHA-256 (the manifest's).
    probabilities
        ``(n, classes)`` float32.
    labels
        ``(n,)`` int64 class indices.
    strangeness
        ``(n,)`` float64: how unlike all training photos each is; None where that is not told.
    """

    __test__ = False  # no test case for pytest, whatever its name

    keys: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]
    strangeness: NDArray[np.float64] | None = None

    @classmethod
    def of(
        cls,
        checksums: Sequence[str],
        probabilities: NDArray[np.floating[Any]],
        labels: NDArray[np.int64],
        strangeness: NDArray[np.float64] | None = None,
    ) -> TestAnswers:
        """Keep the answers to at most :data:`MOST` photos, spread evenly over those given."""
        kept = evenly(np.arange(len(checksums)), MOST)
        keys = [key_of(checksums[index]) for index in kept]
        return cls(
            np.frombuffer(b"".join(keys), np.uint8).reshape(-1, _PREFIX),
            probabilities[kept].astype(np.float32),
            np.asarray(labels[kept], np.int64),
            None if strangeness is None else strangeness[kept],
        )

    def places(self) -> dict[bytes, int]:
        """Return the row of each photo by its key (:func:`key_of`)."""
        return {row.tobytes(): place for place, row in enumerate(self.keys)}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is written."""
        strange = {} if self.strangeness is None else {"strangeness": self.strangeness}
        return {
            "keys": self.keys,
            "probabilities": self.probabilities,
            "labels": self.labels,
            **strange,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], info: BundleInfo) -> TestAnswers:
        """Rebuild from :meth:`arrays`.

        Raises
        ------
        KeyError, ValueError
            When an array is missing or does not fit ``info``.
        """
        kept = cls(
            arrays["keys"], arrays["probabilities"], arrays["labels"], arrays.get("strangeness")
        )
        n = len(kept.keys)
        if kept.keys.dtype != np.uint8 or kept.keys.shape != (n, _PREFIX):
            raise ValueError("its keys are not checksums")
        if kept.probabilities.dtype != np.float32 or kept.probabilities.shape != (
            n,
            len(info.classes),
        ):
            raise ValueError("its probabilities are of other classes")
        if kept.labels.dtype != np.int64 or kept.labels.shape != (n,):
            raise ValueError("it has not one label for each photo")
        strange = kept.strangeness
        if strange is not None and (strange.dtype != np.float64 or strange.shape != (n,)):
            raise ValueError("it does not say of each photo how strange it is")
        return kept


def key_of(checksum: str) -> bytes:
    """Return the key of a photo with this SHA-256, hexadecimal; of any other name, its hash's."""
    try:
        return bytes.fromhex(checksum)[:_PREFIX].ljust(_PREFIX, b"\0")
    except ValueError:
        return hashlib.sha256(checksum.encode()).digest()[:_PREFIX]
