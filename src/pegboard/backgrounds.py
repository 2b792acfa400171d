"""What in a photo is the object and what is behind it, and the object before another background.

Only for photos of one thing on something fairly even, such as a floor or a table. The border of
the photo tells what the background looks like; what looks otherwise is the object. Where that
leaves no believable object, the answer is None and the photo should be left as it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pegboard.photos import Pixels

Mask = NDArray[np.bool_]
Plane = NDArray[np.float32]

LOOKED_AT = 112
"""Longer side in pixels at which photos are looked at: textures finer than that are even."""
RING = 0.06
"""Width of the border that shows the background, as a share of the shorter side."""
COLOURS = 3
"""Colours that a background has at most: tiles and their joints, a cloth's pattern."""
ROUNDS = 6
"""Rounds of Lloyd's algorithm: the colours of a border hardly move any more."""
LIGHTNESS = 0.5
"""How much lightness counts beside colour: shadows belong to the background."""
WITHIN = 95
"""Percentile of the border's own distances that still is background."""
MARGIN, LEAST_DISTANCE = 1.3, 6.0
"""The limit is so many times that percentile, and at least so far, in units of CIE Lab."""
MOST_UNEVEN = 16.0
"""Beyond this limit the background is too varied to tell what stands before it."""
LEAST_AREA, MOST_AREA = 0.04, 0.6
"""Share of the photo that a believable object fills."""
MOST_BORDER = 0.2
"""Share of the border that a believable object covers: a long tool leaves the photo at its ends."""
LEAST_WHOLE = 0.75
"""Share of the object's area in its largest piece."""
CONTRAST = 1.7
"""The object's median distance is so many times the limit, or its pale parts are lost with it."""
SPECK = 0.1
"""Pieces smaller than this share of the largest are dirt."""
WINDOW = 0.01
"""Share of the photo from which on a piece of background inside the object is a hole in it."""
SOFT = 0.7
"""Radius in pixels, of 224, over which the object's edge passes into the new background."""


def object_mask(photo: Pixels) -> Mask | None:
    """Return which pixels show the object, or None where that cannot be told.

    Parameters
    ----------
    photo
        ``(H, W, 3)`` uint8.

    Returns
    -------
    bool ``(H, W)``, true on the object.
    """
    height, width = photo.shape[:2]
    if photo.shape[2] != 3 or min(height, width) < LOOKED_AT // 2:
        return None
    small = _smaller(photo)
    ring = _ring(small.shape[:2])
    distance, limit = _strangeness(_lab(small), ring)
    if limit > MOST_UNEVEN:
        return None
    mask = _pieces(distance > limit, ring)
    if mask is None or not _believable(mask, ring):
        return None
    if np.median(distance[mask]) < CONTRAST * limit:
        return None
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    resized = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    return np.asarray(resized >= 128)


def before(photo: Pixels, mask: Mask, background: Pixels) -> Pixels:
    """Return the object of a photo before another background.

    Parameters
    ----------
    photo, background
        ``(H, W, 3)`` uint8.
    mask
        bool ``(H, W)``, as :func:`object_mask` gives it.

    Returns
    -------
    ``(H, W, 3)`` uint8: the photo's pixels well inside the mask, the background's well outside,
    and a mixture along the edge.
    """
    radius = SOFT * max(photo.shape[:2]) / 224
    edge = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(radius))
    share = np.asarray(edge, np.float32)[:, :, None] / 255
    mixed: Pixels = np.round(share * photo + (1 - share) * background).astype(np.uint8)
    return mixed


def _smaller(photo: Pixels) -> Pixels:
    scale = LOOKED_AT / max(photo.shape[:2])
    size = (max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale)))
    # The median takes the grain out of carpets and concrete, and leaves edges where they are.
    image = Image.fromarray(photo).resize(size, Image.Resampling.BOX)
    return np.asarray(image.filter(ImageFilter.MedianFilter(3)), np.uint8)


def _ring(shape: tuple[int, ...]) -> Mask:
    width = max(2, round(RING * min(shape)))
    ring = np.ones(shape, np.bool_)
    ring[width:-width, width:-width] = False
    return ring


def _lab(photo: Pixels) -> Plane:
    """Return CIE Lab under D65 from sRGB (IEC 61966-2-1), lightness weighed down."""
    values = photo.astype(np.float32) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float32
    )
    xyz = linear.astype(np.float32) @ to_xyz.T / np.array([0.9505, 1.0, 1.089], np.float32)
    cube = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = np.moveaxis(cube, -1, 0)
    lab = np.stack((LIGHTNESS * (116 * y - 16), 500 * (x - y), 200 * (y - z)), axis=-1)
    return lab.astype(np.float32)


def _strangeness(lab: Plane, ring: Mask) -> tuple[Plane, float]:
    """Return how far each pixel is from the border's colours, and how far background goes."""
    flat = lab - _slope(lab, ring)
    border = flat[ring]
    centres = _centres(border)
    distance = np.sqrt(((flat[:, :, None] - centres) ** 2).sum(-1).min(-1))
    limit = max(MARGIN * float(np.percentile(distance[ring], WITHIN)), LEAST_DISTANCE)
    return distance.astype(np.float32), limit


def _slope(lab: Plane, ring: Mask) -> Plane:
    """Return the plane through the border's values: light that falls off from one side."""
    y, x = np.mgrid[-1 : 1 : lab.shape[0] * 1j, -1 : 1 : lab.shape[1] * 1j]
    terms = np.stack((np.ones_like(x), x, y), axis=-1)
    coefficients, *_ = np.linalg.lstsq(terms[ring], lab[ring].astype(np.float64), rcond=None)
    return np.asarray(terms[:, :, 1:] @ coefficients[1:], np.float32)


def _centres(border: Plane) -> Plane:
    """Return a few colours near which those of the border lie, by Lloyd's algorithm."""
    order = np.argsort(border[:, 0])
    centres = border[order[np.linspace(0, len(order) - 1, COLOURS + 2).astype(int)[1:-1]]]
    for _ in range(ROUNDS):
        nearest = ((border[:, None] - centres) ** 2).sum(-1).argmin(1)
        for number in range(COLOURS):
            if len(own := border[nearest == number]):
                centres[number] = own.mean(axis=0)
    # A thing that leaves the photo covers some of the border and must not pass for background.
    shares = np.bincount(nearest, minlength=COLOURS) / len(border)
    common: Plane = centres[shares >= min(MOST_BORDER, shares.max())]
    return common


def _pieces(strange: Mask, ring: Mask) -> Mask | None:
    """Return the object: what is strange, without specks, and what it encloses but windows."""
    from scipy import ndimage  # noqa: PLC0415  (start-up time; scikit-learn brings it)

    closed = ndimage.binary_closing(np.pad(strange, 3, mode="edge"), iterations=2)[3:-3, 3:-3]
    opened = ndimage.binary_opening(closed)
    object_pieces, count = ndimage.label(opened)
    if not count:
        return None
    areas = np.bincount(object_pieces.ravel())
    areas[0] = 0
    mask = np.isin(object_pieces, np.flatnonzero(areas >= SPECK * areas.max()))
    behind, _ = ndimage.label(~mask)
    sizes = np.bincount(behind.ravel())
    windows = np.flatnonzero(sizes >= WINDOW * mask.size)
    reached = np.union1d(windows, np.unique(behind[ring]))
    return np.asarray(~np.isin(behind, reached[reached > 0]))


def _believable(mask: Mask, ring: Mask) -> bool:
    from scipy import ndimage  # noqa: PLC0415

    pieces, _ = ndimage.label(mask)
    largest = np.bincount(pieces.ravel())[1:].max(initial=0)
    return bool(
        LEAST_AREA <= mask.mean() <= MOST_AREA
        and mask[ring].mean() <= MOST_BORDER
        and largest >= LEAST_WHOLE * mask.sum()
    )
