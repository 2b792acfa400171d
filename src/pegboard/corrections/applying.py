"""Corrections applied to photos when they are taken in."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from pegboard.corrections.ledger import Ledger
from pegboard.corrections.lines import Correction
from pegboard.errors import PegboardError
from pegboard.photos import Intake, LeftOut, Photo
from pegboard.sources.base import class_label

_ABOUT_COPIES = frozenset(("duplicate", "label-conflict", "leak"))
"""Findings that name one of equal files: the reason of a decision begins with the finding."""


def apply_corrections(
    intake: Intake,
    corrections: Sequence[Correction],
    *,
    merge: Mapping[str, str] | None = None,
    exclude: Collection[str] = (),
) -> Intake:
    """Return the intake with labels corrected and dropped photos left out.

    A photo is found by its checksum, so it may have moved; one whose checksum is not given, by
    its path. A label decided on holds for all copies (equal files, equal pixels) about which
    nothing else was decided; a drop, for equal files under the same label. Photos said to show
    the same object get one group, so that no split parts them.

    Parameters
    ----------
    merge, exclude
        As for intake: they hold for corrected labels too.

    Raises
    ------
    PegboardError
        When a label decided on is not text, and no class of the photos is called that.
    """
    decisions = _Decisions(corrections, intake.photos)
    merged = {class_label(name): class_label(into) for name, into in (merge or {}).items()}
    excluded = {class_label(name) for name in exclude}
    found = [decisions.about(photo) for photo in intake.photos]
    labels = _decided_labels(intake.photos, found, merged)
    _refuse_garbled(set(labels) - {photo.label for photo in intake.photos})
    of_pixels = _labels_by_pixels(intake.photos, labels)
    photos: list[Photo] = []
    left_out = list(intake.left_out)
    used: Counter[str] = Counter(decision.action for decision in found if decision)
    for photo, decision, decided in zip(intake.photos, found, labels, strict=True):
        copies = of_pixels.get(photo.pixels, set())
        label = decided or (next(iter(copies)) if len(copies) == 1 else photo.label)
        if decision and decision.action == "drop":
            left_out.append(LeftOut(photo.path, "excluded", "dropped by a correction"))
        elif label != photo.label and label in excluded:
            left_out.append(LeftOut(photo.path, "excluded", f"class {label} is excluded"))
        else:
            photos.append(photo if label == photo.label else replace(photo, label=label))
    photos = _grouped(photos, decisions.same_objects)
    told = _told(used, decisions.unused(intake.photos))
    return replace(intake, photos=photos, left_out=left_out, warnings=[*intake.warnings, *told])


def _decided_labels(
    photos: Sequence[Photo], found: Sequence[Correction | None], merge: Mapping[str, str]
) -> list[str]:
    """Return the label decided on for each photo, empty where none is."""
    kept = {
        photo.pixels
        for photo, decision in zip(photos, found, strict=True)
        if decision and decision.action == "keep"
    }
    present = {(photo.pixels, photo.label) for photo in photos if photo.pixels in kept}
    labels = []
    for photo, decision in zip(photos, found, strict=True):
        label = _merged(decision.label, merge) if decision and decision.action != "drop" else ""
        # A photo confirmed in one class and moved to another since is where its owner wants it.
        if decision and decision.action == "keep" and (photo.pixels, label) not in present:
            label = ""
        labels.append(label)
    return labels


def _refuse_garbled(new: Collection[str]) -> None:
    """Refuse new classes whose names are not UTF-8: what a table program left of other letters."""
    for label in sorted(new):
        name = label.encode("utf-8", "surrogateescape")
        if name != label.encode("utf-8", "ignore"):
            raise PegboardError(
                f"corrections: the class {name!r} is not in UTF-8, and the photos have no class of "
                "that name; put the label right and save the corrections as CSV UTF-8"
            )


def _labels_by_pixels(photos: Sequence[Photo], labels: Sequence[str]) -> Mapping[str, set[str]]:
    """Return the labels decided on for each picture."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for photo, label in zip(photos, labels, strict=True):
        if label:
            found[photo.pixels].add(label)
    return found


def _merged(label: str, merge: Mapping[str, str]) -> str:
    seen = {label}
    while label in merge and merge[label] not in seen:
        label = merge[label]
        seen.add(label)
    return label


class _Decisions:
    """What was decided about each photo."""

    def __init__(self, corrections: Sequence[Correction], photos: Sequence[Photo]) -> None:
        ledger = Ledger(corrections)
        standing = ledger.standing()
        self._exact = {one.photo: one for one in standing}
        self._by_sha256 = {one.sha256: one for one in standing if one.sha256}
        self.same_objects = ledger.same_objects()
        self._there = {(photo.sha256, photo.path) for photo in photos}

    def about(self, photo: Photo) -> Correction | None:
        """Return the decision about a photo, or about a copy that it has to follow."""
        exact = self._exact.get((photo.sha256, photo.path)) or self._exact.get(("", photo.path))
        if exact:
            return exact
        other = self._by_sha256.get(photo.sha256)
        if other and other.action == "drop" and not self._is_moved(other, photo):
            return None
        return other

    def _is_moved(self, dropped: Correction, photo: Photo) -> bool:
        """Whether a photo is the dropped one under another name: of copies only one was dropped.

        Of a photo that was dropped as a copy, what is left is the copy that was to stay.
        """
        if dropped.reason.partition(" ")[0] in _ABOUT_COPIES:
            return False
        is_there = (dropped.sha256, dropped.path) in self._there
        return not is_there and dropped.label_before in ("", photo.label)

    def unused(self, photos: Sequence[Photo]) -> int:
        """Return how many decisions are about photos that are not there."""
        hashes = {photo.sha256 for photo in photos}
        paths = {photo.path for photo in photos}
        return sum(
            one.sha256 not in hashes if one.sha256 else one.path not in paths
            for one in self._exact.values()
        )


def _grouped(photos: list[Photo], same_objects: Sequence[Correction]) -> list[Photo]:
    """Put photos that show one object into one group, joining the groups they had."""
    by_path = {photo.path: photo for photo in photos}
    by_sha256 = {photo.sha256: photo for photo in photos}
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    def name_of(photo: Photo) -> str:
        return f"group {photo.group}" if photo.group is not None else f"photo {photo.path}"

    for one in same_objects:
        photo = by_sha256.get(one.sha256) or by_path.get(one.path)
        other = by_path.get(one.reason)
        if photo and other:
            first, second = sorted((root(name_of(photo)), root(name_of(other))))
            parent[second] = first
    # A group of the user's that was joined with nothing keeps its name.
    joined = {name for name in parent if parent[name] != name} | {
        root(name) for name in list(parent) if parent[name] != name
    }
    return [
        replace(photo, group=root(name_of(photo)).partition(" ")[2])
        if name_of(photo) in joined
        else photo
        for photo in photos
    ]


def _told(used: Mapping[str, int], absent: int) -> list[str]:
    told = []
    relabelled = used.get("accept", 0) + used.get("relabel", 0)
    if used:
        told.append(
            f"corrections: {relabelled} relabelled, {used.get('drop', 0)} dropped, "
            f"{used.get('keep', 0)} confirmed"
        )
    if absent:
        told.append(f"corrections: {absent} name photos that are not there")
    return told
