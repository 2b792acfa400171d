"""Features: equal to torch's, kept, and never wrong because of what lies in the cache."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pegboard.budget import Budget
from pegboard.embed import MANY_SHARDS, Embedder, FeatureStore, Item, keep_checked, read_checked
from pegboard.errors import BudgetSpent, MissingExtra, ModelError
from pegboard.inputs import InputSpec, fit_image
from pegboard.models.backbones import build_backbone
from pegboard.models.registry import input_spec, parse_model_name
from pegboard.models.weights import ResolvedWeights, parse_weights_option, resolve_weights
from pegboard.photos import Pixels

PROBE = parse_model_name("probe")
SPEC = input_spec(PROBE, image_size=64)
WEIGHTS = resolve_weights([PROBE])["efficientnet_lite0"]


def pixels(seed: int, spec: InputSpec = SPEC) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, spec.shape, dtype=np.uint8)


def items(seeds: Any) -> list[Item]:
    return [(f"photo-{seed}", lambda seed=seed: pixels(seed)) for seed in seeds]


def untouchable(seeds: Any) -> list[Item]:
    """The same keys, with photos that must not be asked for."""

    def refuse() -> Pixels:
        raise AssertionError("this photo was seen before")

    return [(f"photo-{seed}", refuse) for seed in seeds]


def torch_features(weights: ResolvedWeights, spec: InputSpec, photos: list[Pixels]) -> Any:
    """Features in float64 arithmetic of the input, through torch: the second source."""
    backbone = build_backbone(weights.base, weights=weights).eval()
    batch = (np.stack(photos) / 255 - spec.mean) / spec.std
    with torch.no_grad():
        return backbone(torch.from_numpy(batch).permute(0, 3, 1, 2).float()).numpy()


@pytest.fixture(scope="module")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the backbone's ONNX file, made once for this module."""
    cache = tmp_path_factory.mktemp("cache")
    Embedder("efficientnet_lite0", WEIGHTS, SPEC, cache=cache, threads=1).features(items([0]))
    return cache


@pytest.fixture
def cache(backbones: Path, tmp_path: Path) -> Path:
    """A copy of it, without features."""
    folder = tmp_path / "cache" / "backbones"
    folder.mkdir(parents=True)
    for file in (backbones / "backbones").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder.parent


def embedder(cache: Path, spec: InputSpec = SPEC) -> Embedder:
    return Embedder("efficientnet_lite0", WEIGHTS, spec, cache=cache, threads=1)


def files(cache: Path, pattern: str) -> list[Path]:
    return sorted(cache.rglob(pattern))


# ---------------------------------------------------------------- right features


def test_features_are_torchs(cache: Path) -> None:
    photos = [pixels(seed) for seed in range(5)]
    features = embedder(cache).features(items(range(5)))
    assert features.shape == (5, embedder(cache).dimension)
    assert features.dtype == np.float32
    assert np.abs(features - torch_features(WEIGHTS, SPEC, photos)).max() <= 1e-4


def test_rows_follow_the_items(cache: Path) -> None:
    order = [3, 1, 3, 40, *range(5, 39), 1]
    features = embedder(cache).features(items(order))
    one_by_one = {seed: embedder(cache).features(items([seed]))[0] for seed in (1, 3, 40)}
    for row, seed in zip(features, order, strict=True):
        if seed in one_by_one:
            assert np.array_equal(row, one_by_one[seed])
    assert len(np.unique(features, axis=0)) == len(set(order))


def test_features_are_those_of_one_batch_whatever_the_threads(cache: Path) -> None:
    import onnxruntime

    (graph,) = files(cache, "*.onnx")
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (together,) = session.run(["features"], {"pixels": np.stack([pixels(n) for n in range(40)])})
    for threads in (1, 3):
        apart = Embedder(
            "efficientnet_lite0", WEIGHTS, SPEC, cache=cache.parent / str(threads), threads=threads
        )
        apart._graph = graph
        assert np.abs(apart.features(items(range(40))) - together).max() <= 1e-6


def test_no_items(cache: Path) -> None:
    assert embedder(cache).features([]).shape == (0, 1280)


def test_real_photos_differ(cache: Path, data_folder: Callable[[str], Path]) -> None:
    folder = data_folder("tools15")
    photos = [
        fit_image(np.asarray(Image.open(sorted((folder / tool).iterdir())[0]).convert("RGB")), SPEC)
        for tool in ("hammer", "pliers")
    ]
    keyed: list[Item] = [(str(i), lambda photo=photo: photo) for i, photo in enumerate(photos)]
    first, second = embedder(cache).features(keyed)
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    assert cosine < 0.9


def test_the_padding_reaches_the_onnx_file(
    tmp_path: Path, data_folder: Callable[[str], Path]
) -> None:
    file = data_folder(".").resolve().parent / "weights" / "mobilenetv2_100.safetensors"
    if not file.exists():
        pytest.skip("PEGBOARD_DATA has no ../weights")
    name = parse_model_name("probe:mobilenetv2")
    option = parse_weights_option(f"mobilenetv2={file},pad=same")
    weights = resolve_weights([name], [option])["mobilenetv2"]
    spec = input_spec(name, image_size=64, mean=weights.mean, std=weights.std)
    features = Embedder("mobilenetv2", weights, spec, cache=tmp_path, threads=1).features(
        items([1, 2])
    )
    photos = [pixels(1), pixels(2)]
    assert np.abs(features - torch_features(weights, spec, photos)).max() <= 1e-4
    wrong = replace(weights, padding="default")
    assert np.abs(features - torch_features(wrong, spec, photos)).max() > 0.1
    # Equal shapes and an equal file, but never the other padding's features.
    assert embedder_keys(tmp_path, weights, spec).isdisjoint(embedder_keys(tmp_path, wrong, spec))


def embedder_keys(cache: Path, weights: ResolvedWeights, spec: InputSpec) -> set[Path]:
    made = Embedder(weights.base, weights, spec, cache=cache)
    return {made._graph, made._store._folder}


# ---------------------------------------------------------------- kept features


def test_a_photo_is_fitted_once(cache: Path) -> None:
    first = embedder(cache).features(items(range(4)))
    for file in files(cache, "*.onnx"):
        file.unlink()  # nothing is left to compute with
    second = embedder(cache).features(untouchable([2, 0, 3, 1]))
    assert np.array_equal(second, first[[2, 0, 3, 1]])


def test_only_new_photos_are_computed(cache: Path) -> None:
    embedder(cache).features(items(range(3)))
    features = embedder(cache).features([*untouchable(range(3)), *items([3])])
    assert np.array_equal(features, embedder(cache).features(untouchable(range(4))))


def test_another_specification_has_features_of_its_own(cache: Path) -> None:
    base = embedder_keys(cache, WEIGHTS, SPEC)
    graph, store = embedder(cache)._graph, embedder(cache)._store._folder
    for other in (
        replace(SPEC, fit="crop"),
        replace(SPEC, interpolation="bicubic"),
    ):
        assert embedder(cache, other)._graph == graph
        assert embedder(cache, other)._store._folder != store
    for other in (replace(SPEC, mean=(0.4, 0.5, 0.5)), replace(SPEC, height=96)):
        assert embedder_keys(cache, WEIGHTS, other).isdisjoint(base)
    assert embedder_keys(cache, replace(WEIGHTS, sha256="0" * 64), SPEC).isdisjoint(base)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text", "pickle"])
def test_damaged_features_are_computed_again(cache: Path, damage: str) -> None:
    right = embedder(cache).features(items(range(2)))
    (file,) = files(cache, "*.npz")
    data = bytearray(file.read_bytes())
    if damage == "pickle":
        with file.open("wb") as out:
            np.savez(out, keys=np.array(["photo-0", None], object), features=right)
    else:
        data[len(data) // 2] ^= 255
        bad = {"cut": data[: len(data) // 2], "flip": data, "empty": b"", "text": b"features"}
        file.write_bytes(bad[damage])
    again = embedder(cache).features(items(range(2)))
    assert np.array_equal(again, right)
    assert np.array_equal(embedder(cache).features(untouchable(range(2))), right)


def test_many_small_files_are_joined(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "store")
    rows = {f"key-{n}": np.full(3, n, np.float32) for n in range(MANY_SHARDS + 3)}
    for key, row in rows.items():
        store.add({key: row})
    assert len(list((tmp_path / "store").iterdir())) < MANY_SHARDS
    found = FeatureStore(tmp_path / "store").find(set(rows) | {"unknown"})
    assert found.keys() == rows.keys()
    assert all(np.array_equal(found[key], row) for key, row in rows.items())


def test_a_cache_that_cannot_be_written_does_no_harm(cache: Path) -> None:
    right = embedder(cache).features(items([0]))
    blocked = embedder(cache, replace(SPEC, fit="crop"))
    blocked._store._folder.write_text("a file, not a folder")
    assert np.array_equal(blocked.features(items([0])), right)
    keep_checked(blocked._store._folder / "backbone.onnx", b"graph")
    assert blocked._store._folder.read_text() == "a file, not a folder"


# ---------------------------------------------------------------- the ONNX file


def test_a_damaged_onnx_file_is_made_again(cache: Path) -> None:
    (graph,) = files(cache, "*.onnx")
    whole = graph.read_bytes()
    graph.write_bytes(whole[:-1] + b"?")
    assert read_checked(graph) is None
    right = embedder(cache).features(items([0]))
    assert graph.read_bytes() == whole
    assert right.shape == (1, 1280)


def test_the_parent_never_loads_torch(cache: Path) -> None:
    run_without_torch(cache, "first", keep_torch=True)


def test_without_torch_the_cached_file_is_enough(cache: Path) -> None:
    run_without_torch(cache, "second")


def test_without_torch_and_cache_one_line_says_what_to_install(tmp_path: Path) -> None:
    child = run_without_torch(tmp_path, "third", check=False)
    assert child.returncode == 1
    last = child.stderr.strip().splitlines()[-1]
    assert last.startswith(f"{MissingExtra.__module__}.MissingExtra: torch is needed once")
    assert last.endswith("pip install 'pegboard[train]'")


def run_without_torch(
    cache: Path, key: str, *, keep_torch: bool = False, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Compute one photo's features in a process that has no torch."""
    script = f"""
import sys
from pathlib import Path
import numpy as np
if not {keep_torch}:
    sys.modules["torch"] = sys.modules["timm"] = None
from pegboard.embed import Embedder
from pegboard.models.registry import input_spec, parse_model_name
from pegboard.models.weights import resolve_weights
name = parse_model_name("probe")
weights = resolve_weights([name])[name.base]
spec = input_spec(name, image_size=64)
made = Embedder(name.base, weights, spec, cache=Path({str(cache)!r}), threads=1)
made.features([({key!r}, lambda: np.zeros(spec.shape, np.uint8))])
assert not sys.modules.get("torch")
"""
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=check
    )


def test_a_failing_child_is_one_line(tmp_path: Path) -> None:
    other = tmp_path / "w.safetensors"
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, other)
    wrong = replace(
        WEIGHTS, kind="safetensors", path=other, sha256="1" * 64, source="w.safetensors"
    )
    with pytest.raises(
        ModelError, match=r"could not be turned into ONNX: w\.safetensors does not fit"
    ):
        Embedder("efficientnet_lite0", wrong, SPEC, cache=tmp_path).features(items([0]))
    assert not files(tmp_path, "*.onnx")


# ---------------------------------------------------------------- time and trouble


class Clock:
    """Seconds that pass only when a photo is fitted."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def item(self, seed: int) -> Item:
        def fitted() -> Pixels:
            self.now += 1
            return pixels(seed)

        return f"photo-{seed}", fitted


def test_the_budget_is_looked_at_between_batches_and_work_is_kept(cache: Path) -> None:
    clock = Clock()
    budget = Budget(100, clock=clock)
    with pytest.raises(BudgetSpent):
        embedder(cache).features([clock.item(seed) for seed in range(288)], budget=budget)
    assert clock.now < 288
    kept = embedder(cache).features(untouchable(range(32)))
    assert kept.shape == (32, 1280)


def test_a_spent_budget_starts_nothing(cache: Path) -> None:
    clock = Clock()
    with pytest.raises(BudgetSpent):
        embedder(cache).features([clock.item(0)], budget=Budget(1, reserve=2, clock=clock))
    assert clock.now == 0
    # What is kept costs no time and is given all the same.
    embedder(cache).features(items([0]))
    spent = Budget(1, reserve=2, clock=clock)
    assert len(embedder(cache).features(untouchable([0]), budget=spent)) == 1


def test_a_photo_that_fails_stops_the_work_but_keeps_what_was_done(cache: Path) -> None:
    def fail() -> Pixels:
        raise OSError("the photo is gone")

    with pytest.raises(OSError, match="the photo is gone"):
        embedder(cache).features([*items(range(64)), ("gone", fail)])
    assert len(embedder(cache).features(untouchable(range(64)))) == 64


def test_a_bar_counts_the_new_photos(cache: Path) -> None:
    from contextlib import contextmanager

    from pegboard.progress import Progress

    class Counting(Progress):
        total = 0.0
        done = 0.0

        @contextmanager
        def step(self, title: str, total: float | None):  # type: ignore[no-untyped-def]
            assert "efficientnet_lite0" in title
            self.total += total or 0
            yield self

        def advance(self, amount: float = 1, **fields: Any) -> None:
            self.done += amount

    embedder(cache).features(items(range(5)))
    progress = Counting()
    embedder(cache).features([*untouchable(range(5)), *items(range(5, 45))], progress=progress)
    assert (progress.total, progress.done) == (40, 40)
