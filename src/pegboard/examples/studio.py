"""Photographing drawn tools: a background, light and shadow, and a camera that is not perfect."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from pegboard.examples.shapes import Colour, Part, moved
from pegboard.examples.tools import CLUTTER, TOOLS, Generator

Picture = NDArray[np.float32]
"""``(height, width, 3)``, 0 to 255."""
Plane = NDArray[np.float32]
"""``(height, width)``."""

_FINER = 2
"""Outlines are drawn at this multiple of the size and averaged, so edges are smooth."""

ASPECTS = (4 / 3, 4 / 3, 3 / 4, 3 / 4, 1.0, 16 / 9)
"""Width by height of phone photos."""


def photograph(name: str, rng: Generator, size: int) -> Image.Image:
    """Return one photo of the tool ``name``.

    Parameters
    ----------
    name
        One of :data:`~pegboard.examples.tools.TOOLS`.
    rng
        Everything that chance decides.
    size
        Longer side in pixels.
    """
    aspect = ASPECTS[rng.integers(len(ASPECTS))]
    width, height = (size, round(size / aspect)) if aspect >= 1 else (round(size * aspect), size)
    scene = background(rng, height, width)
    light = _light(rng)
    for parts in _scene(name, rng, width, height):
        scene = _laid_on(scene, parts, light, rng)
    return _camera(scene, light, rng)


def _scene(name: str, rng: Generator, width: int, height: int) -> list[list[Part]]:
    """Return what lies there, from bottom to top, in pixels."""
    short = min(width, height)
    things = [
        _placed(CLUTTER[rng.integers(len(CLUTTER))](rng), rng, short * rng.uniform(0.03, 0.08),
                rng.uniform(0, width), rng.uniform(0, height))
        for _ in range(rng.integers(0, 5))
    ]  # fmt: skip
    if rng.random() < 0.25:  # another tool reaches into the picture
        other = list(TOOLS)[rng.integers(len(TOOLS))]
        x, y = ((-0.12, 1.12)[rng.integers(2)] * width, rng.uniform(0, height))
        things.append(_placed(TOOLS[other](rng), rng, short * 0.38, x, y))
    subject = _placed(
        TOOLS[name](rng), rng, _reach(rng, width, height),
        width * rng.normal(0.5, 0.07), height * rng.normal(0.5, 0.07),
    )  # fmt: skip
    covering = [
        _placed(CLUTTER[rng.integers(len(CLUTTER))](rng), rng, short * rng.uniform(0.03, 0.07),
                width * rng.uniform(0.3, 0.7), height * rng.uniform(0.3, 0.7))
        for _ in range(rng.integers(0, 2))
    ]  # fmt: skip
    return [*things, subject, *covering]


def _reach(rng: Generator, width: int, height: int) -> float:
    """Half the length of the tool in pixels: from small in the picture to cut off by it."""
    return float(np.sqrt(width * height) * rng.triangular(0.24, 0.42, 0.58))


def _placed(parts: Sequence[Part], rng: Generator, scale: float, x: float, y: float) -> list[Part]:
    """Turn, flip, tilt and shift a tool into the picture."""
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    flip = np.diag([1.0, rng.choice([-1.0, 1.0])])
    # The camera looks down at a slant: one direction is shortened.
    tilt = np.eye(2) + rng.uniform(-0.14, 0.14, (2, 2))
    return moved(parts, scale * tilt @ turn @ flip, (x, y))


def _light(rng: Generator) -> NDArray[np.float32]:
    """Return where light comes from (x, y) and how strong shadows are."""
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle), rng.uniform(0.15, 0.65)], dtype=np.float32)


def _laid_on(
    scene: Picture, parts: Sequence[Part], light: NDArray[np.float32], rng: Generator
) -> Picture:
    """Lay a tool and its shadow on the scene; only the pixels around it are worked on."""
    short = min(scene.shape[:2])
    window = _around(parts, scene.shape, margin=short * 0.14)
    if window is None:
        return scene
    rows, columns = window
    under = scene[rows, columns]
    height, width = under.shape[:2]
    corner = (-float(columns.start), -float(rows.start))
    colour, cover, relief = _drawn(moved(parts, np.eye(2), corner), width, height)
    away = -light[:2] * np.float32(short * rng.uniform(0.01, 0.04))
    shadow = _blurred(_shifted(cover, away), short * rng.uniform(0.008, 0.03))
    under = under * (1 - light[2] * shadow)[:, :, None]
    lit = _lit(relief, light, short)
    worn = 1 + 0.08 * (cloud(rng, height, width, 9) + cloud(rng, height, width, 40))
    shaded = colour * (worn * (1 - 1.1 * np.clip(lit, -0.55, 0.5)))[:, :, None]
    shaded += 90 * np.clip(-lit - 0.12, 0, 0.6)[:, :, None]  # what shines
    covered = cover[:, :, None]
    scene[rows, columns] = under * (1 - covered) + shaded * covered
    return scene


def _around(
    parts: Sequence[Part], shape: tuple[int, ...], margin: float
) -> tuple[slice, slice] | None:
    """Return the rows and columns that the parts and their shadow may touch."""
    points = np.concatenate([part.outline for part in parts])
    left, top = np.floor(np.maximum(points.min(axis=0) - margin, 0)).astype(int)
    right, bottom = np.ceil(np.minimum(points.max(axis=0) + margin, shape[1::-1])).astype(int)
    if right - left < 2 or bottom - top < 2:
        return None
    return slice(int(top), int(bottom)), slice(int(left), int(right))


def _lit(relief: Plane, light: NDArray[np.float32], short: int) -> Plane:
    """Return how much each point is turned away from the light.

    Edges are seen at two scales: crisp rims and a rounded body.
    """
    lit = np.zeros_like(relief)
    for radius, strength in ((short * 0.004, 2.2), (short * 0.02, 4.5)):
        slope_y, slope_x = np.gradient(_blurred(relief, max(radius, 0.6)))
        lit += np.float32(strength) * (light[0] * slope_x + light[1] * slope_y)
    return lit


def _drawn(parts: Sequence[Part], width: int, height: int) -> tuple[Picture, Plane, Plane]:
    """Draw the parts in order: colour, how much of each pixel is covered, height."""
    large = width * _FINER, height * _FINER
    canvases = [Image.new("RGB", large), Image.new("L", large), Image.new("L", large)]
    colour, cover, relief = (ImageDraw.Draw(canvas) for canvas in canvases)
    for part in parts:
        outline = [(float(x), float(y)) for x, y in part.outline * _FINER]
        if part.colour is not None:
            colour.polygon(outline, fill=part.colour)
        cover.polygon(outline, fill=0 if part.colour is None else 255)
        relief.polygon(outline, fill=0 if part.colour is None else int(255 * part.height))
    small = [np.asarray(canvas.reduce(_FINER), dtype=np.float32) for canvas in canvases]
    covered = small[1] / np.float32(255)
    # Averaging mixed the empty canvas into the rims.
    return small[0] / np.maximum(covered, 1 / 8)[:, :, None], covered, small[2] / np.float32(255)


def _blurred(plane: Plane, radius: float) -> Plane:
    picture = Image.fromarray((np.clip(plane, 0, 1) * 255).astype(np.uint8))
    soft = picture.filter(ImageFilter.GaussianBlur(float(radius)))
    return np.asarray(soft, dtype=np.float32) / np.float32(255)


def _shifted(plane: Plane, by: NDArray[np.float32]) -> Plane:
    return np.roll(plane, (round(float(by[1])), round(float(by[0]))), (0, 1))


def cloud(rng: Generator, height: int, width: int, cells: int) -> Plane:
    """Return smooth noise around 0, standard deviation about a half."""
    coarse = rng.standard_normal((cells, cells), dtype=np.float32)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(smooth, dtype=np.float32)


def _cloud_like(plane: Plane, rng: Generator, cells: int) -> Plane:
    height, width = plane.shape
    return cloud(rng, height, width, cells)


# --- backgrounds -----------------------------------------------------------------------------

_GROUNDS: tuple[Colour, ...] = (
    (168, 130, 88), (122, 88, 58), (205, 178, 140), (150, 150, 146), (196, 196, 190),
    (96, 98, 100), (70, 92, 62), (120, 60, 52), (70, 84, 110), (226, 222, 214), (54, 50, 50),
)  # fmt: skip


def background(rng: Generator, height: int, width: int) -> Picture:
    """Return a workbench, a floor, a cloth, a wall with holes, a cutting mat or grass."""
    base = np.array(_GROUNDS[rng.integers(len(_GROUNDS))], dtype=np.float32)
    base = base + rng.integers(-16, 17, 3).astype(np.float32)
    texture = _TEXTURES[rng.integers(len(_TEXTURES))]
    brightness = texture(rng, *_coordinates(rng, height, width))
    stain = 0.07 * cloud(rng, height, width, 4) + 0.04 * cloud(rng, height, width, 24)
    tint = rng.normal(1, 0.03, 3).astype(np.float32)
    return np.asarray((1 + brightness + stain)[:, :, None] * (base * tint), dtype=np.float32)


def _coordinates(rng: Generator, height: int, width: int) -> tuple[Plane, Plane]:
    """Return turned coordinates of every pixel; the shorter side is about 1."""
    y, x = np.mgrid[:height, :width].astype(np.float32) / min(height, width)
    angle = rng.uniform(0, 2 * np.pi) if rng.random() < 0.6 else rng.normal(0, 0.08)
    return x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)


def _planks(rng: Generator, u: Plane, v: Plane) -> Plane:
    broad = rng.uniform(0.16, 0.6)
    board = np.floor(v / broad + 10)
    shade = rng.normal(0, 0.09, 64)[board.astype(int) % 64]
    waves = v * rng.uniform(50, 130) + 2.5 * _cloud_like(u, rng, 6) + board * 7
    gap = np.abs(v / broad - np.round(v / broad)) < 0.012 / broad
    return np.asarray(shade + 0.06 * np.sin(waves) + 0.03 * np.sin(3.1 * waves) - 0.5 * gap)


def _concrete(rng: Generator, u: Plane, v: Plane) -> Plane:
    grains = np.float32(0.06) * rng.standard_normal(u.shape, dtype=np.float32)
    return np.asarray(grains + 0.08 * _cloud_like(u, rng, 60) + 0.05 * _cloud_like(u, rng, 14))


def _cloth(rng: Generator, u: Plane, v: Plane) -> Plane:
    fine = rng.uniform(120, 240)
    folds = 0.12 * np.sin(u * rng.uniform(3, 8) + 1.5 * _cloud_like(u, rng, 4))
    return np.asarray(0.09 * np.sin(fine * u) * np.sin(fine * v) + folds)


def _holes(rng: Generator, u: Plane, v: Plane) -> Plane:
    apart = rng.uniform(0.09, 0.2)
    off = (u / apart - np.round(u / apart)) ** 2 + (v / apart - np.round(v / apart)) ** 2
    return np.asarray(-0.65 * np.clip((0.022 - off) * 90, 0, 1), dtype=np.float32)


def _tiles(rng: Generator, u: Plane, v: Plane) -> Plane:
    side = rng.uniform(0.2, 0.5)
    shade = rng.normal(0, 0.06, (32, 32))[
        np.floor(u / side).astype(int) % 32, np.floor(v / side).astype(int) % 32
    ]
    edge = np.minimum(np.abs(u / side - np.round(u / side)), np.abs(v / side - np.round(v / side)))
    return np.asarray(shade - rng.uniform(-0.3, 0.4) * (edge < 0.025))


def _grass(rng: Generator, u: Plane, v: Plane) -> Plane:
    blades = _cloud_like(u, rng, 90) * np.sin(60 * u + 4 * _cloud_like(u, rng, 30))
    return np.asarray(0.22 * blades + 0.12 * _cloud_like(u, rng, 20))


def _mat(rng: Generator, u: Plane, v: Plane) -> Plane:
    apart = rng.uniform(0.06, 0.14)
    line = np.minimum(
        np.abs(u / apart - np.round(u / apart)), np.abs(v / apart - np.round(v / apart))
    )
    return np.asarray(0.22 * (line < 0.04), dtype=np.float32)


def _plain(rng: Generator, u: Plane, v: Plane) -> Plane:
    return np.asarray(rng.uniform(-0.3, 0.3) * (u - 0.5), dtype=np.float32)


_TEXTURES: tuple[Callable[[Generator, Plane, Plane], Plane], ...] = (
    _planks, _planks, _planks, _concrete, _concrete, _cloth, _holes, _tiles, _grass, _mat, _plain,
)  # fmt: skip


# --- the camera ------------------------------------------------------------------------------


def _camera(scene: Picture, light: NDArray[np.float32], rng: Generator) -> Image.Image:
    """Expose, blur and add noise, as a phone held by hand in a shed does."""
    height, width = scene.shape[:2]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)
    side, rim = np.float32(rng.uniform(0, 0.3)), np.float32(rng.uniform(0, 0.22))
    falloff = 1 + side * (x * light[0] + y * light[1]) - rim * (x**2 + y**2)
    warmth = rng.normal(0, 0.06)
    balance = np.array([1 + warmth, 1, 1 - warmth], dtype=np.float32)
    exposure = rng.uniform(0.75, 1.2) if rng.random() < 0.8 else rng.uniform(0.4, 0.75)
    lit = scene * falloff[:, :, None] * (np.float32(exposure) * balance)
    photo = Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))
    if rng.random() < 0.4:
        photo = photo.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 1.8))))
    noise = rng.standard_normal((height, width, 4), dtype=np.float32)
    grain = noise[:, :, :1] * np.float32(rng.uniform(1, 9))
    grain = grain + noise[:, :, 1:] * np.float32(rng.uniform(0.5, 4))
    return Image.fromarray(np.clip(np.asarray(photo) + grain, 0, 255).astype(np.uint8))
