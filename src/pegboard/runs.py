"""The run folder: the one place that knows where a run's files lie."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pegboard.errors import RunFolderError
from pegboard.files import LEFTOVERS, write_text_atomically

RUNS = Path("pegboard-runs")
"""Where runs go by default, below the working directory."""

MARK = "pegboard"
"""Key of ``run.json`` by which a folder is known to be ours."""

HISTORY_COLUMNS = (
    "epoch", "seconds", "loss", "accuracy", "macro_f1", "val_loss", "val_accuracy", "val_macro_f1",
)  # fmt: skip


@dataclass(frozen=True)
class ModelFolder:
    """Files of one trained model of a run."""

    path: Path
    slug: str

    @property
    def history(self) -> Path:
        """Figures per epoch."""
        return self.path / "history.csv"

    @property
    def predictions(self) -> Path:
        """Validation and test predictions: the source of every figure."""
        return self.path / "predictions.csv"

    @property
    def weights(self) -> Path:
        """The trained weights."""
        return self.path / "weights.safetensors"

    @property
    def bundle(self) -> Path:
        """The one-file model."""
        return self.path / f"{self.slug}.pegboard"

    @property
    def card(self) -> Path:
        """The model card, to read anywhere."""
        return self.path / "card.md"

    @property
    def card_page(self) -> Path:
        """The model card as a page."""
        return self.path / "card.html"

    @property
    def training(self) -> Path:
        """How it was trained; its presence says that training is finished."""
        return self.path / "training.json"

    @property
    def checkpoint(self) -> Path:
        """State of an unfinished training."""
        return self.path / "checkpoint.safetensors"

    def part(self, name: str) -> ModelFolder:
        """Return the folder of a further seed or fold (``seed-1``, ``fold-2``)."""
        return ModelFolder(self.path / name, self.slug)


@dataclass(frozen=True)
class RunFolder:
    """Files of one run."""

    path: Path

    @property
    def run(self) -> Path:
        """Command, settings, seeds, versions, machine, data fingerprint."""
        return self.path / "run.json"

    @property
    def manifest(self) -> Path:
        """The photos and their splits."""
        return self.path / "manifest.csv"

    @property
    def intake(self) -> Path:
        """What was found, used and left out."""
        return self.path / "intake.json"

    @property
    def leaderboard(self) -> Path:
        """All figures."""
        return self.path / "leaderboard.json"

    @property
    def report(self) -> Path:
        """The page to hand in."""
        return self.path / "report.html"

    @property
    def plots(self) -> Path:
        """Pictures of the report."""
        return self.path / "plots"

    @property
    def evidence(self) -> Path:
        """What is shown of photos: mistakes, neighbours, samples, layers."""
        return self.path / "evidence.json"

    @property
    def pictures(self) -> Path:
        """The small pictures that ``evidence.json`` names."""
        return self.path / "pictures.zip"

    def model(self, slug: str) -> ModelFolder:
        """Return the folder of one model."""
        return ModelFolder(self.path / "models" / slug, slug)

    def is_ours(self) -> bool:
        """Whether the folder holds a ``run.json`` that pegboard wrote."""
        with suppress(OSError, ValueError):
            return isinstance(json.loads(self.run.read_text("utf-8")), dict) and (
                MARK in json.loads(self.run.read_text("utf-8"))
            )
        return False

    def holds_training(self) -> bool:
        """Whether a model, or the state of an unfinished training, is kept in it."""
        kept = ("training.json", "checkpoint.safetensors")
        return any(file.name in kept for file in self.path.glob("models/**/*"))

    def written(self) -> list[Path]:
        """Return the files in it that a run writes; ``run.json`` last, by which it is known.

        Whatever else a user keeps there is not among them, corrections of labels included.
        """
        named = (self.manifest, self.intake, self.leaderboard, self.report, self.evidence)
        found = [file for file in (*named, self.pictures) if file.is_file()]
        found += _matching(self.plots, ("*.png", "*.svg"))
        for folder in self._model_folders():
            found += _matching(folder, _MODEL_FILES)
        found += _matching(self.path, (LEFTOVERS,))
        return [*found, *([self.run] if self.run.is_file() else [])]

    def _model_folders(self) -> list[Path]:
        """Return the folders of models, and of their further seeds and folds."""
        models = _folders(self.path / "models", ("*",))
        parts = (part for model in models for part in _folders(model, ("seed-*", "fold-*")))
        return [*models, *parts]

    def remove(self) -> None:
        """Remove what a run wrote, and the folders it lies in if nothing else does."""
        with suppress(OSError):
            self.remove_contents()
            self.path.rmdir()
            if self.path.parent.name == RUNS.name:
                self.path.parent.rmdir()

    def remove_contents(self) -> None:
        """Remove what a run writes, and nothing else."""
        folders = [self.plots, self.path / "models", *self._model_folders()]
        for file in self.written():
            file.unlink(missing_ok=True)
        for folder in reversed(folders):
            with suppress(OSError):  # something of the user's lies in it
                folder.rmdir()


_MODEL_FILES = (
    "history.csv", "predictions.csv", "weights.safetensors", "training.json",
    "checkpoint.safetensors", "*.pegboard", "card.md", "card.html", LEFTOVERS,
)  # fmt: skip


def _matching(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Return the files in a folder, but not in one that a link leads to."""
    if folder.is_symlink():
        return []
    files = (file for pattern in patterns for file in sorted(folder.glob(pattern)))
    return [file for file in files if file.is_file()]


def _folders(folder: Path, patterns: Iterable[str]) -> list[Path]:
    if folder.is_symlink():
        return []
    found = (child for pattern in patterns for child in sorted(folder.glob(pattern)))
    return [child for child in found if child.is_dir() and not child.is_symlink()]


def slug_of(name: str) -> str:
    """Return a model's name as it stands in file names: ``:`` and ``/`` become ``-``."""
    return name.replace(":", "-").replace("/", "-")


def default_path(name: str, now: datetime, base: Path = RUNS) -> Path:
    """Return ``pegboard-runs/NAME-YYYYMMDD-HHMMSS``, with a number behind it when taken."""
    stem = f"{name}-{now:%Y%m%d-%H%M%S}"
    path = base / stem
    number = 2
    while path.exists():
        path, number = base / f"{stem}-{number}", number + 1
    return path


def check_usable(folder: RunFolder, *, resume: bool, overwrite: bool) -> None:
    """Refuse an output folder that cannot or must not be written, before any work is done.

    Raises
    ------
    RunFolderError
        When the path is a file, is not writable, or holds anything and neither ``resume``
        nor ``overwrite`` is given or it is not a run of ours.
    """
    path = folder.path
    if path.exists() and not path.is_dir():
        raise RunFolderError(f"--out {path} is a file; name a folder that is new or empty")
    if not path.exists():
        if resume:
            raise RunFolderError(
                f"--resume: {path} does not exist; name the folder of an earlier run with --out"
            )
        _check_writable(next(parent for parent in path.absolute().parents if parent.exists()), path)
        return
    _check_writable(path, path)
    if not any(path.iterdir()):
        return
    if not folder.is_ours():
        raise RunFolderError(
            f"{path} is not empty and holds no run.json of pegboard, so nothing in it is "
            "touched; name another folder with --out"
        )
    if not (resume or overwrite):
        raise RunFolderError(
            f"{path} already holds a run; give --resume to go on with it, --overwrite to "
            "replace it, or another --out"
        )


def _check_writable(where: Path, wanted: Path) -> None:
    if not os.access(where, os.W_OK | os.X_OK):
        raise RunFolderError(
            f"cannot write {wanted}: no permission in {where}; name a folder of yours with --out"
        )


def read_json(path: Path) -> Any:
    """Read a JSON file of a run.

    Raises
    ------
    RunFolderError
        When it is missing or not JSON.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise RunFolderError(
            f"{path.parent} is not a finished run of pegboard: it has no {path.name}"
        ) from error
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path} cannot be read: {error}") from error


def write_json(path: Path, data: Any) -> None:
    """Write strict JSON (no NaN), whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(path, json_text(data) + "\n")


def json_text(data: Any) -> str:
    """Return strict JSON that is valid Unicode, whatever bytes a file's name holds.

    Letters stay readable. A name that is no valid Unicode is escaped, so that reading the
    JSON gives the same name back.
    """
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(data, indent=2, allow_nan=False)
    return text


def write_history(path: Path, rows: Iterable[Mapping[str, float]]) -> None:
    """Write ``history.csv``."""
    import io  # noqa: PLC0415

    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, HISTORY_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: row[key] for key in HISTORY_COLUMNS} for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(path, buffer.getvalue())


def read_history(path: Path) -> list[dict[str, float]]:
    """Read ``history.csv``; ``epoch`` is a float like the rest."""
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def process_start(process: int) -> str:
    """Return when a process started, for telling it from a later one of its number.

    Clock ticks since the machine was started, as Linux counts them; "" where that is not told.
    """
    with suppress(OSError, IndexError):
        # The name of the program stands in brackets and may hold spaces and brackets itself.
        told = Path("/proc", str(process), "stat").read_text("utf-8", "replace")
        return told.rpartition(")")[2].split()[19]
    return ""


def runs_of(location: str, *bases: Path) -> Sequence[RunFolder]:
    """Return the runs below ``bases`` (``pegboard-runs/``) made from one source, oldest first."""
    found = {}
    for file in (file for base in bases or (RUNS,) for file in base.glob("*/run.json")):
        with suppress(OSError, ValueError, AttributeError):
            data = json.loads(file.read_text("utf-8"))
            if data.get("source", {}).get("location") == location:
                found[file.resolve()] = (str(data.get("started", "")), RunFolder(file.parent))
    return [folder for _, folder in sorted(found.values(), key=lambda pair: pair[0])]
