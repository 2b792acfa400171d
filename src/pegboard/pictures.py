"""Small pictures of photos: encoded from pixels alone, and kept together in one archive.

A picture is made from decoded, oriented pixels, so nothing that a photo's file says about where
and when it was taken can travel with it. Its name is a hash of its bytes: equal pictures are
kept once, and a picture that was altered no longer fits its name.
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from pegboard.errors import RunFolderError
from pegboard.files import atomic_path
from pegboard.images import decode, to_pixels
from pegboard.photos import Pixels

SUFFIX = ".webp"

THUMBNAIL = 96
"""Longest side of a thumbnail: enough to tell what is on it, about 2 KB."""

LOSSLESS = 64
"""Pictures up to this side keep every pixel: of a digit of 28 px each one counts."""

LARGEST = 1 << 20
"""Bytes of one picture. Ours are a hundredth of it; an archive that claims more is not ours."""

_QUALITY = 75
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The zip format's first day: a date would make equal archives differ."""

# What zipfile raises on altered archives besides BadZipFile.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    UnicodeError,
    ValueError,
    OverflowError,
)


class Album:
    """Pictures by name, to be filled."""

    def __init__(self) -> None:
        self.pictures: dict[str, bytes] = {}

    def add(self, data: bytes) -> str:
        """Keep an encoded picture and return its name."""
        name = name_of(data)
        self.pictures[name] = data
        return name


def name_of(data: bytes) -> str:
    """Return the name of an encoded picture: 128 bits of its SHA-256."""
    return hashlib.sha256(data).hexdigest()[:32] + SUFFIX


def within(pixels: Pixels, side: int) -> Pixels:
    """Shrink ``(h, w, 1 or 3)`` pixels until the longer side is at most ``side``; never enlarge."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    shrunk = _image(pixels).resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    return np.asarray(shrunk, dtype=np.uint8).reshape(size[1], size[0], pixels.shape[2])


def encode(pixels: Pixels) -> bytes:
    """Return ``(h, w, 1 or 3)`` uint8 pixels as WebP, without loss up to :data:`LOSSLESS`.

    The same pixels give the same bytes with the same Pillow.
    """
    buffer = BytesIO()
    small = max(pixels.shape[:2]) <= LOSSLESS
    # For lossless pictures quality is effort.
    _image(pixels).save(buffer, "WEBP", lossless=small, quality=100 if small else _QUALITY)
    return buffer.getvalue()


def thumbnail(payload: bytes | Pixels) -> bytes:
    """Return the encoded thumbnail of a photo: of its file's bytes, or of pixels.

    Raises
    ------
    UnusableImage
        When it cannot be decoded.
    """
    return encode(within(to_pixels(payload, at_least=THUMBNAIL), THUMBNAIL))


def decode_rgb(data: bytes) -> Pixels:
    """Return an encoded picture as ``(h, w, 3)`` uint8."""
    pixels = decode(data)
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def write_pictures(path: Path, pictures: Mapping[str, bytes]) -> None:
    """Write the archive, whole or not at all; the same pictures give the same bytes."""
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in sorted(pictures):
            member = zipfile.ZipInfo(name, date_time=_EPOCH)
            member.create_system = 3  # else the byte says on which system it was written
            member.external_attr = 0o644 << 16
            archive.writestr(member, pictures[name], compress_type=zipfile.ZIP_STORED)


def read_pictures(path: Path) -> dict[str, bytes]:
    """Read the archive and check every picture in it.

    Raises
    ------
    RunFolderError
        When it is missing, cut off, or a picture does not fit its name.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return {member.filename: _read(archive, member) for member in archive.infolist()}
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {error.strerror or error}") from error
    except _ZIP_ERRORS as error:
        raise RunFolderError(
            f"{path} was damaged or altered ({error}); remove it to have a report without "
            "pictures, or compare again"
        ) from error


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.compress_type != zipfile.ZIP_STORED or member.file_size > LARGEST:
        raise ValueError(f"{member.filename} is compressed or too large, which pegboard never does")
    data = archive.read(member)
    if name_of(data) != member.filename:
        raise ValueError(f"{member.filename} is not what its name says")
    return data
