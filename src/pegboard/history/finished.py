"""A finished run as it is compared with others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pegboard.errors import RunFolderError
from pegboard.evaluate import Predictions, read_predictions
from pegboard.leaderboard import Leaderboard, ModelRow
from pegboard.manifest import ManifestRow, read_manifest
from pegboard.runs import RunFolder, read_json, slug_of


@dataclass(frozen=True)
class FinishedRun:
    """What is read of a finished run.

    Attributes
    ----------
    folder, record, board, rows
        Its files, ``run.json``, ``leaderboard.json`` and manifest.
    left_out
        Number of files left out.
    """

    folder: RunFolder
    record: Mapping[str, Any]
    board: Leaderboard
    rows: Sequence[ManifestRow]
    left_out: int

    @classmethod
    def read(cls, folder: RunFolder) -> FinishedRun:
        """Read them.

        Raises
        ------
        RunFolderError
            When it is not a finished run, or a file of it is damaged.
        SourceError
            When the manifest is damaged.
        """
        board = Leaderboard.from_json(read_json(folder.leaderboard))
        record = read_json(folder.run)
        if not isinstance(record, dict):
            raise RunFolderError(f"{folder.run}: expected settings, found {type(record).__name__}")
        left_out = sum(board.dataset.left_out.values())
        return cls(folder, record, board, read_manifest(folder.manifest), left_out)

    def models(self) -> dict[str, ModelRow]:
        """Return the leaderboard's rows by name, baselines left out."""
        return {row.name: row for row in self.board.models if not row.baseline}

    def test(self, model: str) -> Predictions:
        """Return a model's answers to the test photos, grouped as in the manifest.

        Raises
        ------
        RunFolderError
            When the file is missing or damaged, or holds no test photo.
        """
        groups = {row.path: row.group or row.path for row in self.rows}
        file = self.folder.model(slug_of(model)).predictions
        test = read_predictions(file, groups).get("test")
        if test is None:
            raise RunFolderError(f"{file} holds no test photo")
        return test
