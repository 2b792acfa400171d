from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pegboard.errors import PegboardError
from pegboard.predict import Predictor
from pegboard.speed import Speed, _read_payloads, _write_payloads, measure, peak_memory, time_here
from small_bundle import colour_bundle, plain


def jpeg(side: int) -> bytes:
    noise = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return colour_bundle(tmp_path / "colours.pegboard")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pegboard.speed.BATCH_SECONDS", 0.2)


def test_a_child_measures(bundle: Path) -> None:
    start = time.perf_counter()
    speed = measure(bundle, [jpeg(64), plain((200, 10, 10)), np.zeros((28, 28), np.uint8)])
    took = time.perf_counter() - start
    assert 0 < speed.latency_ms_p50 <= speed.latency_ms_p95 < 1000
    assert speed.images_per_second > 8
    assert took < 20


def test_memory_is_the_childs_own(bundle: Path) -> None:
    """A child of a process that holds much must not be charged for it."""
    ballast = np.ones(400_000_000 // 8)
    speed = measure(bundle, [jpeg(64)], repeats=5)
    assert ballast.sum() > 0
    if speed.peak_memory_bytes is None:
        pytest.skip("this system does not tell")
    assert 20_000_000 < speed.peak_memory_bytes < 250_000_000


def test_peak_memory_rises_with_what_is_held() -> None:
    before = peak_memory()
    if before is None:
        pytest.skip("this system does not tell")
    held = np.ones((before + 200_000_000) // 8)
    after = peak_memory()
    assert after is not None
    assert after - before > 100_000_000
    assert held[0] == 1


def test_larger_photos_take_longer(bundle: Path) -> None:
    predictor = Predictor.load(bundle, threads=1)
    small = time_here(predictor, [jpeg(32)], 15)
    large = time_here(predictor, [jpeg(1200)], 15)
    assert large.latency_ms_p50 > 3 * small.latency_ms_p50
    assert large.images_per_second < small.images_per_second / 3


def test_the_childs_latency_is_the_time_a_caller_waits(bundle: Path) -> None:
    """Second source: the same photo timed here, around the public call."""
    photo = jpeg(1200)
    predictor = Predictor.load(bundle, threads=1)
    waits = []
    for _ in range(12):
        start = time.perf_counter()
        predictor.predict([photo])
        waits.append(1000 * (time.perf_counter() - start))
    measured = measure(bundle, [photo], repeats=12, threads=1).latency_ms_p50
    # Other work on the machine blurs both; a wrong unit or a missing decode would not pass.
    assert np.median(waits) / 5 < measured < 5 * np.median(waits)


def test_payloads_come_back_as_they_went(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    payloads = [jpeg(16), rng.integers(0, 9, (5, 6, 3), dtype=np.uint8), b"\0\1", plain((1, 2, 3))]
    _write_payloads(tmp_path / "a.npz", payloads)
    for found, given in zip(_read_payloads(tmp_path / "a.npz"), payloads, strict=True):
        assert type(found) is type(given)
        np.testing.assert_array_equal(found, given)


def test_a_broken_bundle_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.pegboard"
    path.write_bytes(b"nothing")
    with pytest.raises(PegboardError, match=r"could not be measured: .* is not a \.pegboard file"):
        measure(path, [jpeg(16)])


def test_it_needs_a_photo(bundle: Path) -> None:
    with pytest.raises(ValueError, match="at least one photo"):
        measure(bundle, [])


def test_the_child_is_light_and_prints_only_json(bundle: Path, tmp_path: Path) -> None:
    _write_payloads(tmp_path / "photos.npz", [jpeg(64)])
    script = (
        "import sys\n"
        "from pegboard import speed\n"
        "speed.BATCH_SECONDS = 0.1\n"
        f"code = speed.main([{str(bundle)!r}, {str(tmp_path / 'photos.npz')!r}])\n"
        "heavy = {'torch', 'onnx', 'sklearn', 'scipy', 'matplotlib', 'polars', 'rich', 'jinja2'}\n"
        "sys.stderr.write(str(sorted(heavy & set(sys.modules))))\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "[]")
    assert Speed(**json.loads(done.stdout)).images_per_second > 0
