"""How long a JPEG of 12 megapixels takes to become what a model sees, and how far pixels differ.

``pegboard`` decodes a large JPEG at 1/2, 1/4 or 1/8 of its size where that leaves the pixels that
the model needs; beside it stands decoding in full with Pillow, alone and with resizing. Photos:
mosaics of 12 megapixels of the photos of tools15 where they are, else drawn ones, with a camera's
noise, so that their files are as large as a phone's.

    PEGBOARD_DATA=… python benchmarks/jpeg.py [--quick] [--json FILE]
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness import DATA, options, ratio, summary, take_turns, write_result
from pegboard.examples.studio import photograph
from pegboard.inputs import FITS, InputSpec, fit_image, fitted

WIDTH, HEIGHT = 4000, 3000
QUALITIES = (75, 90, 95)
NOISE = 5.0
"""Standard deviation of a camera's noise, in grey levels."""


def main() -> None:
    """Measure and write the result."""
    given = options(__doc__ or "", "jpeg").parse_args()
    repeats = 2 if given.quick else 5
    pictures = list(scenes(1 if given.quick else 4))
    rows = [
        measured(pictures, quality, InputSpec(side, side, 3, fit=fit), repeats)
        for side in (224, 320)
        for quality in QUALITIES
        for fit in FITS
        if fit == "letterbox" or quality == 90
    ]
    origin = "tools15 mosaics" if (DATA / "tools15").exists() else "drawn"
    write_result("jpeg", given, {"photos": origin, "n": len(pictures), "rows": rows})


def measured(
    pictures: list[Image.Image], quality: int, spec: InputSpec, repeats: int
) -> dict[str, Any]:
    """Return times of all ways, their ratios, and the difference of their pixels."""
    files = [jpeg(picture, quality) for picture in pictures]
    runs: dict[str, Callable[[], float | None]] = {
        "full": partial(timed, in_full, files, spec),
        "decoded": partial(timed, decoded, files, spec),
        "pegboard": partial(timed, fitted, files, spec),
    }
    seconds = take_turns(runs, repeats)
    apart = [
        np.abs(in_full(data, spec).astype(int) - fitted(data, spec).astype(int)) for data in files
    ]
    return {
        "side": spec.height,
        "fit": spec.fit,
        "quality": quality,
        "megabytes": sum(map(len, files)) / len(files) / 1e6,
        "full": summary(seconds["full"]),
        "decoded": summary(seconds["decoded"]),
        "pegboard": summary(seconds["pegboard"]),
        "ratio": ratio(seconds["full"], seconds["pegboard"]),
        "ratio_to_decoding": ratio(seconds["decoded"], seconds["pegboard"]),
        "difference": {
            "mean": float(np.mean([part.mean() for part in apart])),
            "p99": float(np.percentile(np.concatenate([part.ravel() for part in apart]), 99)),
            "largest": int(max(part.max() for part in apart)),
        },
    }


def timed(
    way: Callable[[bytes, InputSpec], NDArray[np.uint8]], files: list[bytes], spec: InputSpec
) -> float:
    """Return the seconds that one file takes."""
    started = time.perf_counter()
    for data in files:
        way(data, spec)
    return (time.perf_counter() - started) / len(files)


def in_full(data: bytes, spec: InputSpec) -> NDArray[np.uint8]:
    """Decode every pixel with Pillow and resize."""
    return fit_image(decoded(data, spec), spec)


def decoded(data: bytes, spec: InputSpec) -> NDArray[np.uint8]:
    """Decode every pixel with Pillow, whatever the model needs."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def jpeg(picture: Image.Image, quality: int) -> bytes:
    """Return the picture as a JPEG file, as cameras write it: colour at half the resolution."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()


def scenes(count: int) -> Iterator[Image.Image]:
    """Yield pictures of 12 megapixels with as much detail as photos have."""
    rng = np.random.default_rng(0)
    files = sorted(path for path in (DATA / "tools15").rglob("*.jpg") if path.is_file())
    for _ in range(count):
        picture = mosaic(files, rng) if files else photograph("saw", rng, WIDTH)
        picture = picture.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        pixels = np.asarray(picture, np.float32)
        noisy = pixels + rng.normal(0, NOISE, pixels.shape).astype(np.float32)
        yield Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def mosaic(files: list[Path], rng: np.random.Generator) -> Image.Image:
    """Lay photos side by side, each at about three times its size."""
    side, across, down = 224, 6, 4
    canvas = Image.new("RGB", (side * across, side * down))
    for place, index in enumerate(rng.choice(len(files), across * down, replace=False)):
        with Image.open(files[index]) as photo:
            spot = (place % across * side, place // across * side)
            canvas.paste(photo.convert("RGB").resize((side, side)), spot)
    return canvas


if __name__ == "__main__":
    main()
