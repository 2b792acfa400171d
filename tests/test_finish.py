from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pegboard.bundle import Network, read_bundle
from pegboard.errors import BundleError
from pegboard.finish import answer, bundle
from pegboard.learn import Job, Task, last_features, load_trained, predict_logits, train_job
from pegboard.loader import Photos
from pegboard.manifest import ManifestRow
from pegboard.models.registry import input_spec, parse_model_name
from pegboard.models.weights import resolve_weights
from pegboard.photos import Pixels
from pegboard.recipes import RecipeName, recipe_for
from pegboard.runs import ModelFolder

CLASSES = ("coarse", "fine", "plain")
COUNT = 72
PROBE = parse_model_name("probe")
SPEC = input_spec(PROBE, image_size=64)


class Textures:
    """Pictures of 64 px that hold coarse, fine or no noise."""

    name = location = "textures"

    def read(self, path: str) -> Pixels:
        number = int(path)
        rng = np.random.default_rng(number)
        cell = (16, 2, 64)[number % 3]
        grid = rng.integers(0, 256, (64 // cell, 64 // cell, 3), dtype=np.uint8)
        return np.repeat(np.repeat(grid, cell, axis=0), cell, axis=1)


@pytest.fixture(scope="module")
def task() -> Task:
    rows = [ManifestRow(str(n), CLASSES[n % 3], "train", str(n), str(n)) for n in range(COUNT)]
    return Task(
        photos=Photos(Textures(), rows),
        keys=[f"texture {row.path}" for row in rows],
        classes=CLASSES,
        labels=np.arange(COUNT) % 3,
        train=np.arange(0, 36),
        validation=np.arange(36, 54),
        test=np.arange(54, COUNT),
        fingerprint="textures",
    )


@pytest.mark.parametrize("kind", ["default", "robust"])
@pytest.mark.parametrize("name", ["probe", "efficientnet_lite0:frozen"])
def test_a_head_on_features_answers_as_the_whole_network_does(
    task: Task, tmp_path: Path, name: str, kind: RecipeName
) -> None:
    model = parse_model_name(name)
    recipe = recipe_for(model, SPEC, classes=CLASSES, training_photos=36, recipe=kind)
    recipe = replace(recipe, phases=tuple(replace(phase, epochs=2) for phase in recipe.phases))
    job = Job(model, SPEC, recipe, resolve_weights([model])[model.base], 0, "cpu", 1)
    folder = ModelFolder(tmp_path, "model")
    train_job(job, task, folder)
    answers = answer(job, task, folder)
    network = load_trained(job, len(CLASSES), folder)
    for answered, indices in ((answers.validation, task.validation), (answers.test, task.test)):
        logits = predict_logits(job, network, task.photos.take(indices, SPEC))
        odds = np.exp((logits - logits.max(axis=1, keepdims=True)) / answers.temperature)
        expected = odds / odds.sum(axis=1, keepdims=True)
        assert np.abs(answered.probabilities - expected).max() < 1e-4
    # The export is held against the same answers, photo by photo.
    _, info = bundle(job, task, folder, answers, versions={"python": sys.version.split()[0]})
    assert info.parity is not None
    assert (info.parity.n, info.parity.agreement) == (18, 1.0)
    assert info.parity.max_difference < 1e-4
    # What is learned of the training photos holds for the features that the file will give.
    exported = Network(read_bundle(folder.bundle).model, SPEC, len(CLASSES))
    _, features = exported.answers(task.photos.take(task.train, SPEC))
    np.testing.assert_allclose(last_features(job, network, task, task.train), features, atol=1e-4)
    # Other features than PyTorch's, or an answer that is not the export's, and there is no file.
    wrong = answers.test.probabilities.copy()
    wrong[7] = np.roll(wrong[7], 1)
    folder.bundle.unlink()
    with pytest.raises(BundleError, match="does not answer like the trained one"):
        bundle(
            job,
            task,
            folder,
            replace(answers, test=replace(answers.test, probabilities=wrong)),
            versions={},
        )
    assert not folder.bundle.exists()
