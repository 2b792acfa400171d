"""The page's photos, cells and figures: the right ones, each once, whatever a file is called."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegboard.evaluate import Predictions
from pegboard.evidence import Evidence, Mistake, ModelEvidence, Neighbour, Views
from pegboard.manifest import read_manifest
from pegboard.models.layer_row import LayerRow
from pegboard.pictures import Album, encode
from pegboard.report.gather import build_context
from pegboard.report.numbers import percent_of
from pegboard.report.pieces import Chart
from pegboard.report.render import render
from pegboard.report.run import Run
from pegboard.report.store import Pictures, photo_store, safe_json, wanted_pictures
from pegboard.runs import RunFolder
from run_folders import Page, make_run

HOSTILE = ("</script><script>alert(1)</script>", "\u202egnp.\"'", "caf\udce9", "$(rm), 'a'")


def picture(number: int) -> bytes:
    """A picture that differs from that of every other number."""
    rng = np.random.default_rng(number)
    return encode(rng.integers(0, 256, (24, 18, 3), dtype=np.uint8))


def give_evidence(folder: Path, *, per_class: int = 3) -> Evidence:
    """Write evidence for a run of :func:`make_run`, with a picture of every second photo."""
    run = Run.read(RunFolder(folder))
    album = Album()
    tests = [row.path for row in run.manifest if row.split == "test"]
    trained = [row for row in run.manifest if row.split == "train"]
    samples = {
        label: tuple(row.path for row in trained if row.label == label)[:per_class]
        for label in run.classes
    }
    shown = [*tests[::2], *(path for paths in samples.values() for path in paths)]
    thumbnails = {path: album.add(picture(number)) for number, path in enumerate(shown)}
    near = tuple(Neighbour(row.path, row.label, 0.5) for row in trained[:3])
    models = {}
    for number, name in enumerate(model["name"] for model in run.models if not model["baseline"]):
        answers = run.answers(name)
        wrong = [
            path for path, right in zip(answers.paths, answers.right, strict=True) if not right
        ]
        models[name] = ModelEvidence(
            layers=(LayerRow("conv", "Conv2d 3x3", (26, 26, 32), 320),),
            seen=(Views(tests[0], (album.add(picture(1000 + number)),)),),
            augmented=(Views(tests[0], (album.add(picture(2000 + number)),)),),
            mistakes=tuple(
                Mistake(path, near, album.add(picture(3000 + place)) if place < 2 else None)
                for place, path in enumerate(wrong)
            ),
        )
    evidence = Evidence(
        thumbnails,
        samples,
        models,
        ((tests[0], tests[1]),),
        "features of a net",
        (),
        album.pictures,
    )
    evidence.write(RunFolder(folder))
    return evidence


class Elements(HTMLParser):
    """Every element's tag, attributes, and text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._script = tag == "script"
        if self._script:
            self.scripts.append("")

    handle_startendtag = handle_starttag

    def handle_endtag(self, tag: str) -> None:
        self._script = False

    def handle_data(self, data: str) -> None:
        if self._script:
            self.scripts[-1] += data

    def having(self, attribute: str) -> list[dict[str, str | None]]:
        return [attributes for _, attributes in self.found if attribute in attributes]

    @property
    def island(self) -> Any:
        return json.loads(self.scripts[0])


class PlainShelf:
    """Takes every figure and draws none: the page without the seconds that matplotlib needs."""

    def put(self, name: str, figure: object, *, caption: str, alt: str) -> Chart:
        return Chart("<svg></svg>", caption, f"plots/{name}.png")


def text_of(folder: Path) -> str:
    return render(build_context(Run.read(RunFolder(folder)), PlainShelf()))


def elements_of(folder: Path) -> Elements:
    return Elements(text_of(folder))


@pytest.fixture(scope="session")
def photo_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "run"
    make_run(folder, models={"cnn": 1.4, "probe": 0.6}, per_class=60, draws=20, seeds=2)
    give_evidence(folder)
    return folder


@pytest.fixture(scope="session")
def page_text(photo_run: Path) -> str:
    return text_of(photo_run)


@pytest.fixture(scope="session")
def page(page_text: str) -> Elements:
    return Elements(page_text)


def rows_of(folder: Path, model: str) -> list[dict[str, str]]:
    with (folder / "models" / model / "predictions.csv").open(encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["split"] == "test"]


class TestFigures:
    def test_each_is_the_one_at_its_place_in_the_leaderboard(
        self, photo_run: Path, page: Elements
    ) -> None:
        board = json.loads((photo_run / "leaderboard.json").read_text("utf-8"))
        places = Counter()
        for attributes in page.having("data-figure"):
            place = attributes["data-figure"]
            value = board
            for key in place.split("/")[1:]:
                value = value[int(key)] if isinstance(value, list) else value[key]
            assert json.loads(attributes["data-exact"]) == value, place
            places[re.sub(r"/\d+(?=/)", "/#", place)] += 1
        models, classes = 3, 6
        assert places["/models/#/accuracy"] >= models
        assert places["/models/#/accuracy_ci"] >= models
        assert places["/models/#/mean/accuracy"] >= models - 1
        for figure in ("precision", "recall", "f1", "f1_ci", "support"):
            assert places[f"/models/#/per_class/#/{figure}"] == (models - 1) * classes, figure
        assert places["/comparisons/#/p_adjusted"] == len(board["comparisons"])

    def test_cells_hold_the_counts_of_the_predictions(
        self, photo_run: Path, page: Elements
    ) -> None:
        classes = page.island["classes"]
        for model in ("cnn", "probe"):
            expected = Counter(
                (row["label"], row["predicted"]) for row in rows_of(photo_run, model)
            )
            shown = {
                (classes[int(cell["data-true"])], classes[int(cell["data-predicted"])]): int(
                    cell["aria-label"].split()[0]
                )
                for cell in page.having("data-cell")
                if cell["data-model"] == f"model-{model}" and "title" in cell
            }
            assert shown == expected


class TestPhotos:
    def test_the_island_says_what_the_models_said(self, photo_run: Path, page: Elements) -> None:
        island = page.island
        photos = {photo["path"]: photo for photo in island["photos"].values()}
        assert [model["name"] for model in island["models"]] == ["cnn", "probe"]
        for place, model in enumerate(("cnn", "probe")):
            rows = rows_of(photo_run, model)
            assert {row["path"] for row in rows} == photos.keys()
            for row in rows:
                photo = photos[row["path"]]
                assert island["classes"][photo["true"]] == row["label"]
                said = {island["classes"][index]: p for index, p in photo["answers"][place]}
                assert next(iter(said)) == row["predicted"]
                assert row["label"] in said
                assert len(said) >= 3
                for label, probability in said.items():
                    assert probability == pytest.approx(float(row[f"p_{label}"]), abs=6e-5)

    def test_each_picture_is_there_once_and_is_the_right_one(
        self, photo_run: Path, page: Elements
    ) -> None:
        evidence = Evidence.read(RunFolder(photo_run))
        uris = {a["id"]: a["href"] for tag, a in page.found if tag == "image"}
        assert len(set(uris.values())) == len(uris) == len(evidence.pictures)
        for photo in page.island["photos"].values():
            name = evidence.thumbnails.get(photo["path"])
            assert bool(photo["picture"]) == (name is not None)
            if name is not None:
                data = base64.b64decode(uris[photo["picture"]].partition(",")[2])
                assert data == evidence.picture(name)
        for tag, attributes in page.found:
            if tag == "use" and attributes["href"].startswith("#p"):
                assert attributes["href"][1:] in uris

    def test_mistakes_are_those_of_the_predictions_the_surest_first(
        self, photo_run: Path, page: Elements
    ) -> None:
        rows = [row for row in rows_of(photo_run, "cnn") if row["label"] != row["predicted"]]
        rows.sort(key=lambda row: -float(row[f"p_{row['predicted']}"]))
        shown = [a["data-path"] for a in page.having("data-path")]
        expected = [row["path"] for row in rows][:24]
        assert shown[: len(expected)] == expected
        assert len(expected) > 3

    def test_what_is_said_beside_them(self, page_text: str) -> None:
        text = Page(page_text).text
        assert "where the model looked" in text
        assert "features of a net" in text
        assert "A sample of every class" in text
        assert "26 \N{MULTIPLICATION SIGN} 26 \N{MULTIPLICATION SIGN} 32" in text
        assert "of the 126 test photos are shown with a picture" in text

    def test_no_more_than_the_budget_and_the_most_useful_first(self, photo_run: Path) -> None:
        run = Run.read(RunFolder(photo_run))
        answers = {name: run.answers(name) for name in ("cnn", "probe")}
        wanted = list(wanted_pictures(run.evidence, answers, {"cnn": 24, "probe": 12}))
        assert set(wanted) == set(run.evidence.pictures)
        some = Pictures(run.evidence, wanted, budget=20_000)
        assert 0 < sum(len(one.uri) for one in some.stored) <= 20_000
        mistakes = [mistake.path for mistake in run.evidence.models["cnn"].mistakes]
        shown = [path for path in run.evidence.thumbnails if some.of(path)]
        assert shown
        near = {n.path for m in run.evidence.models["cnn"].mistakes for n in m.neighbours}
        assert set(shown) <= {*mistakes, *near}
        store = photo_store(answers, {"cnn": "a", "probe": "b"}, some)
        pictured = len(set(shown) - near)
        assert store.note.startswith(f"{pictured} of the 126 test photos")

    def test_too_many_photos_leave_the_right_answers_out(self) -> None:
        number = 30_000
        answers = Predictions(
            paths=[f"{index}.png" for index in range(number)],
            labels=np.zeros(number, dtype=np.int64),
            probabilities=np.tile([0.75, 0.25], (number, 1)),
            classes=("a", "b"),
            groups=[""] * number,
        )
        answers.probabilities[-5:] = [0.25, 0.75]
        store = photo_store({"m": answers}, {"m": "m"}, Pictures(None, ()))
        photos = json.loads(store.island)["photos"]
        assert len(photos) < number
        assert [photo["path"] for photo in list(photos.values())[:5]] == [
            f"{index}.png" for index in range(number - 5, number)
        ]
        assert len(store.island) < 4_000_000

    def test_a_run_without_evidence_says_so(self, tmp_path: Path) -> None:
        make_run(tmp_path / "run", models={"cnn": 1.0}, per_class=24, draws=5)
        text = Page(text_of(tmp_path / "run")).text
        assert "kept no pictures of its photos" in text
        assert "Most frequent mistakes" in text
        assert "Most confused pairs" not in text

    def test_copies_are_counted_from_the_manifest(self, photo_run: Path, page_text: str) -> None:
        groups = Counter(row.group for row in read_manifest(photo_run / "manifest.csv"))
        assert max(groups.values()) == 1
        text = Page(page_text).text
        assert "No two photos had to be kept together" in text


class TestScripts:
    def test_the_policy_names_the_only_script_that_runs(self, page: Elements) -> None:
        policy = next(
            a["content"]
            for tag, a in page.found
            if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
        )
        assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'; ")
        data, script = page.scripts
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}'" in policy
        kinds = [a.get("type") for tag, a in page.found if tag == "script"]
        assert kinds == ["application/json", None]
        assert json.loads(data)
        assert not any(name.startswith("on") for _, a in page.found for name in a)

    @given(
        st.recursive(
            st.text() | st.floats(allow_nan=False, allow_infinity=False) | st.none(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=8,
        )
    )
    @settings(deadline=None, max_examples=60)
    def test_json_in_a_script_keeps_every_text_and_ends_no_element(self, value: Any) -> None:
        text = safe_json(value)
        assert json.loads(text) == value
        assert not set("<>&\u2028\u2029") & set(text)

    def test_hostile_names_stay_names(self, tmp_path: Path) -> None:
        folder = tmp_path / "run"
        make_run(folder, classes=HOSTILE, models={"a b/<i>": 0.7}, per_class=30, draws=5)
        give_evidence(folder)
        page = elements_of(folder)
        assert len(page.scripts) == 2
        names = [re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", name) for name in HOSTILE]
        assert page.island["classes"] == names
        assert page.island["models"] == [{"name": "a b/<i>", "id": "model-a-b--i--0"}]
        tags = {tag for tag, _ in page.found}
        assert not tags & {"i", "b", "iframe", "object", "embed"}
        ids = [attributes["id"] for attributes in page.having("id")]
        assert len(ids) == len(set(ids))
        assert not any(re.search(r"\s", name) for name in ids)


class TestSizes:
    @pytest.mark.parametrize("count", [1, 2, 15])
    def test_every_filled_cell_is_a_button(self, tmp_path: Path, count: int) -> None:
        folder = tmp_path / "run"
        classes = [f"class {index}" for index in range(count)]
        make_run(folder, classes=classes, models={"cnn": 1.0}, per_class=30, draws=5)
        give_evidence(folder)
        page = elements_of(folder)
        filled = {(row["label"], row["predicted"]) for row in rows_of(folder, "cnn")}
        cells = [a for tag, a in page.found if tag == "button" and "data-cell" in a]
        assert {
            (classes[int(a["data-true"])], classes[int(a["data-predicted"])]) for a in cells
        } == filled
        order = next(iter(page.having("data-similarity")))["data-similarity"]
        assert sorted(map(int, order.split())) == list(range(count))

    def test_three_hundred_classes(self, tmp_path: Path) -> None:
        folder = tmp_path / "run"
        classes = [f"{'very ' * 30}long name of class {index}" for index in range(300)]
        make_run(folder, classes=classes, models={"cnn": 1.5}, per_class=6, draws=5)
        give_evidence(folder, per_class=1)
        text = text_of(folder)
        page = Elements(text)
        assert not page.having("data-similarity")
        assert 10 < len(page.having("data-cell")) < 200
        assert len(text) < 6_000_000


@pytest.mark.parametrize(
    ("probability", "shown"),
    [(0, "0.0 %"), (0.0004, "< 0.1 %"), (0.5, "50.0 %"), (0.99951, "> 99.9 %"), (1, "100.0 %")],
)
def test_a_probability_is_not_shown_as_more_certain_than_it_is(
    probability: float, shown: str
) -> None:
    assert percent_of(probability).replace("\N{NO-BREAK SPACE}", " ") == shown
