"""What a model sees: the one definition of preprocessing.

Training, evaluation, export and serving all call :func:`fit_image`; normalisation is part
of the exported model. An :class:`InputSpec` travels with the weights (idea: timm's
``PretrainedCfg``), so no size, fit, mean or deviation is ever typed twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pegboard.errors import BundleError, UnusableImage
from pegboard.images import MAX_PIXELS, to_pixels
from pegboard.photos import Pixels

Fit = Literal["crop", "letterbox", "squash"]
FITS: tuple[Fit, ...] = ("crop", "letterbox", "squash")
Interpolation = Literal["area", "bilinear", "bicubic"]

LETTERBOX_GREY = 128
"""Fill colour of a letterbox: mid grey is near the mean of common normalisations."""


@dataclass(frozen=True)
class InputSpec:
    """Shape and meaning of a model's input.

    Attributes
    ----------
    height, width
        Pixels the network sees.
    channels
        1 (grey) or 3 (RGB).
    fit
        How a photo of another shape is brought to size: ``crop`` the centre, ``letterbox``
        (keep all, pad with grey) or ``squash`` (ignore the aspect ratio).
    mean, std
        Per channel, of pixels scaled to [0, 1]; applied inside the model.
    interpolation
        ``area`` averages when shrinking (Pillow's box filter with bilinear when enlarging).
    """

    height: int
    width: int
    channels: int = 3
    fit: Fit = "letterbox"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    interpolation: Interpolation = "bilinear"

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(height, width, channels)``."""
        return (self.height, self.width, self.channels)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> InputSpec:
        """Rebuild from :meth:`to_json`.

        Raises
        ------
        BundleError
            When a key is missing, unknown, or holds a value of the wrong kind.
        """
        try:
            fields = dict(data) | {"mean": tuple(data["mean"]), "std": tuple(data["std"])}
            spec = cls(**fields)
        except (KeyError, TypeError) as error:
            raise BundleError(f"the input specification is not valid: {error}") from error
        if spec.fit not in FITS or spec.channels not in (1, 3) or min(spec.height, spec.width) < 1:
            raise BundleError(f"the input specification is not valid: {spec}")
        return spec

    def with_fit(self, fit: Fit) -> InputSpec:
        """Return the same specification with another fit."""
        return replace(self, fit=fit)


def fitted(
    payload: bytes | NDArray[np.uint8], spec: InputSpec, max_pixels: int = MAX_PIXELS
) -> Pixels:
    """Return what a model sees of a photo: from a file's bytes, or from pixels.

    A large JPEG is decoded at the least scale that still has the pixels the model needs.

    Parameters
    ----------
    payload
        A file's bytes, or ``(h, w)``, ``(h, w, 1)`` or ``(h, w, 3)`` uint8.
    spec
        The model's input specification.
    max_pixels
        Files of larger photos are refused before they are decoded.

    Returns
    -------
    ``(spec.height, spec.width, spec.channels)`` uint8.

    Raises
    ------
    UnusableImage
        When the payload cannot be decoded or holds no pixels.
    """
    pixels = to_pixels(payload, at_least=max(spec.height, spec.width), max_pixels=max_pixels)
    if pixels.size == 0:
        raise UnusableImage("empty", f"the photo has no pixels: {pixels.shape}")
    return fit_image(pixels, spec)


def fit_image(pixels: Pixels, spec: InputSpec) -> Pixels:
    """Bring decoded pixels to the size and channels a model sees.

    Parameters
    ----------
    pixels
        ``(h, w, 1 or 3)`` uint8, oriented.
    spec
        The model's input specification.

    Returns
    -------
    ``(spec.height, spec.width, spec.channels)`` uint8.
    """
    pixels = _to_channels(pixels, spec.channels)
    if pixels.shape == spec.shape:
        return pixels
    image = Image.fromarray(pixels[:, :, 0] if spec.channels == 1 else pixels)
    fitted = np.asarray(_FITTERS[spec.fit](image, spec), dtype=np.uint8)
    return fitted.reshape(spec.shape)


def _to_channels(pixels: Pixels, channels: int) -> Pixels:
    found = pixels.shape[2]
    if found == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    grey = Image.fromarray(pixels).convert("L")
    return np.asarray(grey, dtype=np.uint8)[:, :, None]


def _resize(
    image: Image.Image,
    size: tuple[int, int],
    spec: InputSpec,
    box: tuple[float, float, float, float] | None = None,
) -> Image.Image:
    filters = {
        "area": Image.Resampling.BOX,
        "bilinear": Image.Resampling.BILINEAR,
        "bicubic": Image.Resampling.BICUBIC,
    }
    return image.resize(size, filters[spec.interpolation], box=box)


def _squash(image: Image.Image, spec: InputSpec) -> Image.Image:
    return _resize(image, (spec.width, spec.height), spec)


def _crop(image: Image.Image, spec: InputSpec) -> Image.Image:
    scale = min(image.width / spec.width, image.height / spec.height)
    # Rounding must not push a border out of the picture.
    width = min(spec.width * scale, image.width)
    height = min(spec.height * scale, image.height)
    left, top = (image.width - width) / 2, (image.height - height) / 2
    box = (left, top, min(left + width, image.width), min(top + height, image.height))
    return _resize(image, (spec.width, spec.height), spec, box)


def _letterbox(image: Image.Image, spec: InputSpec) -> Image.Image:
    scale = min(spec.width / image.width, spec.height / image.height)
    width = max(1, round(image.width * scale))
    height = max(1, round(image.height * scale))
    fill = LETTERBOX_GREY if spec.channels == 1 else (LETTERBOX_GREY,) * 3
    canvas = Image.new(image.mode, (spec.width, spec.height), fill)
    canvas.paste(
        _resize(image, (width, height), spec),
        ((spec.width - width) // 2, (spec.height - height) // 2),
    )
    return canvas


_FITTERS = {"crop": _crop, "letterbox": _letterbox, "squash": _squash}
