"""After training: predictions, temperature, bundle.

The only place that shows the test photos to a trained model.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pegboard.bundle import BundleInfo, Likeness, Parity, TestAnswers
from pegboard.bundle.deciding import coverage_and_risk
from pegboard.calibrate import (
    SURE_PRECISION,
    UNKNOWN_SHARE,
    apply_temperature,
    fit_temperature,
    sure_threshold,
    unknown_threshold,
)
from pegboard.evaluate import Predictions
from pegboard.export import Exported, make_bundle
from pegboard.learn import (
    Job,
    Task,
    embed,
    last_features,
    load_trained,
    logits_on_features,
    predict_logits,
)
from pegboard.models.build import build_model
from pegboard.models.registry import parse_model_name
from pegboard.progress import Progress
from pegboard.runs import ModelFolder
from pegboard.train import choose_device

PARITY_BATCH = 64

MOST_STUDIED = 2000
"""Training photos, and validation photos, from which it is learned what is unknown: a minute of a
backbone's time at most."""

TORCH_PHOTOS = 32
"""Test photos that a head on features also answers in PyTorch, backbone and all: the features come
from a backbone that was exported before, and so could not show a fault of that export."""


@dataclass(frozen=True)
class Answers:
    """A trained model's calibrated answers to validation and test photos."""

    validation: Predictions
    test: Predictions
    temperature: float


def answer(
    job: Job, task: Task, folder: ModelFolder, *, progress: Progress | None = None
) -> Answers:
    """Predict validation and test photos; the temperature is fitted on validation.

    A head that was trained on features answers on features, those of the exported backbone. The
    exported model is compared with these answers, photo by photo, before it is kept.
    """
    module = load_trained(job, len(task.classes), folder)

    def logits(indices: NDArray[np.int64], title: str) -> NDArray[np.float64]:
        if job.recipe.method != "gradient":
            return logits_on_features(job, module, task, indices)
        pixels = task.photos.take(indices, job.spec)
        return predict_logits(job, module, pixels, progress=progress, title=title)

    name = job.name.typed
    if job.recipe.method != "gradient":
        embed(job, task, task.test, progress=progress)  # kept, and shown as it goes on
    validation = logits(task.validation, f"{name}: validation")
    temperature = fit_temperature(validation, task.labels[task.validation])
    test = logits(task.test, f"{name}: test")
    return Answers(
        _predictions(task, task.validation, validation, temperature),
        _predictions(task, task.test, test, temperature),
        temperature,
    )


def answer_seconds(job: Job, task: Task) -> float:
    """Estimate how long :func:`answer` and the proof of the export take, by a few photos.

    The exported network takes about a third of the time of the trained one. A head on features
    answers by an exported backbone, too.
    """
    name = parse_model_name(f"{job.name.base}:scratch") if job.name.is_backbone else job.name
    module = build_model(name, len(task.classes), job.spec, recipe=job.recipe.name)
    noise = np.random.default_rng(0).integers(0, 256, (8, *job.spec.shape), dtype=np.uint8)
    predict_logits(job, module, noise[:2])
    started = time.perf_counter()
    predict_logits(job, module, noise)
    each = (time.perf_counter() - started) / len(noise)
    if job.recipe.method != "gradient":
        return each * (2 / 3 * len(task.test) + TORCH_PHOTOS)
    studied = min(len(task.train), MOST_STUDIED) + min(len(task.validation), MOST_STUDIED)
    return each * (len(task.validation) + 4 / 3 * len(task.test) + studied / 3)


def _predictions(
    task: Task, indices: NDArray[np.int64], logits: NDArray[np.float64], temperature: float
) -> Predictions:
    rows = [task.photos.rows[index] for index in indices]
    return Predictions(
        paths=[row.path for row in rows],
        labels=task.labels[indices],
        probabilities=apply_temperature(logits, temperature),
        classes=task.classes,
        groups=[row.group or row.path for row in rows],
    )


def pool(parts: Sequence[Predictions]) -> Predictions:
    """Put the predictions of several folds together."""
    return Predictions(
        paths=[path for part in parts for path in part.paths],
        labels=np.concatenate([part.labels for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
        classes=parts[0].classes,
        groups=[group for part in parts for group in part.groups],
    )


def bundle(
    job: Job,
    task: Task,
    folder: ModelFolder,
    answers: Answers,
    *,
    versions: Mapping[str, str],
) -> tuple[Path, BundleInfo]:
    """Export the model, prove the export on the test photos, and write the bundle.

    Raises
    ------
    BundleError
        When the exported model does not answer like the trained one.
    """
    module = load_trained(job, len(task.classes), folder)
    threshold = sure_threshold(
        answers.validation.probabilities, answers.validation.labels, SURE_PRECISION
    )
    info = BundleInfo(
        name=job.name.typed,
        input=job.spec,
        classes=tuple(task.classes),
        temperature=answers.temperature,
        thresholds={"sure": threshold, "precision": SURE_PRECISION},
        fingerprint=task.fingerprint,
        versions=versions,
        weights=_origin(job),
        recipe=job.recipe.to_json() | {"seed": job.seed},
    )
    batches = (
        task.photos.take(task.test[start : start + PARITY_BATCH], job.spec)
        for start in range(0, len(task.test), PARITY_BATCH)
    )
    # The very answers that the figures are made of, so the photos pass the network once; those
    # of a GPU are rounded more coarsely than an export should be.
    is_head = job.recipe.method != "gradient"
    known = is_head or choose_device(job.device).type == "cpu"
    trained = answers.test.probabilities if known else None
    if is_head:
        _check_backbone(job, task, module, answers)
    return folder.bundle, make_bundle(
        folder.bundle,
        module,
        info,
        batches,
        trained,
        task.labels[task.test],
        lambda info, exported: _complete(info, exported, module, job, task, answers),
    )


def _complete(
    info: BundleInfo,
    exported: Exported,
    module: Any,
    job: Job,
    task: Task,
    answers: Answers,
) -> tuple[BundleInfo, dict[str, Any]]:
    """Add what is unknown to the model, and how often it answers and errs."""
    labels = task.labels[task.test]
    likeness = strangeness = None
    if exported.features is not None:
        likeness, above = _learn_unknown(exported, module, job, task)
        info = replace(info, unknown={"above": above, "share": UNKNOWN_SHARE})
        strangeness = likeness.strangeness(exported.features)
    told = coverage_and_risk(info, exported.probabilities, strangeness, labels)
    checksums = [task.photos.rows[index].sha256 for index in task.test]
    kept = TestAnswers.of(checksums, answers.test.probabilities, labels)
    return replace(info, abstention=told), {"likeness": likeness, "answers": kept}


def _learn_unknown(exported: Exported, module: Any, job: Job, task: Task) -> tuple[Likeness, float]:
    """Learn from training photos what is known; the limit is set on validation photos."""
    train, validation = (_some(part) for part in (task.train, task.validation))
    likeness = Likeness.fit(_features(exported, module, job, task, train), task.labels[train])
    strangeness = likeness.strangeness(_features(exported, module, job, task, validation))
    return likeness, unknown_threshold(strangeness)


def _some(indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return at most :data:`MOST_STUDIED`, spread evenly."""
    places = np.linspace(0, len(indices) - 1, min(len(indices), MOST_STUDIED))
    return np.asarray(indices[np.round(places).astype(int)])


def _features(
    exported: Exported, module: Any, job: Job, task: Task, indices: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the exported network's features, ``(len(indices), D)``, a batch at a time.

    Those that a head was trained on are at hand.
    """
    if job.recipe.method != "gradient":
        return last_features(job, module, task, indices)
    parts = [
        exported.network.answers(task.photos.take(indices[start : start + PARITY_BATCH], job.spec))
        for start in range(0, len(indices), PARITY_BATCH)
    ]
    return np.concatenate([features for _, features in parts if features is not None])


def _check_backbone(job: Job, task: Task, module: Any, answers: Answers) -> None:
    some = np.unique(np.linspace(0, len(task.test) - 1, TORCH_PHOTOS).astype(int))
    logits = predict_logits(job, module, task.photos.take(task.test[some], job.spec))
    whole = apply_temperature(logits, answers.temperature)
    largest = np.abs(whole - answers.test.probabilities[some]).max()
    Parity(len(some), float(largest), agreement=1.0).check()


def _origin(job: Job) -> dict[str, Any]:
    if job.weights is None:
        return {"source": "trained from random weights", "licence": "yours"}
    return {"source": job.weights.source, "licence": job.weights.licence}
