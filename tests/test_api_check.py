"""``pegboard.check``: its tables are its files, and its decisions reach ``pegboard.compare``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import pegboard


@pytest.fixture
def found(photo_folder: Callable[..., Path], tmp_path: Path) -> pegboard.Check:
    photos = photo_folder(per_class=6)
    (photos / "disc" / "empty.jpg").write_bytes(b"")
    copied = (photos / "disc" / "000.jpg").read_bytes()
    (photos / "square" / "same.jpg").write_bytes(copied)
    return pegboard.check(photos, out=tmp_path / "check", threads=1, progress=False)


def test_tables_are_the_files(found: pegboard.Check) -> None:
    stored = pd.read_csv(found.path / "findings.csv", keep_default_na=False)
    table = found.findings
    assert list(table.columns) == list(stored.columns)
    assert table["path"].tolist() == stored["path"].tolist()
    assert table["score"].tolist() == pytest.approx(stored["score"].tolist())
    counts = table[table["severity"] != "info"].groupby("code").size()
    outcomes = found.outcomes
    assert outcomes.loc[outcomes["count"] > 0, "count"].to_dict() == counts.to_dict()
    assert counts["label-conflict"] == 1
    assert outcomes.loc["leak", "state"] == "not-applicable"


def test_it_shows_itself(found: pegboard.Check) -> None:
    assert "1 empty" in found.summary
    assert str(found.path) in repr(found)
    shown = found._repr_html_()
    assert "One photo under two labels" in shown
    assert "pegboard review" in shown
    assert found.report.exists()


def test_decisions_reach_compare(found: pegboard.Check, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    found.decide("square/same.jpg", "drop", reviewer="ann", reason="it is the disc")
    found.decide("cross/001.png", "relabel", "square")
    run = pegboard.compare(
        photos, "lm", corrections=found.corrections, before="none", epochs=1, image_size=16,
        fit="squash", out=tmp_path / "run", threads=1, progress=False, previous="none",
    )  # fmt: skip
    assert "disc/000.jpg" in run.photos["path"].tolist()
    left_out = run.left_out.set_index("path")["reason"].to_dict()
    assert left_out["square/same.jpg"] == "excluded"
    assert run.photos.set_index("path").loc["cross/001.png", "label"] == "square"


def test_decisions_that_make_no_sense(found: pegboard.Check) -> None:
    for path, action, label, told in (
        ("disc/empty.jpg", "drop", "", "was checked"),
        ("disc/001.png", "relabel", "", "label"),
        ("disc/001.png", "drop", "cross", "label"),
        ("disc/001.png", "accept", "", "keep, relabel, drop"),
    ):
        with pytest.raises(pegboard.PegboardError, match=told):
            found.decide(path, action, label)
    assert not found.corrections.exists()


def test_a_folder_that_is_no_check(tmp_path: Path) -> None:
    with pytest.raises(pegboard.PegboardError, match=r"check\.json"):
        pegboard.Check(tmp_path)
