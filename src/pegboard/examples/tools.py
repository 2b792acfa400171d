"""Eight tools, each drawn in several makes, and the small things that lie about with them.

Every function draws one thing from a random generator: its make, proportions and colours. All
of them choose from the same colours, so that colour does not give the class away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from pegboard.examples.shapes import (
    Colour,
    Outline,
    Part,
    bar,
    box,
    corners,
    curve,
    disc,
    mirrored,
    stroke,
    teeth,
    turned,
)

Generator = np.random.Generator
Draw = Callable[[Generator], list[Part]]

_PLASTICS: tuple[Colour, ...] = (
    (196, 40, 34), (228, 150, 24), (226, 196, 40), (34, 92, 168), (30, 128, 96),
    (44, 46, 52), (88, 92, 98), (150, 60, 36), (60, 120, 60), (120, 40, 90), (206, 204, 198),
)  # fmt: skip
_WOODS: tuple[Colour, ...] = ((186, 138, 84), (158, 108, 62), (206, 168, 116), (120, 78, 46))
_STEELS: tuple[Colour, ...] = (
    (172, 176, 182), (144, 148, 154), (112, 116, 122), (196, 198, 200), (78, 80, 86),
    (132, 104, 84),
)  # fmt: skip
_DARK: Colour = (36, 36, 40)


@dataclass(frozen=True)
class _Colours:
    steel: Colour
    grip: Colour
    wood: Colour
    mark: Colour

    @classmethod
    def draw(cls, rng: Generator) -> _Colours:
        return cls(
            _near(rng, _STEELS), _near(rng, _PLASTICS), _near(rng, _WOODS), _near(rng, _PLASTICS)
        )


def _near(rng: Generator, choices: tuple[Colour, ...]) -> Colour:
    base = np.array(choices[rng.integers(len(choices))]) + rng.integers(-14, 15, 3)
    red, green, blue = np.clip(base, 8, 247)
    return int(red), int(green), int(blue)


def _between(rng: Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def hammer(rng: Generator) -> list[Part]:
    """Claw, ball-pein, cross-pein or sledge hammer, or a mallet."""
    colours = _Colours.draw(rng)
    thick = _between(rng, 0.08, 0.13)
    end = _between(rng, 0.55, 0.85)
    wooden = rng.random() < 0.5
    parts = [Part(bar((-1, 0), (end, 0), thick * 1.35, thick), colours.wood if wooden else _DARK)]
    if not wooden:
        parts.append(Part(bar((-0.35, 0), (end, 0), thick), colours.steel, 0.5))
        parts.append(Part(box(-1, -thick, -0.25, thick, thick * 0.7), colours.grip, 0.8))
    return parts + _HAMMER_HEADS[rng.integers(len(_HAMMER_HEADS))](rng, colours, end)


def _claw_head(rng: Generator, colours: _Colours, x: float) -> list[Part]:
    back = _between(rng, 0.40, 0.52)
    return [
        Part(stroke(curve((x, -0.05), (x + 0.02, -0.3), (x - 0.2, -back)), (0.2, 0.15, 0.04)),
             colours.steel, 0.7),
        Part(box(x - 0.1, -0.12, x + 0.1, 0.24, 0.03), colours.steel, 0.85),
        Part(box(x - 0.13, 0.2, x + 0.13, 0.34, 0.03), colours.steel, 1.0),
    ]  # fmt: skip


def _ball_head(rng: Generator, colours: _Colours, x: float) -> list[Part]:
    return [
        Part(box(x - 0.07, -0.28, x + 0.07, 0.3, 0.02), colours.steel, 0.7),
        Part(disc(x, -0.3, _between(rng, 0.1, 0.13)), colours.steel, 0.9),
        Part(box(x - 0.13, 0.14, x + 0.13, 0.34, 0.03), colours.steel, 0.95),
    ]


def _wedge_head(rng: Generator, colours: _Colours, x: float) -> list[Part]:
    long = _between(rng, 0.36, 0.5)
    return [
        Part(corners((x - 0.11, -0.1), (x - 0.02, -long), (x + 0.02, -long), (x + 0.11, -0.1)),
             colours.steel, 0.7),
        Part(box(x - 0.12, -0.14, x + 0.12, 0.36, 0.02), colours.steel, 0.9),
    ]  # fmt: skip


def _block_head(rng: Generator, colours: _Colours, x: float) -> list[Part]:
    tall, wide = _between(rng, 0.28, 0.42), _between(rng, 0.14, 0.24)
    colour = (colours.wood, _DARK, colours.steel)[rng.integers(3)]
    caps = [
        Part(box(x - wide * 0.9, y - 0.05, x + wide * 0.9, y + 0.05, 0.02), colours.mark, 1.0)
        for y in (-tall, tall)
    ]
    block = Part(box(x - wide, -tall, x + wide, tall, 0.05), colour, 0.85)
    return [block, *caps] if rng.random() < 0.5 else [block]


_HAMMER_HEADS = (_claw_head, _claw_head, _ball_head, _wedge_head, _block_head)


def wrench(rng: Generator) -> list[Part]:
    """Open-ended, ring, combination or adjustable wrench."""
    colours = _Colours.draw(rng)
    waist = _between(rng, 0.1, 0.17)
    handle = Part(
        stroke([(-0.75, 0), (-0.2, 0), (0.3, 0), (0.75, 0)], (waist * 1.2, waist, waist * 1.2)),
        colours.steel, 0.55,
    )  # fmt: skip
    if rng.random() < 0.3:
        return [handle, *_adjustable_jaw(rng, colours)]
    groove = Part(box(-0.45, -waist / 5, 0.4, waist / 5, 0.03), _shade(colours.steel, 0.8), 0.4)
    kinds = [(_open_end, _open_end), (_open_end, _ring_end), (_ring_end, _ring_end)]
    left, right = kinds[rng.integers(3)]
    far = [
        Part(part.outline * (-1, 1), part.colour, part.height)
        for part in left(rng, colours, _between(rng, 0.8, 1.0))
    ]
    return [handle, groove, *far, *right(rng, colours, 1.0)]


def _shade(colour: Colour, by: float) -> Colour:
    red, green, blue = (int(min(value * by, 255)) for value in colour)
    return red, green, blue


def _open_end(rng: Generator, colours: _Colours, scale: float) -> list[Part]:
    radius, gap, angle = 0.21 * scale, 0.2 * scale, _between(rng, 10, 25)
    slot = turned(box(0.76, -gap / 2, 1.3, gap / 2), angle, (0.85, 0))
    return [Part(disc(0.85, 0, radius), colours.steel, 0.75), Part(slot, None)]


def _ring_end(rng: Generator, colours: _Colours, scale: float) -> list[Part]:
    radius = 0.19 * scale
    sides = 6 if rng.random() < 0.5 else 12
    return [
        Part(disc(0.85, 0, radius), colours.steel, 0.85),
        Part(disc(0.85, 0, radius * 0.6, sides=sides), None),
    ]


def _adjustable_jaw(rng: Generator, colours: _Colours) -> list[Part]:
    gap = _between(rng, 0.06, 0.26)
    return [
        Part(disc(-0.8, 0, 0.1), colours.steel, 0.55),
        Part(disc(-0.8, 0, 0.045), None),
        Part(corners((0.5, -0.1), (0.72, -0.24), (1.08, -0.2), (1.08, -0.08), (0.8, -0.06),
                     (0.78, 0.2), (0.62, 0.24), (0.5, 0.1)), colours.steel, 0.8),
        Part(corners((0.68, gap - 0.06), (1.06, gap - 0.06), (1.04, gap + 0.05),
                     (0.82, gap + 0.12), (0.68, gap + 0.1)), colours.steel, 0.9),
        Part(box(0.6, 0.0, 0.76, 0.12, 0.03), _shade(colours.steel, 0.6), 0.4),
    ]  # fmt: skip


def screwdriver(rng: Generator) -> list[Part]:
    """Flat or cross-head screwdriver, long or stubby, with a moulded or wooden handle."""
    colours = _Colours.draw(rng)
    thick = _between(rng, 0.11, 0.19)
    start = _between(rng, -0.45, 0.05)
    steel = _between(rng, 0.045, 0.09)
    grip = colours.wood if rng.random() < 0.25 else colours.grip
    waist = _between(rng, 0.75, 1.0)
    handle = stroke(
        np.column_stack((np.linspace(-1, start, 9), np.zeros(9))),
        (thick * 1.2, thick * 2, thick * 2, thick * 2 * waist, thick * 1.9, thick * 1.2),
    )
    parts = [
        Part(bar((start - 0.1, 0), (0.88, 0), steel), colours.steel, 0.6),
        Part(handle, grip, 0.9),
        Part(box(start - 0.03, -thick * 0.65, start + 0.06, thick * 0.65, 0.03), colours.mark, 0.7),
    ]
    if rng.random() < 0.65:
        parts += [
            Part(box(-0.92, y - 0.014, start - 0.12, y + 0.014, 0.01), _shade(grip, 0.7), 0.6)
            for y in np.linspace(-thick * 0.6, thick * 0.6, 3)
        ]
    return [*parts, _screwdriver_tip(rng, colours.steel, steel)]


def _screwdriver_tip(rng: Generator, colour: Colour, width: float) -> Part:
    if rng.random() < 0.5:
        return Part(bar((0.86, 0), (1, 0), width, width * 0.2), _shade(colour, 0.7), 0.6)
    return Part(
        stroke([(0.8, 0), (0.9, 0), (1.0, 0)], (width, width * 1.9, width * 1.3)), colour, 0.5
    )


def pliers(rng: Generator) -> list[Part]:
    """Pliers more or less open: combination, needle-nose or cutting."""
    colours = _Colours.draw(rng)
    pivot = _between(rng, 0.3, 0.5)
    opening = _between(rng, 1, 16)
    jaw = _PLIERS_JAWS[rng.integers(len(_PLIERS_JAWS))]
    bow = _between(rng, 0.16, 0.34)
    sleeve = _between(rng, -0.25, 0.1)
    path = curve((pivot, 0.02), (pivot - 0.25, 0.03), (-0.1, bow * 1.15), (-1, bow * 0.8))
    half = [
        Part(stroke(path, (0.14, 0.1, 0.09)), colours.steel, 0.55),
        Part(stroke(path[path[:, 0] < sleeve], (0.12, 0.15, 0.13)), colours.grip, 0.85),
        Part(jaw(pivot), colours.steel, 0.75),
    ]
    parts = []
    for part in half:
        # A half's jaw is on the side across from its handle.
        upper = turned(part.outline, -opening, (pivot, 0))
        parts += [
            Part(upper, part.colour, part.height),
            Part(mirrored(upper), part.colour, part.height - 0.1),
        ]
    return [
        *parts,
        Part(disc(pivot, 0, 0.13), colours.steel, 0.8),
        Part(disc(pivot, 0, 0.055), _shade(colours.steel, 0.6), 1.0),
    ]


def _blunt_jaw(pivot: float) -> Outline:
    return corners((pivot - 0.05, 0.0), (pivot + 0.06, -0.15), (0.9, -0.09), (0.95, 0.0))


def _needle_jaw(pivot: float) -> Outline:
    return corners((pivot - 0.05, 0.0), (pivot + 0.05, -0.13), (1.1, -0.025), (1.1, 0.0))


def _cutting_jaw(pivot: float) -> Outline:
    return np.concatenate(
        (corners((pivot, 0.0)), curve((pivot, -0.13), (pivot + 0.25, -0.26), (pivot + 0.34, 0.0)))
    )


_PLIERS_JAWS = (_blunt_jaw, _blunt_jaw, _needle_jaw, _cutting_jaw)


def saw(rng: Generator) -> list[Part]:
    """Hand saw, back saw or hacksaw."""
    return _SAWS[rng.integers(len(_SAWS))](rng, _Colours.draw(rng))


def _hand_saw(rng: Generator, colours: _Colours) -> list[Part]:
    heel, toe = _between(rng, 0.34, 0.5), _between(rng, 0.1, 0.22)
    blade = np.concatenate(
        (corners((1, heel / 2 - toe), (-0.6, -heel / 2)),
         teeth((-0.6, heel / 2), (1, heel / 2), int(rng.integers(22, 44)), 0.035))
    )  # fmt: skip
    return [Part(blade, colours.steel, 0.35), *_saw_handle(rng, colours, heel)]


def _back_saw(rng: Generator, colours: _Colours) -> list[Part]:
    tall = _between(rng, 0.22, 0.34)
    blade = np.concatenate(
        (corners((0.95, -tall / 2), (-0.55, -tall / 2)),
         teeth((-0.55, tall / 2), (0.95, tall / 2), int(rng.integers(26, 44)), 0.03))
    )  # fmt: skip
    spine = Part(box(-0.55, -tall / 2 - 0.05, 0.95, -tall / 2 + 0.03), colours.mark, 0.8)
    return [Part(blade, colours.steel, 0.35), spine, *_saw_handle(rng, colours, tall * 1.3)]


def _saw_handle(rng: Generator, colours: _Colours, tall: float) -> list[Part]:
    grip = colours.wood if rng.random() < 0.5 else colours.grip
    lean = _between(rng, 0.04, 0.16)
    outer = corners(
        (-1.0 + lean, -tall / 2 - 0.06), (-0.5, -tall / 2), (-0.42, -tall / 6), (-0.5, tall / 2),
        (-0.96, tall / 2 + 0.12), (-1.08, tall / 2 + 0.02), (-0.98, tall / 8),
    )  # fmt: skip
    middle = outer.mean(axis=0)
    return [
        Part(outer, grip, 0.9),
        Part((outer - middle) * (0.42, 0.5) + middle - (0.03, 0), None),
        Part(disc(-0.55, -tall / 5, 0.025), colours.steel, 1.0),
        Part(disc(-0.58, tall / 5, 0.025), colours.steel, 1.0),
    ]


def _hacksaw(rng: Generator, colours: _Colours) -> list[Part]:
    deep = _between(rng, 0.28, 0.42)
    frame = stroke(
        [(-0.62, 0.12), (-0.58, -deep + 0.05), (-0.5, -deep), (0.82, -deep), (0.9, -deep + 0.06),
         (0.92, 0.14)],
        _between(rng, 0.06, 0.1),
    )  # fmt: skip
    blade = np.concatenate(
        (corners((0.94, 0.06), (-0.64, 0.06)), teeth((-0.64, 0.11), (0.94, 0.11), 46, 0.02))
    )
    handle = corners((-0.7, -0.2), (-0.56, -0.2), (-0.6, 0.16), (-0.86, 0.5), (-1.02, 0.44))
    return [
        Part(blade, colours.steel, 0.3),
        Part(frame, colours.mark, 0.7),
        Part(handle, colours.grip, 0.9),
    ]


_SAWS = (_hand_saw, _hand_saw, _back_saw, _hacksaw)


def drill(rng: Generator) -> list[Part]:
    """Power drill with a battery or a cord."""
    colours = _Colours.draw(rng)
    lean, long = _between(rng, -0.06, 0.22), _between(rng, 0.62, 0.8)
    tall = _between(rng, 0.2, 0.27)
    grip = corners((-0.42, 0.1), (-0.02, 0.1), (-0.08 - lean, long), (-0.42 - lean, long))
    parts = [
        Part(grip, colours.grip, 0.8),
        Part(stroke(grip[[0, 3]] + (0.13, 0.05), 0.12), _DARK, 0.7),
        Part(box(-0.72, -tall, 0.32, tall, 0.1), colours.grip, 0.9),
        Part(box(0.18, -tall * 0.85, 0.4, tall * 0.85, 0.03), _DARK, 0.8),
        Part(bar((0.38, 0), (0.72, 0), tall * 1.4, tall * 0.75), _DARK, 0.7),
        Part(box(0.0, 0.2, 0.1, 0.38, 0.04), colours.mark, 0.9),
        *(Part(box(x, -tall * 0.5, x + 0.03, tall * 0.5), _DARK, 0.6)
          for x in (-0.66, -0.58, -0.5)),
    ]  # fmt: skip
    if rng.random() < 0.8:
        bit = _between(rng, 0.95, 1.25)
        parts.insert(0, Part(bar((0.6, 0), (bit, 0), 0.05, 0.03), colours.steel, 0.5))
    foot = -0.25 - lean
    if rng.random() < 0.65:
        left, right, top = foot - 0.3, foot + 0.36, long - 0.02
        battery = Part(box(left, top, right, top + 0.26, 0.05), _DARK, 0.95)
        return [*parts, battery, Part(box(left, top, right, top + 0.08, 0.03), colours.mark, 0.9)]
    cord = curve((foot, long), (foot - 0.1, long + 0.5), (foot - 0.7, long), (foot - 1, long + 0.5))
    return [Part(stroke(cord, 0.06), _DARK, 0.4), *parts]


def tape_measure(rng: Generator) -> list[Part]:
    """Tape measure, its tape drawn out more or less."""
    colours = _Colours.draw(rng)
    side = _between(rng, 0.42, 0.55)
    out = _between(rng, 0.15, 1.0)
    yellow: Colour = (232, 206, 60) if rng.random() < 0.7 else (226, 226, 220)
    low = side * 0.86
    tape = box(side * 0.6, low - 0.13, side + out, low, 0.0)
    ticks = [
        Part(box(x, low - (0.09 if number % 5 else 0.13), x + 0.012, low), _DARK, 0.32)
        for number, x in enumerate(np.arange(side + 0.04, side + out, 0.045))
    ]
    case = box(-side, -side, side, side, _between(rng, 0.1, 0.3))
    case[(case[:, 0] > 0) & (case[:, 1] > 0)] += (_between(rng, 0.02, 0.14), 0)
    ring = _between(rng, 0.55, 0.75) * side
    return [
        Part(tape, yellow, 0.3),
        *ticks,
        Part(box(side + out - 0.03, low - 0.17, side + out + 0.03, low + 0.08), colours.steel, 0.5),
        Part(case, colours.grip, 0.9),
        Part(disc(-0.02, -0.03, ring), _DARK if rng.random() < 0.5 else colours.steel, 1.0),
        Part(disc(-0.02, -0.03, ring * 0.72), colours.mark, 0.95),
        Part(box(side * 0.3, -side - 0.05, side * 0.8, -side + 0.07, 0.03), _DARK, 1.0),
    ]


def ladder(rng: Generator) -> list[Part]:
    """Straight or step ladder of wood or metal."""
    colours = _Colours.draw(rng)
    rail = (colours.wood, colours.steel, colours.mark)[rng.integers(3)]
    rung = rail if rng.random() < 0.6 else colours.steel
    foot, top = _between(rng, 0.3, 0.46), _between(rng, 0.18, 0.28)
    steps = np.linspace(-0.82, 0.84, int(rng.integers(5, 9)))
    wide, thin = _between(rng, 0.06, 0.1), _between(rng, 0.05, 0.09)
    folding = rng.random() < 0.4
    parts = []
    if folding:
        back = _between(rng, 0.12, 0.3)
        parts = [
            Part(bar((-0.95, y * (foot + back)), (0.95, y * top), wide), _shade(rail, 0.75), 0.3)
            for y in (-1, 1)
        ]
        parts.append(Part(bar((-0.4, -foot - back / 2), (-0.4, foot + back / 2), thin), rung, 0.25))
    for x in steps:
        half = np.interp(x, (-1, 1), (foot, top))
        parts.append(Part(bar((x, -half), (x, half), thin * (1.5 if folding else 1)), rung, 0.5))
    parts += [Part(bar((-1, y * foot), (1, y * top), wide), rail, 0.8) for y in (-1, 1)]
    if folding:
        parts.append(Part(box(0.9, -top - 0.06, 1.04, top + 0.06, 0.02), colours.grip, 0.9))
    return parts


TOOLS: Mapping[str, Draw] = {
    "drill": drill,
    "hammer": hammer,
    "ladder": ladder,
    "pliers": pliers,
    "saw": saw,
    "screwdriver": screwdriver,
    "tape_measure": tape_measure,
    "wrench": wrench,
}
"""The classes of the example photos and how each is drawn."""


def _screw(rng: Generator) -> list[Part]:
    steel = _near(rng, _STEELS)
    return [
        Part(bar((-0.8, 0), (1, 0), 0.28, 0.08), steel, 0.5),
        Part(box(-1, -0.35, -0.75, 0.35, 0.1), steel, 0.8),
    ]


def _nut(rng: Generator) -> list[Part]:
    sides = 6 if rng.random() < 0.6 else 24
    return [
        Part(disc(0, 0, 0.9, sides=sides), _near(rng, _STEELS), 0.7),
        Part(disc(0, 0, 0.45), None),
    ]


def _pencil(rng: Generator) -> list[Part]:
    return [
        Part(box(-1.6, -0.14, 1, 0.14), _near(rng, _PLASTICS), 0.6),
        Part(corners((1, -0.14), (1.5, 0), (1, 0.14)), (214, 178, 128), 0.5),
    ]


def _cable(rng: Generator) -> list[Part]:
    knots = rng.uniform(-3, 3, (4, 2))
    path = curve(*((float(x), float(y)) for x, y in knots), steps=40)
    return [Part(stroke(path, 0.22), _near(rng, _PLASTICS), 0.5)]


def _chip(rng: Generator) -> list[Part]:
    around = disc(0, 0, 1, sides=7) * rng.uniform(0.4, 1, (7, 1))
    return [Part(around, _near(rng, _WOODS), 0.3)]


CLUTTER: tuple[Draw, ...] = (_screw, _screw, _nut, _pencil, _cable, _chip)
"""What else lies about, drawn from about -1 to 1 and to be shown much smaller."""
