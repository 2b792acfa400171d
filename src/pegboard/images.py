"""Opening photos: the only module that decodes image files.

A photo is judged by its content, never by its name, and comes out as oriented 8-bit grey or
RGB pixels, or as :class:`~pegboard.errors.UnusableImage` with a reason. Nothing else is
raised, whatever the bytes hold.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    features,
)

from pegboard.errors import MissingExtra, UnusableImage, require_extra
from pegboard.photos import Pixels, Reason

MAX_PIXELS = 178_956_970
"""Largest photo opened, in pixels: 512 MiB as RGB. It is where Pillow itself refuses
(twice its ``MAX_IMAGE_PIXELS``); a 108-megapixel phone photo fits."""

SIGNATURE_SIZE = 32
"""Side of the grey picture kept for near-duplicate search."""

SIGNATURE_LEAST = 64
"""Photos with a shorter side below this get no signature: too little is left to compare."""

HEAD_BYTES = 4096
"""Bytes that :func:`sniff` needs."""

# fmt: off
IMAGE_SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff",
    ".mpo", ".heic", ".heif", ".hif", ".avif", ".pgm", ".ppm", ".pbm", ".pnm",
))
# fmt: on
"""Usual name endings of formats that can be opened; content decides, never the name."""

# Importing the plugins registers them; doing it here, not on first use, keeps threads apart.
_PLUGINS = (
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
with suppress(ImportError):
    importlib.import_module("PIL.AvifImagePlugin")  # Pillow 11.3 brought it

_PILLOW_FORMATS: dict[str, tuple[str, ...]] = {
    "JPEG": ("JPEG", "MPO"),
    "PNG": ("PNG",),
    "GIF": ("GIF",),
    "BMP": ("BMP",),
    "WebP": ("WEBP",),
    "TIFF": ("TIFF",),
    "PNM": ("PPM",),
    "AVIF": ("AVIF",),
}

_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)

_UNSUPPORTED_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "PDF"),
    (b"8BPS", "Photoshop"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"FUJIFILMCCD-RAW", "camera raw (RAF)"),
    (b"IIRO", "camera raw (ORF)"),
    (b"IIRS", "camera raw (ORF)"),
    (b"MMOR", "camera raw (ORF)"),
    (b"IIU\0", "camera raw (RW2)"),
    (b"FOVb", "camera raw (X3F)"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\1\0", "icon (ICO)"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"gimp xcf", "GIMP"),
    (b"\x1aE\xdf\xa3", "video (Matroska or WebM)"),
    (b"\0\0\1\xba", "video (MPEG)"),
    (b"\0\0\1\xb3", "video (MPEG)"),
    (b"FLV\1", "video (FLV)"),
)

_OTHER_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a ZIP archive or office file"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a Windows program"),
    (b"\xd0\xcf\x11\xe0", "an office file or Thumbs.db"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x93NUMPY", "a NumPy array"),
)

_HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))
_AVIF_BRANDS = frozenset((b"avif", b"avis"))

_BMP_HEADER_SIZES = frozenset((12, 16, 40, 52, 56, 64, 108, 124))


# --- What kind of file is it? ------------------------------------------------------------


def sniff(head: bytes) -> str:
    """Tell the image format from a file's first bytes.

    Parameters
    ----------
    head
        The first :data:`HEAD_BYTES` bytes, or the whole file.

    Returns
    -------
    ``JPEG PNG GIF BMP WebP TIFF PNM AVIF`` or ``HEIF``.

    Raises
    ------
    UnusableImage
        ``empty``; ``unsupported`` for a picture or video format that is not opened here;
        ``not-an-image`` for anything else.
    """
    if not head:
        raise UnusableImage("empty", "the file has no bytes")
    found = _by_start(head, _STARTS) or _by_structure(head)
    if found:
        return found
    known = _by_start(head, _UNSUPPORTED_STARTS) or _unsupported_by_structure(head)
    if known:
        raise UnusableImage("unsupported", f"{known} is not supported; save it as JPEG or PNG")
    raise UnusableImage("not-an-image", f"the content is {_describe(head)}")


def _by_start(head: bytes, starts: tuple[tuple[bytes, str], ...]) -> str | None:
    return next((name for start, name in starts if head.startswith(start)), None)


def _by_structure(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    if head[:1] == b"P" and head[1:2] in b"456" and head[2:3].isspace():
        return "PNM"
    brands = _brands(head)
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIF" if brands & _HEIF_BRANDS else None


def _brands(head: bytes) -> set[bytes]:
    """Return the brands of an ISO base media file (ISO 14496-12, ``ftyp`` box)."""
    if head[4:8] != b"ftyp":
        return set()
    size = min(int.from_bytes(head[:4], "big"), 256)
    compatible = {head[at : at + 4] for at in range(16, size, 4)}
    return compatible | {head[8:12]}


def _unsupported_by_structure(head: bytes) -> str | None:
    if head[4:8] == b"ftyp":
        return "camera raw (CR3)" if head[8:12] == b"crx " else "video (MP4 or QuickTime)"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "video (AVI)"
    if b"<svg" in head[:1024].lower():
        return "SVG"
    return None


def _describe(head: bytes) -> str:
    known = _by_start(head, _OTHER_STARTS)
    if known:
        return known
    start = head[:512].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page (HTML)"
    if not any(head):
        return "nothing but zero bytes"
    return "text" if _is_text(head) else "no known image format"


def _is_text(head: bytes) -> bool:
    try:
        # A character may be cut in two where the head ends.
        text = head[: max(1, len(head) - 3)].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character.isspace() for character in text)


# --- Decoding ----------------------------------------------------------------------------


def decode(data: bytes, *, at_least: int | None = None, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode a photo's bytes to oriented 8-bit pixels.

    EXIF orientation is applied; transparency is laid on white; CMYK becomes RGB; 16-bit
    samples keep their upper 8 bits; of several frames the first is taken.

    Parameters
    ----------
    data
        The whole file.
    at_least
        Allow a JPEG to be decoded at 1/2, 1/4 or 1/8 of its size, as long as its shorter
        side keeps this many pixels. None: full size, every pixel as stored.
    max_pixels
        Refuse larger photos. The header tells the size, so nothing is decoded for that.

    Returns
    -------
    ``(height, width, 1 or 3)`` uint8; 1 channel when the photo is stored as grey.

    Raises
    ------
    UnusableImage
        With a reason of ``intake.json``: ``empty``, ``not-an-image``, ``unsupported``,
        ``too-large``, ``truncated`` or ``unreadable``.
    """
    kind = sniff(data[:HEAD_BYTES])
    opener = _open_heif if kind == "HEIF" else _open_with_pillow
    with _damage_told(kind, data), _quiet():
        image = opener(data, kind)
        _check_size(image.size, max_pixels)
        if kind == "JPEG":
            _check_scans(data, image.size)
        if at_least is not None and isinstance(image, JpegImagePlugin.JpegImageFile):
            image.draft(None, (at_least, at_least))
        with _turn(image.size):
            image.load()
            return _as_pixels(_oriented(image, kind))


def to_pixels(
    payload: bytes | NDArray[np.uint8],
    *,
    at_least: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Pixels:
    """Return pixels of what :meth:`Source.read` gave: file bytes, or an array row.

    Parameters
    ----------
    payload
        A file's bytes, or ``(h, w)``, ``(h, w, 1)`` or ``(h, w, 3)`` uint8.
    at_least, max_pixels
        As for :func:`decode`.

    Raises
    ------
    UnusableImage
        As :func:`decode`; ``unsupported`` for an array of another shape or type.
    """
    if isinstance(payload, (bytes, bytearray, memoryview)):
        return decode(bytes(payload), at_least=at_least, max_pixels=max_pixels)
    pixels = payload[:, :, None] if payload.ndim == 2 else payload
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        raise UnusableImage(
            "unsupported",
            f"expected uint8 pixels of shape (h, w), (h, w, 1) or (h, w, 3), "
            f"found {payload.dtype} {payload.shape}",
        )
    return pixels


@dataclass(frozen=True, slots=True)
class Header:
    """What a photo's file says of itself, besides its pixels.

    Attributes
    ----------
    kind
        As :func:`sniff` tells it.
    camera
        Make and model in EXIF; empty where none are told.
    coarseness
        Mean step of a JPEG's quantisation of brightness, 1 (finest) to 255; NaN otherwise.
    goes_on
        Whether the file ends in the middle, behind a first picture that is whole: a GIF that was
        cut off, or that never ends.
    """

    kind: str
    camera: str = ""
    coarseness: float = float("nan")
    goes_on: bool = False


def header(data: bytes) -> Header:
    """Read a photo's header without decoding its pixels.

    Raises
    ------
    UnusableImage
        As :func:`decode`, for what the header already shows.
    """
    kind = sniff(data[:HEAD_BYTES])
    if kind == "HEIF":
        return Header(kind)
    with _damage_told(kind, data), _quiet():
        image = _open_with_pillow(data, kind)
        # EXIF of a PNG may stand behind its pixels, and reading it would decode them.
        camera = _camera(image) if kind in ("JPEG", "WebP", "TIFF") else ""
        tables: dict[int, list[int]] = getattr(image, "quantization", None) or {}
        coarseness = float(np.mean(tables[0])) if tables.get(0) else float("nan")
        goes_on = kind == "GIF" and not data.rstrip(b"\0").endswith(_ENDS["GIF"])
        return Header(kind, camera, coarseness, goes_on)


def _camera(image: Image.Image) -> str:
    make, model = 0x010F, 0x0110
    try:
        exif = image.getexif()
    except Exception:  # A damaged EXIF block must not cost the photo.
        return ""
    told = (str(exif.get(tag, "")).replace("\0", " ").strip() for tag in (make, model))
    return " ".join(text for text in told if text)[:100]


def _open_with_pillow(data: bytes, kind: str) -> Image.Image:
    if kind == "AVIF" and not features.check("avif"):
        raise UnusableImage(
            "unsupported", "AVIF needs a Pillow that reads it: pip install --upgrade pillow"
        )
    image = Image.open(BytesIO(data), formats=_PILLOW_FORMATS[kind])
    if kind == "TIFF":
        _refuse_camera_raw(image)
    return image


def _open_heif(data: bytes, kind: str) -> Image.Image:
    try:
        pillow_heif = require_extra("pillow_heif", "heif")
    except MissingExtra as error:
        raise UnusableImage("unsupported", f"{kind} photo: {error}") from error
    heif: Any = pillow_heif.open_heif(BytesIO(data))
    _check_size(heif.size, MAX_PIXELS)
    image: Image.Image = heif.to_pillow()
    return image


def _refuse_camera_raw(image: Image.Image) -> None:
    """Refuse DNG, NEF and their like: their first TIFF page is only a thumbnail."""
    tags = getattr(image, "tag_v2", {})
    dng_version, new_subfile_type, sub_ifds = 50706, 254, 330
    is_thumbnail = bool(tags.get(new_subfile_type, 0) & 1) and sub_ifds in tags
    if dng_version in tags or is_thumbnail:
        raise UnusableImage("unsupported", "camera raw is not supported; save it as JPEG or PNG")


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise UnusableImage("unreadable", f"the photo is {width} x {height} pixels")
    if width * height > max_pixels:
        raise UnusableImage(
            "too-large", f"{width} x {height} is {width * height:,} pixels; at most {max_pixels:,}"
        )


MOST_WORK = 30 * MAX_PIXELS
"""Most pixels times scans of a JPEG. A progressive photo has some ten scans; a file of 40 KB can
hold thousands over millions of pixels, and each costs as much as a small photo."""


def _check_scans(data: bytes, size: tuple[int, int]) -> None:
    # Inside a scan every 0xFF is followed by 0 or a restart marker, so these start scans.
    scans = data.count(b"\xff\xda")
    if scans * size[0] * size[1] > MOST_WORK:
        raise UnusableImage(
            "too-large", f"JPEG: {scans:,} scans over {size[0]} x {size[1]} pixels take too long"
        )


LARGE = 1 << 26
"""Pixels above which photos are decoded one at a time, in whatever threads: each takes up to 2.5 GB
of memory on the way."""

_ONE_AT_A_TIME = threading.Lock()


def _turn(size: tuple[int, int]) -> AbstractContextManager[Any]:
    return _ONE_AT_A_TIME if size[0] * size[1] > LARGE else nullcontext()


_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _oriented(image: Image.Image, kind: str) -> Image.Image:
    # libheif and Pillow's TIFF reader have turned the photo already.
    if kind in ("HEIF", "TIFF"):
        return image
    try:
        orientation = image.getexif().get(0x0112)
    except Exception:  # A damaged EXIF block must not cost the photo.
        orientation = None
    method = _TRANSPOSE.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(method)


def _as_pixels(image: Image.Image) -> Pixels:
    image = _to_eight_bits(image)
    if not {"A", "a"}.isdisjoint(image.getbands()) or "transparency" in image.info:
        image = _on_white(image)
    elif image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    pixels: Pixels = np.array(image, dtype=np.uint8)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Keep the upper 8 bits of deeper grey samples, as Pillow does for 16-bit RGB."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        samples = np.asarray(image).astype(np.int64)
        return Image.fromarray((samples >> (_bits(image) - 8)).clip(0, 255).astype(np.uint8))
    if image.mode in ("I", "F", "LAB"):
        raise UnusableImage(
            "unsupported", f"{image.mode} pixels have no defined grey range; save as 8- or 16-bit"
        )
    return image


def _bits(image: Image.Image) -> int:
    """Return bits per sample: a TIFF says it (12-bit scanners), all others have 16."""
    stated = getattr(image, "tag_v2", {}).get(258, (16,))
    return int(stated[0] if isinstance(stated, tuple) else stated)


def _on_white(image: Image.Image) -> Image.Image:
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    result = Image.new(mode, image.size)
    # In bands: whole copies of a large photo with 4 channels would take 3 GB.
    for top in range(0, image.height, _BAND):
        box = (0, top, image.width, min(top + _BAND, image.height))
        rgba = image.crop(box).convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        result.paste(Image.alpha_composite(white, rgba).convert(mode), box)
    return result


_BAND = 1024
"""Rows laid on white at a time."""


# --- Decoders misbehave: keep that inside ------------------------------------------------


@contextmanager
def _damage_told(kind: str, data: bytes) -> Iterator[None]:
    """Turn whatever a decoder raises on damaged bytes into :class:`UnusableImage`."""
    try:
        yield
    except UnusableImage:
        raise
    except Image.DecompressionBombError as error:
        raise UnusableImage("too-large", str(error)) from error
    except MemoryError as error:
        raise UnusableImage("too-large", "not enough memory to decode it") from error
    except Exception as error:  # Decoders raise OSError, SyntaxError, struct.error, KeyError …
        raise UnusableImage(_damage(kind, data, error), f"{kind}: {_one_line(error)}") from error


_TRUNCATION_WORDS = ("truncated", "eof", "end of", "not enough", "incomplete", "premature")

_ENDS: dict[str, bytes] = {"JPEG": b"\xff\xd9", "PNG": b"IEND", "GIF": b";"}


def _damage(kind: str, data: bytes, error: Exception) -> Reason:
    """Return ``truncated`` where the file's end is missing, else ``unreadable``."""
    text = str(error).lower()
    if any(word in text for word in _TRUNCATION_WORDS):
        return "truncated"
    if kind in _ENDS and _ENDS[kind] not in data[-16:]:
        return "truncated"
    if kind == "WebP" and int.from_bytes(data[4:8], "little") + 8 > len(data):
        return "truncated"
    return "unreadable"


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    if not text or "cannot identify image file" in text:
        return "the file is damaged, or stored in a rare way"
    return text[:200]


class _Quiet:
    """Hide Pillow's warnings while any thread decodes.

    ``warnings.catch_warnings`` swaps the process-wide filters and so must not be nested
    across threads. One filter of our own, put in by the first and taken out by the last, can.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filter: Any = None

    def enter(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                warnings.filterwarnings("ignore", module=r"PIL\b")
                self._filter = warnings.filters[0]

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                filters: Any = warnings.filters
                with suppress(ValueError):
                    filters.remove(self._filter)


_QUIET = _Quiet()


@contextmanager
def _quiet() -> Iterator[None]:
    _QUIET.enter()
    try:
        yield
    finally:
        _QUIET.leave()


# --- Identity ----------------------------------------------------------------------------


def array_sha256(array: NDArray[Any]) -> str:
    """Return the SHA-256 of an array row: of dtype, shape and pixels, hexadecimal."""
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def pixel_hash(pixels: Pixels) -> str:
    """Return a hash that is equal for photos that decode to equal pixels, hexadecimal.

    Grey stored as RGB (three equal channels) counts as grey, so a grey PNG and its RGB copy
    are equal.
    """
    if pixels.shape[2] == 3 and _is_grey(pixels):
        pixels = pixels[:, :, :1]
    height, width, channels = pixels.shape
    digest = hashlib.sha256(f"{height} {width} {channels} ".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def _is_grey(pixels: Pixels) -> bool:
    # A few rows settle nearly every colour photo.
    for part in (pixels[:: max(1, len(pixels) // 8)], pixels):
        red, green, blue = part[:, :, 0], part[:, :, 1], part[:, :, 2]
        if not (np.array_equal(red, green) and np.array_equal(green, blue)):
            return False
    return True


def signature(pixels: Pixels) -> bytes | None:
    """Return a small grey picture for near-duplicate search.

    Returns
    -------
    ``SIGNATURE_SIZE``² uint8 values, row by row: the photo in grey, squashed to a square by
    averaging areas (of a large photo, every n-th row and column, at least 256 pixels for
    each value). None for a photo with a side below :data:`SIGNATURE_LEAST`.
    """
    height, width, channels = pixels.shape
    if min(height, width) < SIGNATURE_LEAST:
        return None
    # Copying all of a 12-megapixel photo into Pillow would cost 50 ms; this costs 3.
    step = max(1, min(height, width) // (16 * SIGNATURE_SIZE))
    sample = np.ascontiguousarray(pixels[::step, ::step])
    grey = Image.fromarray(sample[:, :, 0] if channels == 1 else sample).convert("L")
    size = (SIGNATURE_SIZE, SIGNATURE_SIZE)
    return grey.resize(size, Image.Resampling.BOX).tobytes()


def image_bytes(image: Image.Image) -> bytes:
    """Return a Pillow image as a file, so that transparency and orientation are met as usual."""
    stream = BytesIO()
    in_png = image.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
    image.save(stream, "PNG" if in_png else "TIFF", exif=image.getexif())
    return stream.getvalue()


def encoded_file(path: str, payload: bytes | Pixels) -> tuple[str, bytes]:
    """Return a file name and contents for a photo: its own file, or a PNG of array rows."""
    if isinstance(payload, bytes):
        return path.rpartition("!/")[2].rpartition("/")[2], payload
    pixels = to_pixels(payload)
    buffer = BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG")
    return re.sub(r"[^\w.-]+", "-", path.rpartition("#")[2]) + ".png", buffer.getvalue()
