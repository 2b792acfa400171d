from __future__ import annotations

import csv
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegboard.errors import PegboardError, SourceError
from pegboard.manifest import (
    ManifestRow,
    fingerprint,
    is_manifest,
    read_manifest,
    write_manifest,
)
from pegboard.photos import SplitName

# File names as the file system hands them out: any bytes but / and NUL.
NAMES = st.binary(min_size=1, max_size=20).map(os.fsdecode)
TEXTS = st.one_of(
    NAMES,
    st.text(st.sampled_from("a,;\"'\r\n\t \\\u2028\x85é工"), max_size=8),
)
ROWS = st.lists(
    st.builds(
        ManifestRow,
        path=TEXTS,
        label=TEXTS,
        split=st.sampled_from(get_args(SplitName)),
        group=TEXTS,
        sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    ),
    max_size=6,
)
ROW = ManifestRow("cat/1.jpg", "cat", "train", "g", "0" * 64)


class TestRoundTrip:
    @settings(max_examples=150, deadline=None)
    @given(ROWS)
    def test_any_names_survive(self, rows: list[ManifestRow]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "manifest.csv"
            write_manifest(path, rows)
            assert read_manifest(path) == rows
            assert os.listdir(folder) == ["manifest.csv"]  # noqa: PTH208

    @settings(max_examples=50, deadline=None)
    @given(ROWS)
    def test_it_is_an_ordinary_table(self, rows: list[ManifestRow]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "manifest.csv"
            write_manifest(path, rows)
            with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
                table = list(csv.DictReader(file))
        assert [row["path"] for row in table] == [row.path for row in rows]
        assert [row["sha256"] for row in table] == [row.sha256 for row in rows]

    def test_many_rows_survive_wherever_one_is_odd(self, tmp_path: Path) -> None:
        rows = [replace(ROW, path=f"cat/{number}.jpg") for number in range(20_100)]
        rows[10_050] = replace(ROW, path="cat/\r.jpg", label="a,\r\n")
        write_manifest(tmp_path / "manifest.csv", rows)
        assert read_manifest(tmp_path / "manifest.csv") == rows

    def test_plain_rows_are_plain(self, tmp_path: Path) -> None:
        write_manifest(tmp_path / "m.csv", [ROW])
        text = (tmp_path / "m.csv").read_text()
        assert text == f"path,label,split,group,sha256\ncat/1.jpg,cat,train,g,{'0' * 64}\n"

    def test_a_table_program_may_have_saved_it(self, tmp_path: Path) -> None:
        path = tmp_path / "m.csv"
        write_manifest(path, [ROW])
        text = path.read_text().replace("\n", "\r\n")
        path.write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n")
        assert read_manifest(path) == [ROW]

    def test_more_columns_in_another_order_do_no_harm(self, tmp_path: Path) -> None:
        path = tmp_path / "m.csv"
        path.write_text(
            f"note,sha256,group,split,label,path\nhi,{'0' * 64},g,train,cat,cat/1.jpg\n"
        )
        assert read_manifest(path) == [ROW]


class TestRefused:
    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", "lacks the columns path, label, split, group, sha256"),
            ("path,label,split,group\n", "lacks the column sha256"),
            ("path,label,split,group,sha256\na,b\n", "has 2 of 5 cells in row 2"),
            ("path,label,split,group,sha256\na,b,val,g,0\n", "has the split 'val' in row 2"),
            (
                'path,label,split,group,sha256\n"a,b,train,g,0\n',
                "is not a CSV table: unexpected end",
            ),
            ('path,label,split,group,sha256\na,b,test,g,"0\nb,b,train,g,0\n', "unexpected end"),
            ("path,label,split,group,sha256\n" + "x" * 200_000, "is not a CSV table"),
        ],
    )
    def test_what_is_no_manifest(self, tmp_path: Path, text: str, says: str) -> None:
        path = tmp_path / "m.csv"
        path.write_text(text, newline="")
        with pytest.raises(SourceError) as caught:
            read_manifest(path)
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=r"none\.csv cannot be read: No such file"):
            read_manifest(tmp_path / "none.csv")

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(PegboardError, match="cannot write"):
            write_manifest(tmp_path / "no" / "m.csv", [ROW])


class TestFingerprint:
    @given(ROWS, st.randoms(use_true_random=False))
    def test_the_order_of_rows_plays_no_part(self, rows: list[ManifestRow], random: object) -> None:
        mixed = list(rows)
        random.shuffle(mixed)  # type: ignore[attr-defined]
        assert fingerprint(mixed) == fingerprint(rows)

    @settings(max_examples=150)
    @given(ROWS, ROWS)
    def test_other_content_gives_another(
        self, rows: list[ManifestRow], others: list[ManifestRow]
    ) -> None:
        def content(found: list[ManifestRow]) -> list[tuple[str, ...]]:
            return sorted((row.path, row.label, row.split, row.sha256) for row in found)

        assert (fingerprint(rows) == fingerprint(others)) == (content(rows) == content(others))

    def test_names_cannot_be_run_together(self) -> None:
        one = ManifestRow("a\0b", "c", "train", "g", "0")
        other = ManifestRow("a", "b\0c", "train", "g", "0")
        assert fingerprint([one]) != fingerprint([other])


class TestIsManifest:
    def test_knows_its_own(self, tmp_path: Path) -> None:
        write_manifest(tmp_path / "m.csv", [ROW])
        assert is_manifest(tmp_path / "m.csv")

    @pytest.mark.parametrize("data", [b"", b"path,label\n", b"\xff\xd8\xff", b"a,b\n" * 100])
    def test_knows_others(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "other").write_bytes(data)
        assert not is_manifest(tmp_path / "other")
        assert not is_manifest(tmp_path / "none")
        assert not is_manifest(tmp_path)
