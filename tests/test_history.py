"""Runs are listed, compared and removed; real ones, made by a tiny compare."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact, norm, t

from boards import digit_answers
from conftest import draw_photo
from pegboard.bundle import read_bundle, rewrite_info
from pegboard.cli import run
from pegboard.corrections import COLUMNS
from pegboard.errors import RunFolderError
from pegboard.evaluate import Predictions
from pegboard.history import compare_runs, find_run, list_runs, plan_removal, read_entry
from pegboard.history.changes import data_change, pair_photos, value_changes
from pegboard.history.difference import LEAST_COMMON, common_photos, difference
from pegboard.history.telling import figures_table, sentences
from pegboard.manifest import ManifestRow, read_manifest
from pegboard.report.cards import write_cards
from pegboard.report.run import Run
from pegboard.runs import RUNS, RunFolder, process_start, read_json, write_json
from pegboard.significance import compare_models
from pegboard.tallies import Tallies

PROGRAM = [sys.executable, "-m", "pegboard.cli"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos and two runs: for the second one, photos and labels have changed."""
    here = tmp_path_factory.mktemp("history")
    photos = here / "photos"
    chance = np.random.default_rng(0)
    for shape in ("disc", "square", "cross"):
        (photos / shape).mkdir(parents=True)
        for number in range(60):
            draw_photo(shape, chance, (64, 64)).save(photos / shape / f"{number:02d}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PEGBOARD_CACHE", str(here / "cache"))
        patch.chdir(here)
        common = ["compare", "photos", "--fit", "squash", "--no-progress", "--threads", "1"]
        first = ["--models", "lm,nn", "--epochs", "2", "--out", str(RUNS / "shapes-1")]
        assert run([*common, *first]) == 0
        test = [r for r in read_manifest(RUNS / "shapes-1/manifest.csv") if r.split == "test"]
        wrong = test[0]
        (photos / test[1].path).unlink()
        draw_photo("disc", chance, (64, 64)).save(photos / "disc" / "new.png")
        decision = {"action": "relabel", "sha256": wrong.sha256, "label_after": "square"}
        if wrong.label == "square":
            decision["label_after"] = "disc"
        cells = [decision.get(name, "") for name in COLUMNS]
        Path("fix.csv").write_text(f"{','.join(COLUMNS)}\n{','.join(cells)}\n")
        second = ["--models", "lm", "--epochs", "12", "--out", str(RUNS / "shapes-2")]
        assert run([*common, *second, "--corrections", "fix.csv"]) == 0
    return here


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the runs, as working directory."""
    shutil.copytree(made / RUNS, tmp_path / "work" / RUNS)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def printed_json(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert run([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert run(list(arguments)) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert lines[-1].startswith("pegboard: ")
    assert "inside pegboard" not in printed.err
    return lines[-1]


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


# --- listing -----------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
class TestList:
    def test_the_figures_are_the_leaderboards(self, capsys: pytest.CaptureFixture[str]) -> None:
        listed = printed_json(capsys, "runs")
        assert [entry["name"] for entry in listed["runs"]] == ["shapes-2", "shapes-1"]
        for entry in listed["runs"]:
            folder = RunFolder(Path(entry["path"]))
            board = read_json(folder.leaderboard)
            best = next(row for row in board["models"] if row["name"] == board["best"])
            keys = ("name", "n", "accuracy", "accuracy_ci", "macro_f1", "macro_f1_ci")
            assert entry["best"] == {key: best[key] for key in keys}
            assert entry["status"] == "finished"
            assert entry["source"] == "photos"
            on_disk = sum(file.stat().st_size for file in folder.path.rglob("*") if file.is_file())
            assert entry["size_bytes"] == on_disk
        assert listed["runs"][1]["models"] == ["lm", "nn"]

    def test_bare_and_list_are_the_same(self, capsys: pytest.CaptureFixture[str]) -> None:
        outputs = []
        for arguments in (["runs"], ["runs", "list"], ["runs", "--in", str(RUNS)]):
            assert run(arguments) == 0
            outputs.append(capsys.readouterr().out)
        assert len(set(outputs)) == 1
        assert "shapes-1" in outputs[0]
        assert printed_json(capsys, "runs", "list") == printed_json(capsys, "runs")
        assert run(["runs", "--json", "list"]) == 0
        assert json.loads(capsys.readouterr().out)["runs"]

    def test_no_runs_is_no_error(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert run(["runs"]) == 0
        assert "no runs in pegboard-runs/" in capsys.readouterr().out
        assert printed_json(capsys, "runs") == {"in": "pegboard-runs", "runs": []}
        assert "found nothing" in error_of(capsys, "runs", "--in", "nowhere")

    @pytest.mark.parametrize(
        ("file", "content", "says"),
        [
            ("run.json", "{", "run.json cannot be read"),
            ("run.json", None, "has no run.json"),
            ("leaderboard.json", '{"schema": 1}', "expected a leaderboard"),
            ("leaderboard.json", None, "has no leaderboard.json"),
        ],
    )
    def test_a_damaged_run_is_listed_with_the_reason(
        self, file: str, content: str | None, says: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        damaged = RUNS / "shapes-1" / file
        damaged.unlink() if content is None else damaged.write_text(content)
        listed = {entry["name"]: entry for entry in printed_json(capsys, "runs")["runs"]}
        assert listed["shapes-1"]["status"] == "damaged"
        assert says in listed["shapes-1"]["problem"]
        assert listed["shapes-2"]["status"] == "finished"
        assert run(["runs"]) == 0
        assert says in capsys.readouterr().out

    def test_other_folders_are_no_runs(self, capsys: pytest.CaptureFixture[str]) -> None:
        (RUNS / "mine").mkdir()
        (RUNS / "mine" / "run.json").write_text('{"tool": "another"}')
        (RUNS / "photos").mkdir()
        assert len(printed_json(capsys, "runs")["runs"]) == 2

    def test_a_run_folder_lists_itself(self, capsys: pytest.CaptureFixture[str]) -> None:
        listed = printed_json(capsys, "runs", "--in", str(RUNS / "shapes-1"))["runs"]
        assert [entry["name"] for entry in listed] == ["shapes-1"]


class TestStatus:
    """A run that says it is running may have been killed."""

    def entry(self, here: Path, process: int, idle: float, **said: str) -> Any:
        folder = RunFolder(here / RUNS / "shapes-1")
        record = read_json(folder.run)
        write_json(folder.run, record | {"status": "running", "process": process} | said)
        return read_entry(folder, now=folder.run.stat().st_mtime + idle)

    def test_files_that_change_mean_running(self, here: Path) -> None:
        assert self.entry(here, 2**22 + 1, idle=5).status == "running"

    def test_a_process_that_lives_means_running(self, here: Path) -> None:
        assert self.entry(here, os.getpid(), idle=10**5).status == "running"

    def test_a_later_process_of_the_same_number_means_interrupted(self, here: Path) -> None:
        start = process_start(os.getpid())
        assert self.entry(here, os.getpid(), idle=10**5, process_start=start).status == "running"
        if start:  # Linux tells it
            entry = self.entry(here, os.getpid(), idle=10**5, process_start=f"{int(start) - 1}")
            assert entry.status == "interrupted"

    def test_a_process_that_is_gone_means_interrupted(self, here: Path) -> None:
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        entry = self.entry(here, gone.pid, idle=10**5)
        assert entry.status == "interrupted"
        assert "--resume" in entry.problem
        assert entry.best is None
        assert entry.models == ("lm", "nn")

    def test_an_interrupted_run_says_so(self, here: Path) -> None:
        folder = RunFolder(here / RUNS / "shapes-1")
        write_json(folder.run, read_json(folder.run) | {"status": "interrupted"})
        assert read_entry(folder).status == "interrupted"


@pytest.mark.usefixtures("here")
class TestNames:
    def test_path_name_and_start_of_a_name(self) -> None:
        expected = (RUNS / "shapes-1").resolve()
        shutil.copytree(RUNS / "shapes-1", "other-1")
        for text in ("shapes-1", str(RUNS / "shapes-1")):
            assert find_run(text).path.resolve() == expected
        assert find_run("other-1").path == Path("other-1")
        (RUNS / "shapes-1").rename(RUNS / "forms")
        assert find_run("fo").path == RUNS / "forms"

    def test_what_cannot_be_told_is_refused(self) -> None:
        with pytest.raises(RunFolderError, match="any of 2 runs: shapes-1, shapes-2"):
            find_run("shapes")
        with pytest.raises(
            RunFolderError, match=r"tools is no run; .*the runs there are: shapes-1"
        ):
            find_run("tools")
        with pytest.raises(RunFolderError, match="is not a run folder"):
            find_run(".")
        with pytest.raises(RunFolderError, match="there are none"):
            find_run("x", Path("nowhere"))

    def test_a_folder_that_is_there_does_not_stand_for_a_run_of_that_name(self) -> None:
        """A folder of photos is called what the name of its runs begins with."""
        (RUNS / "shapes-1").rename(RUNS / "forms-1")
        Path("forms").mkdir()
        with pytest.raises(RunFolderError, match=r"forms is not a run folder .*forms-1"):
            find_run("forms")

    def test_a_name_is_taken_before_what_it_starts(self) -> None:
        shutil.copytree(RUNS / "shapes-1", RUNS / "shapes")
        assert find_run("shapes").path == RUNS / "shapes"


# --- comparing ---------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
class TestCompare:
    def test_what_changed_is_what_was_changed(self, capsys: pytest.CaptureFixture[str]) -> None:
        found = printed_json(capsys, "runs", "compare", "shapes-1", "shapes-2")
        data = found["data"]
        assert not data["same"]
        assert [row["path"] for row in data["added"]] == ["disc/new.png"]
        assert len(data["removed"]) == 1
        (change,) = data["relabelled"]
        assert {change["before"], change["after"]} <= {"disc", "square", "cross"}
        assert data["moved"] == []
        assert data["photos"] == {"a": 180, "b": 180}
        settings = {change["name"]: change for change in found["settings"]}
        assert (settings["epochs"]["a"], settings["epochs"]["b"]) == (2, 12)
        assert settings["corrections"] == {"name": "corrections", "a": None, "b": "fix.csv"}
        assert found["versions"] == found["machine"] == []
        assert found["only_a"] == ["nn"]
        assert found["only_b"] == []

    def test_the_difference_is_that_on_common_photos(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        found = printed_json(capsys, "runs", "compare", "shapes-1", "shapes-2")
        change = next(model for model in found["models"] if model["a"]["name"] == "lm")
        rows = [read_manifest(RUNS / name / "manifest.csv") for name in ("shapes-1", "shapes-2")]
        test = [{(r.sha256, r.label) for r in side if r.split == "test"} for side in rows]
        assert change["difference"]["n"] == len(test[0] & test[1]) < len(test[0])
        assert change["difference"]["kind"] == "paired"
        board = read_json(RunFolder(RUNS / "shapes-2").leaderboard)
        row = next(row for row in board["models"] if row["name"] == "lm")
        assert change["b"] == {key: row[key] for key in change["b"]}

    def test_it_is_told_in_words(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["runs", "compare", "shapes-1", "shapes-2"]) == 0
        text = capsys.readouterr().out
        for part in (
            "data: 180 photos in both",
            "data: 1 photo added: disc 1",
            "data: 1 photo removed: ",
            "data: 1 photo relabelled: ",
            "settings: epochs: 2 -> 12",
            "versions: the same",
            "models only in A: nn",
            "test photos that both runs have with the same label",
            "another seed moves the figures too",
        ):
            assert part in text
        assert "in another split" not in text

    def test_a_run_and_itself(self, capsys: pytest.CaptureFixture[str]) -> None:
        found = printed_json(capsys, "runs", "compare", "shapes-1", "shapes-1")
        assert found["data"]["same"]
        assert found["settings"] == []
        for model in found["models"]:
            assert model["difference"]["change"] == 0
            assert model["difference"]["verdict"] == "not_shown"
        assert run(["runs", "compare", "shapes-1", "shapes-1"]) == 0
        assert "data: the same 180 photos, labels and splits" in capsys.readouterr().out

    def test_other_best_models_are_compared_too(self) -> None:
        swapped = RunFolder(RUNS / "shapes-2")
        board = read_json(RunFolder(RUNS / "shapes-1").leaderboard)
        other = "lm" if board["best"] == "nn" else "nn"
        shutil.copytree(RUNS / "shapes-1", RUNS / "shapes-3")
        shutil.rmtree(swapped.path)
        write_json(RunFolder(RUNS / "shapes-3").leaderboard, board | {"best": other})
        found = compare_runs(RunFolder(RUNS / "shapes-1"), RunFolder(RUNS / "shapes-3"), draws=200)
        assert found.best is not None
        assert (found.best.a.name, found.best.b.name) == (board["best"], other)
        assert len(found.models) == 2

    def test_missing_predictions_are_said(self, capsys: pytest.CaptureFixture[str]) -> None:
        (RUNS / "shapes-2/models/lm/predictions.csv").unlink()
        found = printed_json(capsys, "runs", "compare", "shapes-1", "shapes-2")
        model = found["models"][0]
        assert model["difference"] is None
        assert "expected predictions written by pegboard" in model["untested"]
        assert run(["runs", "compare", "shapes-1", "shapes-2"]) == 0
        assert "lm cannot be compared: expected predictions" in capsys.readouterr().out

    def test_an_unfinished_run_cannot_be_compared(self, capsys: pytest.CaptureFixture[str]) -> None:
        (RUNS / "shapes-2/leaderboard.json").unlink()
        said = error_of(capsys, "runs", "compare", "shapes-1", "shapes-2")
        assert "is not a finished run of pegboard" in said
        assert run(["runs", "compare", "shapes-1"]) == 2

    def test_a_table_fits_a_narrow_terminal(self) -> None:
        from rich.console import Console

        found = compare_runs(find_run("shapes-1"), find_run("shapes-2"), draws=200)
        for width in (60, 100, 160):
            console = Console(width=width)
            table = figures_table(found, width=width)
            assert table.columns[0].header == "model"
            if width >= 100:
                assert console.measure(table).maximum <= width

    def test_seeds_are_told_where_there_are_some(self) -> None:
        from pegboard.leaderboard import SeedFigures

        found = compare_runs(find_run("shapes-1"), find_run("shapes-2"), draws=200)
        seeds = (SeedFigures(0, 0.5, 0.5), SeedFigures(1, 0.6, 0.5))
        models = [
            replace(change, a=replace(change.a, seeds=seeds), b=replace(change.b, seeds=seeds))
            for change in found.models
        ]
        told = sentences(replace(found, models=tuple(models), best=None))
        assert "Over seeds, mean accuracy and its standard deviation: lm 55.0 +- 7.1" in told[-1]


class TestDifference:
    """Against the comparison of two models of one run, on real answers to digits."""

    def both(self) -> tuple[Predictions, Predictions]:
        answers = digit_answers()
        return answers["lm"][1], answers["cnn"][1]

    def test_on_the_same_photos_it_is_the_comparison_of_one_run(self) -> None:
        a, b = self.both()
        contents = {path: f"sha of {path}" for path in a.paths}
        found = difference(a, b, contents, contents)
        (expected,) = compare_models({"b": b, "a": a})
        assert found.kind == "paired"
        assert found.n == len(a)
        assert found.change == pytest.approx(expected.difference, abs=1e-12)
        assert found.ci == pytest.approx(expected.ci, abs=1e-12)
        assert found.p == expected.p_mcnemar
        assert found.macro_f1_change is not None
        assert found.macro_f1_ci is not None
        assert found.macro_f1_ci[0] < found.macro_f1_change < found.macro_f1_ci[1]

    def test_photos_are_known_by_their_contents_and_label(self) -> None:
        a, b = self.both()
        renamed = replace_paths(b, {path: f"elsewhere/{path}" for path in b.paths})
        contents = {path: f"sha of {path}" for path in a.paths}
        contents_b = {f"elsewhere/{path}": sha for path, sha in contents.items()}
        assert difference(a, renamed, contents, contents_b).n == len(a)
        labels = b.labels.copy()
        labels[:40] = (labels[:40] + 1) % 10
        relabelled = Predictions(b.paths, labels, b.probabilities, b.classes, b.groups)
        assert difference(a, relabelled, contents, contents).n == len(a) - 40

    def test_the_order_of_classes_does_not_matter(self) -> None:
        a, b = self.both()
        contents = {path: path for path in a.paths}
        flipped = Predictions(
            b.paths, 9 - b.labels, b.probabilities[:, ::-1], tuple(reversed(b.classes)), b.groups
        )
        found, plain = (difference(a, other, contents, contents) for other in (flipped, b))
        assert (found.n, found.change, found.ci, found.p) == (
            plain.n, plain.change, plain.ci, plain.p,
        )  # fmt: skip

    def test_without_common_photos_the_interval_is_wider(self) -> None:
        a, b = self.both()
        contents_a = {path: f"a {path}" for path in a.paths}
        contents_b = {path: f"b {path}" for path in b.paths}
        found = difference(a, b, contents_a, contents_b)
        paired = difference(a, b, contents_a, contents_a)
        assert found.kind == "unpaired"
        assert found.n == 0
        assert found.change == pytest.approx(paired.change)
        assert found.ci[1] - found.ci[0] > paired.ci[1] - paired.ci[0]
        # A second source: the normal interval of two independent proportions.
        half = 1.96 * np.sqrt(sum(x.right.mean() * (1 - x.right.mean()) / len(x) for x in (a, b)))
        assert found.ci == pytest.approx((found.change - half, found.change + half), abs=0.01)

    @pytest.mark.parametrize(("n", "wrong"), [(100, 5), (60, 5), (30, 4), (20, 0), (6, 6)])
    def test_a_model_without_a_mistake_is_compared_exactly(self, n: int, wrong: int) -> None:
        """Second source: Fisher's test. To the bootstrap, no mistake can happen."""
        exact = fisher_exact([[n, 0], [n - wrong, wrong]])[1]
        for right in (np.ones(n, bool), np.zeros(n, bool)):
            turned = np.where(np.arange(n) < wrong, ~right, right)
            perfect, other = own_photos("a", right), own_photos("b", turned)
            for pair in ((perfect, other), (other, perfect)):
                found = difference(*pair, {}, {}, draws=200)
                assert found.kind == "unpaired"
                assert found.p >= exact - 1e-12

    def test_few_cameras_are_compared_by_students_t(self) -> None:
        """Second source: the t statistic of the cameras' accuracies, against t of 7 degrees."""
        chance = np.random.default_rng(3)
        cameras = [str(place // 50) for place in range(400)]
        for gap in (0.05, 0.1, 0.2):
            share = chance.uniform(0.5, 0.7, (2, 8)) + np.array([[0], [gap]])
            right = chance.random((2, 400)) < share.repeat(50, axis=1)
            a, b = (own_photos(name, row, cameras) for name, row in zip("ab", right, strict=True))
            means = right.reshape(2, 8, 50).mean(axis=2)
            error = np.sqrt(means.var(axis=1, ddof=1).sum() / 8)
            size = abs(np.diff(means.mean(axis=1))[0]) / error * norm.ppf(0.975) / t.ppf(0.975, 7)
            assert difference(a, b, {}, {}).p == pytest.approx(2 * norm.sf(size), abs=0.02)

    def test_few_common_photos_are_not_enough(self) -> None:
        a, b = self.both()
        for common in (LEAST_COMMON - 1, LEAST_COMMON):
            contents_b = {
                path: path if place < common else f"other {path}"
                for place, path in enumerate(b.paths)
            }
            found = difference(a, b, {}, contents_b)
            assert found.n == common
            assert (found.kind == "paired") == (common >= LEAST_COMMON)

    def test_photos_that_belong_together_in_either_run_are_drawn_together(self) -> None:
        a, b = self.both()
        contents = {path: path for path in a.paths}
        thirds = [str(place // 33) for place in range(len(a))]
        grouped = Predictions(a.paths, a.labels, a.probabilities, a.classes, thirds)
        in_a, in_b = (
            difference(*pair, contents, contents) for pair in ((grouped, b), (b, grouped))
        )
        assert in_a.ci == pytest.approx((-in_b.ci[1], -in_b.ci[0]))
        (expected,) = compare_models(
            {"b": Predictions(b.paths, b.labels, b.probabilities, b.classes, thirds), "a": grouped}
        )
        assert in_a.ci == pytest.approx(expected.ci)

    @settings(deadline=None, max_examples=30)
    @given(st.data())
    def test_common_photos_pair_equal_contents(self, data: st.DataObject) -> None:
        names = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=12)
        shas = data.draw(names), data.draw(names)
        sides = [
            Predictions(
                [f"{place}" for place in range(len(sha))],
                np.array([ord(x) % 2 for x in sha]),
                np.full((len(sha), 2), 0.5),
                ("p", "q"),
                [""] * len(sha),
            )
            for sha in shas
        ]
        contents = [{str(place): x for place, x in enumerate(sha)} for sha in shas]
        places = common_photos(*sides, *contents)
        pairs = [(shas[0][i], shas[1][j]) for i, j in zip(*places, strict=True)]
        assert all(before == after for before, after in pairs)
        assert Counter(before for before, _ in pairs) == Counter(shas[0]) & Counter(shas[1])


def own_photos(name: str, right: Any, groups: list[str] | None = None) -> Predictions:
    """Answers to photos that no other run has, right or wrong as told."""
    paths = [f"{name}{place}" for place in range(len(right))]
    probabilities = np.where(np.asarray(right)[:, None], [0.9, 0.1], [0.2, 0.8])
    return Predictions(paths, np.zeros(len(right), int), probabilities, ("x", "y"), groups or paths)


def replace_paths(answers: Predictions, paths: dict[str, str]) -> Predictions:
    return Predictions(
        [paths[path] for path in answers.paths],
        answers.labels,
        answers.probabilities,
        answers.classes,
        answers.groups,
    )


ROWS = st.lists(
    st.builds(
        ManifestRow,
        path=st.sampled_from([f"{number}.jpg" for number in range(12)]),
        label=st.sampled_from(["hammer", "saw"]),
        split=st.sampled_from(["train", "validation", "test"]),
        group=st.just(""),
        sha256=st.sampled_from("abcde"),
    ),
    max_size=12,
    unique_by=lambda row: row.path,
)


class TestChanges:
    @settings(deadline=None, max_examples=60)
    @given(ROWS, ROWS)
    def test_every_photo_is_in_exactly_one_place(self, a: Any, b: Any) -> None:
        pairs, removed, added = pair_photos(a, b)
        key = lambda row: row.path  # noqa: E731
        assert sorted([*(before for before, _ in pairs), *removed], key=key) == sorted(a, key=key)
        assert sorted([*(after for _, after in pairs), *added], key=key) == sorted(b, key=key)
        assert all(before.sha256 == after.sha256 for before, after in pairs)
        assert not {row.sha256 for row in removed} & {row.sha256 for row in added}

    @settings(deadline=None, max_examples=30)
    @given(ROWS)
    def test_nothing_changed_is_nothing_changed(self, rows: Any) -> None:
        change = data_change(rows, list(reversed(rows)))
        assert change.same
        assert (change.added, change.removed, change.relabelled, change.moved) == ((),) * 4
        assert change.renamed == 0

    def test_a_moved_file_is_the_same_photo(self) -> None:
        before = ManifestRow("a/1.jpg", "a", "train", "", "x")
        after = replace(before, path="b/1.jpg", label="b", split="test")
        change = data_change([before], [after])
        assert change.renamed == 1
        assert (change.relabelled[0].before, change.relabelled[0].after) == ("a", "b")
        assert (change.moved[0].before, change.moved[0].after) == ("train", "test")
        assert (change.classes_added, change.classes_removed) == (("b",), ("a",))

    def test_nested_values_are_named(self) -> None:
        changes = value_changes(
            {"phases": [{"epochs": 3}], "scale": [1, 2]},
            {"phases": [{"epochs": 4}], "scale": [1, 3], "new": True},
            "cnn",
        )
        assert [(c.name, c.a, c.b) for c in changes] == [
            ("cnn.phases.0.epochs", 3, 4),
            ("cnn.scale", [1, 2], [1, 3]),
            ("cnn.new", None, True),
        ]


# --- removing ----------------------------------------------------------------------------


class TestRemove:
    def test_a_run_writes_nothing_that_is_not_known(self, here: Path) -> None:
        for name in ("shapes-1", "shapes-2"):
            folder = RunFolder(here / RUNS / name)
            written = {str(file.relative_to(folder.path)) for file in folder.written()}
            assert written == files_of(folder.path)
            assert folder.written()[-1] == folder.run

    def test_it_is_gone_and_the_others_stay(
        self, here: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other = files_of(here / RUNS / "shapes-2")
        size = sum(f.stat().st_size for f in (here / RUNS / "shapes-1").rglob("*") if f.is_file())
        found = printed_json(capsys, "runs", "remove", "shapes-1", "--yes")
        assert found["removed"] is True
        assert found["size_bytes"] == found["runs"][0]["size_bytes"] == size
        assert not (here / RUNS / "shapes-1").exists()
        assert files_of(here / RUNS / "shapes-2") == other

    def test_what_is_the_users_stays(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        folder = here / RUNS / "shapes-1"
        mine = {"corrections.csv", "models/notes.txt", "plots/mine.pdf", "models/lm/slides/1.png"}
        for name in mine:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text("mine")
        assert run(["runs", "remove", "shapes-1", "--yes"]) == 0
        assert "no run writes corrections.csv" in capsys.readouterr().err
        assert files_of(folder) == mine

    def test_links_are_not_followed(self, here: Path, tmp_path: Path) -> None:
        elsewhere = tmp_path / "elsewhere"
        shutil.move(here / RUNS / "shapes-1" / "models", elsewhere)
        (here / RUNS / "shapes-1" / "models").symlink_to(elsewhere)
        before = files_of(elsewhere)
        assert run(["runs", "remove", "shapes-1", "--yes"]) == 0
        assert files_of(elsewhere) == before
        assert (here / RUNS / "shapes-1" / "models").is_symlink()

    def test_a_dry_run_removes_nothing(
        self, here: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = files_of(here)
        assert run(["runs", "remove", "shapes-1", "shapes-2", "--dry-run", "--yes"]) == 0
        printed = capsys.readouterr()
        assert "nothing removed" in printed.out
        assert len(printed.err.splitlines()) == 2
        assert files_of(here) == before

    @pytest.mark.parametrize("spoil", ["broken", "another", "running"])
    def test_what_is_no_run_of_ours_or_at_work_is_refused(
        self, spoil: str, here: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = here / RUNS / "shapes-1" / "run.json"
        if spoil == "running":
            write_json(file, read_json(file) | {"status": "running", "process": os.getpid()})
        else:
            file.write_text("{" if spoil == "broken" else '{"tool": 1}')
        before = files_of(here)
        says = {"running": "is being written"}.get(spoil, "holds no run.json that pegboard wrote")
        path = str(RUNS / "shapes-1")
        assert says in error_of(capsys, "runs", "remove", "shapes-2", path, "--yes")
        assert files_of(here) == before

    def test_a_run_named_twice_is_removed_once(self, here: Path) -> None:
        folders = [find_run("shapes-1"), find_run(str(here / RUNS / "shapes-1"))]
        assert len(plan_removal(folders)) == 1

    def test_no_terminal_no_yes_no_removal(
        self, here: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = files_of(here)
        done = subprocess.run(
            [*PROGRAM, "runs", "remove", "shapes-1"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert "give --yes" in done.stderr.splitlines()[-1]
        assert files_of(here) == before
        assert run(["runs", "remove"]) == 2
        assert "is no run" in error_of(capsys, "runs", "remove", "tools", "--yes")

    @pytest.mark.parametrize(("typed", "gone"), [("y\n", True), ("n\n", False)])
    def test_on_a_terminal_it_asks(self, typed: str, gone: bool, here: Path) -> None:
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [*PROGRAM, "runs", "remove", "shapes-1"],
            stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as asked:  # fmt: skip
            os.write(ours, typed.encode())
            out, err = asked.communicate(timeout=60)
        os.close(ours)
        os.close(theirs)
        assert asked.returncode == 0, err
        assert "Remove this?" in err
        assert ("freed" in out) == gone
        assert (here / RUNS / "shapes-1").exists() != gone


# --- the rest ----------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
class TestAround:
    def test_comparing_a_run_as_if_it_were_photos_says_what_to_type(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = str(RUNS / "shapes-1")
        for command in ("compare", "split"):
            said = error_of(capsys, command, path)
            assert f"{path} is a run of pegboard, not photos" in said
            assert f"pegboard runs compare {path} OTHER" in said
            assert f"pegboard report {path}" in said

    @pytest.mark.parametrize(
        "arguments", [["runs"], ["runs", "compare", "shapes-1", "shapes-2"]], ids=" ".join
    )
    def test_no_torch(self, arguments: list[str]) -> None:
        script = (
            "import sys; from pegboard.cli import run; code = run(sys.argv[1:]); "
            "print(code, 'torch' in sys.modules, file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
        )
        assert done.stderr.splitlines()[-1] == "0 False"

    def test_newest_first(self) -> None:
        entries = list_runs()
        assert [entry.started for entry in entries] == sorted(
            (entry.started for entry in entries), reverse=True
        )


class TestCards:
    """The model cards of a real run."""

    def test_beside_the_bundle_lies_the_card_that_is_in_it(self, here: Path) -> None:
        for name in ("lm", "nn"):
            files = RunFolder(here / RUNS / "shapes-1").model(name)
            bundle = read_bundle(files.bundle)
            assert files.card.read_text("utf-8") == bundle.card
            assert files.card_page.read_text("utf-8") == bundle.card_page
            assert bundle.info.data["name"] == "photos"
            counts = bundle.info.data["counts"]
            assert sum(bundle.info.data["train"].values()) == counts["train"]
            known = Tallies.from_json(bundle.info.data["baseline"])
            assert known.photos == sum(known.labels.values()) == counts["validation"]
            is_told = bundle.info.unknown_above is not None
            assert sum(known.distance) == (known.photos if is_told else 0)

    def test_report_makes_them_again(self, here: Path) -> None:
        files = RunFolder(here / RUNS / "shapes-2").model("lm")
        before = files.card.read_bytes(), files.card_page.read_bytes()
        files.card.unlink()
        files.card_page.write_text("altered")
        assert run(["report", str(here / RUNS / "shapes-2")]) == 0
        assert (files.card.read_bytes(), files.card_page.read_bytes()) == before

    def test_a_damaged_bundle_does_not_stop_the_others(self, here: Path) -> None:
        folder = RunFolder(here / RUNS / "shapes-1")
        files = folder.model("lm")
        files.bundle.write_bytes(files.bundle.read_bytes()[:-100])
        assert write_cards(Run.read(folder)) == [folder.model("nn").card]

    def test_an_older_bundle_gets_a_full_card(self, here: Path) -> None:
        folder = RunFolder(here / RUNS / "shapes-1")
        files = folder.model("lm")
        before = files.card.read_bytes()
        rewrite_info(files.bundle, replace(read_bundle(files.bundle).info, data={}, figures={}))
        assert b"No figures were stored" in read_bundle(files.bundle).card.encode()
        write_cards(Run.read(folder))
        assert files.card.read_bytes() == before
