"""Photos that are there more than once: equal files, or equal pixels in another file."""

from __future__ import annotations

from collections import defaultdict

from pegboard.audit.findings import Finding
from pegboard.audit.pairing import pairs_told
from pegboard.audit.subject import Subject
from pegboard.photos import Photo

CODES = ("duplicate",)


def check(subject: Subject) -> list[Finding]:
    """Pair every photo with its copies; ``path`` is the later one of a pair."""
    by_pixels: defaultdict[str, list[int]] = defaultdict(list)
    for index, photo in enumerate(subject.photos):
        by_pixels[photo.pixels].append(index)
    return [
        _finding(subject.photos[later], subject.photos[first])
        for group in by_pixels.values()
        for first, later in pairs_told(group)
    ]


def _finding(copy: Photo, kept: Photo) -> Finding:
    if copy.sha256 == kept.sha256:
        words = "the same file, byte for byte"
    else:
        words = "another file with the same pixels"
    return Finding(copy.path, "duplicate", "warning", 1.0, other_path=kept.path, explanation=words)
