"""Damaged files neither crash nor hang a check, and each is named."""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from damaged import endless_gif, jpeg_of_many_scans, png_bomb, write_damaged
from pegboard.audit.findings import read_findings
from pegboard.errors import UnusableImage
from pegboard.images import decode
from pegboard.photos import Reason

PROGRAM = str(Path(sys.executable).with_name("pegboard"))

SECONDS_PER_FILE = 2.0
"""Far above what one takes (20 ms at most when nothing else runs), far below a hang."""

MEMORY = 6 << 30
"""Bytes of address space, of which libraries reserve several times what they use."""


def check_within_bounds(folder: Path, out: Path, seconds: float) -> dict:
    """Run the program with a limit on time and on its address space."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    done = subprocess.run(
        [PROGRAM, "check", str(folder), "--out", str(out), "--threads", "2", "--json"],
        capture_output=True, text=True, timeout=seconds, check=False, preexec_fn=limit,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_each_is_named(folder: Path, out: Path, written: list[str], result: dict) -> None:
    """Every file is reported, or can truly be decoded."""
    named = {one.path for one in read_findings(out / "findings.csv")}
    for path in written:
        if path not in named:
            decode((folder / path).read_bytes())
    assert result["found"] == len(written)
    endless = {path for path in written if path.endswith("-endless.gif")}
    assert endless <= named


@pytest.mark.parametrize("count", [210, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_folder_of_damaged_files(tmp_path: Path, count: int) -> None:
    written = write_damaged(tmp_path / "photos", count, seed=count)
    out = tmp_path / "check"
    result = check_within_bounds(tmp_path / "photos", out, 60 + count * SECONDS_PER_FILE)
    assert_each_is_named(tmp_path / "photos", out, written, result)
    reasons: set[Reason] = {"truncated", "unreadable", "not-an-image", "too-large"}
    assert reasons <= result["left_out"].keys()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(png_bomb(60_000, 60_000), "too-large", id="png"),
        pytest.param(jpeg_of_many_scans(20_000, (4000, 4000)), "too-large", id="scans"),
    ],
)
def test_bombs_are_refused_at_once(data: bytes, reason: str) -> None:
    assert len(data) < 1_000_000
    started = time.process_time()
    with pytest.raises(UnusableImage) as refused:
        decode(data)
    assert refused.value.reason == reason
    assert time.process_time() - started < 1


def test_progressive_photos_are_no_bombs() -> None:
    photo = Image.effect_noise((1200, 900), 50).convert("RGB")
    stream = io.BytesIO()
    photo.save(stream, "JPEG", progressive=True)
    assert decode(stream.getvalue()).shape == (900, 1200, 3)


def test_transparent_photos_are_laid_on_white_as_ever(tmp_path: Path) -> None:
    """In bands, and the same as all at once."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2500, 40, 4), dtype=np.uint8)
    stream = io.BytesIO()
    image = Image.fromarray(pixels)
    image.save(stream, "PNG")
    white = Image.new("RGBA", image.size, "white")
    expected = Image.alpha_composite(white, image).convert("RGB")
    assert np.array_equal(decode(stream.getvalue()), np.asarray(expected))


def test_only_the_first_picture_of_an_endless_one_is_read() -> None:
    started = time.process_time()
    assert decode(endless_gif(200_000)).shape[:2] == (64, 64)
    assert time.process_time() - started < 1
