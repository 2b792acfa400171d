"""What was asked about day by day, against what the model learned from. Counts only."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from pegboard.errors import PegboardError
from pegboard.files import write_text_atomically
from pegboard.serve.models import Model
from pegboard.tallies import DECISIONS, Answered, Difference, Tallies, difference

DAYS_KEPT = 56
WEEK = 7
MOST_MODELS = 8
"""Whose counts are kept: those that answered last."""

LEAST_PHOTOS = 30
"""Below so many photos of a week nothing is said about a change."""

SAVE_SECONDS = 60.0
FORMAT = 1


def today() -> date:
    """Return the day in UTC, in which counts are kept."""
    return datetime.now(UTC).date()


class Drift:
    """Counts of every model by day; safe to use from several threads.

    Parameters
    ----------
    file
        Where counts outlive the server; None for memory only.
    day
        Returns the day.

    Raises
    ------
    PegboardError
        When the file holds something else.
    """

    def __init__(self, file: Path | None = None, day: Callable[[], date] = today) -> None:
        self._file = file
        self._day = day
        self._lock = threading.Lock()
        self._is_new = False
        self._models = _read(file) if file is not None and file.exists() else {}
        self._ended = threading.Event()
        self._saver: threading.Thread | None = None
        self._forget()
        if file is not None:
            self._save()  # a file that cannot be written is told before anybody is served

    def note(self, model: Model, photos: Sequence[Answered]) -> None:
        """Count a batch of answered photos."""
        day = self._day().isoformat()
        with self._lock:
            days = self._models.pop(model.sha256, {})
            self._models[model.sha256] = days  # the last one in a dict is the newest
            if day not in days:
                days[day] = Tallies()
                self._forget()
            for photo in photos:
                days[day].note(photo)
            self._is_new = True

    def _forget(self) -> None:
        """Drop what is older than is kept, of every model, and models that are too many."""
        first = (self._day() - timedelta(days=DAYS_KEPT - 1)).isoformat()
        for sha256, days in list(self._models.items()):
            for old in [day for day in days if day < first]:
                del days[old]
            if not days:
                del self._models[sha256]
        for sha256 in list(self._models)[:-MOST_MODELS]:
            del self._models[sha256]

    def week(self, model: Model) -> Tallies:
        """Return the counts of the last seven days, today included."""
        first = (self._day() - timedelta(days=WEEK - 1)).isoformat()
        total = Tallies()
        with self._lock:
            for day, tallies in self._models.get(model.sha256, {}).items():
                if day >= first:
                    total.add(tallies)
        return total

    def keep(self) -> None:
        """Save every so often, in a thread, until :meth:`close`."""
        if self._file is not None:
            self._saver = threading.Thread(target=self._keep_saving, name="drift", daemon=True)
            self._saver.start()

    def close(self) -> None:
        """Save for the last time.

        Raises
        ------
        PegboardError
            When the file cannot be written.
        """
        self._ended.set()
        if self._saver is not None:
            self._saver.join()
        if self._is_new:
            self._save()

    def _keep_saving(self) -> None:
        while not self._ended.wait(SAVE_SECONDS):
            if self._is_new:
                try:
                    self._save()
                except PegboardError:
                    continue  # a full disk may have room later; the end tells of it

    def _save(self) -> None:
        if self._file is None:
            return
        with self._lock:
            models = {
                sha256: {day: tallies.to_json() for day, tallies in days.items()}
                for sha256, days in self._models.items()
            }
            self._is_new = False
        told = {"pegboard": "drift", "format": FORMAT, "models": models}
        try:
            write_text_atomically(self._file, json.dumps(told, indent=1) + "\n")
        except PegboardError:
            self._is_new = True
            raise


def _read(file: Path) -> dict[str, dict[str, Tallies]]:
    try:
        data = json.loads(file.read_text("utf-8"))
        if data["pegboard"] != "drift" or data["format"] != FORMAT:
            raise ValueError("another format")
        return {
            str(sha256): {
                date.fromisoformat(day).isoformat(): Tallies.from_json(tallies)
                for day, tallies in days.items()
            }
            for sha256, days in data["models"].items()
        }
    except OSError as error:
        raise PegboardError(f"--drift {file} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise PegboardError(
            f"--drift {file}: expected counts that pegboard serve wrote, found something else; "
            "name another file"
        ) from error


@dataclass(frozen=True)
class Aspect:
    """One thing that may have changed.

    Attributes
    ----------
    name
        ``labels``, ``decisions``, ``confidence``, ``brightness`` or ``distance``.
    steps
        What each count is of.
    before, after
        Counts in training (or on validation photos) and this week; ``before`` is empty where the
        bundle does not tell.
    """

    name: str
    steps: tuple[str, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def difference(self) -> Difference | None:
        """How far the two are apart; None where too little is known."""
        if sum(self.after) < LEAST_PHOTOS or not sum(self.before):
            return None
        return difference(self.before, self.after)


def aspects(model: Model, week: Tallies) -> tuple[Aspect, ...]:
    """Compare a week with what a model learned from.

    Of distance nothing is told for a model that cannot tell how strange a photo is.
    """
    info = model.predictor.info
    known, classes, data = _baseline(info.data), info.classes, info.data
    trained: Mapping[str, int] = data.get("train") or {}
    labels = [int(trained.get(name, 0)) for name in classes] if trained else ()
    before = (known.decisions[name] for name in DECISIONS) if known else ()
    told = (
        Aspect("labels", classes, tuple(labels), tuple(week.labels[name] for name in classes)),
        Aspect(
            "decisions", DECISIONS, tuple(before), tuple(week.decisions[name] for name in DECISIONS)
        ),
        _steps(
            "confidence",
            known.confidence if known else (),
            week.confidence,
            100,
            "\N{NO-BREAK SPACE}%",
        ),
        _steps("brightness", known.brightness if known else (), week.brightness, 256, ""),
    )
    if info.unknown_above is None:
        return told
    distance = known.distance if known else ()
    return (*told, _steps("distance", distance, week.distance, 90, "\N{DEGREE SIGN}"))


def _steps(name: str, before: Sequence[int], after: Sequence[int], whole: int, unit: str) -> Aspect:
    width = whole / len(after)
    steps = tuple(
        f"{width * step:g}\N{EN DASH}{width * (step + 1):g}{unit}" for step in range(len(after))
    )
    return Aspect(name, steps, tuple(before), tuple(after))


def _baseline(data: Mapping[str, Any]) -> Tallies | None:
    try:
        return Tallies.from_json(data["baseline"])
    except (KeyError, ValueError):
        return None
