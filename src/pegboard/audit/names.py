"""File names whose ending is not what the file holds."""

from __future__ import annotations

from pathlib import PurePosixPath

from pegboard.audit.findings import Finding, NotApplicable
from pegboard.audit.subject import Subject

CODES = ("wrong-extension",)

ENDINGS: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".jif"),
    "PNG": (".png", ".apng"),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "WebP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "PNM": (".pgm", ".ppm", ".pbm", ".pnm"),
    "AVIF": (".avif", ".avifs", ".heif", ".hif"),
    "HEIF": (".heic", ".heif", ".hif", ".heics"),
}
"""Endings that suit each format, the usual one first."""


def check(subject: Subject) -> list[Finding] | NotApplicable:
    """Compare the ending of every photo's name with its content."""
    if not len(subject):
        return NotApplicable("there is no photo that can be opened")
    kinds = subject.looks().kinds
    if not any(kinds):
        return NotApplicable("the photos are rows of an array, not files")
    return [
        finding
        for photo, kind in zip(subject.photos, kinds, strict=True)
        if (finding := _finding(photo.path, kind))
    ]


def _finding(path: str, kind: str) -> Finding | None:
    suffix = PurePosixPath(path).suffix
    endings = ENDINGS.get(kind, ())
    if not endings or suffix.lower() in endings:
        return None
    if not suffix:
        return Finding(
            path,
            "wrong-extension",
            "info",
            0.3,
            endings[0],
            explanation=f"{kind} without an ending",
        )
    return Finding(
        path, "wrong-extension", "warning", 1.0, endings[0],
        explanation=f"called {suffix}, the content is {kind}",
    )  # fmt: skip
