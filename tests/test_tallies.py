"""Counts of photos: what they keep, and when two sets of them differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from pegboard.predict import Predictor
from pegboard.rows import Prediction
from pegboard.tallies import (
    BRIGHTNESSES,
    CONFIDENCES,
    DISTANCES,
    Answered,
    Tallies,
    _chi_squared,
    difference,
    tallied,
)
from small_bundle import colour_bundle, colour_bundle_with_features, plain

counts = st.lists(st.integers(0, 500), min_size=2, max_size=20)


def test_photos_are_counted_by_what_they_are_to_the_model(tmp_path: Path) -> None:
    predictor = Predictor.load(colour_bundle(tmp_path / "colours.pegboard"), 1)
    photos = [plain((200, 8, 8)), plain((8, 8, 248)), plain((100, 100, 101)), b"text"]
    found = tallied(answered(predictor, photos))
    assert found.photos == 3
    assert found.labels == {"red": 1, "blue": 2}
    assert found.decisions == {"sure": 2, "unsure": 1}
    assert found.confidence == [0, 0, 0, 1, 0, 0, 0, 0, 0, 2]
    # Means of 72, 88 and 100.3 in steps of 16.
    assert found.brightness == [0, 0, 0, 0, 1, 1, 1, *[0] * 9]


def test_a_model_may_be_as_sure_as_can_be_and_a_photo_white(tmp_path: Path) -> None:
    predictor = Predictor.load(colour_bundle(tmp_path / "colours.pegboard"), 1)
    found = tallied(answered(predictor, [plain((255, 255, 255))]))
    assert found.brightness[-1] == 1


def test_how_far_photos_are_is_counted_by_the_angle(tmp_path: Path) -> None:
    """Of a model that tells, and against the angle as it is defined."""
    predictor = Predictor.load(colour_bundle_with_features(tmp_path / "colours.pegboard"), 1)
    photos = [plain((200, 20, 20)), plain((20, 255, 240)), plain((90, 90, 90)), b"text"]
    looked = answered(predictor, photos)
    found = tallied(looked)
    angles = [np.degrees(np.arccos(1 - one.strangeness)) for one in looked[:3]]
    assert angles[0] < 15
    assert angles[1] > 30
    expected, _ = np.histogram(angles, DISTANCES, (0, 90))
    assert found.distance == expected.tolist()
    assert sum(found.distance) == found.photos == 3


@given(st.floats(0, 2))
def test_whatever_the_strangeness_it_is_counted_once(strangeness: float) -> None:
    row = Prediction(None, "a", 0.5, (), "sure")
    found = tallied([Answered(plain((9, 9, 9)), row, strangeness)])
    assert sum(found.distance) == 1
    assert found.distance[-1] == (strangeness >= 1 - np.cos(np.radians(85)))


def test_counts_of_the_first_pegboards_are_read() -> None:
    before = {key: value for key, value in Tallies().to_json().items() if key != "distance"}
    assert Tallies.from_json(before).distance == [0] * DISTANCES


def answered(predictor: Predictor, payloads: list[Any]) -> list[Answered]:
    photos = [predictor.fit(payload) for payload in payloads]
    return [
        Answered(photo, predictor.row(seen), seen.strangeness)
        for photo, seen in zip(photos, predictor.look(photos), strict=True)
    ]


@given(st.lists(st.integers(0, 9), min_size=CONFIDENCES, max_size=CONFIDENCES),
       st.lists(st.integers(0, 9), min_size=BRIGHTNESSES, max_size=BRIGHTNESSES),
       st.lists(st.integers(0, 9), min_size=DISTANCES, max_size=DISTANCES))  # fmt: skip
def test_what_is_written_is_read_again(
    confidence: list[int], brightness: list[int], distance: list[int]
) -> None:
    tallies = Tallies(confidence=confidence, brightness=brightness, distance=distance)
    tallies.labels["a"] += 3
    tallies.decisions["sure"] += 3
    again = Tallies.from_json(json.loads(json.dumps(tallies.to_json())))
    assert again.to_json() == tallies.to_json()
    again.add(tallies)
    assert again.photos == 2 * tallies.photos


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(["labels", "decisions", "confidence", "brightness", "distance"]),
        json_values,
    )
)
def test_what_is_no_count_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="counts of photos"):
        Tallies.from_json(data)


@given(counts)
def test_equal_shares_are_no_difference(some: list[int]) -> None:
    found = difference(some, some)
    assert found.index == pytest.approx(0, abs=1e-12)
    assert not found.is_real


@given(st.data())
def test_the_index_is_positive_and_does_not_depend_on_the_order(data: st.DataObject) -> None:
    before = data.draw(counts)
    after = data.draw(st.lists(st.integers(0, 500), min_size=len(before), max_size=len(before)))
    there, back = difference(before, after), difference(after, before)
    assert there.index >= 0
    assert there.index == pytest.approx(back.index)
    if not sum(before) or not sum(after):
        assert not there.is_real


def test_a_known_index() -> None:
    """Shares .5 .5 and .75 .25: (.25 ln 1.5) + (-.25 ln .5) = .2747."""
    assert difference([50_000, 50_000], [75_000, 25_000]).index == pytest.approx(0.2747, abs=1e-3)
    assert difference([50_000, 50_000], [75_000, 25_000]).is_large


def test_chance_alone_is_seldom_called_a_change() -> None:
    rng = np.random.default_rng(5)
    shares = np.array([0.4, 0.3, 0.2, 0.1])
    draws = [
        difference(rng.multinomial(300, shares).tolist(), rng.multinomial(200, shares).tolist())
        for _ in range(400)
    ]
    assert 0.01 < np.mean([found.is_real for found in draws]) < 0.09


@pytest.mark.parametrize("freedom", [1, 2, 3, 9, 15, 100])
def test_the_quantile_is_scipys(freedom: int) -> None:
    assert _chi_squared(freedom) == pytest.approx(chi2.ppf(0.95, freedom), rel=0.025)
