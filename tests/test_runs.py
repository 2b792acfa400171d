from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pegboard.errors import RunFolderError
from pegboard.runs import (
    RunFolder,
    check_usable,
    default_path,
    read_history,
    read_json,
    runs_of,
    write_history,
    write_json,
)

ROW = {
    "epoch": 1, "seconds": 1.5, "loss": 0.7, "accuracy": 0.5, "macro_f1": 0.4,
    "val_loss": 0.8, "val_accuracy": 0.45, "val_macro_f1": 0.3,
}  # fmt: skip


def our_run(path: Path, **more: object) -> RunFolder:
    path.mkdir(parents=True)
    write_json(path / "run.json", {"pegboard": "0.1.0", **more})
    return RunFolder(path)


def test_a_new_or_empty_folder_is_fine(tmp_path: Path) -> None:
    check_usable(RunFolder(tmp_path / "new" / "deeper"), resume=False, overwrite=False)
    check_usable(RunFolder(tmp_path), resume=False, overwrite=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flags", [(False, False), (True, False), (False, True)])
def test_a_folder_of_something_else_is_never_touched(
    tmp_path: Path, flags: tuple[bool, bool]
) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunFolderError, match=r"holds no run\.json of pegboard"):
        check_usable(RunFolder(tmp_path), resume=flags[0], overwrite=flags[1])


def test_another_programs_run_json_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"tool": "other"}')
    with pytest.raises(RunFolderError, match="nothing in it is touched"):
        check_usable(RunFolder(tmp_path), resume=False, overwrite=True)


def test_an_earlier_run_needs_resume_or_overwrite(tmp_path: Path) -> None:
    run = our_run(tmp_path / "run")
    with pytest.raises(RunFolderError, match="--resume to go on with it, --overwrite to replace"):
        check_usable(run, resume=False, overwrite=False)
    check_usable(run, resume=True, overwrite=False)
    check_usable(run, resume=False, overwrite=True)


def test_overwriting_removes_what_a_run_writes_and_nothing_else(tmp_path: Path) -> None:
    run = our_run(tmp_path / "run")
    model = run.model("cnn")
    model.path.mkdir(parents=True)
    model.weights.write_bytes(b"x")
    run.leaderboard.write_text("{}")
    note = run.path / "my notes.txt"
    note.write_text("mine")
    run.remove_contents()
    assert sorted(file.name for file in run.path.iterdir()) == ["my notes.txt"]


def test_a_file_as_run_folder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(RunFolderError, match="is a file"):
        check_usable(RunFolder(file), resume=False, overwrite=False)


def test_resuming_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="does not exist"):
        check_usable(RunFolder(tmp_path / "gone"), resume=True, overwrite=False)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX users")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    """As root every folder is writable, so the check runs as nobody where it can."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from pegboard.runs import RunFolder, check_usable\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "try: check_usable(RunFolder(Path(sys.argv[1]) / 'run'), resume=False, overwrite=False)\n"
        "except Exception as error: print(error)\n"
    )
    for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
        if os.geteuid() == 0:
            folder.chmod(folder.stat().st_mode | 0o055)
    done = subprocess.run(
        [sys.executable, "-c", program, str(closed)], capture_output=True, text=True, check=True
    )
    assert "no permission" in done.stdout


def test_history_survives(tmp_path: Path) -> None:
    write_history(tmp_path / "history.csv", [ROW, ROW | {"epoch": 2}])
    rows = read_history(tmp_path / "history.csv")
    assert rows == [ROW, ROW | {"epoch": 2}]


def test_nan_never_reaches_a_json_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_a_missing_or_broken_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is not a finished run of pegboard"):
        read_json(tmp_path / "leaderboard.json")
    (tmp_path / "leaderboard.json").write_text("{")
    with pytest.raises(RunFolderError, match="cannot be read"):
        read_json(tmp_path / "leaderboard.json")


def test_default_names_never_collide(tmp_path: Path) -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    first = default_path("tools", now, tmp_path)
    assert first.name == "tools-20260102-030405"
    first.mkdir()
    assert default_path("tools", now, tmp_path).name == "tools-20260102-030405-2"


def test_runs_of_a_source_oldest_first(tmp_path: Path) -> None:
    here = {"location": "/photos"}
    our_run(tmp_path / "b", source=here, started="2026-01-02")
    our_run(tmp_path / "a", source=here, started="2026-01-03")
    our_run(tmp_path / "c", source={"location": "/other"}, started="2026-01-01")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    assert [run.path.name for run in runs_of("/photos", tmp_path)] == ["b", "a"]
