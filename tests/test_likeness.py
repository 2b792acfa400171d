"""What is unlike all training photos is told by features."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import mahalanobis
from scipy.stats import entropy
from sklearn.metrics import roc_auc_score

from pegboard.bundle import (
    Likeness,
    Sight,
    TestAnswers,
    model_card,
    read_bundle,
    to_markdown,
    unknown_facts,
    write_bundle,
)
from pegboard.bundle.deciding import SURE, UNKNOWN, UNSURE, coverage_and_risk, judged
from pegboard.bundle.graph import graph_format, with_metadata
from pegboard.bundle.likeness import AXES, SHRINKAGE, entropies
from pegboard.bundle.surface import Surface, traits_of
from pegboard.bundle.tested import key_of
from pegboard.calibrate import unknown_threshold
from pegboard.errors import BundleError
from pegboard.predict import Predictor
from small_bundle import colour_bundle_with_features, colour_info, colour_onnx, plain

RED, GREEN = (200, 20, 20), (20, 200, 20)


def clouds(
    seed: int, classes: int = 4, each: int = 60, width: int = 24
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Photos of some classes, their labels, and photos of classes that are not among them."""
    chance = np.random.default_rng(seed)
    stretch = chance.uniform(0.2, 2.0, width)
    centres = chance.normal(0, 2, (classes + 3, width)) + 3
    points = (
        centres.repeat(each, axis=0) + chance.normal(0, 1, (len(centres) * each, width)) * stretch
    )
    known = classes * each
    labels = np.arange(classes).repeat(each)
    return points[:known].astype(np.float32), labels, points[known:].astype(np.float32)


def by_the_textbook(features: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The same with the whole covariance matrix, inverted."""
    mean = features.mean(axis=0)
    means = np.stack([features[labels == label].mean(axis=0) for label in np.unique(labels)])
    within = features - means[labels]
    covariance = within.T @ within / len(features)
    even = np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    root = np.linalg.cholesky(np.linalg.inv((1 - SHRINKAGE) * covariance + SHRINKAGE * even))
    photos, classes = (asked - mean) @ root, (means - mean) @ root
    cosines = (photos @ classes.T) / np.linalg.norm(photos, axis=1)[:, None]
    return 1 - (cosines / np.linalg.norm(classes, axis=1)).max(axis=1)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_cosine_in_the_whitened_space(seed: int) -> None:
    features, labels, others = clouds(seed)
    assert features.shape[1] <= AXES  # so nothing is cut off
    likeness = Likeness.fit(features, labels)
    asked = np.concatenate((features, others)).astype(np.float64)
    expected = by_the_textbook(features.astype(np.float64), labels, asked)
    np.testing.assert_allclose(likeness.distances(asked.astype(np.float32)), expected, atol=1e-4)


def test_other_classes_are_stranger() -> None:
    features, labels, others = clouds(0)
    likeness = Likeness.fit(features[::2], labels[::2])
    known, unknown = likeness.distances(features[1::2]), likeness.distances(others)
    truth = np.repeat([0, 1], [len(known), len(unknown)])
    assert roc_auc_score(truth, np.concatenate((known, unknown))) > 0.95


@given(
    photos=st.integers(1, 12),
    width=st.integers(1, 30),
    classes=st.integers(1, 4),
    seed=st.integers(0, 99),
)
@settings(max_examples=80, deadline=None)
def test_it_is_finite_whatever_it_learned_from(
    photos: int, width: int, classes: int, seed: int
) -> None:
    chance = np.random.default_rng(seed)
    features = chance.integers(0, 3, (photos, width)).astype(np.float32)
    labels = chance.integers(0, classes, photos)
    likeness = Likeness.fit(features, labels)
    strange = likeness.distances(np.concatenate((features, 100 * np.ones((1, width), np.float32))))
    assert np.isfinite(strange).all()
    assert (strange >= -1e-3).all()
    assert (strange <= 2 + 1e-3).all()


@given(st.lists(st.floats(0, 2), min_size=1, max_size=300))
def test_no_more_than_the_share_are_called_unknown(strangeness: list[float]) -> None:
    values = np.array(strangeness)
    assert (values > unknown_threshold(values, 0.02)).mean() <= 0.02


# --- three ways, added up ----------------------------------------------------------------------


def drawn(count: int, seed: int, contrast: int = 40) -> np.ndarray:
    """Grey blotches on a mean grey, ``(count, 24, 20, 3)``."""
    chance = np.random.default_rng(seed)
    coarse = chance.normal(128, contrast, (count, 6, 5, 3)).clip(0, 255).astype(np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def sight_of(features: np.ndarray, labels: np.ndarray, images: np.ndarray) -> Sight:
    """Features with answers that are right, more or less surely, and pixels."""
    sure = np.random.default_rng(len(features)).uniform(0.4, 1, (len(labels), 1))
    answers = sure * np.eye(4)[labels] + (1 - sure) / 4
    return Sight(answers.astype(np.float32), features, traits_of(images))


@pytest.fixture
def learned() -> tuple[Likeness, float, Sight]:
    features, labels, _ = clouds(0, each=150)
    train, validation = (
        sight_of(features[part], labels[part], drawn(300, number))
        for number, part in enumerate((slice(0, None, 2), slice(1, None, 2)))
    )
    assert train.features is not None
    found = Likeness.learned(train.features, labels[::2], train.traits, validation, 0.02)
    return *found, validation


def test_known_photos_are_seldom_unknown_and_what_looks_otherwise_always_is(
    learned: tuple[Likeness, float, Sight],
) -> None:
    likeness, above, validation = learned
    assert 0 < (likeness.strangeness(validation) > above).mean() <= 0.02
    for images in (
        drawn(300, 2, contrast=4),  # flat
        drawn(300, 2) // 8,  # dark
        np.random.default_rng(0).integers(0, 256, (300, 24, 20, 3)).astype(np.uint8),  # noise
        drawn(300, 2) * np.array([1, 0, 0], np.uint8),  # red
    ):
        other = replace(validation, traits=traits_of(images))
        assert (likeness.strangeness(other) > above).mean() > 0.95


def test_what_looks_ordinary_is_judged_by_features_and_doubt(
    learned: tuple[Likeness, float, Sight],
) -> None:
    likeness, _, validation = learned
    assert likeness.surface is not None
    assert validation.features is not None
    distances = likeness.distances(validation.features)
    doubts = likeness.doubt * entropies(validation.probabilities)
    assert doubts.std() == pytest.approx(distances.std(), rel=1e-4)
    excess = likeness.surface.excess(validation.traits)
    assert (excess > 0).mean() <= 0.011
    np.testing.assert_allclose(likeness.strangeness(validation), distances + doubts + excess)
    answers = validation.probabilities.astype(np.float64)
    np.testing.assert_allclose(
        entropies(answers), [entropy(row) for row in answers / answers.sum(1, keepdims=True)],
        atol=1e-5,
    )  # fmt: skip


def test_distances_of_surfaces_are_those_of_the_textbook() -> None:
    traits = traits_of(drawn(200, 0))
    surface = Surface.fit(traits)
    scaled = (traits - surface.mean) / surface.spread
    correlations = 0.7 * scaled.T @ scaled / len(scaled) + 0.3 * np.eye(traits.shape[1])
    inverse = np.linalg.inv(correlations.astype(np.float64))
    expected = np.array([mahalanobis(row, 0 * row, inverse) ** 2 for row in scaled])
    np.testing.assert_allclose(
        surface.distances(traits), expected / traits.shape[1], rtol=1e-3, atol=1e-4
    )


@given(
    shape=st.tuples(
        st.integers(1, 4), st.integers(1, 300), st.integers(1, 12), st.sampled_from([1, 3])
    ),
    grey=st.integers(0, 255),
)
@settings(max_examples=40, deadline=None)
def test_pictures_of_any_size_have_traits(shape: tuple[int, int, int, int], grey: int) -> None:
    traits = traits_of(np.full(shape, grey, np.uint8))
    assert traits.shape == (shape[0], 8 + 2 * shape[3])
    np.testing.assert_allclose(traits[:, 0], grey / 255, atol=1e-4)
    np.testing.assert_allclose(traits[:, 1:6], 0, atol=1e-4)  # no spread, edges or colour
    surface = Surface.fit(traits).limited(traits, 0.01)
    assert np.isfinite(surface.excess(traits)).all()


def test_all_of_it_is_written_and_read(
    learned: tuple[Likeness, float, Sight], bundle: Path
) -> None:
    likeness, above, validation = learned
    read = read_bundle(bundle)
    info = replace(read.info, unknown=unknown_facts(above))
    again = Likeness.from_arrays(likeness.arrays(), info)
    assert (again.strangeness(validation) == likeness.strangeness(validation)).all()
    for key, wrong in (
        ("surface_root", likeness.arrays()["surface_root"][:2]),
        ("surface_spread", np.zeros_like(likeness.arrays()["surface_spread"])),
        ("surface_ordinary", np.array([-1], np.float32)),
        ("doubt", np.array([1, 2], np.float32)),
    ):
        with pytest.raises(ValueError, match=r"arrays|ordinary|unpack"):
            Likeness.from_arrays(likeness.arrays() | {key: wrong}, info)
    assert "light, colours and edges" in to_markdown(model_card(info))
    assert "light, colours and edges" not in to_markdown(model_card(read.info))


# --- in a bundle -----------------------------------------------------------------------------


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return colour_bundle_with_features(tmp_path / "a.pegboard")


def test_a_photo_unlike_all_is_unknown_and_says_why(bundle: Path) -> None:
    predictor = Predictor.load(bundle, 1)
    known, grey, turquoise = predictor.predict(
        [plain(RED), plain((90, 90, 90)), plain((20, 255, 240))]
    )
    assert (known.decision, known.reason) == ("sure", None)
    assert turquoise.decision == "unknown"
    assert turquoise.label in ("green", "blue")
    assert turquoise.reason is not None
    assert "is above 0.30, which 98 % of validation photos do not exceed" in turquoise.reason
    assert grey.decision in ("unsure", "unknown")
    # Alone and among others a photo gets the same answer.
    assert [predictor.predict([plain(RED)])[0], known][0] == known


def test_a_bundle_of_the_third_format_answers_as_it_did(bundle: Path) -> None:
    read = read_bundle(bundle)
    assert read.likeness is not None
    with zipfile.ZipFile(bundle) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    told = json.loads(members["model.json"]) | {"format": 3}
    members["model.json"] = json.dumps(told).encode()
    sums = {
        name: hashlib.sha256(data).hexdigest()
        for name, data in members.items()
        if name != "checksums.json"
    }
    old = bundle.with_name("old.pegboard")
    with zipfile.ZipFile(old, "w") as archive:
        for name, data in (members | {"checksums.json": json.dumps(sums).encode()}).items():
            archive.writestr(name, data)
    photos = [plain(RED), plain((90, 90, 90)), plain((20, 255, 240))]
    predictor = Predictor.load(old, 1)
    assert predictor.predict(photos) == Predictor.load(bundle, 1).predict(photos)
    images = np.stack([predictor.fitted(photo) for photo in photos])
    features = predictor.features(images)
    assert features is not None
    assert predictor.strangeness(images) == pytest.approx(read.likeness.distances(features))


def test_what_is_written_is_read_and_must_fit(bundle: Path) -> None:
    read = read_bundle(bundle)
    assert read.likeness is not None
    arrays = read.likeness.arrays()
    for key, wrong in (
        ("weights", arrays["weights"][:, :2]),
        ("gains", arrays["gains"][:1]),
        ("mean", arrays["mean"] * np.nan),
        ("axes", arrays["axes"].astype(np.float64)),
    ):
        with pytest.raises(ValueError, match="it"):
            Likeness.from_arrays(arrays | {key: wrong}, read.info)
    bad = replace(read.likeness, gains=read.likeness.gains[:1])
    write_bundle(bundle, onnx=read.model, info=read.info, likeness=bad)
    with pytest.raises(BundleError, match=r"likeness\.npz does not fit model\.json"):
        read_bundle(bundle)


def test_a_graph_of_another_opset_than_stated_is_refused(bundle: Path) -> None:
    read = read_bundle(bundle)
    assert read.info.graph == {"ir_version": 9, "opset": 18}
    proto = onnx.load_from_string(read.model)
    for model in (proto, onnx.load_from_string(with_metadata(read.model, {"a": "b", "ü": "é"}))):
        found = graph_format(model.SerializeToString())
        assert (found.ir_version, found.opset) == (model.ir_version, model.opset_import[0].version)
    for junk in (b"", b"\xff" * 20, read.model[:-1], b"\x08\x09"):
        with pytest.raises(BundleError, match=r"model\.onnx"):
            graph_format(junk)


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=300), max_size=4))
@settings(max_examples=30, deadline=None)
def test_metadata_is_what_onnx_reads(texts: dict[str, str]) -> None:
    once = with_metadata(colour_onnx(), {"a": "first", "kept": "x" * 200})
    proto = onnx.load_from_string(with_metadata(once, texts))
    held = {entry.key: entry.value for entry in proto.metadata_props}
    assert held == {"a": "first", "kept": "x" * 200} | texts
    assert len(proto.metadata_props) == len(held)


# --- decisions -------------------------------------------------------------------------------


def test_unknown_comes_before_sure_and_is_counted() -> None:
    info = colour_info(unknown={"above": 1.0})
    answers = np.array([[0.95, 0.05, 0], [0.95, 0.05, 0], [0.5, 0.3, 0.2], [0.92, 0.08, 0]])
    strange = np.array([0.2, 1.5, 0.3, 0.1])
    assert judged(info, answers, strange).tolist() == [SURE, UNKNOWN, UNSURE, SURE]
    assert judged(info, answers, None).tolist() == [SURE, SURE, UNSURE, SURE]
    told = coverage_and_risk(info, answers, strange, np.array([0, 0, 1, 2]))
    assert (told["sure"], told["unsure"], told["unknown"]) == (0.5, 0.25, 0.25)
    assert (told["risk"], told["wrong"]) == (0.5, 1)
    assert told["curve"][0] == {"coverage": 1.0, "risk": 0.5}
    never = coverage_and_risk(
        replace(info, thresholds={"sure": 2.0}), answers, None, np.zeros(4, int)
    )
    assert never["risk"] is None


def test_answers_are_kept_of_some_photos_and_found_by_checksum() -> None:
    checksums = [f"{number:064x}" for number in range(1, 3001)]
    answers = np.random.default_rng(0).dirichlet(np.ones(3), 3000)
    kept = TestAnswers.of([name[::-1] for name in checksums], answers, np.zeros(3000, np.int64))
    assert len(kept.keys) == 1000
    places = kept.places()
    assert len(places) == 1000
    found = [number for number, name in enumerate(checksums) if key_of(name[::-1]) in places]
    assert found[0] == 0
    assert found[-1] == 2999
    for number in found[:5]:
        row = kept.probabilities[places[key_of(checksums[number][::-1])]]
        np.testing.assert_allclose(row, answers[number], atol=1e-6)
    again = TestAnswers.from_arrays(kept.arrays(), colour_info())
    assert (again.labels == kept.labels).all()
    with pytest.raises(ValueError, match="other classes"):
        TestAnswers.from_arrays(kept.arrays() | {"probabilities": answers[:, :2]}, colour_info())
