"""The small pictures that the page of a check shows, made while the photos are at hand."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pegboard.audit.findings import Finding
from pegboard.audit.subject import Subject
from pegboard.errors import UnusableImage
from pegboard.pictures import Album, thumbnail

SHOWN = 40
"""Findings of one code that the page shows with a picture; the table has all."""

SAMPLES = 4
"""Photos of a class that stand for it."""


@dataclass(frozen=True)
class Exhibits:
    """What the page shows of photos.

    Attributes
    ----------
    thumbnails
        Picture of each photo, by path.
    samples
        Some photos of each class that a finding is about.
    pictures
        Encoded pictures by name.
    """

    thumbnails: Mapping[str, str] = field(default_factory=dict)
    samples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pictures: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def shown_findings(findings: Sequence[Finding]) -> list[Finding]:
    """Return the warnings and errors that the page shows: the surest of each code."""
    seen: Counter[str] = Counter()
    shown = []
    for finding in findings:
        if finding.counts and seen[finding.code] < SHOWN:
            seen[finding.code] += 1
            shown.append(finding)
    return shown


def make_exhibits(subject: Subject, findings: Sequence[Finding]) -> Exhibits:
    """Make the pictures of what the page shows; a photo that has gone since goes without."""
    shown = shown_findings(findings)
    samples = _samples(subject, shown)
    paths = dict.fromkeys(_paths(shown, samples))
    known = {photo.path for photo in subject.photos}
    wanted = [path for path in paths if path in known]
    album, thumbnails = Album(), {}
    with subject.progress.step("small pictures", len(wanted)) as step:
        for path in wanted:
            step.advance()
            try:
                thumbnails[path] = album.add(thumbnail(subject.source.read(path)))
            except (OSError, UnusableImage):
                continue
    return Exhibits(thumbnails, samples, album.pictures)


def _samples(subject: Subject, findings: Sequence[Finding]) -> dict[str, tuple[str, ...]]:
    """Return some photos, spread over its folder, of every class that a finding is about."""
    named = {name.removesuffix("/") for one in findings for name in (one.path, one.other_path)}
    of_class: defaultdict[str, list[str]] = defaultdict(list)
    for photo in subject.photos:
        if photo.label in named and subject.classes:
            of_class[photo.label].append(photo.path)
    return {
        label: tuple(paths[:: max(1, len(paths) // SAMPLES)][:SAMPLES])
        for label, paths in of_class.items()
    }


def _paths(findings: Sequence[Finding], samples: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for finding in findings:
        yield from (finding.path, finding.other_path)
    for paths in samples.values():
        yield from paths
