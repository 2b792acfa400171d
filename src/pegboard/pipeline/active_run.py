"""A run under way: what every stage works with, and what the run's folder says of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from pegboard import __version__
from pegboard.budget import Budget
from pegboard.errors import Interrupted, PegboardError, RunFolderError
from pegboard.leaderboard import machine_info
from pegboard.loader import Photos
from pegboard.manifest import write_manifest
from pegboard.prepare import FitChoice, ModelPlan, Prepared, threads_of
from pegboard.progress import Progress
from pegboard.runs import MARK, RunFolder, process_start, read_json, write_json
from pegboard.settings import CompareSettings


class ActiveRun:
    """Settings, photos, folder and budget of a run under way.

    Attributes
    ----------
    record
        What stands, or will stand next, in ``run.json``.
    """

    def __init__(
        self,
        settings: CompareSettings,
        prepared: Prepared,
        folder: RunFolder,
        *,
        command: str,
        budget: Budget,
        progress: Progress,
    ) -> None:
        self.settings = settings
        self.prepared = prepared
        self.folder = folder
        self.budget = budget
        self.progress = progress
        self.threads = threads_of(settings)
        self.photos = Photos(prepared.source, prepared.split.rows, threads=self.threads)
        self.machine = machine_info()
        self._was_there = False
        self.record: dict[str, Any] = {
            MARK: __version__,
            "command": command,
            "settings": settings.deciding(),
            "seeds": [settings.seed + number for number in range(settings.seeds)],
            "split_seed": settings.split_seed,
            "folds": settings.folds,
            "source": {"name": prepared.source.name, "location": prepared.source.location},
            "started": _now(),
            "status": "running",
            "process": os.getpid(),
            "process_start": process_start(os.getpid()),
            "fingerprint": prepared.fingerprint,
            "machine": self.machine.to_json(),
            "versions": dict(self.machine.versions),
            "warnings": list(prepared.warnings),
            "test_opened": [],
        }

    def begin(self) -> None:
        """Make the folder, and say in it which photos are used and how.

        Raises
        ------
        RunFolderError
            When it cannot be written.
        """
        path = self.folder.path
        self._was_there = path.exists()
        if self.settings.overwrite and path.exists():
            self.folder.remove_contents()
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"cannot make the folder {path}: {error.strerror}") from error
        if self.settings.resume:
            earlier = read_json(self.folder.run)
            self.record |= {key: earlier[key] for key in ("test_opened", "fit") if key in earlier}
        try:
            self._write_record()
            write_manifest(self.folder.manifest, self.prepared.split.rows)
            write_json(self.folder.intake, self._intake())
        except PegboardError:
            self._clean_up()
            raise

    def _intake(self) -> dict[str, Any]:
        left_out = self.prepared.split.left_out
        used = len(self.prepared.split.rows)
        rows = [
            {"path": item.path, "reason": item.reason, "detail": item.detail} for item in left_out
        ]
        return {
            "found": used + len(left_out),
            "used": used,
            "left_out": rows,
            "warnings": list(self.prepared.warnings),
        }

    def _clean_up(self) -> None:
        """Leave nothing behind of a run that failed before it had trained anything."""
        if self.settings.resume or self.folder.holds_training():
            return
        if self._was_there:
            self.folder.remove_contents()
        else:
            self.folder.remove()

    @contextmanager
    def marked(self) -> Iterator[None]:
        """Write into run.json that the block was interrupted or failed."""
        try:
            yield
        except KeyboardInterrupt as stop:
            self._mark("interrupted")
            raise Interrupted(self.folder.path) from stop
        except BaseException:
            self._mark("failed")
            self._clean_up()
            raise

    def _mark(self, status: str) -> None:
        self.record["status"] = status
        # The disk may be full: then the first error is the one to tell.
        with suppress(PegboardError):
            self._write_record()

    def note_plans(self, fit: FitChoice, plans: Sequence[ModelPlan]) -> None:
        """Write down what was decided about the models."""
        self.record["fit"] = {
            "chosen": fit.fit,
            "reason": fit.reason,
            "scores": dict(fit.scores) if fit.scores else None,
        }
        self.record["models"] = {
            plan.name.typed: {
                "recipe": plan.recipe.to_json(),
                "input": plan.spec.to_json(),
                "weights": plan.weights.to_json() if plan.weights else None,
            }
            for plan in plans
        }
        self._write_record()

    def note_test_opened(self) -> None:
        """Write down, before it happens, that models are shown the test photos."""
        self.record["test_opened"].append(_now())
        self._write_record()

    def note_finished(self) -> None:
        """Write down that all figures are there."""
        self.record |= {
            "status": "finished",
            "finished": _now(),
            "seconds": round(self.budget.elapsed, 1),
        }
        self._write_record()

    def warn(self, text: str) -> None:
        """Say now, and write down with the next note, what could not be had."""
        self.record["warnings"].append(text)
        self.progress.message(f"note: {text}")

    def _write_record(self) -> None:
        write_json(self.folder.run, self.record)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
