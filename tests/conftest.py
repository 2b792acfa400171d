from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from visits import chromium

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    """All tests of a session share one cache, and never the user's."""
    session = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        session = session.parent
    cache = os.environ.get("PEGBOARD_TEST_CACHE") or str(session / "pegboard-cache")
    monkeypatch.setenv("PEGBOARD_CACHE", cache)


LONGEST_FIRST = ("test_notebooks", "test_docs", "test_report_browser", "test_pipeline")
"""Files that take a minute or more: begun last, one of them would run on alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest."""
    order = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


@pytest.fixture(scope="session")
def data_folder() -> Callable[[str], Path]:
    """Return a development data set's path, or skip the test where it is absent."""

    def find(name: str) -> Path:
        root = Path(os.environ.get("PEGBOARD_DATA") or REPOSITORY.parent / "shared" / "data")
        path = root / name
        if not path.exists():
            pytest.skip(f"PEGBOARD_DATA has no {name}")
        return path

    return find


def benchmark_module(name: str) -> ModuleType:
    """Import a script of ``benchmarks/``, which is no package."""
    file = REPOSITORY / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


# Not for the whole session: while Playwright runs, nothing else may start an event loop.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real Chromium; the test is skipped where there is none."""
    with chromium() as started:
        yield started


SHAPES = ("disc", "square", "cross")


def draw_photo(
    shape: str, rng: np.random.Generator, size: tuple[int, int] = (96, 80)
) -> Image.Image:
    """Draw one coloured shape on a noisy background: a photo that is ours to commit."""
    width, height = size
    noise = rng.integers(90, 160, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    pen = ImageDraw.Draw(image)
    radius = int(rng.integers(14, 24))
    x = int(rng.integers(radius, width - radius))
    y = int(rng.integers(radius, height - radius))
    colour = tuple(int(c) for c in rng.integers(0, 255, 3))
    if shape == "disc":
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    elif shape == "square":
        pen.rectangle((x - radius, y - radius, x + radius, y + radius), fill=colour)
    else:
        pen.line((x - radius, y, x + radius, y), fill=colour, width=8)
        pen.line((x, y - radius, x, y + radius), fill=colour, width=8)
    return image


@pytest.fixture
def photo_folder(tmp_path: Path) -> Callable[..., Path]:
    """Write class folders of drawn photos and return the folder."""

    def write(per_class: int = 8, classes: tuple[str, ...] = SHAPES, seed: int = 0) -> Path:
        root = tmp_path / "photos"
        rng = np.random.default_rng(seed)
        for name in classes:
            (root / name).mkdir(parents=True, exist_ok=True)
            for index in range(per_class):
                photo = draw_photo(SHAPES[classes.index(name) % 3], rng)
                photo.save(root / name / f"{index:03d}.{'png' if index % 2 else 'jpg'}")
        return root

    return write
