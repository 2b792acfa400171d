from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pegboard.errors import PegboardError
from pegboard.files import atomic_path, write_bytes_atomically, write_text_atomically


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    write_text_atomically(tmp_path / "größe,\n.csv", "a\r\nü\n")
    assert (tmp_path / "größe,\n.csv").read_bytes() == "a\r\nü\n".encode()
    write_bytes_atomically(tmp_path / "b.bin", b"\x00\xff")
    assert (tmp_path / "b.bin").read_bytes() == b"\x00\xff"
    assert len(names(tmp_path)) == 2


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt])
def test_a_failing_block_leaves_the_old_file(tmp_path: Path, stop: type[BaseException]) -> None:
    target = tmp_path / "x.txt"
    write_text_atomically(target, "old")

    def write_half() -> None:
        with atomic_path(target) as temporary:
            assert (temporary.parent, temporary.suffix) == (tmp_path, ".txt")
            temporary.write_text("half of the n")
            raise stop

    with pytest.raises(stop):
        write_half()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["x.txt"]


def test_a_very_long_name_fits(tmp_path: Path) -> None:
    name = "n" * 251 + ".csv"
    write_text_atomically(tmp_path / name, "x")
    assert names(tmp_path) == [name]


def test_other_users_may_read_as_with_any_new_file(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        write_text_atomically(tmp_path / "x", "x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o644


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_text_atomically(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_missing_folder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(PegboardError, match=r"cannot write .*x\.csv: No such file or directory$"):
        write_text_atomically(tmp_path / "no" / "x.csv", "x")


def test_a_folder_or_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PegboardError, match="not a regular file"):
        write_text_atomically(tmp_path, "x")
    with pytest.raises(PegboardError, match="not a regular file"):
        write_text_atomically("/dev/null", "x")


def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    with (
        pytest.raises(PegboardError, match=r"cannot write .*x: No space left on device$"),
        atomic_path(tmp_path / "x"),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"x")
    assert names(tmp_path) == []


def test_other_errors_of_the_block_pass_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "x"):
        (tmp_path / "elsewhere").read_bytes()


def test_a_name_the_file_system_refuses_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(PegboardError, match=r"cannot write .*: File name too long$"):
        write_text_atomically(tmp_path / ("n" * 300), "x")
