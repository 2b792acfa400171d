"""What is written where: tidy class folders, or a folder as people really hand it in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageEnhance

from pegboard.examples.studio import photograph
from pegboard.examples.tools import TOOLS, Generator

UNEVEN = {
    "drill": 0.9, "hammer": 1.3, "ladder": 0.6, "pliers": 1.2,
    "saw": 0.8, "screwdriver": 1.4, "tape_measure": 0.7, "wrench": 1.1,
}  # fmt: skip
"""How many photos an untidy folder has of each tool, relative to ``per_class``; the mean is 1."""

OTHER_SPELLING = {"pliers": "Pliers"}
"""Of this class every third photo lies in a folder with another spelling."""

# One photo in so many, with which of them. The steps share few factors, so that accidents fall
# on all classes.
_PNG, _MISNAMED_PNG = (13, 4), (37, 12)
_TURNED = (7, 5)
_COPIED, _SHOT_TWICE, _UNDER_TWO_LABELS = (19, 3), (11, 6), (83, 30)
_WRONG_LABEL = (23, 9)

_ORIENTATION = 0x0112
_TURNS = {
    # EXIF orientation, and the turn that undoes what a viewer does for it
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
    3: Image.Transpose.ROTATE_180,
}
_ENDINGS = ("jpg", "jpg", "JPG", "jpeg")


@dataclass(frozen=True)
class ExampleFile:
    """One file to write.

    Attributes
    ----------
    path
        Relative to the folder, with ``/``.
    tool
        What is truly on it; empty where nothing is.
    what
        ``photo``, ``copy``, ``second-shot``, ``wrong-label``, ``two-labels``, ``rare-class``,
        ``truncated``, ``empty``, ``not-an-image`` or ``hidden``.
    other_path
        The photo it was made from, if any.
    """

    path: str
    data: bytes
    tool: str
    what: str = "photo"
    other_path: str = ""


def count_photos(per_class: int, *, untidy: bool) -> dict[str, int]:
    """Return how many photos are taken of each tool."""
    if not untidy:
        return dict.fromkeys(TOOLS, per_class)
    return {name: max(3, round(per_class * UNEVEN[name])) for name in TOOLS}


def tidy_files(per_class: int, seed: int, size: int) -> Iterator[ExampleFile]:
    """Yield ``per_class`` JPEG photos of every tool, all of them right."""
    for number, name in enumerate(TOOLS):
        for index in range(per_class):
            rng = np.random.default_rng((seed, number, index))
            photo = photograph(name, rng, size)
            yield ExampleFile(f"{name}/{_name(number, index)}.jpg", _jpeg(photo, rng), name)


def untidy_files(per_class: int, seed: int, size: int) -> Iterator[ExampleFile]:
    """Yield photos of every tool and what happens to folders of photos in real life."""
    taken = 0
    for number, (name, count) in enumerate(count_photos(per_class, untidy=True).items()):
        for index in range(count):
            rng = np.random.default_rng((seed, number, index))
            yield from _untidy_photo(name, number, index, taken, rng, size)
            taken += 1
    yield from _not_photos(seed, size)


def _name(number: int, index: int) -> str:
    return f"IMG_{number * 1000 + index + 1:04d}"


def _due(taken: int, every: tuple[int, int]) -> bool:
    return taken % every[0] == every[1]


def _untidy_photo(
    name: str, number: int, index: int, taken: int, rng: Generator, size: int
) -> Iterator[ExampleFile]:
    photo = photograph(name, rng, size)
    label, what = _label(name, index), "photo"
    if _due(taken, _WRONG_LABEL):
        label, what = _another(name, rng), "wrong-label"
    stem = f"{label}/{_name(number, index)}"
    path, data = _saved(photo, stem, taken, rng)
    yield ExampleFile(path, data, name, what)
    ending = path.rpartition(".")[2]
    if _due(taken, _COPIED):
        yield ExampleFile(f"{stem} (1).{ending}", data, name, "copy", path)
    if _due(taken, _SHOT_TWICE):
        again = _jpeg(_second_shot(photo, rng), rng)
        yield ExampleFile(f"{stem}_BURST2.jpg", again, name, "second-shot", path)
    if _due(taken, _UNDER_TWO_LABELS):
        other = f"{_another(name, rng)}/{_name(number, index)}.{ending}"
        yield ExampleFile(other, data, name, "two-labels", path)


def _label(name: str, index: int) -> str:
    return OTHER_SPELLING.get(name, name) if index % 3 == 2 else name


def _another(name: str, rng: Generator) -> str:
    others = [other for other in TOOLS if other != name]
    return others[rng.integers(len(others))]


def _saved(photo: Image.Image, stem: str, taken: int, rng: Generator) -> tuple[str, bytes]:
    """Encode as phones and people do: JPEG mostly, some turned, some PNG, some misnamed."""
    ending = _ENDINGS[rng.integers(len(_ENDINGS))]
    if _due(taken, _PNG):
        return f"{stem}.png", _png(photo)
    if _due(taken, _MISNAMED_PNG):
        return f"{stem}.{ending}", _png(photo)
    orientation = list(_TURNS)[rng.integers(len(_TURNS))] if _due(taken, _TURNED) else None
    return f"{stem}.{ending}", _jpeg(photo, rng, orientation)


def _jpeg(photo: Image.Image, rng: Generator, orientation: int | None = None) -> bytes:
    """Encode at a random quality, the pixels turned as the EXIF orientation says."""
    exif = Image.Exif()
    if orientation is not None:
        photo = photo.transpose(_TURNS[orientation])
        exif[_ORIENTATION] = orientation
    stream = BytesIO()
    photo.save(stream, "JPEG", quality=int(rng.integers(40, 93)), exif=exif)
    return stream.getvalue()


def _png(photo: Image.Image) -> bytes:
    stream = BytesIO()
    photo.save(stream, "PNG")
    return stream.getvalue()


def _second_shot(photo: Image.Image, rng: Generator) -> Image.Image:
    """Return the same scene a moment later: a little nearer, a little lighter or darker."""
    width, height = photo.size
    cut = int(rng.integers(1, max(2, min(width, height) // 80 + 1)))
    nearer = photo.crop((cut, cut, width - cut, height - cut)).resize(photo.size)
    return ImageEnhance.Brightness(nearer).enhance(float(rng.uniform(0.85, 1.15)))


def _not_photos(seed: int, size: int) -> Iterator[ExampleFile]:
    """Yield what is no usable photo, and a folder with too few of them."""
    rng = np.random.default_rng((seed, len(TOOLS)))
    whole = _jpeg(photograph("hammer", rng, size), rng)
    yield ExampleFile("hammer/IMG_1900.jpg", whole[: len(whole) * 2 // 3], "", "truncated")
    yield ExampleFile("saw/IMG_4900.jpg", b"", "", "empty")
    notes = b"The drills are Ada's. Ask before you borrow the long ladder.\n"
    yield ExampleFile("notes.txt", notes, "", "not-an-image")
    yield ExampleFile("wrench/sizes.csv", b"photo,size\nIMG_7001,13\n", "", "not-an-image")
    yield ExampleFile("wrench/.IMG_7001.jpg.part", whole[:200], "", "hidden")
    for index, name in enumerate(("saw", "pliers")):
        data = _jpeg(photograph(name, rng, size), rng)
        yield ExampleFile(f"to sort/IMG_99{index:02d}.jpg", data, name, "rare-class")
