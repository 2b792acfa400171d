"""Corrections that people gave with their photos: class folders, and one line for each.

A photo is stored only when its sender agreed. It is drawn anew from its pixels, so nothing that
its file said of place, time or camera is kept. The folder is a source like any other
(``pegboard check DIR``): it holds class folders, and beside them one hidden file of lines.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from pegboard.errors import InputError, PegboardError, UnusableImage
from pegboard.files import write_bytes_atomically
from pegboard.images import HEAD_BYTES, decode, sniff
from pegboard.photos import Pixels
from pegboard.rows import Prediction
from pegboard.serve.models import Model
from pegboard.sources.base import class_label
from pegboard.trees import class_folders, portable_name

LOG = ".feedback.jsonl"
LONGEST_NAME = 80
LONGEST_NAME_BYTES = 240
"""Of a name in UTF-8: disks allow 255."""

MOST_BYTES = 4 << 30
"""Of all photos that one server stores: a page must not fill a disk."""

_BLOCK = 4096
"""What the smallest file takes of a disk; a photo of one pixel has 70 bytes."""

_LOSSY = frozenset(("JPEG", "WebP", "HEIF", "AVIF"))
_QUALITY = 95


class FolderFull(PegboardError):
    """As much is stored as may be."""


class Feedback:
    """Stores photos and what their senders say they are; safe to use from several threads.

    Parameters
    ----------
    folder
        Made when it is not there.
    pixels
        Most pixels of a photo.
    most
        Bytes stored in all.

    Raises
    ------
    PegboardError
        When the folder cannot be written.
    """

    def __init__(self, folder: Path, pixels: int, most: int = MOST_BYTES) -> None:
        self._folder = folder
        self._pixels = pixels
        self._most = most
        self._lock = threading.Lock()
        self._drawing = threading.Lock()  # one at a time: a photo of 50 megapixels takes 300 MB
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / LOG).open("ab"):
                pass
            self._stored = sum(_taken(file.stat().st_size) for file in folder.glob("*/*"))
        except OSError as error:
            raise PegboardError(
                f"--feedback {folder} cannot be written: {error.strerror}"
            ) from error

    def store(self, payload: bytes, label: str, model: Model, answer: Prediction) -> str:
        """Store a photo in the folder of its class; return its path in the folder.

        Raises
        ------
        UnusableImage
            When it is no photo.
        InputError
            When the class cannot name a folder.
        FolderFull
            When enough is stored.
        PegboardError
            When it cannot be written.
        """
        label = checked_label(label)
        with self._drawing:
            data, suffix = _drawn_anew(payload, self._pixels)
        now = datetime.now(UTC)
        digest = hashlib.sha256(data).hexdigest()
        folder = _folder_of(label, model.predictor.info.classes)
        path = f"{folder}/{now:%Y%m%d-%H%M%S}-{digest[:12]}{suffix}"
        line = {
            "time": now.isoformat(timespec="seconds"),
            "path": path,
            "sha256": digest,
            "label": label,
            "predicted": answer.label,
            "probability": answer.probability,
            "decision": answer.decision,
            "model": model.name,
            "model_sha256": model.sha256,
            "consent": True,
        }
        with self._lock:
            if self._stored + _taken(len(data)) > self._most:
                raise FolderFull("as many corrections are stored as there is room for")
            self._write(path, data, json.dumps(line, ensure_ascii=False))
            self._stored += _taken(len(data))
        return path

    def _write(self, path: str, data: bytes, line: str) -> None:
        target = self._folder / path
        try:
            target.parent.mkdir(exist_ok=True)
            write_bytes_atomically(target, data)
            try:
                _append(self._folder / LOG, line.encode("utf-8", "replace") + b"\n")
            except OSError:
                target.unlink(missing_ok=True)  # both, or neither
                raise
        except OSError as error:
            raise PegboardError(f"the correction was not stored: {error.strerror}") from error


def _append(log: Path, line: bytes) -> None:
    """Add a whole line to a file, or nothing."""
    with log.open("ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        try:
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                file.truncate(before)
            raise


def _taken(size: int) -> int:
    """Return what a file of some bytes takes of a disk."""
    return -(-max(size, 1) // _BLOCK) * _BLOCK


def checked_label(label: str) -> str:
    """Return a class's name as folders are named.

    Raises
    ------
    InputError
        When it is none.
    """
    label = class_label(label.strip())
    is_long = len(label) > LONGEST_NAME or len(label.encode()) > LONGEST_NAME_BYTES
    if not label or is_long or not label.isprintable():
        raise InputError(f"expected the name of a class, of up to {LONGEST_NAME} characters")
    return label


def _folder_of(label: str, classes: Sequence[str]) -> str:
    """Return the folder of a class; a new one has to be fit for a folder as it is."""
    if label in classes:
        return class_folders(set(classes))[label]
    if portable_name(label) != label or label in class_folders(set(classes)).values():
        raise InputError(
            "expected a name that a folder can have on any system: no dot at its ends, no slash, "
            'none of <>:"|?*'
        )
    return label


def _drawn_anew(payload: bytes, pixels: int) -> tuple[bytes, str]:
    """Return a photo's pixels as a file of their own, and its ending.

    A picture that lost nothing so far loses nothing now; of a JPEG the difference is not seen.
    """
    kind = sniff(payload[:HEAD_BYTES])
    image = _image(decode(payload, max_pixels=pixels))
    stream = io.BytesIO()
    if kind in _LOSSY:
        image.save(stream, "JPEG", quality=_QUALITY, subsampling=0)
        return stream.getvalue(), ".jpg"
    image.save(stream, "PNG")
    return stream.getvalue(), ".png"


def _image(pixels: Pixels) -> Image.Image:
    if not pixels.size:
        raise UnusableImage("empty", "the photo has no pixels")
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
