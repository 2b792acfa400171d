"""Rows in a file: whole, the same as on standard output, and gone on with after a stop."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pegboard.answers import Named, answers_to, predict_files, predict_to_file
from pegboard.bundle import read_bundle, rewrite_info
from pegboard.cli import run
from pegboard.errors import PegboardError
from pegboard.kept_answers import KeptAnswers, beside, stamp_of
from pegboard.predict import Predictor
from pegboard.rows import FORMATS, PAGE, SUFFIXES, Candidate, Prediction, write_rows
from small_bundle import colour_bundle, plain

COLOURS = {"red": (200, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 200)}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return colour_bundle(tmp_path / "colours.pegboard")


@pytest.fixture
def predictor(bundle: Path) -> Predictor:
    return Predictor.load(bundle, threads=1)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(7):
        colour = list(COLOURS.values())[number % 3]
        Image.fromarray(plain(colour)).save(folder / f"{number}.png")
    (folder / "notes.txt").write_text("not a photo")
    return folder


def on_stdout(predictor: Predictor, photos: Path, kind: str) -> bytes:
    stream = io.BytesIO()
    predict_files(predictor, Named([str(photos)]), stream, kind=kind)
    return stream.getvalue()


def names_answered(rows: bytes) -> list[str]:
    return [Path(json.loads(line)["path"]).name for line in rows.splitlines()]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_holds_what_standard_output_shows(
    predictor: Predictor, bundle: Path, photos: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"answers{suffix}"
    tally = predict_to_file(predictor, Named([str(photos)]), out, model=bundle)
    assert (tally.classified, tally.failed) == (7, 1)
    shown = on_stdout(predictor, photos, SUFFIXES[suffix])
    if suffix == ".parquet":
        assert polars.read_parquet(out).equals(polars.read_parquet(shown))
    else:
        assert out.read_bytes() == shown
    assert not beside(out).exists()


def test_the_format_is_asked_for_or_told_by_the_name(
    predictor: Predictor, bundle: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "answers.txt"
    predict_to_file(predictor, Named([str(photos)]), out, model=bundle, kind="jsonl")
    assert len(names_answered(out.read_bytes())) == 8
    with pytest.raises(PegboardError, match=r"--out .*answers\.xyz: expected a name that ends in"):
        predict_to_file(predictor, Named([str(photos)]), tmp_path / "answers.xyz", model=bundle)


def test_a_file_that_is_there_is_replaced_only_when_asked(
    predictor: Predictor, bundle: Path, photos: Path, tmp_path: Path
) -> None:
    out, named = tmp_path / "answers.csv", Named([str(photos)])
    out.write_text("mine")
    for resume in (False, True):
        with pytest.raises(PegboardError, match="exists; give another name, or --overwrite"):
            predict_to_file(predictor, named, out, model=bundle, resume=resume)
    assert out.read_text() == "mine"
    predict_to_file(predictor, named, out, model=bundle, overwrite=True)
    assert out.read_text().startswith("path,label")


# --- going on ----------------------------------------------------------------------------


class Stopping(Predictor):
    """A predictor that is stopped after some photos, and remembers which it was asked about."""

    def __init__(self, bundle: Path, after: int | None = None) -> None:
        super().__init__(read_bundle(bundle), 1)
        self.after = after
        self.asked: list[str] = []

    def predict_paths(self, paths, top=3, stdin=None) -> Iterator[Prediction]:  # type: ignore[no-untyped-def]
        for number, row in enumerate(super().predict_paths(paths, top, stdin)):
            if number == self.after:
                raise KeyboardInterrupt
            assert row.path is not None
            self.asked.append(Path(row.path).name)
            yield row


def stopped(bundle: Path, photos: Path, out: Path, after: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        predict_to_file(Stopping(bundle, after), Named([str(photos)]), out, model=bundle)
    assert not out.exists()


@given(after=st.integers(0, 7), cut=st.integers(0, 40))
@settings(max_examples=8, deadline=None)
def test_a_stopped_file_is_gone_on_with_and_comes_out_the_same(
    tmp_path_factory: pytest.TempPathFactory, after: int, cut: int
) -> None:
    """Even when the last line was cut off by a power failure."""
    folder = tmp_path_factory.mktemp("resume")
    bundle, photos = colour_bundle(folder / "a.pegboard"), folder / "photos"
    photos.mkdir()
    for number in range(8):
        Image.fromarray(plain(list(COLOURS.values())[number % 3])).save(photos / f"{number}.png")
    out = folder / "answers.jsonl"
    stopped(bundle, photos, out, after)
    lost = 0
    if after:
        whole = beside(out).read_bytes()
        last = whole.splitlines(keepends=True)[-1]
        lost = min(cut, len(last) - 1)
        beside(out).write_bytes(whole[: len(whole) - lost])
    again = Stopping(bundle)
    predict_to_file(again, Named([str(photos)]), out, model=bundle, resume=True)
    assert len(again.asked) == 8 - after + (1 if lost else 0)
    assert out.read_bytes() == on_stdout(Predictor.load(bundle), photos, "jsonl")
    assert not beside(out).exists()


def test_what_failed_or_changed_is_answered_again(
    bundle: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "0.png").write_bytes(b"")
    out = tmp_path / "answers.jsonl"
    stopped(bundle, photos, out, 4)
    Image.fromarray(plain(COLOURS["blue"])).save(photos / "0.png")  # was empty
    Image.fromarray(plain(COLOURS["blue"], 41)).save(photos / "1.png")  # was another photo
    Image.fromarray(plain(COLOURS["red"])).save(photos / "00.png")  # is new
    again = Stopping(bundle)
    predict_to_file(again, Named([str(photos)]), out, model=bundle, resume=True)
    assert again.asked == ["0.png", "00.png", "1.png", "4.png", "5.png", "6.png", "notes.txt"]
    assert out.read_bytes() == on_stdout(Predictor.load(bundle), photos, "jsonl")


def test_answers_of_something_else_are_not_gone_on_with(
    bundle: Path, photos: Path, tmp_path: Path
) -> None:
    out, named = tmp_path / "answers.csv", Named([str(photos)])
    stopped(bundle, photos, out, 3)
    predictor = Predictor.load(bundle)
    with pytest.raises(PegboardError, match=r"answers\.csv\.partial is left of an earlier command"):
        predict_to_file(predictor, named, out, model=bundle)
    with pytest.raises(PegboardError, match="begun with another model, other options"):
        predict_to_file(predictor, named, out, model=bundle, top=1, resume=True)
    whole = read_bundle(bundle)
    rewrite_info(bundle, replace(whole.info, thresholds={"sure": 0.5}))
    with pytest.raises(PegboardError, match="begun with another model, other options"):
        predict_to_file(Predictor.load(bundle), named, out, model=bundle, resume=True)
    predict_to_file(Predictor.load(bundle), named, out, model=bundle, overwrite=True)
    assert out.exists()


def test_a_damaged_line_is_one_line_of_error(bundle: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "answers.csv"
    stopped(bundle, photos, out, 3)
    lines = beside(out).read_bytes().splitlines(keepends=True)
    beside(out).write_bytes(lines[0] + b'{"row": 3}\n' + b"".join(lines[1:]))
    with pytest.raises(PegboardError, match="is damaged at byte"):
        predict_to_file(
            Predictor.load(bundle), Named([str(photos)]), out, model=bundle, resume=True
        )


def test_a_file_among_the_photos_is_none_of_them(
    bundle: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    out = Path("answers.jsonl")
    stopped(bundle, Path(), out, 3)
    predictor = Predictor.load(bundle)
    predict_to_file(predictor, Named(["."]), out, model=bundle, resume=True)
    assert len(names_answered(out.read_bytes())) == 8


def test_a_file_that_cannot_be_written_leaves_nothing(
    predictor: Predictor, bundle: Path, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(PegboardError, match=r"cannot write .*No such file or directory"):
        predict_to_file(
            predictor, Named([str(photos)]), tmp_path / "none" / "answers.csv", model=bundle
        )
    with pytest.raises(PegboardError, match="found nothing at"):
        predict_to_file(predictor, Named(["none"]), tmp_path / "answers.csv", model=bundle)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["colours.pegboard", "photos"]


@given(st.text(max_size=8), st.lists(st.text("ab\udc80\n é", min_size=1), max_size=5))
@settings(max_examples=40, deadline=None)
def test_kept_answers_come_back_by_name(
    tmp_path_factory: pytest.TempPathFactory, reason: str, names: list[str]
) -> None:
    out = tmp_path_factory.mktemp("kept") / "a.csv"
    rows = {
        name: Prediction(name, "red", 0.25, (Candidate("red", 0.25),), "unsure", reason + str(rank))
        for rank, name in enumerate(names)
    }
    with KeptAnswers(out, {"top": 1}) as kept:
        for row in rows.values():
            kept.add(row, None)
        assert list(kept.rows(reversed(rows))) == list(reversed(rows.values()))
        kept.remove()
    assert not beside(out).exists()


def test_a_photos_stamp_is_its_size_and_time(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"12345")
    os.utime(photo, ns=(5, 7))
    assert stamp_of(str(photo)) == (5, 7)
    assert stamp_of(str(tmp_path / "none")) is None
    assert stamp_of("a\0b") is None


# --- large numbers -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_pages_lose_no_row(kind: str) -> None:
    count = 2 * PAGE + 3
    rows = (Prediction(f"{n}.png", "red", 0.5, (Candidate("red", 0.5),)) for n in range(count))
    stream = io.BytesIO()
    tally = write_rows(rows, kind, stream, top=1)
    assert tally.classified == count
    if kind == "parquet":
        names = polars.read_parquet(stream.getvalue())["path"].to_list()
    else:
        text = stream.getvalue().decode()
        names = [
            word for word in text.replace('"', " ").replace(",", " ").split() if ".png" in word
        ]
    assert names == [f"{n}.png" for n in range(count)]


def test_a_list_that_never_ends_is_answered_as_it_comes(predictor: Predictor, photos: Path) -> None:
    """As `find … | pegboard predict --files-from -` is."""
    read, write = os.pipe()
    with os.fdopen(read, "rb") as stdin, os.fdopen(write, "wb", buffering=0) as pipe:
        rows = answers_to(predictor, Named([], "-", stdin), 3)
        for _ in range(70):  # no more than are read ahead
            pipe.write(f"{photos / '0.png'}\n".encode())
        assert next(rows).label == "red"
        rows.close()


# --- the command -------------------------------------------------------------------------


def test_the_command_writes_a_file_and_says_so(
    bundle: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "answers.csv"
    arguments = ["predict", str(bundle), str(photos), "--out", str(out)]
    assert run(arguments) == 0
    assert capsys.readouterr().out == f"{out}: 7 classified, 1 could not be used\n"
    assert run([*arguments, "--json", "--overwrite"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(out), "classified": 7, "failed": 1}
    assert run([*arguments, "--overwrite", "--strict"]) == 1
    assert run(arguments) == 1
    assert "exists; give another name" in capsys.readouterr().err
    assert run(["predict", str(bundle), str(photos), "--resume"]) == 2


def test_progress_is_shown_when_asked_and_for_many(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "a.png"
    Image.fromarray(plain(COLOURS["red"])).save(photo)
    arguments = ["predict", str(bundle), *[str(photo)] * 100, "--format", "jsonl"]
    assert run(arguments) == 0
    silent = capsys.readouterr()
    assert silent.err == ""
    assert run([*arguments, "--progress"]) == 0
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [f"photos: {tenth}0 of 100" for tenth in range(1, 11)]
    assert shown.out == silent.out


def test_ctrl_c_says_how_to_go_on(bundle: Path, tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "answers.csv"
    photos.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(photos / "0000.png")
    for number in range(1, 4000):
        os.link(photos / "0000.png", photos / f"{number:04}.png")
    command = [
        sys.executable, "-m", "pegboard.cli", "predict", str(bundle), str(photos),
        "--out", str(out), "--threads", "1",
    ]  # fmt: skip
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        while not (beside(out).exists() and beside(out).stat().st_size > 20_000):
            assert child.poll() is None
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        error = child.communicate(timeout=60)[1]
    finally:
        child.kill()
    assert child.returncode == 130, error
    assert error.strip().endswith("--resume")
    assert f"go on with: pegboard predict {bundle} {photos} --out {out}" in error
    assert not out.exists()
    assert beside(out).stat().st_size > 20_000
