"""The photos that benchmarks alter on purpose are altered as they say."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from conftest import benchmark_module


@pytest.fixture(scope="module")
def alterations() -> ModuleType:
    return benchmark_module("alterations")


def thing() -> np.ndarray:
    photo = np.full((120, 120, 3), 150, np.uint8)
    photo[40:80, 30:90] = (200, 30, 30)
    return photo


OTHERS = [np.full((120, 120, 3), (20, 90, 40), np.uint8)]


def test_every_alteration_changes_the_photo_and_leaves_the_original(
    alterations: ModuleType,
) -> None:
    names = [one.name for one in alterations.ALTERATIONS]
    assert len(set(names)) == len(names)
    for alteration in alterations.ALTERATIONS:
        photo = thing()
        changed = [
            alterations.altered(photo, alteration, OTHERS, np.random.default_rng(3))
            for _ in range(2)
        ]
        assert changed[0].dtype == np.uint8
        assert changed[0].shape[2] == 3
        assert np.array_equal(*changed), "the same chance, the same photo"
        assert np.array_equal(photo, thing())
        if "control" not in alteration.name:
            assert changed[0].shape != photo.shape or (changed[0] != photo).mean() > 0.05
        if alteration.of_background:
            assert np.array_equal(changed[0][45:75, 35:85], photo[45:75, 35:85])


def test_a_background_is_replaced_only_where_there_is_an_object(alterations: ModuleType) -> None:
    floor = np.full((120, 120, 3), 150, np.uint8)
    chance = np.random.default_rng(0)
    for alteration in alterations.ALTERATIONS:
        made = alterations.altered(floor, alteration, OTHERS, chance)
        assert (made is None) == alteration.of_background


def test_scale_and_fit(alterations: ModuleType) -> None:
    by_name = {one.name: one for one in alterations.ALTERATIONS}

    def red(name: str) -> float:
        made = alterations.altered(thing(), by_name[name], OTHERS, np.random.default_rng(0))
        return float(((made[:, :, 0] > 170) & (made[:, :, 1] < 80)).mean())

    whole = 40 * 60 / 120**2
    assert red("half the size") == pytest.approx(whole / 4, rel=0.1)
    assert red("the middle two thirds") == pytest.approx(whole * 9 / 4, rel=0.1)
    assert red("cut to 2:3 and stretched") == pytest.approx(whole * 3 / 2, rel=0.1)
    assert red("cut to 2:3, with grey bars") == pytest.approx(whole, rel=0.1)
