"""What the demo leaves the user to play with."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from pegboard.files import atomic_path
from pegboard.images import to_pixels
from pegboard.manifest import read_manifest
from pegboard.runs import RunFolder, read_json
from pegboard.sources import open_source

EXAMPLE = "example.png"


def write_example(folder: RunFolder) -> Path:
    """Write the first test picture of a run of a built-in source, to try ``predict`` on."""
    row = next(row for row in read_manifest(folder.manifest) if row.split == "test")
    source = open_source(read_json(folder.run)["source"]["location"])
    pixels = to_pixels(source.read(row.path))
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    path = folder.path / EXAMPLE
    with atomic_path(path) as temporary:
        image.save(temporary)
    return path
