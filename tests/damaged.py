"""Damaged files made from good ones: cut, flipped, mislabelled, blown up, endless."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from conftest import draw_photo

FORMATS = {"JPEG": "jpg", "PNG": "png", "GIF": "gif", "WEBP": "webp", "BMP": "bmp", "TIFF": "tif"}


def write_damaged(folder: Path, count: int, seed: int = 0) -> list[str]:
    """Write ``count`` damaged files into two class folders and return their paths."""
    rng = np.random.default_rng(seed)
    written = []
    files = damaged_files(rng)
    for number in range(count):
        what, ending, data = next(files)
        path = f"{('left', 'right')[number % 2]}/{number:04d}-{what}.{ending}"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        written.append(path)
    return written


def damaged_files(rng: np.random.Generator) -> Iterator[tuple[str, str, bytes]]:
    """Yield kinds of damage in turn: what was done, an ending, the bytes. Never ends."""
    bombs = list(_bombs(rng))
    turn = 0
    while True:
        for kind, ending in FORMATS.items():
            whole = _encoded(kind, rng)
            yield "cut", ending, whole[: int(rng.integers(0, len(whole)))]
            yield "flipped", ending, _flipped(whole, rng)
            yield "holed", ending, _holed(whole, rng)
            yield "headless", ending, _headless(whole, rng)
            what, bomb_ending, data = bombs[turn % len(bombs)]
            yield what, bomb_ending, data
            turn += 1


def _encoded(kind: str, rng: np.random.Generator) -> bytes:
    stream = io.BytesIO()
    shape = ("disc", "square", "cross")[int(rng.integers(3))]
    options = {"progressive": bool(rng.integers(2))} if kind == "JPEG" else {}
    draw_photo(shape, rng).save(stream, kind, **options)
    return stream.getvalue()


def _flipped(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip a few bits, more of them near the start, where the sizes stand."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 40))):
        place = int(len(data) * rng.random() ** 3)
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _holed(data: bytes, rng: np.random.Generator) -> bytes:
    """Overwrite a part with zeros, ones or noise."""
    changed = bytearray(data)
    start = int(rng.integers(len(data)))
    size = min(int(rng.integers(1, 2000)), len(data) - start)
    fill = (b"\0" * size, b"\xff" * size, rng.bytes(size))[int(rng.integers(3))]
    changed[start : start + size] = fill
    return bytes(changed)


def _headless(data: bytes, rng: np.random.Generator) -> bytes:
    """Put another format's first bytes, or none that are known, before the rest."""
    heads = (b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBP", b"BM",
             b"II*\0", b"P6\n9 9\n255\n", b"\0\0\0 ftypavif", b"%PDF-1.7", b"junk")  # fmt: skip
    return heads[int(rng.integers(len(heads)))] + data[8:]


# --- Files made to eat time or memory ------------------------------------------------------


def _bombs(rng: np.random.Generator) -> Iterator[tuple[str, str, bytes]]:
    yield "bomb", "png", png_bomb(60_000, 60_000)
    yield "bomb", "png", png_bomb(2_000_000_000, 1)
    yield "bomb", "bmp", _bmp_bomb()
    yield "bomb", "gif", _gif_bomb()
    yield "bomb", "jpg", jpeg_of_many_scans(3000, side=(2000, 2000))[:40_000]
    yield "bomb", "jpg", _jpeg_with_size(65_500, 65_500, rng)
    yield "endless", "gif", endless_gif()
    yield "endless", "png", _png_of_text()
    yield "endless", "tif", _tiff_in_a_circle()


def png_bomb(width: int, height: int) -> bytes:
    """A PNG that says it is large and holds little."""
    rows = zlib.compress(b"\0" * 1_000_000)
    return _png(width, height, [(b"IDAT", rows), (b"IEND", b"")])


def _png(width: int, height: int, chunks: list[tuple[bytes, bytes]]) -> bytes:
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in [(b"IHDR", size), *chunks]
    )


def _png_of_text() -> bytes:
    """A PNG whose text unpacks to a gigabyte."""
    text = b"Comment\0\0" + zlib.compress(b"\0" * 50_000_000, 9)
    return _png(8, 8, [(b"zTXt", text)] * 20 + [(b"IEND", b"")])


def _bmp_bomb() -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 200, 0, 0, 54, 40, 50_000, 50_000, 1, 24,
                               0, 0, 0, 0, 0, 0) + b"\0" * 100  # fmt: skip


def _gif_bomb() -> bytes:
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", 65535, 65535, 0xF7, 0, 0)
        + b"\0" * 768
        + (b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x08\xff" + b"\0" * 255 + b"\0;")
    )


def endless_gif(frames: int = 20_000) -> bytes:
    """A GIF of very many frames that never says it ends; the first is sound."""
    stream = io.BytesIO()
    Image.new("P", (64, 64), 3).save(stream, "GIF")
    body = stream.getvalue()[:-1]
    start = body.index(b",")
    return body + body[start:] * frames


def _jpeg_with_size(width: int, height: int, rng: np.random.Generator) -> bytes:
    data = bytearray(_encoded("JPEG", rng))
    marker = b"\xff\xc0" if b"\xff\xc0" in data else b"\xff\xc2"
    place = data.index(marker)
    data[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def jpeg_of_many_scans(scans: int, side: tuple[int, int]) -> bytes:
    """A progressive JPEG that refines the same coefficients again and again.

    Each scan is a few dozen bytes, and a decoder walks over all of the picture for it.
    """
    stream = io.BytesIO()
    Image.new("L", side, 128).save(stream, "JPEG", progressive=True)
    data = stream.getvalue()[:-2]
    last = data.rindex(b"\xff\xda")
    return data + data[last:] * scans + b"\xff\xd9"


def _tiff_in_a_circle() -> bytes:
    """A TIFF whose directory names itself as the next."""
    entries = [(256, 3, 1, 16), (257, 3, 1, 16), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
               (273, 4, 1, 200), (278, 3, 1, 16), (279, 4, 1, 256)]  # fmt: skip
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", *entry) for entry in entries
    )
    return (b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", 8)).ljust(200, b"\0")
