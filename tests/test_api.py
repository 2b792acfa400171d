"""`import pegboard`: what it offers, what it costs, and that its tables are the run's files."""

from __future__ import annotations

import csv
import inspect
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image
from sklearn import metrics
from sklearn.datasets import load_digits

import pegboard
from pegboard.checking import CheckSettings
from pegboard.errors import BundleError, InputError, PlotUnavailable, RunFolderError, SourceError
from pegboard.plots import Plots
from pegboard.prepare import prepare
from pegboard.progress import Progress
from pegboard.report import figures
from pegboard.settings import CompareSettings
from pegboard.sources.given import GivenSource, label_texts, pictures

HEAVY = {
    "torch", "torchvision", "timm", "sklearn", "scipy", "pandas", "matplotlib", "numpy", "PIL",
    "onnxruntime", "rich", "jinja2",
}  # fmt: skip

PUBLIC = [
    "Check", "ImageClassifier", "Model", "PegboardError", "Prediction", "PredictionList", "Run",
    "__version__", "check", "compare", "load", "open_run",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The run that tests share is made before the cache of a single test is set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PEGBOARD_CACHE", str(tmp_path_factory.getbasetemp() / "pegboard-cache"))
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> pegboard.Run:
    out = tmp_path_factory.mktemp("api") / "digits"
    return pegboard.compare(
        "digits", ["lm", "nn"], epochs=3, out=out, seeds=2, threads=1, progress=False
    )


@pytest.fixture(scope="module")
def board(run: pegboard.Run) -> dict[str, Any]:
    return json.loads((run.path / "leaderboard.json").read_text())


@pytest.fixture(scope="module")
def model(run: pegboard.Run) -> pegboard.Model:
    return run.load()


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    bunch = load_digits()
    return np.rint(bunch.images * 255 / 16).astype(np.uint8), bunch.target


def in_a_child(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class TestNames:
    def test_the_public_names_are_these(self) -> None:
        assert sorted(pegboard.__all__) == sorted(PUBLIC)
        assert dir(pegboard) == sorted(PUBLIC)

    @pytest.mark.parametrize("name", PUBLIC)
    def test_each_is_there_and_explained(self, name: str) -> None:
        value = getattr(pegboard, name)
        assert value is not None
        if name != "__version__":
            assert value.__doc__
            assert not inspect.ismodule(value)

    def test_a_wrong_name_is_an_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match="no attribute 'comparee'"):
            _ = pegboard.comparee
        with pytest.raises(ImportError):
            from pegboard import Runs  # noqa: F401

    def test_importing_loads_nothing_heavy(self) -> None:
        script = f"import sys, pegboard\nprint(sorted({HEAVY!r} & set(sys.modules)))"
        assert in_a_child(script) == "[]"

    @pytest.mark.parametrize("use", ["pegboard.load", "pegboard.open_run", "pegboard.compare"])
    def test_no_function_loads_torch_before_it_is_called(self, use: str) -> None:
        script = f"import sys, pegboard\n{use}\nprint({{'torch', 'pandas'}} & set(sys.modules))"
        assert in_a_child(script) == "set()"

    def test_no_module_takes_the_name_of_a_function(self) -> None:
        # Importing pegboard.X sets the attribute X of the package.
        modules = {module.name for module in pkgutil.iter_modules(pegboard.__path__)}
        assert modules.isdisjoint(PUBLIC)

    @pytest.mark.parametrize(
        ("function", "kind"),
        [(pegboard.compare, CompareSettings), (pegboard.check, CheckSettings)],
        ids=["compare", "check"],
    )
    def test_every_setting_is_taken_with_its_default(self, function, kind) -> None:
        parameters = inspect.signature(function).parameters
        settings = {field.name for field in fields(kind)}
        assert set(parameters) - {"progress"} == settings
        plain = kind(source="x")
        for name in settings - {"source", "merge"}:
            assert parameters[name].default == getattr(plain, name), name


class TestTables:
    """Every number is the one in the file."""

    def test_leaderboard(self, run, board) -> None:
        table = run.leaderboard
        assert list(table.index) == [
            run.best,
            *[m for m in run.models if m != run.best],
            "majority",
        ]
        for row in board["models"]:
            shown = table.loc[row["name"]]
            for key, value in row.items():
                if key.endswith("_ci"):
                    name = key.removesuffix("_ci")
                    assert [shown[f"{name}_low"], shown[f"{name}_high"]] == value
                elif key in table.columns:
                    assert pd.isna(shown[key]) if value is None else shown[key] == value, key
            if row["sd"]:
                assert shown["accuracy_sd"] == row["sd"]["accuracy"]
        assert str(table["params"].dtype) == "Int64"

    def test_nothing_of_the_leaderboard_is_lost_but_lists(self, run, board) -> None:
        columns = set(run.leaderboard.columns)
        for key, value in board["models"][0].items():
            if not isinstance(value, list | dict) and key != "name":
                assert key in columns

    def test_comparisons(self, run, board) -> None:
        table = run.comparisons
        assert len(table) == len(board["comparisons"]) == 1
        (row,) = board["comparisons"]
        assert table.iloc[0].to_dict() == {
            **{key: value for key, value in row.items() if key != "ci"},
            "low": row["ci"][0],
            "high": row["ci"][1],
        }

    def test_per_class_agrees_with_scikit_learn(self, run) -> None:
        table, answers = run.per_class("nn"), run.predictions("nn").query("split == 'test'")
        precision, recall, f1, support = metrics.precision_recall_fscore_support(
            answers["label"], answers["predicted"], labels=list(table.index), zero_division=0
        )
        assert np.allclose(
            table[["precision", "recall", "f1"]], np.stack((precision, recall, f1), 1)
        )
        assert table["support"].tolist() == support.tolist()
        assert (table["f1_low"] <= table["f1"]).all()
        assert (table["f1"] <= table["f1_high"]).all()

    def test_history(self, run) -> None:
        table = run.history("lm")
        with (run.path / "models/lm/history.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert table.index.tolist() == [int(row["epoch"]) for row in rows] == [1, 2, 3]
        assert table["val_loss"].tolist() == [float(row["val_loss"]) for row in rows]

    def test_predictions(self, run) -> None:
        table = run.predictions("lm")
        with (run.path / "models/lm/predictions.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert list(table.columns) == list(rows[0])
        found = {tuple(row) for row in table[["path", "split", "label", "predicted"]].to_numpy()}
        assert found == {
            (row["path"], row["split"], row["label"], row["predicted"]) for row in rows
        }
        assert table["p_3"].tolist() == [float(row["p_3"]) for row in rows]

    @pytest.mark.parametrize("split", ["validation", "test"])
    def test_confusion_agrees_with_scikit_learn(self, run, split: str) -> None:
        answers = run.predictions().query("split == @split")
        table = run.confusion(split=split)
        expected = metrics.confusion_matrix(
            answers["label"], answers["predicted"], labels=list(table.index)
        )
        assert np.array_equal(table, expected)
        assert list(table.columns) == list(table.index) == list(run.classes)

    def test_photos_and_left_out(self, run) -> None:
        assert list(run.photos.columns) == ["path", "label", "split", "group", "sha256"]
        assert len(run.photos) == 1797
        assert list(run.left_out.columns) == ["path", "reason", "detail"]
        assert run.left_out.empty

    def test_a_table_is_the_callers_own(self, run) -> None:
        table = run.leaderboard
        table["accuracy"] = 1.0
        assert (run.leaderboard["accuracy"] < 1).all()


class TestRun:
    def test_what_it_says(self, run, board) -> None:
        assert run.best == board["best"] == run.models[0]
        assert set(run.models) == {"lm", "nn"}
        assert "The best model is" in run.summary
        assert f"best {run.best}" in repr(run)
        assert run.report.name == "report.html"

    def test_in_a_notebook(self, run) -> None:
        html = run._repr_html_()
        assert "<table>" in html
        assert "majority" in html
        assert run.summary.splitlines()[0] in html

    def test_it_is_opened_again(self, run) -> None:
        again = pegboard.open_run(str(run.path))
        assert again.leaderboard.equals(run.leaderboard)

    def test_opening_something_else(self, tmp_path: Path) -> None:
        with pytest.raises(RunFolderError, match="there is no folder"):
            pegboard.open_run(tmp_path / "gone")
        with pytest.raises(RunFolderError, match="not a finished run"):
            pegboard.open_run(tmp_path)

    def test_a_model_that_is_not_there(self, run) -> None:
        for ask in (run.per_class, run.history, run.predictions, run.confusion, run.load):
            with pytest.raises(pegboard.PegboardError, match=r"\(.*lm.*\), found 'vgg16'"):
                ask("vgg16")
        with pytest.raises(pegboard.PegboardError, match="majority is a baseline"):
            run.load("majority")
        with pytest.raises(pegboard.PegboardError, match="majority is a baseline"):
            run.predictions("majority")
        with pytest.raises(pegboard.PegboardError, match="'validation' or 'test', got 'train'"):
            run.confusion(split="train")

    def test_its_models_answer_as_recorded(self, run, digits) -> None:
        recorded = run.predictions("lm")
        rows = [int(path.removeprefix("digits#")) for path in recorded["path"]]
        columns = [f"p_{name}" for name in run.classes]
        answered = run.load("lm").predict_proba(digits[0][rows])
        assert np.allclose(answered, recorded[columns], atol=1e-5)


PLOTS = [name for name, _ in inspect.getmembers(Plots, inspect.isfunction) if name[0] != "_"]


class TestPlots:
    @pytest.mark.parametrize("name", PLOTS)
    def test_each_is_a_figure(self, run, name: str) -> None:
        if name == "augmentation_preview":
            with pytest.raises(PlotUnavailable, match="trained on the photos as they are"):
                run.plots.augmentation_preview("lm")
            return
        figure = getattr(run.plots, name)()
        assert isinstance(figure, Figure)
        assert figure.axes
        assert figure._repr_png_().startswith(b"\x89PNG")

    @pytest.mark.parametrize("name", PLOTS)
    def test_each_takes_what_the_figure_takes(self, name: str) -> None:
        _, *own = inspect.signature(getattr(Plots, name)).parameters
        _, *drawn = inspect.signature(getattr(figures, name)).parameters
        assert own == drawn

    def test_every_figure_is_there(self) -> None:
        drawn = {
            name
            for name, function in inspect.getmembers(figures, inspect.isfunction)
            if function.__module__ == figures.__name__
            and inspect.signature(function).return_annotation == "Figure"
            and name[0] != "_"
        }
        assert drawn <= set(PLOTS)

    def test_a_model_can_be_named(self, run) -> None:
        assert run.plots.confusion_matrix("lm", order="similarity").axes
        with pytest.raises(pegboard.PegboardError, match="found 'vgg16'"):
            run.plots.learning_curves("vgg16")

    def test_it_lists_what_it_draws(self, run) -> None:
        assert "confusion_matrix" in repr(run.plots)


class TestModel:
    def test_every_kind_of_photo_gives_the_same_answer(self, model, digits, tmp_path) -> None:
        picture = digits[0][7]
        path = tmp_path / "seven.png"
        Image.fromarray(picture).save(path)
        given = [picture, picture[..., None], Image.fromarray(picture), path, str(path)]
        given.append(path.read_bytes())
        together = model.predict(given)
        assert len({(answer.label, answer.probability) for answer in together}) == 1
        for photo in given:
            (alone,) = model.predict(photo)
            assert alone.label == together[0].label
            assert alone.probability == pytest.approx(together[0].probability, abs=1e-6)
        assert [answer.path for answer in together] == [None] * 3 + [str(path)] * 2 + [None]

    def test_it_agrees_with_the_command(self, run, model, digits, tmp_path: Path) -> None:
        path = tmp_path / "photo.png"
        Image.fromarray(digits[0][3]).save(path)
        bundle = run.path / f"models/{run.best}/{run.best}.pegboard"
        done = subprocess.run(
            [sys.executable, "-m", "pegboard.cli", "predict", str(bundle), str(path), "--json"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert json.loads(done.stdout)[0] == model.predict(path)[0].to_json()

    def test_an_array_of_several(self, model, digits) -> None:
        x, y = digits
        labels = np.array([int(answer.label) for answer in model.predict(x[:200])])
        probabilities = model.predict_proba(x[:200])
        assert np.array_equal(labels, probabilities.argmax(axis=1))
        assert probabilities.shape == (200, 10)
        assert np.allclose(probabilities.sum(axis=1), 1)
        assert (labels == y[:200]).mean() > 0.8

    def test_what_cannot_be_used_says_why_in_its_row(self, model, digits, tmp_path) -> None:
        (tmp_path / "note.txt").write_text("no photo")
        found = model.predict([tmp_path / "gone.jpg", tmp_path / "note.txt", digits[0][0], b""])
        assert [bool(answer.error) for answer in found] == [True, True, False, True]
        assert "there is no such file" in found[0].error
        with pytest.raises(InputError, match=r"gone\.jpg cannot be used"):
            model.predict_proba([tmp_path / "gone.jpg"])
        with pytest.raises(ValueError, match="photo #0 cannot be used: empty"):
            model.predict_proba(b"")
        with pytest.raises(InputError, match=r"expected photos as file names.*found int"):
            model.predict(7)

    def test_nothing_asked_nothing_answered(self, model) -> None:
        assert model.predict([]) == []
        assert model.predict_proba([]).shape == (0, 10)

    def test_answers_as_a_table(self, model, digits, tmp_path: Path) -> None:
        answers = model.predict([*digits[0][:25], tmp_path / "gone.jpg"], top=2)
        table = answers.to_frame()
        assert list(table.columns) == [
            "path", "label", "probability", "decision", "reason", "error", "top",
        ]  # fmt: skip
        assert table["probability"].tolist()[:-1] == [a.probability for a in answers[:-1]]
        assert np.isnan(table["probability"].iloc[-1])
        assert [len(top) for top in table["top"]] == [2] * 25 + [0]
        assert "and 6 more" in answers._repr_html_()
        assert isinstance(answers[:3], pegboard.PredictionList)
        assert len(model.predict([]).to_frame()) == 0

    def test_names_are_escaped_in_a_notebook(self, model) -> None:
        html = model.predict(["<script>alert(1)</script>.jpg"])._repr_html_()
        assert "<script>" not in html

    def test_what_it_says(self, run, model) -> None:
        assert model.classes == run.classes
        assert model.name == run.best
        assert model.info.figures["n"] == len(run.predictions().query("split == 'test'"))
        assert "10 classes, 8 x 8 px, grey" in repr(model)

    def test_a_file_that_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match="does not exist"):
            pegboard.load(tmp_path / "x.pegboard")


class Listener(Progress):
    """Remembers what was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)


def quick(source: Any, **options: Any) -> pegboard.Run:
    usual = {"models": "lm", "epochs": 1, "threads": 1, "fit": "letterbox", "progress": False}
    return pegboard.compare(source, **(usual | options))


class TestCompare:
    """Photos handed over, and mistakes."""

    def test_arrays_are_split_like_the_source_they_come_from(self, run, digits) -> None:
        source = GivenSource(pictures(digits[0], where="photos"), label_texts(digits[1]))
        settings = CompareSettings(source="memory", models="lm", previous="none", threads=1)
        rows = prepare(settings, source=source).split.rows
        assert rows[17].path == "memory#17"
        split = pd.DataFrame([(row.label, row.split, row.sha256) for row in rows])
        assert np.array_equal(split, run.photos[["label", "split", "sha256"]])

    def test_each_part_needs_one_label_for_each_photo(self, digits) -> None:
        x, y = digits
        # Together there are as many labels as photos.
        parts = {"train": (x[:14], y[:6]), "test": (x[14:20], y[6:20])}
        with pytest.raises(InputError, match=r"train: .* found 14 photos and 6 labels"):
            GivenSource.of_splits(parts)

    @pytest.mark.parametrize("dtype", ["string", "Int64", "Float64", "category", object])
    def test_a_missing_label_of_any_pandas_column_is_none(self, dtype: Any) -> None:
        assert label_texts(pd.Series([1, None, 2], dtype=dtype)) == ["1", None, "2"]

    def test_given_splits_are_kept(self, digits, tmp_path: Path, capfd) -> None:
        x, y = digits
        source = {"train": (x[:300], y[:300]), "test": (x[300:400], y[300:400])}
        listener = Listener()
        given = quick(source, out=tmp_path / "run", progress=listener)
        test = given.photos.query("split == 'test'")
        assert test["path"].tolist() == [f"memory#{number}" for number in range(300, 400)]
        assert (given.photos["split"] == "validation").sum() == 60
        assert any("400 found" in line for line in listener.lines)
        record = json.loads((given.path / "run.json").read_text())
        assert record["command"].startswith("pegboard.compare((photos, labels), models='lm'")
        assert capfd.readouterr() == ("", "")

    def test_files_by_name_and_one_that_is_gone(self, photo_folder, tmp_path: Path) -> None:
        paths = sorted(photo_folder(per_class=8).glob("*/*"))
        labels = [path.parent.name for path in paths]
        gone = tmp_path / "gone.png"
        given = quick(([*paths, gone], [*labels, labels[0]]), out=tmp_path / "run")
        assert given.photos["path"].tolist() == [str(path) for path in paths]
        assert given.photos["label"].tolist() == labels
        (left_out,) = given.left_out.to_dict("records")
        assert (left_out["path"], left_out["reason"]) == (str(gone), "missing-file")

    def test_mistakes_are_told_in_one_line(self, digits, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="there is no 'nowhere'"):
            pegboard.compare("nowhere", "lm")
        with pytest.raises(InputError, match="got int"):
            pegboard.compare(7)
        with pytest.raises(InputError, match="found 3 photos and 2 labels"):
            pegboard.compare((digits[0][:3], [1, 2]), "lm")
        with pytest.raises(InputError, match="under train, validation, test; found 'tset'"):
            pegboard.compare({"tset": digits})
        with pytest.raises(SourceError, match="pixel values 0 to 255, found -"):
            pegboard.compare((digits[0] - 300.0, digits[1]), "lm")
        with pytest.raises(RunFolderError, match="name the folder: out="):
            pegboard.compare(digits, resume=True)
        with pytest.raises(pegboard.PegboardError, match="three positive shares"):
            pegboard.compare("digits", fractions=(0.5, 0.5))
        with pytest.raises(TypeError, match="modles"):
            pegboard.compare("digits", modles="lm")

    def test_options_may_be_texts_or_values(self, run) -> None:
        with pytest.raises(RunFolderError, match="already holds a run"):
            pegboard.compare(
                "digits", "lm,nn", out=str(run.path), budget="10m", fractions=(0.8, 0.1, 0.1),
                merge={}, exclude_class="3", previous="none", progress=False,
            )  # fmt: skip
