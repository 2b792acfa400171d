"""Which photos were checked: what others need to find a photo's features again."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from pegboard.errors import PegboardError
from pegboard.files import atomic_path
from pegboard.photos import Photo

COLUMNS = ("path", "label", "sha256", "pixels")

_WRITING = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}


def write_photos(path: Path, photos: Iterable[Photo]) -> None:
    """Write ``photos.csv``, whole or not at all."""
    with atomic_path(path) as temporary, temporary.open("w", **_WRITING) as file:  # type: ignore[call-overload]
        # All quoted: the csv module writes a lone carriage return so that it cannot be read back.
        table = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        table.writerow(COLUMNS)
        table.writerows([getattr(photo, name) for name in COLUMNS] for photo in photos)


def read_photos(path: Path) -> list[Photo]:
    """Read ``photos.csv``; size, split and group of the photos are not known from it.

    Raises
    ------
    PegboardError
        When it is missing or something else.
    """
    try:
        with path.open("r", **_WRITING) as file:  # type: ignore[call-overload]
            return [
                Photo(row["path"], row["label"], None, None, row["sha256"], row["pixels"], 0, 0, 3)
                for row in csv.DictReader(file)
            ]
    except OSError as error:
        raise PegboardError(f"{path} cannot be read: {error.strerror}") from error
    except (csv.Error, KeyError, UnicodeDecodeError) as error:
        raise PegboardError(f"{path} is not a table of photos ({error}); check again") from error
