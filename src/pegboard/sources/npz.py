"""NumPy archives with images and labels: ``x_train y_train x_test y_test``."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from pegboard.errors import SourceError
from pegboard.photos import SplitName
from pegboard.sources.arrays import ArraySource, Block, as_images, as_labels, as_uint8
from pegboard.sources.idx import MAX_ARRAY_BYTES

_KEYS: tuple[tuple[str, str, SplitName], ...] = (
    ("x_train", "y_train", "train"),
    ("x_val", "y_val", "validation"),
    ("x_test", "y_test", "test"),
    ("train_images", "train_labels", "train"),
    ("val_images", "val_labels", "validation"),
    ("test_images", "test_labels", "test"),
)


def open_npz(file: Path) -> ArraySource:
    """Open an npz file of images and labels.

    Besides ``x_train y_train x_test y_test`` it may hold ``x_val y_val``; the spelling
    ``train_images train_labels …`` is read too. Without a test set no split is given.

    Raises
    ------
    SourceError
        When the file is damaged, holds Python objects, lacks the arrays, or has photos without
        labels or labels without photos.
    """
    arrays = _read_arrays(file)
    pairs = [(x, y, split) for x, y, split in _KEYS if x in arrays and y in arrays]
    splits = {split for _, _, split in pairs}
    blocks = []
    for x, y, split in pairs:
        where = f"{file.name}#{x}"
        images = as_images(as_uint8(arrays[x], where=where), where=where)
        labels = as_labels(arrays[y], len(images), where=f"{file.name}#{y}")
        blocks.append(Block(f"{where}/", images, labels, split if "test" in splits else None))
    return ArraySource(file.stem, str(file.resolve()), blocks)


def _read_arrays(file: Path) -> dict[str, NDArray[np.generic]]:
    wanted = {name for x, y, _ in _KEYS for name in (x, y)}
    try:
        with zipfile.ZipFile(file) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            _check_names(file, members)
            arrays = {}
            for name in sorted(wanted & members.keys()):
                with archive.open(members[name]) as member:
                    arrays[name] = _read_array(member, f"{file}#{name}")
    except SourceError:
        raise
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise SourceError(f"{file} is not a readable npz file: {_first_line(error)}") from error
    except (NotImplementedError, RuntimeError, MemoryError) as error:
        raise SourceError(f"{file} cannot be opened: {_first_line(error)}") from error
    return arrays


def _check_names(file: Path, found: Collection[str]) -> None:
    if not any(x in found and y in found for x, y, split in _KEYS if split == "train"):
        raise SourceError(
            f"{file}: expected the arrays x_train, y_train, x_test and y_test, "
            f"found {', '.join(sorted(found)) or 'none'}"
        )
    for names in ((x, y) for x, y, _ in _KEYS):
        there = [name for name in names if name in found]
        if len(there) == 1:
            missing = next(name for name in names if name not in found)
            raise SourceError(
                f"{file} holds {there[0]} but no {missing}; add it, or save the file without "
                f"{there[0]}"
            )


def _read_array(member: IO[bytes], where: str) -> NDArray[np.generic]:
    """Read one ``.npy`` member, never unpickling, and only what its header promises."""
    version = np.lib.format.read_magic(member)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise SourceError(f"{where}: .npy format {version} is not read; save it with numpy.savez")
    shape, fortran_order, dtype = read_header(member)
    if dtype.hasobject:
        raise SourceError(
            f"{where} holds Python objects, which are never loaded; save plain arrays"
        )
    size = math.prod(shape) * dtype.itemsize
    if size > MAX_ARRAY_BYTES:
        raise SourceError(f"{where} is {size / 2**30:,.0f} GB; at most 16 GB are read")
    data = member.read(size)
    member.read(1)  # at the end of the member its checksum is compared
    if len(data) < size:
        raise SourceError(f"{where} is cut short: expected {size:,} bytes, found {len(data):,}")
    array: NDArray[np.generic] = np.frombuffer(data, dtype=dtype)
    return array.reshape(shape, order="F" if fortran_order else "C")


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
