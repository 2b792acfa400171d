"""After training: predictions, temperature, bundle.

The only place that shows the test photos to a trained model.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pegboard.bundle import BundleInfo, Likeness, Parity, Sight, TestAnswers, unknown_facts
from pegboard.bundle.deciding import coverage_and_risk
from pegboard.bundle.surface import traits_of
from pegboard.calibrate import (
    UNKNOWN_SHARE,
    apply_temperature,
    fit_temperature,
    set_limits,
    sure_limits,
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
    logits_on_last,
    predict_logits,
)
from pegboard.models.build import build_model
from pegboard.models.registry import parse_model_name
from pegboard.photos import Pixels
from pegboard.progress import Progress
from pegboard.runs import ModelFolder
from pegboard.sampling import evenly
from pegboard.train import choose_device

PARITY_BATCH = 64

MOST_STUDIED = 2000
"""Training photos, and validation photos, from which it is learned what is unknown: a minute of a
backbone's time at most."""

MOST_LOOKED_AT = 600
"""Training photos, and validation photos, decoded for nothing but their pixels: seconds."""

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
    each = (time.perf_counter() - started) / len(noise) * (1 + len(job.recipe.answer_views))
    if job.recipe.method != "gradient":
        return each * (2 / 3 * len(task.test) + TORCH_PHOTOS)
    studied = min(len(task.train), MOST_STUDIED) + min(len(task.validation), MOST_STUDIED)
    return each * (len(task.validation) + 4 / 3 * len(task.test) + studied / 3)


def _predictions(
    task: Task, indices: NDArray[np.int64], logits: NDArray[np.float64], temperature: float
) -> Predictions:
    rows = [task.photos.rows[index] for index in indices]
    probabilities = apply_temperature(logits, temperature)
    return Predictions.of_rows(rows, task.labels[indices], probabilities, task.classes)


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
    wrong_at_most: float | None = None,
) -> tuple[Path, BundleInfo]:
    """Export the model, prove the export on the test photos, and write the bundle.

    Parameters
    ----------
    versions
        Of the packages it was trained with.
    wrong_at_most
        As for :func:`pegboard.calibrate.sure_limits`.

    Raises
    ------
    BundleError
        When the exported model does not answer like the trained one.
    """
    module = load_trained(job, len(task.classes), folder)
    known = answers.validation
    info = BundleInfo(
        name=job.name.typed,
        input=job.spec,
        classes=tuple(task.classes),
        temperature=answers.temperature,
        thresholds=sure_limits(known.probabilities, known.labels, wrong_at_most, known.groups),
        sets={"n": len(known), "least": set_limits(known.probabilities, known.labels)},
        fingerprint=task.fingerprint,
        versions=versions,
        weights=_origin(job),
        recipe=job.recipe.to_json() | {"seed": job.seed},
    )
    # The very answers that the figures are made of, so the photos pass the network once; those
    # of a GPU are rounded more coarsely than an export should be.
    is_head = job.recipe.method != "gradient"
    is_same = is_head or choose_device(job.device).type == "cpu"
    trained = answers.test.probabilities if is_same else None
    if is_head:
        _check_backbone(job, task, module, answers)
    return folder.bundle, make_bundle(
        folder.bundle,
        module,
        info,
        _pixels(job, task, task.test),
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
    labels, sight = task.labels[task.test], exported.sight
    likeness = strangeness = None
    if sight.features is not None:
        likeness, above = _learn_unknown(exported, module, job, task, answers.temperature)
        info = replace(info, unknown=unknown_facts(above))
        strangeness = likeness.strangeness(sight)
    told = coverage_and_risk(info, sight.probabilities, strangeness, labels)
    checksums = [task.photos.rows[index].sha256 for index in task.test]
    kept = TestAnswers.of(checksums, exported.trained, labels, strangeness)
    return replace(info, abstention=told), {"likeness": likeness, "answers": kept}


def _learn_unknown(
    exported: Exported, module: Any, job: Job, task: Task, temperature: float
) -> tuple[Likeness, float]:
    """Learn from training photos what is known; the limit is set on validation photos."""
    train = evenly(task.train, MOST_STUDIED)
    if job.recipe.method == "gradient":
        seen = _sight(exported, job, task, train)
        validation = _sight(exported, job, task, evenly(task.validation, MOST_STUDIED))
        features, traits = seen.features, seen.traits
    else:
        # What a head was trained on is at hand; only the pixels are looked at again.
        features = last_features(job, module, task, train)
        traits = _traits(job, task, evenly(task.train, MOST_LOOKED_AT))
        validation = _sight_of_head(module, job, task, temperature)
    assert features is not None
    return Likeness.learned(features, task.labels[train], traits, validation, UNKNOWN_SHARE)


def _pixels(job: Job, task: Task, indices: NDArray[np.int64]) -> Iterator[Pixels]:
    """Yield fitted photos, a batch at a time."""
    for start in range(0, len(indices), PARITY_BATCH):
        yield task.photos.take(indices[start : start + PARITY_BATCH], job.spec)


def _sight(exported: Exported, job: Job, task: Task, indices: NDArray[np.int64]) -> Sight:
    """Return what the exported network makes of photos."""
    batches = _pixels(job, task, indices)
    return Sight.joined([Sight.of(exported.network, batch) for batch in batches])


def _sight_of_head(module: Any, job: Job, task: Task, temperature: float) -> Sight:
    """Return what a head on features makes of validation photos, without the backbone."""
    indices = evenly(task.validation, MOST_LOOKED_AT)
    features = last_features(job, module, task, indices)
    answers = apply_temperature(logits_on_last(module, features), temperature)
    return Sight(answers.astype(np.float32), features, _traits(job, task, indices))


def _traits(job: Job, task: Task, indices: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.concatenate([traits_of(batch) for batch in _pixels(job, task, indices)])


def _check_backbone(job: Job, task: Task, module: Any, answers: Answers) -> None:
    some = evenly(np.arange(len(task.test)), TORCH_PHOTOS)
    # A few photos, and of all devices the one whose rounding is the exported model's.
    on_cpu = replace(job, device="cpu")
    logits = predict_logits(on_cpu, module, task.photos.take(task.test[some], job.spec))
    whole = apply_temperature(logits, answers.temperature)
    largest = np.abs(whole - answers.test.probabilities[some]).max()
    Parity(len(some), float(largest), agreement=1.0).check()


def _origin(job: Job) -> dict[str, Any]:
    if job.weights is None:
        return {"source": "trained from random weights", "licence": "yours"}
    return {"source": job.weights.source, "licence": job.weights.licence}
