"""What a report shows of photos: mistakes, their neighbours, where a model looked, samples.

Made once, at the end of ``compare``, while the photos are at hand, and kept in the run folder
as ``evidence.json`` and ``pictures.zip``. A report is made from these alone, long after the
photos have moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from pegboard.errors import RunFolderError
from pegboard.models.layer_row import LayerRow
from pegboard.photos import Pixels
from pegboard.pictures import decode_rgb, read_pictures, write_pictures
from pegboard.runs import RunFolder, read_json, write_json

FORMAT = 1


@dataclass(frozen=True)
class Neighbour:
    """A training photo that is like another photo.

    Attributes
    ----------
    path, label
        As in the manifest.
    similarity
        Cosine, -1 to 1, of what :attr:`Evidence.neighbours_by` names.
    """

    path: str
    label: str
    similarity: float


@dataclass(frozen=True)
class Mistake:
    """A test photo that a model got wrong.

    Attributes
    ----------
    path
        As in the manifest.
    neighbours
        The training photos most like it, most alike first; () where none were sought.
    heat
        Picture: the photo as the model saw it, coloured where its wrong answer came from;
        None where there was no time for it.
    """

    path: str
    neighbours: tuple[Neighbour, ...] = ()
    heat: str | None = None


@dataclass(frozen=True)
class Views:
    """Pictures of one photo."""

    path: str
    pictures: tuple[str, ...]


@dataclass(frozen=True)
class ModelEvidence:
    """What there is to show of one model.

    Attributes
    ----------
    layers
        The network, layer by layer.
    seen
        Training photos of a few classes as the model sees them, one picture each.
    augmented
        A few of them as training changes them at random; () when the recipe does not.
    mistakes
        Wrong answers to test photos, most confident first.
    """

    layers: tuple[LayerRow, ...] = ()
    seen: tuple[Views, ...] = ()
    augmented: tuple[Views, ...] = ()
    mistakes: tuple[Mistake, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """What there is to show of a run's photos.

    Attributes
    ----------
    thumbnails
        Picture of each photo that is named anywhere here, and of every misclassified test
        photo, up to a bound: by path.
    samples
        Paths of some training photos of each class.
    models
        By name as typed.
    duplicates
        Some of the groups of photos that had to stay in one split (copies, near copies, or a
        group of the user's): their paths, two or more each.
    neighbours_by
        In words: what neighbours were compared by, or why there are none.
    notes
        What was left out, and why.
    pictures
        Encoded pictures by name.
    """

    thumbnails: Mapping[str, str] = field(default_factory=dict)
    samples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    models: Mapping[str, ModelEvidence] = field(default_factory=dict)
    duplicates: tuple[tuple[str, ...], ...] = ()
    neighbours_by: str = ""
    notes: tuple[str, ...] = ()
    pictures: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, folder: RunFolder) -> Evidence | None:
        """Return the evidence of a run, or None when it has none (or its pictures were removed).

        Raises
        ------
        RunFolderError
            When a file was damaged or altered, or was written by a newer pegboard.
        """
        if not folder.evidence.exists() or not folder.pictures.exists():
            return None
        data = read_json(folder.evidence)
        found = data.get("format") if isinstance(data, dict) else None
        if isinstance(found, int) and found > FORMAT:
            raise RunFolderError(
                f"{folder.evidence} has format {found} and this pegboard reads up to {FORMAT}; "
                "update pegboard: pip install --upgrade pegboard"
            )
        try:
            evidence = _parse(data, read_pictures(folder.pictures))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunFolderError(
                f"{folder.evidence} is not what pegboard wrote ({error!r}); remove it to have a "
                "report without pictures, or compare again"
            ) from error
        evidence.check(folder)
        return evidence

    def write(self, folder: RunFolder) -> None:
        """Write ``pictures.zip``, then ``evidence.json``: what is named is there."""
        remove(folder)
        write_pictures(folder.pictures, self.pictures)
        plain = {name: getattr(self, name) for name in _PLAIN}
        models = {name: asdict(model) for name, model in self.models.items()}
        write_json(folder.evidence, {"format": FORMAT, **plain, "models": models})

    def picture(self, name: str) -> bytes:
        """Return an encoded picture (WebP).

        Raises
        ------
        KeyError
            When there is no picture of this name.
        """
        return self.pictures[name]

    def pixels(self, name: str) -> Pixels:
        """Return a picture as ``(H, W, 3)`` uint8.

        Raises
        ------
        KeyError
            When there is no picture of this name.
        """
        return decode_rgb(self.pictures[name])

    def check(self, folder: RunFolder) -> None:
        """Refuse evidence that names a picture which is not there.

        Raises
        ------
        RunFolderError
            Naming the two files that do not belong together.
        """
        missing = self._named() - self.pictures.keys()
        if missing:
            raise RunFolderError(
                f"{folder.pictures} lacks {len(missing)} of the pictures that "
                f"{folder.evidence.name} names; remove both to have a report without pictures, "
                "or compare again"
            )

    def _named(self) -> set[str]:
        named = set(self.thumbnails.values())
        for model in self.models.values():
            for views in (*model.seen, *model.augmented):
                named |= set(views.pictures)
            named |= {mistake.heat for mistake in model.mistakes if mistake.heat is not None}
        return named


_PLAIN = ("thumbnails", "samples", "duplicates", "neighbours_by", "notes")


def remove(folder: RunFolder) -> None:
    """Remove the evidence of a run, as before it is made anew."""
    for file in (folder.evidence, folder.pictures):
        with suppress(OSError):
            file.unlink(missing_ok=True)


def _parse(data: Mapping[str, Any], pictures: Mapping[str, bytes]) -> Evidence:
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']!r}")
    return Evidence(
        thumbnails={str(path): str(name) for path, name in data["thumbnails"].items()},
        samples={label: _texts(paths) for label, paths in data["samples"].items()},
        models={name: _model(model) for name, model in data["models"].items()},
        duplicates=tuple(_texts(group) for group in data["duplicates"]),
        neighbours_by=str(data["neighbours_by"]),
        notes=_texts(data["notes"]),
        pictures=pictures,
    )


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(str(value) for value in values)


def _model(data: Mapping[str, Any]) -> ModelEvidence:
    return ModelEvidence(
        layers=tuple(
            LayerRow(**(row | {"output_shape": tuple(row["output_shape"])}))
            for row in data["layers"]
        ),
        seen=tuple(_views(views) for views in data["seen"]),
        augmented=tuple(_views(views) for views in data["augmented"]),
        mistakes=tuple(_mistake(mistake) for mistake in data["mistakes"]),
    )


def _views(data: Mapping[str, Any]) -> Views:
    return Views(data["path"], _texts(data["pictures"]))


def _mistake(data: Mapping[str, Any]) -> Mistake:
    neighbours = tuple(Neighbour(**neighbour) for neighbour in data["neighbours"])
    return Mistake(data["path"], neighbours, data["heat"])
