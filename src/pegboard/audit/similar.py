"""Photos that are nearly copies of one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pegboard.alignment import COARSE, FINE, POSES
from pegboard.audit import likeness
from pegboard.audit.findings import Finding
from pegboard.audit.likeness import Likeness, NearPair
from pegboard.audit.pairing import LARGE, best_first, pairs_told
from pegboard.audit.subject import Subject
from pegboard.duplicates import connect, shared
from pegboard.photos import Photo

CODES = ("near-duplicate",)

THRESHOLDS = {
    "least_edges_64px": likeness.LEAST_EDGES[FINE],
    "least_edges_32px": likeness.LEAST_EDGES[COARSE],
    "least_parts": likeness.LEAST_PARTS,
    "far_out": likeness.FAR_OUT,
}

CROPPED = 0.97
"""Share of a photo shown by its copy below which the copy is called cropped."""

RESIZED = 1.04
STRETCHED = 1.06
"""Ratios of sizes and of aspect ratios from which it is said."""

BRIGHTER = 8.0
"""Difference of mean brightness in grey levels from which it is said."""

CONTRAST = 1.2
"""The same for the ratio of contrasts."""


Pairs = Mapping[tuple[int, int], NearPair]
"""By index, the smaller first."""


def check(subject: Subject) -> list[Finding]:
    """Pair photos that are one picture, resized, saved again, brightened, cropped or turned.

    ``path`` is the photo of fewer pixels, or the later one. Pairs that share a split because they
    look much alike, but are not confirmed as one picture, are given for information.
    """
    found = subject.likeness()
    confirmed = {(pair.first, pair.second): pair for pair in found.pairs}
    groups = shared(connect(len(subject), list(confirmed)))
    subject.facts[CODES[0]] = _facts(found, groups)
    findings = [
        finding for group in groups for finding in _of_group(subject.photos, group, confirmed)
    ]
    return findings + list(_only_alike(subject, confirmed))


def _facts(found: Likeness, groups: Sequence[Sequence[int]]) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "groups": len(groups),
        "photos": sum(map(len, groups)),
        "compared": found.compared,
        "least_edges": {f"{side}px": round(least, 4) for side, least in found.least_edges.items()},
    }
    return facts | {"words": found.missed} if found.missed else facts


def _of_group(photos: Sequence[Photo], group: Sequence[int], confirmed: Pairs) -> Iterator[Finding]:
    for kept, other in pairs_told(best_first(photos, group)):
        pair = confirmed.get((min(kept, other), max(kept, other)))
        if pair is not None:
            yield _finding(photos, kept, other, pair.score, in_words(photos, pair, other))
        elif len(group) > LARGE:
            others = (confirmed.get((min(one, other), max(one, other))) for one in group)
            score = max(link.score for link in others if link is not None)
            words = f"one of {len(group)} versions of one picture"
            yield _finding(photos, kept, other, score, words)


def _finding(photos: Sequence[Photo], kept: int, other: int, score: float, words: str) -> Finding:
    return Finding(
        photos[other].path, "near-duplicate", "warning", score, other_path=photos[kept].path,
        explanation=words,
    )  # fmt: skip


def _only_alike(subject: Subject, confirmed: dict[tuple[int, int], NearPair]) -> Iterator[Finding]:
    photos = subject.photos
    for pair in subject.duplicates.pairs:
        if pair.kind == "near" and (pair.a, pair.b) not in confirmed:
            yield Finding(
                photos[pair.b].path, "near-duplicate", "info", 0.5, other_path=photos[pair.a].path,
                explanation="so much alike that both are kept in one split; not one picture",
            )  # fmt: skip


# --- In words ----------------------------------------------------------------------------


def in_words(photos: Sequence[Photo], pair: NearPair, other: int) -> str:
    """Say what was done to one photo of a pair to make it from the other."""
    told = pair if other == pair.second else pair.reversed()
    done = [
        *_turned(told.pose),
        *_cut(told),
        *_sized(photos[told.first], photos[told.second], told),
        *_lit(told),
    ]
    return f"the same picture, {', '.join(done) or 'saved again'}"


def _turned(pose: int) -> Iterator[str]:
    turns, mirrored = POSES[pose]
    if mirrored and turns == 2:
        yield "upside down as in a mirror"
        return
    if mirrored:
        yield "mirrored"
    if turns:
        yield "turned by 180 degrees" if turns == 2 else "turned by 90 degrees"


def _cut(pair: NearPair) -> Iterator[str]:
    whole, part = pair.first_shown, pair.second_shown
    if whole < CROPPED <= part:
        yield f"cropped to {whole:.0%}"
    elif part < CROPPED <= whole:
        yield f"of which the other photo is a part of {part:.0%}"
    elif whole < CROPPED:
        yield "cut elsewhere"


def _sized(kept: Photo, other: Photo, pair: NearPair) -> Iterator[str]:
    across, down = pair.scale
    scale = (across * down) ** 0.5
    if max(scale, 1 / scale) >= RESIZED:
        yield f"resized to {scale:.0%}"
    if max(across / down, down / across) >= STRETCHED:
        yield "stretched"
    if kept.channels != other.channels:
        yield "in grey" if other.channels == 1 else "in colour"


def _lit(pair: NearPair) -> Iterator[str]:
    if abs(pair.offset) >= BRIGHTER:
        yield "brighter" if pair.offset > 0 else "darker"
    elif max(pair.gain, 1 / pair.gain) >= CONTRAST:
        yield "with more contrast" if pair.gain > 1 else "with less contrast"
