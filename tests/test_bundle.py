from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pegboard.bundle import (
    Bundle,
    BundleInfo,
    DamagedBundleError,
    Network,
    Parity,
    Reference,
    archive,
    blow_up,
    model_card,
    read_bundle,
    read_info,
    reference_grids,
    rewrite_info,
    to_html,
    to_markdown,
    write_bundle,
)
from pegboard.errors import BundleError, PegboardError, RunFolderError
from pegboard.inputs import InputSpec
from pegboard.release import export_model
from small_bundle import SPEC, colour_bundle, colour_info, colour_onnx


def content(bundle: Bundle) -> tuple:
    reference = bundle.reference
    arrays = (reference.grids.tobytes(), reference.probabilities.tobytes())
    return (bundle.info.to_json(), bundle.model, bundle.card, *arrays)


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_zip(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def with_sums(members: dict[str, bytes]) -> dict[str, bytes]:
    """Checksums as someone would set them who alters a bundle on purpose."""
    others = {name: data for name, data in members.items() if name != "checksums.json"}
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in others.items()}
    return others | {"checksums.json": json.dumps(sums).encode()}


def with_model_json(path: Path, **changes: object) -> Path:
    members = members_of(path)
    data = json.loads(members["model.json"]) | changes
    return write_zip(path, with_sums(members | {"model.json": json.dumps(data).encode()}))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return colour_bundle(tmp_path / "colours.pegboard")


def as_written() -> BundleInfo:
    return colour_info(graph={"ir_version": 9, "opset": 18})


# --- writing and reading -----------------------------------------------------------------


def test_what_is_written_is_read(path: Path) -> None:
    bundle = read_bundle(path)
    assert bundle.info == as_written()
    assert (bundle.likeness, bundle.answers) == (None, None)
    assert bundle.model == colour_onnx()
    assert bundle.path == path


def test_the_members_and_keys_are_the_contracts(path: Path) -> None:
    members = members_of(path)
    assert set(members) == {
        "model.onnx",
        "model.json",
        "card.md",
        "card.html",
        "reference.npz",
        "checksums.json",
    }
    data = json.loads(members["model.json"])
    assert data["format"] == 4
    assert set(data) == {
        *("format", "name", "input", "classes", "temperature", "thresholds", "figures", "parity"),
        *("data", "fingerprint", "versions", "weights", "recipe", "created_by"),
        *("graph", "unknown", "sets", "abstention"),
    }
    sums = json.loads(members["checksums.json"])
    assert sums == {
        name: hashlib.sha256(member).hexdigest()
        for name, member in members.items()
        if name != "checksums.json"
    }


def test_equal_bundles_have_equal_bytes(path: Path, tmp_path: Path) -> None:
    again = colour_bundle(tmp_path / "again.pegboard")
    os.utime(again, (0, 0))
    assert again.read_bytes() == path.read_bytes()


def test_any_unzip_program_can_open_it(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_figures_that_are_not_numbers_become_null(tmp_path: Path) -> None:
    figures = {"loss": float("nan"), "accuracy": np.float64(0.5), "ci": np.array([0.0, np.inf])}
    bundle = read_bundle(colour_bundle(tmp_path / "a.pegboard", figures=figures))
    assert bundle.info.figures == {"loss": None, "accuracy": 0.5, "ci": [0.0, None]}


def test_the_reference_answers_are_those_of_the_network(path: Path) -> None:
    bundle = read_bundle(path)
    images = bundle.reference.inputs(SPEC)
    assert images.shape == (8, *SPEC.shape)
    means = images.mean(axis=(1, 2)) * 0.1
    expected = np.exp(means) / np.exp(means).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(bundle.reference.probabilities, expected, atol=1e-5)


def test_given_reference_answers_are_kept(tmp_path: Path) -> None:
    reference = Reference(reference_grids(3), np.full((8, 3), 1 / 3, np.float32))
    path = tmp_path / "a.pegboard"
    write_bundle(path, onnx=colour_onnx(), info=colour_info(), reference=reference)
    assert read_bundle(path).reference.probabilities.tolist() == reference.probabilities.tolist()


def test_rewritten_figures_leave_the_network_alone(path: Path) -> None:
    before = read_bundle(path)
    rewrite_info(path, replace(before.info, figures={"latency_ms_p50": 1.5}))
    after = read_bundle(path)
    assert after.info.figures == {"latency_ms_p50": 1.5}
    assert after.model == before.model


def test_figures_of_another_network_are_refused(path: Path) -> None:
    other = colour_info(classes=("a", "b", "c"))
    with pytest.raises(BundleError, match="another network"):
        rewrite_info(path, other)


@given(height=st.integers(1, 70), width=st.integers(1, 70), channels=st.sampled_from([1, 3]))
@settings(max_examples=30, deadline=None)
def test_blown_up_grids_have_the_inputs_shape_and_only_the_grids_values(
    height: int, width: int, channels: int
) -> None:
    grids = reference_grids(channels, 2)
    images = blow_up(grids, InputSpec(height, width, channels))
    assert images.shape == (2, height, width, channels)
    assert images.dtype == np.uint8
    assert set(np.unique(images)) <= set(np.unique(grids))
    assert (images[:, 0, 0] == grids[:, 0, 0]).all()


# --- damage ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return colour_bundle(tmp_path_factory.mktemp("whole") / "a.pegboard").read_bytes()


def outcome(path: Path) -> Bundle | BundleError:
    try:
        return read_bundle(path)
    except BundleError as error:
        return error


def accepted_only_if_equal(tmp_path: Path, whole: bytes, altered: bytes) -> None:
    original, path = tmp_path / "original.pegboard", tmp_path / "altered.pegboard"
    original.write_bytes(whole)
    path.write_bytes(altered)
    result = outcome(path)
    if isinstance(result, Bundle):
        assert content(result) == content(read_bundle(original))
    else:
        assert "\n" not in str(result)
        assert str(path) in str(result)


SHARED_FOLDER = settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(data=st.data())
@SHARED_FOLDER
def test_a_changed_byte_is_found_or_changes_nothing(
    data: st.DataObject, tmp_path: Path, whole: bytes
) -> None:
    at = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255))
    accepted_only_if_equal(tmp_path, whole, whole[:at] + bytes([byte]) + whole[at + 1 :])


@given(data=st.data())
@SHARED_FOLDER
def test_changed_bytes_in_the_directory_are_found_or_change_nothing(
    data: st.DataObject, tmp_path: Path, whole: bytes
) -> None:
    directory = whole.index(b"PK\x01\x02")
    altered = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        altered[data.draw(st.integers(directory, len(whole) - 1))] = data.draw(st.integers(0, 255))
    accepted_only_if_equal(tmp_path, whole, bytes(altered))


@given(data=st.data())
@SHARED_FOLDER
def test_a_cut_off_bundle_is_never_accepted(
    data: st.DataObject, tmp_path: Path, whole: bytes
) -> None:
    path = tmp_path / "cut.pegboard"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(BundleError, match=r"cut\.pegboard"):
        read_bundle(path)


@given(data=st.data())
@SHARED_FOLDER
def test_added_bytes_are_never_accepted(data: st.DataObject, tmp_path: Path, whole: bytes) -> None:
    """Not anywhere: before, between and after its parts, in a comment, in an entry."""
    path = tmp_path / "added.pegboard"
    at = data.draw(st.one_of(st.integers(0, len(whole)), st.just(len(whole))))
    added = data.draw(st.binary(min_size=1, max_size=50))
    path.write_bytes(whole[:at] + added + whole[at:])
    with pytest.raises(BundleError, match=r"added\.pegboard"):
        read_bundle(path)


@pytest.mark.parametrize(
    "member", ["model.onnx", "model.json", "card.md", "card.html", "reference.npz"]
)
def test_an_altered_member_is_named(path: Path, member: str) -> None:
    members = members_of(path)
    altered = members[member].replace(b"red", b"rad") if member == "model.json" else b"other"
    write_zip(path, members | {member: altered})
    with pytest.raises(DamagedBundleError, match=f"{member} is not what its checksum says"):
        read_bundle(path)


def test_a_missing_member_is_damage(path: Path) -> None:
    members = members_of(path)
    del members["card.md"]
    write_zip(path, members)
    with pytest.raises(DamagedBundleError, match=r"expected card\.html, card\.md, checksums\.json"):
        read_bundle(path)


def test_a_name_with_a_line_break_is_told_in_one_line(path: Path) -> None:
    members = members_of(path)
    write_zip(path, {name.replace("card.md", "c\nard.md"): data for name, data in members.items()})
    with pytest.raises(DamagedBundleError) as refused:
        read_bundle(path)
    assert "\n" not in str(refused.value)


def test_an_added_member_is_damage(path: Path) -> None:
    write_zip(path, members_of(path) | {"../../evil.py": b"print()"})
    with pytest.raises(DamagedBundleError, match=r"found \.\./\.\./evil\.py"):
        read_bundle(path)


def test_a_member_twice_is_damage(path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("card.md", "another card")
    with pytest.raises(DamagedBundleError, match=r"card\.md, card\.md"):
        read_bundle(path)


def test_a_member_that_grows_when_read_is_refused(path: Path) -> None:
    members = members_of(path) | {"model.onnx": bytes(50_000_000)}
    write_zip(path, with_sums(members), zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    with pytest.raises(DamagedBundleError, match="compressed"):
        read_bundle(path)


def test_an_overlong_description_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(archive._LARGEST, "model.json", 10)
    with pytest.raises(DamagedBundleError, match=r"model\.json claims"):
        read_bundle(path)


# --- not a bundle ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"", "an empty file"),
        (b"\xff\xd8\xff\xe0rest", "a JPEG image"),
        (b"\x89PNG\r\n\x1a\nrest", "a PNG image"),
        (b"some text", "another kind of file"),
    ],
)
def test_another_file_is_told_apart(tmp_path: Path, start: bytes, kind: str) -> None:
    path = tmp_path / "photo.pegboard"
    path.write_bytes(start)
    with pytest.raises(BundleError, match=rf"is not a \.pegboard file \(found {kind}\)") as caught:
        read_bundle(path)
    assert not isinstance(caught.value, DamagedBundleError)


def test_a_missing_file_and_a_folder_are_said(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="does not exist"):
        read_bundle(tmp_path / "none.pegboard")
    with pytest.raises(BundleError, match="is a folder"):
        read_bundle(tmp_path)


def test_an_unreadable_file_is_said(path: Path) -> None:
    # In a child that gives up root's rights: root may read anything.
    script = (
        "import os, sys\n"
        "from pegboard.bundle import read_bundle\n"
        "from pegboard.errors import BundleError\n"
        "os.chdir(sys.argv[1])\n"
        "if os.geteuid() == 0:\n    os.setuid(65534)\n"
        "try:\n    read_bundle('colours.pegboard')\n"
        "except BundleError as error:\n    print(error)\n"
    )
    path.parent.chmod(0o755)
    path.chmod(0)
    done = subprocess.run(
        [sys.executable, "-c", script, str(path.parent)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "colours.pegboard cannot be read: Permission denied\n", done.stderr


def test_another_zip_is_told_apart(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "photos.zip", {"a.jpg": b"x"})
    with pytest.raises(BundleError, match=r"found a zip without model\.json"):
        read_bundle(path)


def test_a_newer_format_says_what_to_do(path: Path) -> None:
    members = members_of(with_model_json(path, format=5))
    # A newer format may hold anything else.
    write_zip(path, with_sums(members | {"neighbours.npz": b"x"}))
    with pytest.raises(BundleError, match=r"has bundle format 5 .* update pegboard"):
        read_bundle(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["red", "red", "blue"]}, "names a class twice"),
        ({"classes": ["red"]}, "fewer than two"),
        ({"classes": [1, 2, 3]}, "expected a text"),
        ({"classes": 7}, "not valid"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": "warm"}, "not valid"),
        ({"thresholds": {"sure": "high"}}, "not valid"),
        ({"thresholds": None}, "not valid"),
        ({"parity": {"n": 1}}, "not valid"),
        ({"input": {}}, "input specification"),
        ({"input": SPEC.to_json() | {"height": 10**9}}, "larger than"),
        ({"input": SPEC.to_json() | {"height": "tall"}}, "not valid"),
        ({"input": SPEC.to_json() | {"interpolation": "magic"}}, "interpolation"),
        ({"input": SPEC.to_json() | {"channels": 1}}, "does not fit"),
        ({"format": 0}, "format 0 instead of 4"),
    ],
)
def test_values_that_cannot_be_are_refused(path: Path, change: dict, message: str) -> None:
    with pytest.raises(BundleError, match=message) as caught:
        read_bundle(with_model_json(path, **change))
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named(path: Path) -> None:
    members = members_of(path)
    data = json.loads(members["model.json"])
    del data["classes"]
    write_zip(path, with_sums(members | {"model.json": json.dumps(data).encode()}))
    with pytest.raises(BundleError, match=r"model\.json has no 'classes'"):
        read_bundle(path)


@pytest.mark.parametrize("text", [b"[]", b"{", b"[" * 100_000, b"\xff\xfe"])
def test_json_that_is_none_is_refused(path: Path, text: bytes) -> None:
    write_zip(path, with_sums(members_of(path) | {"model.json": text}))
    with pytest.raises(DamagedBundleError, match=r"model\.json: its JSON"):
        read_bundle(path)


def test_pickled_arrays_are_refused(path: Path, tmp_path: Path) -> None:
    pickled = tmp_path / "pickled.npz"
    objects = np.array([{"a": 1}], dtype=object)
    np.savez(pickled, grids=objects, probabilities=objects)
    write_zip(path, with_sums(members_of(path) | {"reference.npz": pickled.read_bytes()}))
    with pytest.raises(BundleError, match=r"reference\.npz cannot be read"):
        read_bundle(path)


# --- the network -------------------------------------------------------------------------


def test_the_network_must_fit_the_description(tmp_path: Path) -> None:
    path = tmp_path / "a.pegboard"
    with pytest.raises(BundleError, match=r"model\.onnx does not fit model\.json"):
        write_bundle(path, onnx=colour_onnx(classes=4), info=colour_info())
    with pytest.raises(BundleError, match=r"model\.onnx does not fit model\.json"):
        write_bundle(path, onnx=colour_onnx(InputSpec(9, 9)), info=colour_info())
    with pytest.raises(BundleError, match=r"model\.onnx is not an ONNX file"):
        write_bundle(path, onnx=b"no graph", info=colour_info())
    assert list(tmp_path.iterdir()) == []


def test_any_batch_size_gives_the_same_answers() -> None:
    network = Network(colour_onnx(), SPEC, 3, threads=1)
    images = np.random.default_rng(0).integers(0, 256, (5, *SPEC.shape), dtype=np.uint8)
    together = network.probabilities(images)
    alone = np.concatenate([network.probabilities(image[None]) for image in images])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-6)


def test_parity_is_refused_beyond_its_limits() -> None:
    Parity(1000, 1e-4, 0.999).check()
    for parity in (Parity(9, 1.1e-4, 1.0), Parity(9, 0.0, 0.99), Parity(9, float("nan"), 1.0)):
        with pytest.raises(BundleError, match="does not answer like the trained one"):
            parity.check()


# --- older bundles -----------------------------------------------------------------------


def of_first_format(path: Path) -> Path:
    """Make of a bundle what the first pegboard wrote: no card.html, nothing of the data."""
    members = members_of(path)
    del members["card.html"]
    data = json.loads(members["model.json"]) | {"format": 1}
    for key in ("data", "graph", "unknown", "abstention"):
        del data[key]
    for key in ("macro_f1_trained", "macro_f1_exported", "precision", "kept_in_float", "forced"):
        del data["parity"][key]
    return write_zip(path, with_sums(members | {"model.json": json.dumps(data).encode()}))


def test_a_bundle_of_the_first_format_is_read_and_renewed(path: Path) -> None:
    old = read_bundle(of_first_format(path))
    assert old.info == colour_info()
    assert old.card_page == ""
    assert old.model == colour_onnx()
    assert read_info(path) == colour_info()
    rewrite_info(path, replace(old.info, data={"name": "paint"}))
    renewed = read_bundle(path)
    assert renewed.info.data == {"name": "paint"}
    assert "paint" in renewed.card_page


# --- reading only what it says -----------------------------------------------------------


def test_what_it_says_is_read_without_its_network(path: Path) -> None:
    members = members_of(path)
    write_zip(path, members | {"model.onnx": b"another"})
    assert read_info(path) == as_written()
    altered = members["model.json"].replace(b"red", b"rad")
    write_zip(path, members | {"model.json": altered})
    with pytest.raises(DamagedBundleError, match=r"model\.json is not what its checksum says"):
        read_info(path)


def test_the_cards_are_in_the_bundle(path: Path) -> None:
    bundle, card = read_bundle(path), model_card(colour_info())
    assert bundle.card == to_markdown(card)
    assert bundle.card_page == to_html(card)


def test_info_survives_json() -> None:
    info = colour_info(thresholds={"sure": None}, parity=None, classes=("ä", "b/c", "d"))
    assert BundleInfo.from_json(json.loads(json.dumps(info.to_json()))) == info


# --- export from a run -------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    (folder / "models" / "colours-tiny").mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    colour_bundle(folder / "models" / "colours-tiny" / "colours-tiny.pegboard")
    return folder


def test_export_copies_the_bundle(run: Path, tmp_path: Path) -> None:
    out = export_model(run, "colours:tiny", out=tmp_path / "mine.pegboard")
    assert out == tmp_path / "mine.pegboard"
    original = run / "models" / "colours-tiny" / "colours-tiny.pegboard"
    assert out.read_bytes() == original.read_bytes()


def test_export_to_onnx_gives_the_graph(run: Path, tmp_path: Path) -> None:
    out = export_model(run, "colours-tiny", "onnx", tmp_path / "mine.onnx")
    proto = onnx.load(out)
    held = {entry.key: entry.value for entry in proto.metadata_props}
    assert json.loads(held["parity"])["n"] == 270
    assert json.loads(held["thresholds"]) == {"sure": 0.9, "precision": 0.95}
    del proto.metadata_props[:]
    assert proto == onnx.load_from_string(colour_onnx())


def test_export_names_the_file_after_the_model(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert export_model(run, "colours:tiny", "onnx") == Path("colours-tiny.onnx")
    assert Path("colours-tiny.onnx").is_file()


def test_export_replaces_only_with_force(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.pegboard"
    out.write_text("precious")
    with pytest.raises(PegboardError, match="exists; give another --out, or --force"):
        export_model(run, "colours:tiny", out=out)
    assert out.read_text() == "precious"
    export_model(run, "colours:tiny", out=out, force=True)
    assert read_bundle(out).info.name == "colours:tiny"


def test_export_of_a_damaged_bundle_is_refused(run: Path, tmp_path: Path) -> None:
    path = run / "models" / "colours-tiny" / "colours-tiny.pegboard"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DamagedBundleError, match="cut off"):
        export_model(run, "colours:tiny", out=tmp_path / "out.pegboard")
    assert not (tmp_path / "out.pegboard").exists()


@pytest.mark.parametrize("model", ["vgg16", "../run", ""])
def test_export_of_an_unknown_model_lists_those_there_are(run: Path, model: str) -> None:
    with pytest.raises(RunFolderError, match=r"no bundle of a model .*; it has: colours-tiny"):
        export_model(run, model)


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("coreml", "--to: expected one of pegboard, pegboard-int8, onnx, onnx-int8"),
    ],
)
def test_export_refuses_other_formats(run: Path, tmp_path: Path, to: str, message: str) -> None:
    with pytest.raises(PegboardError, match=message):
        export_model(run, "colours:tiny", to, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_export_needs_a_run_folder(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"is not a run folder"):
        export_model(tmp_path, "cnn")


def test_a_folder_that_is_not_there_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(PegboardError, match="cannot write"):
        colour_bundle(tmp_path / "none" / "a.pegboard")
    assert list(tmp_path.iterdir()) == []
