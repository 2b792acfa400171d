"""Sources that have a name: the built-in digits, and three downloaded when named."""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import numpy as np

from pegboard.cache import cache_folder
from pegboard.errors import SourceError
from pegboard.photos import Source, SplitName
from pegboard.sources.arrays import ArraySource, Block
from pegboard.sources.idx import open_idx

TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Download:
    """One published file: where it is, its size in bytes and its MD5 as published."""

    url: str
    size: int
    md5: str

    @property
    def file_name(self) -> str:
        """The last part of the address."""
        return self.url.rsplit("/", 1)[-1]


def open_digits() -> ArraySource:
    """Return the 1,797 handwritten digits (8 x 8, grey) that scikit-learn ships.

    Values 0 to 16 are scaled to 0 to 255.
    """
    from sklearn.datasets import load_digits  # noqa: PLC0415  (slow to import)

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = [str(int(label)) for label in bunch.target]
    return ArraySource("digits", "digits", [Block("digits#", images, labels)])


# Y. LeCun, C. Cortes, C. Burges: The MNIST database of handwritten digits.
_MNIST_BASE = "https://ossci-datasets.s3.amazonaws.com/mnist/"
MNIST = (
    Download(
        _MNIST_BASE + "train-images-idx3-ubyte.gz", 9912422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"
    ),
    Download(_MNIST_BASE + "train-labels-idx1-ubyte.gz", 28881, "d53e105ee54ea40749a09fcbcd1e9432"),
    Download(
        _MNIST_BASE + "t10k-images-idx3-ubyte.gz", 1648877, "9fb629c4189551a2d022fa330f9573f3"
    ),
    Download(_MNIST_BASE + "t10k-labels-idx1-ubyte.gz", 4542, "ec29112dd5afa0611ce80d1b7f02629c"),
)

# H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST, 2017 (MIT licence).
_FASHION_BASE = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"
)
FASHION_MNIST = (
    Download(
        _FASHION_BASE + "train-images-idx3-ubyte.gz", 26421880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"
    ),
    Download(
        _FASHION_BASE + "train-labels-idx1-ubyte.gz", 29515, "25c81989df183df01b3e8a0aad5dffbe"
    ),
    Download(
        _FASHION_BASE + "t10k-images-idx3-ubyte.gz", 4422102, "bef4ecab320f06d8554ea6380940ec79"
    ),
    Download(_FASHION_BASE + "t10k-labels-idx1-ubyte.gz", 5148, "bb300cfdad3c16e7a12a480ee83cd310"),
)
_FASHION_CLASSES = (
    "T-shirt",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

# A. Krizhevsky: Learning multiple layers of features from tiny images, 2009. The binary
# version: the Python one is a pickle.
CIFAR10 = Download(
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    170052171,
    "c32a1d4ab5d03f1284b67883e8d87530",
)
_CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


def _open_idx_downloads(
    name: str, downloads: tuple[Download, ...], classes: tuple[str, ...] | None = None
) -> ArraySource:
    folder = cache_folder() / "datasets" / name
    for download in downloads:
        fetch(download, folder, name=name)
    source = open_idx(folder)
    return source.renamed(name, classes)


def open_cifar10(archive: Path) -> ArraySource:
    """Open the binary version of CIFAR-10.

    Each record is a label byte and 3 x 32 x 32 bytes, plane by plane.

    Raises
    ------
    SourceError
        When the archive does not hold what is expected.
    """
    train = b"".join(_read_member(archive, f"data_batch_{part}.bin") for part in range(1, 6))
    test = _read_member(archive, "test_batch.bin")
    blocks = [_cifar_block("train", train), _cifar_block("test", test)]
    return ArraySource("cifar10", "cifar10", blocks)


def _cifar_block(split: SplitName, data: bytes) -> Block:
    records = np.frombuffer(data, dtype=np.uint8).reshape(-1, 1 + 3 * 32 * 32)
    images = np.ascontiguousarray(np.moveaxis(records[:, 1:].reshape(-1, 3, 32, 32), 1, 3))
    labels = [_CIFAR10_CLASSES[label] for label in records[:, 0].tolist()]
    return Block(f"cifar10#{split}/", images, labels, split)


def _read_member(archive: Path, name: str) -> bytes:
    try:
        with tarfile.open(archive) as opened:
            for info in opened:
                if info.isreg() and info.name.endswith("/" + name):
                    content = opened.extractfile(info)
                    return content.read() if content else b""
    except (OSError, EOFError, tarfile.TarError) as error:
        raise SourceError(f"{archive} cannot be read: {error}; delete it and try again") from error
    raise SourceError(f"{archive} holds no {name}; delete it and try again")


def _download_cifar10() -> ArraySource:
    return open_cifar10(fetch(CIFAR10, cache_folder() / "datasets" / "cifar10", name="cifar10"))


def fetch(download: Download, folder: Path, *, name: str) -> Path:
    """Return a published file from the cache, downloading it the first time.

    The file appears under its name only when size and checksum are right.

    Raises
    ------
    SourceError
        When there is no connection, the server refuses, or another file arrives.
    """
    file = folder / download.file_name
    if file.exists() and file.stat().st_size == download.size:
        return file
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as part:
            try:
                _download(download, part.write)
                part.close()
                os.replace(part.name, file)  # noqa: PTH105  (the rename is the commit)
            finally:
                Path(part.name).unlink(missing_ok=True)
    except (OSError, HTTPException) as error:
        raise SourceError(
            f"{name} could not be downloaded from {download.url} ({error}); connect to the "
            f"network, or put the file into {folder}, or name your own copy as the source"
        ) from error
    return file


def _download(download: Download, write: Callable[[bytes], object]) -> None:
    digest = hashlib.md5(usedforsecurity=False)  # what the publishers give
    size = 0
    with urllib.request.urlopen(  # noqa: S310  (one of the addresses above, all https)  # nosec B310
        download.url, timeout=TIMEOUT_SECONDS
    ) as response:
        while chunk := response.read(2**20):
            size += len(chunk)
            if size > download.size:
                break
            digest.update(chunk)
            write(chunk)
    if size != download.size or digest.hexdigest() != download.md5:
        raise OSError(f"another file arrived: {size:,} bytes, not {download.size:,} as published")


BUILTIN: dict[str, Callable[[], Source]] = {
    "digits": open_digits,
    "mnist": lambda: _open_idx_downloads("mnist", MNIST),
    "fashion-mnist": lambda: _open_idx_downloads("fashion-mnist", FASHION_MNIST, _FASHION_CLASSES),
    "cifar10": _download_cifar10,
}
"""Sources by name; ``digits`` needs no network."""
