"""The report says what the run folder's files say, safely, and to everybody."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import jinja2
import jinja2.meta
import numpy as np
import pytest
from PIL import Image

from pegboard.errors import RunFolderError
from pegboard.leaderboard import (
    Leaderboard,
)
from pegboard.metrics import expected_calibration_error
from pegboard.report import charts, write_report
from pegboard.report.check_context import CheckContext
from pegboard.report.context import ReportContext
from pegboard.report.figures import reliability_bins
from pegboard.report.numbers import signed
from pegboard.report.render import template_environment
from pegboard.runs import slug_of
from pegboard.words import digits, summary
from run_folders import MODELS, TOOLS, Page, answers, make_run, manifest_rows


@pytest.fixture(scope="session")
def tools_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Leaderboard]:
    folder = tmp_path_factory.mktemp("report") / "run"
    left_out = [
        {"path": f"saw/{index}.jpg", "reason": "truncated", "detail": "ends early"}
        for index in range(11)
    ] + [{"path": "notes.txt", "reason": "not-an-image", "detail": "text"}]
    board = make_run(
        folder, left_out=left_out, warnings=["Pliers and pliers: --merge Pliers=pliers"]
    )
    assert write_report(folder) == folder / "report.html"
    return folder, board


@pytest.fixture(scope="session")
def tools_page(tools_run: tuple[Path, Leaderboard]) -> Page:
    return Page((tools_run[0] / "report.html").read_text("utf-8"))


class TestWhatItSays:
    def test_leaderboard_figures_are_those_of_the_file(self, tools_run, tools_page) -> None:
        board = json.loads((tools_run[0] / "leaderboard.json").read_text("utf-8"))
        rows = tools_page.tables["leaderboard-table"]
        exact = tools_page.exact["leaderboard-table"]
        columns = (
            *("accuracy", "macro_f1", "validation_macro_f1", "loss", "ece"),
            *("latency_ms_p50", "latency_ms_p95", "images_per_second"),
            *("size_bytes", "peak_memory_bytes", "params", "train_seconds", "epochs"),
        )
        by_name = {model["name"]: model for model in board["models"]}
        assert len(rows) == 1 + len(by_name)
        for shown, figures in zip(rows[1:], exact[1:], strict=True):
            model = by_name.pop(shown[0].split()[0])
            assert figures[1:] == [model[column] for column in columns]
            accuracy = digits(model["accuracy"], model["n"])
            low, high = (digits(end, model["n"]) for end in model["accuracy_ci"])
            assert shown[1] == f"{accuracy} % {low}\N{EN DASH}{high}"
        assert not by_name

    def test_best_is_first_and_the_baseline_last(self, tools_run, tools_page) -> None:
        rows = tools_page.tables["leaderboard-table"]
        assert rows[1][0].startswith(f"{tools_run[1].best} best")
        assert rows[-1][0] == "majority baseline"

    def test_collapsed_and_tied_models_are_called_so(self, tools_page) -> None:
        notes = {row[0].split()[0]: row[0] for row in tools_page.tables["leaderboard-table"][1:]}
        assert "collapsed predicts only" in notes["timm:resnet18:frozen"]
        assert "tied with the best" in notes["probe"]
        assert "tied with the best" not in notes["cnn4"]

    def test_every_sentence_of_the_summary(self, tools_run, tools_page) -> None:
        for sentence in summary(tools_run[1].to_json()):
            assert " ".join(sentence.split()) in tools_page.text

    def test_differences_face_the_best_model(self, tools_run, tools_page) -> None:
        board = tools_run[1]
        rows = tools_page.tables["differences-table"][1:]
        exact = tools_page.exact["differences-table"][1:]
        assert len(rows) == len(board.comparisons)
        assert all(row[0] == board.best for row in rows[: len(MODELS) - 1])
        difference = {(pair.a, pair.b): pair.difference for pair in board.comparisons}
        for (a, b, *_), figures in zip(rows, exact, strict=True):
            expected = difference[a, b] if (a, b) in difference else -difference[b, a]
            assert figures[2] == expected

    def test_confusion_cells_add_up_to_the_predictions(self, tools_run, tools_page) -> None:
        folder, board = tools_run
        matrices = [rows for name, rows in tools_page.tables.items() if "photos" in rows[0]]
        matrices = [rows for rows in matrices if len(rows) == 1 + len(TOOLS)]
        assert len(matrices) == len(MODELS)
        with (folder / "models" / slug_of(board.best) / "predictions.csv").open() as file:
            tests = [row for row in csv.DictReader(file) if row["split"] == "test"]
        for true, row in zip(TOOLS, matrices[0][1:], strict=True):
            for predicted, cell in zip(TOOLS, row[1:], strict=False):
                expected = sum(x["label"] == true and x["predicted"] == predicted for x in tests)
                shown = re.match(r"\d*", cell)[0]
                # "12" and "67 %" stand in one cell as "1267 %" once their elements are gone.
                assert shown.startswith(str(expected) if expected else "")

    def test_counts_and_what_was_left_out(self, tools_run, tools_page) -> None:
        counts = tools_page.tables["counts-table"]
        rows = manifest_rows(TOOLS, 120)
        assert counts[-1][4] == str(len(rows))
        for row in counts[1:-1]:
            assert int(row[3]) == sum(r.label == row[0] and r.split == "test" for r in rows)
        reasons = {row[0]: row[1:] for row in tools_page.tables["left-out-table"][1:]}
        assert reasons["truncated"][0] == "11"
        assert "saw/0.jpg: ends early" in reasons["truncated"][1]
        assert reasons["truncated"][1].endswith("… and 3 more, listed in intake.json")
        assert "--merge Pliers=pliers" in tools_page.text

    def test_how_to_repeat(self, tools_run, tools_page) -> None:
        board = tools_run[1]
        assert "pegboard compare tools --models" in tools_page.text
        assert board.dataset.fingerprint in tools_page.text
        assert board.machine.versions["numpy"] in tools_page.text
        assert "opened once, after training: 2025-11-21 13:50 UTC" in tools_page.text
        assert "letterbox (best on validation)" in tools_page.text
        assert '"recipe": { "epochs": 14 }' in tools_page.text

    def test_not_trained_and_notes(self, tools_page) -> None:
        assert "vgg16 : the time budget was spent" in tools_page.text
        assert "Stopped early." in tools_page.text

    def test_seeds_have_a_column_only_when_there_are_several(self, tmp_path, tools_page) -> None:
        assert "over seeds" not in " ".join(tools_page.tables["leaderboard-table"][0])
        make_run(tmp_path / "run", models={"lm": 2.0}, seeds=3, per_class=30)
        page = Page(write_report(tmp_path / "run").read_text("utf-8"))
        assert page.tables["leaderboard-table"][0][4] == "Accuracy over seeds"
        assert page.tables["leaderboard-table"][1][4] == "91.0 ± 1.0 %"


class TestThePage:
    def test_loads_nothing_from_elsewhere(self, tools_page) -> None:
        for tag, attributes in tools_page.tags:
            assert tag not in ("link", "iframe", "object", "embed", "base")
            for name in ("src", "href", "xlink:href", "action", "poster", "data", "srcset"):
                target = attributes.get(name) or "#"
                allowed = ("#", "data:image/png;base64,", "data:image/webp;base64,")
                assert target.startswith(allowed), (tag, target)

    def test_styles_load_nothing(self, tools_run) -> None:
        text = (tools_run[0] / "report.html").read_text("utf-8")
        assert "@import" not in text
        assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))

    def test_ids_are_unique_and_links_lead_to_them(self, tools_page) -> None:
        ids = tools_page.ids
        assert len(ids) == len(set(ids))
        for tag, attributes in tools_page.tags:
            for name in ("href", "xlink:href"):
                target = attributes.get(name) or ""
                if target.startswith("#"):
                    assert target[1:] in ids, (tag, target)
            for target in (attributes.get("aria-labelledby") or "").split():
                assert target in ids

    def test_headings_go_down_one_level_at_a_time(self, tools_page) -> None:
        levels = [level for level, _ in tools_page.headings]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(later <= earlier + 1 for earlier, later in pairwise(levels))

    def test_table_headers_have_a_scope_and_pictures_words(self, tools_page) -> None:
        for tag, attributes in tools_page.tags:
            if tag == "th":
                assert attributes.get("scope") in ("row", "col")
            if tag == "svg" and "aria-hidden" not in attributes:
                assert attributes["role"] == "img"
                assert len(attributes["aria-label"]) > 20
            if tag == "img":
                assert attributes["alt"]

    def test_equal_files_give_an_equal_page(self, tmp_path: Path) -> None:
        make_run(tmp_path / "run", models={"cnn": 2.0}, per_class=30, draws=5)
        pages, plots = [], []
        for _ in range(2):
            pages.append(write_report(tmp_path / "run").read_bytes())
            files = sorted((tmp_path / "run" / "plots").iterdir())
            plots.append({file.name: file.read_bytes() for file in files})
        assert pages[0] == pages[1]
        assert plots[0] == plots[1]

    def test_plots_are_whole_pictures(self, tools_run) -> None:
        plots = tools_run[0] / "plots"
        names = {file.stem for file in plots.iterdir()}
        assert {"accuracy", "pareto", "class-balance"} <= names
        for model in MODELS:
            assert {f"{slug_of(model)}-{kind}" for kind in ("confusion", "reliability")} <= names
            # The probe has one epoch, which makes no curve.
            assert (f"{slug_of(model)}-learning-curves" in names) == (model != "probe")
        for name in names:
            with Image.open(plots / f"{name}.png") as picture:
                picture.load()
            ElementTree.fromstring((plots / f"{name}.svg").read_text("utf-8"))  # noqa: S314

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_text_has_enough_contrast(self, scheme: str) -> None:
        """WCAG 2.2 AA: 4.5 to 1 for text, 3 to 1 for what a figure draws."""
        colours = style_colours(scheme)
        pairs = [("ink", "paper"), ("muted", "paper"), ("muted", "page"), ("accent", "paper")]
        pairs += [("accent", "page"), ("ink", "quiet"), ("muted", "quiet"), ("ink", "good")]
        pairs += [("good-ink", "good"), ("warn-ink", "warn"), ("warn-ink", "paper")]
        pairs += [("accent", "good"), ("warn-ink", "page")]
        for text, ground in pairs:
            ratio = contrast(colours[text], colours[ground])
            assert ratio >= 4.5, f"{text} on {ground}: {ratio:.2f}"
        for line in ("first", "second", "third"):
            assert contrast(colours[line], colours["paper"]) >= 3, line
        for kind in ("hit", "miss"):
            for shade in shades():
                cell = blend(colours[kind], colours["paper"], shade)
                assert contrast(colours["ink"], cell) >= 4.5, (kind, shade)


@pytest.fixture(scope="session")
def folds_page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("folds") / "run"
    make_run(folder, models={"cnn": 1.4, "probe": 0.6}, per_class=12, draws=5)
    record = json.loads((folder / "run.json").read_text("utf-8"))
    (folder / "run.json").write_text(json.dumps(record | {"folds": 3}), "utf-8")
    write_report(folder)
    return Page((folder / "report.html").read_text("utf-8"))


class TestFolds:
    def test_it_says_on_what_the_best_was_chosen(self, folds_page: Page) -> None:
        assert "neither trained nor stopped early on it; which model is best" in folds_page.text
        assert "With folds every photo is a validation photo once" in folds_page.text
        assert "nor chosen on it" not in folds_page.text

    def test_no_number_of_the_unused_split_is_told(self, folds_page: Page) -> None:
        photos = len(manifest_rows(TOOLS, 12))
        assert f"{photos} photos, 3 folds, 6 classes" in folds_page.text
        assert folds_page.tables["counts-table"][0] == ["Class", "All", "Share"]
        assert folds_page.tables["counts-table"][-1] == ["all classes", str(photos), "100 %"]
        assert "1 of 3 folds of tools" in folds_page.text


def test_the_best_of_equals_is_called_so_on_its_tile(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    make_run(folder, models={"cnn": 1.4, "probe": 0.6}, per_class=12, draws=5)
    board = json.loads((folder / "leaderboard.json").read_text("utf-8"))
    for model in board["models"][:2]:
        model["validation_macro_f1"] = 0.5
    board["best"] = "probe"
    (folder / "leaderboard.json").write_text(json.dumps(board), "utf-8")
    write_report(folder)
    page = Page((folder / "report.html").read_text("utf-8"))
    assert "highest macro-F1 on the validation photos, as cnn; it is the faster" in page.text


def test_a_difference_turned_round_is_no_minus_nought(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    make_run(folder, models={"cnn": 1.4, "probe": 0.6}, per_class=12, draws=5)
    board = json.loads((folder / "leaderboard.json").read_text("utf-8"))
    for pair in board["comparisons"]:
        pair.update(difference=0.0, ci=[-0.0001, 0.0], verdict="not_shown")
    (folder / "leaderboard.json").write_text(json.dumps(board), "utf-8")
    write_report(folder)
    page = Page((folder / "report.html").read_text("utf-8"))
    assert {row[2] for row in page.tables["differences-table"][1:]} == {"+0.0 +0.0 to +0.0"}


def test_a_collapsed_model_is_no_tie_to_choose(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    make_run(folder, models={"cnn": 1.4, "probe": -9.0}, per_class=12, draws=5)
    board = json.loads((folder / "leaderboard.json").read_text("utf-8"))
    board["comparisons"] = [{**pair, "verdict": "not_shown"} for pair in board["comparisons"]]
    (folder / "leaderboard.json").write_text(json.dumps(board), "utf-8")
    write_report(folder)
    page = Page((folder / "report.html").read_text("utf-8"))
    (collapsed,) = (row for row in page.tables["leaderboard-table"] if row[0].startswith("probe"))
    assert "collapsed" in collapsed[0]
    assert "tied with the best" not in collapsed[0]


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "$5 & {{ 7 * 7 }}",
    "a]]>b",
)


@pytest.fixture(scope="session")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "run"
    make_run(
        folder,
        classes=HOSTILE,
        name="<b>tools</b>",
        models={"timm:<svg onload=alert(3)>": 2.0, "cnn": 1.0},
        per_class=40,
        left_out=[
            {"path": "<script>x</script>.jpg", "reason": "truncated", "detail": "<i>"},
            {"path": "caf\udce9.jpg", "reason": "truncated", "detail": "not Unicode"},
        ],
        warnings=["<script>warn</script>"],
    )
    write_report(folder)
    return folder


class TestHostileNames:
    def test_nothing_of_them_becomes_markup(self, hostile_run: Path) -> None:
        page = Page((hostile_run / "report.html").read_text("utf-8"))
        for tag, attributes in page.tags:
            assert tag not in ("b", "i")
            assert not any(name.startswith("on") for name in attributes), (tag, attributes)

    def test_they_are_shown_as_they_are(self, hostile_run: Path) -> None:
        page = Page((hostile_run / "report.html").read_text("utf-8"))
        shown = [row[0] for row in page.tables["counts-table"][1:-1]]
        assert shown == list(HOSTILE)
        assert page.headings[0] == (1, "<b>tools</b>")

    def test_saved_figures_are_valid(self, hostile_run: Path) -> None:
        for file in (hostile_run / "plots").glob("*.svg"):
            ElementTree.fromstring(file.read_text("utf-8"))  # noqa: S314


class TestSizes:
    @pytest.mark.parametrize("count", [30, 31])
    def test_number_of_classes(self, tmp_path: Path, count: int) -> None:
        classes = [f"class number {index}" for index in range(count)]
        make_run(tmp_path / "run", classes=classes, models={"cnn": 3.0}, per_class=12, draws=20)
        page = Page(write_report(tmp_path / "run").read_text("utf-8"))
        cells = [attributes for tag, attributes in page.tags if tag == "table"]
        assert any(cell.get("class") == "matrix" for cell in cells) == (count <= 30)

    def test_three_hundred_classes_stay_small(self, tmp_path: Path) -> None:
        classes = [f"{'very ' * 30}long name of class {index}" for index in range(300)]
        make_run(tmp_path / "run", classes=classes, models={"cnn": 3.0}, per_class=6, draws=5)
        report = write_report(tmp_path / "run")
        Page(report.read_text("utf-8"))
        assert report.stat().st_size < 1_500_000

    def test_a_run_without_models(self, tmp_path: Path) -> None:
        make_run(tmp_path / "run", models={}, per_class=12)
        page = Page(write_report(tmp_path / "run").read_text("utf-8"))
        assert "No model was trained." in page.text

    def test_one_epoch_and_missing_values(self) -> None:
        history = charts.History(np.array([1]), {"loss": np.array([np.nan])}, None)
        assert "epoch" in charts.to_svg(charts.learning_curves(history))


class TestErrors:
    def test_a_folder_that_is_no_run(self, tmp_path: Path) -> None:
        with pytest.raises(RunFolderError, match="not a finished run of pegboard"):
            write_report(tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_a_damaged_file(self, tmp_path: Path) -> None:
        make_run(tmp_path / "run", models={"cnn": 2.0}, per_class=12, draws=5)
        (tmp_path / "run" / "models" / "cnn" / "predictions.csv").write_text("path,nonsense\n")
        with pytest.raises(RunFolderError, match="predictions written by pegboard"):
            write_report(tmp_path / "run")
        assert not (tmp_path / "run" / "report.html").exists()

    def test_a_leaderboard_of_another_kind(self, tmp_path: Path) -> None:
        make_run(tmp_path / "run", models={"cnn": 2.0}, per_class=12, draws=5)
        (tmp_path / "run" / "leaderboard.json").write_text('{"schema": 1, "models": 3}')
        with pytest.raises(RunFolderError, match="expected a leaderboard"):
            write_report(tmp_path / "run")

    @pytest.mark.parametrize("name", ["run.json", "intake.json"])
    def test_another_file_of_another_kind(self, tmp_path: Path, name: str) -> None:
        make_run(tmp_path / "run", models={}, per_class=12)
        (tmp_path / "run" / name).write_text("[]")
        with pytest.raises(RunFolderError, match="expected"):
            write_report(tmp_path / "run")


class TestCharts:
    def test_reliability_bins_give_the_calibration_error(self, tools_run) -> None:
        rows = [row for row in manifest_rows(TOOLS, 120) if row.split == "test"]
        predictions = answers(rows, TOOLS, 1.4, 5)
        bins = reliability_bins(predictions)
        filled = bins.counts > 0
        gap = np.abs(bins.confidence - bins.accuracy)[filled] * bins.counts[filled]
        expected = expected_calibration_error(predictions.labels, predictions.probabilities)
        assert gap.sum() / bins.counts.sum() == pytest.approx(expected, abs=1e-12)
        assert bins.counts.sum() == len(rows)

    def test_figures_leave_no_global_state(self) -> None:
        import matplotlib as mpl

        before = dict(mpl.rcParams)
        points = [charts.Point("a", 90.0, 88.0, 92.0, 3.0, best=True, pareto=True)]
        charts.to_png(charts.accuracy_bars(points))
        charts.to_svg(charts.pareto([*points, replace(points[0], name="b", latency_ms=1.0)]))
        assert dict(mpl.rcParams) == before

    def test_long_and_strange_names_fit(self) -> None:
        assert charts.shortened("hammer") == "hammer"
        assert len(charts.shortened("x" * 300)) == charts.LONGEST_NAME
        assert "\x07" not in charts.shortened("a\x07b")

    def test_png_has_the_size_that_is_meant(self) -> None:
        matrix = np.eye(3, dtype=np.int64) * 7
        picture = Image.open(io.BytesIO(charts.to_png(charts.confusion(matrix, ("a", "b", "c")))))
        assert min(picture.size) > 300


@pytest.mark.parametrize("context", [ReportContext, CheckContext])
def test_templates_use_only_documented_fields(
    context: type[ReportContext] | type[CheckContext],
) -> None:
    """What a page may show is what its context documents, each field of it is used."""
    environment = template_environment()
    # Loop variables that a template is included with.
    local = {"model", "sight"}
    used: set[str] = set()
    for name in environment.list_templates():
        source, *_ = environment.loader.get_source(environment, name)
        if name.endswith(".j2") and (name == "check.html.j2") == (context is CheckContext):
            used |= jinja2.meta.find_undeclared_variables(environment.parse(source))
    assert used - local == {field.name for field in fields(context)}
    for field in fields(context):
        assert re.search(rf"^    .*\b{field.name}\b", context.__doc__ or "", re.MULTILINE)


# Colours of the style sheet


def style_text() -> str:
    source, *_ = jinja2.PackageLoader("pegboard.report").get_source(
        jinja2.Environment(autoescape=True), "style.css"
    )
    return source


def style_colours(scheme: str) -> dict[str, tuple[float, ...]]:
    blocks = re.findall(r":root \{(.*?)\}", style_text(), re.DOTALL)
    colours: dict[str, tuple[float, ...]] = {}
    for block in blocks[: {"light": 1, "dark": 2}[scheme]]:
        for name, value in re.findall(r"--([a-z-]+): #([0-9a-f]{6});", block):
            colours[name] = tuple(int(value[i : i + 2], 16) for i in (0, 2, 4))
        for name, value in re.findall(r"--(hit|miss): ([\d, ]+);", block):
            colours[name] = tuple(int(part) for part in value.split(","))
    return colours


def shades() -> list[float]:
    return [float(value) for value in re.findall(r"--shade: ([\d.]+);", style_text())]


def blend(front: Sequence[float], back: Sequence[float], alpha: float) -> tuple[float, ...]:
    return tuple(alpha * f + (1 - alpha) * b for f, b in zip(front, back, strict=True))


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    """Contrast ratio of WCAG 2.2."""

    def luminance(colour: Sequence[float]) -> float:
        parts = [value / 255 for value in colour]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("difference", "decimals", "shown"),
    [(-0.0004, 3, "+0.000"), (-0.0, 1, "+0.0"), (-1.26, 1, "-1.3"), (0.05, 3, "+0.050")],
)
def test_a_difference_that_rounds_to_zero_has_no_minus(
    difference: float, decimals: int, shown: str
) -> None:
    assert signed(difference, decimals) == shown
