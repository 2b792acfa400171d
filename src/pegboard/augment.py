"""Random changes of whole batches of training photos, on the device that trains.

All photos of a batch are changed in a handful of tensor operations; nothing happens per
photo in Python. Evaluation never comes here.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pegboard.photos import Pixels
from pegboard.recipes import BEYOND, Augmentation

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in perceived brightness (ITU-R BT.601)."""


def augment(images: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Change each photo of a batch at random.

    Parameters
    ----------
    images
        ``(N, C, H, W)`` float, values in [0, 1].
    how
        The largest changes.
    generator
        Source of chance, on the CPU: the same seed gives the same photos on every device.

    Returns
    -------
    A new ``(N, C, H, W)`` tensor in [0, 1].
    """
    if how.only_shifts:
        images = _shift(images, how.shift, generator)
    elif how.moves:
        images = _move(images, how, generator)
    if how.light or how.contrast or how.colour or how.cast:
        images = _recolour(images, how, generator)
    if how.erase:
        images = _erase(images, how.erase, generator)
    return images


def augmented_views(
    photo: Pixels, how: Augmentation, count: int, *, seed: int = 0
) -> NDArray[np.uint8]:
    """Return one photo changed at random ``count`` times, to look at.

    Parameters
    ----------
    photo
        ``(H, W, C)`` uint8, fitted.

    Returns
    -------
    ``(count, H, W, C)`` uint8.
    """
    images = torch.from_numpy(np.repeat(photo[None], count, axis=0)).permute(0, 3, 1, 2)
    changed = augment(images.float() / 255, how, torch.Generator().manual_seed(seed))
    views: NDArray[np.uint8] = (
        (changed * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    )
    return views


SHRINK_STEP = 32
"""Shrunk sides are multiples of this: backbones halve their maps five times."""


def shrink(images: Tensor, scale: float) -> Tensor:
    """Return a batch ``(N, C, H, W)`` at about ``scale`` of its sides; as it is from 1 on."""
    if scale >= 1:
        return images
    sides = [
        min(side, max(SHRINK_STEP, round(side * scale / SHRINK_STEP) * SHRINK_STEP))
        for side in images.shape[2:]
    ]
    if sides == list(images.shape[2:]):
        return images
    smaller = F.interpolate(images, sides, mode="bilinear", antialias=True)
    return smaller.contiguous(memory_format=torch.channels_last)


def cutmix(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, float]:
    """Paste a rectangle of another photo of the batch into each photo.

    CutMix: Yun et al. 2019, arXiv:1905.04899. One rectangle for the whole batch, its area
    uniform between none and all of the photo before it is cut off at the border.

    Parameters
    ----------
    images
        ``(N, C, H, W)``.

    Returns
    -------
    The mixed photos, for each the index ``(N,)`` of the photo that was pasted in, and the share
    of the area that is still its own.
    """
    height, width = images.shape[2:]
    area, middle_row, middle_column = torch.rand(3, generator=generator).tolist()
    partners = torch.randperm(len(images), generator=generator)
    rows = _span(middle_row, math.sqrt(area), height)
    columns = _span(middle_column, math.sqrt(area), width)
    mixed = images.clone()
    mixed[:, :, rows, columns] = images[partners.to(images.device)][:, :, rows, columns]
    pasted = (rows.stop - rows.start) * (columns.stop - columns.start)
    return mixed, partners, 1 - pasted / (height * width)


def _span(middle: float, share: float, length: int) -> slice:
    centre, half = int(middle * length), int(share * length) // 2
    return slice(max(centre - half, 0), min(centre + half, length))


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def _shift(images: Tensor, largest: float, generator: torch.Generator) -> Tensor:
    """Shift by whole pixels, continuing the border: ten times cheaper than resampling."""
    count, _, height, width = images.shape
    down = (_uniform(count, -largest, largest, generator) * height).round().long()
    across = (_uniform(count, -largest, largest, generator) * width).round().long()
    rows = (torch.arange(height)[None] + down[:, None]).clamp(0, height - 1)
    columns = (torch.arange(width)[None] + across[:, None]).clamp(0, width - 1)
    photo = torch.arange(count)[:, None, None]
    place = (photo, rows[:, :, None], columns[:, None, :])
    by_pixel = images.permute(0, 2, 3, 1)[tuple(index.to(images.device) for index in place)]
    return by_pixel.permute(0, 3, 1, 2)


def _sample_to_border(images: Tensor, grid: Tensor) -> Tensor:
    """Sample, the border continued: also where the device has no kernel for that (MPS)."""
    if images.device.type != "mps":
        return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return F.grid_sample(images, within(grid, images), align_corners=False)


def within(grid: Tensor, images: Tensor) -> Tensor:
    """Return a sampling grid that goes no further than the middles of the outermost pixels."""
    height, width = images.shape[2:]
    most = 1 - 1 / torch.tensor([width, height], dtype=grid.dtype, device=grid.device)
    return torch.minimum(torch.maximum(grid, -most), most)


def _move(images: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    theta = _affine(len(images), how, generator).to(images.device, images.dtype)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    # Grey pictures mostly have one even background, which the border continues; the border of
    # a photo smeared outwards would be a streak that no photo has, so photos are reflected.
    if images.shape[1] == 1:
        moved = _sample_to_border(images, grid)
    else:
        moved = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    if not how.even:
        return moved
    beyond = (grid.abs() > 1).any(dim=3)[:, None]
    chosen = torch.rand(len(images), generator=generator) < how.even
    colour = _even_colour(images, generator)
    return torch.where(beyond & chosen.to(images.device)[:, None, None, None], colour, moved)


def _even_colour(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return ``(N, C, 1, 1)``: each photo's border's median, or white, or a letterbox's grey."""
    top, bottom = images[:, :, 0], images[:, :, -1]
    left, right = images[:, :, :, 0], images[:, :, :, -1]
    border = torch.cat((top, bottom, left, right), dim=2).median(dim=2).values
    drawn = torch.rand(len(images), generator=generator).to(images.device)[:, None]
    white, grey = torch.ones_like(border), torch.full_like(border, 128 / 255)
    own, either = BEYOND[0], BEYOND[0] + BEYOND[1]
    colour = torch.where(drawn < own, border, torch.where(drawn < either, white, grey))
    return colour[:, :, None, None]


def _affine(count: int, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Return ``(N, 2, 3)`` maps from output to input coordinates, which run from -1 to 1."""
    angle = _uniform(count, -how.rotate, how.rotate, generator) * (math.pi / 180)
    low, high = (math.log(limit) for limit in how.scale)
    shrink = torch.exp(-_uniform(count, low, high, generator))
    shear = _uniform(count, -how.shear, how.shear, generator)
    side = torch.ones(count)
    if how.mirror:
        side = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle) * shrink, torch.sin(angle) * shrink
    # A shift of 1 in these coordinates is half a side.
    across = _uniform(count, -2 * how.shift, 2 * how.shift, generator)
    down = _uniform(count, -2 * how.shift, 2 * how.shift, generator)
    first = torch.stack((cos * side, -sin + shear * cos, across), dim=1)
    second = torch.stack((sin * side, cos + shear * sin, down), dim=1)
    theta = torch.stack((first, second), dim=1)
    if how.stretch != 1:
        half = math.log(how.stretch) / 2
        wide = torch.exp(_uniform(count, -half, half, generator))[:, None]
        theta = theta * torch.stack((1 / wide, wide, torch.ones_like(wide)), dim=2)
    return theta


def _recolour(images: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    def factor(largest: float) -> Tensor:
        drawn = 1 + _uniform(len(images), -largest, largest, generator)
        return drawn.to(images.device, images.dtype)[:, None, None, None]

    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    images = (images - mean) * factor(how.contrast) + mean * factor(how.light)
    if how.colour and images.shape[1] == 3:
        weights = torch.tensor(LUMA, device=images.device, dtype=images.dtype)
        grey = (images * weights[:, None, None]).sum(dim=1, keepdim=True)
        images = grey + (images - grey) * factor(how.colour)
    if how.cast and images.shape[1] == 3:
        drawn = torch.randn((len(images), 3), generator=generator) * how.cast
        images = images * torch.exp(drawn).to(images.device, images.dtype)[:, :, None, None]
    return images.clamp(0, 1)


def _erase(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    count, _, height, width = images.shape
    area = _uniform(count, 0.02, 0.2, generator)
    ratio = torch.exp(_uniform(count, math.log(0.4), math.log(2.5), generator))
    chosen = torch.rand(count, generator=generator) < probability
    tall = (torch.sqrt(area * ratio) * height)[:, None]
    wide = (torch.sqrt(area / ratio) * width)[:, None]
    top = (torch.rand(count, generator=generator) * height)[:, None]
    left = (torch.rand(count, generator=generator) * width)[:, None]
    rows, columns = torch.arange(height)[None], torch.arange(width)[None]
    inside_rows = (rows >= top) & (rows < top + tall)
    inside_columns = (columns >= left) & (columns < left + wide)
    hole = inside_rows[:, :, None] & inside_columns[:, None, :] & chosen[:, None, None]
    fill = images.mean(dim=(2, 3), keepdim=True)
    return torch.where(hole[:, None].to(images.device), fill, images)
