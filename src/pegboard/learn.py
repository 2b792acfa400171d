"""Train one named model on one task, and get it back from its folder.

Three methods, one result: a torch module whose weights lie in ``weights.safetensors`` and
whose story lies in ``history.csv`` and ``training.json``.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from torch import nn

from pegboard.answer_views import answer_from_views
from pegboard.backdrops import Objects
from pegboard.budget import Budget
from pegboard.checkpoint import FileCheckpoint
from pegboard.embed import Embedder, Item
from pegboard.files import write_bytes_atomically
from pegboard.inputs import InputSpec
from pegboard.loader import Photos
from pegboard.memory import give_back_freed_memory, keep_freed_memory
from pegboard.metrics import accuracy, confusion_matrix, log_loss, macro_f1
from pegboard.models.backbones import BackboneClassifier
from pegboard.models.build import build_model
from pegboard.models.layers import multiply_adds
from pegboard.models.registry import ModelName
from pegboard.models.start import Start, begin_with
from pegboard.models.weights import ResolvedWeights
from pegboard.photos import Pixels
from pegboard.progress import Progress
from pegboard.recipes import Recipe
from pegboard.runs import ModelFolder, read_json, write_history, write_json
from pegboard.split import class_weights
from pegboard.threads import default_threads, small_products
from pegboard.train import (
    EpochRecord,
    Trainer,
    TrainingData,
    TrainingState,
    choose_device,
    feature_preparation,
    logits_of,
    photo_preparation,
)
from pegboard.views import view, view_key

INVERSE_REGULARISATION = (0.01, 0.03, 0.1, 0.3)
"""Values of scikit-learn's C tried on validation for standardised features."""

SMALL_STEP = 100_000_000
"""Multiplications for a batch, forward only, below which one thread trains faster than several.

On 32 digits of 8x8 the threads mostly wait for each other: on 2 cores busy with other work the
demo took 292 s with two threads and 77 s with one.
"""

STRONGER_REGULARISATION = (0.001, 0.003, *INVERSE_REGULARISATION)
"""The same with views, which are more varied than the photos: less of C is better for them."""

WARM_STRENGTH = (0.003,)
"""C of the logistic regression that a fine-tuned head starts from."""


@dataclass(frozen=True)
class Job:
    """One model to train: everything that decides the result except the data."""

    name: ModelName
    spec: InputSpec
    recipe: Recipe
    weights: ResolvedWeights | None
    seed: int
    device: str = "auto"
    threads: int = 2
    start: Start | None = None

    def fingerprint(self, data: str) -> str:
        """Return a hash of everything that decides the trained weights."""
        decisive = {
            "data": data,
            "name": self.name.typed,
            "spec": self.spec.to_json(),
            "recipe": self.recipe.to_json(),
            "weights": self.weights.sha256 if self.weights else None,
            "seed": self.seed,
            **({"start": self.start.sha256} if self.start else {}),
        }
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Task:
    """The photos of one split of one data set, by index into ``photos.rows``.

    Attributes
    ----------
    keys
        Pixel hash of every photo: the key of cached features.
    labels
        ``(N,)`` int64 indices into ``classes``.
    train, validation, test
        Indices of the photos of each split.
    fingerprint
        Of the manifest.
    """

    photos: Photos
    keys: Sequence[str]
    classes: Sequence[str]
    labels: NDArray[np.int64]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    fingerprint: str


@dataclass(frozen=True)
class Trained:
    """How a training went; ``training.json``."""

    fingerprint: str
    params: int
    epochs: int
    best_epoch: int
    seconds: float
    notes: tuple[str, ...]
    recipe: dict[str, Any]
    input: dict[str, Any]

    @classmethod
    def read(cls, folder: ModelFolder, fingerprint: str) -> Trained | None:
        """Return a finished training of this very job, or None."""
        if not folder.training.exists() or not folder.weights.exists():
            return None
        data = read_json(folder.training)
        if data.get("fingerprint") != fingerprint:
            return None
        return cls(**(data | {"notes": tuple(data["notes"])}))


def train_job(
    job: Job,
    task: Task,
    folder: ModelFolder,
    *,
    budget: Budget | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train a model and keep it in its folder; a finished one is not trained again.

    Raises
    ------
    BudgetSpent
        When the time ran out before a usable model existed.
    Diverged
        When the loss stopped being a number in the first epoch.
    """
    budget, progress = budget or Budget(), progress or Progress()
    fingerprint = job.fingerprint(task.fingerprint)
    finished = Trained.read(folder, fingerprint)
    if finished:
        return finished
    budget.check()
    folder.path.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    keep_freed_memory()
    torch.manual_seed(job.seed)
    module = build_model(job.name, len(task.classes), job.spec, job.weights, recipe=job.recipe.name)
    if job.start:
        begin_with(module, job.start, task.classes)
    torch.set_num_threads(step_threads(job, module))
    checkpoint = FileCheckpoint(folder.checkpoint, fingerprint)
    state = _METHODS[job.recipe.method](job, task, module, checkpoint, budget, progress)
    trained = Trained(
        fingerprint=fingerprint,
        params=sum(parameter.numel() for parameter in module.parameters()),
        epochs=len(state.history),
        best_epoch=state.best_epoch or len(state.history),
        seconds=time.perf_counter() - started,
        notes=tuple(state.notes),
        recipe=job.recipe.to_json(),
        input=job.spec.to_json(),
    )
    _keep(folder, module, state, trained)
    checkpoint.forget()
    give_back_freed_memory()
    return trained


def step_threads(job: Job, module: nn.Module) -> int:
    """Return how many threads a training step of a job's network gains from."""
    if job.name.is_backbone:
        return job.threads
    multiplications = multiply_adds(module, job.spec) * job.recipe.batch_size
    return 1 if multiplications < SMALL_STEP else job.threads


def load_trained(job: Job, classes: int, folder: ModelFolder) -> nn.Module:
    """Return the trained module of a finished job, on the CPU, as it answers."""
    module = build_model(job.name, classes, job.spec, job.weights, recipe=job.recipe.name)
    module.load_state_dict(load_file(folder.weights))
    return answer_from_views(module.eval(), job.recipe.answer_views)


def predict_logits(
    job: Job,
    module: nn.Module,
    pixels: NDArray[np.uint8],
    *,
    progress: Progress | None = None,
    title: str = "predicting",
) -> NDArray[np.float64]:
    """Return logits ``(N, classes)`` for fitted photos ``(N, H, W, C)``, computed in float32."""
    device = choose_device(job.device)
    torch.set_num_threads(step_threads(job, module))  # another model may have had another number
    prepare = photo_preparation(job.spec, job.recipe.augmentation, device)
    with (progress or Progress()).step(title, len(pixels)) as bar:
        logits = logits_of(module.to(device), pixels, prepare, progress=bar)
    module.to("cpu")
    return logits


def logits_on_features(
    job: Job, module: nn.Module, task: Task, indices: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return logits ``(N, classes)`` of a head on features that are in the cache already."""
    return logits_on_last(module, last_features(job, module, task, indices))


def logits_on_last(module: nn.Module, last: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return logits ``(N, classes)`` for what :func:`last_features` gave, ``(N, D)``."""
    assert isinstance(module, BackboneClassifier)
    with torch.inference_mode():
        given = last_linear(module.head)(torch.from_numpy(last))
        logits: NDArray[np.float64] = given.double().numpy()
    return logits


def last_features(
    job: Job, module: nn.Module, task: Task, indices: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return what the last layer of a head is given, ``(N, D)``, from features in the cache."""
    assert isinstance(module, BackboneClassifier)
    features = embed(job, task, indices)
    if isinstance(module.head, nn.Linear):
        return features
    assert isinstance(module.head, nn.Sequential)
    with torch.inference_mode():
        last: NDArray[np.float32] = module.head[:-1](torch.from_numpy(features)).numpy()
    return last


def embed(
    job: Job,
    task: Task,
    indices: NDArray[np.int64],
    *,
    budget: Budget | None = None,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Return backbone features ``(len(indices), D)`` of photos, from the cache where there."""

    def reader(index: int) -> Callable[[], Any]:
        return lambda: task.photos.one(index, job.spec)

    items = [(task.keys[index], reader(int(index))) for index in indices]
    return _embedded(job, items, budget, progress)


def embed_views(
    job: Job,
    task: Task,
    indices: NDArray[np.int64],
    *,
    budget: Budget | None = None,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Return backbone features ``(count * len(indices), D)`` of photos' views, view by view."""
    how = job.recipe.views

    def reader(index: int, number: int) -> Callable[[], Any]:
        return lambda: view(task.photos.one(index, job.spec), how, task.keys[index], number)

    items = [
        (view_key(task.keys[index], how, number), reader(int(index), number))
        for number in range(how.count)
        for index in indices
    ]
    return _embedded(job, items, budget, progress)


def _embedded(
    job: Job, items: Sequence[Item], budget: Budget | None, progress: Progress | None
) -> NDArray[np.float32]:
    assert job.weights is not None, f"{job.name.typed} has no pretrained backbone"
    embedder = Embedder(job.name.base, job.weights, job.spec, threads=job.threads)
    return embedder.features(items, budget=budget, progress=progress)


Method = Callable[[Job, Task, nn.Module, FileCheckpoint, Budget, Progress], TrainingState]


def _by_gradient(
    job: Job,
    task: Task,
    module: nn.Module,
    checkpoint: FileCheckpoint,
    budget: Budget,
    progress: Progress,
) -> TrainingState:
    # The head of a trained model knows more than one on the features of the published backbone.
    if job.recipe.warm_head and not job.start and isinstance(module, BackboneClassifier):
        _warm_head(job, task, module, budget, progress)
    pixels = task.photos.all(job.spec, budget=budget, progress=progress)
    device = choose_device(job.device)
    objects = None
    if job.recipe.augmentation.backdrop:
        objects = _objects(pixels, task.train, job.threads or default_threads(), budget, progress)
    data = TrainingData(
        pixels, task.labels, task.train, task.validation, len(task.classes), objects
    )
    prepare = photo_preparation(job.spec, job.recipe.augmentation, device)
    return Trainer(
        module,
        data,
        job.recipe,
        prepare,
        freeze=set_trainable,
        checkpoint=checkpoint,
        **_common(job, task, device, budget, progress),
    ).fit()


def _objects(
    pixels: Pixels, indices: NDArray[np.int64], threads: int, budget: Budget, progress: Progress
) -> Objects:
    with progress.step("objects before their backgrounds", len(indices)) as step:
        return Objects.of(pixels, indices, threads=threads, budget=budget, step=step)


def _on_features(
    job: Job,
    task: Task,
    module: nn.Module,
    checkpoint: FileCheckpoint,
    budget: Budget,
    progress: Progress,
) -> TrainingState:
    assert isinstance(module, BackboneClassifier)
    features, data = _feature_data(job, task, budget, progress)
    mean, std = _standard(features[data.train])
    data = TrainingData(
        ((features - mean) / std).astype(np.float32), data.labels, data.train, data.validation,
        data.classes,
    )  # fmt: skip
    device = choose_device(job.device)
    linear = last_linear(module.head)
    if job.start:
        weight, bias = linear.weight.detach().numpy(), linear.bias.detach().numpy()
        _set_linear(linear, *_standardised(weight, bias, mean, std))
    state = Trainer(
        module.head,
        data,
        job.recipe,
        feature_preparation(device),
        checkpoint=checkpoint,
        **_common(job, task, device, budget, progress),
    ).fit()
    module.head.to("cpu")
    weight, bias = linear.weight.detach().numpy(), linear.bias.detach().numpy()
    _set_linear(linear, *_unstandardised(weight, bias, mean, std))
    return state


def _by_logistic_regression(
    job: Job,
    task: Task,
    module: nn.Module,
    checkpoint: FileCheckpoint,
    budget: Budget,
    progress: Progress,
) -> TrainingState:
    assert isinstance(module, BackboneClassifier)
    started = time.perf_counter()
    features, data = _feature_data(job, task, budget, progress)
    views = job.recipe.views
    counts = np.ones(len(data.train))
    counts[len(task.train) :] = views.weight
    weight, bias, strength = fit_logistic(
        features,
        data,
        weighted=job.recipe.class_weights,
        strengths=STRONGER_REGULARISATION if views.count else INVERSE_REGULARISATION,
        counts=counts,
    )
    _set_linear(last_linear(module.head), weight, bias)
    record = _logistic_record(features, data, weight, bias, time.perf_counter() - started)
    note = f"logistic regression with C = {strength:g}, chosen on validation"
    return TrainingState(best_epoch=1, history=[record], notes=[note])


_METHODS: dict[str, Method] = {
    "gradient": _by_gradient,
    "features": _on_features,
    "logistic": _by_logistic_regression,
}


def _common(
    job: Job, task: Task, device: torch.device, budget: Budget, progress: Progress
) -> dict[str, Any]:
    weights = None
    if job.recipe.class_weights:
        weights = class_weights(task.labels[task.train], len(task.classes))
    return {
        "seed": job.seed,
        "device": device,
        "class_weights": weights,
        "budget": budget,
        "progress": progress,
        "title": job.name.typed,
    }


def _feature_data(
    job: Job, task: Task, budget: Budget, progress: Progress
) -> tuple[NDArray[np.float32], TrainingData]:
    """Return features of the training and validation photos and of the training photos' views."""
    indices = np.concatenate((task.train, task.validation))
    features = embed(job, task, indices, budget=budget, progress=progress)
    labels = task.labels[indices]
    count, whole = len(task.train), len(indices)
    if job.recipe.views.count:
        views = embed_views(job, task, task.train, budget=budget, progress=progress)
        features = np.concatenate((features, views))
        labels = np.concatenate((labels, np.tile(task.labels[task.train], job.recipe.views.count)))
    data = TrainingData(
        features,
        labels,
        np.concatenate((np.arange(count), np.arange(whole, len(features)))),
        np.arange(count, whole),
        len(task.classes),
    )
    return features, data


def _warm_head(
    job: Job, task: Task, module: BackboneClassifier, budget: Budget, progress: Progress
) -> None:
    features, data = _feature_data(job, task, budget, progress)
    # Weakly fitted on purpose: a head that is certain of every training photo starts fine-tuning
    # with large losses on their augmented versions.
    weight, bias, _ = fit_logistic(
        features, data, weighted=job.recipe.class_weights, strengths=WARM_STRENGTH
    )
    _set_linear(last_linear(module.head), weight, bias)


def fit_logistic(
    features: NDArray[np.float32],
    data: TrainingData,
    *,
    weighted: bool = True,
    strengths: Sequence[float] = INVERSE_REGULARISATION,
    counts: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Fit logistic regression on features; C is chosen by validation macro-F1.

    Parameters
    ----------
    weighted
        Whether classes are weighted by how rare they are.
    strengths
        The values of C that are tried.
    counts
        How much each row of ``data.train`` counts; None: all alike.

    Returns
    -------
    weight ``(classes, D)``, bias ``(classes,)`` for the features as they are, and C.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    mean, std = _standard(features[data.train])
    standard = (features - mean) / std
    best: tuple[float, NDArray[np.float32], NDArray[np.float32], float] | None = None
    start: Any = None
    for strength in strengths:
        model = LogisticRegression(
            C=strength,
            max_iter=500,
            class_weight="balanced" if weighted else None,
            warm_start=True,
        )
        if start is not None:
            model.coef_, model.intercept_, model.classes_ = start
        with small_products():
            model.fit(standard[data.train], data.labels[data.train], sample_weight=counts)
        start = (model.coef_, model.intercept_, model.classes_)
        weight, bias = _all_classes(model, data.classes)
        predicted = (standard[data.validation] @ weight.T + bias).argmax(1)
        figure = macro_f1(confusion_matrix(data.labels[data.validation], predicted, data.classes))
        if best is None or figure > best[0]:
            best = (figure, weight, bias, strength)
    assert best is not None
    weight, bias = _unstandardised(best[1], best[2], mean, std)
    return weight, bias, best[3]


def _all_classes(model: Any, classes: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return one row per class; scikit-learn keeps a single row for two classes."""
    weight, bias = model.coef_, model.intercept_
    if len(weight) == 1:
        weight, bias = np.concatenate((-weight, weight)) / 2, np.concatenate((-bias, bias)) / 2
    full_weight = np.zeros((classes, weight.shape[1]), np.float32)
    full_bias = np.full(classes, -30.0, np.float32)
    full_weight[model.classes_], full_bias[model.classes_] = weight, bias
    return full_weight, full_bias


def _standard(features: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    std = features.std(axis=0)
    return features.mean(axis=0), np.where(std > 1e-6, std, 1.0).astype(np.float32)


def _unstandardised(
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fold (x - mean) / std into a linear layer."""
    folded = weight / std
    return folded.astype(np.float32), (bias - folded @ mean).astype(np.float32)


def _standardised(
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Undo :func:`_unstandardised`: the linear layer that takes (x - mean) / std."""
    return (weight * std).astype(np.float32), (bias + weight @ mean).astype(np.float32)


def set_trainable(module: nn.Module, trains: str) -> None:
    """Free ``all`` weights, the ``head`` only, or the ``late`` half of the backbone and the head.

    Early stages hold edges and textures that serve any photo: leaving them alone saves most of
    the time of a step and cost no accuracy where measured.
    """
    if not isinstance(module, BackboneClassifier):
        return
    counts = {"all": 0, "head": None, "late": len(module.backbone.stages()) // 2}
    module.freeze_stages(counts[trains])


def last_linear(head: nn.Module) -> nn.Linear:
    """Return the linear layer that gives the logits."""
    return [layer for layer in head.modules() if isinstance(layer, nn.Linear)][-1]


def _set_linear(linear: nn.Linear, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(weight))
        linear.bias.copy_(torch.from_numpy(bias))


def _logistic_record(
    features: NDArray[np.float32],
    data: TrainingData,
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
    seconds: float,
) -> EpochRecord:
    def figures(part: NDArray[np.int64]) -> tuple[float, float, float]:
        logits = (features[part] @ weight.T + bias).astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        matrix = confusion_matrix(data.labels[part], logits.argmax(1), data.classes)
        loss = log_loss(data.labels[part], odds / odds.sum(axis=1, keepdims=True))
        return loss, accuracy(matrix), macro_f1(matrix)

    return EpochRecord(1, seconds, *figures(data.train), *figures(data.validation))


def _keep(folder: ModelFolder, module: nn.Module, state: TrainingState, trained: Trained) -> None:
    write_history(folder.history, [asdict(record) for record in state.history])
    save_weights(folder.weights, module)
    write_json(folder.training, asdict(trained))


def save_weights(path: Path, module: nn.Module) -> None:
    """Write all weights and buffers as safetensors."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}
    write_bytes_atomically(path, save(tensors))
