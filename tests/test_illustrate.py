from __future__ import annotations

import contextlib
import io
import json
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.neighbors import NearestNeighbors

from boards import digit_answers
from conftest import SHAPES, draw_photo
from pegboard.augment import augmented_views
from pegboard.budget import Budget
from pegboard.cli import run
from pegboard.evaluate import Predictions, read_predictions
from pegboard.evidence import Evidence
from pegboard.illustrate import illustrate
from pegboard.illustrate.choice import (
    GROUPS,
    MISTAKES,
    OF_GROUP,
    RIGHT,
    SAMPLES,
    Exhibit,
    groups_kept_together,
    in_turn,
    right_paths,
    samples,
    wrong_paths,
)
from pegboard.illustrate.make import AUGMENTED, HEATS, SEEN, VIEWS, heat_seconds
from pegboard.illustrate.nearest import LOOKED_AT, NEIGHBOURS, centred, nearest
from pegboard.inputs import InputSpec, fitted
from pegboard.learn import Job, Task
from pegboard.loader import Photos
from pegboard.manifest import ManifestRow, read_manifest
from pegboard.models.registry import parse_model_name
from pegboard.photos import SPLITS
from pegboard.predict import Predictor
from pegboard.prepare import assignments, plan_models, prepare
from pegboard.progress import Progress
from pegboard.recipes import DIGIT_SHIFT, PHOTO_LIGHT, Augmentation, recipe_for
from pegboard.runs import ModelFolder, RunFolder
from pegboard.settings import CompareSettings

FEW = settings(max_examples=25, deadline=None)


# --- which photos ---------------------------------------------------------------------------


def exhibit(name: str, test: Predictions) -> Exhibit:
    parsed, spec = parse_model_name(name), InputSpec(8, 8, 1)
    recipe = recipe_for(parsed, spec, classes=test.classes, training_photos=1000)
    job = Job(parsed, spec, recipe, None, 0)
    return Exhibit(job, (), ModelFolder(Path(name), name), test)


@pytest.fixture(scope="module")
def digits() -> list[Exhibit]:
    """Three classifiers' real answers; the last one answers 3 to everything."""
    answers = digit_answers()
    names = {"cnn": "cnn", "nn": "lm", "lm": "mobilenetv2"}
    return [exhibit(name, answers[source][1]) for name, source in names.items()]


def cells(exhibit: Exhibit) -> dict[str, tuple[int, int]]:
    test = exhibit.test
    return {
        path: (int(label), int(predicted))
        for path, label, predicted in zip(test.paths, test.labels, test.predicted, strict=True)
    }


@FEW
@given(st.lists(st.lists(st.integers()), max_size=6))
def test_in_turn_takes_one_of_each(queues: list[list[int]]) -> None:
    taken = list(in_turn(queues))
    assert Counter(taken) == Counter(item for queue in queues for item in queue)
    longest = max(map(len, queues), default=0)
    expected = [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]
    assert taken == expected


class TestChoice:
    def test_mistakes_are_the_most_confident_wrong_answers(self, digits: list[Exhibit]) -> None:
        for shown in digits:
            wrong = shown.mistakes
            assert set(wrong) == set(np.flatnonzero(~shown.test.right).tolist())
            confidence = shown.test.probabilities.max(axis=1)[wrong]
            assert (np.diff(confidence) <= 0).all()

    def test_every_confusion_of_every_model_is_met_before_any_second_photo(
        self, digits: list[Exhibit]
    ) -> None:
        first = sum(
            len({cell for cell in cells(shown).values() if cell[0] != cell[1]}) for shown in digits
        )
        early = list(islice(wrong_paths(digits), first))
        for shown in digits:
            of_path = cells(shown)
            met = {of_path[path] for path in early}
            assert {cell for cell in of_path.values() if cell[0] != cell[1]} <= met

    def test_every_mistake_comes_up(self, digits: list[Exhibit]) -> None:
        wrong = {shown.test.paths[index] for shown in digits for index in shown.mistakes}
        assert set(wrong_paths(digits)) == wrong

    def test_right_answers_of_each_class_and_model(self, digits: list[Exhibit]) -> None:
        chosen = set(right_paths(digits))
        for shown in digits:
            of_class = defaultdict(list)
            for path, (label, predicted) in cells(shown).items():
                if label == predicted:
                    of_class[label].append(path)
            for paths in of_class.values():
                assert len(chosen & set(paths)) >= min(RIGHT, len(paths))
        # Photos serve several models, so there are far fewer than eight for each of them.
        assert len(chosen) <= 10 * RIGHT * 1.5

    @FEW
    @given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=12), copies=st.integers(1, 4))
    def test_samples_are_training_photos_of_their_class_without_copies(
        self, sizes: list[int], copies: int
    ) -> None:
        rows = [
            ManifestRow(f"{label}/{i}", str(label), "train", f"{label}-{i // copies}", "")
            for label, size in enumerate(sizes)
            for i in range(size)
        ]
        train = np.arange(0, len(rows), 2)
        classes = [str(label) for label in range(len(sizes))]
        found = samples(rows, train, classes)
        by_path = {rows[index].path: rows[index] for index in train}
        assert list(found) == classes
        for label, paths in found.items():
            groups = {row.group for row in by_path.values() if row.label == label}
            assert len(paths) == min(SAMPLES, len(groups))
            assert {by_path[path].label for path in paths} <= {label}
            assert len({by_path[path].group for path in paths}) == len(paths)

    def test_many_classes_have_fewer_samples_each(self) -> None:
        rows = [ManifestRow(f"{i}", f"{i // 9}", "train", f"{i}", "") for i in range(2700)]
        found = samples(rows, np.arange(2700), [str(label) for label in range(300)])
        assert {len(paths) for paths in found.values()} == {2}

    def test_many_photos_and_classes_take_no_time(self) -> None:
        rng = np.random.default_rng(0)
        paths = tuple(f"{number}.jpg" for number in range(30_000))
        answers = rng.dirichlet(np.ones(100), len(paths))
        labels = np.where(rng.random(len(paths)) < 0.5, answers.argmax(axis=1), 0)
        classes = tuple(f"class {number}" for number in range(100))
        many = [exhibit("lm", Predictions(paths, labels, answers, classes, paths))] * 3
        started = time.process_time()
        wrong, right = set(wrong_paths(many)), set(right_paths(many))
        assert time.process_time() - started < 5
        assert 14_000 < len(wrong) < 16_000
        assert len(right) == 100 * RIGHT

    def test_groups_kept_together(self) -> None:
        rows = [ManifestRow(f"{i}", "a", "train", f"{i % 40}", "") for i in range(250)]
        rows += [ManifestRow("alone", "a", "train", "", ""), ManifestRow("b", "a", "train", "", "")]
        found = groups_kept_together(rows)
        assert len(found) == GROUPS
        for group in found:
            assert len(group) == OF_GROUP
            assert len({int(path) % 40 for path in group}) == 1


@FEW
@given(
    known=st.integers(1, 60), asked=st.integers(1, 8), part=st.integers(1, 20), seed=st.integers()
)
def test_nearest_are_those_scikit_learn_finds(known: int, asked: int, part: int, seed: int) -> None:
    rng = np.random.default_rng(abs(seed))
    rows = rng.normal(size=(known, 5)).astype(np.float32)
    queries = rng.normal(size=(asked, 5)).astype(np.float32)
    numbers = rng.permutation(1000)[:known]
    parts = [
        (numbers[start : start + part], rows[start : start + part])
        for start in range(0, known, part)
    ]
    places, cosines = nearest(queries, parts)
    k = min(LOOKED_AT, known)
    second = NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute").fit(rows)
    distances, indices = second.kneighbors(queries)
    assert places.shape == (asked, k)
    assert cosines == pytest.approx(1 - distances, abs=1e-5)
    assert (places == numbers[indices]).mean() > 0.99


def test_brightness_and_contrast_play_no_part_in_pixels() -> None:
    photo = np.random.default_rng(0).integers(20, 90, (1, 8, 8, 1), dtype=np.uint8)
    other = np.random.default_rng(1).integers(0, 256, (1, 8, 8, 1), dtype=np.uint8)
    known = centred(np.concatenate((other, 2 * photo + 30)))
    places, cosines = nearest(centred(photo), [(np.arange(2), known)])
    assert places[0].tolist() == [1, 0]
    assert cosines[0, 0] == pytest.approx(1, abs=1e-5)


def test_augmented_views_are_changed_photos_and_always_the_same() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    views = augmented_views(photo, PHOTO_LIGHT, 5, seed=3)
    assert views.shape == (5, 32, 48, 3)
    assert views.dtype == np.uint8
    assert len({view.tobytes() for view in views} | {photo.tobytes()}) == 6
    assert (views == augmented_views(photo, PHOTO_LIGHT, 5, seed=3)).all()
    assert (augmented_views(photo, Augmentation(), 2) == photo).all()
    shifted = augmented_views(photo[:28, :28, :1], DIGIT_SHIFT, 9)
    assert (shifted[:, 4:-4, 4:-4].std(axis=(1, 2, 3)) > 0).all()


# --- a real run on photos -------------------------------------------------------------------


def call(folder: Path, *arguments: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = run(list(arguments))
    assert code == 0, err.getvalue()
    return err.getvalue()


def exif() -> Image.Exif:
    """What a phone writes: a photo lying on its side, a camera, a place."""
    tags = Image.Exif()
    tags[0x0112] = 6
    tags[0x010F] = "SECRETCAMERA"
    tags.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 40.0)})
    return tags


def draw_tree(root: Path, per_class: int) -> Path:
    chance = np.random.default_rng(0)
    for shape in SHAPES:
        (root / shape).mkdir(parents=True)
        for number in range(per_class):
            photo = draw_photo(shape, chance, (128, 96))
            file = root / shape / f"{number:02d}.jpg"
            photo.save(file, exif=exif(), quality=92, comment=b"SECRETCOMMENT")
        (root / shape / "copy.jpg").write_bytes((root / shape / "00.jpg").read_bytes())
    return root


MODELS = ("cnn4", "lm")
COMMAND = (
    "compare", "photos", "--models", ",".join(MODELS), "--epochs", "1", "--image-size", "48",
    "--fit", "letterbox", "--out", "run",
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PEGBOARD_CACHE", str(tmp_path_factory.getbasetemp() / "pegboard-cache"))
        here = tmp_path_factory.mktemp("shapes")
        draw_tree(here / "photos", 16)
        call(here, *COMMAND)
        yield here


@pytest.fixture(scope="module")
def folder(place: Path) -> RunFolder:
    return RunFolder(place / "run")


@pytest.fixture(scope="module")
def evidence(folder: RunFolder) -> Evidence:
    found = Evidence.read(folder)
    assert found is not None
    return found


def answers_of(folder: RunFolder, models: Sequence[str] = MODELS) -> dict[str, Predictions]:
    return {name: read_predictions(folder.model(name).predictions, {})["test"] for name in models}


class TestRun:
    def test_every_wrong_answer_has_a_thumbnail(
        self, folder: RunFolder, evidence: Evidence
    ) -> None:
        assert evidence.notes == ()
        for test in answers_of(folder).values():
            wrong = {test.paths[index] for index in np.flatnonzero(~test.right)}
            assert wrong
            assert wrong <= evidence.thumbnails.keys()

    def test_the_mistakes_are_those_of_the_predictions(
        self, folder: RunFolder, evidence: Evidence
    ) -> None:
        best = json.loads(folder.leaderboard.read_text())["best"]
        assert next(iter(evidence.models)) == best
        assert set(evidence.models) == set(MODELS)
        for name, test in answers_of(folder).items():
            sure = test.probabilities.max(axis=1)
            order = [i for i in np.argsort(-sure, kind="stable") if not test.right[i]]
            mistakes = evidence.models[name].mistakes
            assert [m.path for m in mistakes] == [test.paths[i] for i in order[:MISTAKES]]
            hot = MISTAKES if name == best else HEATS
            assert all(mistake.heat for mistake in mistakes[:hot])
            assert not any(mistake.heat for mistake in mistakes[hot:])

    def test_neighbours_are_training_photos_and_no_copies(
        self, folder: RunFolder, evidence: Evidence
    ) -> None:
        assert evidence.neighbours_by.startswith("pixels at 48 x 48 px")
        train = {row.path: row for row in read_manifest(folder.manifest) if row.split == "train"}
        for model in evidence.models.values():
            for mistake in model.mistakes:
                near = mistake.neighbours
                assert len(near) == NEIGHBOURS
                assert all(train[one.path].label == one.label for one in near)
                assert len({train[one.path].group for one in near}) == NEIGHBOURS
                likeness = [one.similarity for one in near]
                assert likeness == sorted(likeness, reverse=True)
                assert {one.path for one in near} <= evidence.thumbnails.keys()

    def test_samples_and_copies_are_shown(self, folder: RunFolder, evidence: Evidence) -> None:
        splits = {row.path: row.split for row in read_manifest(folder.manifest)}
        assert set(evidence.samples) == set(SHAPES)
        for label, paths in evidence.samples.items():
            assert len(paths) == SAMPLES
            assert all(splits[path] == "train" and path.startswith(label) for path in paths)
            assert set(paths) <= evidence.thumbnails.keys()
        copies = {frozenset((f"{shape}/00.jpg", f"{shape}/copy.jpg")) for shape in SHAPES}
        assert {frozenset(group) for group in evidence.duplicates} == copies
        for group in evidence.duplicates:
            assert len({evidence.thumbnails[path] for path in group}) == 1  # equal pictures

    def test_what_the_models_see(self, place: Path, folder: RunFolder, evidence: Evidence) -> None:
        for name, model in evidence.models.items():
            spec = Predictor.load(folder.model(name).bundle).info.input
            assert len(model.seen) == SEEN
            assert {views.path.split("/")[0] for views in model.seen} == set(SHAPES)
            for views in model.seen:
                expected = fitted((place / "photos" / views.path).read_bytes(), spec)
                (picture,) = views.pictures
                assert (evidence.pixels(picture) == expected).all()

    def test_augmented_views_where_the_recipe_augments(self, evidence: Evidence) -> None:
        views = evidence.models["cnn4"].augmented
        assert [len(view.pictures) for view in views] == [VIEWS] * AUGMENTED
        assert len({name for view in views for name in view.pictures}) == VIEWS * AUGMENTED
        assert evidence.models["lm"].augmented == ()

    def test_layers_add_up_to_the_leaderboard(self, folder: RunFolder, evidence: Evidence) -> None:
        for row in json.loads(folder.leaderboard.read_text())["models"]:
            if not row["baseline"]:
                layers = evidence.models[row["name"]].layers
                assert sum(layer.parameters for layer in layers) == row["params"]
                assert layers[-1].output_shape == (3,)

    def test_no_picture_says_where_it_was_taken(self, folder: RunFolder) -> None:
        with zipfile.ZipFile(folder.pictures) as archive:
            contents = {name: archive.read(name) for name in archive.namelist()}
        assert len(contents) > 50
        for data in contents.values():
            image = Image.open(io.BytesIO(data))
            assert not image.getexif()
            assert {"exif", "icc_profile", "xmp", "comment"}.isdisjoint(image.info)
            assert b"SECRET" not in data
        # Photos were turned as their EXIF says: they are higher than they are wide.
        evidence = Evidence.read(folder)
        for name in evidence.thumbnails.values():
            assert Image.open(io.BytesIO(contents[name])).size == (72, 96)


# --- the same photos and models again -------------------------------------------------------


@dataclass(frozen=True)
class Told(Progress):
    """Keeps what it is told."""

    lines: list[str] = field(default_factory=list)

    def message(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def finished(place: Path, folder: RunFolder) -> Iterator[tuple[Photos, list[Exhibit]]]:
    """Photos and models of the run, as they are at its end."""
    source = str(place / "photos")
    options = CompareSettings(
        source=source, models=",".join(MODELS), epochs=1, image_size=48, fit="letterbox"
    )
    prepared = prepare(options, previous=assignments(folder.manifest))
    photos = Photos(prepared.source, prepared.split.rows)
    keys = [photo.pixels for photo in prepared.photos]
    parts = [prepared.indices(split) for split in SPLITS]
    task = Task(photos, keys, prepared.classes, prepared.labels, *parts, prepared.fingerprint)
    plans = {plan.name.typed: plan for plan in plan_models(prepared, options, "letterbox")}
    answers = answers_of(folder)
    exhibits = []
    for name in Evidence.read(folder).models:  # best first
        plan = plans[name]
        job = Job(plan.name, plan.spec, plan.recipe, plan.weights, 0)
        exhibits.append(Exhibit(job, [task], folder.model(name), answers[name]))
    yield photos, exhibits
    photos.close()


Finished = tuple[Photos, list[Exhibit]]


class TestAgain:
    def test_gives_the_same_bytes(
        self, tmp_path: Path, folder: RunFolder, finished: Finished
    ) -> None:
        again = RunFolder(tmp_path)
        assert illustrate(again, *finished) == Evidence.read(folder) == Evidence.read(again)
        assert again.evidence.read_bytes() == folder.evidence.read_bytes()
        assert again.pictures.read_bytes() == folder.pictures.read_bytes()

    def test_a_failure_is_told_and_leaves_nothing_half_done(
        self, tmp_path: Path, finished: Finished
    ) -> None:
        run, told = RunFolder(tmp_path), Told()
        run.evidence.write_text("of an earlier run")
        run.pictures.mkdir()  # cannot be replaced by a file
        assert illustrate(run, *finished, progress=told) is None
        (line,) = told.lines
        assert line.startswith("note: the report has no photos: cannot write")
        assert not run.evidence.exists()
        assert Evidence.read(run) is None

    def test_no_time_at_all(self, tmp_path: Path, finished: Finished) -> None:
        run, told = RunFolder(tmp_path), Told()
        run.evidence.write_text("of an earlier run")
        spent = Budget(0.0)
        assert illustrate(run, *finished, budget=spent, progress=told) is None
        assert told.lines == ["note: the budget leaves no time for photos in the report"]
        assert list(tmp_path.iterdir()) == []

    def test_little_time_leaves_out_what_costs_most_and_says_so(
        self, tmp_path: Path, finished: Finished
    ) -> None:
        # A clock on which every look takes a third of a second.
        ticks = count()
        budget = Budget(3.0, clock=lambda: next(ticks) / 3)
        evidence = illustrate(RunFolder(tmp_path), *finished, budget=budget)
        assert evidence.thumbnails
        assert all(model.layers and model.seen for model in evidence.models.values())
        assert not any(m.heat for model in evidence.models.values() for m in model.mistakes)
        assert any("looked: left out, there was no time for it" in note for note in evidence.notes)

    def test_photos_that_have_gone_are_counted(
        self, tmp_path: Path, place: Path, finished: Finished
    ) -> None:
        photos, exhibits = finished
        gone = exhibits[0].test.paths[exhibits[0].mistakes[0]]
        file = place / "photos" / gone
        payload = file.read_bytes()
        file.unlink()
        try:
            evidence = illustrate(RunFolder(tmp_path), photos, exhibits)
        finally:
            file.write_bytes(payload)
        assert gone not in evidence.thumbnails
        assert len(evidence.thumbnails) > 25
        (first, *others) = evidence.models[exhibits[0].name].mistakes
        assert (first.path, first.heat, first.neighbours) == (gone, None, ())
        assert all(mistake.heat and mistake.neighbours for mistake in others)
        (note,) = evidence.notes
        assert note.startswith(f"1 photo could not be shown: {gone} was readable at intake")

    def test_a_model_without_a_bundle_has_no_heat(self, tmp_path: Path, finished: Finished) -> None:
        photos, exhibits = finished
        first = replace(exhibits[0], folder=ModelFolder(tmp_path / "none", "none"))
        evidence = illustrate(RunFolder(tmp_path), photos, [first, *exhibits[1:]])
        assert not any(m.heat for m in evidence.models[first.name].mistakes)
        assert any(m.heat for m in evidence.models[exhibits[1].name].mistakes)
        assert any(note.startswith(f"where {first.name} looked") for note in evidence.notes)


# --- other kinds of runs --------------------------------------------------------------------


def test_pictures_of_a_quick_run_are_quick() -> None:
    assert [heat_seconds(run) for run in (0, 30, 100, 1000)] == [3, 3, 5, 20]


def test_folds_pool_their_test_photos(tmp_path: Path) -> None:
    call(
        tmp_path, "compare", "digits", "--models", "lm", "--epochs", "1", "--folds", "3",
        "--out", "run",
    )  # fmt: skip
    folder = RunFolder(tmp_path / "run")
    evidence = Evidence.read(folder)
    test = answers_of(folder, ["lm"])["lm"]
    assert len(test) == 1797
    mistakes = evidence.models["lm"].mistakes
    assert len(mistakes) == MISTAKES
    # Each photo's neighbours are of its own fold's training photos; where the model looked is
    # only shown for photos it had not seen.
    assert all(len(mistake.neighbours) == NEIGHBOURS for mistake in mistakes)
    assert 0 < sum(mistake.heat is not None for mistake in mistakes) < MISTAKES


def test_a_tiny_budget_still_finishes(tmp_path: Path) -> None:
    call(
        tmp_path, "compare", "digits", "--models", "lm", "--epochs", "2000", "--budget", "14s",
        "--out", "run",
    )  # fmt: skip
    folder = RunFolder(tmp_path / "run")
    assert folder.report.is_file()
    evidence = Evidence.read(folder)
    assert evidence is None or evidence.models.keys() == {"lm"}
