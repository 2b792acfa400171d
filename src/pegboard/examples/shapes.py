"""Outlines that drawn tools are put together from.

A tool lies along the x axis, about from -1 to 1; y grows downwards, as in pictures. An outline
is an ``(n, 2)`` array of corners, in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Outline = NDArray[np.float64]
Colour = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True)
class Part:
    """One piece of a tool, drawn over those before it.

    Attributes
    ----------
    outline
        ``(n, 2)`` corners.
    colour
        Red, green, blue; None cuts a hole through everything drawn so far.
    height
        How far it stands out, 0 to 1: edges between heights catch the light.
    """

    outline: Outline
    colour: Colour | None
    height: float = 0.6


def corners(*points: Point) -> Outline:
    """Return the polygon through ``points``."""
    return np.array(points, dtype=float)


def box(left: float, top: float, right: float, bottom: float, round_by: float = 0.0) -> Outline:
    """Return a rectangle with corners rounded by a radius."""
    if round_by <= 0:
        return corners((left, top), (right, top), (right, bottom), (left, bottom))
    radius = min(round_by, (right - left) / 2, (bottom - top) / 2)
    middles = [
        (right - radius, bottom - radius, 0.0),
        (left + radius, bottom - radius, 0.5),
        (left + radius, top + radius, 1.0),
        (right - radius, top + radius, 1.5),
    ]
    turn = np.linspace(0, np.pi / 2, 6)
    return np.concatenate(
        [
            np.column_stack(
                (
                    x + radius * np.cos(turn + start * np.pi),
                    y + radius * np.sin(turn + start * np.pi),
                )
            )
            for x, y, start in middles
        ]
    )


def disc(x: float, y: float, radius: float, squash: float = 1.0, sides: int = 28) -> Outline:
    """Return a regular polygon: a disc, or with 6 sides a nut."""
    turn = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    return np.column_stack((x + radius * np.cos(turn), y + radius * squash * np.sin(turn)))


def bar(start: Point, end: Point, width: float, end_width: float | None = None) -> Outline:
    """Return a straight bar, tapering to ``end_width``."""
    return stroke([start, end], [width, width if end_width is None else end_width])


def stroke(path: Sequence[Point] | Outline, width: float | Sequence[float]) -> Outline:
    """Return a band along a path, with one width or the widths from its start to its end."""
    line = np.asarray(path, dtype=float)
    widths = np.interp(
        np.linspace(0, 1, len(line)),
        np.linspace(0, 1, len(np.atleast_1d(width))),
        np.atleast_1d(width),
    )
    along = np.gradient(line, axis=0)
    across = np.column_stack((-along[:, 1], along[:, 0]))
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    side = across * widths[:, None] / 2
    return np.concatenate((line + side, (line - side)[::-1]))


def curve(*knots: Point, steps: int = 24) -> Outline:
    """Return ``steps`` points of the Bezier curve with these control points (de Casteljau)."""
    at = np.linspace(0, 1, steps)[:, None]
    levels = [np.tile(np.array(knot, dtype=float), (steps, 1)) for knot in knots]
    while len(levels) > 1:
        levels = [a * (1 - at) + b * at for a, b in pairwise(levels)]
    return levels[0]


def teeth(start: Point, end: Point, count: int, depth: float) -> Outline:
    """Return a zigzag from ``start`` to ``end`` with teeth pointing to larger y."""
    line = np.linspace(start, end, 2 * count + 1)
    line[1::2, 1] += depth
    return line


def turned(outline: Outline, degrees: float, about: Point = (0.0, 0.0)) -> Outline:
    """Return the outline turned about a point."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray((outline - about) @ turn.T + about)


def mirrored(outline: Outline) -> Outline:
    """Return the outline with top and bottom swapped."""
    return outline * (1, -1)


def moved(parts: Iterable[Part], matrix: NDArray[np.float64], by: Point) -> list[Part]:
    """Return the parts after a linear map and a shift."""
    return [replace(part, outline=part.outline @ matrix.T + by) for part in parts]
