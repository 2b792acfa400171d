"""Photos given from Python: file names, file contents, Pillow images or arrays, with labels."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pegboard.errors import InputError
from pegboard.images import image_bytes
from pegboard.photos import SPLITS, Entry, Listing, Pixels, SplitName
from pegboard.reading import read_file
from pegboard.sources.arrays import as_images, as_uint8
from pegboard.sources.base import class_label, shown

Given = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8]
"""One photo: its file's name or contents, a Pillow image, or ``(h, w)`` or ``(h, w, c)`` uint8."""

_ONE = (str, os.PathLike, bytes, bytearray, memoryview, Image.Image)


def listed(photos: Any, *, where: str = "photos") -> list[Given]:
    """Return what the user gave as a list of photos, one photo as a list of one.

    Parameters
    ----------
    photos
        One photo; a sequence or an iterable of photos; or an array: ``(h, w)``, ``(h, w, 1)`` or
        ``(h, w, 3)`` is one picture, ``(n, h, w)`` and ``(n, h, w, c)`` are several. An array
        of names or objects is taken element by element.
    where
        For the message.

    Raises
    ------
    InputError
        When it is none of these.
    """
    if isinstance(photos, _ONE):
        return [cast(Given, photos)]
    if isinstance(photos, np.ndarray) and photos.dtype.kind not in "OUST":
        one = photos.ndim == 2 or (photos.ndim == 3 and photos.shape[2] in (1, 3))
        return [photos] if one else list(photos)
    try:
        found = list(photos)
    except TypeError as error:
        raise InputError(
            f"{where}: expected photos as file names, bytes, Pillow images or arrays, "
            f"found {type(photos).__name__}"
        ) from error
    return [str(item) if isinstance(item, np.str_) else item for item in found]


def pictures(images: Any, *, where: str) -> list[Given]:
    """Return labelled photos as a list; an array of them becomes uint8 pictures.

    Raises
    ------
    SourceError
        When an array has another shape than ``(n, h, w)`` or ``(n, h, w, c)``, or values that
        are not pixels (see :func:`~pegboard.sources.arrays.as_uint8`).
    InputError
        When it is nothing that holds photos.
    """
    if isinstance(images, np.ndarray) and images.dtype.kind in "buif":
        return list(as_images(as_uint8(images, where=where), where=where))
    return listed(images, where=where)


def label_texts(labels: Any) -> list[str | None]:
    """Return labels as class names: whole numbers without a point, None for a missing one."""
    return [_label_text(label) for label in np.asarray(labels, dtype=object).ravel().tolist()]


def _label_text(label: object) -> str | None:
    if _is_missing(label):
        return None
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    return class_label(str(label)) or None


def _is_missing(label: object) -> bool:
    """Whether a label is None, NaN or pandas' NA."""
    try:
        return label is None or bool(label != label)  # noqa: PLR0124  (NaN is not equal to itself)
    except TypeError:  # NA does not say whether it is
        return True


class GivenSource:
    """Photos that were handed over in Python.

    A photo is called by its file's name, or ``NAME#17`` for the one at index 17.

    Parameters
    ----------
    photos
        As :func:`listed` returns them.
    labels
        A class name for each; None where there is none.
    name
        Of the source.
    splits
        The split of each photo, where they are given.

    Raises
    ------
    InputError
        When there is not one label for each photo.
    """

    location = "memory"

    def __init__(
        self,
        photos: Sequence[Given],
        labels: Sequence[str | None],
        *,
        name: str = "memory",
        splits: Sequence[SplitName] | None = None,
    ) -> None:
        _check_lengths(photos, labels)
        self.name = name
        self._labels = labels
        self._splits = splits
        self._photos: dict[str, Given] = {}
        for index, photo in enumerate(photos):
            self._photos[_name(photo, index, name, self._photos)] = photo

    @classmethod
    def of_splits(cls, parts: Mapping[str, tuple[Any, Any]]) -> GivenSource:
        """Make one source of ``{"train": (photos, labels), "test": (photos, labels)}``.

        Raises
        ------
        InputError
            For a name that is no split, or a part without one label for each photo.
        """
        unknown = set(parts) - set(SPLITS)
        if unknown or not parts:
            raise InputError(
                f"expected photos and labels under {', '.join(SPLITS)}; found "
                f"{', '.join(map(repr, sorted(unknown))) or 'nothing'}"
            )
        photos: list[Given] = []
        labels: list[str | None] = []
        splits: list[SplitName] = []
        for split in (split for split in SPLITS if split in parts):
            given, names = parts[split]
            of_split, texts = pictures(given, where=split), label_texts(names)
            _check_lengths(of_split, texts, where=f"{split}: ")
            photos += of_split
            labels += texts
            splits += [split] * len(of_split)
        return cls(photos, labels, splits=splits)

    def listing(self) -> Listing:
        """List every photo, in the order given."""
        splits: Sequence[SplitName | None] = self._splits or [None] * len(self._photos)
        return Listing(
            [
                Entry(path, label, split)
                for path, label, split in zip(self._photos, self._labels, splits, strict=True)
            ]
        )

    def read(self, path: str) -> bytes | Pixels:
        """Return a photo's encoded bytes, or its pixels; OSError when its file cannot be read."""
        photo = self._photos[path]
        if isinstance(photo, str | os.PathLike):
            return read_file(Path(photo))
        if isinstance(photo, Image.Image):
            return image_bytes(photo)
        return photo


def _check_lengths(
    photos: Sequence[Given], labels: Sequence[str | None], *, where: str = ""
) -> None:
    if len(photos) != len(labels):
        raise InputError(
            f"{where}expected one label for each photo, found {len(photos):,} photos and "
            f"{len(labels):,} labels"
        )


def _name(photo: Given, index: int, source: str, taken: Mapping[str, Given]) -> str:
    if not isinstance(photo, str | os.PathLike):
        return f"{source}#{index}"
    path = shown(os.fspath(photo))
    return path if path not in taken else f"{path}#{index}"
