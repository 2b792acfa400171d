from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, f1_score

from pegboard.bundle import Reference, read_bundle, write_bundle
from pegboard.errors import BundleError, GateFound, PegboardError
from pegboard.verify import verify_bundle, wilson
from small_bundle import colour_bundle, colour_info, colour_onnx, plain


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return colour_bundle(tmp_path / "colours.pegboard")


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    def write(photos: list[tuple[str, tuple[int, int, int]]]) -> Path:
        root = tmp_path / "labelled"
        for number, (label, colour) in enumerate(photos):
            (root / label).mkdir(parents=True, exist_ok=True)
            Image.fromarray(plain(colour)).save(root / label / f"{number:03d}.png")
        return root

    return write


def test_a_whole_bundle_passes(bundle: Path) -> None:
    result = verify_bundle(bundle)
    assert result.name == "colours:tiny"
    assert result.reference_n == 8
    assert result.max_difference == pytest.approx(0, abs=1e-6)
    assert result.on is None
    lines = list(result.lines())
    assert lines[0] == f"{bundle}: colours:tiny, whole; all checksums match"
    assert "by at most" in lines[1]


def test_damage_is_what_the_gate_looks_for(bundle: Path) -> None:
    data = bundle.read_bytes()
    at = data.index(b"weights")
    bundle.write_bytes(data[:at] + b"W" + data[at + 1 :])
    with pytest.raises(GateFound, match="was damaged or altered") as caught:
        verify_bundle(bundle)
    assert caught.value.exit_code == 3
    bundle.write_bytes(data[:-40])
    with pytest.raises(GateFound, match="cut off"):
        verify_bundle(bundle)


def test_what_is_no_bundle_is_a_users_error(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pegboard", tmp_path):
        with pytest.raises(BundleError) as caught:
            verify_bundle(path)
        assert caught.value.exit_code == 1


def test_another_answer_than_the_trained_models_is_found(bundle: Path) -> None:
    reference = read_bundle(bundle).reference
    for wrong in (reference.probabilities + np.float32(0.002), reference.probabilities * np.nan):
        stored = Reference(reference.grids, wrong)
        write_bundle(bundle, onnx=colour_onnx(), info=colour_info(), reference=stored)
        with pytest.raises(GateFound, match=r"does not answer as the trained model did"):
            verify_bundle(bundle)


RED, GREEN, BLUE = (200, 20, 20), (20, 200, 20), (20, 20, 200)


def test_accuracy_on_photos_is_scikit_learns(bundle: Path, folder: Callable[..., Path]) -> None:
    labelled = [
        *[("red", RED)] * 5,
        *[("red", BLUE)] * 2,
        *[("green", GREEN)] * 3,
        ("green", RED),
        ("blue", BLUE),
    ]
    on = verify_bundle(bundle, folder(labelled)).on
    assert on is not None
    names = {RED: "red", GREEN: "green", BLUE: "blue"}
    true, predicted = [label for label, _ in labelled], [names[colour] for _, colour in labelled]
    assert on.n == 12
    assert on.accuracy == pytest.approx(accuracy_score(true, predicted), abs=1e-12)
    assert on.macro_f1 == pytest.approx(f1_score(true, predicted, average="macro"), abs=1e-12)
    low, high = on.accuracy_ci
    assert low < on.accuracy < high


def test_classes_that_are_not_there_do_not_lower_macro_f1(
    bundle: Path, folder: Callable[..., Path]
) -> None:
    on = verify_bundle(bundle, folder([("red", RED), ("green", GREEN), ("green", GREEN)])).on
    assert on is not None
    assert (on.accuracy, on.macro_f1) == (1.0, 1.0)


def test_what_was_not_counted_is_said(bundle: Path, folder: Callable[..., Path]) -> None:
    root = folder([("red", RED), ("green", GREEN), ("violet", BLUE), ("violet", BLUE)])
    (root / "red" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = verify_bundle(bundle, root)
    assert result.on is not None
    assert result.on.n == 2
    assert result.on.unknown_classes == {"violet": 2}
    assert list(result.on.unusable) == ["red/broken.png"]
    text = "\n".join(result.lines())
    assert "classes the model does not know: violet (2)" in text
    assert "unusable: 1, such as red/broken.png" in text
    assert "accuracy stored with the model: 0.910" in text
    assert json.loads(json.dumps(result.to_json()))["on"]["n"] == 2


def test_photos_of_other_classes_only_are_an_error(
    bundle: Path, folder: Callable[..., Path]
) -> None:
    with pytest.raises(PegboardError, match=r"expected photos in folders named like .*red, green"):
        verify_bundle(bundle, folder([("cat", RED), ("dog", RED)]))
    with pytest.raises(PegboardError, match="none"):
        verify_bundle(bundle, bundle.with_name("none"))


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@settings(max_examples=100, deadline=None)
def test_the_interval_is_scipys(counts: tuple[int, int]) -> None:
    right, n = counts
    expected = binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert wilson(right, n) == pytest.approx((expected.low, expected.high), abs=1e-7)


def test_a_bundle_without_figures_or_parity_is_verified(tmp_path: Path) -> None:
    path = colour_bundle(tmp_path / "a.pegboard", figures={}, parity=None)
    result = verify_bundle(path)
    assert result.stored_accuracy is None
    assert len(list(replace(result).lines())) == 2
