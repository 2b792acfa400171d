"""Everything the page of a check may show, as text that is ready to be placed."""

from __future__ import annotations

from dataclasses import dataclass

from pegboard.audit_words import Step
from pegboard.report.pieces import PhotoView, StoredPicture


@dataclass(frozen=True)
class Tile:
    """A figure that stands at the top, and what it counts."""

    title: str
    figure: str
    why: str


@dataclass(frozen=True)
class Item:
    """One finding, or one group of photos that belong together.

    Attributes
    ----------
    title
        What stands above, such as the suggested label; empty for none.
    photos
        The photo, the pair, or the group.
    lines
        What is said of it.
    severity
        ``error`` or ``warning``.
    """

    title: str
    photos: tuple[PhotoView, ...]
    lines: tuple[str, ...]
    severity: str


@dataclass(frozen=True)
class Section:
    """All findings of one code.

    Attributes
    ----------
    code, title, meaning, advice
        As in :mod:`pegboard.audit.codes`.
    count
        Errors and warnings, as text.
    errors
        Whether some are errors.
    layout
        ``photos`` (a gallery), ``pairs`` (side by side), ``classes`` (samples of each), or
        ``files`` (names, where nothing can be shown).
    items
        The surest, as many as the page has room for.
    more
        How many others ``findings.csv`` has, in words; empty for none.
    """

    code: str
    title: str
    meaning: str
    advice: str
    count: str
    errors: bool
    layout: str
    items: tuple[Item, ...]
    more: str


@dataclass(frozen=True)
class CheckContext:
    """The page.

    Attributes
    ----------
    version, date, name, subtitle
        Of pegboard, of the check, of the source.
    tiles, summary
        At the top.
    steps
        Commands to type next.
    sections
        Codes with findings, errors first.
    clean
        Titles of what was looked for in vain.
    not_applicable
        Titles of what could not be looked for, and why.
    left_out, classes
        Reasons and classes with their numbers.
    warnings
        What intake said.
    settings, thresholds, versions
        Names and values.
    fingerprint, location
        Of the photos checked.
    pictures
        Each once.
    """

    version: str
    date: str
    name: str
    subtitle: str
    tiles: tuple[Tile, ...]
    summary: tuple[str, ...]
    steps: tuple[Step, ...]
    sections: tuple[Section, ...]
    clean: tuple[str, ...]
    not_applicable: tuple[tuple[str, str], ...]
    left_out: tuple[tuple[str, str], ...]
    classes: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    settings: tuple[tuple[str, str], ...]
    thresholds: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    fingerprint: str
    location: str
    pictures: tuple[StoredPicture, ...]
