from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pegboard.cli import cli, run
from pegboard.runs import RunFolder, json_text, read_json, write_json
from small_bundle import colour_bundle

COMMANDS = list(cli.commands)
PROGRAM = [sys.executable, "-m", "pegboard.cli"]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return colour_bundle(tmp_path / "small.pegboard")


def tree(folder: Path) -> dict[str, str]:
    """Every path below a folder with the hash of its content."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in folder.rglob("*")
    }


def one_line(text: str) -> str:
    """Return the error; fail unless it is a single line that is no traceback."""
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(lines) == 1, text
    assert lines[0].startswith("pegboard: ")
    assert "Traceback" not in text
    assert "inside pegboard" not in text
    return lines[0]


class TestHelp:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_explains_itself(
        self, command: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run([command, "--help"]) == 0
        printed = capsys.readouterr()
        assert printed.out.startswith(f"Usage: pegboard {command}")
        assert printed.err == ""

    def test_commands_stand_in_the_order_of_the_work(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["--help"]) == 0
        text = capsys.readouterr().out
        places = [text.index(f"\n  {command} ") for command in ("compare", "demo", "predict")]
        assert places == sorted(places)

    def test_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        from pegboard import __version__

        assert run(["--version"]) == 0
        assert __version__ in capsys.readouterr().out


class TestExitCodes:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["frobnicate"],
            ["compare"],
            ["compare", "digits", "--seeds", "0"],
            ["compare", "digits", "--no-such-option"],
            ["compare", "digits", "--fit", "stretch"],
            ["compare", "digits", "--epochs", "many"],
            ["split"],
            ["split", "digits", "--verify", "manifest.csv"],
            ["predict"],
            ["predict", "x.pegboard", "--top", "0", "photo.jpg"],
            ["predict", "x.pegboard", "--top", "100000", "photo.jpg"],
            ["predict", "x.pegboard", "--json", "--format", "csv", "photo.jpg"],
            ["export", "run"],
        ],
        ids=" ".join,
    )
    def test_wrong_usage_is_2(
        self, arguments: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(arguments) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert "Error:" in printed.err
        assert "Traceback" not in printed.err

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["compare", "nowhere"], "nowhere"),
            (["compare", "digits", "--models", "resnet"], "resnet"),
            (["compare", "digits", "--models", "lm,lm"], "lm"),
            (["compare", "digits", "--budget", "soon"], "expected a duration"),
            (["compare", "digits", "--fractions", ".5,.5"], "fractions"),
            (["compare", "digits", "--merge", "one"], "expected FROM=INTO"),
            (["compare", "digits", "--epochs", "0"], "--epochs must be at least 1"),
            (["compare", "digits", "--learning-rate", "-1"], "--learning-rate"),
            (["compare", "digits", "--folds", "2"], "--folds must be at least 3"),
            (["compare", "digits", "--folds", "3", "--seeds", "2"], "exclude each other"),
            (["compare", "digits", "--resume", "--overwrite"], "exclude each other"),
            (["compare", "digits", "--resume"], "no earlier run of digits"),
            (["compare", "digits", "--resume", "--out", "nowhere"], "does not exist"),
            (["compare", "digits", "--weights", "mobilenetv2"], "--weights"),
            (
                ["compare", "digits", "--models", "mobilenetv2", "--weights", "mobilenetv2=no.st"],
                "no.st",
            ),
            (["compare", "digits", "--corrections", "none.csv"], "none.csv"),
            (["compare", "digits", "--previous", "none.csv"], "none.csv"),
            (["compare", "digits", "--models", "cnn4", "--image-size", "16"], "at least"),
            (["split", "nowhere"], "nowhere"),
            (["split", "--verify", "none.csv"], "none.csv"),
            (["models", "--describe", "resnet"], "resnet"),
            (["models", "--describe", "cnn4", "--image-size", "20"], "at least"),
            (["report", "nowhere"], "nowhere"),
            (["export", "nowhere", "lm"], "nowhere"),
            (["verify", "none.pegboard"], "none.pegboard"),
            (["predict", "none.pegboard", "photo.jpg"], "none.pegboard"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else None,
    )
    def test_a_users_error_is_1_and_one_line(
        self, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = tree(Path.cwd())
        assert run(arguments) == 1
        printed = capsys.readouterr()
        assert printed.out == ""
        assert says in one_line(printed.err)
        assert tree(Path.cwd()) == before

    def test_a_typo_is_told_before_the_photos_are_read(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        # The source is no picture collection at all, and the typo is still what is told.
        Path("empty").mkdir()
        for options in (["--models", "lmm"], ["--weights", "xception=no.safetensors"]):
            models = [] if "--models" in options else ["--models", "xception"]
            assert run(["compare", "empty", *models, *options]) == 1
            assert "empty" not in one_line(capsys.readouterr().err)

    def test_a_device_that_is_not_there(self, capsys: pytest.CaptureFixture[str]) -> None:
        import torch

        missing = "mps" if torch.cuda.is_available() else "cuda"
        assert run(["compare", "digits", "--models", "lm", "--device", missing]) == 1
        assert f"--device {missing}" in one_line(capsys.readouterr().err)
        assert list(Path.cwd().iterdir()) == []

    def test_debug_shows_the_traceback(self) -> None:
        done = subprocess.run(
            [*PROGRAM, "split", "nowhere", "--debug"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert "Traceback" in done.stderr
        assert "SourceError" in done.stderr

    def test_a_gate_is_3(
        self, photo_folder: Callable[..., Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        photos = photo_folder(per_class=4)
        assert run(["split", str(photos), "--out", str(photos / "manifest.csv")]) == 0
        assert run(["split", "--verify", str(photos / "manifest.csv")]) == 0
        text = (photos / "manifest.csv").read_text()
        rows = [line for line in text.splitlines() if ",train," in line]
        leak = rows[0].replace(",train,", ",test,").replace("disc/", "disc/../disc/")
        copy = photos / "disc" / "copy.jpg"
        shutil.copy(photos / rows[0].split(",")[0], copy)
        leak = ",".join(["disc/copy.jpg", *leak.split(",")[1:]])
        (photos / "leaking.csv").write_text(text + leak + "\n")
        capsys.readouterr()
        assert run(["split", "--verify", str(photos / "leaking.csv"), "--json"]) == 3
        leaks = json.loads(capsys.readouterr().out)["leaks"]
        assert {"disc/copy.jpg"} <= {leaks[0]["path"], leaks[0]["other_path"]}

    def test_verify_finds_a_changed_byte(
        self, bundle: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["verify", str(bundle)]) == 0
        data = bytearray(bundle.read_bytes())
        data[len(data) // 2] ^= 1
        bundle.write_bytes(data)
        capsys.readouterr()
        assert run(["verify", str(bundle)]) == 3
        one_line(capsys.readouterr().err)


class TestJson:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["models", "--json"],
            ["models", "--describe", "dcnn", "--json"],
            ["split", "digits", "--json"],
            ["compare", "digits", "--models", "lm", "--epochs", "1", "--dry-run", "--json"],
        ],
        ids=" ".join,
    )
    def test_standard_output_is_json_and_nothing_else(
        self, arguments: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(arguments) == 0
        json.loads(capsys.readouterr().out)

    def test_a_manifest_is_all_that_split_prints(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["split", "digits"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "path,label,split,group,sha256"
        assert len(lines) == 1 + 1797

    def test_a_name_that_is_no_unicode_survives(self, tmp_path: Path) -> None:
        name = os.fsdecode(b"caf\xe9.jpg")
        write_json(tmp_path / "x.json", {"path": name, "é": 1})
        assert read_json(tmp_path / "x.json") == {"path": name, "é": 1}
        assert (tmp_path / "x.json").read_text("utf-8")
        assert "é" in json_text({"é": 1})


class TestStops:
    def test_ctrl_c_during_training(self, tmp_path: Path) -> None:
        command = [
            *PROGRAM, "compare", "digits", "--models", "cnn", "--epochs", "500", "--out", "run",
        ]  # fmt: skip
        started = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        weights = Path("run/models/cnn")
        # PyTorch takes a minute to import where the disk is slow and nothing of it is in memory.
        deadline = time.monotonic() + 180
        while not weights.exists() and started.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert weights.exists()
        time.sleep(1)
        started.send_signal(signal.SIGINT)
        out, err = started.communicate(timeout=60)
        assert started.returncode == 130
        assert out == ""
        assert "Traceback" not in err
        last = err.splitlines()[-1]
        assert last.startswith("pegboard: stopped")
        assert last.endswith("--models cnn --epochs 500 --out run --resume")
        assert read_json(RunFolder(Path("run")).run)["status"] == "interrupted"
        leftovers = [path for path in Path("run").rglob("*") if path.name.startswith(".")]
        assert leftovers == []

    def test_ctrl_c_while_source_text_is_executed(self, tmp_path: Path) -> None:
        # Imports do that here and there, so a signal may come just then.
        (tmp_path / "stopped.py").write_text(
            "from pegboard.cli import program\n"
            "program.cli.main = lambda *_, **__: exec('raise KeyboardInterrupt')\n"
            "program.main([])\n"
        )
        command = [sys.executable, "-m", "stopped"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (130, "pegboard: stopped\n")

    def test_a_closed_pipe_is_no_error(self) -> None:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", f"{sys.executable} -m pegboard.cli split digits|true"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""


class TestWithoutTorch:
    """What runs where a model is used must not need, or load, the training parts."""

    def call(self, *arguments: str) -> str:
        code = (
            "import sys; from pegboard.cli import run; code = run(sys.argv[1:]); "
            "print(code, 'torch' in sys.modules, file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
        )
        return done.stderr.splitlines()[-1]

    @pytest.mark.parametrize("command", COMMANDS)
    def test_help(self, command: str) -> None:
        assert self.call(command, "--help") == "0 False"

    def test_predict_and_verify(self, bundle: Path, photo_folder: Callable[..., Path]) -> None:
        photos = photo_folder(per_class=1)
        assert self.call("predict", str(bundle), str(photos)) == "0 False"
        assert self.call("verify", str(bundle)) == "0 False"

    def test_split_and_models(self, photo_folder: Callable[..., Path]) -> None:
        assert self.call("split", str(photo_folder(per_class=4))) == "0 False"
        assert self.call("models") == "0 False"


class TestBadInput:
    """One clear line, exit code 1, nothing left behind, nothing of the user's changed."""

    def refused(self, capsys: pytest.CaptureFixture[str], source: Path, *options: str) -> str:
        before, here = tree(source.parent), tree(Path.cwd())
        assert run(["compare", str(source), "--models", "lm", "--epochs", "1", *options]) == 1
        printed = capsys.readouterr()
        assert printed.out == ""
        assert tree(source.parent) == before
        assert tree(Path.cwd()) == here
        return one_line(printed.err)

    def test_an_empty_folder(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "photos").mkdir()
        assert "photos" in self.refused(capsys, tmp_path / "photos")

    def test_a_single_class(
        self, photo_folder: Callable[..., Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        line = self.refused(capsys, photo_folder(classes=("disc",)))
        assert "two" in line

    def test_two_classes_of_which_one_is_too_small(
        self, photo_folder: Callable[..., Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        photos = photo_folder(classes=("disc", "square"))
        for file in sorted((photos / "square").iterdir())[2:]:
            file.unlink()
        line = self.refused(capsys, photos)
        assert "two" in line
        assert "disc (8 photos); left out: 2 rare-class" in line

    def test_only_files_that_are_no_photos(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name in ("a", "b"):
            (tmp_path / "photos" / name).mkdir(parents=True)
            for number in range(4):
                (tmp_path / "photos" / name / f"{number}.jpg").write_text("no photo")
        self.refused(capsys, tmp_path / "photos")

    def test_two_columns_of_one_name(
        self, photo_folder: Callable[..., Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        photos = photo_folder(per_class=4)
        rows = [f"{path.relative_to(photos)},a,b" for path in photos.rglob("*.jpg")]
        (photos / "list.csv").write_text("\n".join(["path,label,label", *rows]))
        assert "label" in self.refused(capsys, photos / "list.csv")

    @pytest.mark.parametrize("damage", ["cut", "flipped", "text", "pickled"])
    def test_a_corrupt_npz(
        self, damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = tmp_path / "data"
        folder.mkdir()
        file = folder / "x.npz"
        chance = np.random.default_rng(0)
        images = chance.integers(0, 255, (40, 8, 8), dtype=np.uint8)
        labels = np.arange(40) % 2
        if damage == "pickled":
            images = images.astype(object)
        np.savez_compressed(
            file, x_train=images, y_train=labels, x_test=images, y_test=labels, allow_pickle=True
        )
        data = bytearray(file.read_bytes())
        if damage == "cut":
            data = data[: len(data) // 2]
        elif damage == "flipped":
            data[len(data) // 4] ^= 0xFF
        elif damage == "text":
            data = bytearray(b"hello")
        file.write_bytes(data)
        assert "x.npz" in self.refused(capsys, file)

    def test_a_training_that_comes_to_nothing(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "mine").mkdir()
        for options in ([], ["--out", "run"], ["--out", str(tmp_path / "mine")]):
            hopeless = ["--epochs", "1", "--learning-rate", "1e30", *options]
            assert run(["compare", "digits", "--models", "nn", *hopeless]) == 1
            last = capsys.readouterr().err.splitlines()[-1]
            assert "no model could be trained" in one_line(last)
            assert "--learning-rate" in last
            assert tree(tmp_path) == {"here": "folder", "mine": "folder"}

    def test_more_memory_than_there_is(self, capsys: pytest.CaptureFixture[str]) -> None:
        huge = ["--image-size", "4000000", "--dry-run"]
        assert run(["compare", "digits", "--models", "nn", *huge]) == 1
        assert "not enough memory" in one_line(capsys.readouterr().err)

    def test_an_output_folder_that_holds_something_else(
        self, photo_folder: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        photos = photo_folder(per_class=4)
        for option in ((), ("--resume",), ("--overwrite",)):
            line = self.refused(capsys, photos, "--out", str(photos), *option)
            assert "another folder" in line

    def test_a_bundle_that_is_none(
        self, tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fakes = {
            "text.pegboard": b"hello",
            "empty.pegboard": b"",
            "cut.pegboard": bundle.read_bytes()[:5000],
            "tampered.pegboard": bundle.read_bytes().replace(b'"name"', b'"Name"'),
        }
        for name, data in fakes.items():
            (tmp_path / name).write_bytes(data)
            before = tree(tmp_path)
            assert run(["predict", str(tmp_path / name), "photo.jpg"]) == 1
            printed = capsys.readouterr()
            assert printed.out == ""
            assert name in one_line(printed.err)
            assert tree(tmp_path) == before


# The interpreter may lie where only root can read: everything is imported before.
AS_NOBODY = """
import contextlib, io, json, os, sys
from pegboard.cli import run

def call(arguments):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        with contextlib.redirect_stderr(io.StringIO()) as err:
            code = run(arguments)
    return code, out.getvalue(), err.getvalue()

commands = json.loads(sys.argv[1])
if any("compare" in command for command in commands):
    import pegboard.pipeline
assert call(["split", "digits", "--json"])[0] == 0
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(json.dumps([call(command) for command in commands]))
"""


def as_nobody(folder: Path, *commands: list[str]) -> list[tuple[int, str, str]]:
    """Run commands as a user who owns nothing; return exit code, output and errors of each."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can become another user")
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, json.dumps(commands)],
        env=os.environ | {"HOME": "/nonexistent", "PEGBOARD_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return [(code, out, err) for code, out, err in json.loads(done.stdout)]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may read, which pytest's own folders are not."""
    with tempfile.TemporaryDirectory(prefix="pegboard-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


class TestOtherPeoplesFolders:
    def test_an_output_folder_without_permission(self, open_folder: Path) -> None:
        compare = ["compare", "digits", "--models", "lm", "--epochs", "1"]
        outs = [[], ["--out", str(open_folder / "run")], ["--out", str(open_folder)]]
        for code, out, err in as_nobody(open_folder, *(compare + options for options in outs)):
            assert code == 1
            assert out == ""
            assert "no permission in" in one_line(err)
        assert list(open_folder.iterdir()) == []

    def test_a_photo_that_may_not_be_read_is_left_out(
        self, open_folder: Path, photo_folder: Callable[..., Path]
    ) -> None:
        photos = shutil.copytree(photo_folder(per_class=5), open_folder / "photos")
        locked = photos / "disc" / "000.jpg"
        locked.chmod(0)
        ((code, out, _),) = as_nobody(open_folder, ["split", str(photos), "--json"])
        assert code == 0
        assert json.loads(out)["left_out_reasons"] == {"unreadable": 1}
        assert locked.stat().st_mode & 0o777 == 0


class TestFullDisk:
    @pytest.fixture
    def small_disk(self, tmp_path: Path) -> Iterator[Path]:
        disk = tmp_path / "disk"
        disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)],
            capture_output=True, text=True, check=False,
        ) if shutil.which("mount") else None  # fmt: skip
        if mounted is None or mounted.returncode:
            pytest.skip("a small disk can only be mounted by root")
        yield disk
        subprocess.run(["umount", str(disk)], check=True)

    def test_no_room_for_the_first_files(
        self, small_disk: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (small_disk / "thesis").write_bytes(bytes((1 << 20) - (16 << 10)))
        out = small_disk / "run"
        assert run(["compare", "digits", "--models", "lm", "--epochs", "1", "--out", str(out)]) == 1
        line = capsys.readouterr().err.splitlines()[-1]
        assert "No space left" in line
        assert line.startswith("pegboard: cannot write")
        assert [path.name for path in small_disk.iterdir()] == ["thesis"]

    def test_no_room_for_a_model(
        self, small_disk: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = small_disk / "run"
        assert run(["compare", "digits", "--models", "nn", "--image-size", "64", "--epochs", "1",
                    "--out", str(out)]) == 1  # fmt: skip
        printed = capsys.readouterr()
        assert printed.out == ""
        assert "No space left" in printed.err.splitlines()[-1]
        assert "Traceback" not in printed.err
        assert list(small_disk.iterdir()) == []
