from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from pegboard.backdrops import Objects
from pegboard.budget import Budget
from pegboard.checkpoint import FileCheckpoint
from pegboard.errors import PegboardError
from pegboard.inputs import InputSpec
from pegboard.recipes import DIGIT_SHIFT, Augmentation, Phase, Recipe
from pegboard.train import (
    Diverged,
    Trainer,
    TrainingData,
    TrainingState,
    choose_device,
    evaluation_batch,
    logits_of,
    parts_of_step,
    photo_preparation,
    rate_factor,
)

CPU = torch.device("cpu")
SPEC = InputSpec(8, 8, 1, mean=(0.5,), std=(0.5,))
RECIPE = Recipe(
    "default",
    "gradient",
    (Phase(epochs=4, learning_rate=3e-3),),
    batch_size=64,
    augmentation=DIGIT_SHIFT,
    low_precision=False,
)


@pytest.fixture(scope="module")
def digits() -> TrainingData:
    data = load_digits()
    pixels = np.round(data.images * (255 / 16)).astype(np.uint8)[..., None]
    order = np.random.default_rng(0).permutation(len(pixels))
    return TrainingData(pixels, data.target.astype(np.int64), order[:700], order[700:1000], 10)


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10)
    )


def trainer(data: TrainingData, recipe: Recipe = RECIPE, **options: object) -> Trainer:
    module = options.pop("module", None) or net()
    prepare = photo_preparation(SPEC, recipe.augmentation, CPU)
    seed = options.pop("seed", 0)
    return Trainer(module, data, recipe, prepare, seed=seed, device=CPU, **options)


def weights_of(module: nn.Module) -> torch.Tensor:
    return torch.cat([value.flatten() for value in module.state_dict().values()])


def test_it_learns_digits(digits: TrainingData) -> None:
    fit = trainer(digits, replace(RECIPE, phases=(Phase(epochs=12, learning_rate=5e-3),)))
    state = fit.fit()
    assert state.history[-1].val_accuracy > 0.85
    assert state.history[-1].loss < state.history[0].loss
    assert [record.epoch for record in state.history] == list(range(1, 13))


def test_the_same_seed_gives_the_same_weights(digits: TrainingData) -> None:
    runs = [trainer(digits, seed=seed) for seed in (1, 1, 2)]
    for run in runs:
        run.fit()
    first, again, other = (weights_of(run.module) for run in runs)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_best_epochs_weights_are_kept(digits: TrainingData) -> None:
    # A constant, too high rate makes the figures go up and down.
    phase = Phase(epochs=6, learning_rate=5e-2, schedule="constant", optimizer="adam")
    fit = trainer(digits, replace(RECIPE, phases=(phase,)))
    state = fit.fit()
    best = max(record.val_macro_f1 for record in state.history)
    assert state.history[state.best_epoch - 1].val_macro_f1 == best
    pixels = digits.inputs[digits.validation]
    logits = logits_of(fit.module, pixels, fit.prepare)
    accuracy = (logits.argmax(1) == digits.labels[digits.validation]).mean()
    assert accuracy == pytest.approx(state.history[state.best_epoch - 1].val_accuracy)


def test_patience_ends_a_phase(digits: TrainingData) -> None:
    phase = Phase(epochs=50, patience=1, learning_rate=0.2, schedule="constant", watch="loss")
    state = trainer(digits, replace(RECIPE, phases=(phase,))).fit()
    assert len(state.history) < 50
    assert len(state.history) - state.best_epoch == 1  # as Keras counts


@pytest.mark.parametrize("epoch", [-1, 0], ids=["the last of the phase", "the one after"])
def test_a_training_resumed_after_it_lost_patience_equals_an_uninterrupted_one(
    digits: TrainingData, tmp_path: Path, epoch: int
) -> None:
    impatient = Phase(epochs=50, patience=1, learning_rate=0.2, schedule="constant", watch="loss")
    phases = replace(RECIPE, phases=(impatient, Phase(epochs=2, learning_rate=1e-3)))
    whole = trainer(digits, phases)
    expected = whole.fit().history
    first_phase = len(expected) - 2
    stops = StopAfter(checkpoint_in(tmp_path), first_phase + 1 + epoch)
    with pytest.raises(Killed):
        trainer(digits, phases, checkpoint=stops).fit()
    resumed = trainer(digits, phases, checkpoint=checkpoint_in(tmp_path))
    assert [r.val_loss for r in resumed.fit().history] == [r.val_loss for r in expected]
    assert torch.equal(weights_of(whole.module), weights_of(resumed.module))


def checkpoint_in(folder: Path) -> FileCheckpoint:
    return FileCheckpoint(folder / "c.safetensors", "this job", every=0)


class Killed(Exception):
    pass


class StopAfter:
    """A checkpoint that keeps every epoch and then fails, as a pulled plug would."""

    def __init__(self, inner: FileCheckpoint, epochs: int) -> None:
        self.inner, self.epochs = inner, epochs

    def save(self, state: TrainingState, module: nn.Module, optimizer: object) -> None:
        self.inner.save(state, module, optimizer)
        if len(state.history) == self.epochs:
            raise Killed

    def load(self, module: nn.Module) -> object:
        return self.inner.load(module)


@pytest.mark.parametrize("extras", [{}, {"cutmix": 0.5, "average": 0.9}], ids=["plain", "averaged"])
@pytest.mark.parametrize("stop_after", [1, 3, 4])
def test_a_resumed_training_equals_an_uninterrupted_one(
    digits: TrainingData, tmp_path: Path, stop_after: int, extras: dict[str, float]
) -> None:
    two_phases = replace(
        RECIPE,
        phases=(
            Phase(epochs=3, learning_rate=3e-3),
            Phase(epochs=2, learning_rate=1e-3, schedule="constant", optimizer="adam"),
        ),
        **extras,
    )
    whole = trainer(digits, two_phases)
    expected = whole.fit()

    stops = StopAfter(checkpoint_in(tmp_path), stop_after)
    with pytest.raises(Killed):
        trainer(digits, two_phases, checkpoint=stops).fit()
    resumed = trainer(digits, two_phases, checkpoint=checkpoint_in(tmp_path))
    state = resumed.fit()
    assert torch.equal(weights_of(whole.module), weights_of(resumed.module))
    assert [r.val_loss for r in state.history] == [r.val_loss for r in expected.history]


def test_the_average_of_the_weights_is_what_answers(digits: TrainingData) -> None:
    averaged = trainer(digits, replace(RECIPE, average=0.95, cutmix=0.3, keep="last"))
    state = averaged.fit()
    kept = averaged.module.state_dict()
    assert all(torch.equal(kept[key], value) for key, value in state.average.items())
    logits = logits_of(averaged.module, digits.inputs[digits.validation], averaged.prepare)
    right = (logits.argmax(1) == digits.labels[digits.validation]).mean()
    assert right == state.history[-1].val_accuracy
    assert state.steps == RECIPE.epochs * 11


class Seen(nn.Module):
    """Pools whatever size it is shown, and remembers the sides."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Linear(1, 10)
        self.sides: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.sides.append(images.shape[-1])
        return self.logits(images.mean(dim=(2, 3)))


def test_photos_grow_after_the_first_epochs(digits: TrainingData) -> None:
    pixels = digits.inputs[:256].repeat(12, axis=1).repeat(12, axis=2)
    data = TrainingData(pixels, digits.labels[:256], np.arange(192), np.arange(192, 256), 10)
    phase = Phase(epochs=4, small_share=0.5, small_scale=2 / 3)
    module = Seen()
    fit = trainer(
        data, replace(RECIPE, phases=(phase,), augmentation=Augmentation()), module=module
    )
    fit.fit()
    assert module.sides == [64] * 6 + [96] * 6


def test_only_what_is_trained_on_stands_before_other_backgrounds() -> None:
    floor = np.full((12, 64, 64, 3), 150, np.uint8)
    floor[:, 20:44, 16:50] = (200, 30, 30)
    train, validation = np.arange(8), np.arange(8, 12)
    objects = Objects.of(floor, train)
    data = TrainingData(floor, np.arange(12) % 2, train, validation, 2, objects)
    recipe = replace(RECIPE, batch_size=3, augmentation=Augmentation(backdrop=1.0))

    def epoch(seed: int) -> torch.Tensor:
        fit = trainer(data, recipe)
        fit._generator.manual_seed(seed)
        return torch.cat([batch for batch, _ in fit._training_batches(train)])

    shown = epoch(1)
    assert torch.equal(shown, epoch(1))
    assert not torch.equal(shown, epoch(2))
    assert (shown[:, 25:40, 22:45] == torch.tensor([200, 30, 30])).all()
    assert (shown[:, 0] != 150).float().mean() > 0.5
    plain = torch.cat([batch for batch, _ in trainer(data, recipe)._batches(validation)])
    assert (plain == torch.from_numpy(floor[validation])).all()


@pytest.mark.parametrize("share", [1.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_step_in_parts_has_the_gradient_of_the_whole_batch(
    digits: TrainingData, monkeypatch: pytest.MonkeyPatch, share: float, *, weighted: bool
) -> None:
    """Without dropout and batch norm nothing but rounding tells them apart."""
    weights = np.geomspace(0.1, 10, 10).astype(np.float32) if weighted else None

    def gradient(values: int) -> tuple[torch.Tensor, torch.Tensor]:
        monkeypatch.setattr("pegboard.train.STEP_VALUES", values)
        torch.manual_seed(0)
        module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        fitter = trainer(digits, module=module, class_weights=weights)
        monkeypatch.setattr(
            fitter, "_mix", lambda inputs: (inputs, torch.arange(len(inputs)).flip(0), share)
        )
        optimizer = fitter._optimizer(RECIPE.phases[0])
        loss, logits = fitter._train_step(
            optimizer, torch.from_numpy(digits.inputs[:63]), torch.from_numpy(digits.labels[:63])
        )
        assert logits.shape == (63, 10)
        return loss, module[1].weight.grad.clone()

    whole_loss, whole = gradient(1 << 23)
    loss, gradients = gradient(64 * 10)
    torch.testing.assert_close(loss, whole_loss)
    torch.testing.assert_close(gradients, whole)


@pytest.mark.parametrize(("count", "side"), [(64, 288), (32, 288), (1, 4000), (5, 8), (50, 640)])
def test_parts_of_a_step_are_equal_and_small(count: int, side: int) -> None:
    photos = torch.empty(1).expand(count, 3, side, side)
    parts = parts_of_step(photos)
    assert [index for part in parts for index in range(part.start, part.stop)] == [*range(count)]
    sizes = [part.stop - part.start for part in parts]
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) == 1 or max(sizes) * 3 * side**2 < 2 * (1 << 22)


@pytest.mark.parametrize(("side", "fewest", "most"), [(8, 1024, 1024), (224, 8, 16), (640, 8, 8)])
def test_a_cpu_answers_few_large_photos_at_once_and_many_small_ones(
    side: int, fewest: int, most: int
) -> None:
    photos = np.broadcast_to(np.uint8(0), (5000, side, side, 3))
    assert fewest <= evaluation_batch(photos, CPU) <= most
    assert evaluation_batch(photos, CPU) <= evaluation_batch(photos, torch.device("cuda"))


def test_a_budget_ends_at_full_size(digits: TrainingData) -> None:
    pixels = digits.inputs[:256].repeat(12, axis=1).repeat(12, axis=2)
    data = TrainingData(pixels, digits.labels[:256], np.arange(192), np.arange(192, 256), 10)
    phase = Phase(epochs=100_000, small_share=0.5, small_scale=2 / 3)
    module = Seen()
    recipe = replace(RECIPE, phases=(phase,), augmentation=Augmentation())
    trainer(data, recipe, module=module, budget=Budget(1.0)).fit()
    assert module.sides[0] == 64
    assert module.sides[-1] == 96


def test_a_checkpoint_of_another_job_is_not_used(digits: TrainingData, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    with pytest.raises(Killed):
        trainer(digits, checkpoint=StopAfter(FileCheckpoint(path, "one", every=0), 2)).fit()
    assert FileCheckpoint(path, "one").load(net()) is not None
    assert FileCheckpoint(path, "another").load(net()) is None


def test_a_loss_that_is_no_number_is_told(digits: TrainingData) -> None:
    phase = Phase(epochs=3, learning_rate=1e30, schedule="constant", optimizer="adam")
    with pytest.raises(Diverged, match="stopped being a number in epoch 1; try a smaller"):
        trainer(digits, replace(RECIPE, phases=(phase,))).fit()


class Poisoned(nn.Module):
    """Answers NaN from its n-th training batch on."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.inner, self.left = net(), batches

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.left -= 1
        return self.inner(x) * (float("nan") if self.left < 0 else 1.0)


def test_divergence_after_a_good_epoch_keeps_that_epoch(digits: TrainingData) -> None:
    fit = trainer(digits, module=Poisoned(batches=15))  # 11 batches an epoch
    state = fit.fit()
    assert len(state.history) == 1
    assert state.notes == [
        "the loss stopped being a number in epoch 2: training ended there and the weights of "
        "epoch 1 are kept"
    ]
    assert torch.isfinite(weights_of(fit.module)).all()


def test_a_spent_budget_ends_training_in_the_middle_of_an_epoch(digits: TrainingData) -> None:
    ticks = iter(range(10_000))
    budget = Budget(20, clock=lambda: float(next(ticks)))
    phase = Phase(epochs=1000, learning_rate=3e-3)
    state = trainer(digits, replace(RECIPE, phases=(phase,)), budget=budget).fit()
    assert 1 <= len(state.history) < 5, "the last, unfinished epoch is validated and counts"


@pytest.mark.parametrize("schedule", ["one-cycle", "constant"])
def test_the_rate_never_exceeds_its_peak(schedule: str) -> None:
    phase = Phase(schedule=schedule)
    factors = [rate_factor(phase, step / 1000) for step in range(1001)]
    assert max(factors) == pytest.approx(1)
    assert min(factors) > 0


def test_a_device_that_is_not_there_is_refused() -> None:
    if torch.backends.mps.is_available():
        pytest.skip("this machine has mps")
    with pytest.raises(PegboardError, match="--device mps was asked for, and this machine has: c"):
        choose_device("mps")
