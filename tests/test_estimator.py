"""ImageClassifier keeps scikit-learn's rules, and trains on what it is given."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

import pegboard
from pegboard import ImageClassifier
from pegboard.errors import InputError, ModelError

EXPECTED_FAILURES: dict[str, str] = {}
"""scikit-learn's checks that pictures cannot pass, with the reason: none at present."""


@parametrize_with_checks(
    [
        # Rows of numbers as pictures one pixel high; black and white are the ends of the data.
        ImageClassifier(
            "lm", epochs=12, batch_size=16, learning_rate=0.05, pixel_range="data", threads=1
        )
    ],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_the_rules_of_scikit_learn(estimator: ImageClassifier, check: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """300 pictures (8, 8) uint8 and their labels."""
    bunch = load_digits()
    return np.rint(bunch.images[:300] * 255 / 16).astype(np.uint8), bunch.target[:300]


@pytest.fixture(scope="module")
def trained(digits: tuple[np.ndarray, np.ndarray]) -> ImageClassifier:
    return small().fit(*digits)


def small(**options: Any) -> ImageClassifier:
    return ImageClassifier("nn", **{"epochs": 6, "threads": 1} | options)


def files_of(pictures: np.ndarray, folder: Path) -> list[Path]:
    paths = [folder / f"{number}.png" for number in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    return paths


class TestTraining:
    def test_it_learns(self, trained, digits) -> None:
        assert trained.score(*digits) > 0.85
        assert len(trained.history_) == 6

    def test_the_held_out_pictures_are_those_the_history_is_about(self, trained, digits) -> None:
        x, y = digits
        held = trained.validation_
        accuracy = accuracy_score(y[held], trained.predict(x[held]))
        figures = [row["val_accuracy"] for row in trained.history_]
        assert np.isclose(figures, accuracy).any()
        assert abs(len(held) - 0.15 * len(x)) <= 5
        assert set(y[held]) == set(range(10))

    def test_copies_are_never_held_out_alone(self, digits) -> None:
        x, y = digits[0][:60], digits[1][:60]
        doubled = small(epochs=1).fit(np.concatenate((x, x)), np.concatenate((y, y)))
        held = set(doubled.validation_.tolist())
        assert held
        assert {(index + 60) % 120 for index in held} == held

    def test_the_same_number_gives_the_same_model(self, digits) -> None:
        first, again, other = (
            small(epochs=1, random_state=seed).fit(*digits) for seed in (1, 1, 2)
        )
        assert np.array_equal(first.predict_proba(digits[0]), again.predict_proba(digits[0]))
        assert not np.allclose(first.predict_proba(digits[0]), other.predict_proba(digits[0]))
        assert not np.array_equal(first.validation_, other.validation_)

    def test_a_generator_is_drawn_from(self, digits) -> None:
        def fit(state: np.random.RandomState) -> np.ndarray:
            return small(epochs=1, random_state=state).fit(*digits).validation_

        state = np.random.RandomState(0)
        first, second = fit(state), fit(state)
        assert not np.array_equal(first, second)
        assert np.array_equal(first, fit(np.random.RandomState(0)))

    def test_the_order_of_pictures_plays_no_part_in_what_is_held_out(self, digits) -> None:
        x, y = digits
        order = np.random.default_rng(0).permutation(len(x))
        forward = small(epochs=1).fit(x, y).validation_
        shuffled = small(epochs=1).fit(x[order], y[order]).validation_
        assert set(order[shuffled].tolist()) == set(forward.tolist())

    def test_one_picture_under_two_labels_is_told(self, digits) -> None:
        x, y = digits[0][:40], digits[1][:40].copy()
        x = np.concatenate((x, x[:1]))
        with pytest.warns(UserWarning, match="2 pictures stand there under several labels"):
            small(epochs=1).fit(x, np.append(y, (y[0] + 1) % 10))


class TestLabels:
    def test_words(self, digits) -> None:
        x, y = digits
        words = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven"])
        kept = y < 8
        classifier = small().fit(x[kept], words[y[kept]])
        assert list(classifier.classes_) == sorted(words)
        assert classifier.model_.classes == tuple(sorted(words))
        assert classifier.score(x[kept], words[y[kept]]) > 0.85

    def test_numbers_keep_their_order_and_type(self, digits) -> None:
        x, y = digits
        kept = y < 3
        numbers = np.array([10, 2, -1])[y[kept]]
        classifier = small().fit(x[kept], numbers)
        assert classifier.classes_.tolist() == [-1, 2, 10]
        assert classifier.predict(x[kept]).dtype == numbers.dtype
        assert classifier.score(x[kept], numbers) > 0.9


class TestPictures:
    """The same pictures give the same answers, however they come."""

    def test_files_images_arrays_and_columns(self, trained, digits, tmp_path: Path) -> None:
        x = digits[0][:20]
        expected = trained.predict_proba(x)
        paths = files_of(x, tmp_path)
        for given in (
            paths,
            [str(path) for path in paths],
            np.array([str(path) for path in paths]),
            pd.Series([str(path) for path in paths]),
            pd.DataFrame({"photo": [str(path) for path in paths]}),
            [Image.fromarray(picture) for picture in x],
            list(x),
            x[..., None],
            x.astype(np.int64),
            x.astype(float),
        ):
            assert np.allclose(trained.predict_proba(given), expected, atol=1e-6), type(given)

    def test_learning_from_files_is_learning_from_their_pixels(self, digits, tmp_path) -> None:
        x, y = digits[0][:80], digits[1][:80]
        paths = files_of(x, tmp_path)
        from_arrays, from_files = small().fit(x, y), small().fit(paths, y)
        assert from_files.model_.info.input == from_arrays.model_.info.input
        assert np.array_equal(from_files.predict_proba(x), from_files.predict_proba(paths))
        # Another split (it goes by the files' checksums), so not the very same model.
        assert abs(from_files.score(x, y) - from_arrays.score(x, y)) < 0.1

    def test_rows_with_a_shape_are_pictures(self, trained, digits) -> None:
        x, y = digits
        rows = small(image_shape=(8, 8)).fit(x.reshape(len(x), -1), y)
        assert np.array_equal(rows.predict_proba(x.reshape(len(x), -1)), trained.predict_proba(x))
        assert rows.n_features_in_ == 64

    def test_black_and_white_can_be_said(self, trained, digits) -> None:
        x, y = digits
        sixteenths = load_digits().images[: len(x)]
        said = small(pixel_range=(0, 16)).fit(sixteenths, y)
        assert np.array_equal(said.predict_proba(sixteenths), trained.predict_proba(x))
        fractions = small().fit(x / 255, y)
        assert np.array_equal(fractions.predict_proba(x / 255), trained.predict_proba(x))

    def test_dark_pictures_are_pointed_out(self, digits) -> None:
        with pytest.warns(
            UserWarning, match=r"brightest pixel is 16 of 255.*pixel_range=\(0, 16\)"
        ):
            small(epochs=1).fit(load_digits().images[:60], digits[1][:60])

    def test_another_scale_than_in_training_is_refused(self, trained, digits) -> None:
        x, y = digits
        fractions = small(epochs=1).fit(x / 255, y)
        with pytest.raises(InputError, match="expected pixels from 0 to 1, found 0 to 255"):
            fractions.predict(x)
        with pytest.raises(InputError, match="expected whole pixels from 0 to 255"):
            trained.predict(x / 255)

    def test_values_that_are_no_pixels_are_refused(self, digits) -> None:
        with pytest.raises(InputError, match=r"found -0.5 to 0.5.*pixel_range"):
            small().fit(digits[0] / 255 - 0.5, digits[1])
        with pytest.raises(ValueError, match="64 numbers, got"):
            small(image_shape=(7, 9)).fit(digits[0].reshape(-1, 64), digits[1])
        with pytest.raises(ValueError, match="pixel_range: expected"):
            small(pixel_range=(1, 1)).fit(*digits)
        with pytest.raises(ValueError, match=r"expected images of shape .* found \(300, 8, 8, 4\)"):
            small().fit(np.stack([digits[0]] * 4, axis=3), digits[1])

    @pytest.mark.parametrize("pixel_range", [None, (0, 1), "data"])
    def test_values_that_are_not_numbers_are_refused(self, digits, pixel_range: Any) -> None:
        x = digits[0] / 255
        holed = x.copy()
        holed[5, 2, 2] = np.nan
        with pytest.raises(InputError, match="NaN"):
            small(pixel_range=pixel_range).fit(holed, digits[1])
        with pytest.raises(InputError, match="NaN"):
            small(pixel_range=pixel_range).fit(list(holed), digits[1])
        fitted = small(epochs=1, pixel_range=pixel_range).fit(x, digits[1])
        with pytest.raises(InputError, match="NaN"):
            fitted.predict(holed)


class TestMistakes:
    def test_a_file_that_is_not_there(self, trained, digits, tmp_path: Path) -> None:
        paths = [*files_of(digits[0][:30], tmp_path), tmp_path / "gone.png"]
        with pytest.raises(InputError, match=r"1 of 31 photos.*gone\.png \(missing-file"):
            small().fit(paths, [*digits[1][:30], 1])
        with pytest.raises(ValueError, match=r"gone\.png cannot be used"):
            trained.predict(paths)

    def test_options(self, digits) -> None:
        with pytest.raises(ModelError, match="no model 'resnet'"):
            ImageClassifier("resnet").fit(*digits)
        with pytest.raises(InputError, match="name of one model"):
            ImageClassifier("lm,nn").fit(*digits)
        with pytest.raises(InputError, match="validation_fraction"):
            small(validation_fraction=1.5).fit(*digits)
        with pytest.raises(pegboard.PegboardError, match="--epochs must be at least 1"):
            small(epochs=0).fit(*digits)
        with pytest.raises(
            pegboard.PegboardError, match=r"--recipe must be one of default, .*robst"
        ):
            small(recipe="robst").fit(*digits)
        with pytest.raises(pegboard.PegboardError, match=r"--fit must be one of auto, .*stretch"):
            small(image_fit="stretch").fit(*digits)

    def test_one_class_and_no_pictures(self, digits) -> None:
        with pytest.raises(ValueError, match="at least 2 classes, found 1 class"):
            small().fit(digits[0], np.zeros(len(digits[0])))
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            small().fit(digits[0], digits[1][:-1])


class TestCompany:
    """With scikit-learn's own tools."""

    def test_cross_validation(self, digits) -> None:
        scores = cross_val_score(small(), *digits, cv=3, error_score="raise")
        assert scores.mean() > 0.6

    def test_search_in_a_pipeline(self, digits) -> None:
        upside_down = FunctionTransformer(lambda pictures: pictures[:, ::-1])
        pipeline = make_pipeline(upside_down, small())
        search = GridSearchCV(
            pipeline,
            {"imageclassifier__epochs": [1, 6]},
            cv=2,
            scoring="neg_log_loss",
            error_score="raise",
        )
        search.fit(*digits)
        assert search.best_params_ == {"imageclassifier__epochs": 6}
        assert search.best_estimator_.score(*digits) > 0.5

    def test_search_over_files(self, digits, tmp_path: Path) -> None:
        paths = files_of(digits[0][:120], tmp_path)
        search = GridSearchCV(small(epochs=2), {"model": ["lm", "nn"]}, cv=2, error_score="raise")
        search.fit(paths, digits[1][:120])
        assert search.best_params_ == {"model": "nn"}

    def test_a_clone_is_untrained_and_alike(self, trained) -> None:
        copy = clone(trained)
        assert copy.get_params() == trained.get_params()
        assert not hasattr(copy, "classes_")


class TestKeeping:
    def test_a_pickle_answers_the_same_without_torch(self, trained, digits, tmp_path) -> None:
        file, pictures = tmp_path / "classifier.pickle", tmp_path / "x.npy"
        file.write_bytes(pickle.dumps(trained))
        np.save(pictures, digits[0])
        script = (
            "import pickle, sys, numpy\n"
            f"classifier = pickle.load(open({str(file)!r}, 'rb'))\n"
            f"print(classifier.predict(numpy.load({str(pictures)!r})).tolist())\n"
            "print('torch' in sys.modules)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        answers, torch_loaded = done.stdout.splitlines()
        assert answers == str(trained.predict(digits[0]).tolist())
        assert torch_loaded == "False"

    def test_a_saved_model_answers_the_same(self, trained, digits, tmp_path: Path) -> None:
        file = trained.save(tmp_path / "nn.pegboard")
        model = pegboard.load(file)
        answers = model.predict_proba(digits[0])
        assert np.allclose(answers, trained.predict_proba(digits[0]), rtol=0, atol=1e-6)
        assert [answer.label for answer in model.predict(digits[0][:5])] == [
            str(label) for label in trained.predict(digits[0][:5])
        ]

    def test_nothing_of_this_machine_is_kept(self, trained, tmp_path: Path) -> None:
        assert b"/tmp" not in pickle.dumps(trained)
        assert str(tmp_path.home()).encode() not in pickle.dumps(trained)
