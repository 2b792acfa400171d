"""Every figure shows the numbers of the run it is made from."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn import metrics as sk

from conftest import SHAPES, draw_photo
from pegboard.errors import PegboardError, PlotUnavailable
from pegboard.evidence import Evidence, Mistake, ModelEvidence, Neighbour, Views
from pegboard.pictures import Album, decode_rgb, encode, thumbnail
from pegboard.report import charts, figures, write_report
from pegboard.report.charts.photos import SIDE, Row, Tile, fitted
from pegboard.report.charts.style import LINES
from pegboard.report.run import Run
from pegboard.report.similarity import similarity_order
from pegboard.runs import RunFolder, read_history, read_json
from run_folders import TOOLS, make_run
from small_bundle import colour_bundle

MODELS = {"timm:resnet18": 2.6, "probe": 2.2, "cnn4": 1.1}
MODEL = "cnn4"


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("figures") / "run"
    make_run(folder, models=MODELS, per_class=60, draws=100)
    illustrate(folder)
    return Run.read(RunFolder(folder))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of one class, one epoch and no pictures."""
    folder = tmp_path_factory.mktemp("bare") / "run"
    make_run(folder, classes=["only"], models={"cnn": 2.0}, per_class=12, epochs=1, draws=20)
    return Run.read(RunFolder(folder))


def illustrate(folder: Path) -> None:
    """Keep drawn photos as the run's evidence: with neighbours, heat and augmented views."""
    run, rng, album = Run.read(RunFolder(folder)), np.random.default_rng(0), Album()
    thumbnails: dict[str, str] = {}

    def keep(path: str) -> str:
        shape = SHAPES[len(thumbnails) % 3]
        thumbnails[path] = album.add(thumbnail(np.asarray(draw_photo(shape, rng))))
        return path

    samples = {
        label: tuple(
            keep(row.path)
            for row in [r for r in run.manifest if (r.label, r.split) == (label, "train")][:6]
        )
        for label in run.classes
    }
    answers = run.answers(MODEL)
    wrong = np.flatnonzero(~answers.right)
    wrong = wrong[np.argsort(-answers.probabilities[wrong].max(axis=1), kind="stable")][:5]
    near = Neighbour(samples[TOOLS[0]][0], TOOLS[0], 0.9)
    heat = album.add(encode(np.full((64, 64, 3), 200, np.uint8)))
    mistakes = tuple(
        Mistake(keep(answers.paths[index]), (near,), heat if place == 0 else None)
        for place, index in enumerate(wrong)
    )
    views = tuple(
        album.add(encode(np.full((64, 64, 3), 20 * shade, np.uint8))) for shade in range(6)
    )
    augmented = (Views(samples[TOOLS[1]][0], views),)
    Evidence(
        thumbnails=thumbnails,
        samples=samples,
        models={MODEL: ModelEvidence(augmented=augmented, mistakes=mistakes)},
        pictures=album.pictures,
    ).write(RunFolder(folder))


def lines_of(axes: Axes) -> list[tuple[np.ndarray, np.ndarray]]:
    return [line.get_data() for line in axes.get_lines()]


def dots(axes: Axes, marker: str = "o") -> list[tuple[float, float]]:
    """Single marked points in the order in which they were drawn."""
    return [
        (float(np.ravel(x)[0]), float(np.ravel(y)[0]))
        for line in axes.get_lines()
        for x, y in [line.get_data()]
        if line.get_marker() == marker and np.size(x) == 1
    ]


def words_of(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def tick_names(axes: Axes, which: str = "y") -> list[str]:
    return [label.get_text() for label in getattr(axes, f"get_{which}ticklabels")()]


def canvas_of(figure: Figure) -> np.ndarray:
    (image,) = figure.axes[0].get_images()
    return np.asarray(image.get_array())


def lies_in(photo: np.ndarray, canvas: np.ndarray) -> bool:
    """Whether a photo stands somewhere on a canvas, dot by dot."""
    photo = fitted(photo, SIDE)
    height, width = photo.shape[:2]
    windows = np.argwhere((canvas[..., :3] == photo[0, 0]).all(axis=-1) & (canvas[..., 3] == 255))
    return any(np.array_equal(canvas[y : y + height, x : x + width, :3], photo) for y, x in windows)


class TestCurves:
    def test_of_a_model(self, tools: Run) -> None:
        rows = read_history(tools.model_folder(MODEL).history)
        figure = figures.learning_curves(tools, MODEL)
        for axes, name in zip(figure.axes, ("loss", "accuracy", "macro_f1"), strict=True):
            training, validation, *_ = lines_of(axes)
            np.testing.assert_array_equal(training[0], [row["epoch"] for row in rows])
            np.testing.assert_array_equal(training[1], [row[name] for row in rows])
            np.testing.assert_array_equal(validation[1], [row[f"val_{name}"] for row in rows])

    def test_of_all_models_on_one_scale(self, tools: Run) -> None:
        figure = figures.all_learning_curves(tools)
        names = [text.get_text() for text in figure.legends[0].get_texts()]
        trained = [m["name"] for m in tools.models if m["name"] not in ("probe", "majority")]
        assert names == [*trained, "best epoch"]
        columns = ["val_loss", "val_accuracy", "val_macro_f1", "loss", "accuracy", "macro_f1"]
        for axes, column in zip(figure.axes, columns, strict=True):
            shown = lines_of(axes)
            for place, model in enumerate(trained):
                rows = read_history(tools.model_folder(model).history)
                np.testing.assert_array_equal(shown[place][1], [row[column] for row in rows])
                best = read_json(tools.model_folder(model).training)["best_epoch"]
                (marked,), (value,) = shown[len(trained) + place]
                assert (marked, value) == (best, rows[int(best) - 1][column])
        for upper, lower in zip(figure.axes[:3], figure.axes[3:], strict=True):
            assert upper.get_ylim() == lower.get_ylim()

    def test_one_model_that_diverged_does_not_hide_the_others(self) -> None:
        epochs = np.arange(1, 11)
        calm = charts.History(epochs, {"loss": 1 / epochs, "val_loss": 1 / epochs})
        wild = charts.History(epochs, {"loss": 4.0**epochs, "val_loss": 4.0**epochs})
        figure = charts.all_learning_curves({"calm": calm, "wild": wild})
        assert figure.axes[0].get_yscale() == "log"
        figure.draw_without_rendering()
        ticks = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        assert ticks == [f"{float(text):g}" for text in ticks]
        assert charts.all_learning_curves({"calm": calm}).axes[0].get_yscale() == "linear"

    def test_colours_of_lines_are_told_apart_and_seen_on_white(self) -> None:
        assert len(set(LINES)) == len(LINES) == 18
        for colour, _ in LINES:
            parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
            linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
            luminance = np.dot(linear, (0.2126, 0.7152, 0.0722))
            assert 1.05 / (luminance + 0.05) >= 3  # WCAG 2.2, 1.4.11


class TestComparisons:
    def test_accuracy_bars(self, tools: Run) -> None:
        (axes,) = figures.accuracy_bars(tools).axes
        bars = [data for data in lines_of(axes) if np.size(data[0]) == 2]
        values = sorted([*dots(axes), *dots(axes, "D")], key=lambda dot: dot[1])
        for place, model in enumerate(tools.models):
            assert values[place][0] == pytest.approx(100 * model["accuracy"])
            assert list(bars[place][0]) == pytest.approx([100 * x for x in model["accuracy_ci"]])
            assert tick_names(axes)[place].startswith(model["name"][:8])

    def test_pareto_marks_front_and_baseline(self, tools: Run) -> None:
        figure = figures.pareto(tools)
        (axes,) = figure.axes
        timed = {m["name"]: m for m in tools.models if m["latency_ms_p50"]}
        front = {(m["latency_ms_p50"], 100 * m["accuracy"]) for m in timed.values() if m["pareto"]}
        others = {(m["latency_ms_p50"], 100 * m["accuracy"]) for m in timed.values()} - front
        assert set(dots(axes, "D")) == front
        assert set(dots(axes)) == others
        assert sorted(words_of(figure)) == sorted(timed)
        told = [text.get_text() for text in figure.legends[0].get_texts()]
        majority = tools.model("majority")["accuracy"]
        assert told == ["Pareto front", f"majority: {100 * majority:.1f} %"]

    def test_names_in_a_crowd_keep_clear_of_one_another(self) -> None:
        points = [
            charts.Point(f"model {index}", 90 + index / 10, 89.0, 92.0, 5 + index / 10)
            for index in range(8)
        ]
        figure = charts.pareto(points)
        figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in figure.axes[0].texts]
        assert len(boxes) == 8
        overlaps = [one.overlaps(other) for n, one in enumerate(boxes) for other in boxes[:n]]
        assert sum(overlaps) <= 2


class TestClasses:
    def test_balance(self, tools: Run) -> None:
        (axes,) = figures.class_balance(tools).axes
        for bars, split in zip(axes.containers, ("train", "validation", "test"), strict=True):
            expected = [
                sum((row.label, row.split) == (label, split) for row in tools.manifest)
                for label in tools.classes
            ]
            assert [bar.get_width() for bar in bars] == expected

    def test_f1_with_intervals_the_worst_first(self, tools: Run) -> None:
        (axes,) = figures.per_class_f1(tools, MODEL).axes
        rows = sorted(tools.model(MODEL)["per_class"], key=lambda row: row["f1"])
        assert [dot[0] for dot in dots(axes)] == [row["f1"] for row in rows]
        intervals = [tuple(x) for x, y in lines_of(axes)[1:] if np.size(x) == 2]
        assert intervals == [tuple(row["f1_ci"]) for row in rows]
        assert tick_names(axes) == [f"{row['label']} ({row['support']})" for row in rows]
        assert list(lines_of(axes)[0][0]) == [tools.model(MODEL)["macro_f1"]] * 2

    def test_f1_of_many_classes_shows_the_worst(self) -> None:
        scores = [charts.ClassScore(str(i), i / 300, None, 9) for i in range(300)]
        (axes,) = charts.per_class_f1(scores[::-1], 0.5).axes
        assert [dot[0] for dot in dots(axes)] == [i / 300 for i in range(40)]
        assert "the 40 lowest of 300 classes" in axes.get_xlabel()


class TestConfusion:
    @pytest.mark.parametrize("order", ["given", "similarity"])
    def test_cells_and_names(self, tools: Run, order: figures.Order) -> None:
        answers = tools.answers(MODEL)
        names = np.array(answers.classes)
        (axes,) = figures.confusion_matrix(tools, MODEL, order=order).axes
        shown = tick_names(axes)
        assert shown == tick_names(axes, "x")
        assert sorted(shown) == sorted(names)
        assert (shown == list(names)) == (order == "given")
        expected = sk.confusion_matrix(
            names[answers.labels], names[answers.predicted], labels=shown
        )
        counts = np.zeros_like(expected)
        for text in axes.texts:
            if not text.get_text().endswith("%"):
                column, row = text.get_position()
                counts[round(row), round(column)] = int(text.get_text())
        np.testing.assert_array_equal(counts, expected)
        depth = np.asarray(axes.get_images()[0].get_array())[..., 3]
        assert ((depth > 0) == (expected > 0)).all()

    def test_right_and_wrong_cells_differ_in_colour_and_depth(self) -> None:
        (axes,) = charts.confusion(np.array([[8, 2], [5, 5]]), ("a", "b")).axes
        cells = np.asarray(axes.get_images()[0].get_array())
        assert (cells[0, 0, :3] == cells[1, 1, :3]).all()
        assert (cells[0, 1, :3] == cells[1, 0, :3]).all()
        assert (cells[0, 0, :3] != cells[0, 1, :3]).any()
        assert cells[0, 0, 3] > cells[1, 1, 3]
        assert cells[1, 0, 3] > cells[0, 1, 3]
        assert sorted(text.get_text() for text in axes.texts) == sorted(
            ["8", "80 %", "2", "20 %", "5", "50 %", "5", "50 %"]
        )

    def test_three_hundred_classes_stay_light(self) -> None:
        matrix = np.eye(300, dtype=np.int64) * 4
        figure = charts.confusion(matrix, [f"class {index}" for index in range(300)])
        assert words_of(figure) == []
        assert len(charts.to_svg(figure)) < 100_000


class TestSimilarity:
    def test_confused_classes_stand_side_by_side(self) -> None:
        matrix = np.eye(8, dtype=np.int64) * 20
        for one, other in ((0, 5), (2, 7), (1, 4)):
            matrix[one, other] = matrix[other, one] = 6
        order = similarity_order(matrix).tolist()
        for one, other in ((0, 5), (2, 7), (1, 4)):
            assert abs(order.index(one) - order.index(other)) == 1

    def test_without_confusions_the_order_given_stays(self) -> None:
        assert similarity_order(np.eye(9, dtype=np.int64)).tolist() == list(range(9))

    @given(st.integers(1, 30), st.integers(0, 2**32 - 1))
    @settings(deadline=None, max_examples=20)
    def test_every_class_comes_once(self, classes: int, seed: int) -> None:
        matrix = np.random.default_rng(seed).integers(0, 3, (classes, classes))
        assert sorted(similarity_order(matrix)) == list(range(classes))


class TestThresholds:
    """Precision-recall and ROC curves against scikit-learn's."""

    @staticmethod
    def named(figure: Figure) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        return {
            str(line.get_label()): line.get_data()
            for line in figure.axes[0].get_lines()
            if not str(line.get_label()).startswith("_")
        }

    @staticmethod
    def classes(tools: Run) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        answers = tools.answers(MODEL)
        for index, label in enumerate(answers.classes):
            yield label, answers.labels == index, answers.probabilities[:, index]

    def test_precision_recall(self, tools: Run) -> None:
        shown = self.named(figures.precision_recall(tools, MODEL))
        areas = {}
        for label, positive, scores in self.classes(tools):
            areas[label] = sk.average_precision_score(positive, scores)
            key = f"{label} ({areas[label]:.3f})"
            if key in shown:
                recall, precision = shown[key]
                their_precision, their_recall, _ = sk.precision_recall_curve(positive, scores)
                for x, y in zip(recall[1:], precision[1:], strict=True):
                    first = np.flatnonzero(their_recall >= x)[-1]
                    assert y == pytest.approx(their_precision[first], abs=1e-12)
        worst = sorted(areas, key=lambda label: areas[label])[:5]
        assert sorted(shown) == sorted(
            [f"{label} ({areas[label]:.3f})" for label in worst]
            + [f"mean of 6 ({np.mean(list(areas.values())):.3f})"]
        )

    def test_roc(self, tools: Run) -> None:
        shown = self.named(figures.roc(tools, MODEL))
        areas, curves = {}, []
        for label, positive, scores in self.classes(tools):
            areas[label] = sk.roc_auc_score(positive, scores)
            false, true, _ = sk.roc_curve(positive, scores, drop_intermediate=False)
            rate = next(iter(shown.values()))[0]
            curves.append(np.interp(rate[1:], false, true))
            key = f"{label} ({areas[label]:.3f})"
            if key in shown:
                np.testing.assert_allclose(shown[key][1][1:], curves[-1], rtol=0, atol=1e-12)
        assert len(shown) == 6
        mean = shown[f"mean of 6 ({np.mean(list(areas.values())):.3f})"]
        np.testing.assert_allclose(mean[1][1:], np.mean(curves, axis=0), rtol=0, atol=1e-12)
        assert mean[0][0] == mean[1][0] == 0

    def test_the_areas_are_those_of_the_leaderboard(self, tools: Run) -> None:
        pr, roc = figures.precision_recall(tools, MODEL), figures.roc(tools, MODEL)
        row = tools.model(MODEL)
        assert f"mean of 6 ({row['average_precision']:.3f})" in self.named(pr)
        assert f"mean of 6 ({row['roc_auc']:.3f})" in self.named(roc)

    def test_good_models_have_their_corner_enlarged(self) -> None:
        line = np.linspace(0, 1, 50)
        good = charts.Curve("a", 0.99995, line, np.minimum(1, line * 50))
        poor = charts.Curve("a", 0.6, line, line**0.7)
        figure = charts.roc([good], good)
        assert len(figure.axes[0].child_axes) == 1
        assert "a (> 0.999)" in self.named(figure)
        assert charts.roc([poor], poor).axes[0].child_axes == []

    def test_reliability(self, tools: Run) -> None:
        upper, lower = figures.reliability(tools, MODEL).axes
        bins = figures.reliability_bins(tools.answers(MODEL))
        filled = bins.counts > 0
        np.testing.assert_array_equal(lines_of(upper)[1][0], bins.confidence[filled])
        np.testing.assert_array_equal(lines_of(upper)[1][1], bins.accuracy[filled])
        assert [bar.get_height() for bar in lower.patches] == bins.counts.tolist()

    def test_coverage_and_risk(self, tools: Run) -> None:
        (axes,) = figures.coverage_risk(tools, MODEL).axes
        assert tools.bundle_info(MODEL) is None  # so nothing is known but the answers
        (line,) = axes.get_lines()
        points, answers = line.get_xydata(), tools.answers(MODEL)
        assert points[-1].tolist() == [1, pytest.approx(1 - answers.right.mean())]
        surest = np.argsort(-answers.probabilities.max(axis=1), kind="stable")[:50]
        at_fifty = points[points[:, 0] == 50 / len(answers)]
        assert at_fifty[0, 1] == pytest.approx(1 - answers.right[surest].mean())

    def test_what_is_called_sure_is_marked(self, tools: Run, tmp_path: Path) -> None:
        shutil.copytree(tools.folder.path, tmp_path / "run")
        abstention = {
            "n": 80, "sure": 0.8, "unsure": 0.15, "unknown": 0.05, "risk": 0.03, "curve": []
        }  # fmt: skip
        bundle = tools.model_folder(MODEL).bundle.relative_to(tools.folder.path)
        colour_bundle(tmp_path / "run" / bundle, abstention=abstention)
        (axes,) = figures.coverage_risk(Run.read(RunFolder(tmp_path / "run")), MODEL).axes
        lines = {line.get_label(): line.get_xydata() for line in axes.get_lines()}
        assert lines["called sure"].tolist() == [[0.8, 0.03]]
        np.testing.assert_allclose(lines["wrong at most"][:, 1], 0.05)
        page = write_report(tmp_path / "run").read_text("utf-8")
        assert "80.0 % sure, 15.0 % unsure, 5.0 % unknown. Of the sure answers 3.0 % were" in page
        assert "An answer is called sure from a probability of 0.900 on." in page


class TestPhotos:
    def test_samples_of_every_class(self, tools: Run) -> None:
        figure = figures.sample_grid(tools)
        assert tools.evidence is not None
        assert words_of(figure) == list(tools.classes)
        canvas = canvas_of(figure)
        for paths in tools.evidence.samples.values():
            for path in paths:
                assert lies_in(tools.evidence.pixels(tools.evidence.thumbnails[path]), canvas)

    def test_augmented_views_follow_their_photo(self, tools: Run) -> None:
        figure = figures.augmentation_preview(tools, MODEL)
        assert words_of(figure) == ["photo", "as met in training", TOOLS[1]]
        canvas = canvas_of(figure)
        evidence = tools.evidence
        assert evidence is not None
        (views,) = evidence.models[MODEL].augmented
        for name in (evidence.thumbnails[views.path], *views.pictures):
            assert lies_in(evidence.pixels(name), canvas)

    def test_mistakes_say_what_was_taken_for_what(self, tools: Run) -> None:
        answers, evidence = tools.answers(MODEL), tools.evidence
        assert evidence is not None
        figure = figures.mistakes(tools, MODEL)
        words = words_of(figure)
        assert words[:3] == ["photo", "looked at", "nearest"]
        canvas = canvas_of(figure)
        for mistake in evidence.models[MODEL].mistakes:
            index = list(answers.paths).index(mistake.path)
            true, answer = answers.labels[index], answers.predicted[index]
            assert f"{answers.classes[true]} taken for {answers.classes[answer]}" in words
            sure = 100 * answers.probabilities[index].max()
            assert f"{sure:.0f} % sure; nearest: {TOOLS[0]}" in words
            assert lies_in(evidence.pixels(evidence.thumbnails[mistake.path]), canvas)

    def test_small_pictures_are_enlarged_dot_by_dot(self) -> None:
        digit = np.random.default_rng(0).integers(0, 255, (28, 28, 3), dtype=np.uint8)
        large = fitted(digit, SIDE)
        assert large.shape == (84, 84, 3)
        np.testing.assert_array_equal(large[1::3, 2::3], digit)
        assert fitted(np.zeros((300, 100, 3), np.uint8), SIDE).shape == (96, 32, 3)

    @pytest.mark.parametrize("classes", [1, 2, 41, 300])
    def test_any_number_of_classes_stays_bounded(self, classes: int) -> None:
        photo = np.zeros((96, 96, 3), np.uint8)
        rows = [Row(f"{'long ' * 9}{index}", [photo] * 6) for index in range(classes)]
        figure = charts.sample_grid(rows)
        width, height = figure.get_size_inches()
        assert width < 13
        assert height < 17
        if classes == 300:
            assert words_of(figure)[-1] == "the first 150 of 300 classes"

    def test_a_picture_that_there_is_not_leaves_its_place_empty(self) -> None:
        photo = np.full((96, 96, 3), 9, np.uint8)
        tiles = [Tile([photo, None, photo], "a taken for b", "9 % sure")]
        canvas = canvas_of(charts.mistakes(tiles, ["photo", "looked at", "nearest"]))
        assert (canvas[..., 3] == 255).sum() == 2 * 96 * 96

    def test_pictures_carry_nothing_but_pixels(self, tools: Run) -> None:
        png = charts.to_png(figures.sample_grid(tools))
        assert b"eXIf" not in png
        assert b"tEXt" not in png
        assert decode_rgb(png).shape[2] == 3


class TestAbsence:
    """What a run does not hold is said in one line."""

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("sample_grid", "no pictures of its photos"),
            ("all_learning_curves", "over several epochs"),
            ("pareto", "fewer than two models"),
        ],
    )
    def test_of_the_run(self, bare: Run, name: str, reason: str) -> None:
        with pytest.raises(PlotUnavailable, match=reason):
            getattr(figures, name)(bare)

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("learning_curves", "over several epochs"),
            ("augmentation_preview", "no pictures of its photos"),
            ("mistakes", "no pictures of its photos"),
            ("precision_recall", "all test photos are of one class"),
            ("roc", "all test photos are of one class"),
        ],
    )
    def test_of_a_model(self, bare: Run, name: str, reason: str) -> None:
        with pytest.raises(PlotUnavailable, match=reason):
            getattr(figures, name)(bare, "cnn")

    def test_of_a_baseline(self, bare: Run) -> None:
        with pytest.raises(PlotUnavailable, match="whose answers are not kept"):
            figures.confusion_matrix(bare, "majority")

    @pytest.mark.parametrize("name", sorted(figures.OF_MODEL))
    def test_an_unknown_model(self, bare: Run, name: str) -> None:
        with pytest.raises(PegboardError, match=r"expected a model of this run \(cnn, majority\)"):
            figures.OF_MODEL[name](bare, "resnet")

    def test_one_class_still_has_its_other_figures(self, bare: Run) -> None:
        drawn = dict(figures.others(bare, made=()))
        assert sorted(drawn) == [
            *("accuracy", "class-balance", "cnn-confusion", "cnn-confusion-similarity"),
            *("cnn-coverage-risk", "cnn-per-class-f1", "cnn-reliability"),
        ]
        for figure in drawn.values():
            assert charts.to_png(figure).startswith(b"\x89PNG")


def test_the_report_keeps_every_figure(tools: Run) -> None:
    write_report(tools.folder.path)
    kept = {file.name for file in tools.folder.plots.iterdir()}
    slugs = [tools.model_folder(m["name"]).slug for m in tools.models if not m.get("baseline")]
    lacking = {f"{slug}-{name}" for slug in slugs for name in ("augmentation", "mistakes")}
    lacking = {"probe-learning-curves", *lacking} - {f"{MODEL}-augmentation", f"{MODEL}-mistakes"}
    expected = {*figures.OF_RUN, *(f"{s}-{name}" for s in slugs for name in figures.OF_MODEL)}
    assert kept == {f"{name}.{kind}" for name in expected - lacking for kind in ("png", "svg")}


def test_equal_runs_give_equal_figures(tools: Run) -> None:
    for name in ("pareto", "learning-curves", "samples"):
        one, other = (figures.OF_RUN[name](tools) for _ in range(2))
        assert charts.to_svg(one) == charts.to_svg(other)
        assert charts.to_png(one) == charts.to_png(other)


def test_a_notebook_shows_figures_without_pyplot(tools: Run) -> None:
    picture = figures.pareto(tools)._repr_png_()
    assert picture.startswith(b"\x89PNG")
    script = (
        "import sys\n"
        "from pegboard.report import figures\n"
        "from pegboard.report.run import Run\n"
        "from pegboard.runs import RunFolder\n"
        "from pathlib import Path\n"
        "figures.pareto(Run.read(RunFolder(Path(sys.argv[1]))))._repr_png_()\n"
        "print({'matplotlib.pyplot', 'torch', 'pandas'} & set(sys.modules) or 'none')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tools.folder.path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "none"


@pytest.mark.filterwarnings("error")
def test_letters_of_other_scripts_and_signs_of_mathematics() -> None:
    names = ("类别", "$5 $spanner", "a\nb", "x_{2}^3", "\ud800bad")
    figure = charts.confusion(np.eye(5, dtype=np.int64), names)
    charts.to_png(figure)
    svg = charts.to_svg(figure)
    assert "类别" in svg
    assert "$5 $spanner" in svg
