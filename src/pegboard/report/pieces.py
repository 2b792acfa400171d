"""The smallest things a report shows: a figure, a chart, a photo."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Chart:
    """One figure of the page.

    Attributes
    ----------
    svg
        An ``<svg>`` element, safe to place as it is.
    caption
        What it shows, in a sentence.
    file
        Path of the same figure as PNG, relative to the report.
    """

    svg: str
    caption: str
    file: str


@dataclass(frozen=True)
class Number:
    """A figure as shown and as it was computed.

    Attributes
    ----------
    shown
        Rounded, with its unit; a dash where it was not measured.
    exact
        All digits, as JSON; empty where it was not measured.
    interval
        The 95 % interval as shown; empty where there is none.
    place
        Where ``exact`` stands in ``leaderboard.json``, as a JSON pointer (RFC 6901); empty for
        what is counted from the other files.
    interval_exact, interval_place
        The same of the interval, ``[low, high]``.
    """

    shown: str
    exact: str = ""
    interval: str = ""
    place: str = ""
    interval_exact: str = ""
    interval_place: str = ""


@dataclass(frozen=True)
class Fact:
    """A figure with its name."""

    title: str
    number: Number


@dataclass(frozen=True)
class PhotoView:
    """A photo on the page.

    Attributes
    ----------
    path
        As in the manifest.
    picture
        Id of its picture; empty where the page has no room for it, or the run none.
    alt
        What a screen reader says in its place.
    lines
        What stands below it.
    """

    path: str
    picture: str
    alt: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoredPicture:
    """A picture that the page holds once, and shows wherever its id is used."""

    id: str
    uri: str


@dataclass(frozen=True)
class PhotoStore:
    """The pictures of the page, and what the models said of the test photos.

    Attributes
    ----------
    pictures
        Each once.
    island
        JSON for the page's script, free of ``<``, ``>`` and ``&``: ``classes``, ``models`` and
        ``photos`` with path, true class, picture and every model's answer.
    note
        How many test photos have no picture here, in words; empty if all have one.
    """

    pictures: tuple[StoredPicture, ...]
    island: str
    note: str
