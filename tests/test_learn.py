from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pegboard.budget import Budget
from pegboard.embed import Embedder
from pegboard.errors import BudgetSpent
from pegboard.learn import (
    INVERSE_REGULARISATION,
    Job,
    Task,
    Trained,
    _feature_data,
    fit_logistic,
    load_trained,
    predict_logits,
    step_threads,
    train_job,
)
from pegboard.loader import Photos
from pegboard.manifest import ManifestRow
from pegboard.models.build import build_model
from pegboard.models.registry import input_spec, parse_model_name
from pegboard.models.weights import resolve_weights
from pegboard.progress import Progress
from pegboard.recipes import Views, recipe_for
from pegboard.runs import ModelFolder, read_history
from pegboard.train import TrainingData
from pegboard.views import view


class Digits:
    name = location = "digits"

    def __init__(self) -> None:
        data = load_digits()
        self.pixels = np.round(data.images * (255 / 16)).astype(np.uint8)[..., None]
        self.labels = data.target.astype(np.int64)

    def read(self, path: str) -> np.ndarray:
        return self.pixels[int(path)]


@pytest.fixture(scope="module")
def task() -> Task:
    source = Digits()
    rows = [
        ManifestRow(str(i), str(label), "train", str(i), str(i))
        for i, label in enumerate(source.labels)
    ]
    order = np.random.default_rng(0).permutation(len(rows))
    return Task(
        photos=Photos(source, rows),
        keys=[row.sha256 for row in rows],
        classes=[str(digit) for digit in range(10)],
        labels=source.labels,
        train=order[:900],
        validation=order[900:1200],
        test=order[1200:],
        fingerprint="digits",
    )


def job(epochs: int = 4, name: str = "dnn", seed: int = 0) -> Job:
    model = parse_model_name(name)
    spec = input_spec(model, native_shape=(8, 8, 1))
    recipe = recipe_for(model, spec, classes=list("0123456789"), training_photos=900)
    recipe = replace(recipe, phases=(replace(recipe.phases[0], epochs=epochs),))
    return Job(model, spec, recipe, None, seed, "cpu", 1)


def test_a_trained_model_comes_back_from_its_folder(task: Task, tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path, "dnn")
    trained = train_job(job(), task, folder)
    history = read_history(folder.history)
    assert len(history) == trained.epochs == 4
    module = load_trained(job(), 10, folder)
    logits = predict_logits(job(), module, task.photos.take(task.validation, job().spec))
    accuracy = (logits.argmax(1) == task.labels[task.validation]).mean()
    assert accuracy == pytest.approx(history[trained.best_epoch - 1]["val_accuracy"])
    assert not folder.checkpoint.exists()


def test_a_finished_model_is_not_trained_again(task: Task, tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path, "dnn")
    first = train_job(job(), task, folder)
    written = folder.weights.stat().st_mtime_ns
    assert train_job(job(), task, folder) == first
    assert folder.weights.stat().st_mtime_ns == written
    other = train_job(job(seed=1), task, folder)
    assert other.fingerprint != first.fingerprint, "another seed is another job"


def test_what_decides_the_weights_is_in_the_fingerprint(task: Task) -> None:
    base = job()
    variants = [
        base,
        job(epochs=5),
        job(name="nn"),
        job(seed=1),
        replace(base, spec=base.spec.with_fit("crop")),
        replace(base, recipe=replace(base.recipe, batch_size=7)),
    ]
    prints = {variant.fingerprint("data") for variant in variants} | {base.fingerprint("other")}
    assert len(prints) == len(variants) + 1
    assert replace(base, threads=8, device="cuda").fingerprint("data") == base.fingerprint("data")


@pytest.mark.parametrize(
    ("name", "side", "threads"),
    [("lm", 28, 1), ("cnn", 8, 1), ("dcnn", 8, 1), ("cnn", 28, 4), ("dcnn", 28, 4)],
)
def test_small_steps_take_one_thread(name: str, side: int, threads: int) -> None:
    model = parse_model_name(name)
    spec = input_spec(model, native_shape=(side, side, 1))
    recipe = replace(job().recipe, batch_size=32)
    digits = Job(model, spec, recipe, None, 0, "cpu", threads=4)
    assert step_threads(digits, build_model(model, 10, spec)) == threads


def test_no_time_no_model(task: Task, tmp_path: Path) -> None:
    ticks = iter([0.0, 100.0, 100.0, 100.0])
    with pytest.raises(BudgetSpent):
        train_job(
            job(), task, ModelFolder(tmp_path, "dnn"), budget=Budget(10, clock=lambda: next(ticks))
        )
    assert Trained.read(ModelFolder(tmp_path, "dnn"), "anything") is None


@pytest.mark.parametrize("classes", [10, 2])
def test_logistic_regression_is_scikit_learns(classes: int) -> None:
    data = load_digits()
    chosen = data.target < classes
    features, labels = data.data[chosen].astype(np.float32), data.target[chosen].astype(np.int64)
    count = len(labels) * 2 // 3
    part = TrainingData(features, labels, np.arange(count), np.arange(count, len(labels)), classes)
    weight, bias, strength = fit_logistic(features, part, weighted=False)
    assert strength in INVERSE_REGULARISATION
    second = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000)).fit(
        features[:count], labels[:count]
    )
    ours = features[count:] @ weight.T + bias
    odds = np.exp(ours - ours.max(axis=1, keepdims=True))
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    assert np.abs(probabilities - second.predict_proba(features[count:])).max() < 0.05


def test_rows_count_as_told() -> None:
    """Scikit-learn, on rows repeated as often as they count, finds the same plane."""
    data = load_digits()
    features, labels = data.data.astype(np.float32), data.target.astype(np.int64)
    part = TrainingData(features, labels, np.arange(600), np.arange(600, 900), 10)
    counts = np.where(np.arange(600) % 2, 3, 1)
    weight, bias, _ = fit_logistic(
        features, part, weighted=False, strengths=(0.01,), counts=counts.astype(np.float64)
    )
    scaler = StandardScaler().fit(features[:600])
    often = np.repeat(np.arange(600), counts)
    second = LogisticRegression(C=0.01, max_iter=2000).fit(
        scaler.transform(features[often]), labels[often]
    )
    theirs = second.predict_proba(scaler.transform(features[900:]))
    ours = features[900:] @ weight.T + bias
    odds = np.exp(ours - ours.max(axis=1, keepdims=True))
    assert np.abs(odds / odds.sum(axis=1, keepdims=True) - theirs).max() < 0.01


def test_training_does_not_depend_on_the_global_seed(task: Task, tmp_path: Path) -> None:
    states = []
    for number in (1, 2):
        torch.manual_seed(number * 1000)
        folder = ModelFolder(tmp_path / str(number), "dnn")
        train_job(job(epochs=1), task, folder)
        states.append(load_trained(job(epochs=1), 10, folder).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_a_head_learns_from_views_of_the_training_photos_alone(task: Task) -> None:
    """Their features follow those of the photos; validation photos have none."""
    model = parse_model_name("probe")
    spec = input_spec(model, image_size=64)
    few = replace(task, train=task.train[:4], validation=task.validation[:3])
    weights = resolve_weights([model])[model.base]
    recipe = recipe_for(model, spec, classes=few.classes, training_photos=4, recipe="robust")
    recipe = replace(recipe, views=replace(recipe.views, count=2))
    features, data = _feature_data(
        Job(model, spec, recipe, weights, 0, "cpu", 1), few, Budget(), Progress()
    )
    assert len(features) == 4 + 3 + 2 * 4
    assert data.validation.tolist() == [4, 5, 6]
    assert data.train.tolist() == [0, 1, 2, 3, *range(7, 15)]
    assert (data.labels[7:] == np.tile(few.labels[few.train], 2)).all()
    plain, _ = _feature_data(
        Job(model, spec, replace(recipe, views=Views()), weights, 0, "cpu", 1),
        few, Budget(), Progress(),
    )  # fmt: skip
    assert np.array_equal(features[:7], plain)
    pixels = few.photos.one(int(few.train[1]), spec)
    second = view(pixels, recipe.views, few.keys[few.train[1]], 1)
    embedder = Embedder(model.base, weights, spec, threads=1)
    assert np.allclose(features[7 + 4 + 1], embedder.features([("again", lambda: second)])[0])
