"""Photos altered on purpose: another background, colour, scale or fit, the object left as it is.

The backgrounds ``texture`` and ``other border`` are of kinds that no training of pegboard's draws
itself: planks, tiles and cloths of the example photos, and borders of other photos of the same
data set. ``own colour`` is a control: it shows what cutting out the object costs by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pegboard.backgrounds import before, object_mask
from pegboard.examples.studio import background
from pegboard.photos import Pixels

VERSION = 1
"""Raised when an alteration gives other photos: features of the old ones are kept by it."""

Chance = np.random.Generator
GREY, WHITE = (128, 128, 128), (255, 255, 255)


@dataclass(frozen=True)
class Alteration:
    """One way to alter a photo; ``of_background`` where the object must be told from it."""

    name: str
    change: Callable[[Pixels, Sequence[Pixels], Chance], Pixels]
    of_background: bool = False


def altered(
    photo: Pixels, alteration: Alteration, others: Sequence[Pixels], chance: Chance
) -> Pixels | None:
    """Return a photo altered, or None where its object cannot be told from its background.

    Parameters
    ----------
    photo
        ``(H, W, 3)`` uint8.
    others
        Photos whose borders may serve as background.

    Returns
    -------
    ``(h, w, 3)`` uint8; the size may differ.
    """
    if not alteration.of_background:
        return alteration.change(photo, others, chance)
    mask = object_mask(photo)
    if mask is None:
        return None
    return before(photo, mask, alteration.change(photo, others, chance))


# --- Backgrounds -----------------------------------------------------------------------------


def own_colour(photo: Pixels, _others: Sequence[Pixels], _chance: Chance) -> Pixels:
    """Return the median colour of the photo's own border."""
    return _filled(photo, tuple(_border_colour(photo)))


def white(photo: Pixels, _others: Sequence[Pixels], _chance: Chance) -> Pixels:
    """Return white: a product shot's background."""
    return _filled(photo, WHITE)


def colour(photo: Pixels, _others: Sequence[Pixels], chance: Chance) -> Pixels:
    """Return any colour at all."""
    return _filled(photo, tuple(chance.integers(0, 256, 3)))


def gradient(photo: Pixels, _others: Sequence[Pixels], chance: Chance) -> Pixels:
    """Return two colours that pass into one another from one side or corner to the other."""
    first, second = chance.integers(0, 256, (2, 3))
    y, x = np.mgrid[0 : 1 : photo.shape[0] * 1j, 0 : 1 : photo.shape[1] * 1j]
    share = ((x * chance.random() + y * chance.random()) / 2)[:, :, None]
    return np.asarray(first * (1 - share) + second * share, np.uint8)


def texture(photo: Pixels, _others: Sequence[Pixels], chance: Chance) -> Pixels:
    """Return planks, concrete, cloth, a wall with holes, tiles, grass or a mat, as drawn."""
    return np.clip(background(chance, *photo.shape[:2]), 0, 255).astype(np.uint8)


def other_border(photo: Pixels, others: Sequence[Pixels], chance: Chance) -> Pixels:
    """Return a corner of another photo, mirrored until it is as large as this one."""
    other = others[int(chance.integers(len(others)))]
    height, width = (max(2, round(side * 0.28)) for side in other.shape[:2])
    top, left = chance.integers(0, 2, 2)
    corner = other[-height:] if top else other[:height]
    corner = corner[:, -width:] if left else corner[:, :width]
    image = Image.fromarray(corner).resize((photo.shape[1] // 2, photo.shape[0] // 2))
    half = np.asarray(image)
    extra = [(0, photo.shape[axis] - half.shape[axis]) for axis in (0, 1)]
    return np.pad(half, (*extra, (0, 0)), mode="symmetric")


# --- Colour, scale, fit ----------------------------------------------------------------------


def cast(photo: Pixels, _others: Sequence[Pixels], chance: Chance) -> Pixels:
    """Give red and blue other gains: lamps, shade, a camera that balances wrongly."""
    gains = np.array([chance.uniform(0.7, 1.3), 1.0, chance.uniform(0.7, 1.3)])
    return np.clip(photo * gains, 0, 255).astype(np.uint8)


def smaller(photo: Pixels, others: Sequence[Pixels], chance: Chance) -> Pixels:
    """Show the photo at half its sides on a canvas of its border's colour."""
    height, width = photo.shape[:2]
    canvas = Image.fromarray(own_colour(photo, others, chance))
    canvas.paste(
        Image.fromarray(photo).resize((width // 2, height // 2)), (width // 4, height // 4)
    )
    return np.asarray(canvas)


def larger(photo: Pixels, _others: Sequence[Pixels], _chance: Chance) -> Pixels:
    """Show the middle two thirds of both sides."""
    height, width = photo.shape[:2]
    return np.ascontiguousarray(photo[height // 6 : -height // 6, width // 6 : -width // 6])


def stretched(photo: Pixels, _others: Sequence[Pixels], chance: Chance) -> Pixels:
    """Cut a third off one side and stretch what is left to the whole, as a careless fit does."""
    height, width = photo.shape[:2]
    top, left = (height // 6, 0) if chance.random() < 0.5 else (0, width // 6)
    kept = photo[top : height - top, left : width - left]
    return np.asarray(Image.fromarray(kept).resize((width, height)))


def letterboxed(photo: Pixels, _others: Sequence[Pixels], chance: Chance) -> Pixels:
    """Cut a third off one side, half of it at each end, and put grey bars there."""
    height, width = photo.shape[:2]
    top, left = (height // 6, 0) if chance.random() < 0.5 else (0, width // 6)
    canvas = _filled(photo, GREY)
    canvas[top : height - top, left : width - left] = photo[top : height - top, left : width - left]
    return canvas


def _filled(photo: Pixels, colour: Sequence[int]) -> Pixels:
    return np.broadcast_to(np.asarray(colour, np.uint8), photo.shape).copy()


def _border_colour(photo: Pixels) -> Sequence[int]:
    border = np.concatenate((photo[0], photo[-1], photo[:, 0], photo[:, -1]))
    return [int(value) for value in np.median(border, axis=0)]


ALTERATIONS = (
    Alteration("background: its own colour (control)", own_colour, of_background=True),
    Alteration("background: white", white, of_background=True),
    Alteration("background: any colour", colour, of_background=True),
    Alteration("background: gradient", gradient, of_background=True),
    Alteration("background: drawn texture", texture, of_background=True),
    Alteration("background: another photo's border", other_border, of_background=True),
    Alteration("colour cast", cast),
    Alteration("half the size", smaller),
    Alteration("the middle two thirds", larger),
    Alteration("cut to 2:3 and stretched", stretched),
    Alteration("cut to 2:3, with grey bars", letterboxed),
)
"""In the order of the table."""
