"""Photos that are nearly copies of one another."""

from __future__ import annotations

from pegboard.audit.findings import Finding
from pegboard.audit.subject import Subject

CODES = ("near-duplicate",)


def check(subject: Subject) -> list[Finding]:
    """Pair photos that are one picture, resized, saved again, brightened, cropped or turned."""
    photos = subject.photos
    return [
        Finding(
            photos[pair.b].path, "near-duplicate", "warning", float(min(1.0, max(0.0, pair.score))),
            other_path=photos[pair.a].path, explanation="nearly the same picture",
        )
        for pair in subject.duplicates.pairs
        if pair.kind == "near"
    ]  # fmt: skip
