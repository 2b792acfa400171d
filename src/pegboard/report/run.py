"""The files of a run that the report is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pegboard.errors import RunFolderError
from pegboard.leaderboard import Leaderboard
from pegboard.report.context import Chart
from pegboard.runs import ModelFolder, RunFolder, read_json

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
    """The files of a run that are read as a whole."""

    folder: RunFolder
    leaderboard: Json
    run: Json
    intake: Json

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

    def model_folder(self, name: str) -> ModelFolder:
        """Return where a model's files lie."""
        return self.folder.model(slug_of(name))


def slug_of(name: str) -> str:
    """Return a model's name as it stands in file names."""
    return name.replace(":", "-").replace("/", "-")
