"""Going on from a trained model with new photos and a new class."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score
from torch import nn

from pegboard import prepare
from pegboard.bundle import Network, read_bundle, rewrite_info
from pegboard.cli import run
from pegboard.errors import ModelError
from pegboard.growing import open_origin
from pegboard.inputs import InputSpec, fitted
from pegboard.learn import last_linear
from pegboard.manifest import read_manifest
from pegboard.models.backbones import BackboneClassifier
from pegboard.models.build import build_model
from pegboard.models.registry import parse_model_name
from pegboard.models.start import Start, begin_with
from pegboard.runs import RunFolder, read_json
from pegboard.settings import CompareSettings
from pegboard.words import about_growth

NEW = "8"


def write_digits(folder: Path, start: int, end: int, without: str = "") -> Path:
    digits = load_digits()
    for number in range(start, end):
        label = str(digits.target[number])
        if label != without:
            (folder / label).mkdir(parents=True, exist_ok=True)
            image = Image.fromarray((digits.images[number] * 15).astype(np.uint8))
            image.save(folder / label / f"{number}.png")
    return folder


@dataclass(frozen=True)
class Grown:
    here: Path
    old: RunFolder
    new: RunFolder

    @property
    def bundle(self) -> Path:
        return self.old.model("cnn").bundle

    @property
    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = read_json(self.new.leaderboard)["grown"]
        return told


def compare(*arguments: str | Path) -> int:
    return run(["compare", *map(str, arguments), "--threads", "1"])


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Grown:
    """Nine digits of few photos; then the tenth digit, and more photos of all."""
    here = tmp_path_factory.mktemp("grown")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PEGBOARD_CACHE", str(here / "cache"))
        patch.chdir(here)
        write_digits(here / "old", 0, 300, without=NEW)
        assert compare("old", "--models", "cnn", "--epochs", "8", "--out", here / "first") == 0
        bundle = here / "first" / "models" / "cnn" / "cnn.pegboard"
        write_digits(here / "all", 0, 300, without=NEW)
        write_digits(here / "all", 300, 700)
        out = here / "second"
        assert compare("all", "--from", bundle, "--epochs", "4", "--out", out) == 0
    return Grown(here, RunFolder(here / "first"), RunFolder(here / "second"))


class TestARun:
    def test_it_has_the_models_name_and_input_and_the_new_class(self, grown: Grown) -> None:
        before = read_bundle(grown.bundle).info
        after = read_bundle(grown.new.model("cnn").bundle).info
        assert (after.name, after.input) == (before.name, before.input)
        assert set(after.classes) - set(before.classes) == {NEW}

    def test_every_old_photo_keeps_its_split(self, grown: Grown) -> None:
        old = {row.sha256: row.split for row in read_manifest(grown.old.manifest)}
        new = {row.sha256: row.split for row in read_manifest(grown.new.manifest)}
        shared = old.keys() & new.keys()
        assert len(shared) > 250
        assert all(new[photo] == old[photo] for photo in shared)

    def test_the_old_model_is_measured_on_the_new_test_photos_it_could_know(
        self, grown: Grown
    ) -> None:
        bundle = read_bundle(grown.bundle)
        rows = [
            row
            for row in read_manifest(grown.new.manifest)
            if row.split == "test" and row.label != NEW
        ]
        pixels = [
            fitted((grown.here / "all" / row.path).read_bytes(), bundle.info.input) for row in rows
        ]
        network = Network(bundle.model, bundle.info.input, len(bundle.info.classes))
        named = network.probabilities(np.stack(pixels)).argmax(axis=1)
        right = [bundle.info.classes[n] == row.label for n, row in zip(named, rows, strict=True)]
        assert grown.told["n"] == len(rows)
        assert grown.told["before"]["accuracy"] == pytest.approx(np.mean(right))
        labels = [row.label for row in rows]
        names = [bundle.info.classes[n] for n in named]
        f1 = f1_score(labels, names, average="macro", labels=sorted(set(labels)), zero_division=0)
        assert grown.told["before"]["macro_f1"] == pytest.approx(f1)
        (model,) = grown.told["models"]
        difference = model["after"]["accuracy"] - grown.told["before"]["accuracy"]
        assert model["difference"]["difference"] == pytest.approx(difference)

    def test_the_words_say_whether_it_helped(self, grown: Grown) -> None:
        said = about_growth(grown.told)
        assert said[0].startswith("Gone on from cnn.pegboard: on the ")
        assert said[1].startswith(f"New to it: {NEW} (")
        assert said[0] in grown.new.report.read_text("utf-8").replace("&#39;", "'")
        notes = read_json(grown.new.run)["warnings"]
        assert f"classes that cnn.pegboard did not know: {NEW}" in notes

    def test_a_start_is_worth_epochs(self, grown: Grown) -> None:
        """After one small step it knows what it knew; from random weights it would not."""
        out = grown.here / "step"
        arguments = ("--epochs", "1", "--learning-rate", "1e-6", "--out", out)
        assert compare(grown.here / "all", "--from", grown.bundle, *arguments) == 0
        told = read_json(RunFolder(out).leaderboard)["grown"]
        (model,) = told["models"]
        assert model["after"]["accuracy"] > told["before"]["accuracy"] - 0.1 > 0.5


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--models", "lm"], "holds a model cnn, and --models asks for lm; leave --models out"),
            (["--folds", "3"], "and --folds exclude each other"),
            (["--fit", "crop"], "was trained with --fit letterbox, which stays"),
            (["--image-size", "32"], "sees 8 px, which stay"),
            (["--recipe", "notebook"], "which has another head"),
        ],
    )
    def test_settings_that_contradict_it(
        self, grown: Grown, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = grown.here / "refused"
        code = compare(grown.here / "all", "--from", grown.bundle, "--out", out, *arguments)
        assert code == 1
        assert said in capsys.readouterr().err
        assert not out.exists()

    def test_colour_photos_for_a_grey_model(
        self, grown: Grown, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        chance = np.random.default_rng(0)
        for number in range(12):
            file = tmp_path / "photos" / str(number % 2) / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(chance.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(file)
        assert compare(tmp_path / "photos", "--from", grown.bundle, "--out", tmp_path / "r") == 1
        assert "sees grey photos, and 0/0.png is in colour" in capsys.readouterr().err

    def test_testing_on_photos_it_was_trained_on(
        self, grown: Grown, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for row in read_manifest(grown.old.manifest):
            split = "test" if row.split == "train" else "train"
            target = tmp_path / "given" / split / row.path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(grown.here / "old" / row.path, target)
        arguments = (tmp_path / "given", "--from", grown.bundle, "--out", tmp_path / "r")
        assert compare(*arguments) == 1
        assert "given as test photos were in its training or validation" in capsys.readouterr().err

    def test_what_is_no_bundle(
        self, grown: Grown, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert compare(grown.here / "all", "--from", tmp_path / "no.pegboard") == 1
        assert len(capsys.readouterr().err.splitlines()) == 1


class TestWhereItCameFrom:
    def origin(self, grown: Grown, bundle: Path, out: Path | None = None) -> Any:
        settings = CompareSettings(source="x", from_bundle=bundle, out=out)
        return open_origin(settings)

    def test_the_folder_it_lies_in(self, grown: Grown) -> None:
        origin = self.origin(grown, grown.bundle)
        assert origin.weights == grown.old.model("cnn").weights
        assert len(origin.seen) == len(read_manifest(grown.old.manifest))

    def test_a_run_beside_the_new_one_that_has_the_same_file(
        self, grown: Grown, tmp_path: Path
    ) -> None:
        copy = Path(shutil.copyfile(grown.bundle, tmp_path / "mine.pegboard"))
        origin = self.origin(grown, copy, grown.here / "third")
        assert origin.weights == grown.old.model("cnn").weights
        assert origin.seen

    def test_alone_its_photos_are_not_known_and_that_is_said(
        self, grown: Grown, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        copy = Path(shutil.copyfile(grown.bundle, tmp_path / "mine.pegboard"))
        info = read_bundle(copy).info
        rewrite_info(copy, replace(info, figures={}))  # no run has this very file
        arguments = ("--from", copy, "--epochs", "1", "--out", tmp_path / "r", "--previous", "none")
        assert compare(grown.here / "all", *arguments) == 0
        told = capsys.readouterr()
        assert "it is not known which photos it learned from" in told.err
        assert "Which photos the earlier model learned from is not known" in told.out


# --- weights -----------------------------------------------------------------------------


def saved(tmp_path: Path, module: nn.Module, typed: str, classes: tuple[str, ...]) -> Start:
    from pegboard.learn import save_weights

    save_weights(tmp_path / "weights.safetensors", module)
    return Start(parse_model_name(typed), tmp_path / "weights.safetensors", "0", classes)


GREY = InputSpec(12, 12, 1, mean=(0.5,), std=(0.5,))


@pytest.mark.parametrize("typed", ["lm", "nn", "cnn", "fastcnn"])
def test_rows_go_to_the_classes_of_the_same_name(tmp_path: Path, typed: str) -> None:
    torch.manual_seed(0)
    name = parse_model_name(typed)
    old = build_model(name, 3, GREY).eval()
    new = build_model(name, 4, GREY).eval()
    begin_with(new, saved(tmp_path, old, typed, ("a", "b", "c")), ["b", "x", "c", "a"])
    photos = torch.rand(5, 1, 12, 12)
    with torch.inference_mode():
        before, after = old(photos), new(photos)
    torch.testing.assert_close(after[:, [3, 0, 2]], before)


def test_a_frozen_backbone_gets_its_head(tmp_path: Path) -> None:
    class Backbone(nn.Module):
        dimension = 6

        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(4, 6)

        def forward(self, photos: torch.Tensor) -> torch.Tensor:
            features: torch.Tensor = self.body(photos)
            return features

    old = BackboneClassifier(Backbone(), nn.Linear(6, 2))
    new = BackboneClassifier(Backbone(), nn.Linear(6, 2))
    begin_with(new, saved(tmp_path, old, "probe", ("a", "b")), ["b", "a"])
    torch.testing.assert_close(last_linear(new.head).weight, last_linear(old.head).weight[[1, 0]])
    torch.testing.assert_close(new.backbone.body.weight, old.backbone.body.weight)


def test_folded_weights_are_refused_before_photos_are_read(
    grown: Grown,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PEGBOARD_CACHE", str(tmp_path / "cache"))
    out, old = tmp_path / "run", grown.here / "old"
    assert compare(old, "--models", "fastcnn", "--epochs", "1", "--out", out) == 0
    alone = tmp_path / "elsewhere" / "mine.pegboard"
    alone.parent.mkdir()
    shutil.copy(out / "models" / "fastcnn" / "fastcnn.pegboard", alone)
    monkeypatch.chdir(alone.parent)

    def read(*_: object, **__: object) -> None:
        raise AssertionError("photos were read")

    monkeypatch.setattr(prepare, "take_in", read)
    capsys.readouterr()
    assert compare(old, "--from", alone) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert "does not hold the weights of fastcnn as they were trained" in said
    assert "beside weights.safetensors" in said
    assert list(alone.parent.iterdir()) == [alone]
    # In its run folder it is gone on with.
    compare(old, "--from", out / "models" / "fastcnn" / "fastcnn.pegboard")
    assert "photos were read" in capsys.readouterr().err


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    start = saved(tmp_path, build_model(parse_model_name("nn"), 2, GREY), "nn", ("a", "b"))
    other = build_model(parse_model_name("nn"), 2, InputSpec(9, 9, 1, mean=(0.5,), std=(0.5,)))
    with pytest.raises(ModelError, match="is of another network than nn"):
        begin_with(other, start, ["a", "b"])


def test_a_file_alone_holds_weights_only_without_batch_normalisation(
    grown: Grown, tmp_path: Path
) -> None:
    info = read_bundle(grown.bundle).info
    start = Start(parse_model_name("cnn"), grown.bundle, "0", info.classes)
    module = build_model(parse_model_name("cnn"), len(info.classes), info.input)
    begin_with(module, start, info.classes)
    from safetensors.torch import load_file

    for key, value in load_file(grown.old.model("cnn").weights).items():
        torch.testing.assert_close(module.state_dict()[key], value)
    normalised = build_model(parse_model_name("fastcnn"), len(info.classes), info.input)
    with pytest.raises(ModelError, match="does not hold the weights of cnn as they were trained"):
        begin_with(normalised, start, info.classes)
