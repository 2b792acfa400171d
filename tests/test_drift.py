"""Counts by day: a week of them, what is forgotten, and the file they outlive a server in."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from pegboard.errors import PegboardError
from pegboard.serve.drift import DAYS_KEPT, MOST_MODELS, Drift
from pegboard.serve.models import Model, Models
from pegboard.tallies import Answered
from small_bundle import colour_bundle, plain


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return Models(colour_bundle(tmp_path / "colours.pegboard")).current()


def one_photo(model: Model):  # type: ignore[no-untyped-def]
    photo = model.predictor.fit(plain((200, 20, 20)))
    (seen,) = model.predictor.look([photo])
    return [Answered(photo, model.predictor.row(seen), seen.strangeness)]


class Calendar:
    def __init__(self) -> None:
        self.day = date(2030, 1, 1)

    def __call__(self) -> date:
        return self.day


def test_a_week_has_seven_days(model: Model) -> None:
    calendar = Calendar()
    drift = Drift(day=calendar)
    for _ in range(10):
        drift.note(model, one_photo(model))
        calendar.day += timedelta(days=1)
    calendar.day -= timedelta(days=1)
    assert drift.week(model).photos == 7
    calendar.day += timedelta(days=6)
    assert drift.week(model).photos == 1
    calendar.day += timedelta(days=1)
    assert drift.week(model).photos == 0


def test_old_days_and_old_models_are_forgotten(model: Model, tmp_path: Path) -> None:
    calendar, file = Calendar(), tmp_path / "drift.json"
    drift = Drift(file, calendar)
    for _ in range(DAYS_KEPT + 5):
        drift.note(model, one_photo(model))
        calendar.day += timedelta(days=1)
    for number in range(MOST_MODELS + 3):
        drift.note(Model(model.predictor, f"{number:064d}", ""), one_photo(model))
    drift.note(model, one_photo(model))
    drift.close()
    kept = json.loads(file.read_text())["models"]
    assert len(kept) == MOST_MODELS
    assert list(kept)[-1] == model.sha256


def test_weeks_without_photos_count_as_well(model: Model, tmp_path: Path) -> None:
    calendar, file = Calendar(), tmp_path / "drift.json"
    drift = Drift(file, calendar)
    other = Model(model.predictor, "0" * 64, "")
    drift.note(other, one_photo(model))
    for _ in range(5):
        drift.note(model, one_photo(model))
        calendar.day += timedelta(days=30)
    drift.close()
    days = json.loads(file.read_text())["models"]
    first = (calendar.day - timedelta(days=30 + DAYS_KEPT)).isoformat()
    assert list(days) == [model.sha256]
    assert all(day > first for day in days[model.sha256])
    calendar.day += timedelta(days=DAYS_KEPT)
    Drift(file, calendar).close()
    assert json.loads(file.read_text())["models"] == {}


def test_models_are_counted_apart_and_outlive_the_server(model: Model, tmp_path: Path) -> None:
    other, file = Model(model.predictor, "0" * 64, ""), tmp_path / "drift.json"
    drift = Drift(file)
    drift.note(model, one_photo(model) * 3)
    drift.note(other, one_photo(model))
    drift.close()
    again = Drift(file)
    assert (again.week(model).photos, again.week(other).photos) == (3, 1)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"pegboard": "drift", "format": 2, "models": {}}', "my diary",
     '{"pegboard": "drift", "format": 1, "models": {"x": {"yesterday": {}}}}'],
)  # fmt: skip
def test_a_file_that_is_something_else_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "drift.json"
    file.write_text(text)
    with pytest.raises(PegboardError, match="--drift"):
        Drift(file)
    assert file.read_text() == text


def test_a_file_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(PegboardError, match="cannot write"):
        Drift(tmp_path / "no-folder" / "drift.json")
