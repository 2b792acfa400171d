"""Which run is gone on with, and that its settings and photos are still the same."""

from __future__ import annotations

from collections.abc import Mapping

from pegboard.errors import RunFolderError
from pegboard.photos import SplitName
from pegboard.prepare import Prepared, assignments, open_settings_source
from pegboard.runs import RunFolder, read_json, runs_of
from pegboard.settings import CompareSettings


def run_folder(settings: CompareSettings) -> RunFolder | None:
    """Return the folder asked for, or the last run of the source to resume; None for a new one.

    Raises
    ------
    RunFolderError
        When there is no run to resume.
    """
    if settings.out is not None:
        return RunFolder(settings.out)
    if not settings.resume:
        return None
    earlier = runs_of(open_settings_source(settings).location)
    if not earlier:
        raise RunFolderError(
            f"--resume: no earlier run of {settings.source} lies in pegboard-runs/; "
            "name its folder with --out"
        )
    return earlier[-1]


def resumed_assignments(
    folder: RunFolder, settings: CompareSettings
) -> Mapping[str, SplitName] | None:
    """Return the split of the run that is resumed, after checking the settings.

    Raises
    ------
    RunFolderError
        When a setting that decides the result differs.
    """
    earlier = read_json(folder.run).get("settings")
    if not isinstance(earlier, dict):
        raise RunFolderError(
            f"--resume: {folder.run} does not say with which settings the run was started; "
            "start a new run"
        )
    now = settings.deciding()
    differing = [key for key in now if now[key] != earlier.get(key)]
    if differing:
        told = "; ".join(f"{key}: {earlier.get(key)!r} then, {now[key]!r} now" for key in differing)
        raise RunFolderError(
            f"--resume needs the settings {folder.path} was started with ({told}); "
            "give the same ones, or start a new run"
        )
    # A run that was stopped before it had written its manifest has trained nothing yet.
    return assignments(folder.manifest) if folder.manifest.exists() else None


def check_same_data(folder: RunFolder, prepared: Prepared) -> None:
    """Refuse to resume a run on photos that have changed since."""
    if read_json(folder.run).get("fingerprint") != prepared.fingerprint:
        raise RunFolderError(
            f"--resume: the photos are not the ones {folder.path} was started with; "
            "start a new run (old photos keep their split)"
        )
