"""What corrections changed: the same models before and after, on the same test photos."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import accuracy_score, f1_score

from pegboard.audit.findings import Finding, Outcome, State, write_findings
from pegboard.audit.folder import CheckFolder, CheckRecord
from pegboard.cli import run
from pegboard.corrections import COLUMNS
from pegboard.errors import PegboardError
from pegboard.examples import write_tool_photos
from pegboard.history import compare_runs
from pegboard.history.effect import common_test_photos
from pegboard.history.finished import FinishedRun
from pegboard.manifest import read_manifest
from pegboard.pipeline.before import Before, find_before, named_before, tell_effect
from pegboard.prepare import prepare
from pegboard.report.corrected import labels_to_check
from pegboard.report.run import Run
from pegboard.runs import RunFolder, read_json, write_json
from pegboard.settings import CompareSettings
from pegboard.words import summary

ASKED = (
    "--models", "lm", "--fit", "squash", "--image-size", "16", "--epochs", "2",
    "--merge", "Pliers=pliers", "--no-progress",
)  # fmt: skip


def call(folder: Path, *arguments: str | Path) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = run([str(argument) for argument in arguments])
    return code, out.getvalue(), err.getvalue()


def settings(folder: Path, **given: Any) -> CompareSettings:
    asked = {"models": "lm", "fit": "squash", "image_size": 16, "epochs": 2}
    merge = {"Pliers": "pliers"}
    return CompareSettings(source=str(folder / "photos"), merge=merge, **(asked | given))


def write_corrections(file: Path, photos: Path, made: Sequence[tuple[str, str, str]]) -> Path:
    """Write decisions: action, path, label after."""
    with file.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(COLUMNS)
        for second, (action, path, label) in enumerate(made):
            sha256 = hashlib.sha256((photos / path).read_bytes()).hexdigest()
            before = path.partition("/")[0]
            time = f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}"
            writer.writerow([time, "ann", action, path, sha256, before, label, ""])
    return file


@dataclass(frozen=True)
class Loop:
    """A run on labels as they are, and one with the wrong labels corrected."""

    place: Path
    before: RunFolder
    after: RunFolder
    relabelled: dict[str, str]
    dropped: set[str]
    told: str

    @property
    def board(self) -> dict[str, Any]:
        board: dict[str, Any] = read_json(self.after.leaderboard)
        return board

    @property
    def corrections(self) -> dict[str, Any]:
        found: dict[str, Any] = self.board["corrections"]
        return found


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    place = tmp_path_factory.mktemp("loop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PEGBOARD_CACHE", str(tmp_path_factory.getbasetemp() / "pegboard-cache"))
        photos = write_tool_photos(place / "photos", per_class=20, size=64, truth=place / "t.csv")
        code, _, err = call(place, "compare", "photos", *ASKED, "--out", "pegboard-runs/first")
        assert code == 0, err
        before = RunFolder(place / "pegboard-runs/first")
        with (place / "t.csv").open(newline="") as lines:
            wrong = {
                row["path"]: row["label_true"]
                for row in csv.DictReader(lines)
                if row["what"] == "wrong-label"
            }
        rows = read_manifest(before.manifest)
        tested = sorted(row.path for row in rows if row.split == "test" and row.path not in wrong)
        # Two test photos are dropped and two are wrongly relabelled, so that test labels change.
        dropped, relabelled = set(tested[:2]), wrong | dict.fromkeys(tested[2:4], "wrench")
        made = [("accept", path, label) for path, label in relabelled.items()]
        made += [("drop", path, "") for path in sorted(dropped)]
        file = write_corrections(place / "c.csv", photos, made)
        code, out, err = call(
            place, "compare", "photos", *ASKED, "--corrections", file,
            "--out", "pegboard-runs/second",
        )  # fmt: skip
        assert code == 0, err
        after = RunFolder(place / "pegboard-runs/second")
        yield Loop(place, before, after, relabelled, dropped, out)


def answers(run_folder: RunFolder) -> dict[str, dict[str, str]]:
    with (run_folder.model("lm").predictions).open(newline="") as lines:
        return {row["path"]: row for row in csv.DictReader(lines) if row["split"] == "test"}


class TestBeforeAndAfter:
    def test_the_newest_run_without_corrections_is_before(self, loop: Loop) -> None:
        assert loop.corrections["effect"]["run"] == "first"
        assert loop.corrections["file"] == "c.csv"
        assert loop.corrections["why_not"] == ""

    def test_figures_are_those_of_scikit_learn_on_the_common_photos(self, loop: Loop) -> None:
        old, new = answers(loop.before), answers(loop.after)
        common = [path for path in new if path in old]
        effect = loop.corrections["effect"]
        assert effect["n"] == len(common)
        assert not loop.dropped & set(common)
        labels = [new[path]["label"] for path in common]
        old_labels = [old[path]["label"] for path in common]
        changed = sum(a != b for a, b in zip(labels, old_labels, strict=True))
        assert effect["relabelled"] == changed >= 2
        (model,) = effect["models"]
        classes = loop.board["dataset"]["classes"]
        for key, truth, said in (
            ("before", labels, old),
            ("before_old_labels", old_labels, old),
            ("after", labels, new),
        ):
            predicted = [said[path]["predicted"] for path in common]
            assert model[key]["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
            f1 = f1_score(truth, predicted, labels=classes, average="macro", zero_division=0)
            assert model[key]["macro_f1"] == pytest.approx(f1)
        found = model["difference"]
        change = model["after"]["accuracy"] - model["before"]["accuracy"]
        assert found["kind"] == "paired"
        assert found["change"] == pytest.approx(change)
        assert found["ci"][0] <= change <= found["ci"][1]

    def test_changes_are_counted_by_split(self, loop: Loop) -> None:
        found = loop.corrections
        used = {row.path: row.split for row in read_manifest(loop.after.manifest)}
        assert found["dropped"] == found["changed"]["test"]["dropped"] == 2
        assert found["decisions"]["accept"] == len(loop.relabelled)
        assert found["decisions"]["drop"] == 2
        for split in ("train", "validation", "test"):
            paths = {p["path"] for p in found["photos"] if p["after"] and p["split"] == split}
            assert found["changed"][split]["relabelled"] == len(paths)
            assert all(used[path] == split for path in paths)
        assert loop.dropped <= {photo["path"] for photo in found["photos"] if not photo["after"]}

    def test_no_common_photo_was_learned_from_before(self, loop: Loop) -> None:
        before, after = FinishedRun.read(loop.before), FinishedRun.read(loop.after)
        test = {"lm": after.test("lm")}
        pairs = common_test_photos(before, test, after.rows, folds=False)
        learned = next(row for row in before.rows if row.split == "train")
        spoiled = pairs[0][1]
        rows = [
            replace(row, group=spoiled.group) if row.sha256 == learned.sha256 else row
            for row in after.rows
        ]
        left = common_test_photos(before, test, rows, folds=False)
        assert {new.path for _, new in pairs} - {new.path for _, new in left} >= {spoiled.path}

    def test_it_is_told_with_its_limits(self, loop: Loop) -> None:
        assert "Before and after on the " in loop.told
        assert "dropped 2" in loop.told
        model = loop.corrections["effect"]["models"][0]
        if model["difference"]["verdict"] == "not_shown":
            assert "No difference is shown for lm" in loop.told

    def test_the_report_has_a_section(self, loop: Loop) -> None:
        page = loop.after.report.read_text("utf-8")
        assert 'id="corrections-table"' in page
        assert 'id="corrected-photos"' in page
        evidence = read_json(loop.after.evidence)["thumbnails"]
        assert set(loop.relabelled) & set(evidence)
        assert 'id="corrections"' not in loop.before.report.read_text("utf-8")

    def test_runs_compare_says_the_same(self, loop: Loop) -> None:
        effect = compare_runs(loop.before, loop.after).effect
        assert effect is not None
        said = json.loads(json.dumps(effect.to_json()))
        assert said["models"] == loop.corrections["effect"]["models"]
        assert compare_runs(loop.after, loop.before).effect is None
        code, out, _ = call(loop.place, "runs", "compare", "first", "second")
        assert code == 0
        assert "What the corrections of B changed" in out

    def test_one_file_that_has_grown_is_told_from_one_that_has_not(
        self, loop: Loop, tmp_path: Path
    ) -> None:
        """The later of two runs with the same file has seen more of it, where labels differ."""
        earlier, again = RunFolder(tmp_path / "earlier"), RunFolder(tmp_path / "again")
        shutil.copytree(loop.before.path, earlier.path)
        shutil.copytree(loop.after.path, again.path)
        record = read_json(earlier.run)
        record["settings"]["corrections"] = read_json(loop.after.run)["settings"]["corrections"]
        write_json(earlier.run, record)
        write_json(again.run, read_json(again.run) | {"started": "9999-01-01T00:00:00+00:00"})
        effect = compare_runs(earlier, loop.after).effect
        assert effect is not None
        assert effect.relabelled == loop.corrections["effect"]["relabelled"]
        assert any("itself made with corrections" in note for note in effect.notes)
        assert compare_runs(loop.after, earlier).effect is None
        assert compare_runs(loop.after, again).effect is None


class TestWithoutBefore:
    def before(self, loop: Loop, tmp_path: Path, **given: Any) -> Before:
        asked = settings(loop.place, corrections=loop.place / "c.csv", previous="none", **given)
        with contextlib.chdir(tmp_path):
            return find_before(asked, prepare(asked))

    def test_no_earlier_run(self, loop: Loop, tmp_path: Path) -> None:
        found = self.before(loop, tmp_path)
        assert found.run is None
        assert "--before train" in found.why_not

    def test_an_earlier_run_of_another_split(self, loop: Loop) -> None:
        found = self.before(loop, loop.place, split_seed=7)
        assert found.run is None
        assert "first differs in split seed" in found.why_not

    def test_an_earlier_run_of_other_models(self, loop: Loop) -> None:
        assert "has none of the models nn" in self.before(loop, loop.place, models="nn").why_not

    def test_none_is_asked_for(self, loop: Loop) -> None:
        assert "--before none" in self.before(loop, loop.place, before="none").why_not

    def test_a_named_run_must_be_one(self, loop: Loop, tmp_path: Path) -> None:
        asked = settings(loop.place, corrections=loop.place / "c.csv")
        with pytest.raises(PegboardError, match="--before: expected a finished run"):
            named_before(replace(asked, before=str(tmp_path)))
        named = named_before(replace(asked, before=str(loop.before.path)))
        assert named is not None
        assert named.folder.path == loop.before.path

    def test_before_needs_corrections(self, loop: Loop) -> None:
        with pytest.raises(PegboardError, match="--corrections"):
            settings(loop.place, before="train")

    def test_it_is_said(self, loop: Loop) -> None:
        nothing = loop.corrections | {"effect": None, "why_not": "no run was found"}
        said = " ".join(summary(loop.board | {"corrections": nothing}))
        assert "is not told: no run was found." in said


def test_corrections_that_change_nothing(loop: Loop) -> None:
    path = read_manifest(loop.before.manifest)[0].path
    file = write_corrections(loop.place / "keep.csv", loop.place / "photos", [("keep", path, "")])
    asked = settings(loop.place, corrections=file, previous=str(loop.before.manifest))
    prepared = prepare(asked)
    assert prepared.changes == []
    before = FinishedRun.read(loop.before)
    found = tell_effect(
        Before(before), prepared, asked, {"lm": before.test("lm")}, read_json(loop.before.run)
    )
    assert found is not None
    assert found["effect"] is None
    assert found["decisions"]["keep"] == 1
    said = " ".join(summary(loop.board | {"corrections": found}))
    assert "changed no label and dropped no photo" in said
    assert "nothing to compare" in said


def test_before_train_trains_both(loop: Loop, tmp_path: Path) -> None:
    code, out, err = call(
        tmp_path, "compare", loop.place / "photos", *ASKED, "--corrections",
        loop.place / "c.csv", "--before", "train", "--out", "both", "--json",
    )  # fmt: skip
    assert code == 0, err
    found = json.loads(out)["corrections"]
    assert found["effect"]["run"] == "both-before"
    assert found["effect"]["notes"] == []
    before = {row.sha256: row.split for row in read_manifest(tmp_path / "both-before/manifest.csv")}
    after = read_manifest(tmp_path / "both/manifest.csv")
    assert all(before.get(row.sha256, row.split) == row.split for row in after)


def test_a_rehearsal_counts_both_trainings(loop: Loop) -> None:
    asked = ("compare", "photos", *ASKED, "--corrections", "c.csv", "--dry-run", "--json")
    once, twice = (call(loop.place, *asked, *more) for more in ((), ("--before", "train")))
    assert once[0] == twice[0] == 0, once[2] + twice[2]
    found = [json.loads(out) for _, out, _ in (once, twice)]
    assert found[1]["disk_bytes"] == 2 * found[0]["disk_bytes"]
    assert any("both runs" in warning for warning in found[1]["warnings"])


class TestLabelsToCheck:
    def test_without_a_check_the_command_is_named(self, loop: Loop) -> None:
        assert "pegboard check photos" in loop.before.report.read_text("utf-8")

    @pytest.mark.parametrize(
        ("state", "suspects", "said"),
        [
            ("found", 3, "found 3 labels that may be wrong"),
            ("found", 1, "found 1 label that may be wrong"),
            ("clean", 0, "found no label that may be wrong"),
            ("not-applicable", 0, "did not look at labels (no features)"),
        ],
    )
    def test_a_check_of_the_same_photos(
        self, loop: Loop, tmp_path: Path, state: State, suspects: int, said: str
    ) -> None:
        location = read_json(loop.before.run)["source"]["location"]
        write_check(tmp_path, location, state, suspects)
        with contextlib.chdir(tmp_path):
            words = labels_to_check(Run.read(loop.before))
            assert said in words
            assert "The check in pegboard-check " in words
            assert labels_to_check(Run.read(loop.after)) == ""

    def test_a_check_elsewhere_is_named_by_its_path(self, loop: Loop, tmp_path: Path) -> None:
        run = tmp_path / "run"
        shutil.copytree(loop.before.path, run)
        location = read_json(loop.before.run)["source"]["location"]
        folder = write_check(tmp_path, location, "found", 3)
        said = labels_to_check(Run.read(RunFolder(run)))
        assert f"with {shlex.join(['pegboard', 'review', str(folder.path.resolve())])}, " in said

    def test_a_check_of_other_photos_is_passed_over(self, loop: Loop, tmp_path: Path) -> None:
        write_check(tmp_path, str(tmp_path), "found", 3)
        with contextlib.chdir(tmp_path):
            assert "pegboard check photos" in labels_to_check(Run.read(loop.before))

    def test_a_damaged_check_is_passed_over(self, loop: Loop, tmp_path: Path) -> None:
        folder = write_check(tmp_path, read_json(loop.before.run)["source"]["location"], "found", 3)
        write_json(folder.record, {"pegboard": "0", "format": 1})
        with contextlib.chdir(tmp_path):
            assert "pegboard check photos" in labels_to_check(Run.read(loop.before))


def write_check(place: Path, location: str, state: State, suspects: int) -> CheckFolder:
    folder = CheckFolder(place / "pegboard-check")
    folder.path.mkdir()
    outcome = Outcome("label-suspect", state, suspects, "no features" if not suspects else "")
    record = CheckRecord("photos", location, {}, 9, 9, {}, {}, [outcome])
    write_json(folder.record, record.to_json())
    found = [
        Finding(f"saw/{number}.jpg", "label-suspect", "warning", 0.9) for number in range(suspects)
    ]
    noted = Finding("saw/8.jpg", "label-suspect", "info", 0.1)
    dark = Finding("saw/0.jpg", "dark", "warning", 0.5)
    write_findings(folder.findings, [*found, noted, dark])
    return folder
