"""The files of a run that the report is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from pegboard.bundle import BundleInfo, read_info
from pegboard.errors import BundleError, PegboardError, RunFolderError
from pegboard.evaluate import Predictions, read_predictions
from pegboard.evidence import Evidence
from pegboard.leaderboard import Leaderboard
from pegboard.manifest import ManifestRow, read_manifest
from pegboard.photos import SplitName
from pegboard.report.pieces import Chart
from pegboard.runs import ModelFolder, RunFolder, read_json, slug_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Json = Mapping[str, Any]


class Shelf(Protocol):
    """Where figures go."""

    def put(self, name: str, figure: Figure, *, caption: str, alt: str) -> Chart:
        """Keep the figure under a name that is fit for a file and return it for the page."""
        ...


@dataclass(frozen=True)
class Run:
    """The files of a run: those that are read as a whole, and the others when asked for."""

    folder: RunFolder
    leaderboard: Json
    run: Json
    intake: Json
    _predictions: dict[str, dict[SplitName, Predictions]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def read(cls, folder: RunFolder) -> Run:
        """Read them.

        Raises
        ------
        RunFolderError
            When one is missing, or holds something else.
        """
        leaderboard, run, intake = map(read_json, (folder.leaderboard, folder.run, folder.intake))
        # Read as a whole, so that what is missing is said in one line and not met half-way.
        Leaderboard.from_json(leaderboard)
        if not isinstance(run, dict):
            raise RunFolderError(f"{folder.run}: expected settings, found {type(run).__name__}")
        if not isinstance(intake, dict) or not {"found", "used", "left_out"} <= intake.keys():
            raise RunFolderError(f"{folder.intake}: expected found, used and left_out")
        if run.get("folds"):  # which leaderboards of earlier versions do not tell
            dataset = {**leaderboard["dataset"], "folds": run["folds"]}
            leaderboard = {**leaderboard, "dataset": dataset}
        return cls(folder, leaderboard, run, intake)

    @property
    def models(self) -> Sequence[Json]:
        """The leaderboard's rows, best on validation first, baselines last."""
        return sorted(
            self.leaderboard["models"],
            key=lambda model: (
                bool(model.get("baseline")),
                model["name"] != self.best,
                -(model.get("validation_macro_f1") or 0.0),
            ),
        )

    @property
    def best(self) -> str | None:
        """Name of the best model on the validation photos."""
        best: str | None = self.leaderboard.get("best")
        return best

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the models' outputs."""
        return tuple(self.leaderboard["dataset"]["classes"])

    @cached_property
    def manifest(self) -> tuple[ManifestRow, ...]:
        """The photos and their splits."""
        return tuple(read_manifest(self.folder.manifest))

    @cached_property
    def evidence(self) -> Evidence | None:
        """What is kept of the photos; None when there are none."""
        return Evidence.read(self.folder)

    def model(self, name: str) -> Json:
        """Return a model's row of the leaderboard.

        Raises
        ------
        PegboardError
            When there is none of that name.
        """
        for model in self.leaderboard["models"]:
            if model["name"] == name:
                row: Json = model
                return row
        known = ", ".join(model["name"] for model in self.models)
        raise PegboardError(f"expected a model of this run ({known}), found {name!r}")

    def model_folder(self, name: str) -> ModelFolder:
        """Return where a model's files lie."""
        return self.folder.model(slug_of(name))

    def bundle_info(self, name: str) -> BundleInfo | None:
        """Return what a model's bundle says of it; None where there is none that can be read."""
        try:
            return read_info(self.model_folder(name).bundle)
        except BundleError:
            return None

    def predictions(self, name: str) -> dict[SplitName, Predictions]:
        """Return a model's answers by split; they are read once.

        Raises
        ------
        RunFolderError
            When the file is missing or damaged.
        """
        if name not in self._predictions:
            groups = {row.path: row.group for row in self.manifest}
            file = self.model_folder(name).predictions
            self._predictions[name] = read_predictions(file, groups)
        return self._predictions[name]

    def answers(self, name: str) -> Predictions:
        """Return a model's answers to the test photos.

        Raises
        ------
        RunFolderError
            When the file is missing or damaged, or holds no test photo.
        """
        test = self.predictions(name).get("test")
        if test is None:
            file = self.model_folder(name).predictions
            raise RunFolderError(f"{file} holds no test photo; train {name} again")
        return test
