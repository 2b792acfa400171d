"""IDX files, the format MNIST was published in (http://yann.lecun.com/exdb/mnist/)."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pegboard.errors import SourceError
from pegboard.photos import SplitName
from pegboard.sources.arrays import ArraySource, Block, as_images, as_labels

_IMAGES = re.compile(r"(?:.*[-.])?(train|t10k|test)[-.]images[-.]idx[34][-.]ubyte(\.gz)?", re.I)

_SPLITS: dict[str, SplitName] = {"train": "train", "t10k": "test", "test": "test"}

MAX_ARRAY_BYTES = 16 * 2**30
"""Arrays of more bytes are refused: a damaged header would otherwise ask for any amount."""


def image_files(folder: Path) -> list[Path]:
    """Return the IDX image files in a folder, plain ones before their ``.gz`` copies."""
    try:
        names = sorted(child.name for child in folder.iterdir())
    except OSError:
        return []
    found: dict[str, Path] = {}
    for name in sorted(names, key=lambda name: (name.endswith(".gz"), name)):
        if _IMAGES.fullmatch(name):
            found.setdefault(name.removesuffix(".gz"), folder / name)
    return [found[stem] for stem in sorted(found)]


def is_image_file(file: Path) -> bool:
    """Whether a file's name is that of IDX images."""
    return _IMAGES.fullmatch(file.name) is not None


def open_idx(folder: Path) -> ArraySource:
    """Open a folder of IDX files.

    Raises
    ------
    SourceError
        When labels are missing, a file is damaged, or counts differ.
    """
    files = image_files(folder)
    splits = [_SPLITS[_part(file)] for file in files]
    blocks = []
    for file, split in zip(files, splits, strict=True):
        images = as_images(read_idx(file), where=str(file))
        labels_file = _labels_file(file)
        labels = as_labels(read_idx(labels_file), len(images), where=str(labels_file))
        # A folder with only one part gives no split; it is for us to make.
        given = split if len(set(splits)) > 1 else None
        blocks.append(Block(f"{file.name.removesuffix('.gz')}#", images, labels, given))
    location = folder.resolve()
    return ArraySource(location.name, str(location), blocks)


def _part(file: Path) -> str:
    match = _IMAGES.fullmatch(file.name)
    return match[1].lower() if match else "train"


def _labels_file(images: Path) -> Path:
    stem = images.name.removesuffix(".gz")
    stem = re.sub(r"images([-.])idx[34]", r"labels\1idx1", stem, flags=re.I)
    for name in (stem, f"{stem}.gz"):
        if (images.parent / name).exists():
            return images.parent / name
    raise SourceError(f"{images.parent} holds {images.name} but no {stem} (or {stem}.gz)")


def read_idx(file: Path) -> NDArray[np.uint8]:
    """Return the array of unsigned bytes in an IDX file, ``.gz`` or not.

    Raises
    ------
    SourceError
        When it is not an IDX file of unsigned bytes, or is damaged.
    """
    try:
        with gzip.open(file) if _is_gzip(file) else file.open("rb") as opened:
            start = opened.read(4)
            if len(start) < 4 or start[:3] != b"\0\0\x08" or not 1 <= start[3] <= 4:
                raise SourceError(f"{file}: expected an IDX file of unsigned bytes, found another")
            shape = _shape(opened.read(4 * start[3]))
            size = math.prod(shape)
            if len(shape) != start[3] or size > MAX_ARRAY_BYTES:
                raise SourceError(f"{file}: the IDX header is damaged (shape {shape})")
            data = opened.read(size)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{file} cannot be read: {error}") from error
    if len(data) < size:
        raise SourceError(f"{file}: expected {size:,} bytes for shape {shape}, found {len(data):,}")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def _shape(header: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(header[at : at + 4], "big") for at in range(0, len(header) - 3, 4))


def _is_gzip(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(2) == b"\x1f\x8b"
