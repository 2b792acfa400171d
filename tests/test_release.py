"""Exports of a real run: INT8, plain ONNX, another risk, training photos to show."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from conftest import REPOSITORY, draw_photo
from pegboard.bundle import (
    Network,
    Parity,
    compare_answers,
    read_bundle,
    rewrite_info,
    write_again,
)
from pegboard.calibrate import SURE_CONFIDENCE, set_limits, sure_threshold
from pegboard.errors import BundleError, GateFound, PegboardError, SourceError
from pegboard.evaluate import read_predictions
from pegboard.manifest import read_manifest
from pegboard.pipeline import compare
from pegboard.predict import Predictor
from pegboard.release import export_model
from pegboard.release.quantise import layers_by_error, quantise
from pegboard.settings import CompareSettings
from pegboard.verify import verify_bundle

SHAPES = ("disc", "square", "cross")
PER_CLASS = 40


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PEGBOARD_CACHE", str(tmp_path_factory.getbasetemp() / "pegboard-cache"))
        yield


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("release") / "photos"
    chance = np.random.default_rng(0)
    place = Image.Exif()
    place[0x8825] = {1: "N", 2: (48.0, 8.0, 0.0)}  # GPS
    for shape in SHAPES:
        (root / shape).mkdir(parents=True)
        for number in range(PER_CLASS):
            photo = draw_photo(shape, chance, (64, 64))
            photo.save(root / shape / f"{number:02d}.jpg", quality=95, exif=place)
    return root


@pytest.fixture(scope="module")
def run(photos: Path) -> Path:
    out = photos.parent / "run"
    settings = CompareSettings(
        str(photos), models="cnn", epochs=4, image_size=32, out=out, previous="none", threads=1
    )
    compare(settings)
    return out


def bundle_of(run: Path) -> Path:
    return run / "models" / "cnn" / "cnn.pegboard"


def photos_of(run: Path, photos: Path, split: str) -> tuple[list[str], list[bytes]]:
    rows = [row for row in read_manifest(run / "manifest.csv") if row.split == split]
    return [row.label for row in rows], [(photos / row.path).read_bytes() for row in rows]


# --- the certificate -------------------------------------------------------------------------


def test_the_certificate_is_of_all_test_photos(run: Path) -> None:
    info = read_bundle(bundle_of(run)).info
    answers = read_predictions(run / "models" / "cnn" / "predictions.csv", {})["test"]
    parity = info.parity
    assert parity is not None
    assert parity.n == len(answers.paths)
    assert (parity.agreement, parity.precision) == (1.0, "float32")
    assert parity.max_difference < 1e-5
    assert parity.macro_f1_trained == parity.macro_f1_exported
    assert parity.macro_f1_trained == pytest.approx(info.figures["macro_f1"], abs=1e-9)
    assert info.graph["opset"] == 18


def test_verify_makes_the_comparison_again(run: Path, photos: Path) -> None:
    bundle = read_bundle(bundle_of(run))
    result = verify_bundle(bundle_of(run), photos)
    assert result.on is not None
    assert result.on.parity is not None
    assert bundle.info.parity is not None
    # Of all the photos in the folder, it finds those that the model was tested on.
    assert result.on.n > result.on.parity.n == bundle.info.parity.n
    assert result.on.parity.max_difference < 1e-5
    assert any(line.startswith("here, exported against trained") for line in result.lines())


def test_verify_finds_another_models_answers(run: Path, photos: Path, tmp_path: Path) -> None:
    bundle = read_bundle(bundle_of(run))
    assert bundle.answers is not None
    wrong = replace(bundle.answers, probabilities=bundle.answers.probabilities[::-1].copy())
    write_again(tmp_path / "a.pegboard", bundle, answers=wrong)
    assert verify_bundle(tmp_path / "a.pegboard").on is None
    with pytest.raises(GateFound, match="does not answer like the trained one"):
        verify_bundle(tmp_path / "a.pegboard", photos)


def test_int8_is_held_to_its_loss_of_macro_f1() -> None:
    lossy = Parity(500, 0.3, 0.95, 0.90, 0.885, "int8", ("conv1",))
    with pytest.raises(BundleError, match=r"loses 1\.5 points .* 1 layers were kept .*--force"):
        lossy.check()
    replace(lossy, forced=True).check()
    replace(lossy, macro_f1_exported=0.891).check()
    with pytest.raises(BundleError):
        replace(lossy, macro_f1_exported=None).check()
    assert Parity.from_json(json.loads(json.dumps(lossy.to_json()))) == lossy


# --- INT8 ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def int8(run: Path) -> Path:
    return export_model(run, "cnn", "pegboard-int8", run.parent / "int8.pegboard", force=True)


def test_int8_is_a_small_bundle_with_its_certificate(run: Path, photos: Path, int8: Path) -> None:
    bundle, plain = read_bundle(int8), read_bundle(bundle_of(run))
    assert len(bundle.model) < 0.5 * len(plain.model)
    labels, payloads = photos_of(run, photos, "test")
    predictor = Predictor.load(int8, 1)
    answers = np.concatenate(
        [predictor.probabilities(predictor.fitted(data)[None]) for data in payloads]
    )
    known = np.array([plain.info.classes.index(label) for label in labels])
    test = read_predictions(run / "models" / "cnn" / "predictions.csv", {})["test"]
    again = compare_answers(test.probabilities, answers, known, precision="int8")
    assert bundle.info.parity is not None
    assert bundle.info.parity.n == again.n
    assert bundle.info.parity.max_difference == pytest.approx(again.max_difference, abs=1e-6)
    assert bundle.info.parity.macro_f1_exported == pytest.approx(again.macro_f1_exported)
    assert bundle.info.parity.agreement > 0.8
    assert verify_bundle(int8, photos).on is not None


def test_int8_promises_what_its_own_answers_show(run: Path, photos: Path, int8: Path) -> None:
    info, plain = read_bundle(int8).info, read_bundle(bundle_of(run)).info
    labels, payloads = photos_of(run, photos, "validation")
    predictor = Predictor.load(int8, 1)
    answers = np.concatenate(
        [predictor.probabilities(predictor.fitted(data)[None]) for data in payloads]
    )
    known = np.array([info.classes.index(label) for label in labels])
    assert info.thresholds["sure"] == sure_threshold(answers, known)
    assert info.sets == {"n": len(known), "least": pytest.approx(set_limits(answers, known))}
    assert info.parity is not None
    assert info.figures["macro_f1"] == pytest.approx(info.parity.macro_f1_exported)
    assert info.figures["size_bytes"] == int8.stat().st_size
    assert info.figures["latency_ms_p50"] is None
    assert plain.figures["latency_ms_p50"] > 0


def test_a_few_photos_say_nothing_of_points_lost(
    run: Path, photos: Path, int8: Path, tmp_path: Path
) -> None:
    """One of three answered otherwise is no loss of thirty points."""
    labels, payloads = photos_of(run, photos, "test")
    bundle, altered = read_bundle(int8), tmp_path / "altered.pegboard"
    assert bundle.answers is not None
    wrong = bundle.answers.probabilities[:, ::-1].copy()
    info = replace(bundle.info, parity=replace(bundle.info.parity, forced=False))
    write_again(altered, bundle, info=info, answers=replace(bundle.answers, probabilities=wrong))
    few = tmp_path / "few"
    for number, (label, data) in enumerate(zip(labels[:3], payloads[:3], strict=True)):
        (few / label).mkdir(parents=True, exist_ok=True)
        (few / label / f"{number}.jpg").write_bytes(data)
    on = verify_bundle(altered, few).on
    assert on is not None
    assert on.parity is not None
    assert on.parity.n == 3


def test_photos_it_may_have_learned_from_are_told(run: Path, photos: Path) -> None:
    said = verify_bundle(bundle_of(run), photos)
    assert said.on is not None
    assert said.on.parity is not None
    text = "\n".join(said.lines())
    assert f"{said.on.parity.n} of these {said.on.n} are known to be its test photos" in text
    with pytest.raises(PegboardError, match=rf"{PER_CLASS} files without a class; give the folder"):
        verify_bundle(bundle_of(run), photos / "disc")


def test_layers_that_are_kept_stay_in_float(run: Path, photos: Path) -> None:
    bundle = read_bundle(bundle_of(run))
    predictor = Predictor(bundle, 1)
    _, payloads = photos_of(run, photos, "train")
    pixels = np.stack([predictor.fitted(data) for data in payloads[:16]])
    whole = quantise(bundle.model, pixels)
    order = layers_by_error(bundle.model, whole, pixels)
    assert len(order) == 3  # two convolutions and a dense layer; the last stays in float
    mixed = quantise(bundle.model, pixels, order)
    network = Network(mixed, bundle.info.input, len(bundle.info.classes), 1)
    before, after = predictor.probabilities(pixels), network.probabilities(pixels)
    through_all = Network(whole, bundle.info.input, 3, 1).probabilities(pixels)
    assert np.abs(before - after).max() < np.abs(before - through_all).max()
    assert quantise(bundle.model, pixels) == whole


def test_a_photo_that_is_gone_is_said_in_one_line(run: Path, photos: Path, tmp_path: Path) -> None:
    copy = tmp_path / "photos"
    shutil.copytree(photos, copy)
    shutil.copytree(run, tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    record["source"]["location"] = str(copy)
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    lost = next(row for row in read_manifest(run / "manifest.csv") if row.split == "train")
    (copy / lost.path).unlink()
    out = tmp_path / "a.onnx"
    with pytest.raises(SourceError, match=f"^{re.escape(lost.path)} was readable .*put it back"):
        export_model(tmp_path / "run", "cnn", "onnx-int8", out, force=True)
    shutil.rmtree(copy)
    with pytest.raises(SourceError, match="needs the photos of"):
        export_model(tmp_path / "run", "cnn", "onnx-int8", out, force=True)
    assert not out.exists()


# --- plain ONNX ------------------------------------------------------------------------------


def test_ten_lines_of_python_use_plain_onnx(run: Path, photos: Path, tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "shipping.md").read_text("utf-8")
    (lines,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "ask.py").write_text(lines)
    file = export_model(run, "cnn", "onnx", tmp_path / "cnn.onnx")
    photo = photos / "disc" / "00.jpg"
    done = subprocess.run(
        [sys.executable, str(tmp_path / "ask.py"), str(file), str(photo)],
        capture_output=True,
        text=True,
        check=True,
    )
    label, probability = done.stdout.split()
    (expected,) = Predictor.load(bundle_of(run), 1).predict([photo.read_bytes()])
    assert label == expected.label
    assert float(probability) == pytest.approx(expected.probability, abs=0.1)


@pytest.mark.parametrize("to", ["onnx", "onnx-int8"])
def test_plain_onnx_says_what_it_is(run: Path, tmp_path: Path, to: str) -> None:
    file = export_model(run, "cnn", to, tmp_path / "a.onnx", force=to.endswith("int8"))
    onnx.checker.check_model(onnx.load(file), full_check=True)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["classes"]) == sorted(SHAPES)
    assert json.loads(told["fit"])["width"] == 32
    parity = json.loads(told["parity"])
    assert parity["precision"] == ("int8" if to.endswith("int8") else "float32")
    assert parity["macro_f1_exported"] is not None


@pytest.mark.parametrize(("to", "name"), [("pegboard", "a.onnx"), ("onnx-int8", "a.pegboard")])
def test_a_name_of_the_other_format_is_refused(
    run: Path, tmp_path: Path, to: str, name: str
) -> None:
    (tmp_path / name).write_text("the user's")
    with pytest.raises(PegboardError, match="give --to"):
        export_model(run, "cnn", to, tmp_path / name, force=True)
    assert (tmp_path / name).read_text() == "the user's"


# --- how sure is sure ------------------------------------------------------------------------


def test_the_user_says_how_often_a_sure_answer_may_be_wrong(run: Path, tmp_path: Path) -> None:
    found = read_predictions(run / "models" / "cnn" / "predictions.csv", {})["validation"]
    out = export_model(run, "cnn", out=tmp_path / "a.pegboard", wrong_at_most=0.4)
    info = read_bundle(out).info
    assert info.thresholds["precision"] == pytest.approx(0.6)
    assert info.thresholds["sure"] == sure_threshold(found.probabilities, found.labels, 0.6)
    assert info.thresholds["confidence"] == SURE_CONFIDENCE
    told, before = info.abstention, read_bundle(bundle_of(run)).info.abstention
    assert (told["n"], told["unknown"]) == (before["n"], before["unknown"])
    assert told["sure"] + told["unsure"] + told["unknown"] == pytest.approx(1)
    with pytest.raises(PegboardError, match="--wrong-at-most: expected a share"):
        export_model(run, "cnn", out=tmp_path / "b.pegboard", wrong_at_most=2)


def test_the_answers_of_several_models_say_nothing_of_one(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    record["settings"]["folds"] = 3
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    with pytest.raises(PegboardError, match="cross-validation"):
        export_model(tmp_path / "run", "cnn", out=tmp_path / "a.pegboard", wrong_at_most=0.4)


def test_a_run_holds_what_its_models_were_asked_for(photos: Path, tmp_path: Path) -> None:
    settings = CompareSettings(
        str(photos), models="cnn", epochs=1, image_size=32, out=tmp_path / "run",
        previous="none", threads=1, wrong_at_most=0.4,
    )  # fmt: skip
    compare(settings)
    info = read_bundle(bundle_of(tmp_path / "run")).info
    assert info.thresholds["precision"] == pytest.approx(0.6)
    assert info.sets["n"] == len(
        read_predictions(tmp_path / "run" / "models" / "cnn" / "predictions.csv", {})["validation"]
    )
    for share in (0, 1, -0.1):
        with pytest.raises(PegboardError, match="--wrong-at-most: expected a share between"):
            CompareSettings("x", wrong_at_most=share)


# --- training photos to show -------------------------------------------------------------------


def test_training_photos_are_shown_only_where_asked_for(
    run: Path, photos: Path, tmp_path: Path
) -> None:
    _, payloads = photos_of(run, photos, "train")
    plain = Predictor.load(bundle_of(run), 1)
    assert not plain.has_neighbours
    assert plain.nearest(payloads[0]) == []
    out = export_model(run, "cnn", out=tmp_path / "a.pegboard", neighbours=True)
    predictor = Predictor.load(out, 1)
    rows = [row for row in read_manifest(run / "manifest.csv") if row.split == "train"]
    for row, payload in list(zip(rows, payloads, strict=True))[:5]:
        first, *rest = predictor.nearest(payload, 4)
        assert (first.path, first.label) == (row.path, row.label)
        assert first.similarity == pytest.approx(1, abs=1e-2)
        assert [one.similarity for one in rest] == sorted(
            (one.similarity for one in rest), reverse=True
        )
        picture = Image.open(io.BytesIO(first.picture))
        assert max(picture.size) <= 96
        assert not picture.getexif()
    assert predictor.predict(payloads[:3]) == plain.predict(payloads[:3])
    # The same again, and what is written about it can be changed without losing the photos.
    again = export_model(run, "cnn", out=tmp_path / "b.pegboard", neighbours=True)
    assert again.read_bytes() == out.read_bytes()
    rewrite_info(out, read_bundle(out).info)
    assert again.read_bytes() == out.read_bytes()
    with pytest.raises(PegboardError, match="--with-neighbours: plain ONNX"):
        export_model(run, "cnn", "onnx", tmp_path / "a.onnx", neighbours=True)


def test_where_it_looked_is_a_picture_of_the_photo(run: Path, photos: Path) -> None:
    predictor = Predictor.load(bundle_of(run), 1)
    picture = predictor.where_it_looked((photos / "disc" / "00.jpg").read_bytes(), "disc")
    assert picture.shape == (96, 96, 3)
    with pytest.raises(PegboardError, match="one of the classes cross, disc, square"):
        predictor.where_it_looked(b"", "hammer")


# --- in a web page ---------------------------------------------------------------------------


@pytest.mark.slow
def test_the_web_page_names_a_photo(
    run: Path, photos: Path, tmp_path: Path, browser: Any, request: pytest.FixtureRequest
) -> None:
    """With the npm package, which is fetched: skipped where that cannot be had."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    packed = subprocess.run(
        [npm, "pack", "--silent", "onnxruntime-web"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    if packed.returncode:
        pytest.skip("npm cannot fetch onnxruntime-web")
    web = tmp_path / "web"
    shutil.copytree(REPOSITORY / "docs" / "web", web)
    with tarfile.open(tmp_path / packed.stdout.split()[-1]) as archive:
        archive.extractall(tmp_path, filter="data")
    for pattern in ("ort.wasm.min.js", "ort-wasm-simd-threaded.*"):
        for file in (tmp_path / "package" / "dist").glob(pattern):
            shutil.copyfile(file, web / file.name)
    model = export_model(run, "cnn", "onnx", web / "model.onnx")
    told = onnxruntime.InferenceSession(model).get_modelmeta().custom_metadata_map
    held = {key: json.loads(told[key]) for key in ("classes", "fit")}
    (web / "told.js").write_text(f"const told = {json.dumps(held)}")
    handler = partial(SimpleHTTPRequestHandler, directory=str(web))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    request.addfinalizer(server.server_close)
    request.addfinalizer(server.shutdown)
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
    photo = photos / "disc" / "00.jpg"
    page.set_input_files("#photo", photo)
    page.wait_for_function("!document.getElementById('answer').textContent.includes('stays')")
    assert "did not work" not in page.inner_text("#answer"), page.inner_text("#answer")
    label, probability = re.findall(r"(\w+) \(([\d.]+) %\)", page.inner_text("#answer"))[0]
    page.close()
    (expected,) = Predictor.load(bundle_of(run), 1).predict([photo.read_bytes()])
    assert label == expected.label
    assert float(probability) / 100 == pytest.approx(expected.probability, abs=0.1)


def test_openvino_answers_alike(run: Path, photos: Path, tmp_path: Path) -> None:
    """Where it is installed; the route of docs/shipping.md."""
    openvino = pytest.importorskip("openvino", reason="openvino is not installed")
    file = export_model(run, "cnn", "onnx", tmp_path / "cnn.onnx")
    predictor = Predictor.load(bundle_of(run), 1)
    _, payloads = photos_of(run, photos, "test")
    pixels = np.stack([predictor.fitted(data) for data in payloads])
    # It may compute in bfloat16 where the processor can.
    model = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    answers = model(pixels)["probabilities"]
    np.testing.assert_allclose(answers, predictor.probabilities(pixels), atol=1e-4)
